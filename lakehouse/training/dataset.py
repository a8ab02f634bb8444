"""Rows for a model: Arrow in, the estimator's matrix out, cut by time."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakehouse.errors import ModelError
from lakehouse.interval import Interval
from lakehouse.strictyaml import did_you_mean
from lakehouse.training.conditions import SliceOf
from lakehouse.training.declaration import ModelDeclaration
from lakehouse.training.split import Windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    import pandas as pd
    import pyarrow as pa

__all__ = ["DatasetVersion", "Samples", "Spans", "cut", "matrix", "slices_of", "typed"]


@dataclass(frozen=True)
class DatasetVersion:
    """One version of a Delta table that was read.

    Attributes:
        table: Its full name, ``flights.gold.flight_features``.
        version: The Delta version.
        uri: Where it lies.
        definition_id: What its SQL and contract were.
        partitions: How many of its partitions were read.
        rows: How many rows were read.
        accepts: Replaced definition ids that gave the same rows.
    """

    table: str
    version: int
    uri: str
    definition_id: str
    partitions: int
    rows: int
    accepts: tuple[str, ...] = ()


def _no_features() -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame()


@dataclass(frozen=True)
class Samples:
    """Labelled rows of one span, ordered by event time and key.

    Attributes:
        x: Features, shape (rows, features); see :func:`matrix`.
        y: Labels 0 and 1, shape (rows,).
        day: Local day of the event time, as days since 1970, shape (rows,).
        parts: Column → its values, for slices; each of shape (rows,).
        extra: Columns that may be features of the champion alone, shape (rows, columns).
    """

    x: pd.DataFrame
    y: np.ndarray[Any, np.dtype[np.int64]]
    day: np.ndarray[Any, np.dtype[np.int64]]
    parts: Mapping[str, np.ndarray[Any, np.dtype[np.object_]]] = field(default_factory=dict)
    extra: pd.DataFrame = field(default_factory=_no_features)

    @property
    def rows(self) -> int:
        """How many rows."""
        return len(self.y)

    def only(self, rows: np.ndarray[Any, np.dtype[np.bool_]]) -> Samples:
        """Some of the rows; ``rows`` of shape (rows,)."""
        parts = {name: values[rows] for name, values in self.parts.items()}
        extra = self.extra[rows] if len(self.extra) else self.extra
        return Samples(self.x[rows], self.y[rows], self.day[rows], parts, extra)


@dataclass(frozen=True)
class Spans:
    """What a model learns from and what it is judged on.

    Attributes:
        train: Rows of the training window.
        test: Rows of the test window.
        left_out: Rows of both windows that do not count: their label is not known or not ripe,
            or they were known too late.
    """

    train: Samples
    test: Samples
    left_out: int


def slices_of(
    samples: Samples, declared: Sequence[SliceOf]
) -> Iterator[tuple[str, np.ndarray[Any, np.dtype[np.int64]]]]:
    """Each slice with enough rows, ``column=value``, and the positions of its rows."""
    import numpy as np

    for one in declared:
        names, codes = np.unique(samples.parts[one.column].astype(str), return_inverse=True)
        counts = np.bincount(codes, minlength=len(names))
        for i in np.flatnonzero(counts >= one.min_rows):
            yield f"{one.column}={names[i]}", np.flatnonzero(codes == i)


def matrix(table: pa.Table, columns: Sequence[str]) -> pd.DataFrame:
    """Features as an estimator gets them, in training and in scoring alike.

    Text stays text (NULL is None); every number and boolean becomes a double
    (NULL is NaN), so that a column's type does not depend on whether a NULL is
    among its rows.

    Raises:
        ModelError: A column is missing, or is neither text, number nor boolean.
    """
    import pandas as pd
    import pyarrow.types as kinds

    made: dict[str, Any] = {}
    for name, column in zip(columns, typed(table, columns).columns, strict=True):
        values = column.to_pandas()
        made[name] = values.astype(object) if kinds.is_string(column.type) else values
    return pd.DataFrame(made, columns=list(columns))


def typed(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Features as text and doubles, as :func:`matrix` has them, still in Arrow.

    Raises:
        ModelError: A column is missing, or is neither text, number nor boolean.
    """
    import pyarrow as pa
    import pyarrow.types as kinds

    _require(table, columns)
    made: list[Any] = []
    for name in columns:
        column = table.column(name)
        kind = _kind(column)
        if not _may_be_feature(kind):
            remedy = "derive a number or text from it in the feature table's SQL"
            raise ModelError(f"use {name!r} as a feature", f"its type is {kind}", remedy)
        if kinds.is_string(kind) or kinds.is_large_string(kind):
            made.append(column.cast(pa.string()))
        elif kinds.is_boolean(kind) or kinds.is_integer(kind):
            made.append(column.cast(kind).cast(pa.float64(), safe=False))
        else:
            made.append(column.cast(kind).cast(pa.float64()))
    return pa.table(made, list(columns))


