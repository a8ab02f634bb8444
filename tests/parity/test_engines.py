"""Every engine stages the same rows of every table, down to the content ids."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from shop import CUSTOMERS, FEBRUARY, JANUARY, TABLES, Shop

from lakehouse.build import BuildResult
from lakehouse.engines import dask
from lakehouse.engines.dask import DaskEngine
from lakehouse.engines.local import LocalEngine
from lakehouse.errors import EngineError

ROOT = Path(__file__).parents[2]


def land(shop: Shop) -> None:
    shop.orders(
        "2026-01", *JANUARY, ("a1", "ann", 11, "2026-01-05"), ("a8", None, 2000, "2026-01-08")
    )
    # Enough for a rule of gold.fading.
    shop.orders("large", ("a9", "bob", 950, "2026-01-09"))
    shop.orders("2026-02", *FEBRUARY, ("b9", "ann", 1, "no date"))
    shop.land(
        "orders/ragged.csv", b"order_id,customer,amount,ordered\nr1,ann,3,2026-02-03\nr2,ann\n"
    )
    shop.customers("all", *CUSTOMERS)
    shop.sales("all", ("s1", "A B"), ("s2", "50%"), ("s3", "é/ü"), ("s4", "x=y"))


def same(one: Shop, other: Shop, first: BuildResult, second: BuildResult) -> None:
    assert one.everything() == other.everything()
    for name in (*TABLES, "gold.fading"):
        files = [
            {(f.partition, f.batch, str(f.build), f.rows) for f in s.snapshot(name).files}
            for s in (one, other)
        ]
        assert files[0] == files[1], name
        bad = [sorted(s.rows(f"FROM {name}__quarantine"), key=repr) for s in (one, other)]
        assert bad[0] == bad[1], name
    told = [
        [
            (t.table, t.rows_in, t.rows_out, t.quarantined, t.superseded, t.reasons, sorted(t.keys))
            for t in done.tables
        ]
        for done in (first, second)
    ]
    assert told[0] == told[1]


@pytest.fixture
def local(tmp_path: Path) -> tuple[Shop, BuildResult]:
    shop = Shop(tmp_path / "local", python=True)
    land(shop)
    return shop, shop.build()


def test_dask_on_threads(local: tuple[Shop, BuildResult], tmp_path: Path) -> None:
    other = Shop(tmp_path / "dask", python=True, threads=2)
    land(other)
    same(local[0], other, local[1], other.build(engine="dask"))
    assert other.todo() == {}


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler and a worker, each a process of its own, on loopback."""
    folder = tmp_path_factory.mktemp("dask")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-m", "dask"]
    commands = [
        [*command, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
        [*command, "worker", address, "--host", "127.0.0.1", "--nthreads", "2", "--no-dashboard"],
    ]
    log = (folder / "log").open("wb")
    started = [
        subprocess.Popen(c, cwd=folder, env=environment, stdout=log, stderr=log) for c in commands
    ]
    try:
        yield address
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(timeout=60)
        log.close()


def test_dask_on_a_cluster(local: tuple[Shop, BuildResult], tmp_path: Path, scheduler: str) -> None:
    other = Shop(tmp_path / "cluster", python=True, dask_address=scheduler)
    land(other)
    same(local[0], other, local[1], other.build(engine="dask"))


def test_an_error_on_a_worker_says_what_to_do(tmp_path: Path, scheduler: str) -> None:
    shop = Shop(tmp_path / "bad", dask_address=scheduler)
    land(shop)
    shop.edit(
        "silver/orders.sql",
        "FROM bronze.orders",
        "FROM bronze.orders CROSS JOIN (SELECT unnest([1, 2]) AS n) AS u",
    )
    shop.edit(
        "silver/orders.sql",
        "PARTITION BY order_month, order_id",
        "PARTITION BY order_month, order_id, n",
    )
    shop.edit("silver/orders.sql", "    order_id, customer,", "    order_id, customer, n,")
    with pytest.raises(EngineError, match="account for every row") as raised:
        shop.build(engine="dask")
    assert "unique" in raised.value.remedy


def test_a_scheduler_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    monkeypatch.setattr(dask, "_PATIENCE", "1s")
    engine = DaskEngine(f"tcp://127.0.0.1:{port}", 1)
    with pytest.raises(EngineError, match="connect to the Dask scheduler") as raised:
        _ = engine.client
    assert "LAKE_DASK_ADDRESS" in raised.value.remedy
    engine.close()


def test_threads_listen_on_loopback_only() -> None:
    import psutil

    before = set(psutil.Process().net_connections())
    engines = [DaskEngine("", 1), DaskEngine("", 1)]
    try:
        assert all(engine.client for engine in engines)
        opened = set(psutil.Process().net_connections()) - before
        listening = {c.laddr.ip for c in opened if c.status == psutil.CONN_LISTEN}
    finally:
        for engine in engines:
            engine.close()
    assert listening <= {"127.0.0.1"}


def test_engines_close_without_having_started() -> None:
    LocalEngine().close()
    DaskEngine("", 1).close()
