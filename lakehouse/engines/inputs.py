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
        name: The view's name where it is not the input's: ``domain.layer.table``. What is read
            of such a view may be less than its files: those of other partitions are left out.
    """
    import duckdb

    *outer, last = (name or one.name).split(".")
    if len(outer) == 2:
        con.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {quote(outer[0])}")
    schema = ".".join(map(quote, outer))
    con.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    view = f"CREATE VIEW {schema}.{quote(last)} AS SELECT * FROM"
    if name is None and _plain(one):
        try:
            con.execute(f"{view} ({_read(one)}){_since(one)}")
        except duckdb.BinderException:
            # No file has a column that was added since; pyarrow fills it in.
            pass
        else:
            return
    con.execute(f"{view} {_registered(con, one)}{_since(one)}")


def _since(one: Input) -> str:
    if one.event is None or one.lower is None:
        return ""
    dated = one.types[one.event] == "DATE"
    event, lower = quote(one.event), literal(one.lower.date() if dated else one.lower)
    # A row without its time may matter for any partition.
    return f" WHERE {event} >= {lower} OR {event} IS NULL"


# --- local files, by DuckDB's own reader ---------------------------------------------------------


def _plain(one: Input) -> bool:
    """Whether DuckDB can open the files: elsewhere than on disk it cannot, and it expands names."""
    return (
        bool(one.files)
        and not one.storage.is_s3
        and not any(c in f"{one.storage.root}{file.path}" for file in one.files for c in "*?[")
    )


def _read(one: Input) -> str:
    columns = ", ".join(
        f"{_value(one) if column == one.partition_column else f'CAST({quote(column)} AS {kind})'} "
        f"AS {quote(column)}"
        for column, kind in one.types.items()
    )
    files = ", ".join(literal(f"{one.storage.root}/{file.path}") for file in one.files)
    return (
        f"SELECT {columns} FROM "
        f"read_parquet([{files}], hive_partitioning = false, union_by_name = true)"
    )


def _value(one: Input) -> str:
    """The partition value of the file that a row is read from."""
    assert one.partition_column is not None
    kind = one.types[one.partition_column]
    values = [file.partition for file in one.files]
    if len(set(values)) == 1:
        return f"CAST({literal(values[0])} AS {kind})"
    listed = ", ".join(map(literal, values))
    return f"CAST([{listed}] AS {kind}[])[CAST(file_index AS BIGINT) + 1]"


# --- any files, by pyarrow ----------------------------------------------------------------------


def _registered(con: duckdb.DuckDBPyConnection, one: Input) -> str:
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
    return f"temp.{quote(files)}"


def _arrow(kind: str) -> pa.DataType:
    import pyarrow as pa

    return pa.list_(arrow(kind.removesuffix("[]"))) if kind.endswith("[]") else arrow(kind)
