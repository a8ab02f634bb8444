"""Builders that run at the same time: no acknowledged commit is lost, no row is there twice."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shop import Shop

from lakehouse.build import BuildResult
from lakehouse.errors import CommitConflict

ROOT = Path(__file__).parents[2]
MONTHS = range(1, 7)
CODE = """
import sys
from pathlib import Path
sys.path[:0] = [{root!r}, {tests!r}]
from lakehouse import build
from lakehouse.settings import Settings
settings = Settings(_env_file=None, **{settings!r})
lake = build.open_lake(settings)
session = build.Session(lake, lake.domain("shop"), engine="local")
print("ready", flush=True)
sys.stdin.readline()
build.build(session, sys.argv[1:])
"""


def land(shop: Shop) -> None:
    for month in MONTHS:
        shop.orders(
            f"2026-{month:02}",
            *[(f"o{month}-{i}", "ann", i, f"2026-{month:02}-0{i}") for i in range(1, 5)],
        )


def together(shop: Shop, builders: int, *tables: str, **options: object) -> list[BuildResult]:
    gate = threading.Barrier(builders)
    shop.lake()

    def build(_: int) -> BuildResult:
        gate.wait()
        return shop.build(*tables, **options)  # type: ignore[arg-type]

    with ThreadPoolExecutor(builders) as pool:
        return list(pool.map(build, range(builders)))


def everything_once(shop: Shop) -> None:
    orders = [f"o{month}-{i}" for month in MONTHS for i in range(1, 5)]
    assert shop.rows("SELECT order_id FROM silver.orders ORDER BY 1") == [(o,) for o in orders]
    assert shop.rows("SELECT count(*) FROM bronze.orders") == [(24,)]
    assert shop.rows("SELECT sum(orders) FROM gold.daily") == [(24,)]
    assert shop.todo("gold.daily") == {}


def test_threads_that_build_the_same(shop: Shop) -> None:
    land(shop)
    done = together(shop, 4, "gold.daily")
    everything_once(shop)
    published = [t for one in done for t in one.tables if t.table == "shop.silver.orders"]
    # Each month was published by exactly one of them.
    assert sum(t.partitions for t in published) == len(MONTHS)


def test_threads_that_are_forced_to_build_the_same(shop: Shop) -> None:
    land(shop)
    shop.build("gold.daily")
    together(shop, 3, "silver.orders", force=True)
    everything_once(shop)
    assert len(shop.snapshot("silver.orders").files) == len(MONTHS)


def test_threads_that_add_the_same_column(shop: Shop) -> None:
    land(shop)
    shop.build("gold.daily")
    note = "  - {name: note, logicalType: string, physicalType: VARCHAR}\n  - {name: order_month"
    shop.edit("silver/orders.yaml", "  - {name: order_month", note)
    shop.edit(
        "silver/orders.sql", "_row, order_month\nFROM", "_row, 'n' AS note, order_month\nFROM"
    )
    together(shop, 3, "gold.daily")
    everything_once(shop)
    assert shop.rows("SELECT DISTINCT note FROM silver.orders") == [("n",)]


def test_commits_of_different_partitions_all_live(shop: Shop) -> None:
    land(shop)
    shop.build("gold.daily")
    gate = threading.Barrier(len(MONTHS))

    def build(month: int) -> str:
        gate.wait()
        partition = f"2026-{month:02}-01"
        try:
            return shop.build("silver.orders", force=True, partitions=[partition]).run
        except CommitConflict:
            return ""

    with ThreadPoolExecutor(len(MONTHS)) as pool:
        runs = list(pool.map(build, MONTHS))
    everything_once(shop)
    rows = [b for b in shop.builds() if b["run"] in runs]
    live = {str(f.build) for f in shop.snapshot("silver.orders").files}
    assert {b["build"] for b in rows if b["result"] == "published"} <= live
    assert len(rows) == len(MONTHS) and all(runs)
    # Each acknowledged version is a commit of its own.
    assert len({b["version"] for b in rows}) == len(MONTHS)


def test_processes_that_build_the_same(shop: Shop) -> None:
    land(shop)
    settings = {
        name: str(value)
        for name, value in shop.settings.model_dump(exclude_defaults=True).items()
        if name != "worker_memory"
    }
    code = CODE.format(root=str(ROOT), tests=str(ROOT / "tests"), settings=settings)
    command = [sys.executable, "-W", "error", "-c", code, "gold.daily"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    builders = [subprocess.Popen(command, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    try:
        for one in builders:
            assert one.stdout.readline() == "ready\n"
        for one in builders:
            one.stdin.write("\n")
            one.stdin.flush()
        for one in builders:
            one.communicate(timeout=120)
            assert one.returncode == 0
    finally:
        for one in builders:
            one.kill()
            one.communicate()
    everything_once(shop)
