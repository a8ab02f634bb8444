"""The planner's nouns: targets, reasons, and what is pending upstream."""

from __future__ import annotations

import datetime as dt
import enum
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

from lakehouse.landing import Batch
from lakehouse.snapshot import File

__all__ = ["NO_ROWS", "Action", "Pending", "Plan", "ReadFiles", "Reason", "Record", "Target"]

#: The content id of no rows at all: such files never make anything stale.
NO_ROWS = "0" * 10


class Action(enum.StrEnum):
    """What is done with a target."""

    build = "build"
    remove = "remove"
    wait = "wait"
    blocked = "blocked"


@dataclass(frozen=True)
class Reason:
    """One reason: its code, the input it is about, and a detail to read."""

    code: str
    input: str | None = None
    detail: str = ""


@dataclass(frozen=True)
class ReadFiles:
    """The files of one input at a version that can matter, and the first instant that can."""

    table: str
    files: tuple[File, ...]
    lower: dt.datetime | None = None
    version: int = -1

    @property
    def bytes(self) -> int:
        """Bytes on disk."""
        return sum(file.size for file in self.files)

    @property
    def partitions(self) -> int:
        """How many partitions the files are of."""
        return len({file.partition for file in self.files})


@dataclass(frozen=True)
class Target:
    """One table × partition (bronze: × landing batch) that is not as it should be.

    Attributes:
        table: Short name.
        partition: The partition value; None for unpartitioned tables and for
            targets whose months are unknown until a file is read.
        batch: Bronze: what landed; None when the batch is to be removed.
        batch_id: Bronze: the batch.
        action: Build it, remove its files, wait, or leave it blocked.
        reasons: Why, most telling first.
        reads: What it reads.
        wanted: ``<sql>-<contract>-<inputs>``; empty when inputs are still to be built.
        actual: The id of what is live, None when nothing is.
        inputs: Input → partition → what was hashed; recorded to explain the next plan.
        certain: False when it may turn out that nothing has to be done.
    """

    table: str
    partition: str | None
    action: Action
    reasons: tuple[Reason, ...]
    reads: tuple[ReadFiles, ...] = ()
    wanted: str = ""
    actual: str | None = None
    batch: Batch | None = None
    batch_id: str | None = None
    inputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    certain: bool = True

    @property
    def key(self) -> str:
        """The target's name inside its table: the batch for bronze, else the partition."""
        return self.batch_id or self.partition or ""

    @property
    def label(self) -> str:
        """What a person calls it: the files of its batch, its partition, or that it is all."""
        if self.batch:
            return self.batch.label
        unread = any(reason.code == "after bronze" for reason in self.reasons)
        return self.partition or self.batch_id or ("not known yet" if unread else "all")

    @property
    def bytes(self) -> int:
        """Bytes of everything it reads."""
        return (
            sum(f.size for f in self.batch.files)
            if self.batch
            else sum(read.bytes for read in self.reads)
        )


@dataclass(frozen=True)
class Pending:
    """What the plan has decided about a table, for the tables downstream."""

    rebuilt: frozenset[str | None] = frozenset()
    unknown: bool = False
    absent: frozenset[str | None] = frozenset()

    @property
    def any(self) -> bool:
        """Whether anything of the table is still to be built."""
        return bool(self.rebuilt) or self.unknown


@dataclass(frozen=True)
class Record:
    """What the ledger remembers of a target's last build; only ever an explanation.

    Attributes:
        inputs: As :attr:`Target.inputs`.
        blocked: (Wanted id, its gates) → the rule that blocked it.
        engine: What built it last.
    """

    inputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    blocked: Mapping[tuple[str, str], str] = field(default_factory=dict)
    engine: str = ""


@dataclass(frozen=True)
class Plan:
    """All targets that are not as they should be, inputs first.

    Attributes:
        targets: They.
        tables: How many tables were looked at.
        warnings: What a person should know and no build will change.
    """

    targets: tuple[Target, ...]
    tables: int = 0
    warnings: tuple[str, ...] = ()

    def groups(self) -> list[list[Target]]:
        """Neighbours with the same table, action and kind of reasons, which share a line."""
        return [list(group) for _, group in itertools.groupby(self.targets, _kind)]

    @property
    def todo(self) -> tuple[Target, ...]:
        """The targets that a build would act on."""
        return tuple(t for t in self.targets if t.action in (Action.build, Action.remove))


def _kind(target: Target) -> tuple[object, ...]:
    codes = tuple((reason.code, reason.input) for reason in target.reasons)
    return target.table, target.action, target.certain, codes
