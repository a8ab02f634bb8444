"""What maintenance would do, as values: decided from what is there, without a clock or a store."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lakehouse.maintenance.compaction import Merge, merges, seals, unmerged
from lakehouse.maintenance.files import Stored
from lakehouse.maintenance.log import Log
from lakehouse.maintenance.place import Place
from lakehouse.snapshot import BuildId, File, Snapshot
from lakehouse.transaction import CHECKPOINT_INTERVAL

__all__ = ["Act", "Plan", "Seen", "Step", "TablePlan", "plan_table"]


class Act(enum.StrEnum):
    """What is done to a table, in this order."""

    seal = "seal"
    compact = "compact"
    drop = "drop quarantine"
    checkpoint = "checkpoint"
    vacuum = "vacuum"
    orphans = "remove orphans"
    log = "clean log"


@dataclass(frozen=True)
class Seen:
    """What one table holds, and what is held of it.

    Attributes:
        place: The table.
        snapshot: Its newest version.
        log: Its log.
        stored: All files below its root, seen before the log was.
        oldest: The oldest version that stays readable.
        kept: Every file that a version to be kept reads, as :meth:`Place.absolute` has it.
        committed: Every file that the log's entries name, and ``kept``.
        builds: Builds that a kept version of the table itself holds; for its quarantine.
        held: Older version → who holds it.
        warnings: What a person should know of.
    """

    place: Place
    snapshot: Snapshot
    log: Log
    stored: tuple[Stored, ...]
    oldest: int
    kept: frozenset[str]
    committed: frozenset[str]
    builds: frozenset[BuildId | None] = frozenset()
    held: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """One line of a plan.

    Attributes:
        act: What is done.
        files: Files that it is done to.
        bytes: Their bytes.
        because: Why.
    """

    act: Act
    files: int
    bytes: int
    because: str


@dataclass(frozen=True)
class TablePlan:
    """What is to be done to one table.

    Attributes:
        place: The table.
        version: Its newest version.
        oldest: The oldest version that stays readable.
        held: Versions older than the history → who holds them.
        seals: Files of old bronze batches that become one.
        merges: Small files of one build that become one.
        dropped: Quarantined rows of builds that no kept version holds.
        checkpoint: Whether the log is summed up.
        dead: Files of versions that are not kept.
        orphans: Files that were never committed.
        log: Entries that no kept version needs.
        warnings: What a person should know of.
    """

    place: Place
    version: int
    oldest: int
    held: Mapping[int, tuple[str, ...]]
    seals: tuple[Merge, ...] = ()
    merges: tuple[Merge, ...] = ()
    dropped: tuple[File, ...] = ()
    checkpoint: bool = False
    dead: tuple[Stored, ...] = ()
    orphans: tuple[Stored, ...] = ()
    log: tuple[Stored, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """Its lines, those that do something only."""
        sealed = [file for merge in self.seals for file in merge.files]
        merged = [file for merge in self.merges for file in merge.files]
        retention = self.place.retention
        kept_for, longest = retention.kept_for, retention.longest_build
        batches = f"become {len(self.seals)}: of batches older than {_days(retention.seal)}"
        lines = (
            _step(Act.seal, sealed, batches),
            _step(Act.compact, merged, f"become {len(self.merges)}"),
            _step(Act.drop, self.dropped, "their builds are in no kept version"),
            Step(Act.checkpoint, int(self.checkpoint), 0, "many commits since the last one"),
            _step(Act.vacuum, self.dead, f"in no version of the last {_days(kept_for)}, nor held"),
            _step(Act.orphans, self.orphans, f"never committed, older than {_days(longest)}"),
            _step(Act.log, self.log, f"older than version {self.oldest}"),
        )
        return tuple(step for step in lines if step.files)


def _step(act: Act, files: Sequence[File | Stored], because: str) -> Step:
    return Step(act, len(files), sum(file.size for file in files), because)


def _days(time: dt.timedelta) -> str:
    days = time / dt.timedelta(days=1)
    return f"{days:g} days" if days != 1 else "day"


@dataclass(frozen=True)
class Plan:
    """What is to be done to some tables of a lake."""

    tables: tuple[TablePlan, ...]

    @property
    def todo(self) -> tuple[TablePlan, ...]:
        """The tables to which something is to be done."""
        return tuple(table for table in self.tables if table.steps)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step."""
        return tuple(step for table in self.tables for step in table.steps)


def plan_table(seen: Seen, now: dt.datetime) -> TablePlan:
    """Decide what is to be done to one table.

    Args:
        seen: What it holds.
        now: The time by which things are old.
    """
    place, snapshot = seen.place, seen.snapshot
    before = now - place.retention.longest_build
    garbage = [
        file
        for file in seen.stored
        if place.owns(file.path)
        and file.modified < before
        and place.absolute(file.path) not in seen.kept
    ]
    dead = [file for file in garbage if place.absolute(file.path) in seen.committed]
    never = {file.path for file in garbage} - {file.path for file in dead}
    dropped = _dropped(seen, before) if place.kind == "quarantine" else ()
    since = now - place.retention.seal
    sealing = seals(snapshot, int(since.timestamp() * 1000)) if place.kind == "table" else ()
    gone = {file.path for file in (*dropped, *(f for merge in sealing for f in merge.files))}
    left = replace(snapshot, files=tuple(f for f in snapshot.files if f.path not in gone))
    return TablePlan(
        place,
        snapshot.version,
        seen.oldest,
        seen.held,
        seals=sealing,
        merges=merges(left, place.kind),
        dropped=dropped,
        checkpoint=seen.log.latest - max(seen.log.checkpoints, default=-1) > CHECKPOINT_INTERVAL,
        dead=tuple(dead),
        orphans=tuple(file for file in garbage if file.path in never),
        log=seen.log.expired(seen.oldest),
        warnings=(*seen.warnings, *unmerged(left)),
    )


def _dropped(seen: Seen, before: dt.datetime) -> tuple[File, ...]:
    """Quarantined rows whose build no kept version holds; a younger one may be about to be."""
    moment = int(before.timestamp() * 1000)
    files = seen.snapshot.files
    return tuple(f for f in files if f.build not in seen.builds and f.build and f.added < moment)
