"""What a model learns from: windows of a feature table, and of its labels', at pinned versions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from lakehouse import snapshot as snapshots
from lakehouse.audit import quote
from lakehouse.build import Lake
from lakehouse.catalog import Domain, Table
from lakehouse.contract import digest
from lakehouse.engines.base import Input, InputFile
from lakehouse.errors import ModelError
from lakehouse.interval import Grain, Interval, span
from lakehouse.snapshot import File, Snapshot
from lakehouse.training import asof
from lakehouse.training.dataset import DatasetVersion
from lakehouse.training.declaration import ModelDeclaration
from lakehouse.training.split import Windows

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["Pinned", "Window", "read", "timezone_of", "watermark", "window"]


@dataclass(frozen=True)
class Pinned:
    """Some files of a table at one version.

    Attributes:
        table: The table.
        snapshot: The version that is read.
        files: Those of its files that can matter.
    """

    table: Table
    snapshot: Snapshot
    files: tuple[File, ...]

    def dataset(self, lake: Lake) -> DatasetVersion:
        """The pinned version in the words of the registry."""
        return DatasetVersion(
            table=self.table.name,
            version=self.snapshot.version,
            uri=lake.place(self.table).uri,
            definition_id=self.table.definition,
            partitions=len({f.partition for f in self.files}),
            rows=sum(f.rows for f in self.files),
            accepts=self.table.contract.lake.accepts,
        )

    @property
    def contents(self) -> list[tuple[str, str]]:
        """What decides its rows; how many files a build has does not matter."""
        parts = (part for file in self.files for part in file.parts if part.rows)
        return sorted({(p.partition or "", p.build.effect if p.build else p.path) for p in parts})


@dataclass(frozen=True)
class Window(Pinned):
    """The gold partitions of a training and test window, pinned.

    Attributes:
        fingerprint: Of the model's definition, the tables', the files' content, and the windows.
        windows: The dates; None where only some partitions are read.
        watermark: The newest event of the feature table and, where they are apart, of the labels'.
        labels: The label's table, where it is not the feature table.
    """

    fingerprint: str
    windows: Windows | None = None
    watermark: dt.datetime | None = None
    labels: Pinned | None = None

    @property
    def tables(self) -> tuple[Pinned, ...]:
        """What is read, the feature table first."""
        return (self, *([self.labels] if self.labels else []))

    @property
    def versions(self) -> Mapping[str, int]:
        """Table → the version that is read."""
        return {one.table.name: one.snapshot.version for one in self.tables}

    def datasets(self, lake: Lake) -> list[DatasetVersion]:
        """All pinned versions in the words of the registry."""
        return [one.dataset(lake) for one in self.tables]


def timezone_of(table: Table) -> str:
    """The zone in which the table's days begin."""
    part = table.contract.lake.partition
    return part.timezone if part else "UTC"


def watermark(
    lake: Lake,
    domain: Domain,
    model: ModelDeclaration,
    pinned: Mapping[str, int] | None = None,
) -> dt.datetime | None:
    """The newest event that the feature table knows of, UTC; None where there are no rows.

    Where labels are of another table, the older of the two newest events.

    Args:
        lake: The lake.
        domain: The model's domain.
        model: The declaration.
        pinned: Table → its version, by full names; the newest of those that are not named.

    Raises:
        CatalogError: A table is not declared.
    """
    newest = [_extent(lake, one, column)[1] for one, column in _whole(lake, domain, model, pinned)]
    return min((one for one in newest if one is not None), default=None) if all(newest) else None


def window(
    lake: Lake,
    domain: Domain,
    model: ModelDeclaration,
    pinned: Mapping[str, int] | None = None,
) -> Window:
    """Pin what a model is trained from.

    Args:
        lake: The lake.
        domain: The model's domain.
        model: The declaration.
        pinned: Table → its version, by full names; the newest of those that are not named.

    Raises:
        CatalogError: A table is not declared.
        ModelError: Nothing is published in the window.
    """
    whole = _whole(lake, domain, model, pinned)
    extents = [_extent(lake, one, column) for one, column in whole]
    newest = [last for _, last in extents if last is not None]
    mark = min(newest) if len(newest) == len(extents) else None
    (source, _), *labels = whole
    timezone = timezone_of(source.table)
    first = extents[-1][0]
    day = first.astimezone(ZoneInfo(timezone)).date() if first else None
    windows = model.windows(mark, timezone, day)
    spans = windows.intervals(timezone)
    # A feature row may be much older than the label that it is joined to.
    needed = spans if not labels else (Interval(_FIRST, spans[1].end),)
    features = _cut(source, needed)
    outcome = _cut(labels[0][0], spans) if labels else None
    tables = [features, *([outcome] if outcome else [])]
    for one in tables:
        if not one.files:
            found = f"{one.table.name} has no rows between {windows.train[0]} and {windows.test[1]}"
            raise ModelError(f"train {model.name}", found, f"lake build {one.table.short}")
    of_labels = [x for one in tables[1:] for x in (one.table.definition, one.contents)]
    fingerprint = digest(
        model.definition_id,
        features.table.definition,
        features.contents,
        *of_labels,
        [[str(day) for day in pair] for pair in (windows.train, windows.test)],
        str(mark) if _young(mark, model, spans[1]) else "",
    )
    return Window(
        features.table, features.snapshot, features.files, fingerprint, windows, mark, outcome
    )


