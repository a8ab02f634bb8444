"""The numbers of a profile: each column of one version is read twice, and none is held whole."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakehouse import query
from lakehouse import snapshot as snapshots
from lakehouse.audit import quote
from lakehouse.build import Lake
from lakehouse.catalog import Table
from lakehouse.contract import Column, Rule
from lakehouse.contract.rules import columns_of
from lakehouse.engines.inputs import mount
from lakehouse.errors import CatalogError, EngineError

if TYPE_CHECKING:
    import duckdb

__all__ = ["QUANTILES", "Bar", "ColumnProfile", "Profile", "Value", "measure"]

#: A value as a page and as JSON can show it: times are ISO text.
Value = str | int | float | bool | None

#: Where the quantiles of an ordered column are taken.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

_BINS = 24
_TOP = 8
_EXAMPLES = 5
_NUMBERS = ("INTEGER", "BIGINT", "DOUBLE")
_TIMES = ("DATE", "TIMESTAMPTZ")


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram, ``[low, high)`` (the last one with its end), or of one value.

    Attributes:
        low: The first value of the bin, or the value.
        high: The first value after it; None for one value.
        rows: How many rows are in it. Exact.
    """

    low: Value
    high: Value
    rows: int


@dataclass(frozen=True)
class ColumnProfile:
    """One column. What a sensitive column holds is None or empty; its counts are there.

    Attributes:
        column: As the contract declares it.
        rules: The contract's rules that name it.
        nulls: Rows without a value.
        distinct: Different values, approximately.
        least: The smallest value; for text the shortest length.
        greatest: The largest value; for text the longest length.
        mean: The mean, of the length for text; None for booleans.
        quantiles: At :data:`QUANTILES`, approximately; empty for text and booleans.
        bins: The histogram of an ordered column.
        top: The most frequent values of text and booleans, most rows first.
    """

    column: Column
    rules: tuple[Rule, ...]
    nulls: int
    distinct: int
    least: Value = None
    greatest: Value = None
    mean: Value = None
    quantiles: tuple[Value, ...] = ()
    bins: tuple[Bar, ...] = ()
    top: tuple[Bar, ...] = ()


@dataclass(frozen=True)
class Profile:
    """One version of a table.

    Attributes:
        table: Full name.
        description: What the contract says of it.
        version: The Delta version.
        rows: Published rows.
        bytes: Of all live files.
        partitions: Partition value → rows; empty for an unpartitioned table, and where the
            partition column is sensitive.
        columns: In the published order.
        examples: The first rows, by column; sensitive columns are left out.
    """

    table: str
    description: str
    version: int
    rows: int
    bytes: int
    partitions: Mapping[str, int]
    columns: tuple[ColumnProfile, ...]
    examples: tuple[Mapping[str, Value], ...]


def measure(lake: Lake, table: Table, version: int | None = None) -> Profile:
    """Profile one version of a table.

    Args:
        lake: The lake.
        table: The table.
        version: A version; None for the newest.

    Raises:
        CatalogError: Nothing of the table is built.
        StorageError: The version is gone.
        EngineError: The files could not be read within the worker's memory.
    """
    import duckdb

    found = snapshots.read(lake.place(table), table.name, version)
    if not found.exists:
        asked = f"profile {table.name}"
        raise CatalogError(asked, "nothing of it is built", f"lake build {table.short}")
    try:
        with _connection(lake, table, found) as con:
            columns = _columns(con, table.contract.columns, table.contract.rules, found.rows)
            examples = _examples(con, table.contract.columns)
    except duckdb.Error as error:
        raise EngineError(
            f"profile {table.name}", str(error)[:600], "raise LAKE_WORKER_MEMORY"
        ) from error
    return Profile(
        table.name,
        (table.contract.description or "").strip(),
        found.version,
        found.rows,
        found.bytes,
        _partitions(table, found),
        columns,
        examples,
    )


@contextmanager
def _connection(
    lake: Lake, table: Table, found: snapshots.Snapshot
) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    with tempfile.TemporaryDirectory(prefix="lake-spill-") as spill:
        memory = f"{int(lake.settings.worker_memory)}B"
        con = duckdb.connect(config={"memory_limit": memory, "temp_directory": spill})
        try:
            con.execute("SET enable_progress_bar = false")
            con.execute("SET TimeZone = 'UTC'")
            mount(con, query.table_input(lake, table, found), "main.profiled")
            yield con
        finally:
            con.close()


def _partitions(table: Table, found: snapshots.Snapshot) -> dict[str, int]:
    part = table.contract.lake.partition
    if part is None or any(c.name == part.column and c.sensitive for c in table.contract.columns):
        return {}
    return {value or "none": sum(f.rows for f in fs) for value, fs in found.partitions.items()}


def _columns(
    con: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    rules: Sequence[Rule],
    rows: int,
) -> tuple[ColumnProfile, ...]:
    first = _row(con, [s for i, column in enumerate(columns) for s in _first(i, column)], [])
    second, values = [], []
    for i, column in enumerate(columns):
        select, given = _second(i, column, first)
        second += select
        values += given
    counted = _row(con, second, values)
    counted |= {f"top{i}": _top(con, column) for i, column in enumerate(columns) if _named(column)}
    return tuple(
        _profile(i, column, tuple(r for r in rules if column.name in columns_of(r)), rows, seen)
        for seen in [first | counted]
        for i, column in enumerate(columns)
    )


