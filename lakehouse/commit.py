"""Publish staged files: the only code that writes to a declared table's log.

One Delta write transaction replaces exactly the files it means to replace. The
rules, each with a test: two builders of one table cannot both win (an app
transaction); after any error the log is looked at before anybody is told that
the commit failed (a lost reply looks like a conflict); the loser commits again
what still holds; quarantine is published before its table; what is live after a
commit is what was meant.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lakehouse import snapshot as snapshots
from lakehouse.catalog import Table
from lakehouse.engines.base import Staged, StagedFile
from lakehouse.engines.writer import QUARANTINE_COLUMNS
from lakehouse.errors import CommitConflict, CommitError, SchemaChangeError, cause
from lakehouse.snapshot import File, Snapshot
from lakehouse.storage import Storage
from lakehouse.types import delta

if TYPE_CHECKING:
    from deltalake import DeltaTable, Schema

__all__ = ["Commit", "append", "publish", "quarantine_of"]

#: Actions in one commit; more would make a log entry that takes gigabytes to write.
MAX_ACTIONS = 20_000
_ATTEMPTS = 60
#: Attempts that may fail for another reason than another builder.
_FAILURES = 5
_APP = "lake"

#: Nothing that one of the engines cannot read; only maintenance cleans the log.
_CONFIGURATION = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.checkpointInterval": "20",
    "delta.enableDeletionVectors": "false",
    "delta.columnMapping.mode": "none",
}


@dataclass(frozen=True)
class Commit:
    """What became of staged targets.

    Attributes:
        version: The table's version after it.
        published: Keys that this commit made live (or found live as staged).
        superseded: Keys that others had published, or whose inputs moved on meanwhile.
        removed: Partition values or batches whose files were removed.
        attempts: How often the log was tried.
    """

    version: int
    published: tuple[str, ...]
    superseded: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    attempts: int = 0


@dataclass(frozen=True)
class _Form:
    """A Delta table's schema as the contract asks for it."""

    types: Mapping[str, str]
    partition: str | None

    @property
    def schema(self) -> Schema:
        from deltalake import Field, Schema
        from deltalake.schema import ArrayType, PrimitiveType

        def kind(name: str) -> PrimitiveType | ArrayType:
            if name.endswith("[]"):
                element = PrimitiveType(delta(name.removesuffix("[]")))
                return ArrayType(element, contains_null=True)
            return PrimitiveType(delta(name))

        return Schema([Field(n, kind(t), nullable=True) for n, t in self.types.items()])


def quarantine_of(storage: Storage) -> Storage:
    """The place of a table's quarantine."""
    return Storage(
        f"{storage.uri}__quarantine",
        storage.endpoint,
        storage.region,
        storage.path_style,
        storage.profile,
    )


def publish(
    table: Table,
    storage: Storage,
    staged: Sequence[Staged],
    *,
    run: str,
    engine: str,
    remove: Sequence[str] = (),
    planned: int = -1,
    still_wanted: Callable[[], Mapping[str, str]] | None = None,
) -> Commit:
    """Make staged targets live, quarantine first.

    Args:
        table: The declared table.
        storage: Its place.
        staged: Audited targets that nothing blocks.
        run: The run's id, for the history.
        engine: The engine's name, for the history.
        remove: Partition values (bronze: batches) that are gone from the source.
        planned: The version that the plan was made from.
        still_wanted: Key → wanted id as the inputs are now; asked when others
            have committed since the plan.

    Raises:
        CommitConflict: Others won every attempt.
        CommitError: The store refused, or what is live is not what was meant.
        SchemaChangeError: The table must be recreated, or rebuilt whole.
    """
    partition = table.contract.lake.partition
    form = _Form(table.contract.types, partition.column if partition else None)
    target = _Transaction(table.name, storage, form, run, engine)
    _publish_quarantine(table, storage, staged, run, engine)
    done = Commit(planned, ())
    for chunk in _chunks(staged, remove):
        part = target.replace_targets(*chunk, planned=planned, still_wanted=still_wanted)
        done = Commit(
            part.version,
            done.published + part.published,
            done.superseded + part.superseded,
            done.removed + part.removed,
            done.attempts + part.attempts,
        )
        planned = part.version
    return done


def append(
    name: str, storage: Storage, types: Mapping[str, str], file: StagedFile, *, run: str
) -> int:
    """Add one staged file to an unpartitioned table; returns the version that holds it.

    Raises:
        CommitConflict: Others won every attempt.
        CommitError: The store refused.
    """
    made = _Transaction(name, storage, _Form(types, None), run, "")
    return made.replace_files([file], lambda now: [])


