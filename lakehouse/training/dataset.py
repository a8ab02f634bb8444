"""Rows for a model: Arrow in, the estimator's matrix out, cut by time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakehouse.errors import ModelError
from lakehouse.interval import Interval
from lakehouse.strictyaml import did_you_mean
from lakehouse.training.declaration import ModelDeclaration

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd
    import pyarrow as pa

__all__ = ["DatasetVersion", "Samples", "cut", "matrix"]


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
    """

    table: str
    version: int
    uri: str
    definition_id: str
    partitions: int
    rows: int


@dataclass(frozen=True)
class Samples:
    """Labelled rows of one span, ordered by event time and key.

    Attributes:
        x: Features, shape (rows, features); see :func:`matrix`.
        y: Labels 0 and 1, shape (rows,).
    """

    x: pd.DataFrame
    y: np.ndarray[Any, np.dtype[np.int64]]

    @property
    def rows(self) -> int:
        """How many rows."""
        return len(self.y)


def matrix(table: pa.Table, columns: Sequence[str]) -> pd.DataFrame:
    """Features as an estimator gets them, in training and in scoring alike.

    Text stays text (NULL is None); every number and boolean becomes a double
    (NULL is NaN), so that a column's type does not depend on whether a NULL is
    among its rows.

    Raises:
        ModelError: A column is missing, or is neither text, number nor boolean.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.types as kinds

    _require(table, columns)
    made: dict[str, Any] = {}
    for name in columns:
        column = table.column(name)
        kind = column.type.value_type if kinds.is_dictionary(column.type) else column.type
        if kinds.is_string(kind) or kinds.is_large_string(kind):
            made[name] = column.cast(pa.string()).to_pandas().astype(object)
        elif kinds.is_boolean(kind) or kinds.is_integer(kind):
            made[name] = column.cast(kind).cast(pa.float64(), safe=False).to_pandas()
        elif kinds.is_floating(kind) or kinds.is_decimal(kind):
            made[name] = column.cast(kind).cast(pa.float64()).to_pandas()
        else:
            remedy = "derive a number or text from it in the feature table's SQL"
            raise ModelError(f"use {name!r} as a feature", f"its type is {kind}", remedy)
    return pd.DataFrame(made, columns=list(columns))


def cut(
    declaration: ModelDeclaration, frame: pa.Table, timezone: str
) -> tuple[Samples, Samples, int]:
    """Labelled rows for training and for the test, and the count of rows without a label.

    Rows are ordered by event time and key: what is trained does not depend on
    the order in which files were read.

    Args:
        declaration: Says which columns, and the split.
        frame: One row per entity.
        timezone: The zone of the split's dates: the feature table's.

    Raises:
        ModelError: Columns are missing, an entity occurs twice, a label is not
            0 or 1, or a span holds only one class.
    """
    import pyarrow.compute as pc

    _require(frame, declaration.columns)
    key = list(declaration.features.key)
    entities = frame.group_by(key).aggregate([]).num_rows
    if entities != frame.num_rows:
        found = f"{frame.num_rows - entities} rows repeat a key of {', '.join(key)}"
        raise ModelError(f"train {declaration.name}", found, "make the key unique in its table")
    labelled = frame.filter(pc.is_valid(frame.column(declaration.label.column)))
    order = [declaration.features.event_time, *key]
    ordered = labelled.sort_by([(name, "ascending") for name in order])
    train, test = (
        _samples(declaration, _within(declaration, ordered, interval), span)
        for span, interval in zip(
            ("train", "test"), declaration.split.intervals(timezone), strict=True
        )
    )
    return train, test, frame.num_rows - labelled.num_rows


def _within(declaration: ModelDeclaration, frame: pa.Table, interval: Interval) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    name = declaration.features.event_time
    time = frame.column(name)
    if not kinds.is_timestamp(time.type) or time.type.tz is None:
        remedy = "publish it as TIMESTAMPTZ"
        raise ModelError(f"split by {name!r}", f"its type is {time.type}", remedy)
    utc = pa.timestamp("us", tz="UTC")
    start, end = pa.scalar(interval.start, utc), pa.scalar(interval.end, utc)
    instants = time.cast(utc)
    return frame.filter(pc.and_(pc.greater_equal(instants, start), pc.less(instants, end)))


def _samples(declaration: ModelDeclaration, frame: pa.Table, span: str) -> Samples:
    import numpy as np
    import pyarrow as pa

    asked = f"{span} {declaration.name}"
    first, after = getattr(declaration.split, span)
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
    return Samples(matrix(frame, declaration.features.columns), labels.astype(np.int64))


def _require(table: pa.Table, columns: Sequence[str]) -> None:
    for name in columns:
        if name not in table.column_names:
            remedy = did_you_mean(name, table.column_names)
            raise ModelError(f"read column {name!r}", "the table has no such column", remedy)