def _kind(column: pa.ChunkedArray[Any]) -> pa.DataType:
    import pyarrow.types as kinds

    kind: pa.DataType = column.type
    return kind.value_type if kinds.is_dictionary(kind) else kind


def _may_be_feature(kind: pa.DataType) -> bool:
    import pyarrow.types as kinds

    text = kinds.is_string(kind) or kinds.is_large_string(kind)
    number = kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind)
    return text or number or kinds.is_boolean(kind)


def cut(
    declaration: ModelDeclaration,
    frame: pa.Table,
    timezone: str,
    windows: Windows | None = None,
    watermark: dt.datetime | None = None,
) -> Spans:
    """Labelled rows for training and for the test.

    Rows are ordered by event time and key: what is trained does not depend on
    the order in which files were read.

    Args:
        declaration: Says which columns, and the split.
        frame: One row per entity.
        timezone: The zone of the windows' dates: the feature table's.
        windows: The split's at the watermark; None for those of a fixed split.
        watermark: The newest event, UTC: labels of rows that are younger than it by less than
            they take to ripen do not count. None: every label that is there is ripe.

    Raises:
        ModelError: Columns are missing, an entity occurs twice, a label is not
            0 or 1, or a span holds only one class.
    """
    _require(frame, declaration.joined)
    key = list(declaration.features.key)
    # With labels of their own table an entity is predicted about more than once.
    unique = key if declaration.label.table is None else [*key, declaration.features.event_time]
    entities = frame.group_by(unique).aggregate([]).num_rows
    if entities != frame.num_rows:
        found = f"{frame.num_rows - entities} rows repeat a key of {', '.join(unique)}"
        raise ModelError(f"train {declaration.name}", found, "make the key unique in its table")
    spans = windows or declaration.windows(watermark, timezone)
    ordered = frame.sort_by([(n, "ascending") for n in (declaration.features.event_time, *key)])
    made, left_out = [], 0
    intervals = spans.intervals(timezone)
    # A label counts from when it was known: for training, before the test begins.
    for name, within, known in zip(
        ("train", "test"), intervals, (intervals[1].start, watermark), strict=True
    ):
        rows = _within(declaration, ordered, within)
        counted = _counted(declaration, rows, watermark, known)
        left_out += rows.num_rows - counted.num_rows
        made.append(_samples(declaration, counted, name, getattr(spans, name), timezone))
    return Spans(made[0], made[1], left_out)


def _within(declaration: ModelDeclaration, frame: pa.Table, interval: Interval) -> pa.Table:
    import pyarrow.compute as pc

    time = _instants(frame, declaration.features.event_time, "split")
    start, end = _instant(interval.start), _instant(interval.end)
    return frame.filter(pc.and_(pc.greater_equal(time, start), pc.less(time, end)))


