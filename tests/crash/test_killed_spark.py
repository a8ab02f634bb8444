"""Spark's driver and executors killed: the next build ends in the rows of one that never died."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from figures import FIGURES, ROUNDS
from killing import open_shop, state
from shop import Shop
from spark_builder import SparkBuilder, until

pytestmark = [pytest.mark.crash, pytest.mark.spark, pytest.mark.timeout(900)]

LONG = pytest.mark.skipif(ROUNDS < 2, reason="in the long set (make test-crash)")
#: Where a driver dies, at which passing, and what builds on.
DEATHS = [
    ("staged on Spark", 2, "spark"),
    ("before the quarantine commit", 3, "local"),
    ("after the quarantine commit", 3, "spark"),
    ("before the table commit", 3, "dask"),
    ("after the table commit", 3, "spark"),
    ("during the ledger commit", 1, "dask"),
]
#: What the ledger tells of rows.
COUNTS = ("rows_in", "published", "quarantined", "superseded")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = open_shop(tmp_path_factory.mktemp("undisturbed"))
    shop.build()
    return shop


@pytest.fixture(scope="module")
def faultless(undisturbed: Shop) -> tuple[object, ...]:
    return state(undisturbed)


def staged(shop: Shop, *tables: str) -> set[Path]:
    """Files of rows below the staging folders of tables, quarantines' too."""
    root = shop.root / "lake" / "shop"
    folders = [root / t.replace(".", "/") for t in tables] if tables else [root]
    return {
        file
        for folder in folders
        for place in folder.rglob("staging")
        for file in place.rglob("*.parquet")
        if "_delta_log" not in file.parts
    }


def live(shop: Shop) -> set[Path]:
    """Files of rows that the tables' logs name."""
    lake = shop.lake()
    tables = lake.domain("shop").tables.values()
    return {
        Path(lake.place(table).root) / file.path
        for table in tables
        for file in shop.snapshot(table.short).files
    }


def running(mark: Path, name: bytes) -> list[int]:
    """Processes of a marked family whose command line holds a name.

    A child that has not yet become another program still shows its parent's: it is left out.
    """
    import psutil

    from lakehouse.stack import process

    parents = {}
    for pid in process.marked(mark):
        with suppress(OSError, psutil.Error):
            if name in Path(f"/proc/{pid}/cmdline").read_bytes():
                parents[pid] = psutil.Process(pid).ppid()
    return [pid for pid, parent in parents.items() if parent not in parents]


def goes_on(shop: Shop, engine: str) -> None:
    """A build that nobody kills."""
    if engine == "spark":
        with SparkBuilder(shop.root) as spark:
            spark.build()
    else:
        shop.build(engine=engine)


def test_a_driver_killed_as_its_executors_write(
    tmp_path: Path, faultless: tuple[object, ...]
) -> None:
    shop = open_shop(tmp_path)
    with SparkBuilder(tmp_path) as doomed:
        doomed.ask()
        until(lambda: staged(shop, "silver.orders"))
        os.killpg(doomed.process.pid, signal.SIGKILL)
        assert doomed.died() == -signal.SIGKILL
    FIGURES["Spark drivers killed: staging"] += 1
    orphans = staged(shop, "silver.orders")
    assert orphans and not orphans & live(shop)
    shop.build(engine="dask")
    assert state(shop) == faultless
    # Whoever was about to commit them would find them: only maintenance removes them.
    assert orphans <= staged(shop) - live(shop)


@LONG
def test_the_jvm_of_a_killed_driver_ends(tmp_path: Path, faultless: tuple[object, ...]) -> None:
    shop = open_shop(tmp_path)
    with SparkBuilder(tmp_path) as doomed:
        doomed.ask()
        until(lambda: staged(shop, "silver.orders"))
        doomed.process.kill()
        assert doomed.died() == -signal.SIGKILL
        # Leaving the block waits for every process that it started.
    FIGURES["Spark drivers killed: without their JVM"] += 1
    shop.build()
    assert state(shop) == faultless


@LONG
def test_a_killed_jvm_is_told_as_such(tmp_path: Path, faultless: tuple[object, ...]) -> None:
    """As the kernel does where memory is short."""
    shop = open_shop(tmp_path)
    with SparkBuilder(tmp_path) as doomed:
        doomed.ask(tables=["silver.orders"])
        until(lambda: staged(shop, "silver.orders"))
        (jvm,) = running(doomed.mark, b"SparkSubmit")
        os.kill(jvm, signal.SIGKILL)
        assert doomed.died() == 1
    FIGURES["JVMs killed under their driver"] += 1
    said = doomed.printed.read_text()
    assert "lakehouse.errors.EngineError" in said
    assert "LAKE_SPARK_MEMORY" in said
    shop.build()
    assert state(shop) == faultless