_FIRST = dt.datetime(1, 1, 1, tzinfo=dt.UTC)


def _young(mark: dt.datetime | None, model: ModelDeclaration, test: Interval) -> bool:
    """Whether the watermark decides which labels of the test are ripe."""
    return mark is not None and mark - model.label.matures_after < test.end


def _whole(
    lake: Lake, domain: Domain, model: ModelDeclaration, pinned: Mapping[str, int] | None
) -> list[tuple[Pinned, str]]:
    """The tables that a model reads, whole, each with its column of event time."""
    named = [(model.features.table, model.features.event_time)]
    if model.label.table is not None:
        named.append((model.label.table, model.label.event_time or model.features.event_time))
    found = []
    for name, column in named:
        table = domain.table(name)
        version = (pinned or {}).get(table.name)
        snapshot = snapshots.read(lake.place(table), table.name, version)
        files = tuple(f for f in snapshot.files if f.rows)
        found.append((Pinned(table, snapshot, files), column))
    return found


def _cut(source: Pinned, spans: Sequence[Interval]) -> Pinned:
    files = tuple(f for f in source.files if _overlaps(source.table, f, spans))
    return Pinned(source.table, source.snapshot, files)


def _overlaps(table: Table, file: File, spans: Sequence[Interval]) -> bool:
    part = table.contract.lake.partition
    if part is None or part.grain is Grain.value or file.partition is None:
        return True
    covered = span(dt.date.fromisoformat(file.partition), part.grain, part.timezone)
    return any(covered.overlaps(one) for one in spans)


def _extent(
    lake: Lake, source: Pinned, column: str
) -> tuple[dt.datetime | None, dt.datetime | None]:
    """The oldest and the newest event of a table."""
    if not source.files:
        return None, None
    _require(source, [column], "find the newest event")
    told = snapshots.bounds(lake.place(source.table), source.snapshot.version, column)
    if told is not None:
        return told
    with _mounted(lake, source) as con:
        name = quote(column)
        found = con.sql(f"SELECT min({name}) AS a, max({name}) AS b FROM {source.table.short}")
        (row,) = found.to_arrow_table().to_pylist()
    for value in row.values():
        if value is not None and (not isinstance(value, dt.datetime) or value.tzinfo is None):
            kind = source.table.contract.types[column]
            asked = f"find the newest event of {source.table.name} by {column}"
            raise ModelError(asked, f"its type is {kind}", "publish it as TIMESTAMPTZ")
    return row["a"], row["b"]


def read(lake: Lake, pinned: Window, model: ModelDeclaration, also: Sequence[str] = ()) -> pa.Table:
    """The model's columns of the pinned files. Grain: one row per entity and event.

    Labels of another table are joined as they, and the features, were known at the time.

    Args:
        lake: The lake.
        pinned: Which files.
        model: The declaration.
        also: More columns of the feature table, for a champion; those that it lacks are left out.

    Raises:
        ModelError: A table lacks a column.
    """
    asked = f"train {model.name}"
    _require(pinned, model.columns, asked, str(model.path))
    more = [c for c in also if c in pinned.table.contract.types and c not in model.joined]
    with _mounted(lake, pinned) as con:
        if pinned.labels is None:
            columns = ", ".join(map(quote, (*model.columns, *more)))
            rows: pa.Table = con.sql(f"SELECT {columns} FROM {pinned.table.short}").to_arrow_table()
            return rows
        _require(pinned.labels, model.label_columns, asked, str(model.path))
        _mount(con, lake, pinned.labels)
        return asof.join(model, con, pinned.table.short, pinned.labels.table.short, more)


def _require(source: Pinned, columns: Sequence[str], asked: str, file: str = "") -> None:
    missing = [c for c in columns if c not in source.table.contract.types]
    if missing:
        found = f"{source.table.name} has no column {', '.join(missing)}"
        raise ModelError(asked, found, f"correct the declaration {file}".rstrip())


def _mounted(lake: Lake, source: Pinned) -> duckdb.DuckDBPyConnection:
    import duckdb

    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    _mount(con, lake, source)
    return con


def _mount(con: duckdb.DuckDBPyConnection, lake: Lake, source: Pinned) -> None:
    from lakehouse.engines.inputs import mount

    part = source.table.contract.lake.partition
    one = Input(
        source.table.short,
        lake.place(source.table),
        source.table.contract.types,
        part.column if part else None,
        tuple(InputFile(f.path, f.partition) for f in source.files),
    )
    mount(con, one)
