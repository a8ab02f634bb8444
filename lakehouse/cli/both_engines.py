"""``lake demo --spark``: the same months on Dask and on Spark, row by row and second by second."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lakehouse import build as builds
from lakehouse import query, sample
from lakehouse import snapshot as snapshots
from lakehouse.build import BuildResult, Lake, Session, open_lake
from lakehouse.catalog import Table
from lakehouse.cli import screen
from lakehouse.cli.building import show_built
from lakehouse.comparison import differences
from lakehouse.settings import Settings
from lakehouse.storage import Storage, connect

__all__ = ["Compared", "compare", "demo", "prepare", "verdict"]

MONTHS = ("2013-01", "2013-02")
DOMAIN = "flights"
_SHOWN = 6


@dataclass(frozen=True)
class Compared:
    """One table in two lakes.

    Attributes:
        table: Its full name.
        rows: In the first lake.
        kept_out: Rows in its quarantine there.
        differing: Rows of either lake that the other has not.
    """

    table: str
    rows: int
    kept_out: int
    differing: tuple[tuple[Any, ...], ...]


def verdict(found: Sequence[Compared]) -> int:
    """Show the rows that differ; the exit code: 1 when there are some."""
    for one in found:
        for row in one.differing[:_SHOWN]:
            screen.say(f"differs: {one.table}: {row}")
        if len(one.differing) > _SHOWN:
            screen.say(f"         and {len(one.differing) - _SHOWN} rows more of {one.table}")
    return 1 if any(one.differing for one in found) else 0


def prepare(settings: Settings) -> None:
    """See that Spark can start before time is spent on anything else.

    Raises:
        EngineError: PySpark, a Java or the archives are missing.
    """
    from lakehouse.engines.spark import jars, java

    jars.spark_home()
    java.find(settings)
    jars.resolve(settings, screen.say)


def demo(settings: Settings) -> int:
    """Build two months on both engines, in two new lakes beside the settings' one, and compare.

    Returns:
        The exit code: 0 the same rows, 1 others, 3 an audit blocked something.

    Raises:
        EngineError: Spark is not installed, or does not start.
    """
    place = connect(settings, settings.lake_uri).at("demo-spark")
    _clear(place)
    screen.heading(f"2  landing files of {' and '.join(MONTHS)}  →  {place.uri}/landing")
    dask, spark = (_lake(settings, place, engine) for engine in ("dask", "spark"))
    domain = dask.domain(DOMAIN)
    count = sample.land(dask.landing_of(DOMAIN), sample.deliveries(domain.path), months=MONTHS)
    screen.say(f"  {count} files landed, for both lakes")
    screen.heading("3  Dask builds bronze, silver and gold")
    by_dask = _built(dask, "dask")
    screen.heading(f"4  Spark builds the same ({settings.spark_master})")
    start = _start(settings, place)
    by_spark = _built(spark, "spark")
    screen.heading("5  the same rows?")
    found = [compare(dask, spark, table) for table in domain.order]
    _show(found, by_dask, by_spark)
    _say_why(by_dask, by_spark, start, _bytes(dask))
    blocked = by_dask.blocked or by_spark.blocked
    return verdict(found) or (3 if blocked else 0)


def compare(one: Lake, other: Lake, table: Table) -> Compared:
    """A table and its quarantine in two lakes: exact but for the last digits of floats."""
    mine, theirs = (query.run(lake, f"FROM {table.name}") for lake in (one, other))
    # What names the build is each engine's own.
    kept = f"SELECT * EXCLUDE (_build) FROM {table.name}__quarantine"
    held, also_held = (query.run(lake, kept) for lake in (one, other))
    differing = (*differences(mine, theirs), *differences(held, also_held))
    return Compared(table.name, mine.num_rows, held.num_rows, differing)


def _clear(place: Storage) -> None:
    """Remove the lakes of an earlier time: they are this command's own."""
    files = place.fsspec()
    with place.reaching(f"remove {place.uri}"):
        if files.exists(place.root):
            files.rm(place.root, recursive=True)


def _lake(settings: Settings, place: Storage, engine: str) -> Lake:
    own = {"uri": f"{place.uri}/{engine}", "landing": f"{place.uri}/landing"}
    return open_lake(settings.model_copy(update=own))


def _start(settings: Settings, place: Storage) -> float:
    from lakehouse.engines.spark import running

    began = time.perf_counter()
    spark = running.look(settings, place, lambda text: screen.say(f"  {text}"))
    seconds = time.perf_counter() - began
    page = f"; its page while it runs: {spark.page}" if spark.page else ""
    screen.say(f"  Spark started in {seconds:.1f} s{page}; its log: {spark.log}")
    return seconds


def _built(lake: Lake, engine: str) -> BuildResult:
    with screen.progress() as show:
        session = Session(lake, lake.domain(DOMAIN), engine=engine, on_event=show)
        built = builds.build(session)
    if built.blocked:
        show_built(built)
    return built


def _bytes(lake: Lake) -> int:
    tables = lake.domain(DOMAIN).order
    return sum(snapshots.read(lake.place(table), table.name).bytes for table in tables)


def _show(found: Sequence[Compared], dask: BuildResult, spark: BuildResult) -> None:
    seconds = [{t.table: t.seconds for t in built.tables} for built in (dask, spark)]
    rows = [
        [
            one.table,
            one.rows,
            one.kept_out,
            f"{len(one.differing)} rows differ" if one.differing else "same rows",
            *(f"{by_table.get(one.table, 0.0):.1f} s" for by_table in seconds),
        ]
        for one in found
    ]
    screen.table(["table", "rows", "quarantined", "on both", "Dask", "Spark"], rows)


def _say_why(dask: BuildResult, spark: BuildResult, start: float, data: int) -> None:
    ratio = spark.seconds / dask.seconds
    faster, times = ("Dask", ratio) if ratio >= 1 else ("Spark", 1 / ratio)
    screen.say(
        f"all, side by side: Dask {dask.seconds:.1f} s, Spark {spark.seconds:.1f} s and "
        f"{start:.1f} s to start. {faster} was {times:.1f} times faster."
    )
    if faster == "Dask":
        screen.say(
            f"These are {screen.size(data)}: Spark plans, spreads and shuffles each query as if it "
            "were large, and that is most of its time. It pays where a partition does not fit into "
            "one machine's memory; 'engine: auto' gives it just those (LAKE_ENGINE_THRESHOLD)."
        )