def test_a_process_whose_jvm_was_killed_builds_again(
    tmp_path: Path, faultless: tuple[object, ...]
) -> None:
    shop = open_shop(tmp_path)
    with SparkBuilder(tmp_path) as survivor:
        survivor.ask(tables=["silver.orders"], goes_on=True)
        until(lambda: staged(shop, "silver.orders"))
        (jvm,) = running(survivor.mark, b"SparkSubmit")
        os.kill(jvm, signal.SIGKILL)
        assert "Spark's JVM ended with code -9" in survivor.answer()["found"]
        assert survivor.build()["changed"]["shop.silver.orders"][0] == "spark"
        (other,) = running(survivor.mark, b"SparkSubmit")
        assert other != jvm
        # Between two builds, too.
        os.kill(other, signal.SIGKILL)
        assert survivor.build("gold.daily", force=True)["changed"]["shop.gold.daily"][0] == "spark"
    FIGURES["JVMs killed under their driver"] += 2
    assert state(shop) == faultless


@LONG
@pytest.mark.parametrize(("point", "count", "engine"), DEATHS)
def test_a_driver_killed_at_a_point(
    tmp_path: Path, faultless: tuple[object, ...], point: str, count: int, engine: str
) -> None:
    shop = open_shop(tmp_path)
    with SparkBuilder(tmp_path, death=(point, count)) as doomed:
        doomed.ask()
        assert doomed.died() == -signal.SIGKILL, doomed.printed.read_text()[-3000:]
    FIGURES[f"Spark drivers killed: {point}"] += 1
    before = live(shop)
    goes_on(shop, engine)
    assert state(shop) == faultless
    assert before <= live(shop)


@LONG
def test_a_driver_killed_in_a_backfill_keeps_what_it_published(
    tmp_path: Path, faultless: tuple[object, ...]
) -> None:
    shop = open_shop(tmp_path)
    shop.build("silver.orders")
    with SparkBuilder(tmp_path, {"portions": True}, death=("staged on Spark", 2)) as doomed:
        doomed.ask(tables=["gold.daily"])
        assert doomed.died() == -signal.SIGKILL, doomed.printed.read_text()[-3000:]
    FIGURES["Spark drivers killed: in a backfill"] += 1
    first = {file.partition for file in shop.snapshot("gold.daily").files}
    assert len(first) == 1
    assert first.isdisjoint(key for table, key in shop.todo("gold.daily") if table == "gold.daily")
    goes_on(shop, "spark")
    assert state(shop) == faultless


class Cluster:
    """A standalone master and worker, in a state folder of their own."""

    def __init__(self, state: Path) -> None:
        from lakehouse import stack

        self.state = state
        stack.up(state, ["spark-worker"])
        found = stack.environment(state)
        self.options = {
            "spark_master": found["LAKE_SPARK_MASTER"],
            "spark_secret": found["LAKE_SPARK_SECRET"],
        }

    def executors(self) -> list[int]:
        """The executors' process ids."""
        return running(self.state, b"ExecutorBackend")

    def close(self) -> None:
        from lakehouse import stack

        stack.down(self.state)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path / "cluster")
    try:
        yield made
    finally:
        made.close()


def counted(shop: Shop) -> list[dict[str, Any]]:
    """What the ledger tells of each target that was published."""
    return sorted(
        ({name: row[name] for name in ("table", "key", *COUNTS)} for row in shop.builds()), key=repr
    )


def test_a_killed_executor_s_work_is_done_by_another(
    tmp_path: Path, undisturbed: Shop, faultless: tuple[object, ...], cluster: Cluster
) -> None:
    shop = open_shop(tmp_path / "shop")
    options = {**cluster.options, "spark_events": str(tmp_path / "events")}
    with SparkBuilder(shop.root, options) as spark:
        spark.ask()
        for table in ("silver.orders", "gold.daily") if ROUNDS > 1 else ("silver.orders",):
            until(lambda table=table: staged(shop, table))
            (executor,) = cluster.executors()
            os.kill(executor, signal.SIGKILL)
            FIGURES["Spark executors killed"] += 1
        told = spark.answer()["changed"]
    assert {engine for engine, _ in told.values()} == {"spark"}
    assert state(shop) == faultless
    assert counted(shop) == counted(undisturbed)
    (log,) = (tmp_path / "events").rglob("events_*")
    events = [json.loads(line) for line in log.read_text().splitlines()]
    names = [event["Event"] for event in events]
    assert names.count("SparkListenerExecutorAdded") > 1
    lost = [e for e in events if e["Event"] == "SparkListenerTaskEnd" and _was_lost(e)]
    assert lost


def _was_lost(event: dict[str, Any]) -> bool:
    return bool(event["Task End Reason"]["Reason"] == "ExecutorLostFailure")