def _chunks(
    staged: Sequence[Staged], remove: Sequence[str]
) -> Iterable[tuple[Sequence[Staged], Sequence[str]]]:
    chunk: list[Staged] = []
    actions = 0
    for one in staged:
        # Each file published replaces about one.
        if chunk and actions + 2 * len(one.files) > MAX_ACTIONS:
            yield chunk, ()
            chunk, actions = [], 0
        chunk.append(one)
        actions += 2 * len(one.files)
    if chunk or remove:
        yield chunk, remove


def _publish_quarantine(
    table: Table, storage: Storage, staged: Sequence[Staged], run: str, engine: str
) -> None:
    files = [file for one in staged for file in one.quarantine]
    if not files:
        return
    place = quarantine_of(storage)
    form = _Form({**table.contract.types, **QUARANTINE_COLUMNS}, None)
    new = {snapshots.build_of(file.path) for file in files}
    own = {file.path for file in files}
    name = f"{table.name}__quarantine"

    def replaced(now: Snapshot) -> list[File]:
        # A build tried again replaces its own rows. Rows of other builds stay, live or not: they
        # may belong to a builder that has not committed its table yet. Readers see live builds.
        return [f for f in now.files if f.build in new and f.path not in own]

    _Transaction(name, place, form, run, engine).replace_files(files, replaced)


