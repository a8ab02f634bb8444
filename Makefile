# Everything a newcomer needs: make demo. Everything a change needs: make test.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup setup-spark demo test check-lint check-format check-types check-layers check-docs check-tests \
        test-crash test-loop docs lock clean moved

# Any Python from 3.11 on; name another one with PYTHON=…
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(or $(shell for p in python3 python3.13 python3.12 python3.11; do \
            $$p -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done),python3)

PY := .venv/bin/python
STAMP := .venv/.made-in
SPARK_STAMP := .venv/.has-spark
UV := $(PY) -m uv --quiet pip
EVERYDAY := not browser

# Compiled modules are kept: else each process compiles scikit-learn and MLflow anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
export UV_PYTHON_DOWNLOADS := never
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export OMP_WAIT_POLICY := PASSIVE
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif

# Scripts in an environment name its path: one that was moved or copied is made anew.
ifneq "$(shell cat $(STAMP) 2>/dev/null)" "$(CURDIR)"
MOVED := moved
endif

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## the environment in .venv, from the hash lock

setup-spark: $(SPARK_STAMP) ## PySpark into .venv, and its Java archives into .lake

demo: setup ## real flights from landing files to a registered model, on a real S3 server
	@.venv/bin/lake demo

test: setup-spark ## all checks and the everyday tests
	@failed=; \
	for check in lint format types layers docs tests; do \
	  echo "== $$check"; \
	  $(MAKE) --no-print-directory check-$$check || failed="$$failed $$check"; \
	done; \
	if [ -n "$$failed" ]; then echo "make test: failed:$$failed"; exit 1; fi; \
	echo "make test: lint, format, types, layers, docs and tests passed"

check-lint: setup
	@$(PY) -m ruff check .

check-format: setup
	@$(PY) -m ruff format --check .

check-types: setup-spark
	@$(PY) -m mypy --strict lakehouse flows jobs

check-layers: setup
	@$(PY) -c 'from importlinter.cli import lint_imports_command as main; main()'

check-docs: setup
	@$(PY) -m sphinx -W --keep-going -q -b html docs docs/_build

# Tests of one process share the cores; what starts servers, clusters and JVMs has them to itself.
check-tests: setup-spark
	@failed=; \
	$(PY) -m pytest -m "$(EVERYDAY)" -n 2 --dist loadfile tests/unit tests/properties || failed=1; \
	$(PY) -m pytest -m "$(EVERYDAY)" tests/crash tests/integration tests/parity || failed=1; \
	test -z "$$failed"

test-crash: setup-spark ## the long set of kills, races and network faults (a quarter of an hour)
	@LAKE_CRASH_ROUNDS=$(or $(LAKE_CRASH_ROUNDS),5) \
	  $(PY) -m pytest tests/crash tests/integration/test_faults.py

test-loop: setup ## the loop under a real server, with worker, training and server killed
	@LAKE_LOOP=1 $(PY) -m pytest tests/integration/test_loop.py

docs: check-docs ## the documentation, in docs/_build
	@echo "open docs/_build/index.html"

lock: setup ## resolve the locks anew: names, versions and hashes, no addresses
	@$(UV) compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --extra demo --extra test --extra docs -c requirements.constraints \
	  -o requirements.lock pyproject.toml
	@$(PY) -c 'import tomllib; \
	  print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["spark"], sep="\n")' | \
	  $(UV) compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate -c requirements.lock -o requirements-spark.lock -
	@printf 'setuptools>=77\nuv\n' | $(UV) compile --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  -o requirements-bootstrap.lock -

clean: ## remove the environment and all caches; the lake in .lake stays
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis \
	  build dist docs/_build *.egg-info
	@find . -path ./.lake -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

$(SPARK_STAMP): $(STAMP) requirements-spark.lock
	@echo "installing PySpark into .venv (0.5 GB to fetch)"
	@$(UV) install --python $(PY) --require-hashes -r requirements-spark.lock || \
	   $(PY) -m pip --disable-pip-version-check install -q --require-hashes -r requirements-spark.lock
	@$(PY) -c 'from lakehouse import settings; from lakehouse.engines.spark import jars; \
	  jars.resolve(settings.load(), print)'
	@touch $(SPARK_STAMP)

$(STAMP): requirements.lock requirements-bootstrap.lock pyproject.toml $(MOVED)
	@$(PYTHON) -c '$(NEW_ENOUGH)' 2>/dev/null || { \
	  echo "make the environment in .venv"; \
	  echo "  found:  $(PYTHON) is $$($(PYTHON) --version 2>&1 | tail -1)"; \
	  echo "  remedy: install Python 3.11 or later, or name one: make setup PYTHON=python3.12"; \
	  exit 1; } >&2
	@if [ -f $(STAMP) ] && [ "$$(cat $(STAMP))" != "$(CURDIR)" ]; then rm -rf .venv; fi
	@$(PY) -c '$(NEW_ENOUGH)' 2>/dev/null || $(PYTHON) -m venv --clear .venv || { rm -rf .venv; \
	  echo "make the environment in .venv"; \
	  echo "  found:  $(PYTHON) cannot make environments (said above)"; \
	  echo "  remedy: install its venv module (Debian, Ubuntu: apt install python3-venv)"; \
	  exit 1; } >&2
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip >/dev/null
	@echo "installing about 200 packages into .venv (half a minute when they have to be fetched)"
	@{ $(PY) -m pip --disable-pip-version-check install -q --require-hashes \
	       -r requirements-bootstrap.lock && \
	   $(UV) install --python $(PY) --require-hashes -r requirements.lock && \
	   $(UV) install --python $(PY) --no-deps --no-build-isolation -e . ; } || { \
	   echo "uv could not do it (said above): pip goes on, which takes some minutes" >&2; \
	   $(PY) -m pip --disable-pip-version-check install -q --require-hashes -r requirements.lock && \
	   $(PY) -m pip --disable-pip-version-check install -q --no-deps -e . ; }
	@printf '%s' "$(CURDIR)" > $(STAMP)
