"""Sealed batches are read by both engines, and either goes on from them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from shop import Shop

from lakehouse import ledger, maintenance

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]


def test_both_engines_read_what_is_sealed(shop: Shop, spark: Any) -> None:
    shop.drop("gold.daily", "gold.countries", "bronze.customers", "silver.customers")
    shop.drop("bronze.sales", "silver.sales")
    for n in range(40):
        shop.orders(
            f"n{n:02}", (f"a{n}", "ann", n, "2026-01-05"), (f"b{n}", "bob", n, "2026-02-05")
        )
    shop.build("bronze.orders", engine="spark")
    shop.build("silver.orders", engine="spark")
    before = shop.everything()
    lake = shop.lake()
    domain, then = lake.domain("shop"), ledger.now() + dt.timedelta(days=31)
    maintenance.maintain(lake, domain, maintenance.plan(lake, domain, now=then))
    assert [len(f.members) for f in shop.snapshot("bronze.orders").files] == [40, 40]
    assert shop.plan().targets == ()
    place = lake.place(domain.table("bronze.orders"))
    read = spark.read.format("delta").load(place.spark_uri())
    assert sorted(map(tuple, read.select("order_id", "_batch", "_row").collect())) == sorted(
        shop.rows("SELECT order_id, _batch, _row FROM bronze.orders")
    )
    for engine in ("spark", "local", "dask"):
        shop.build("silver.orders", force=True, engine=engine)
        assert shop.everything() == before
    shop.ticks = 1000
    shop.orders("n07", ("a7", "cid", 7, "2026-01-05"))
    shop.build(engine="spark")
    assert shop.plan().targets == ()
    assert [len(f.members) for f in shop.snapshot("bronze.orders").files] == [0, 39, 39]
    by_spark = shop.everything()
    shop.build("silver.orders", force=True, engine="local")
    assert shop.everything() == by_spark
    assert shop.rows("SELECT count(*) FROM silver.orders") == [(79,)]
