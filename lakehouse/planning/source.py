"""One input of a table, prepared so that a target's share of it is a slice."""

from __future__ import annotations

import bisect
import datetime as dt
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from lakehouse.catalog import Table
from lakehouse.contract import Partition, Read, digest
from lakehouse.interval import Grain, Interval, span
from lakehouse.planning.target import Pending, ReadFiles
from lakehouse.snapshot import File, Snapshot

__all__ = ["Source"]

#: Up to so many input partitions a target's record names each; beyond, one hash is kept.
_NAMED = 62


@dataclass(frozen=True)
class Source:
    """An input as one reading table sees it.

    Equal-named partition columns match by value, time by interval in the reading
    table's time zone; everything else is read whole.

    Attributes:
        name: The input's short name.
        table: The input.
        read: How far it is read.
        snapshot: What is live in it.
        pending: What is still to be built of it.
        ours: The reading table's partition, None for an unpartitioned one.
        made_of: Whether rows are made of it: a table that a relationship alone refers to does not
            say which partitions there are.
    """

    name: str
    table: Table
    read: Read
    snapshot: Snapshot
    pending: Pending
    ours: Partition | None
    made_of: bool = True

    @property
    def theirs(self) -> Partition | None:
        """The input's own partition."""
        return self.table.contract.lake.partition

    @functools.cached_property
    def same_column(self) -> bool:
        """Whether both are partitioned by a column of the same name and grain."""
        mine, other = self.ours, self.theirs
        return bool(mine and other and (mine.column, mine.grain) == (other.column, other.grain))

    @functools.cached_property
    def by_value(self) -> bool:
        """Whether a partition reads just its namesake."""
        return self.same_column and not (self.read.lookback or self.read.lookahead)

    @functools.cached_property
    def by_time(self) -> bool:
        """Whether a partition reads those that overlap it in time."""
        parts = (self.ours, self.theirs)
        return not self.by_value and all(p and p.grain is not Grain.value for p in parts)

    @functools.cached_property
    def values(self) -> tuple[str | None, ...]:
        """Its partition values in order, NULL left out where time selects."""
        return tuple(v for v in self.snapshot.partitions if v is not None or not self.by_time)

    @functools.cached_property
    def _spans(self) -> tuple[Interval, ...]:
        return tuple(self._span(value) for value in self.values if value)

    @functools.cached_property
    def _starts(self) -> list[dt.datetime]:
        return [one.start for one in self._spans]

    def _span(self, value: str) -> Interval:
        assert self.theirs is not None
        return span(dt.date.fromisoformat(value), self.theirs.grain, self.theirs.timezone)

    @functools.cached_property
    def prints(self) -> Mapping[str | None, str]:
        """Partition → what it holds, by content where that is known."""
        return {value: _print(files) for value, files in self.snapshot.partitions.items()}

    @functools.cached_property
    def _everything(self) -> str:
        return digest([[v, p] for v, p in self.prints.items() if p])

    def reach(self, partition: str | None) -> Interval | None:
        """The span that an output partition reads; None where time does not select."""
        if partition is None or self.ours is None or not self.by_time:
            return None
        return span(
            dt.date.fromisoformat(partition),
            self.ours.grain,
            self.ours.timezone,
            lookback=self.read.lookback,
            lookahead=self.read.lookahead,
        )

    def select(self, partition: str | None) -> tuple[str | None, ...]:
        """The live input partitions that can matter for an output partition."""
        if self.by_value and partition is not None:
            return (partition,) if partition in self.snapshot.partitions else ()
        reach = self.reach(partition)
        if reach is None:
            return tuple(self.snapshot.partitions)
        first = bisect.bisect_left(self._starts, reach.start)
        # The one before may reach in: partitions of one table do not overlap each other.
        if first and self._spans[first - 1].end > reach.start:
            first -= 1
        return self.values[first : bisect.bisect_left(self._starts, reach.end)]

    def fingerprint(self, values: tuple[str | None, ...]) -> str:
        """What some input partitions hold, as far as the reading table wants to know."""
        match self.read.when_changed:
            case "ignore":
                return "ignored"
            case "new_partitions":
                return digest([v for v in values if self.prints[v]])
        if len(values) == len(self.prints):
            return self._everything
        return digest([[v, self.prints[v]] for v in values if self.prints[v]])

    def record(self, values: tuple[str | None, ...]) -> dict[str, str]:
        """What the ledger keeps, to name the partition that changed."""
        if len(values) > _NAMED:
            return {"*": self.fingerprint(values)}
        return {v or "": self.prints[v] for v in values if self.prints[v]}

    def files(self, partition: str | None, values: tuple[str | None, ...]) -> ReadFiles:
        """The files of some partitions, and the first instant in them that can matter."""
        found = tuple(f for v in values for f in self.snapshot.partitions[v] if f.rows)
        reach = self.reach(partition)
        if reach is None or self.ours is None:
            return ReadFiles(self.name, found, version=self.snapshot.version)
        # A DATE is a day of the zone of the table that holds it.
        zone = (self.theirs or self.ours).timezone
        lower = reach.start.astimezone(ZoneInfo(zone))
        return ReadFiles(self.name, found, lower, self.snapshot.version)

    def matters(self, value: str | None, partition: str | None) -> bool:
        """Whether an input partition, live or not, is read for an output partition."""
        if self.by_value and partition is not None:
            return value == partition
        reach = self.reach(partition)
        if reach is None:
            return True
        return value is not None and self._span(value).overlaps(reach)

    def covers(self) -> set[str]:
        """The output partitions that the input's partitions, live and pending, fall into."""
        known = {v for v in (*self.values, *self.pending.rebuilt) if v}
        return known if self.same_column else {ours for v in known for ours in self._covered(v)}

    def _covered(self, value: str) -> Iterable[str]:
        assert self.ours is not None
        covered = self._span(value)
        ours = self.ours.grain.start(dt.date.fromisoformat(value) - dt.timedelta(days=1))
        while (one := span(ours, self.ours.grain, self.ours.timezone)).start < covered.end:
            if one.overlaps(covered):
                yield ours.isoformat()
            ours = self.ours.grain.next(ours)


def _print(files: Iterable[File]) -> str:
    # A set, so that neither merging nor the split into files matters; empty files never do.
    parts = (part for file in files for part in file.parts)
    effects = {part.build.effect for part in parts if part.build and part.rows}
    return digest(sorted(effects)) if effects else ""
