"""What monitors read: pinned feature rows of some windows, and predictions with their labels."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakehouse import features
from lakehouse import snapshot as snapshots
from lakehouse.audit import literal, quote
from lakehouse.catalog import Domain, Table
from lakehouse.engines.base import Input, InputFile
from lakehouse.engines.connection import connection
from lakehouse.engines.inputs import mount
from lakehouse.interval import Grain, Interval, span
from lakehouse.lake import Lake
from lakehouse.monitoring.counting import WindowCounts, count_windows, index_sql
from lakehouse.monitoring.performance import Predicted
from lakehouse.monitoring.reference import Reference
from lakehouse.scoring import ModelKey, Stored, entity_sql
from lakehouse.snapshot import File, Snapshot
from lakehouse.training.declaration import ModelDeclaration

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pyarrow as pa

__all__ = ["Reading", "Source", "pin"]

_FEATURES, _LABELS, _PREDICTIONS = "watched.features", "watched.labels", "_predictions"


@dataclass(frozen=True)
class Source:
    """A table at one version, with its column of event time."""

    table: Table
    snapshot: Snapshot
    event_time: str

    def files(self, windows: Sequence[Interval]) -> tuple[File, ...]:
        """The files in which rows of some windows can be."""
        return tuple(f for f in self.snapshot.files if f.rows and self._may_hold(f, windows))

    def contents(self, windows: Sequence[Interval]) -> list[tuple[str, str]]:
        """What decides the rows of some windows; how many files a build has does not matter."""
        parts = (part for file in self.files(windows) for part in file.parts if part.rows)
        return sorted({(p.partition or "", p.build.effect if p.build else p.path) for p in parts})

    def _may_hold(self, file: File, windows: Sequence[Interval]) -> bool:
        part = self.table.contract.lake.partition
        if part is None or part.grain is Grain.value or file.partition is None:
            return True
        covered = span(dt.date.fromisoformat(file.partition), part.grain, part.timezone)
        return any(covered.overlaps(window) for window in windows)


@dataclass(frozen=True)
class Reading:
    """The tables of one model, pinned.

    Attributes:
        lake: The lake.
        domain: The model's domain.
        model: Its declaration.
        features: The feature table.
        labels: The table that has the labels: another one, or the same.
        stored: The predictions.
        ripe_until: Event times up to which labels are known by declaration, UTC; None without
            rows.
    """

    lake: Lake
    domain: Domain
    model: ModelDeclaration
    features: Source
    labels: Source
    stored: Stored
    ripe_until: dt.datetime | None

    @property
    def timezone(self) -> str:
        """The zone in which the feature table's days begin."""
        return features.timezone_of(self.features.table)

    @property
    def apart(self) -> bool:
        """Whether labels are in a table of their own."""
        return self.model.label.table is not None

    @property
    def versions(self) -> Mapping[str, int]:
        """Table → the version that is read."""
        found = {one.table.name: one.snapshot for one in (self.features, self.labels)}
        found["ops.predictions"] = self.stored.snapshot
        return {name: one.version for name, one in found.items() if one.exists}

    def watermark(self) -> dt.datetime | None:
        """The newest event of the feature table, UTC; None without rows."""
        files = self.features.files([Interval(_FIRST, _LAST)])
        part = self.features.table.contract.lake.partition
        if part is not None and part.grain is not Grain.value:
            # Later partitions hold later events.
            newest = max((f.partition for f in files if f.partition), default=None)
            files = tuple(f for f in files if f.partition == newest) or files
        with self._connected() as con:
            self._mount(con, _FEATURES, self.features, files)
            at = quote(self.features.event_time)
            ((newest_event,),) = con.execute(f"SELECT max({at}) FROM {_FEATURES}").fetchall()
        return newest_event.astimezone(dt.UTC) if newest_event is not None else None

    def count(self, reference: Reference, windows: Sequence[Interval]) -> tuple[WindowCounts, ...]:
        """Feature rows of some windows in a reference's bins, in one scan."""
        with self._connected() as con:
            self._mount(con, _FEATURES, self.features, self.features.files(windows))
            return count_windows(con, _FEATURES, self.features.event_time, reference, windows)

    def predictions(self, version: int, windows: Sequence[Interval]) -> tuple[int, ...]:
        """How many predictions of a version each window holds."""
        with self._connected() as con:
            self._mount_predictions(con, version)
            found = con.execute(
                f"SELECT {index_sql('event_time', windows)} AS i, count(*) FROM {_PREDICTIONS} "
                f"WHERE {self._whose(version, windows)} GROUP BY i"
            ).fetchall()
        by_index = dict(found)
        return tuple(int(by_index.get(i, 0)) for i in range(len(windows)))

    def predicted(self, version: int, windows: Sequence[Interval]) -> Mapping[Interval, Predicted]:
        """Predictions of a version with their outcomes, by window.

        In a window whose labels are all ripe, those rows that have one. In others every row:
        where the label is not ripe its outcome is the probability.
        """
        with self._connected() as con:
            self._mount_predictions(con, version)
            self._mount(con, _LABELS, self.labels, self._label_files(windows))
            if self.apart and self.model.slices:
                self._mount(con, _FEATURES, self.features, self.features.files(windows))
            rows = con.sql(self._joined(version, windows)).to_arrow_table()
        return dict(self._by_window(rows, windows))

    def _label_files(self, windows: Sequence[Interval]) -> tuple[File, ...]:
        if not self.apart:
            return self.labels.files(windows)
        return self.labels.files([Interval(windows[0].start, _LAST)])

    def label_contents(self, window: Interval) -> list[tuple[str, str]]:
        """What decides the labels, and the slices, of a window."""
        if not self.apart:
            return self.labels.contents([window])
        later = Interval(window.start, window.end + self.model.label.matures_after)
        sliced = self.features.contents([window]) if self.model.slices else []
        return self.labels.contents([later]) + sliced

    def is_ripe(self, window: Interval) -> bool:
        """Whether all labels of a window are known by declaration."""
        return self.ripe_until is not None and window.end <= self.ripe_until

    def _joined(self, version: int, windows: Sequence[Interval]) -> str:
        """SQL: one row per prediction; ``label`` is NULL where it is not known."""
        key, label = self.model.features.key, quote(self.model.label.column)
        slices = [one.column for one in self.model.slices]
        sliced = "".join(f", CAST({quote(c)} AS VARCHAR) AS {quote(c)}" for c in slices)
        chosen = "".join(f", {'s' if self.apart else 'l'}.{quote(c)}" for c in slices)
        at = quote(self.labels.event_time)
        labels = (
            f"SELECT {entity_sql(key)} AS entity, {at} AS instant, "
            f"CAST({label} AS DOUBLE) AS label{'' if self.apart else sliced} FROM {_LABELS}"
        )
        # The outcome of a prediction is that of its own instant, or of the first one after it.
        join = (
            "ASOF LEFT JOIN l ON p.entity = l.entity AND p.event_time <= l.instant"
            if self.apart
            else "LEFT JOIN l ON p.entity = l.entity"
        )
        if self.apart and slices:
            features = f"SELECT {entity_sql(key)} AS entity{sliced} FROM {_FEATURES}"
            join += f" LEFT JOIN (SELECT DISTINCT ON (entity) * FROM ({features})) AS s"
            join += " ON p.entity = s.entity"
        ripe = literal(self.ripe_until or _FIRST)
        day = f"CAST(timezone({literal(self.timezone)}, p.event_time) AS DATE)"
        return (
            f"WITH l AS ({labels}) "
            f"SELECT {index_sql('p.event_time', windows)} AS i, p.probability, l.label, "
            f"coalesce(l.instant, p.event_time) <= {ripe} AS ripe, "
            f"date_diff('day', DATE '1970-01-01', {day}) AS day{chosen} "
            f"FROM {_PREDICTIONS} AS p {join} WHERE {self._whose(version, windows)}"
        )

    def _by_window(
        self, rows: pa.Table, windows: Sequence[Interval]
    ) -> Iterator[tuple[Interval, Predicted]]:
        import numpy as np

        index = _doubles(rows, "i")
        for i, window in enumerate(windows):
            part = rows.filter(index == i) if rows.num_rows else rows
            if not part.num_rows:
                continue
            label, ripe = _doubles(part, "label"), _doubles(part, "ripe") > 0
            probability = _doubles(part, "probability")
            estimated = not self.is_ripe(window)
            # A label that is ripe and NULL will not come.
            known = ripe & ~np.isnan(label)
            kept = known | ~ripe if estimated else known
            outcome = np.where(known, label, probability)
            slices = {
                one.column: np.array([v or "NULL" for v in part.column(one.column).to_pylist()])
                for one in self.model.slices
            }
            day = _doubles(part, "day").astype(np.int64)
            yield window, Predicted(probability, outcome, day, slices, estimated).where(kept)

    def _whose(self, version: int, windows: Sequence[Interval]) -> str:
        start, end = literal(windows[0].start), literal(windows[-1].end)
        return f"version = {version} AND event_time >= {start} AND event_time < {end}"

    def _mount_predictions(self, con: duckdb.DuckDBPyConnection, version: int) -> None:
        import pyarrow.dataset as ds

        from lakehouse.ops import schema_of

        who = ModelKey(self.domain.name, self.model.name, version)
        paths = [f"{self.stored.storage.root}/{f.path}" for f in self.stored.files([who])]
        found = ds.dataset(
            paths,
            schema_of("predictions"),
            filesystem=self.stored.storage.arrow(),
            format="parquet",
        )
        con.register("_stored_predictions", found)
        con.execute(
            f"CREATE OR REPLACE TEMP VIEW {_PREDICTIONS} AS SELECT * FROM _stored_predictions "
            f"WHERE domain = {literal(who.domain)} AND model = {literal(who.model)}"
        )

    def _mount(
        self,
        con: duckdb.DuckDBPyConnection,
        name: str,
        source: Source,
        files: Iterable[File],
    ) -> None:
        part = source.table.contract.lake.partition
        one = Input(
            name,
            self.lake.place(source.table),
            source.table.contract.types,
            part.column if part else None,
            tuple(InputFile(f.path, f.partition) for f in files),
        )
        mount(con, one)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        settings = self.lake.settings
        threads = settings.threads or os.cpu_count() or 1
        with (
            self.lake.storage.reaching(f"watch {self.model.name}"),
            connection(int(settings.worker_memory), threads) as con,
        ):
            yield con


