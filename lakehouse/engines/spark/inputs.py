"""Input tables as Spark views, at the versions and partitions that a plan names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp

from lakehouse.audit import literal
from lakehouse.engines.base import Input

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["mount", "over_views", "quote", "schema", "view"]


def quote(name: str) -> str:
    """An identifier in Spark's quotes."""
    return "`" + name.replace("`", "``") + "`"


def view(name: str) -> str:
    """The view that stands for ``layer.table``: Spark's temporary views have one part."""
    return f"_{name.replace('.', '_')}"


def over_views(text: str, inputs: Sequence[Input]) -> str:
    """Spark's SQL, which reads the views of its inputs in the place of ``layer.table``."""
    names = {one.name for one in inputs}
    # Parsed to find where tables stand: a column may be called like one, behind an alias.
    tables = [
        (table.args["db"].meta["start"], table.this.meta["end"] + 1, name)
        for table in sqlglot.parse_one(text, read="spark").find_all(exp.Table)
        if (name := f"{table.db}.{table.name}") in names
    ]
    for start, end, name in sorted(tables, reverse=True):
        text = f"{text[:start]}{view(name)}{text[end:]}"
    return text


def mount(spark: SparkSession, one: Input) -> None:
    """An input as a temporary view: its columns, at its version, of its partitions."""
    if not one.files:
        # No partition matters: the table may not even be there.
        spark.createDataFrame([], schema(one.types)).createOrReplaceTempView(view(one.name))
        return
    read = spark.read.format("delta").option("versionAsOf", one.version)
    frame = read.load(one.storage.spark_uri()).select(*map(quote, one.types))
    _cut(frame, one).createOrReplaceTempView(view(one.name))


def _cut(frame: DataFrame, one: Input) -> DataFrame:
    column = one.partition_column
    if column is not None:
        values = {file.partition for file in one.files}
        kind = "DATE" if one.types[column] == "DATE" else "STRING"
        named = ", ".join(f"CAST({literal(v)} AS {kind})" for v in sorted(values - {None}, key=str))
        matters = [f"{quote(column)} IN ({named})"] if named else []
        matters += [f"{quote(column)} IS NULL"] if None in values else []
        frame = frame.where(" OR ".join(matters))
    if one.event is not None and one.lower is not None:
        dated = one.types[one.event] == "DATE"
        kind, lower = ("DATE", one.lower.date()) if dated else ("TIMESTAMP", one.lower)
        event = quote(one.event)
        # A row without its time may matter for any partition.
        frame = frame.where(f"{event} >= CAST({literal(str(lower))} AS {kind}) OR {event} IS NULL")
    return frame


def schema(types: Mapping[str, str]) -> str:
    """Columns and their DuckDB types as Spark declares them."""
    return ", ".join(f"{quote(name)} {_type(kind)}" for name, kind in types.items())


def _type(kind: str) -> str:
    if kind.endswith("[]"):
        return f"ARRAY<{_type(kind.removesuffix('[]'))}>"
    return {"VARCHAR": "STRING", "INTEGER": "INT", "TIMESTAMPTZ": "TIMESTAMP"}.get(kind, kind)
