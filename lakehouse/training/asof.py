"""Features and labels of two tables, joined as they were known at the time (pure).

A label row says about which instant something is predicted. It gets the newest feature row of its
entity that was known when the prediction was due, ``lead`` before that instant: by the column that
says since when a row is known, and by its own event time where there is none. Nothing that came
later can reach the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lakehouse.audit import quote
from lakehouse.training.declaration import ModelDeclaration

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["join"]


def join(
    declaration: ModelDeclaration,
    con: duckdb.DuckDBPyConnection,
    features: str,
    labels: str,
    also: Sequence[str] = (),
) -> pa.Table:
    """One row per label that has a feature row; its event time is the label's.

    Args:
        declaration: With a label in a table of its own.
        con: A connection.
        features: A view with the declaration's ``columns``; entities may occur again and again.
        labels: A view with its ``label_columns``; one row per entity and event time.
        also: More columns of the features.

    Returns:
        The declaration's ``joined`` columns.
    """
    of, label = declaration.features, declaration.label
    instant = quote(label.event_time or of.event_time)
    same = _all(f"f.{quote(k)} = l.{quote(k)}" for k in of.key)
    newest = [f"f.{quote(of.event_time)} DESC"]
    due = f"l.{instant} - {int(of.lead.total_seconds())} * INTERVAL '1' SECOND"
    when = [same, f"f.{quote(of.event_time)} <= l.{instant}"]
    # Without a time of its own a row is known at its event, not before.
    when.append(f"f.{quote(of.available_at or of.event_time)} <= {due}")
    if of.available_at is not None:
        newest.append(f"f.{quote(of.available_at)} DESC")
    own = {*of.key, of.event_time, label.column, label.available_at}
    taken = [f"f.{quote(name)}" for name in (*declaration.columns, *also) if name not in own]
    known = [f"l.{quote(n)}" for n in (label.column, label.available_at) if n is not None]
    key = ", ".join(f"l.{quote(k)}" for k in of.key)
    # Equal rows are told apart by their values: which one is taken never depends on the files.
    order = ", ".join([*newest, *taken])
    found: pa.Table = con.sql(f"""
        SELECT {key}, l.{instant} AS {quote(of.event_time)}, {", ".join([*taken, *known])}
        FROM {labels} AS l JOIN {features} AS f ON {_all(when)}
        QUALIFY row_number() OVER (PARTITION BY {key}, l.{instant} ORDER BY {order}) = 1
    """).to_arrow_table()
    return found


def _all(conditions: Iterable[str]) -> str:
    return " AND ".join(conditions)
