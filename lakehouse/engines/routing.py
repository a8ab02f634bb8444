"""Which engine builds what, and why."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence

from lakehouse.catalog import Table
from lakehouse.engines.base import Engine
from lakehouse.errors import SettingsError
from lakehouse.planning import Target
from lakehouse.settings import Settings
from lakehouse.storage import Storage
from lakehouse.units import size

__all__ = ["cores", "route", "start"]

#: Rows are larger in memory than in their files, and a window or join holds them more than once.
_GROWTH = 4


def cores(settings: Settings) -> int:
    """How many targets are built side by side."""
    return settings.threads or os.cpu_count() or 1


def route(
    table: Table, targets: Sequence[Target], asked: str, settings: Settings, last: str = ""
) -> tuple[str, str]:
    """The engine for some targets of a table, and why.

    Args:
        table: The table; its contract may name an engine.
        targets: What is to be built.
        asked: ``auto``, or an engine's name, which overrides the contract.
        settings: The bytes of Parquet above which a target is Spark's.
        last: What built the table last; ``auto`` keeps it, so that content ids stay comparable.
    """
    if asked != "auto":
        return asked, "asked for"
    if table.contract.lake.engine != "auto":
        return table.contract.lake.engine, "the contract says so"
    largest = max((target.bytes for target in targets), default=0)
    limit = int(settings.engine_threshold or settings.worker_memory // _GROWTH)
    if largest > limit:
        if importlib.util.find_spec("pyspark") is None:
            why = f"{size(largest)} > {size(limit)}, but Spark is not installed (make setup-spark)"
            return "dask", why
        return "spark", f"{size(largest)} > {size(limit)}"
    if last == "spark":
        return "spark", "it built it last (--engine dask takes it back)"
    return "dask", f"{size(largest)} ≤ {size(limit)}"


def start(name: str, settings: Settings, storage: Storage) -> Engine:
    """A running engine.

    Args:
        name: Its name.
        settings: Where it runs, and how large.
        storage: The lake's store.

    Raises:
        SettingsError: There is no engine of that name.
    """
    if name == "local":
        from lakehouse.engines.local import LocalEngine

        return LocalEngine()
    if name == "dask":
        from lakehouse.engines.dask import DaskEngine

        return DaskEngine(settings.dask_address, cores(settings))
    if name == "spark":
        from lakehouse.engines.spark.engine import SparkEngine

        return SparkEngine(settings, storage)
    raise SettingsError(
        f"build with the engine {name!r}", "no such engine", "use auto, dask, spark or local"
    )
