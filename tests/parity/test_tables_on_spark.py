"""Every table's SELECT is one that Spark takes, with the contract's columns and types."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from flights_lake import JOBS
from shop import FILES

from lakehouse import catalog, scaffold, sql
from lakehouse.audit import absent, aggregates, duplicates, violations
from lakehouse.catalog import Domain
from lakehouse.contract import FOREIGN_KEY
from lakehouse.engines.limits import beyond, held, unfit, unheld
from lakehouse.engines.references import looked_up
from lakehouse.types import delta

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


def domain(name: str, root: Path) -> Domain:
    if name == "flights":
        return catalog.load(JOBS / "flights")
    if name == "shop":
        for file, text in FILES.items():
            place = root / "shop" / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        return catalog.load(root / "shop")
    scaffold.scaffold(root, "market")
    return catalog.load(root / "market")


def empty(spark: SparkSession, name: str, kinds: dict[str, str], schema: str = "") -> None:
    columns = ", ".join(f"CAST(NULL AS {_spark(kind)}) AS `{c}`" for c, kind in kinds.items())
    if schema:
        spark.sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        spark.sql(f"CREATE OR REPLACE VIEW {schema}.{name} AS SELECT {columns} WHERE false")
    else:
        spark.sql(f"SELECT {columns} WHERE false").createOrReplaceTempView(name)


def _spark(kind: str) -> str:
    words = {"VARCHAR": "STRING", "TIMESTAMPTZ": "TIMESTAMP", "VARCHAR[]": "ARRAY<STRING>"}
    return words.get(kind, kind)


@pytest.mark.parametrize("name", ["flights", "shop", "market"])
def test_spark_takes_every_table(name: str, spark: SparkSession, tmp_path: Path) -> None:
    read = domain(name, tmp_path)
    layers = set()
    for table in read.tables.values():
        layer, _, short = table.short.partition(".")
        layers.add(layer)
        empty(spark, short, dict(table.contract.types), layer)
    for table in read.tables.values():
        contract = table.contract
        if table.query is not None:
            inputs = catalog.sql_inputs(read, table)
            made = spark.sql(sql.select(table.query, contract.types, "spark", inputs))
            kinds = {f.name: f.dataType.typeName() for f in made.schema}
            assert kinds == {c: delta(kind) for c, kind in contract.types.items()}, table.short
        _audit(spark, dict(contract.types), table)
    for layer in layers:
        spark.sql(f"DROP SCHEMA {layer} CASCADE")


def _audit(spark: SparkSession, kinds: dict[str, str], table: catalog.Table) -> None:
    contract = table.contract
    looked = {absent(r): "BOOLEAN" for r in contract.rules if r.type == FOREIGN_KEY}
    empty(spark, "_audited", kinds | looked | {"_violations": "VARCHAR[]"})
    if looked:
        empty(spark, "_selected", kinds)
        found = spark.sql(f"FROM {looked_up(contract.rules, '_selected', '`{}`'.format, str)}")
        assert found.columns == [*kinds, *looked]
    single = [bad for _, bad in violations(contract)]
    single += [bad for _, bad in beyond(contract).values()] + [unheld(contract)]
    part = contract.lake.partition
    if part is not None and contract.lake.source is not None:
        single += [unfit(part), part.expression or "1"]
    for texts in (single, list(aggregates(contract).values())):
        if texts:
            columns = ", ".join(sql.expression(text, kinds) for text in texts)
            assert spark.sql(f"SELECT {columns} FROM _audited").schema
    assert held(contract)
    for query in duplicates(contract).values():
        assert len(spark.sql(sql.expression(query, kinds)).schema) == 2
