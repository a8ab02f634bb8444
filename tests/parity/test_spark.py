"""What can be wrong with a row, a name or a path, on Spark as in this process."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from shop import CUSTOMERS, FEBRUARY, JANUARY, TABLES, Shop, contract

from lakehouse import query, settings
from lakehouse import snapshot as snapshots
from lakehouse.build import BuildResult, table, tasks
from lakehouse.engines.spark import inputs, jars
from lakehouse.engines.spark.engine import SparkEngine
from lakehouse.errors import EngineError
from lakehouse.storage import connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("spark"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Shop, BuildResult]]:
    """Small tables with everything that can be wrong with a row, by engine."""
    made = {}
    for engine in ("local", "spark"):
        shop = Shop(tmp_path_factory.mktemp(engine), python=True)
        land(shop)
        made[engine] = shop, shop.build(engine=engine)
    return made


def test_a_shop_has_the_same_rows(shops: dict[str, tuple[Shop, BuildResult]]) -> None:
    (one, first), (other, second) = shops.values()
    assert one.everything() == other.everything()
    assert other.todo() == {}
    for name in (*TABLES, "gold.fading"):
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


def test_a_backfill_is_published_in_portions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Dask, so that one that is killed goes on from there."""
    monkeypatch.setattr(tasks, "_SPREAD", 0)
    monkeypatch.setattr(table, "_PORTION_S", 0.0)
    shop = Shop(tmp_path)
    land(shop)
    shop.build("silver.orders")
    shop.build("gold.daily", engine="spark")
    told = [(b["key"], b["version"]) for b in shop.builds() if b["table"] == "shop.gold.daily"]
    assert [version for _, version in told] == list(range(1, len(told) + 1))
    assert len(told) > 2
    monkeypatch.undo()
    once = Shop(tmp_path / "once")
    land(once)
    once.build("silver.orders")
    once.build("gold.daily", engine="spark")
    assert once.snapshot("gold.daily").version == 1
    rows = "FROM gold.daily ORDER BY ALL"
    assert shop.rows(rows) == once.rows(rows)


def land(shop: Shop) -> None:
    # A month of which nothing is left leaves a file without rows.
    shop.edit("silver/orders.yaml", "rows:", "max_quarantined: 1\n    rows:")
    shop.orders(
        "2026-01", *JANUARY, ("a1", "ann", 11, "2026-01-05"), ("a8", None, 2000, "2026-01-08")
    )
    shop.orders(
        "2026-02", *FEBRUARY, ("b9", "ann", 1, "no date"), ("é 'x'", "ann", 1, "2026-02-28")
    )
    # Enough for a rule of gold.fading.
    shop.orders("large", ("a9", "bob", 950, "2026-01-09"))
    shop.orders("2026-05", ("e1", "ann", 5000, "2026-05-05"))
    shop.land(
        "orders/ragged.csv", b"order_id,customer,amount,ordered\nr1,ann,3,2026-02-03\nr2,ann\n"
    )
    shop.customers("all", *CUSTOMERS)
    shop.sales("all", ("s1", "A B"), ("s2", "50%"), ("s3", "é/ü"), ("s4", "x=y"))


def test_another_delta_than_the_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(tmp_path)
    land(shop)
    locked = [
        replace(jar, version="4.9.1") if jar.name.startswith("delta-spark") else jar
        for jar in jars.locked()
    ]
    monkeypatch.setattr(jars, "locked", lambda: locked)
    with pytest.raises(EngineError) as raised:
        shop.build("bronze.customers", engine="spark")
    assert raised.value.asked == "use Delta 4.9.1 in Spark"
    assert "has Delta 4." in raised.value.found
    assert "--jars" in raised.value.remedy


