"""A training ends with the process that asked for it, however that ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from order_model import MODEL, MODEL_YAML, ModelShop

from lakehouse.ledger import Ledger
from lakehouse.training import job

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]

PARENT = """\
import json, sys
from lakehouse.build import open_lake
from lakehouse.settings import Settings
from lakehouse.training import job

settings = Settings(_env_file=None, **json.loads(sys.argv[1]))
job.train_model(open_lake(settings), "large_order")
"""
SLOW = """\
def build(params):
    import os, pathlib, time
    where = pathlib.Path({where!r})
    where.with_suffix(".part").write_text(str(os.getpid()))
    where.with_suffix(".part").rename(where)
    time.sleep(600)
"""


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(") ", 1)[1][0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _wait(until: Callable[[], bool], what: str) -> None:
    for _ in range(3000):
        if until():
            return
        time.sleep(0.1)
    raise AssertionError(what)


def test_the_child_ends_with_its_parent_and_training_begins_anew(tmp_path: Path) -> None:
    split = "3 weeks, test: 1 week"
    shop = ModelShop(tmp_path / "shop", MODEL_YAML.replace("2 months, test: 1 month", split))
    shop.month(1)
    told = tmp_path / "pid"
    whole = (shop.domain / "models" / "large_order.py").read_text(encoding="utf-8")
    shop.edit("models/large_order.py", "def build(params):", SLOW.format(where=str(told)))
    settings = {n: str(getattr(shop.settings, n)) for n in ("uri", "landing", "domains", "state")}
    path = os.pathsep.join(p for p in sys.path if p)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, json.dumps(settings)], env={**os.environ, "PYTHONPATH": path}
    )
    try:
        _wait(told.exists, "the child never began")
        child = int(told.read_text(encoding="utf-8"))
        assert child != parent.pid and _is_alive(child)
    finally:
        parent.kill()
        parent.wait()
    _wait(lambda: not _is_alive(child), "the child outlived its parent")
    assert job.registry_of(shop.settings).versions(MODEL) == ()
    shop.write("models/large_order.py", whole)
    done = shop.train()
    assert done.result is not None and done.result.version == 1
    kinds = [r["result"] for r in Ledger(shop.lake().storage).rows("runs") if r["kind"] == "train"]
    # Its last week is too short for the slices: their gate says so.
    assert kinds == ["blocked"]
