"""What Spark stages in many files is merged and cleaned, and both engines go on from it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest
from shop import Shop

from lakehouse import ledger, maintenance
from lakehouse import snapshot as snapshots
from lakehouse.engines.spark import staging
from lakehouse.storage import Storage

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]


def test_a_build_of_many_files(shop: Shop, spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    save = staging._save

    def scattered(frame: Any, by: Sequence[str], place: Storage, measured: Sequence[str]) -> None:
        save(frame.repartition(4), by, place, measured)

    monkeypatch.setattr(staging, "_save", scattered)
    shop.drop("gold.daily", "gold.countries", "bronze.customers", "silver.customers")
    shop.drop("bronze.sales", "silver.sales")
    amounts = [n if n % 7 else 5000 for n in range(60)]
    rows = [
        (f"o{n}", "ann", a, f"2026-0{n % 2 + 1}-{n % 28 + 1:02}") for n, a in enumerate(amounts)
    ]
    shop.orders("all", *rows)
    shop.build("bronze.orders")
    shop.build("silver.orders", engine="spark")
    assert len(shop.snapshot("silver.orders").files) > 4
    tables = ("silver.orders", "silver.orders__quarantine")
    before = [sorted(shop.rows(f"FROM {name}"), key=repr) for name in tables]
    lake = shop.lake()
    domain, now = lake.domain("shop"), ledger.now()
    for days in (0, 8):
        then = now + dt.timedelta(days=days)
        maintenance.maintain(lake, domain, maintenance.plan(lake, domain, now=then))
        assert [sorted(shop.rows(f"FROM {name}"), key=repr) for name in tables] == before
        assert shop.plan().targets == ()
    place = lake.place(domain.table("silver.orders"))
    live = snapshots.read(place, "s").files
    assert len(live) == 2
    left = [f for f in place.fsspec().find(place.root) if "/_delta_log/" not in f]
    assert len(left) == len(live)
    assert spark.read.format("delta").load(place.spark_uri()).count() == len(before[0])
    for engine in ("spark", "local"):
        shop.build("silver.orders", force=True, engine=engine)
        assert sorted(shop.rows("FROM silver.orders"), key=repr) == before[0]
