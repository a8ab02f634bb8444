"""Spark makes of every table the rows, quarantine, counts and verdicts that DuckDB makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flights_lake import JOBS, SampleLake, differences, tables
from shop import CUSTOMERS, FEBRUARY, JANUARY, TABLES, Shop

from lakehouse import query
from lakehouse.build import BuildResult
from lakehouse.snapshot import open_table

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("spark"), pytest.mark.timeout(900)]

MONTHS = ("2013-01", "2013-02")
FLIGHTS = tables(JOBS, "bronze", "silver", "gold")
#: Spark does not know the content of what it writes, and writes as many files as it sees fit.
ITS_OWN = "run, engine, started, seconds, bytes, files, build, wanted, inputs"


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SampleLake]:
    """Engine → a lake that it built from the same landing files."""
    local = SampleLake(tmp_path_factory.mktemp("local"))
    local.land(MONTHS)
    spark = SampleLake(tmp_path_factory.mktemp("spark"), landing=local.settings.landing)
    for engine, lake in (("local", local), ("spark", spark)):
        built = [table for done in lake.build_all(engine=engine) for table in done.tables]
        assert {table.engine for table in built} == {engine}
    return {"local": local, "spark": spark}


def ledger(lake: SampleLake, ops: str, table: str, without: str) -> list[dict[str, Any]]:
    found = lake.arrow(f"""SELECT * EXCLUDE ({without}) FROM ops.{ops} WHERE "table" = '{table}'""")
    return sorted(found.to_pylist(), key=repr)


@pytest.mark.parametrize("name", FLIGHTS)
def test_the_same_rows(name: str, engines: dict[str, SampleLake]) -> None:
    local, spark = engines["local"], engines["spark"]
    one, other = (lake.arrow(f"FROM {name}") for lake in (local, spark))
    assert one.num_rows
    assert one.schema == other.schema
    assert differences(one, other) == []
    partitions = [
        {p: sum(f.rows for f in files) for p, files in lake.snapshot(name).partitions.items()}
        for lake in (local, spark)
    ]
    assert partitions[0] == partitions[1]
    schemas = [open_table(e.lake.place(e.table(name))).schema() for e in (local, spark)]
    assert schemas[0] == schemas[1]


@pytest.mark.parametrize("name", FLIGHTS)
def test_the_same_is_kept_out(name: str, engines: dict[str, SampleLake]) -> None:
    one, other = (
        lake.arrow(f"SELECT * EXCLUDE (_build) FROM {name}__quarantine")
        for lake in engines.values()
    )
    assert differences(one, other) == []


@pytest.mark.parametrize("name", FLIGHTS)
def test_the_same_is_counted_and_judged(name: str, engines: dict[str, SampleLake]) -> None:
    for ops, without in (("builds", ITS_OWN), ("audits", "run, wanted")):
        one, other = (ledger(lake, ops, name, without) for lake in engines.values())
        assert one or ops == "audits"
        assert approximately(one) == approximately(other)


def approximately(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sums of floating point numbers depend on the order in which they are taken."""
    return [{k: round(v, 9) if isinstance(v, float) else v for k, v in r.items()} for r in rows]


def test_nothing_is_left_to_do(engines: dict[str, SampleLake]) -> None:
    assert engines["spark"].todo() == {}


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Shop, BuildResult]]:
    """Small tables with everything that can be wrong with a row, by engine."""
    made = {}
    for engine in ("local", "spark"):
        shop = Shop(tmp_path_factory.mktemp(engine))
        land(shop)
        made[engine] = shop, shop.build(engine=engine)
    return made


def test_a_shop_has_the_same_rows(shops: dict[str, tuple[Shop, BuildResult]]) -> None:
    (one, first), (other, second) = shops.values()
    assert one.everything() == other.everything()
    assert other.todo() == {}
    for name in TABLES:
        kept_out = f"SELECT * EXCLUDE (_build) FROM {name}__quarantine"
        assert sorted(one.rows(kept_out), key=repr) == sorted(other.rows(kept_out), key=repr)
    told = [
        [
            (t.table, t.rows_in, t.rows_out, t.quarantined, t.superseded, t.reasons, t.audit)
            for t in done.tables
        ]
        for done in (first, second)
    ]
    assert told[0] == told[1]


