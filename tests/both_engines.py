"""Two engines with the same tables, and their answers side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from lakehouse.sql import MACROS, Input, Query, select
from lakehouse.sql.resolve import resolve

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["Both", "differences", "output", "packed", "plain", "same"]

# A task costs more than its few rows.
_SMALL = {"spark.sql.shuffle.partitions": "2", "spark.sql.files.openCostInBytes": "0"}
_CONTRACT_TYPES = {
    "INT": "INTEGER",
    "TEXT": "VARCHAR",
    "INT128": "BIGINT",
    "TIMESTAMP": "TIMESTAMPTZ",
    "TIMESTAMPNTZ": "TIMESTAMPTZ",
}


def output(query: Query, inputs: Mapping[str, Input]) -> dict[str, str]:
    """The columns of a query with the contract types that hold them."""
    tree = resolve(query, inputs)
    kinds = {c.alias_or_name: c.type.sql("duckdb") for c in tree.selects if c.type}
    return {name: _CONTRACT_TYPES.get(kind, kind) for name, kind in kinds.items()}


@dataclass
class Both:
    """DuckDB and Spark, reading the same Parquet files as tables of schemas.

    Attributes:
        inputs: The tables, as the lint wants them.
    """

    duck: duckdb.DuckDBPyConnection
    spark: SparkSession
    inputs: dict[str, Input]

    @classmethod
    def over(cls, spark: SparkSession, tables: Mapping[str, tuple[Path, Input]]) -> Both:
        """Both engines over ``layer.table`` → (folder of Parquet files, what is known of it)."""
        for setting, value in _SMALL.items():
            spark.conf.set(setting, value)
        duck = duckdb.connect(config={"threads": 2})
        for statement in MACROS:
            duck.execute(statement)
        for name, (folder, _) in tables.items():
            schema = name.partition(".")[0]
            for statement in (
                f"CREATE SCHEMA IF NOT EXISTS {schema}",
                f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM {{}}",
            ):
                duck.execute(statement.format(f"read_parquet('{folder}/*.parquet')"))
                spark.sql(statement.format(f"parquet.`{folder}`"))
        return cls(duck, spark, {name: known for name, (_, known) in tables.items()})

    def close(self) -> None:
        """Forget the tables."""
        for schema in {name.partition(".")[0] for name in self.inputs}:
            self.spark.sql(f"DROP SCHEMA {schema} CASCADE")
        for setting in _SMALL:
            self.spark.conf.unset(setting)
        self.duck.close()

    def run(self, on_duck: str, on_spark: str) -> tuple[pa.Table, pa.Table]:
        """The rows of two statements."""
        return self.duck.sql(on_duck).to_arrow_table(), self.spark.sql(on_spark).toArrow()

    def text(self, query: Query) -> tuple[str, str]:
        """A query as each engine runs it."""
        columns = output(query, self.inputs)
        return select(query, columns), select(query, columns, "spark", self.inputs)

    def answers(self, query: Query) -> tuple[pa.Table, pa.Table]:
        """What each engine makes of a query."""
        return self.run(*self.text(query))


def packed(both: Both, queries: list[Query], key: str = "ds") -> tuple[pa.Table, pa.Table]:
    """The rows of many queries by one statement an engine: ``probe``, the key, then the columns.

    Columns of one type share places, so that one frame holds them all.
    """
    outputs = [output(query, both.inputs) for query in queries]
    most: dict[str, int] = {}
    for columns in outputs:
        kinds = [kind for name, kind in columns.items() if name != key]
        for kind in kinds:
            most[kind] = max(most.get(kind, 0), kinds.count(kind))
    places = [f"{kind} {n}" for kind, count in most.items() for n in range(count)]
    branches: tuple[list[str], list[str]] = ([], [])
    for number, (query, columns) in enumerate(zip(queries, outputs, strict=True)):
        held = _placed(columns, key)
        for branch, text, quote in zip(branches, both.text(query), ('"', "`"), strict=True):
            cells = ", ".join(
                f"{quote}{held[place]}{quote} AS c{at}"
                if place in held
                else f"CAST(NULL AS {_spark_type(place, quote)}) AS c{at}"
                for at, place in enumerate(places)
            )
            branch.append(f"SELECT {number} AS probe, {key}, {cells} FROM ({text}) AS q{number}")
    one, other = ("\nUNION ALL\n".join(branch) for branch in branches)
    return both.run(one, other)


def _placed(columns: Mapping[str, str], key: str) -> dict[str, str]:
    """Place → column."""
    taken: dict[str, int] = {}
    held = {}
    for name, kind in columns.items():
        if name != key:
            held[f"{kind} {taken.get(kind, 0)}"] = name
            taken[kind] = taken.get(kind, 0) + 1
    return held


def _spark_type(place: str, quote: str) -> str:
    kind = place.partition(" ")[0]
    words = {"VARCHAR": "STRING", "TIMESTAMPTZ": "TIMESTAMP"}
    return words.get(kind, kind) if quote == "`" else kind


def plain(column: pa.ChunkedArray) -> list[Any]:
    """A column's values; times as numbers, because Python's calendar is shorter."""
    if pa.types.is_date(column.type):
        return column.cast(pa.int32()).to_pylist()
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.int64()).to_pylist()
    return column.to_pylist()


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; doubles to nine digits."""
    if isinstance(one, float) and isinstance(other, float):
        alike = math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
        return alike or (math.isnan(one) and math.isnan(other))
    return type(one) is type(other) and one == other


def differences(one: pa.Table, other: pa.Table) -> list[tuple[Any, Any]]:
    """The first rows, in any order, in which two tables differ."""
    rows, others = (_sorted(table) for table in (one, other))
    if len(rows) != len(others):
        return [(f"{len(rows)} rows", f"{len(others)} rows")]
    pairs = zip(rows, others, strict=True)
    return [(a, b) for a, b in pairs if not all(map(same, a, b))][:5]


def _sorted(table: pa.Table) -> list[tuple[Any, ...]]:
    return sorted(zip(*map(plain, table.columns), strict=True), key=_order)


def _order(row: tuple[Any, ...]) -> tuple[Any, ...]:
    # Doubles last and rounded, so that rows that are equal by tolerance stand side by side.
    exact = [(v is None, "" if v is None else v) for v in row if not isinstance(v, float)]
    loose = [f"{v:.6g}" for v in row if isinstance(v, float)]
    return (*(str(type(v)) for v in row), *exact, *loose)
