"""Rows in a reference's bins: one group-by over all features and windows at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakehouse.audit import literal, quote
from lakehouse.interval import Interval
from lakehouse.monitoring.reference import Counts, FeatureBins, Reference

if TYPE_CHECKING:
    import duckdb

__all__ = ["WindowCounts", "count_windows", "index_sql"]


@dataclass(frozen=True)
class WindowCounts:
    """The rows of one window.

    Attributes:
        window: The instants.
        rows: How many rows.
        features: Counts in the reference's bins, by feature.
    """

    window: Interval
    rows: int
    features: Mapping[str, Counts]


def count_windows(
    con: duckdb.DuckDBPyConnection,
    source: str,
    event_time: str,
    reference: Reference,
    windows: Sequence[Interval],
) -> tuple[WindowCounts, ...]:
    """Count the rows of each window in the bins of each feature, in one scan.

    Args:
        con: A connection in UTC.
        source: The table or view, as SQL names it; it has the reference's features.
        event_time: Its column of event time.
        reference: The bins.
        windows: What to count, ascending and without overlap; at least one.
    """
    at = quote(event_time)
    chosen, parameters = [], {}
    for i, one in enumerate(reference.features):
        expression, cuts = _histogram(one, f"${_name(i)}")
        chosen += expression
        parameters[_name(i)] = cuts
    found = con.execute(
        f"SELECT {index_sql(at, windows)} AS window_index, count(*), {', '.join(chosen)} "
        f"FROM {source} "
        f"WHERE {at} >= {literal(windows[0].start)} AND {at} < {literal(windows[-1].end)} "
        "GROUP BY window_index",
        parameters,
    ).fetchall()
    by_index = {row[0]: row[1:] for row in found}
    nothing = (0, *[None, 0] * len(reference.features))
    return tuple(
        _counts(window, reference, by_index.get(i, nothing)) for i, window in enumerate(windows)
    )


def index_sql(at: str, windows: Sequence[Interval]) -> str:
    """SQL for the index of the window that holds an instant; NULL between windows.

    A tree of comparisons: a few per row, however many windows there are.
    """
    return _tree(at, windows, 0)


def _tree(at: str, windows: Sequence[Interval], first: int) -> str:
    if len(windows) == 1:
        start, end = literal(windows[0].start), literal(windows[0].end)
        return f"CASE WHEN {at} >= {start} AND {at} < {end} THEN {first} END"
    middle = len(windows) // 2
    low = _tree(at, windows[:middle], first)
    high = _tree(at, windows[middle:], first + middle)
    return f"CASE WHEN {at} < {literal(windows[middle].start)} THEN {low} ELSE {high} END"


def _name(i: int) -> str:
    return f"cuts_{i}"


def _histogram(one: FeatureBins, cuts: str) -> tuple[list[str], list[Any]]:
    """Two aggregates: the rows of each bin, and those with a value."""
    if one.kind == "text":
        column, values = f"CAST({quote(one.feature)} AS VARCHAR)", list(one.values)
        if "" in values:
            # DuckDB names the bin of all others so.
            column, values = f"('=' || {column})", [f"={value}" for value in values]
        return [_bins("histogram_exact", column, cuts, "VARCHAR"), f"count({column})"], values
    # NaN is NULL to an estimator, and the greatest number to DuckDB.
    column = f"nullif(CAST({quote(one.feature)} AS DOUBLE), 'NaN'::DOUBLE)"
    return [_bins("histogram", column, cuts, "DOUBLE"), f"count({column})"], [*one.edges]


def _bins(function: str, column: str, cuts: str, kind: str) -> str:
    return f"map_values({function}({column}, CAST({cuts} AS {kind}[])))"


def _counts(window: Interval, reference: Reference, row: Sequence[Any]) -> WindowCounts:
    features = {}
    for i, one in enumerate(reference.features):
        bins, known = row[1 + 2 * i], row[2 + 2 * i]
        # The last bin is left out of the map where nothing is in it.
        counted = [*(bins or []), *[0] * len(one.counts)][: len(one.counts)]
        features[one.feature] = Counts(tuple(counted), row[0] - known)
    return WindowCounts(window, row[0], features)
