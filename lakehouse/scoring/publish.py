"""Predictions as files: staged one per feature partition, and committed exactly once.

Whoever commits looks, at each attempt, at what others have committed since he looked for what was
known: rows that another scorer of the same version was first with are left out.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakehouse.audit import literal
from lakehouse.engines.base import StagedFile
from lakehouse.engines.connection import connection
from lakehouse.engines.writer import statistic
from lakehouse.ops import types_of
from lakehouse.scoring import stored as predictions
from lakehouse.scoring.stored import TABLE, ModelKey, Part, Stored
from lakehouse.snapshot import File, Snapshot
from lakehouse.storage import Storage
from lakehouse.transaction import Change, Form, Transaction

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Draft", "Publisher", "drafting"]

#: What is worth bounds: a reader skips files and row groups by them.
_BOUNDED: Any = ["domain", "model", "version", "event_time"]
_MEMORY = 1024**3


class Draft:
    """One file of predictions that is being written; see :func:`drafting`.

    Attributes:
        rows: Rows written so far.
    """

    def __init__(self, who: ModelKey, path: str, writer: Any) -> None:
        self.who, self.path, self.rows = who, path, 0
        self._writer, self._bounds = writer, [None, None]

    def add(self, rows: pa.Table) -> None:
        """Append rows of :func:`lakehouse.scoring.stored.file_schema`."""
        import pyarrow.compute as pc

        if not rows.num_rows:
            return
        self._writer.write_table(rows)
        self.rows += rows.num_rows
        found: dict[str, Any] = pc.min_max(rows["event_time"]).as_py()  # type: ignore[assignment]
        low, high = self._bounds
        self._bounds = [
            found["min"] if low is None else min(low, found["min"]),
            found["max"] if high is None else max(high, found["max"]),
        ]

    @property
    def stats(self) -> str:
        """Delta statistics."""
        low, high = self._bounds
        if low is None:
            return json.dumps({"numRecords": self.rows})
        version = self.who.version
        told = {
            "numRecords": self.rows,
            "minValues": {"version": version, "event_time": statistic(low)},
            "maxValues": {"version": version, "event_time": statistic(high)},
            "nullCount": {"version": 0, "event_time": 0},
        }
        return json.dumps(told)


@dataclass
class _Written:
    """The file, once :func:`drafting` has closed it."""

    file: StagedFile | None = None


@contextlib.contextmanager
def drafting(storage: Storage, who: ModelKey, part: Part) -> Iterator[tuple[Draft, _Written]]:
    """Write one file of predictions below the table's directory, which no log knows yet.

    Args:
        storage: The place of ``ops.predictions``.
        who: Who predicts.
        part: From what.

    Yields:
        The draft, and what holds the staged file when the block has ended.
    """
    import pyarrow as pa
    import pyarrow.fs
    import pyarrow.parquet as pq

    path, filesystem = predictions.new_path(who, part), storage.arrow()
    schema = predictions.file_schema()
    target, written = f"{storage.root}/{path}", _Written()
    if isinstance(filesystem, pyarrow.fs.LocalFileSystem):
        filesystem.create_dir(target.rpartition("/")[0], recursive=True)
    repeated: Any = [f.name for f in schema if pa.types.is_dictionary(f.type)]
    with filesystem.open_output_stream(target) as sink:
        with pq.ParquetWriter(
            sink,
            schema,
            compression="zstd",
            use_dictionary=repeated,
            write_statistics=_BOUNDED,
            # Else a reader would take the dictionaries for the columns' type.
            store_schema=False,
        ) as writer:
            draft = Draft(who, path, writer)
            yield draft, written
        size = int(sink.tell())
    stored = filesystem.get_file_info(target).size
    if stored != size:
        raise OSError(f"{path} has {stored} bytes in the store, {size} were written")
    written.file = StagedFile(path, size, draft.rows, None, draft.stats)


class Publisher:
    """Commits the staged predictions of one version.

    Args:
        stored: What was there when the version's entities were looked up.
        who: Who predicted.
        run: The run's id, for the history.
    """

    def __init__(self, stored: Stored, who: ModelKey, run: str) -> None:
        self.stored, self.who, self.run = stored, who, run
        self._seen = {file.path for file in stored.snapshot.files}

    def commit(self, staged: Sequence[tuple[Part, StagedFile]]) -> tuple[int, int]:
        """Make staged files live, without rows that others were first with.

        Args:
            staged: Each with the part that it was made from.

        Returns:
            The version of ``ops.predictions`` that holds them, and their rows.

        Raises:
            CommitConflict: Others won every attempt.
            CommitError: The store refused.
        """
        meant = list(staged)

        def change(now: Snapshot) -> Change:
            live = {file.path for file in now.files}
            if any(file.path in live for _, file in meant):
                # An attempt that seemed to fail had won: a commit is whole, or not at all.
                return Change([], [])
            meant[:] = self._unknown(now, meant)
            return Change([file for _, file in meant], [])

        form = Form(types_of(TABLE), None)
        place = self.stored.storage
        version = Transaction(f"ops.{TABLE}", place, form, self.run, "").commit(change)
        self._seen.update(file.path for _, file in meant)
        return version, sum(file.rows for _, file in meant)

    def _unknown(
        self, now: Snapshot, staged: Sequence[tuple[Part, StagedFile]]
    ) -> list[tuple[Part, StagedFile]]:
        """The staged files, without what has become live since it was looked."""
        current = Stored(self.stored.storage, now)
        fresh = [f for f in current.files([self.who]) if f.path not in self._seen]
        self._seen.update(file.path for file in fresh)
        if not fresh:
            return list(staged)
        known = current.scored(self.who)
        with self.stored.storage.reaching(f"look for new rows of ops.{TABLE}"):
            left = self._without(fresh, staged)
        return [(part, file) for part, file in left if file.rows or part.folder not in known]

    def _without(
        self, fresh: Sequence[File], staged: Sequence[tuple[Part, StagedFile]]
    ) -> Iterator[tuple[Part, StagedFile]]:
        storage, (domain, model, version) = self.stored.storage, self.who
        of = f"domain = {literal(domain)} AND model = {literal(model)} AND version = {version}"
        with connection(_MEMORY, 1) as con:
            predictions.mount(con, "_fresh", storage, fresh, of)
            for part, file in staged:
                predictions.mount(con, "_staged", storage, [_file(file)])
                con.execute(
                    "CREATE OR REPLACE TEMP TABLE _twice AS SELECT DISTINCT entity FROM _fresh "
                    "WHERE entity IN (SELECT entity FROM _staged)"
                )
                if con.execute("SELECT count(*) FROM _twice").fetchall() == [(0,)]:
                    yield part, file
                    continue
                query = "FROM _staged WHERE entity NOT IN (FROM _twice)"
                with drafting(storage, self.who, part) as (draft, written):
                    for batch in con.sql(query).to_arrow_reader(250_000):
                        draft.add(_table(batch))
                assert written.file is not None
                yield part, written.file


def _file(staged: StagedFile) -> File:
    return File(staged.path, staged.size, staged.rows, None, None, None, 0)


def _table(batch: pa.RecordBatch) -> pa.Table:
    import pyarrow as pa

    schema = predictions.file_schema()
    columns = [
        column.dictionary_encode() if pa.types.is_dictionary(field.type) else column
        for field, column in zip(schema, pa.Table.from_batches([batch]).columns, strict=True)
    ]
    return pa.table(columns, schema.names).cast(schema)