def test_one_engine_goes_on_where_the_other_stopped(
    shops: dict[str, tuple[Shop, BuildResult]],
) -> None:
    """Each builds a new month upon the other's versions; both read them, new and old."""
    (one, _), (other, _) = shops.values()
    before = sorted(one.rows("FROM silver.orders"), key=repr)
    versions = [shop.snapshot("silver.orders").version for shop in (one, other)]
    for shop, engine in ((one, "spark"), (other, "local")):
        shop.orders("2026-03", ("c1", "bob", 3, "2026-03-01"), ("x", "bob", 9999, "2026-03-02"))
        done = shop.build(engine=engine)
        assert {t.engine for t in done.changed} == {engine}
    assert one.everything() == other.everything()
    assert one.todo() == other.todo() == {}
    for shop, version in zip((one, other), versions, strict=True):
        at = query.run(
            shop.lake(), "FROM silver.orders", query.Cut({"shop.silver.orders": version})
        )
        assert sorted((tuple(row.values()) for row in at.to_pylist()), key=repr) == before


def land(shop: Shop) -> None:
    # A month of which nothing is left leaves a file without rows.
    shop.edit("silver/orders.yaml", "rows:", "max_quarantined: 1\n    rows:")
    shop.orders(
        "2026-01", *JANUARY, ("a1", "ann", 11, "2026-01-05"), ("a8", None, 2000, "2026-01-08")
    )
    shop.orders(
        "2026-02", *FEBRUARY, ("b9", "ann", 1, "no date"), ("é 'x'", "ann", 1, "2026-02-28")
    )
    shop.orders("2026-05", ("e1", "ann", 5000, "2026-05-05"))
    shop.land(
        "orders/ragged.csv", b"order_id,customer,amount,ordered\nr1,ann,3,2026-02-03\nr2,ann\n"
    )
    shop.customers("all", *CUSTOMERS)
    shop.sales("all", ("s1", "A B"), ("s2", "50%"), ("s3", "é/ü"), ("s4", "x=y"))


def test_columns_named_as_directories_are_refused(tmp_path: Path) -> None:
    from lakehouse.errors import EngineError

    shop = Shop(tmp_path, ["bronze.customers", "silver.customers"])
    shop.customers("all", *CUSTOMERS)
    shop.edit("silver/customers.yaml", "name: country", "name: build")
    shop.edit("silver/customers.sql", "customer, country,", "customer, country AS build,")
    with pytest.raises(EngineError, match="a column is named build") as raised:
        shop.build(engine="spark")
    assert "--engine dask" in raised.value.remedy


def test_sql_that_fails_names_its_file(tmp_path: Path) -> None:
    from lakehouse.errors import EngineError

    shop = Shop(tmp_path, ["bronze.customers", "silver.customers"])
    shop.customers("all", ("ann", "x"))
    shop.edit(
        "silver/customers.sql",
        "customer, country,",
        "customer, CAST(9223372036854775807 + length(country) AS VARCHAR) AS country,",
    )
    with pytest.raises(EngineError, match=r"silver\.customers") as raised:
        shop.build(engine="spark")
    assert "customers.sql" in raised.value.remedy
    assert shop.snapshot("silver.customers").exists is False


def test_a_path_with_a_space_and_a_percent_sign(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "my 100% lake", ["bronze.customers", "silver.customers"])
    shop.customers("all", *CUSTOMERS, (None, "NO"))
    shop.build(engine="spark")
    assert shop.snapshot("silver.customers").rows == len(CUSTOMERS)
    assert len(shop.rows("FROM silver.customers__quarantine")) == 1
    assert shop.todo() == {}
