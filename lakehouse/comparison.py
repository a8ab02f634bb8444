"""Whether two tables hold the same rows: exactly, but for the last digits of floats."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["differences"]

#: Sums of floats depend on the order in which they are taken.
_RELATIVE = 1e-9


def differences(left: pa.Table, right: pa.Table) -> list[tuple[Any, ...]]:
    """Rows of either table that the other has not, one for one; floats may differ by 1e-9 of them.

    Args:
        left: One table.
        right: Another with the same columns, in any order.

    Returns:
        The rows of ``left`` alone, then those of ``right`` alone; empty when they are the same.

    Raises:
        ValueError: Their columns differ.
    """
    import duckdb
    import pyarrow as pa

    columns = left.column_names
    if sorted(columns) != sorted(right.column_names):
        raise ValueError(f"columns {columns} and {right.column_names}")
    with duckdb.connect() as con:
        con.register("one", left)
        con.register("other", right.select(columns))
        mine, theirs = (
            con.sql(f"FROM {a} EXCEPT ALL FROM {b}").fetchall()
            for a, b in (("one", "other"), ("other", "one"))
        )
    floats = [pa.types.is_floating(left.schema.field(c).type) for c in columns]
    order = functools.partial(_order, floats)
    mine.sort(key=order)
    theirs.sort(key=order)
    if len(mine) == len(theirs) and all(map(functools.partial(_alike, floats), mine, theirs)):
        return []
    return mine + theirs


def _order(floats: Sequence[bool], row: tuple[Any, ...]) -> tuple[tuple[str, ...], list[Any]]:
    exact = [repr(v) for v, is_float in zip(row, floats, strict=True) if not is_float]
    numbers = [v for v, is_float in zip(row, floats, strict=True) if is_float]
    return tuple(exact), [(v is not None, v or 0.0) for v in numbers]


def _alike(floats: Sequence[bool], one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return all(
        a == b or (is_float and None not in (a, b) and math.isclose(a, b, rel_tol=_RELATIVE))
        for a, b, is_float in zip(one, other, floats, strict=True)
    )
