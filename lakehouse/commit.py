"""Publish staged targets: which files of a table a build replaces.

The rules, each with a test: quarantine is published before its table; whoever
loses against another builder commits again what still holds, and nothing whose
inputs have moved on. How one commit is made is :mod:`lakehouse.transaction`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from lakehouse import snapshot as snapshots
from lakehouse.catalog import Table
from lakehouse.engines.base import Staged, StagedFile
from lakehouse.engines.writer import QUARANTINE_COLUMNS, quarantine_of
from lakehouse.errors import CommitConflict
from lakehouse.snapshot import File, Snapshot
from lakehouse.storage import Storage
from lakehouse.transaction import MAX_ACTIONS, Change, Form, Transaction

__all__ = ["Commit", "append", "publish", "whole"]


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

    def then(self, part: Commit) -> Commit:
        """What became of all, after another commit of the same build."""
        return Commit(
            part.version,
            self.published + part.published,
            self.superseded + part.superseded,
            self.removed + part.removed,
            self.attempts + part.attempts,
        )


def whole(table: Table, storage: Storage) -> bool:
    """Whether all files of a table must be replaced together: a column goes, or gets another type.

    Raises:
        StorageError: The table cannot be opened.
    """
    return Transaction(table.name, storage, _form(table), "", "").whole()


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
    target = Transaction(table.name, storage, _form(table), run, engine)
    _publish_quarantine(table, storage, staged, run, engine)
    done = Commit(planned, ())
    for chunk in _chunks(staged, remove):
        part = _publish_targets(target, *chunk, planned=done.version, still_wanted=still_wanted)
        done = done.then(part)
    return done


def _form(table: Table) -> Form:
    partition = table.contract.lake.partition
    return Form(table.contract.types, partition.column if partition else None)


def append(
    name: str,
    storage: Storage,
    types: Mapping[str, str],
    file: StagedFile,
    *,
    run: str,
    only_after: int | None = None,
) -> int:
    """Add one staged file to an unpartitioned table; returns the version that holds it.

    Args:
        name: The table's full name.
        storage: Its place.
        types: Column → DuckDB type.
        file: The file.
        run: The run's id, for the history.
        only_after: Commit only on top of this version of the table (-1: of none).

    Raises:
        CommitConflict: Others won every attempt, or committed after ``only_after``.
        CommitError: The store refused.
    """

    def change(now: Snapshot) -> Change:
        # The version that creates the table has no files.
        if only_after is not None and now.version != only_after and now.files:
            found = f"version {now.version} came after {only_after}"
            raise CommitConflict(f"commit to {name}", found, "look again, and decide anew")
        return Change([file], [])

    return Transaction(name, storage, Form(types, None), run, "").commit(change)


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
    form = Form({**table.contract.types, **QUARANTINE_COLUMNS}, None)
    new = {snapshots.build_of(file.path) for file in files}
    own = {file.path for file in files}
    name = f"{table.name}__quarantine"

    def change(now: Snapshot) -> Change:
        # A build tried again replaces its own rows. Rows of other builds stay, live or not: they
        # may belong to a builder that has not committed its table yet. Readers see live builds.
        replaced = [f for f in now.files if f.build in new and f.path not in own]
        return Change(files, replaced)

    Transaction(name, place, form, run, engine).commit(change)


def _publish_targets(
    target: Transaction,
    staged: Sequence[Staged],
    remove: Sequence[str],
    *,
    planned: int,
    still_wanted: Callable[[], Mapping[str, str]] | None,
) -> Commit:
    dropped: set[str] = set()
    gone = set(remove)

    def change(now: Snapshot) -> Change:
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
        return Change(adds, [p for p in now.parts if _key(p) in replaced and p.path not in own])

    before = target.attempts
    version = target.commit(change)
    published = tuple(one.key for one in staged if one.key not in dropped)
    lost = tuple(sorted(dropped))
    return Commit(version, published, lost, tuple(sorted(gone)), target.attempts - before)


def _key(file: File) -> str:
    return file.batch or file.partition or ""