def test_a_table_that_took_the_place_of_another_is_read_as_itself(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Of the same version: what Delta remembers of a path is of the one before."""
    place = connect(settings.load(uri=tmp_path.as_uri()), tmp_path.as_uri()).at("t")
    for name in ("a", "b"):
        shutil.rmtree(tmp_path / "t", ignore_errors=True)
        rows = pa.table({name: [1, 2], "part": [f"{name} 50%", None]})
        write_deltalake(place.delta_uri(), rows, partition_by=["part"])
        files = [
            (add["path"], add["size_bytes"], {"part": add["partition.part"]})
            for add in snapshots.added(place)
        ]
        found = inputs.scan(spark, place, 0, files).toArrow()
        assert sorted(found.to_pylist(), key=str) == sorted(rows.to_pylist(), key=str)


def test_a_file_of_no_bytes_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    place = connect(settings.load(uri=tmp_path.as_uri()), tmp_path.as_uri()).at("t")
    write_deltalake(place.delta_uri(), pa.table({"a": [1]}))
    with pytest.raises(EngineError, match=r"part-1\.parquet on Spark"):
        inputs.scan(spark, place, 0, [("part-1.parquet", 0, {})])


def test_a_session_reaches_the_store_of_its_lake(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also where the process's session was begun for another one, or by somebody else."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    uri = "s3://elsewhere/lake"
    other = settings.load(uri=uri, s3_endpoint="http://127.0.0.1:9", state=tmp_path)
    opened = SparkEngine(other, connect(other, uri)).session
    assert opened.conf.get("fs.s3a.endpoint") == "http://127.0.0.1:9"
    assert opened.conf.get("spark.sql.session.timeZone") == "UTC"
    assert spark.conf.get("spark.sql.ansi.enabled") == "true"


def test_columns_named_as_directories_are_refused(tmp_path: Path) -> None:
    shop = Shop(tmp_path, ["bronze.customers", "silver.customers"])
    shop.customers("all", *CUSTOMERS)
    shop.edit("silver/customers.yaml", "name: country", "name: build")
    shop.edit("silver/customers.sql", "customer, country,", "customer, country AS build,")
    with pytest.raises(EngineError, match="a column is named build") as raised:
        shop.build(engine="spark")
    assert "--engine dask" in raised.value.remedy


def test_sql_that_fails_names_its_file(tmp_path: Path) -> None:
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


def test_a_path_with_a_space_a_percent_sign_and_a_pattern(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "my [100%] {lake}*", ["bronze.customers", "silver.customers"])
    shop.customers("all", *CUSTOMERS, (None, "NO"))
    shop.build(engine="spark")
    assert shop.snapshot("silver.customers").rows == len(CUSTOMERS)
    assert len(shop.rows("FROM silver.customers__quarantine")) == 1
    assert shop.todo() == {}


def test_an_error_of_a_function_comes_from_its_executor_with_its_line(tmp_path: Path) -> None:
    tables = ["bronze.orders", "bronze.customers", "silver.orders", "silver.customers"]
    shop = Shop(tmp_path, tables, python=True)
    shop.open_for_business()
    shop.build()
    shop.edit("lib/halving.py", "0.5 **", "0.5 // 0 **")
    with pytest.raises(EngineError, match="ZeroDivisionError") as raised:
        shop.build(engine="spark")
    assert raised.value.file == f"{shop.domain}/lib/halving.py:2"
    shop.edit("lib/halving.py", "0.5 // 0 **", "0.25 **")
    (done,) = shop.build(engine="spark").changed
    assert (done.table, done.engine, done.partitions) == ("shop.gold.fading", "spark", 2)
    content = {str(file.build) for file in shop.snapshot("gold.fading").files}
    shop.build("gold.fading", force=True)
    # The rows are made by the same code: Spark knows their content too.
    assert {str(file.build) for file in shop.snapshot("gold.fading").files} == content


def test_an_infinite_key_is_published_without_bounds(tmp_path: Path) -> None:
    shop = Shop(tmp_path, ["bronze.customers"])
    columns = {"size": "DOUBLE, primaryKey: true"}
    shop.write("silver/sizes.yaml", contract("silver", "sizes", columns, ""))
    shop.write(
        "silver/sizes.sql",
        "SELECT CASE WHEN country = 'inf' THEN 1e308 * 10 ELSE 1.5e0 END AS size\n"
        "FROM bronze.customers\n",
    )
    shop.customers("all", ("ann", "inf"), ("bob", "x"))
    shop.build(engine="spark")
    assert sorted(shop.rows("FROM silver.sizes")) == [(1.5,), (math.inf,)]
    place = shop.lake().place(shop.lake().domain("shop").table("silver.sizes"))
    (add,) = snapshots.added(place)
    assert add.get("max.size") is None
    assert shop.todo() == {}
