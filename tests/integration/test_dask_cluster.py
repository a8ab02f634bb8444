"""A Dask cluster of processes: what is too big for its workers ends in words, and hurts nobody."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from killing import command
from racing_builder import OpenShop
from shop import Shop, contract

from lakehouse.errors import EngineError

MEMORY = 40 * 1024**2
_ORDERS = 2_500
#: Pairs of orders: too many for the memory of a median, which cannot spill.
_SQL = """\
SELECT a.order_month, median(a.amount * b.amount + a.amount) AS middle, count(*) AS pairs
FROM silver.orders AS a
JOIN silver.orders AS b ON b.order_month = a.order_month
GROUP BY a.order_month
"""


@pytest.fixture
def address() -> Iterator[str]:
    """A scheduler's, with one worker."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> str:
        one = command("cluster.py", *arguments)
        processes.append(one)
        assert one.stdout is not None
        return one.stdout.readline().strip()

    try:
        found = start("scheduler")
        start("worker", found)
        yield found
    finally:
        for one in processes:
            one.kill()
            one.communicate()


def test_a_partition_too_big_for_a_worker_names_spark(tmp_path: Path, address: str) -> None:
    shop = Shop(
        tmp_path, ["bronze.orders", "silver.orders"], dask_address=address, worker_memory=MEMORY
    )
    shop.edit("silver/orders.yaml", "max_value: 1000}}", "max_value: 100000}}")
    columns = {"order_month": "DATE", "middle": "DOUBLE", "pairs": "BIGINT"}
    part = "partition: {column: order_month, grain: month}"
    shop.write("gold/pairs.yaml", contract("gold", "pairs", columns, part))
    shop.write("gold/pairs.sql", _SQL)
    shop.orders("2026-01", *((f"a{i}", "ann", i % 997, "2026-01-05") for i in range(_ORDERS)))
    shop.orders("2026-02", ("b1", "ann", 3, "2026-02-05"))
    with pytest.raises(EngineError, match=r"stage shop\.gold\.pairs 2026-01-01") as raised:
        shop.build(engine="dask")
    assert f"{MEMORY:,} bytes" in raised.value.found
    assert "'--engine spark' (engine: spark in its contract)" in raised.value.remedy
    # What it reads was built, it is not there itself, and the same worker builds what fits it.
    assert shop.todo("silver.orders") == {}
    assert "2026-01-01" not in shop.snapshot("gold.pairs").partitions
    more = OpenShop(tmp_path, dask_address=address, worker_memory=20 * MEMORY)
    more.build(engine="dask")
    assert more.rows("SELECT pairs FROM gold.pairs ORDER BY ALL") == [(1,), (_ORDERS**2,)]
