"""Parquet files, whose columns must fit the contract's types without loss."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakehouse.contract import ColumnPolicy
from lakehouse.landing.records import RAW_LENGTH, Records, RefusedError, Reject, Shape, too_large
from lakehouse.types import arrow

if TYPE_CHECKING:
    from lakehouse.landing.records import Column

__all__ = ["parse"]


def parse(data: bytes, types: Mapping[str, str], policy: ColumnPolicy, limit: int) -> Records:
    """Read a file's records; ``_row`` counts them from 1.

    Integers may widen (unsigned ones of 64 bits also to their digits as text), whole numbers may be
    stored as floating point, times become microseconds; times without a zone are read as UTC, with
    a warning.

    Args:
        data: The whole file.
        types: The columns to find, with the contract's types.
        policy: What to do with other columns, and with missing ones.
        limit: The most bytes when decompressed.

    Raises:
        RefusedError: Not a Parquet file, damaged, or a column does not fit its type.
    """
    try:
        shape, table = _table(data, list(types), policy, limit)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise RefusedError("not_parquet", f"not a readable Parquet file: {reason}") from None
    columns: dict[str, Any] = {
        n: _fitted(n, table[n], types[n], shape.warnings) for n in shape.wanted
    }
    return _records(pa.table(columns), table, shape)


def _table(
    data: bytes, columns: list[str], policy: ColumnPolicy, limit: int
) -> tuple[Shape, pa.Table]:
    file = pq.ParquetFile(pa.BufferReader(data))
    shape = Shape(file.schema_arrow.names, columns, policy)
    # A file for quarantine is read whole, so that its raw records are.
    wanted = None if shape.quarantine else shape.wanted
    meta = file.metadata
    size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
    size = max(size, 8 * meta.num_rows * len(wanted or file.schema_arrow.names))
    if size > limit:
        raise too_large(f"{size:,} bytes when decompressed", limit)
    file = pq.ParquetFile(pa.BufferReader(data), read_dictionary=_repetitive(file))
    table = file.read(columns=wanted)
    size = sum(_decoded(column) for column in table.columns)
    if size > limit:
        raise too_large(f"{size:,} bytes when decompressed", limit)
    # Parquet readers take text as it is: only validation finds bytes that are no UTF-8.
    table.validate(full=True)
    return shape, table


def _repetitive(file: pq.ParquetFile) -> list[str]:
    """Columns of text of which each value is stored once, and so may be far larger than stored."""
    meta, found = file.metadata, set()
    for j in range(meta.num_columns):
        column = file.schema.column(j)
        if column.physical_type == "BYTE_ARRAY" and column.logical_type.type != "DECIMAL":
            chunks = (meta.row_group(i).column(j) for i in range(meta.num_row_groups))
            if any("RLE_DICTIONARY" in chunk.encodings for chunk in chunks):
                found.add(column.path)
    return sorted(found)


def _decoded(column: Column) -> int:
    """The bytes of a column when each value stands for itself."""
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    size = 0
    for part in column.chunks:
        chunk = cast("pa.DictionaryArray[Any, Any]", part)
        words: Any = chunk.dictionary
        lengths: Any = pc.binary_length(words)
        size += pc.sum(lengths.cast(pa.int64()).take(chunk.indices)).as_py() or 0
    return size


def _records(table: pa.Table, whole: pa.Table, shape: Shape) -> Records:
    rows = pa.array(np.arange(1, table.num_rows + 1), pa.int64())

    def raw(i: int) -> str:
        record = {name: _shown(whole[j], i) for j, name in enumerate(whole.column_names)}
        return json.dumps(record, ensure_ascii=False, default=str)[:RAW_LENGTH]

    return _without_nul(Records(table, rows, raw, [], shape.quarantine, shape.warnings))


def _shown(column: Column, i: int) -> Any:
    try:
        return column[i].as_py()
    except (OverflowError, ValueError):
        # A time beyond Python's calendar, perhaps within something nested.
        return " ".join(column.slice(i, 1).to_string().split())


def _without_nul(records: Records) -> Records:
    """Reject the rows whose text holds a NUL, as in every other format."""
    table = records.table
    found = np.zeros(table.num_rows, np.bool_)
    for column in table.columns:
        if column.type == pa.string() and _may_hold_nul(column):
            here: Any = pc.match_substring(column, "\0")
            found |= here.fill_null(pa.scalar(value=False)).to_numpy()
    if records.quarantine or not found.any():
        return records
    bad, kept = np.flatnonzero(found).tolist(), np.flatnonzero(~found).tolist()
    good = pa.array(kept, pa.int64())
    return Records(
        table.take(good),
        records.rows.take(good),
        lambda i: records.raw(kept[i]),
        [Reject(i + 1, records.raw(i), ("nul_byte",)) for i in bad],
        None,
        records.warnings,
    )


def _may_hold_nul(column: Column) -> bool:
    """Whether some byte of the texts is 0; of a slice, those around it are looked at too."""
    texts = (chunk.buffers()[2] for chunk in column.chunks)
    return any(
        text is not None and not np.frombuffer(memoryview(text), np.uint8).all() for text in texts
    )


def _fitted(name: str, column: Column, declared: str, warnings: list[str]) -> Column:
    kind, found = arrow(declared), column.type
    if pa.types.is_dictionary(found):
        column, found = column.cast(found.value_type), found.value_type
    if not (pa.types.is_null(found) or _may_become(found, declared)):
        raise RefusedError(
            "wrong_type", f"column {name!r} is {found}, the contract says {declared}"
        )
    if pa.types.is_floating(found):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, found), column)
    if pa.types.is_timestamp(found) and found.tz is None:
        warnings.append(f"column {name!r} holds times without a zone: read as UTC")
    try:
        return column.cast(kind)
    except pa.ArrowInvalid as error:
        lost = f"column {name!r} ({found}) does not fit {declared}: {error}"
        raise RefusedError("wrong_type", lost[:500]) from None


def _may_become(found: pa.DataType, declared: str) -> bool:
    """Whether the two kinds mean the same; whether each value fits is seen when it is cast."""
    types = pa.types
    number = types.is_integer(found) or types.is_floating(found) or types.is_decimal(found)
    match declared:
        case "VARCHAR":
            text = types.is_string(found) or types.is_large_string(found)
            view = types.is_string_view(found)
            digits = types.is_uint64(found)  # up to 2^64 - 1, for which there is no type
            return text or view or digits or types.is_binary(found) or types.is_large_binary(found)
        case "INTEGER" | "BIGINT" | "DOUBLE":
            return number
        case "BOOLEAN":
            return bool(types.is_boolean(found))
        case "DATE":
            return bool(types.is_date(found))
        case _:
            return bool(types.is_timestamp(found))
