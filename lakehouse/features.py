"""What a model learns from: a window of a feature table at one pinned version."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse import snapshot as snapshots
from lakehouse.build import Lake
from lakehouse.catalog import Domain, Table
from lakehouse.contract import digest
from lakehouse.engines.base import Input, InputFile
from lakehouse.errors import ModelError
from lakehouse.interval import Grain, Interval, span
from lakehouse.snapshot import File, Snapshot
from lakehouse.training.dataset import DatasetVersion
from lakehouse.training.declaration import ModelDeclaration

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Window", "read", "timezone_of", "window"]


@dataclass(frozen=True)
class Window:
    """The gold partitions of a training and test window, pinned.

    Attributes:
        table: The feature table.
        snapshot: The version that is read.
        files: The files that overlap the window.
        fingerprint: Of the model's definition, the feature table's and the files' content.
    """

    table: Table
    snapshot: Snapshot
    files: tuple[File, ...]
    fingerprint: str

    def dataset(self, lake: Lake) -> DatasetVersion:
        """The pinned version in the words of the registry."""
        return DatasetVersion(
            table=self.table.name,
            version=self.snapshot.version,
            uri=lake.place(self.table).uri,
            definition_id=self.table.definition,
            partitions=len({f.partition for f in self.files}),
            rows=sum(f.rows for f in self.files),
        )


def timezone_of(table: Table) -> str:
    """The zone in which the table's days begin."""
    part = table.contract.lake.partition
    return part.timezone if part else "UTC"


def window(
    lake: Lake, domain: Domain, model: ModelDeclaration, version: int | None = None
) -> Window:
    """Pin what a model is trained from.

    Args:
        lake: The lake.
        domain: The model's domain.
        model: The declaration.
        version: A version of the feature table; None for the newest.

    Raises:
        CatalogError: The feature table is not declared.
        ModelError: Nothing is published in the window.
    """
    table = domain.table(model.features.table)
    snapshot = snapshots.read(lake.place(table), table.name, version)
    training, test = model.split.intervals(timezone_of(table))
    files = tuple(f for f in snapshot.files if f.rows and _overlaps(table, f, training, test))
    if not files:
        raise ModelError(
            f"train {model.name}",
            f"{table.name} has no rows between {model.split.train[0]} and {model.split.test[1]}",
            f"lake build {table.short}",
        )
    # A set: how many files a build has does not matter.
    contents = sorted({(f.partition or "", f.build.effect if f.build else f.path) for f in files})
    return Window(table, snapshot, files, digest(model.definition_id, table.definition, contents))


def _overlaps(table: Table, file: File, *intervals: Interval) -> bool:
    part = table.contract.lake.partition
    if part is None or part.grain is Grain.value or file.partition is None:
        return True
    covered = span(dt.date.fromisoformat(file.partition), part.grain, part.timezone)
    return any(covered.overlaps(one) for one in intervals)


def read(lake: Lake, pinned: Window, model: ModelDeclaration) -> pa.Table:
    """The model's columns of the pinned files. Grain: the feature table's."""
    import duckdb

    from lakehouse.audit import quote
    from lakehouse.engines.inputs import mount

    part = pinned.table.contract.lake.partition
    one = Input(
        pinned.table.short,
        lake.place(pinned.table),
        pinned.table.contract.types,
        part.column if part else None,
        tuple(InputFile(f.path, f.partition) for f in pinned.files),
    )
    missing = [c for c in model.columns if c not in pinned.table.contract.types]
    if missing:
        raise ModelError(
            f"train {model.name}",
            f"{pinned.table.name} has no column {', '.join(missing)}",
            f"correct the features of {model.path}",
        )
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        mount(con, one)
        columns = ", ".join(map(quote, model.columns))
        rows: pa.Table = con.sql(f"SELECT {columns} FROM {pinned.table.short}").to_arrow_table()
        return rows