class _Transaction:
    """Commits to one table's log."""

    def __init__(self, name: str, storage: Storage, form: _Form, run: str, engine: str) -> None:
        self.name, self.storage, self.form = name, storage, form
        self.metadata = {"lakehouse": json.dumps({"run": run, "engine": engine})}
        self.attempts = 0

    def replace_targets(
        self,
        staged: Sequence[Staged],
        remove: Sequence[str],
        *,
        planned: int,
        still_wanted: Callable[[], Mapping[str, str]] | None,
    ) -> Commit:
        dropped: set[str] = set()
        gone = set(remove)

        def actions(now: Snapshot) -> tuple[list[StagedFile], list[File]]:
            moved = now.version != planned and (now.files or planned >= 0)
            if moved and still_wanted is not None:
                wanted = still_wanted()
                dropped.update(o.key for o in staged if wanted.get(o.key) != o.wanted)
                # A target to be removed wants no id; others may have given it rows meanwhile.
                gone.intersection_update(key for key, id_ in wanted.items() if not id_)
            keep = [one for one in staged if one.key not in dropped]
            adds = [file for one in keep for file in one.files]
            own = {file.path for file in adds}
            replaced = {*gone, *(one.key for one in keep)}
            removes = [f for f in now.files if _key(f) in replaced and f.path not in own]
            return adds, removes

        version = self._commit(actions)
        published = tuple(one.key for one in staged if one.key not in dropped)
        return Commit(
            version, published, tuple(sorted(dropped)), tuple(sorted(gone)), self.attempts
        )

    def replace_files(
        self, files: Sequence[StagedFile], replaced: Callable[[Snapshot], list[File]]
    ) -> int:
        return self._commit(lambda now: (list(files), replaced(now)))

    def _commit(self, actions: Callable[[Snapshot], tuple[list[StagedFile], list[File]]]) -> int:
        """Try until the log holds what is meant; returns the version that does."""
        from deltalake.exceptions import DeltaError

        for attempt in range(_ATTEMPTS):
            self.attempts += 1
            try:
                delta_table = self._open()
            except (DeltaError, OSError) as error:
                self._wait(attempt, error)
                continue
            now = snapshots.of(delta_table, self.name)
            adds, removes = actions(now)
            live = {file.path for file in now.files}
            adds = [file for file in adds if file.path not in live]
            if not adds and not removes:
                return now.version
            failure: Exception | None = None
            try:
                if self._add_columns(delta_table):
                    continue
                self._write(delta_table, now, adds, removes)
            except (DeltaError, OSError) as error:
                failure = error
            # Without retries inside deltalake ours can only be the next version: look, whatever
            # was answered, since a lost reply looks like a conflict.
            if self._won(now.version + 1, adds, removes):
                return now.version + 1
            if failure is None:
                raise CommitError(
                    f"commit to {self.name}",
                    f"version {now.version + 1} does not hold what was committed",
                    f"'lake show {self.name}' lists the versions; restore the one before it",
                )
            self._wait(attempt, failure)
        raise CommitConflict(
            f"commit to {self.name}",
            f"other builders won {_ATTEMPTS} times",
            "run 'lake build' again when they are done",
        )

    def _wait(self, attempt: int, failure: Exception) -> None:
        """Until the next attempt; a store that fails again and again is given up sooner."""
        from deltalake.exceptions import CommitFailedError

        if not isinstance(failure, CommitFailedError) and attempt >= _FAILURES - 1:
            raise CommitError(
                f"commit to {self.name}",
                cause(failure),
                "nothing was published; see that the store answers ('lake doctor'), "
                "then 'lake build' goes on where it stopped",
            ) from failure
        time.sleep(random.uniform(0.01, min(2.0, 0.05 * 2**attempt)))

    def _won(self, version: int, adds: Sequence[StagedFile], removes: Sequence[File]) -> bool:
        if snapshots.read(self.storage, self.name).version < version:
            return False
        return _holds(snapshots.read(self.storage, self.name, version), adds, removes)

    def _open(self) -> DeltaTable:
        from deltalake import CommitProperties, DeltaTable
        from deltalake.exceptions import DeltaError

        found = snapshots.open_table(self.storage)
        if found is not None:
            return found
        try:
            return DeltaTable.create(
                self.storage.delta_uri(),
                self.form.schema,
                mode="ignore",
                name=self.name,
                partition_by=[self.form.partition] if self.form.partition else None,
                configuration=_CONFIGURATION,
                storage_options=self.storage.delta_options(),
                # Tried again it would be a second metadata commit on top of the winner's.
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except (DeltaError, OSError):
            # Another builder was first; if not, opening says what is wrong.
            found = snapshots.open_table(self.storage)
            if found is None:
                raise
            return found

    def _write(
        self,
        delta_table: DeltaTable,
        now: Snapshot,
        adds: Sequence[StagedFile],
        removes: Sequence[File],
    ) -> None:
        from deltalake import CommitProperties, Transaction
        from deltalake.transaction import AddAction, RemoveAction

        mode = self._mode(delta_table, now, removes)
        stamp = int(time.time() * 1000)
        actions: list[AddAction | RemoveAction] = [
            AddAction(
                path=file.path,
                size=file.size,
                partition_values=self._values(file.partition),
                modification_time=stamp,
                data_change=True,
                stats=file.stats,
            )
            for file in adds
        ]
        if mode == "append":
            actions += [
                RemoveAction(
                    path=file.path,
                    data_change=True,
                    deletion_timestamp=stamp,
                    size=file.size,
                    partition_values=self._values(file.partition),
                )
                for file in removes
            ]
        turn = (delta_table.transaction_version(_APP) or 0) + 1
        delta_table.create_write_transaction(
            actions,
            mode=mode,
            schema=self.form.schema,
            partition_by=[self.form.partition] if self.form.partition else [],
            commit_properties=CommitProperties(
                custom_metadata=self.metadata,
                max_commit_retries=0,
                app_transactions=[Transaction(_APP, turn)],
            ),
        )

    def _values(self, partition: str | None) -> dict[str, str | None]:
        return {self.form.partition: partition} if self.form.partition else {}

    def _add_columns(self, delta_table: DeltaTable) -> bool:
        """Add new nullable columns in a metadata commit of their own; whether there were any."""
        from deltalake import CommitProperties

        theirs = {field.name: field.type for field in delta_table.schema().fields}
        ours = {field.name: field.type for field in self.form.schema.fields}
        if theirs == ours or any(ours.get(name) != kind for name, kind in theirs.items()):
            return False
        delta_table.alter.add_columns(
            [f for f in self.form.schema.fields if f.name not in theirs],
            commit_properties=CommitProperties(max_commit_retries=0),
        )
        return True

    def _mode(
        self, delta_table: DeltaTable, now: Snapshot, removes: Sequence[File]
    ) -> Literal["append", "overwrite"]:
        """``append`` ignores a changed schema in silence; ``overwrite`` replaces every file."""
        parts = delta_table.metadata().partition_columns
        if parts != ([self.form.partition] if self.form.partition else []):
            raise SchemaChangeError(
                f"publish {self.name} partitioned by {self.form.partition}",
                f"the table is partitioned by {', '.join(parts) or 'nothing'}",
                f"remove the folder {self.storage.uri} and run 'lake build': it is rebuilt whole",
            )
        theirs = {field.name: field.type for field in delta_table.schema().fields}
        if theirs == {field.name: field.type for field in self.form.schema.fields}:
            return "append"
        left = {file.path for file in now.files} - {file.path for file in removes}
        if left:
            raise SchemaChangeError(
                f"change columns of {self.name}",
                f"a column is renamed, dropped or of another type, and {len(left)} files would "
                "keep the old form",
                f"rebuild all partitions together: 'lake build {self.name}' after mending what "
                "blocks or waits",
            )
        return "overwrite"


def _key(file: File) -> str:
    return file.batch or file.partition or ""


def _holds(now: Snapshot, adds: Iterable[StagedFile], removes: Iterable[File]) -> bool:
    live = {file.path for file in now.files}
    return all(f.path in live for f in adds) and not any(f.path in live for f in removes)
