"""Silver and gold: the partitions that a table should have against those that are live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lakehouse.catalog import Table
from lakehouse.contract import digest
from lakehouse.planning.difference import INPUTS, differences, forced, unless_blocked
from lakehouse.planning.source import Source
from lakehouse.planning.target import Action, Reason, Record, Target
from lakehouse.snapshot import Snapshot

__all__ = ["plan_partitions"]

_Chosen = Mapping[str, tuple[str | None, ...]]
_UNKNOWN = "months unknown until a file is read"


def plan_partitions(
    table: Table,
    sources: Sequence[Source],
    actual: Snapshot,
    records: Mapping[str, Record],
    labels: Mapping[str, str],
    force: bool | frozenset[str],
) -> tuple[Target, ...]:
    """The targets of a table with SQL; see :func:`lakehouse.planning.plan_table`."""
    waits = _unpublished(table, sources)
    if waits:
        return (waits,)
    view = _View(table, sources, actual, records, labels, force)
    wanted = view.wanted()
    targets = [target for target in map(view.target, wanted) if target is not None]
    # Files that nobody has read yet may hold rows of any partition.
    unknown = view.unknown()
    return (*targets, *_gone(table, actual, set(wanted), certain=not unknown), *unknown)


def _unpublished(table: Table, sources: Sequence[Source]) -> Target | None:
    missing = [s.name for s in sources if not s.snapshot.exists and not s.pending.any]
    if not missing:
        return None
    reasons = tuple(Reason("waits for", name, "nothing published yet") for name in missing)
    return Target(table.short, None, Action.wait, reasons)


def _gone(
    table: Table, actual: Snapshot, wanted: set[str | None], *, certain: bool
) -> list[Target]:
    reason = (Reason("gone from source"),)
    return [
        Target(
            table.short,
            value,
            Action.remove,
            reason,
            actual=str(files[0].build),
            certain=certain,
        )
        for value, files in actual.partitions.items()
        if value not in wanted
    ]


@dataclass(frozen=True)
class _View:
    table: Table
    sources: Sequence[Source]
    actual: Snapshot
    records: Mapping[str, Record]
    labels: Mapping[str, str]
    force: bool | frozenset[str]

    @property
    def _drivers(self) -> list[Source]:
        """The inputs whose partitions decide which partitions this table has."""
        made_of = [s for s in self.sources if s.made_of]
        same = [s for s in made_of if s.same_column]
        return same or [s for s in made_of if s.by_time]

    def wanted(self) -> list[str | None]:
        """The partitions that the table should have, in order."""
        if self.table.contract.lake.partition is None:
            return [None]
        return [*sorted(set[str]().union(*(s.covers() for s in self._drivers)))]

    def unknown(self) -> tuple[Target, ...]:
        """One target that stands for partitions of files which nobody has read yet."""
        names = [s.name for s in self._drivers if s.pending.unknown]
        if self.table.contract.lake.partition is None or not names:
            return ()
        reasons = tuple(Reason("after bronze", name, _UNKNOWN) for name in names)
        return (Target(self.table.short, None, Action.build, reasons, certain=False),)

    def target(self, partition: str | None) -> Target | None:
        """One partition, if it is not as it should be."""
        chosen = {s.name: s.select(partition) for s in self.sources}
        prints = [[s.name, s.fingerprint(chosen[s.name])] for s in self.sources]
        # The partition is hashed too, so that a build id names one target of the table.
        wanted = f"{self.table.definition}-{digest(partition, prints)}"
        have = next((f.build for f in self.actual.partitions.get(partition, ()) if f.build), None)
        reasons = differences(self.table, wanted, have)
        if forced(self.force, partition):
            reasons.append(Reason("forced"))
        upstream = self._upstream(partition)
        if not reasons and not upstream:
            return None
        target = Target(
            self.table.short,
            partition,
            Action.build,
            (*self._detailed(reasons, chosen, partition), *upstream),
            reads=tuple(s.files(partition, chosen[s.name]) for s in self.sources),
            wanted="" if upstream else wanted,
            actual=str(have) if have else None,
            inputs={s.name: s.record(chosen[s.name]) for s in self.sources},
            certain=bool(reasons),
        )
        waits = self._waits(partition)
        if waits and have is None:
            return replace(target, action=Action.wait, reasons=waits)
        return unless_blocked(self.table, target, self.records.get(target.key))

    def _upstream(self, partition: str | None) -> list[Reason]:
        reasons = []
        for source in self.sources:
            if source.read.when_changed != "rebuild":
                continue
            hit = sorted(v or "" for v in source.pending.rebuilt if source.matters(v, partition))
            if hit:
                detail = ", ".join(filter(None, hit[:3]))
                reasons.append(Reason("upstream rebuilt", source.name, detail))
            elif source.pending.unknown:
                reasons.append(Reason("after bronze", source.name, _UNKNOWN))
        return reasons

    def _waits(self, partition: str | None) -> tuple[Reason, ...]:
        return tuple(
            Reason("waits for", source.name, value or "")
            for source in self.sources
            for value in sorted(source.pending.absent, key=str)
            if source.matters(value, partition)
        )

    def _detailed(
        self, reasons: Sequence[Reason], chosen: _Chosen, partition: str | None
    ) -> list[Reason]:
        return [
            better
            for reason in reasons
            for better in (self._changed(chosen, partition) if reason.code == INPUTS else [reason])
        ]

    def _changed(self, chosen: _Chosen, partition: str | None) -> list[Reason]:
        """Which input changed: told from the ledger where it remembers, else in general."""
        record = self.records.get(partition or "")
        reasons: list[Reason] = []
        for source in self.sources:
            now = source.record(chosen[source.name])
            then = record.inputs.get(source.name, {}) if record else {}
            if source.read.when_changed == "ignore" or (record and now == then):
                continue
            late = self._late(source, chosen[source.name], partition)
            if late:
                reasons.append(Reason("late data", source.name, ", ".join(late[:3])))
            elif record:
                differ = sorted(k for k in {*now, *then} if now.get(k) != then.get(k))
                detail = ", ".join(filter(None, differ[:3]))
                reasons.append(Reason("upstream rebuilt", source.name, detail))
        unsure = Reason("new data", detail="an input changed; the ledger cannot say which")
        return reasons or [unsure]

    def _late(
        self, source: Source, values: Sequence[str | None], partition: str | None
    ) -> list[str]:
        """Landing batches that came into the input after this partition was built."""
        since = max((f.added for f in self.actual.partitions.get(partition, ())), default=0)
        batches = {
            part.batch
            for value in values
            for file in source.snapshot.partitions[value]
            for part in file.parts
            if part.batch and part.added > since
        }
        return sorted(self.labels.get(batch, batch) for batch in batches)
