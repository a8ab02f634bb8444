"""Delimited text (CSV), vectorised where it is well formed and line by line where it is not.

Quoting follows RFC 4180: a quote opens only at the start of a field, is doubled
inside, and is plain text within an unquoted field. Whether a field is quoted does
not matter to ``null_values``: ``""`` is NULL where an empty field is. Blank lines and
comments are no records. Lines end with LF, CRLF or CR. ``_row`` is the physical line on which
a record begins; the header's is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.contract import ColumnPolicy, Source
from lakehouse.landing import vector
from lakehouse.landing.archive import Text
from lakehouse.landing.records import Records, RefusedError, Reject, Shape
from lakehouse.landing.scan import Scanner

if TYPE_CHECKING:
    from lakehouse.landing.records import Array

__all__ = ["parse"]

_LARGEST, _SMALLEST = 4 << 20, 64 << 10


def parse(text: Text, source: Source, columns: Sequence[str], policy: ColumnPolicy) -> Records:
    """Read a file's records.

    Args:
        text: The whole file.
        source: How it is delimited and quoted.
        columns: The columns to find, in the contract's order.
        policy: What to do with other columns, and with missing ones.

    Raises:
        RefusedError: The header is not as the contract says.
    """
    scanner = Scanner(text.data, source.delimiter, source.quote, source.escape, source.comment)
    names, at, line = _head(scanner, columns, source)
    shape = Shape(names, columns, policy)
    layout = vector.Layout(
        source.delimiter,
        source.quote,
        len(names),
        [names.index(name) for name in shape.wanted],
        source.null_values,
        source.escape.encode(),
        source.comment.encode(),
    )
    reader = _Reader(text, scanner, layout)
    blocks = reader.blocks(at, line)
    starts, ends, rows = (
        np.concatenate([np.empty(0, np.int64), *(getattr(b, name) for b in blocks)])
        for name in ("starts", "ends", "rows")
    )
    return Records(
        _table(shape.wanted, blocks),
        pa.array(rows, pa.int64()),
        lambda i: reader.show(int(starts[i]), int(ends[i])),
        reader.rejects,
        shape.quarantine,
        shape.warnings,
    )


def _head(scanner: Scanner, columns: Sequence[str], source: Source) -> tuple[list[str], int, int]:
    """The file's columns, where its records begin, and on which line."""
    at, skipped = scanner.skip_lines(source.skip_lines)
    at, blank = scanner.skip_blank(at)
    blank += skipped
    if not source.header or at == len(scanner.data):
        return list(columns), at, 1 + blank
    head = scanner.record(at, None)
    if head.faults:
        raise RefusedError("broken_header", f"the header line has {', '.join(head.faults)}")
    return list(head.fields), head.end, 1 + blank + head.lines


def _table(names: Sequence[str], blocks: Sequence[vector.Block]) -> pa.Table:
    columns: dict[str, Any] = {}
    for i, name in enumerate(names):
        chunks = [c for b in blocks for c in _chunks(b.columns[i])]
        columns[name] = pa.chunked_array(chunks, pa.string())
    return pa.table(columns)


def _chunks(column: Any) -> list[Any]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


class _Reader:
    """One reading of one file, from its first record to its last."""

    def __init__(self, text: Text, scanner: Scanner, layout: vector.Layout) -> None:
        self.text, self.scanner, self.layout = text, scanner, layout
        self.rejects: list[Reject] = []

    def blocks(self, at: int, line: int) -> list[vector.Block]:
        """All records. A fault is closed in on by halves, so that little is read line by line."""
        found, size = [], _LARGEST
        while at < len(self.text.data):
            block = vector.block(self.text.data, at, line, size, self.layout)
            if block:
                size = min(size * 2, _LARGEST)
            elif size > _SMALLEST:
                size //= 2
                continue
            else:
                block = self._scanned(at, line, size)
            found.append(block)
            at, line = block.end, line + block.lines
        return found

    def show(self, start: int, end: int) -> str:
        """A record's raw text, without its line end."""
        return self.text.show(self.text.data[start:end].rstrip(b"\r\n"))

    def _scanned(self, at: int, line: int, size: int) -> vector.Block:
        until, first = min(at + size, len(self.text.data)), line
        found: list[tuple[str, ...]] = []
        places: list[tuple[int, int, int]] = []
        while at < until:
            at, blank = self.scanner.skip_blank(at)
            line += blank
            if at == len(self.text.data):
                break
            record = self.scanner.record(at, self.layout.width)
            if record.faults:
                self.rejects.append(Reject(line, self.show(at, record.end), record.faults))
            else:
                found.append(tuple(record.fields[i] for i in self.layout.wanted))
                places.append((at, record.end, line))
            at, line = record.end, line + record.lines
        columns = [
            self._nulled([fields[i] for fields in found]) for i in range(len(self.layout.wanted))
        ]
        where = np.array(places, np.int64).reshape(-1, 3)
        return vector.Block(at, line - first, columns, where[:, 0], where[:, 1], where[:, 2])

    def _nulled(self, values: Sequence[str]) -> Array:
        column = pa.array(values, pa.string())
        null = pc.is_in(column, value_set=pa.array(self.layout.nulls, pa.string()))
        kept: Any = pc.if_else(null, pa.scalar(None, pa.string()), column)
        return cast("Array", kept)
