"""One transaction on a Delta table's log: the only code that writes to one.

It replaces exactly the files that it means to replace. The rules, each with a
test: two writers of one table cannot both win (an app transaction); after any
error the log is looked at before anybody is told that the commit failed (a lost
reply looks like a conflict); what is live after a commit is what was meant.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from lakehouse import snapshot as snapshots
from lakehouse.engines.base import StagedFile
from lakehouse.errors import CommitConflict, CommitError, SchemaChangeError, cause
from lakehouse.rewriting import remainder
from lakehouse.snapshot import File, Snapshot
from lakehouse.storage import Storage
from lakehouse.types import delta

if TYPE_CHECKING:
    from deltalake import DeltaTable, Schema

__all__ = ["MAX_ACTIONS", "Change", "Form", "Transaction"]

#: Actions in one commit; more would make a log entry that takes gigabytes to write.
MAX_ACTIONS = 20_000
#: Commits after which the log is summed up in a checkpoint.
CHECKPOINT_INTERVAL = 20
_ATTEMPTS = 60
#: Attempts that may fail for another reason than another builder.
_FAILURES = 5
_APP = "lake"

#: Nothing that one of the engines cannot read; only maintenance cleans the log.
_CONFIGURATION = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.checkpointInterval": str(CHECKPOINT_INTERVAL),
    "delta.enableDeletionVectors": "false",
    "delta.columnMapping.mode": "none",
}


@dataclass(frozen=True)
class Form:
    """A Delta table's schema as the contract asks for it."""

    types: Mapping[str, str]
    partition: str | None

    def replaces(self, schema: Schema) -> bool:
        """Whether a table of that schema must lose a column, or have one of another type."""
        ours = {field.name: field.type for field in self.schema.fields}
        return any(ours.get(field.name) != field.type for field in schema.fields)

    @property
    def schema(self) -> Schema:
        """Delta's own schema."""
        from deltalake import Field, Schema
        from deltalake.schema import ArrayType, PrimitiveType

        def kind(name: str) -> PrimitiveType | ArrayType:
            if name.endswith("[]"):
                element = PrimitiveType(delta(name.removesuffix("[]")))
                return ArrayType(element, contains_null=True)
            return PrimitiveType(delta(name))

        return Schema([Field(n, kind(t), nullable=True) for n, t in self.types.items()])


@dataclass(frozen=True)
class Change:
    """What one commit adds and removes.

    Attributes:
        adds: Files that are not live yet.
        removes: Live files, and parts of sealed ones: what stays of such a file takes its place.
        data_change: False where rows only move from file to file.
        modified: Path of an added file → when its rows were published (milliseconds); now,
            where it is not named.
    """

    adds: Sequence[StagedFile]
    removes: Sequence[File]
    data_change: bool = True
    modified: Mapping[str, int] = field(default_factory=dict)