def _counted(
    declaration: ModelDeclaration,
    frame: pa.Table,
    watermark: dt.datetime | None,
    known: dt.datetime | None,
) -> pa.Table:
    """Rows whose label is known and ripe, and whose features were known when it was asked."""
    import pyarrow.compute as pc

    features, label = declaration.features, declaration.label
    time = _instants(frame, features.event_time, "split")
    counts = pc.is_valid(frame.column(label.column))
    if watermark is not None:
        ripe = pc.less_equal(time, _instant(watermark - label.matures_after))
        counts = pc.and_(counts, ripe)
    if known is not None:
        # Without an arrival of its own a label is known once it is ripe.
        arrived = (
            pc.add(time, _length(label.matures_after))
            if label.available_at is None
            else _instants(frame, label.available_at, "know labels")
        )
        counts = pc.and_(counts, pc.less_equal(arrived, _instant(known)))
    if features.available_at is not None:
        arrived = _instants(frame, features.available_at, "know features")
        asked = pc.subtract(time, _length(features.lead))
        counts = pc.and_(counts, pc.less_equal(arrived, asked))
    return frame.filter(counts)


def _instants(frame: pa.Table, name: str, what: str) -> pa.ChunkedArray[Any]:
    import pyarrow as pa
    import pyarrow.types as kinds

    time = frame.column(name)
    if not kinds.is_timestamp(time.type) or time.type.tz is None:
        remedy = "publish it as TIMESTAMPTZ"
        raise ModelError(f"{what} by {name!r}", f"its type is {time.type}", remedy)
    return time.cast(pa.timestamp("us", tz="UTC"))


def _instant(at: dt.datetime) -> pa.Scalar[Any]:
    import pyarrow as pa

    return pa.scalar(at, pa.timestamp("us", tz="UTC"))


def _length(of: dt.timedelta) -> pa.Scalar[Any]:
    import pyarrow as pa

    return pa.scalar(of, pa.duration("us"))


def _samples(
    declaration: ModelDeclaration,
    frame: pa.Table,
    span: str,
    dates: tuple[dt.date, dt.date],
    timezone: str,
) -> Samples:
    import numpy as np
    import pyarrow as pa

    asked = f"{span} {declaration.name}"
    first, after = dates
    name = declaration.label.column
    labels = frame.column(name).cast(pa.float64(), safe=False).to_numpy()
    classes = set(np.unique(labels).tolist())
    if not classes <= {0.0, 1.0}:
        found = f"label {name!r} holds {sorted(classes - {0.0, 1.0})[0]:g}"
        raise ModelError(asked, found, "make it BOOLEAN, or 0 and 1")
    if len(classes) < 2:
        found = f"{frame.num_rows} labelled rows from {first} until {after}, "
        found += f"all of class {int(classes.pop())}" if classes else "none of either class"
        remedy = "build the feature table for that span (lake plan), or widen the split"
        raise ModelError(asked, found, remedy, file=str(declaration.path))
    return Samples(
        matrix(frame, declaration.features.columns),
        labels.astype(np.int64),
        _days(_instants(frame, declaration.features.event_time, "split"), timezone),
        {s.column: _values(frame.column(s.column)) for s in declaration.slices},
        matrix(frame, _extra(declaration, frame)),
    )


def _extra(declaration: ModelDeclaration, frame: pa.Table) -> list[str]:
    """Columns that are features of the champion, or may be, and are none of the model.

    A column that rows are only sliced by now was perhaps a feature before.
    """
    label = declaration.label
    sliced = {one.column for one in declaration.slices}
    own = {*declaration.features.columns, label.column, label.available_at}
    own |= set(declaration.joined) - sliced
    usable = (n for n in frame.column_names if _may_be_feature(_kind(frame.column(n))))
    return [name for name in usable if name not in own]


def _days(instants: pa.ChunkedArray[Any], timezone: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    zoned: Any = instants.cast(pa.timestamp("us", tz=timezone))
    local = pc.local_timestamp(zoned)
    found = local.cast(pa.date32(), safe=False).cast(pa.int32()).to_numpy()
    return np.asarray(found, dtype=np.int64)


def _values(column: pa.ChunkedArray[Any]) -> np.ndarray[Any, np.dtype[np.object_]]:
    import numpy as np

    values = ["NULL" if value is None else str(value) for value in column.to_pylist()]
    return np.array(values, dtype=object)


def _require(table: pa.Table, columns: Sequence[str]) -> None:
    for name in columns:
        if name not in table.column_names:
            remedy = did_you_mean(name, table.column_names)
            raise ModelError(f"read column {name!r}", "the table has no such column", remedy)