def pin(lake: Lake, domain: Domain, model: ModelDeclaration) -> Reading:
    """Pin the newest versions of what a model is watched by.

    Raises:
        CatalogError: A table is not declared.
        StorageError: The store does not answer.
    """
    source = _source(lake, domain, model.features.table, model.features.event_time)
    labels = source
    if model.label.table is not None:
        at = model.label.event_time or model.features.event_time
        labels = _source(lake, domain, model.label.table, at)
    tables = [one for one in (source, labels) if one.snapshot.exists]
    pinned = {one.table.name: one.snapshot.version for one in tables}
    mark = features.watermark(lake, domain, model, pinned)
    ripe_until = mark - model.label.matures_after if mark else None
    stored = Stored.read(lake.storage)
    return Reading(lake, domain, model, source, labels, stored, ripe_until)


def _source(lake: Lake, domain: Domain, name: str, event_time: str) -> Source:
    table = domain.table(name)
    return Source(table, snapshots.read(lake.place(table), table.name), event_time)


def _doubles(rows: pa.Table, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    import pyarrow as pa

    values = rows.column(name).cast(pa.float64(), safe=False)
    found: np.ndarray[Any, np.dtype[np.float64]] = values.to_numpy()
    return found


_FIRST = dt.datetime(1, 1, 1, tzinfo=dt.UTC)
_LAST = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)
