"""Records of delimited text without a fault, many at once.

Either a block is well formed throughout and Arrow's parser reads it, or nothing
is read: what :mod:`lakehouse.landing.scan` would say of it is then the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv

from lakehouse.landing.scan import MAX_LINES

__all__ = ["Block", "Ints", "Layout", "block"]

Ints = npt.NDArray[np.int64]
_Bytes = npt.NDArray[np.uint8]
_BOM = b"\xef\xbb\xbf"
_LF, _CR = 10, 13


@dataclass(frozen=True)
class Layout:
    """How records are written: what separates, what quotes, how many fields, which are wanted.

    Attributes:
        escape: Where it is in a block, the block is left to the scanner.
        comment: The same where a line begins with it.
    """

    delimiter: str
    quote: str
    width: int
    wanted: Sequence[int]
    nulls: Sequence[str]
    escape: bytes = b""
    comment: bytes = b""


@dataclass(frozen=True)
class Block:
    """Records that follow one another in a text.

    Attributes:
        end: Where the next record begins.
        lines: Physical lines in the block.
        columns: The wanted fields, as text.
        starts: Where each record begins.
        ends: Where each record ends.
        rows: The physical line on which each record begins.
    """

    end: int
    lines: int
    columns: Sequence[Any]
    starts: Ints
    ends: Ints
    rows: Ints


@dataclass(frozen=True)
class _Lines:
    """Where physical lines start, and which of them start outside quotes."""

    part: bytes
    codes: _Bytes
    starts: Ints
    outside: npt.NDArray[np.bool_]


def block(data: bytes, at: int, line: int, size: int, layout: Layout) -> Block | None:
    """The records from ``at`` on (line number ``line``) for about ``size`` bytes.

    Returns:
        None where a fault, or what might be one, is among them.
    """
    if len(layout.delimiter.encode()) > 1 or len(layout.quote.encode()) > 1:
        return None
    cut = data.find(b"\n", at + size)
    part = data[at : cut + 1 if cut >= 0 else len(data)]
    if not _is_plain(part) or _has_marks(part, layout):
        return None
    codes = np.frombuffer(part, np.uint8)
    starts = np.concatenate(([0], np.flatnonzero(codes == _LF) + 1))
    outside = np.ones(len(starts), np.bool_)
    if layout.quote and layout.quote.encode() in part:
        quotes = np.flatnonzero(codes == ord(layout.quote))
        outside = np.searchsorted(quotes, starts) % 2 == 0
        if len(quotes) % 2:
            # The last record goes on in the next block, or its quote is never closed.
            stop = int(starts[outside][-1])
            keep = starts <= stop
            starts, outside = starts[keep], outside[keep]
            part, codes, quotes = part[:stop], codes[:stop], quotes[quotes < stop]
        if not part or not _is_well_quoted(codes, quotes, layout):
            return None
    return _located(_Lines(part, codes, starts, outside), at, line, layout)


def _located(text: _Lines, at: int, line: int, layout: Layout) -> Block | None:
    part, codes, line_starts, outside = text.part, text.codes, text.starts, text.outside
    lines = len(line_starts) - int(line_starts[-1] == len(part))
    numbers = np.flatnonzero(outside[:lines])
    if np.diff(np.append(numbers, lines)).max(initial=0) > MAX_LINES:
        return None
    starts = line_starts[numbers]
    ends = np.append(starts[1:], len(part))
    filled = (codes[starts] != _LF) & (codes[starts] != _CR)
    starts, ends, numbers = starts[filled], ends[filled], numbers[filled]
    columns = _parsed(part, len(starts), layout, several=not outside.all())
    if columns is None:
        return None
    return Block(at + len(part), lines, columns, starts + at, ends + at, numbers + line)


def _parsed(part: bytes, records: int, layout: Layout, *, several: bool) -> list[Any] | None:
    if not records:
        return [pa.array([], pa.string()) for _ in layout.wanted]
    names = [str(i) for i in range(layout.width)]
    wanted = [names[i] for i in layout.wanted]
    stream: Any = pa.BufferReader(part)
    try:
        table = csv.read_csv(
            stream,
            csv.ReadOptions(column_names=names, block_size=len(part) + 1),
            csv.ParseOptions(
                delimiter=layout.delimiter,
                quote_char=layout.quote or False,
                newlines_in_values=several,
            ),
            csv.ConvertOptions(
                column_types={name: pa.string() for name in wanted},
                include_columns=wanted,
                null_values=list(layout.nulls),
                strings_can_be_null=True,
                check_utf8=False,
            ),
        )
    except pa.ArrowInvalid:
        return None
    return list(table.columns) if table.num_rows == records else None


def _is_plain(part: bytes) -> bool:
    # Arrow would take a byte order mark at the start of a block for one of the file.
    if b"\0" in part or part.startswith(_BOM) or part.count(b"\r") != part.count(b"\r\n"):
        return False
    try:
        part.decode()
    except UnicodeDecodeError:
        return False
    return True


def _has_marks(part: bytes, layout: Layout) -> bool:
    escape, comment = layout.escape, layout.comment
    if escape and escape in part:
        return True
    return bool(comment) and (part.startswith(comment) or b"\n" + comment in part)


def _is_well_quoted(codes: _Bytes, quotes: Ints, layout: Layout) -> bool:
    """Whether each quote opens at a field's start, closes at its end, or is doubled."""
    allowed = np.zeros(256, np.bool_)
    allowed[[ord(layout.delimiter), _LF, _CR, ord(layout.quote)]] = True
    opens, closes = quotes[0::2], quotes[1::2]
    before = codes[opens[opens > 0] - 1]
    after = codes[closes[closes < len(codes) - 1] + 1]
    return bool(allowed[before].all() and allowed[after].all())
