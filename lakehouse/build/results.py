"""What a build tells: events on the way, results at its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lakehouse.catalog import Table
from lakehouse.commit import Commit
from lakehouse.engines.base import FileWarning, Staged
from lakehouse.ops import AuditRow
from lakehouse.units import counted

__all__ = ["Blocked", "BuildResult", "Event", "TableResult", "of_commit", "told"]

#: How many files a warning names, and how many different warnings a table's result has.
_FILES, _WARNINGS = 3, 8


@dataclass(frozen=True)
class Event:
    """Progress: ``planned``, ``staged``, ``committed`` or ``done`` of a table."""

    kind: str
    table: str
    done: int = 0
    total: int = 0
    detail: str = ""


@dataclass(frozen=True)
class Blocked:
    """One target that an audit keeps from being published."""

    table: str
    partition: str
    rule: str
    detail: str


@dataclass(frozen=True)
class TableResult:
    """What one table's build did. Grain: one per table of a run."""

    table: str
    version: int
    partitions: int = 0
    rows_in: int = 0
    rows_out: int = 0
    quarantined: int = 0
    superseded: int = 0
    audit: str = "nothing to do"
    seconds: float = 0.0
    engine: str = ""
    reasons: Mapping[str, int] = field(default_factory=dict)
    blocked: tuple[Blocked, ...] = ()
    waiting: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class BuildResult:
    """What a run did.

    Attributes:
        run: The run's id.
        tables: One result per table, inputs first.
        audits: Every rule at every target that was staged.
        seconds: Wall time.
    """

    run: str
    tables: tuple[TableResult, ...]
    audits: tuple[AuditRow, ...] = ()
    seconds: float = 0.0

    @property
    def changed(self) -> tuple[TableResult, ...]:
        """The tables of which something was published or removed."""
        return tuple(t for t in self.tables if t.partitions)

    @property
    def blocked(self) -> tuple[Blocked, ...]:
        """All blocked targets."""
        return tuple(b for t in self.tables for b in t.blocked)


def of_commit(
    table: Table,
    good: Sequence[Staged],
    made: Commit,
    blocked: tuple[Blocked, ...],
    waiting: tuple[str, ...],
    engine: str,
    seconds: float,
) -> TableResult:
    """A table's result after its commit."""
    staged = [s for s in good if s.key in made.published]
    reasons: dict[str, int] = {}
    for one in staged:
        for rule, n in one.reasons.items():
            reasons[rule] = reasons.get(rule, 0) + n
    return TableResult(
        table=table.name,
        version=made.version,
        partitions=len(staged) + len(made.removed),
        rows_in=sum(s.rows_in for s in staged),
        rows_out=sum(s.published for s in staged),
        quarantined=sum(s.quarantined for s in staged),
        superseded=sum(s.superseded for s in staged),
        audit="blocked" if blocked else "passed",
        engine=engine,
        seconds=seconds,
        reasons=reasons,
        blocked=blocked,
        waiting=waiting,
        warnings=told(w for s in good for w in s.warnings),
        keys=tuple(s.key for s in staged),
    )


def told(warnings: Iterable[FileWarning]) -> tuple[str, ...]:
    """Warnings for a person: each text once with its files, those of refused files first."""
    files: dict[tuple[bool, str], list[str]] = {}
    for one in warnings:
        files.setdefault((not one.refused, one.text), []).append(one.file)
    ordered = sorted(files.items(), key=lambda found: (found[0][0], -len(found[1]), found[0][1]))
    said = [f"{_named(sorted(names))}: {text}" for (_, text), names in ordered[:_WARNINGS]]
    rest = ordered[_WARNINGS:]
    if rest:
        touched = {name for _, names in rest for name in names}
        counts = counted(len(rest), "more warning"), counted(len(touched), "file")
        said.append(f"and {counts[0]}, of {counts[1]}")
    return tuple(said)


def _named(files: Sequence[str]) -> str:
    shown = [name if name.isprintable() else repr(name) for name in files[:_FILES]]
    if len(files) == 1:
        return shown[0]
    more = f" and {len(files) - _FILES} more" if len(files) > _FILES else ""
    return f"{len(files)} files ({', '.join(shown)}{more})"
