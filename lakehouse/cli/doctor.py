"""``lake doctor``: what is in order on this machine, and the remedy for what is not."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import click

from lakehouse import catalog, stack
from lakehouse.cli import screen
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings, load, unknown
from lakehouse.stack.process import MARK
from lakehouse.storage import connect
from lakehouse.strictyaml import did_you_mean

__all__ = ["doctor"]

_NEEDED = ("deltalake", "pyarrow", "duckdb", "distributed", "mlflow", "prefect", "scikit-learn")


@dataclass(frozen=True)
class Finding:
    """One check."""

    check: str
    state: Literal["ok", "problem", "note"]
    found: str
    remedy: str = ""


@click.command()
@screen.json_option
def doctor(as_json: bool) -> int:
    """Check this machine, the settings, the declarations and the store."""
    findings = [finding for check in _CHECKS for finding in _run(check)]
    if as_json:
        click.echo(json.dumps({"schema": 1, "checks": [f.__dict__ for f in findings]}))
    else:
        screen.table(
            ["check", "state", "found", "remedy"],
            [[f.check, f.state, f.found, f.remedy] for f in findings],
        )
    return 1 if any(f.state == "problem" for f in findings) else 0


def _run(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    found: list[Finding] = []
    name = check.__name__.strip("_").replace("_", " ")
    try:
        found.extend(check())
    except LakehouseError as error:
        found.append(Finding(name, "problem", error.found, error.remedy))
    return found


def _python() -> Iterator[Finding]:
    good = sys.version_info >= (3, 11)
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(
        "python", "ok" if good else "problem", version, "" if good else "use 3.11 or later"
    )


def _packages() -> Iterator[Finding]:
    missing = []
    for name in _NEEDED:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    told = f"missing: {', '.join(missing)}" if missing else f"{len(_NEEDED)} main packages"
    yield Finding("packages", "problem" if missing else "ok", told, "make setup" if missing else "")


def _settings() -> Iterator[Finding]:
    made = screen.settings()
    yield Finding("lake", "ok", made.lake_uri)
    yield Finding("landing", "ok", made.landing_uri)
    known = [f"LAKE_{name}".upper() for name in Settings.model_fields]
    for name, where in unknown().items():
        if name != MARK:
            remedy = did_you_mean(name.upper(), known)
            yield Finding("settings", "problem", f"{name} in {where} is no setting", remedy)
    free = shutil.disk_usage(made.state if made.state.exists() else ".").free
    low = free < 5e9
    yield Finding(
        "disk",
        "note" if low else "ok",
        f"{screen.size(free)} free",
        "free some space: builds keep old versions" if low else "",
    )


def _declarations() -> Iterator[Finding]:
    domains = catalog.load_all(load().domains)
    for domain in domains:
        told = f"{len(domain.tables)} tables, {len(domain.model_files())} models"
        yield Finding(f"domain {domain.name}", "ok", told)


def _store() -> Iterator[Finding]:
    made = screen.settings()
    connect(made, made.lake_uri).probe()
    told = (
        "one winner among racing conditional PUTs" if made.lake_uri.startswith("s3") else "writable"
    )
    yield Finding("store", "ok", told)


def _spark() -> Iterator[Finding]:
    from lakehouse.engines.spark import jars, java, master

    if importlib.util.find_spec("pyspark") is None:
        told = "not installed; only --engine spark needs it"
        yield Finding("spark", "note", told, "make setup-spark")
        return
    made = screen.settings()
    yield Finding("spark", "ok", f"PySpark {importlib.metadata.version('pyspark')}")
    found = java.find(made)
    yield Finding("java", "ok", f"Java {java.version(found)}, {found}")
    there = jars.cached(made)
    yield Finding(
        "jars",
        "ok" if there else "note",
        f"{len(there)} archives in {there[0].parent}" if there else "fetched when Spark starts",
    )
    master.look_for(made.spark_master)
    yield Finding("spark master", "ok", made.spark_master)


def _services() -> Iterator[Finding]:
    for one in stack.status(load().state):
        bad = one.state in ("died", "not answering")
        yield Finding(
            f"service {one.name}",
            "problem" if bad else "ok" if one.state == "running" else "note",
            one.state,
            f"lake up {one.name}" if one.state != "running" else "",
        )


_CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _python,
    _packages,
    _declarations,
    _settings,
    _store,
    _spark,
    _services,
)
