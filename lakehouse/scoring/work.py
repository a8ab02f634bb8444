"""One version at work: each batch of new rows is read, predicted, staged and committed."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from lakehouse import ledger
from lakehouse.engines.base import StagedFile
from lakehouse.engines.connection import connection
from lakehouse.errors import EngineError
from lakehouse.lake import Lake
from lakehouse.registry import ModelVersion
from lakehouse.scoring import rows
from lakehouse.scoring.plan import Todo, Turn, VersionPlan
from lakehouse.scoring.predict import Made, Probabilities, predicted
from lakehouse.scoring.publish import Publisher, drafting
from lakehouse.scoring.stored import Part, Stored

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["Opening", "Work"]

#: Staged rows and files after which they are committed: who is killed loses no more.
_COMMIT_ROWS, _COMMIT_FILES = 4_000_000, 1_000

#: Batches, and the parts that begin with one, which wait while the model works.
_AHEAD = 3


class Opening(Protocol):
    """How a version is loaded."""

    def __call__(
        self, version: ModelVersion, /
    ) -> contextlib.AbstractContextManager[Probabilities]:
        """Its probabilities, as long as the context lasts."""
        ...


@dataclass
class Work:
    """One version's share of a run; the counts grow as it goes on.

    Attributes:
        lake: The lake.
        todo: What is to be scored of the model.
        plan: The version's part of it.
        run: The run's id.
        opening: How the version is loaded; it is only when there are rows for it.
        progress: Told each step.
        looked: Partitions whose rows are committed.
        rows: Predictions that were added.
        known: Rows whose entity had been predicted before.
        table_version: The version of ``ops.predictions`` after the last commit.
    """

    lake: Lake
    todo: Todo
    plan: VersionPlan
    run: str
    opening: Opening
    progress: Callable[[str], None]
    looked: list[str] = field(default_factory=list)
    rows: int = 0
    known: int = 0
    table_version: int = -1

    def score(self) -> None:
        """Do it.

        Raises:
            ModelError: The rows or the model are not as they must be.
            CommitError: A commit failed; what was committed before stays.
            EngineError: Memory did not suffice.
            StorageError: The store does not answer.
        """
        import duckdb

        settings = self.lake.settings
        threads = settings.threads or os.cpu_count() or 1
        memory = int(settings.worker_memory)
        asked = f"score {self.todo.table.name} with {self.plan.version.name}"
        try:
            with connection(memory, threads) as con, contextlib.ExitStack() as held:
                self._score(con, held)
        except duckdb.OutOfMemoryException as error:
            found = f"more memory than the worker's {memory:,} bytes: {str(error)[:200]}"
            raise EngineError(asked, found, "raise LAKE_WORKER_MEMORY") from error
        except (OSError, duckdb.Error) as error:
            raise self.lake.storage.failed(asked, error) from error

    def _score(self, con: duckdb.DuckDBPyConnection, held: contextlib.ExitStack) -> None:
        stored = Stored.read(self.lake.storage)
        done = stored.scored(self.plan.who)
        place = self.lake.place(self.todo.table)
        total = rows.check(con, self.todo, self.plan, place)
        known = rows.find_known(con, self.todo, self.plan, stored)
        self.known = len(known)
        version = f"{self.plan.version.name} version {self.plan.version.version}"
        self.progress(f"{version}: {total - self.known:,} rows to score, {self.known:,} known")
        publisher = Publisher(stored, self.plan.who, self.run)
        turns = [turn for turn in self.plan.turns if turn.part.folder not in done]
        staged: list[tuple[Part, StagedFile]] = []
        made = self._predicted(self._batches(con, turns, known), _Model(self, held))
        for part, tables in itertools.groupby(made, key=lambda one: one[0]):
            staged.append((part, self._stage(stored, part, (table for _, table in tables))))
            if sum(f.rows for _, f in staged) >= _COMMIT_ROWS or len(staged) >= _COMMIT_FILES:
                self._commit(publisher, staged)
        if staged:
            self._commit(publisher, staged)

    def _batches(
        self, con: duckdb.DuckDBPyConnection, turns: Sequence[Turn], known: pa.ChunkedArray[Any]
    ) -> Iterator[tuple[Part, pa.Table | None]]:
        """The rows to be predicted of each part, after a None that stands for the part itself."""
        place = self.lake.place(self.todo.table)
        for turn in turns:
            yield turn.part, None
            for batch in rows.batches(con, self.todo, self.plan, turn, place, known):
                if batch.num_rows:
                    yield turn.part, batch

    def _predicted(
        self, batches: Iterator[tuple[Part, pa.Table | None]], model: _Model
    ) -> Iterator[tuple[Part, pa.Table | None]]:
        """The same, predicted: while one batch is, the next is read and the last is written."""
        made = Made(self.plan, self.todo.snapshot.version, ledger.now(), self.run)

        def predict(part: Part, batch: pa.Table | None) -> pa.Table | None:
            return batch and predicted(made, part, batch, model.probabilities)

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting: collections.deque[tuple[Part, concurrent.futures.Future[Any]]]
            waiting = collections.deque()
            for part, batch in batches:
                waiting.append((part, pool.submit(predict, part, batch)))
                while len(waiting) > _AHEAD:
                    first, future = waiting.popleft()
                    yield first, future.result()
            for part, future in waiting:
                yield part, future.result()

    def _stage(self, stored: Stored, part: Part, tables: Iterable[pa.Table | None]) -> StagedFile:
        with drafting(stored.storage, self.plan.who, part) as (draft, written):
            for table in tables:
                if table is not None:
                    draft.add(table)
        assert written.file is not None
        return written.file

    def _commit(self, publisher: Publisher, staged: list[tuple[Part, StagedFile]]) -> None:
        self.table_version, added = publisher.commit(staged)
        self.rows += added
        self.looked += [part.partition or "all rows" for part, _ in staged]
        self.progress(
            f"{self.plan.version.name} version {self.plan.version.version}: "
            f"{self.rows:,} predictions in version {self.table_version} of ops.predictions"
        )
        staged.clear()


@dataclass
class _Model:
    """A version that is loaded when the first rows come."""

    work: Work
    held: contextlib.ExitStack
    _opened: Probabilities | None = None

    @property
    def probabilities(self) -> Probabilities:
        if self._opened is None:
            self._opened = self.held.enter_context(self.work.opening(self.work.plan.version))
        return self._opened