class Transaction:
    """Commits to one table's log.

    Args:
        name: The table's full name, for messages.
        storage: Its place.
        form: The schema that it must have; None takes it as it is.
        run: The run's id, for the history.
        engine: The engine's name, for the history.

    Attributes:
        attempts: How often the log was tried.
    """

    def __init__(
        self, name: str, storage: Storage, form: Form | None, run: str, engine: str
    ) -> None:
        self.name, self.storage, self.form = name, storage, form
        self.metadata = {"lakehouse": json.dumps({"run": run, "engine": engine})}
        self.attempts = 0
        self._remainders: dict[tuple[str, tuple[File, ...]], StagedFile] = {}

    def commit(self, change: Callable[[Snapshot], Change]) -> int:
        """Try until the log holds what is meant; returns the version that does.

        Args:
            change: Asked at each attempt, with what is live then.

        Raises:
            CommitConflict: Others won every attempt.
            CommitError: The store refused, or what is live is not what was meant.
            SchemaChangeError: The table must be recreated, or rebuilt whole.
        """
        from deltalake.exceptions import DeltaError

        for attempt in range(_ATTEMPTS):
            self.attempts += 1
            try:
                delta_table = self._open()
            except (DeltaError, OSError) as error:
                self._wait(attempt, error)
                continue
            now = snapshots.of(delta_table, self.name, self.storage)
            meant = change(now)
            live = {file.path for file in now.files}
            meant = replace(meant, adds=[file for file in meant.adds if file.path not in live])
            if not meant.adds and not meant.removes:
                return now.version
            meant = self._with_remainders(now, meant)
            failure: Exception | None = None
            try:
                if self._add_columns(delta_table):
                    continue
                self._write(delta_table, now, meant)
            except (DeltaError, OSError) as error:
                failure = error
            # Without retries inside deltalake ours can only be the next version: look, whatever
            # was answered, since a lost reply looks like a conflict.
            if self._won(now.version + 1, meant):
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

    def whole(self) -> bool:
        """Whether a commit must replace every file, since the table's columns change.

        Raises:
            StorageError: The table cannot be opened.
        """
        found = snapshots.open_table(self.storage)
        return bool(found and self.form and self.form.replaces(found.schema()))

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

    def _won(self, version: int, meant: Change) -> bool:
        if snapshots.listed(self.storage, self.name).version < version:
            return False
        live = {f.path for f in snapshots.listed(self.storage, self.name, version).files}
        added = all(f.path in live for f in meant.adds)
        return added and not any(f.path in live for f in meant.removes)

    def _with_remainders(self, now: Snapshot, meant: Change) -> Change:
        """A change that also adds what stays of sealed files, where it removes parts of them."""
        gone = set(meant.removes)
        whole = {file.path for file in now.files if file in gone}
        modified = dict(meant.modified)
        adds = list(meant.adds)
        for file in now.files:
            stay = tuple(part for part in file.parts if part not in gone)
            if file.path not in whole and 0 < len(stay) < len(file.parts):
                # Tried again, it is not written again.
                key = (file.path, stay)
                if key not in self._remainders:
                    self._remainders[key] = remainder(self.storage, self.name, file, stay)
                adds.append(self._remainders[key])
                modified[adds[-1].path] = max(part.added for part in stay)
        return replace(meant, adds=adds, modified=modified)

    def _open(self) -> DeltaTable:
        from deltalake import CommitProperties, DeltaTable
        from deltalake.exceptions import DeltaError

        found = snapshots.open_table(self.storage)
        if found is not None:
            return found
        if self.form is None:
            raise CommitError(
                f"commit to {self.name}", "the table is gone", "'lake build' makes it anew"
            )
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
        meant: Change,
    ) -> None:
        from deltalake import CommitProperties, Transaction
        from deltalake.transaction import AddAction, RemoveAction

        mode = self._mode(delta_table, now, meant.removes)
        column = next(iter(delta_table.metadata().partition_columns), None)
        stamp = int(time.time() * 1000)
        actions: list[AddAction | RemoveAction] = [
            AddAction(
                path=file.path,
                size=file.size,
                partition_values=_values(column, file.partition),
                modification_time=meant.modified.get(file.path, stamp),
                data_change=meant.data_change,
                stats=file.stats,
            )
            for file in meant.adds
        ]
        if mode == "append":
            gone = {file.path for file in meant.removes}
            actions += [
                RemoveAction(
                    path=file.path,
                    data_change=meant.data_change,
                    deletion_timestamp=stamp,
                    size=file.size,
                    partition_values=_values(column, file.partition),
                )
                for file in now.files
                if file.path in gone
            ]
        turn = (delta_table.transaction_version(_APP) or 0) + 1
        delta_table.create_write_transaction(
            actions,
            mode=mode,
            schema=self.form.schema if self.form else delta_table.schema(),
            partition_by=[column] if column else [],
            commit_properties=CommitProperties(
                custom_metadata=self.metadata,
                max_commit_retries=0,
                app_transactions=[Transaction(_APP, turn)],
            ),
        )

    def _add_columns(self, delta_table: DeltaTable) -> bool:
        """Add new nullable columns in a metadata commit of their own; whether there were any."""
        from deltalake import CommitProperties

        if self.form is None:
            return False
        theirs = {field.name for field in delta_table.schema().fields}
        new = [field for field in self.form.schema.fields if field.name not in theirs]
        if not new or self.form.replaces(delta_table.schema()):
            return False
        delta_table.alter.add_columns(new, commit_properties=CommitProperties(max_commit_retries=0))
        return True

    def _mode(
        self, delta_table: DeltaTable, now: Snapshot, removes: Sequence[File]
    ) -> Literal["append", "overwrite"]:
        """``append`` ignores a changed schema in silence; ``overwrite`` replaces every file."""
        if self.form is None:
            return "append"
        parts = delta_table.metadata().partition_columns
        if parts != ([self.form.partition] if self.form.partition else []):
            raise SchemaChangeError(
                f"publish {self.name} partitioned by {self.form.partition}",
                f"the table is partitioned by {', '.join(parts) or 'nothing'}",
                f"remove the folder {self.storage.uri} and run 'lake build': it is rebuilt whole",
            )
        if not self.form.replaces(delta_table.schema()):
            return "append"
        left = {part.path for part in set(now.parts) - set(removes)}
        if left:
            raise SchemaChangeError(
                f"change columns of {self.name}",
                f"a column is renamed, dropped or of another type, and {len(left)} files would "
                "keep the old form",
                f"rebuild all partitions together: 'lake build {self.name}' after mending what "
                "blocks or waits",
            )
        return "overwrite"


def _values(column: str | None, value: str | None) -> dict[str, str | None]:
    return {column: value} if column else {}
