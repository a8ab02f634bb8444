"""Input tables as DuckDB views over just the files that a plan names."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from lakehouse.audit import literal, quote
from lakehouse.engines.base import Input
from lakehouse.types import arrow

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["mount"]


def mount(con: duckdb.DuckDBPyConnection, one: Input, name: str | None = None) -> None:
    """An input as a view over just its files; the partition value comes from the log.

    Args:
        con: A connection.
        one: What to mount.
        name: The view's name where it is not the input's: ``domain.layer.table``.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    filesystem, form = one.storage.arrow(), ds.ParquetFileFormat()
    column = one.partition_column
    schema = pa.schema([(name, _arrow(kind)) for name, kind in one.types.items()])

    def expression(value: str | None) -> Any:
        if column is None:
            return None
        if value is None:
            return pc.field(column).is_null()
        typed = dt.date.fromisoformat(value) if one.types[column] == "DATE" else value
        return pc.field(column) == pa.scalar(typed, arrow(one.types[column]))

    fragments = [
        form.make_fragment(
            f"{one.storage.root}/{file.path}",
            filesystem,
            partition_expression=expression(file.partition),
        )
        for file in one.files
    ]
    files = f"_{one.name.replace('.', '_')}"
    con.register(files, ds.FileSystemDataset(fragments, schema, form, filesystem))
    where = ""
    if one.event is not None and one.lower is not None:
        dated = one.types[one.event] == "DATE"
        event, lower = quote(one.event), literal(one.lower.date() if dated else one.lower)
        # A row without its time may matter for any partition.
        where = f" WHERE {event} >= {lower} OR {event} IS NULL"
    *outer, last = (name or one.name).split(".")
    if len(outer) == 2:
        con.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {quote(outer[0])}")
    schema_name = ".".join(map(quote, outer))
    con.execute(f"CREATE SCHEMA IF NOT EXISTS {schema_name}")
    con.execute(
        f"CREATE VIEW {schema_name}.{quote(last)} AS SELECT * FROM temp.{quote(files)}{where}"
    )


def _arrow(kind: str) -> pa.DataType:
    import pyarrow as pa

    return pa.list_(arrow(kind.removesuffix("[]"))) if kind.endswith("[]") else arrow(kind)
