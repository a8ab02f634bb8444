"""What tells records apart, and when they happened."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakehouse.audit import quote
from lakehouse.drafting.columns import Seen

if TYPE_CHECKING:
    import duckdb

__all__ = ["different", "grain", "key", "time"]

#: An id may come again, with other values, in this share of the records at most.
_REPEATED = 0.05
#: With fewer records it may be chance that a column tells them apart.
_FEW_ROWS = 500
#: Records that a partition should have on average.
_WORTH = 100
_MANY_MONTHS = 240


def different(con: duckdb.DuckDBPyConnection, names: Sequence[str]) -> int:
    """How many different combinations of these columns the table ``typed`` has."""
    listed = ", ".join(map(quote, names))
    ((found,),) = con.execute(
        f"SELECT count(*) FROM (SELECT DISTINCT {listed} FROM typed)"
    ).fetchall()
    return int(found)


def key(con: duckdb.DuckDBPyConnection, columns: Sequence[Seen], records: int) -> tuple[str, ...]:
    """The smallest set of columns that tells records apart, ids preferred; empty for none.

    Args:
        con: With the table ``typed``.
        columns: Its columns.
        records: How many different records it has.
    """
    usable = [
        c
        for c in columns
        if c.type not in ("DOUBLE", "BOOLEAN") and c.nulls + c.unreadable <= 0.01 * c.rows
    ]
    usable.sort(key=lambda c: (not _is_id(c.name), columns.index(c)))
    for one in usable if records > 1 else ():
        # An id that comes again with other values: a later record supersedes the earlier.
        least = 1 - _REPEATED if _is_id(one.name) else 1.0
        if one.distinct >= least * records and (_names_rows(one) or one.rows >= _FEW_ROWS):
            return (one.name,)
    few = [
        c for c in usable if 1 < c.distinct < records and (_names_rows(c) or c.type == "VARCHAR")
    ][:10]
    for size in (2, 3):
        for some in itertools.combinations(few, size):
            names = tuple(c.name for c in some)
            if math.prod(c.distinct for c in some) >= records == different(con, names):
                return names
    return ()


def _names_rows(column: Seen) -> bool:
    """Whether it looks like what rows are named by, rather than like a measurement."""
    period = bool(re.search(r"(^|_)(year|month|week|day|hour)$", column.name))
    return _is_id(column.name) or period or column.type in ("DATE", "TIMESTAMPTZ")


def _is_id(name: str) -> bool:
    return bool(re.search(r"(^|_)(id|key|uuid|guid|code|no|nr|number|sku|ref)$", name))


def time(columns: Sequence[Seen], rows: int) -> str | None:
    """The first column that may say when a record happened, where it is worth a partition."""
    times = [c for c in columns if c.type in ("DATE", "TIMESTAMPTZ") and c.least and c.greatest]
    known = [c for c in times if c.nulls + c.unreadable <= 0.05 * c.rows]
    other = re.compile(r"birth|dob|expir|due|valid|updat|modif|until|end|_to$|deliver|export")
    known.sort(key=lambda c: bool(other.search(c.name)))
    return next((column.name for column in known if grain(column, rows)), None)


def grain(column: Seen, rows: int) -> str | None:
    """The shortest period that gives partitions worth their files; None where none does."""
    count = _months(column)
    if 2 <= count <= _MANY_MONTHS and rows >= count * _WORTH:
        return "month"
    return "year" if count > 12 and rows >= count / 12 * _WORTH else None


def _months(column: Seen) -> int:
    """The calendar months from a column's first time to its last; 0 where they are no dates."""
    try:
        first, last = (
            dt.date.fromisoformat((t or "")[:10]) for t in (column.least, column.greatest)
        )
    except ValueError:
        return 0  # before Christ, or after the year 9999
    return (last.year - first.year) * 12 + last.month - first.month + 1
