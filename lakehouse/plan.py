"""What must be built, and why: wanted against actual.

Pure: snapshots, landing batches and earlier records go in, targets come out. No
clock, no files. A target is a table × partition (bronze: a landing batch); its
wanted id is hashed from the SQL, the contract and the input partitions that
can matter, and compared with the ids that the live files carry.
"""

from __future__ import annotations

import bisect
import datetime as dt
import enum
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

from lakehouse.catalog import Table
from lakehouse.contract import Read, digest
from lakehouse.interval import Grain, Interval, span
from lakehouse.landing import Batch
from lakehouse.snapshot import BuildId, File, Snapshot

__all__ = [
    "Action",
    "Pending",
    "Plan",
    "ReadFiles",
    "Reason",
    "Record",
    "Target",
    "plan_table",
]

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
    """The files of one input that can matter for a target, and the first instant that can."""

    table: str
    files: tuple[File, ...]
    lower: dt.datetime | None = None

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
    def bytes(self) -> int:
        """Bytes of everything it reads."""
        return sum(f.size for f in self.batch.files) if self.batch else sum(
            read.bytes for read in self.reads
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
        blocked: Wanted id → the rule that blocked it.
    """

    inputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    blocked: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """All targets that are not as they should be, inputs first."""

    targets: tuple[Target, ...]
    warnings: tuple[str, ...] = ()

    @property
    def todo(self) -> tuple[Target, ...]:
        """The targets that a build would act on."""
        return tuple(t for t in self.targets if t.action in (Action.build, Action.remove))


def plan_table(
    table: Table,
    inputs: Mapping[str, tuple[Table, Snapshot]],
    actual: Snapshot,
    *,
    batches: Sequence[Batch] = (),
    pending: Mapping[str, Pending] | None = None,
    records: Mapping[str, Record] | None = None,
    labels: Mapping[str, str] | None = None,
    force: bool | frozenset[str] = False,
) -> tuple[Target, ...]:
    """Compare what a table should hold with what it holds.

    Args:
        table: The table.
        inputs: Its inputs by short name, with their snapshots.
        actual: The table's own snapshot.
        batches: Bronze: what lies in the landing zone.
        pending: What is already planned for the inputs; empty in a build, where
            inputs have been built before.
        records: Target key → what the ledger remembers.
        labels: Landing batch id → its label, for reasons.
        force: All targets, or those of these partitions, whatever their ids.

    Raises:
        PlanError: The table holds foreign files.
    """
    actual.owned()
    if table.query is None:
        return _plan_batches(table, actual, batches, records or {}, force)
    view = _View(table, inputs, actual, pending or {}, records or {}, labels or {}, force)
    return view.targets()


def _plan_batches(
    table: Table,
    actual: Snapshot,
    batches: Sequence[Batch],
    records: Mapping[str, Record],
    force: bool | frozenset[str],
) -> tuple[Target, ...]:
    live = actual.batches
    targets = []
    for batch in batches:
        wanted = f"{table.definition}-{batch.inputs}"
        have = next((f.build for f in live.get(batch.id, ()) if f.build), None)
        reasons = _differences(table, wanted, have)
        if _forced(force, batch.id, batch.label):
            reasons.append(Reason("forced"))
        for i, reason in enumerate(reasons):
            if reason.code in ("missing", "inputs"):
                again = "" if have is None else " landed again"
                reasons[i] = Reason("new data", detail=f"{batch.label}{again}")
        if not reasons:
            continue
        target = Target(
            table.short,
            None,
            Action.build,
            tuple(reasons),
            wanted=wanted,
            actual=str(have) if have else None,
            batch=batch,
            batch_id=batch.id,
        )
        targets.append(_unless_blocked(target, records.get(batch.id)))
    if table.contract.lake.on_gone == "remove":
        present = {batch.id for batch in batches}
        targets.extend(
            Target(
                table.short,
                None,
                Action.remove,
                (Reason("gone from source"),),
                actual=str(files[0].build),
                batch_id=batch,
            )
            for batch, files in live.items()
            if batch not in present
        )
    return tuple(targets)


def _forced(force: bool | frozenset[str], *names: str | None) -> bool:
    return force if isinstance(force, bool) else any(name in force for name in names)


def _unless_blocked(target: Target, record: Record | None) -> Target:
    rule = record.blocked.get(target.wanted) if record else None
    if rule is None or any(reason.code == "forced" for reason in target.reasons):
        return target
    return replace(
        target, action=Action.blocked, reasons=(Reason("blocked by", detail=rule), *target.reasons)
    )


def _differences(table: Table, wanted: str, have: BuildId | None) -> list[Reason]:
    if have is None:
        return [Reason("missing")]
    sql, contract, inputs = wanted.split("-")
    reasons = []
    if f"{have.sql}-{have.contract}" not in table.contract.lake.accepts:
        if have.sql != sql:
            reasons.append(Reason("SQL changed", detail=table.query.path if table.query else ""))
        if have.contract != contract:
            reasons.append(Reason("contract changed", detail=table.contract.path))
    if have.inputs != inputs:
        reasons.append(Reason("inputs"))
    return reasons


@dataclass(frozen=True)
class _Input:
    """One input, prepared so that a target's share is a slice."""

    name: str
    table: Table
    read: Read
    snapshot: Snapshot
    by_value: bool
    by_time: bool

    @functools.cached_property
    def values(self) -> tuple[str | None, ...]:
        """Its partition values in order, NULL left out where time selects."""
        return tuple(v for v in self.snapshot.partitions if v is not None or not self.by_time)

    @functools.cached_property
    def spans(self) -> tuple[Interval, ...]:
        part = self.table.contract.lake.partition
        assert part is not None
        return tuple(
            span(dt.date.fromisoformat(v), part.grain, part.timezone) for v in self.values if v
        )

    @functools.cached_property
    def starts(self) -> list[dt.datetime]:
        return [s.start for s in self.spans]

    @functools.cached_property
    def prints(self) -> Mapping[str | None, str]:
        """Partition → what it holds, by content where that is known."""
        return {value: _print(files) for value, files in self.snapshot.partitions.items()}

    @functools.cached_property
    def everything(self) -> str:
        return digest([[v, p] for v, p in self.prints.items() if p])

    def select(self, partition: str | None, reach: Interval | None) -> tuple[str | None, ...]:
        """The input partitions that can matter for an output partition."""
        if self.by_value and partition is not None:
            return (partition,) if partition in self.snapshot.partitions else ()
        if self.by_time and reach is not None:
            first = bisect.bisect_left(self.starts, reach.start)
            # One partition before may reach in: partitions of a table do not overlap.
            if first and self.spans[first - 1].end > reach.start:
                first -= 1
            return self.values[first : bisect.bisect_left(self.starts, reach.end)]
        return tuple(self.snapshot.partitions)

    def fingerprint(self, values: tuple[str | None, ...]) -> str:
        match self.read.when_changed:
            case "ignore":
                return "ignored"
            case "new_partitions":
                return digest([v for v in values if self.prints[v]])
        if len(values) == len(self.prints):
            return self.everything
        return digest([[v, self.prints[v]] for v in values if self.prints[v]])


def _print(files: Iterable[File]) -> str:
    # A set, so that compaction and the split into files do not matter; empty files never do.
    effects = {f.build.effect for f in files if f.build and f.rows}
    return digest(sorted(effects)) if effects else ""


class _View:
    """One table against its inputs."""

    def __init__(
        self,
        table: Table,
        inputs: Mapping[str, tuple[Table, Snapshot]],
        actual: Snapshot,
        pending: Mapping[str, Pending],
        records: Mapping[str, Record],
        labels: Mapping[str, str],
        force: bool | frozenset[str],
    ) -> None:
        self.table, self.actual, self.pending = table, actual, pending
        self.records, self.labels, self.force = records, labels, force
        self.part = table.contract.lake.partition
        self.inputs = [
            self._input(name, *inputs[name], read) for name, read in table.reads.items()
        ]

    def _input(self, name: str, table: Table, snapshot: Snapshot, read: Read) -> _Input:
        theirs, ours = table.contract.lake.partition, self.part
        reaches = bool(read.lookback or read.lookahead)
        same = bool(theirs and ours and theirs.column == ours.column)
        timed = bool(
            theirs
            and ours
            and theirs.grain is not Grain.value
            and ours.grain is not Grain.value
        )
        by_value = same and not reaches and theirs is not None and theirs.grain == ours.grain  # type: ignore[union-attr]
        return _Input(name, table, read, snapshot, by_value, timed and not by_value)

    def targets(self) -> tuple[Target, ...]:
        waits = self._waits()
        if waits:
            return (waits,)
        wanted = self._wanted_partitions()
        targets = [t for t in map(self._target, wanted) if t is not None]
        targets += self._gone(set(wanted))
        if self.part is not None and any(
            self.pending.get(i.name, Pending()).unknown for i in self._drivers()
        ):
            names = [i.name for i in self._drivers() if self.pending[i.name].unknown]
            targets.append(
                Target(
                    self.table.short,
                    None,
                    Action.build,
                    tuple(Reason("after bronze", name, "months unknown until read") for name in names),
                    certain=False,
                )
            )
        return tuple(targets)

    def _waits(self) -> Target | None:
        missing = [
            i.name
            for i in self.inputs
            if not i.snapshot.exists and not self.pending.get(i.name, Pending()).any
        ]
        if not missing:
            return None
        reasons = tuple(Reason("waits for", name, "nothing published yet") for name in missing)
        return Target(self.table.short, None, Action.wait, reasons)

    def _drivers(self) -> list[_Input]:
        """The inputs whose partitions decide which partitions this table has."""
        timed = [i for i in self.inputs if i.by_time or i.by_value]
        column = self.part.column if self.part else None
        same = [
            i
            for i in timed
            if i.table.contract.lake.partition and i.table.contract.lake.partition.column == column
        ]
        return same or timed

    def _wanted_partitions(self) -> list[str | None]:
        if self.part is None:
            return [None]
        found: set[str] = set()
        for i in self._drivers():
            known = {*i.values, *self.pending.get(i.name, Pending()).rebuilt}
            for value in filter(None, known):
                found.update(self._covering(i, value))
        return list(sorted(found))

    def _covering(self, i: _Input, value: str) -> Iterable[str]:
        """Our partitions that an input partition falls into."""
        theirs = i.table.contract.lake.partition
        assert self.part is not None and theirs is not None
        if i.by_value or (theirs.column == self.part.column and theirs.grain == self.part.grain):
            return (value,)
        covered = span(dt.date.fromisoformat(value), theirs.grain, theirs.timezone)
        first = dt.date.fromisoformat(value) - dt.timedelta(days=1)
        ours, found = self.part.grain.start(first), []
        while (s := span(ours, self.part.grain, self.part.timezone)).start < covered.end:
            if s.overlaps(covered):
                found.append(ours.isoformat())
            ours = self.part.grain.next(ours)
        return found

    def _reach(self, i: _Input, partition: str | None) -> Interval | None:
        if partition is None or self.part is None or not i.by_time:
            return None
        return span(
            dt.date.fromisoformat(partition),
            self.part.grain,
            self.part.timezone,
            lookback=i.read.lookback,
            lookahead=i.read.lookahead,
        )

    def _target(self, partition: str | None) -> Target | None:
        reaches = {i.name: self._reach(i, partition) for i in self.inputs}
        chosen = {i.name: i.select(partition, reaches[i.name]) for i in self.inputs}
        prints = [[i.name, i.fingerprint(chosen[i.name])] for i in self.inputs]
        # The partition is hashed too, so that a build id names one target of the table.
        wanted = f"{self.table.definition}-{digest(partition, prints)}"
        have = next((f.build for f in self.actual.partitions.get(partition, ()) if f.build), None)
        reasons = _differences(self.table, wanted, have)
        if _forced(self.force, partition):
            reasons.append(Reason("forced"))
        upstream = self._rebuilt_upstream(partition, reaches)
        if not reasons and not upstream:
            return None
        record = self.records.get(partition or "")
        detailed = [
            better
            for reason in reasons
            for better in (
                self._changed(chosen, have, record, partition)
                if reason.code == "inputs"
                else [reason]
            )
        ]
        target = Target(
            self.table.short,
            partition,
            Action.build,
            tuple([*detailed, *upstream]),
            reads=tuple(self._read_files(i, chosen[i.name], reaches[i.name]) for i in self.inputs),
            wanted="" if upstream else wanted,
            actual=str(have) if have else None,
            inputs={i.name: self._record(i, chosen[i.name]) for i in self.inputs},
            certain=bool(reasons),
        )
        waits = self._absent_upstream(partition, reaches)
        if waits and have is None:
            return replace(target, action=Action.wait, reasons=waits)
        return _unless_blocked(target, record)

    def _read_files(
        self, i: _Input, values: tuple[str | None, ...], reach: Interval | None
    ) -> ReadFiles:
        files = tuple(f for v in values for f in i.snapshot.partitions[v] if f.rows)
        return ReadFiles(i.name, files, self._lower(reach))

    def _lower(self, reach: Interval | None) -> dt.datetime | None:
        if reach is None or self.part is None:
            return None
        return reach.start.astimezone(ZoneInfo(self.part.timezone))

    def _record(self, i: _Input, values: tuple[str | None, ...]) -> dict[str, str]:
        # Enough to name the partition that changed; beyond that one hash is kept.
        if len(values) <= 62:
            return {v or "": i.prints[v] for v in values if i.prints[v]}
        return {"*": i.fingerprint(values)}

    def _rebuilt_upstream(
        self, partition: str | None, reaches: Mapping[str, Interval | None]
    ) -> list[Reason]:
        reasons = []
        for i in self.inputs:
            pending = self.pending.get(i.name, Pending())
            if i.read.when_changed != "rebuild" or not pending.any:
                continue
            hit = sorted(
                v or "" for v in pending.rebuilt if self._matters(i, v, partition, reaches[i.name])
            )
            if hit:
                reasons.append(Reason("upstream rebuilt", i.name, ", ".join(filter(None, hit[:3]))))
            elif pending.unknown:
                reasons.append(Reason("after bronze", i.name, "months unknown until read"))
        return reasons

    def _absent_upstream(
        self, partition: str | None, reaches: Mapping[str, Interval | None]
    ) -> tuple[Reason, ...]:
        return tuple(
            Reason("waits for", i.name, value or "")
            for i in self.inputs
            for value in sorted(self.pending.get(i.name, Pending()).absent, key=str)
            if self._matters(i, value, partition, reaches[i.name])
        )

    def _matters(
        self, i: _Input, value: str | None, partition: str | None, reach: Interval | None
    ) -> bool:
        if i.by_value and partition is not None:
            return value == partition
        theirs = i.table.contract.lake.partition
        if i.by_time and reach is not None and theirs is not None:
            if value is None:
                return False
            covered = span(dt.date.fromisoformat(value), theirs.grain, theirs.timezone)
            return covered.overlaps(reach)
        return True

    def _changed(
        self,
        chosen: Mapping[str, tuple[str | None, ...]],
        have: BuildId | None,
        record: Record | None,
        partition: str | None,
    ) -> list[Reason]:
        """Which input changed: told from the ledger where it remembers, else in general."""
        reasons: list[Reason] = []
        since = max((f.added for f in self.actual.partitions.get(partition, ())), default=0)
        for i in self.inputs:
            now = self._record(i, chosen[i.name])
            then = record.inputs.get(i.name, {}) if record else {}
            if i.read.when_changed != "rebuild" or (record and now == then):
                continue
            late = [
                self.labels.get(f.batch, f.batch)
                for v in chosen[i.name]
                for f in i.snapshot.partitions[v]
                if f.batch and f.added > since
            ]
            if late:
                reasons.append(Reason("late data", i.name, ", ".join(sorted(set(late))[:3])))
            elif record:
                differ = sorted(k for k in {*now, *then} if now.get(k) != then.get(k))
                detail = ", ".join(filter(None, differ[:3]))
                reasons.append(Reason("upstream rebuilt", i.name, detail))
        return reasons or [Reason("new data", detail="an input changed; the ledger cannot say which")]

    def _gone(self, wanted: set[str | None]) -> list[Target]:
        return [
            Target(
                self.table.short,
                value,
                Action.remove,
                (Reason("gone from source"),),
                actual=str(files[0].build),
            )
            for value, files in self.actual.partitions.items()
            if value not in wanted
        ]