def _row(
    con: duckdb.DuckDBPyConnection, select: Sequence[str], values: Sequence[object]
) -> dict[str, Any]:
    if not select:
        return {}
    done = con.execute(f"SELECT {', '.join(select)} FROM profiled", list(values))
    names = [column[0] for column in done.description or ()]
    return dict(zip(names, done.fetchone() or (), strict=True))


def _axis(column: Column) -> str:
    """A column as a finite double, on which bins and quantiles are taken."""
    name = quote(column.name)
    if column.type in _TIMES:
        return f"CASE WHEN isfinite({name}) THEN epoch({name}) END"
    if column.type == "DOUBLE":
        return f"CASE WHEN isfinite({name}) THEN {name} END"
    return f"CAST({name} AS DOUBLE)"


def _first(i: int, column: Column) -> Iterator[str]:
    name, axis = quote(column.name), _axis(column)
    yield f"count({name}) AS n{i}"
    yield f"approx_count_distinct({name}) AS d{i}"
    if column.sensitive:
        return
    if column.type in (*_NUMBERS, *_TIMES):
        yield f"min({name}) AS low{i}, max({name}) AS high{i}, avg({axis}) AS mean{i}"
        yield f"min({axis}) AS from{i}, max({axis}) AS to{i}"
        yield f"approx_quantile({axis}, {list(QUANTILES)}) AS q{i}"
        return
    if column.type == "VARCHAR":
        yield f"min(length({name})) AS low{i}, max(length({name})) AS high{i}"
        yield f"avg(length({name})) AS mean{i}"


def _second(i: int, column: Column, seen: Mapping[str, Any]) -> tuple[list[str], list[object]]:
    low, high = seen.get(f"from{i}"), seen.get(f"to{i}")
    if low is None or high is None:
        return [], []
    start, width, bins = _grid(column, low, high)
    at = f"greatest(least(floor(({_axis(column)} - ?) / ?), ?), 0)"
    return [f"histogram(CAST({at} AS INTEGER)) AS h{i}"], [start, width, bins - 1]


def _named(column: Column) -> bool:
    """Whether the values are names, counted one by one, rather than places on an axis."""
    return column.type not in (*_NUMBERS, *_TIMES) and not column.sensitive


def _top(con: duckdb.DuckDBPyConnection, column: Column) -> tuple[Bar, ...]:
    name = quote(column.name)
    found = con.execute(
        f"SELECT {name}, count(*) AS n FROM profiled WHERE {name} IS NOT NULL "
        f"GROUP BY {name} ORDER BY n DESC, {name} LIMIT {_TOP}"
    ).fetchall()
    return tuple(Bar(_value(value), None, n) for value, n in found)


def _grid(column: Column, low: float, high: float) -> tuple[float, float, int]:
    """(start, width, number) of the bins: whole numbers and days are never cut in two."""
    step = {"DOUBLE": 0.0, "DATE": 86_400.0}.get(column.type, 1.0)
    if step:
        steps = int((high - low) // step) + 1
        width = step * -(-steps // _BINS)
        return low, width, max(1, -int(-(steps * step) // width))
    span = high - low
    # Twice the largest double is infinite: such a column has one bin.
    usable = 0 < span < float("inf") and low + span / _BINS > low
    return (low, span / _BINS, _BINS) if usable else (low, 1.0, 1)


def _profile(
    i: int, column: Column, rules: tuple[Rule, ...], rows: int, seen: Mapping[str, Any]
) -> ColumnProfile:
    known = seen[f"n{i}"]
    counts = (column, rules, rows - known, min(seen[f"d{i}"], known))
    if column.sensitive or not known:
        return ColumnProfile(*counts)
    if column.type in (*_NUMBERS, *_TIMES):
        return ColumnProfile(
            *counts,
            _value(seen[f"low{i}"]),
            _value(seen[f"high{i}"]),
            _point(column, seen[f"mean{i}"], exact=False),
            tuple(_point(column, q) for q in seen[f"q{i}"] or ()),
            bins=tuple(_bins(i, column, seen)),
        )
    top = seen[f"top{i}"]
    if column.type == "BOOLEAN":
        return ColumnProfile(*counts, top=top)
    measured = (seen[f"low{i}"], seen[f"high{i}"], seen[f"mean{i}"])
    return ColumnProfile(*counts, *measured, top=top)


def _bins(i: int, column: Column, seen: Mapping[str, Any]) -> Iterator[Bar]:
    counts = seen.get(f"h{i}")
    if not counts:
        return
    start, width, bins = _grid(column, seen[f"from{i}"], seen[f"to{i}"])
    for b in range(bins):
        low, high = start + b * width, start + (b + 1) * width
        yield Bar(_point(column, low), _point(column, high), counts.get(b, 0))


def _point(column: Column, at: float | None, *, exact: bool = True) -> Value:
    """A place on the axis in the column's own form."""
    if at is None:
        return None
    if column.type in _TIMES:
        try:
            when = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=round(at))
        except OverflowError:
            return None
        return when.date().isoformat() if column.type == "DATE" else _value(when)
    return round(at) if exact and column.type != "DOUBLE" else at


def _value(value: object) -> Value:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(sep=" ").removesuffix("+00:00") + "Z"
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def _examples(
    con: duckdb.DuckDBPyConnection, columns: Sequence[Column]
) -> tuple[Mapping[str, Value], ...]:
    shown = [c.name for c in columns if not c.sensitive]
    if not shown:
        return ()
    rows = con.execute(
        f"SELECT {', '.join(map(quote, shown))} FROM profiled LIMIT {_EXAMPLES}"
    ).fetchall()
    return tuple(dict(zip(shown, map(_value, row), strict=True)) for row in rows)
