"""One table of a run: plan, stage, audit, publish, note."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from lakehouse import audit, commit, ledger
from lakehouse import snapshot as snapshots
from lakehouse.build.results import Blocked, Event, TableResult, of_commit
from lakehouse.build.tasks import grouped, task_of
from lakehouse.catalog import Table
from lakehouse.engines.base import Staged
from lakehouse.errors import EngineError
from lakehouse.ops import BuildRow
from lakehouse.planning import Action, Pending, Target
from lakehouse.snapshot import Snapshot
from lakehouse.storage import Storage

if TYPE_CHECKING:
    from lakehouse.build.session import Session

__all__ = [
    "Audited",
    "Planned",
    "build_table",
    "plan_table",
    "stage_targets",
    "still_wanted",
]

#: Seconds after which what is staged is published, though more is to come.
_PORTION_S = 300.0


@dataclass(frozen=True)
class Planned:
    """One table of a run as its inputs are now.

    Attributes:
        seen: The table and its inputs, at the versions that were planned with.
        targets: What is not as it should be.
        engine: What changes the table; empty when there is nothing to do.
        because: Why.
    """

    seen: Mapping[str, Snapshot]
    targets: tuple[Target, ...]
    engine: str = ""
    because: str = ""

    @property
    def todo(self) -> list[Target]:
        """The targets that are to be built."""
        return [t for t in self.targets if t.action is Action.build]


def plan_table(session: Session, table: Table) -> Planned:
    """What is to be done for one table whose inputs are built, and where.

    Raises:
        LakehouseError: No plan can be made.
    """
    seen = session.read([*table.reads, table.short])
    pending = {n: Pending(absent=session.absent.get(n, frozenset())) for n in table.reads}
    planned = Planned(seen, session.targets(table, pending, seen))
    if not any(t.action in (Action.build, Action.remove) for t in planned.targets):
        return planned
    engine, because = session.route(table, planned.todo)
    return replace(planned, engine=engine, because=because)


def build_table(session: Session, table: Table, planned: Planned | None = None) -> TableResult:
    """Stage, audit and publish one table whose inputs are built.

    Args:
        session: The run.
        table: It.
        planned: What is to be done; planned here when it is None.

    Raises:
        LakehouseError: Staging or committing failed; what was published stays.
    """
    began = time.perf_counter()
    session.forget(table)
    planned = planned or plan_table(session, table)
    seen, targets, todo = planned.seen, planned.targets, planned.todo
    _note_absent(session, table, targets)
    remove = [t.key for t in targets if t.action is Action.remove]
    waiting, blocked = _waiting(table, targets), _blocked_before(table, targets)
    if not todo and not remove:
        told = "blocked" if blocked else "nothing to do"
        version = seen[table.short].version
        return TableResult(table.name, version, blocked=blocked, waiting=waiting, audit=told)
    session.probe()
    session.on_event(Event("planned", table.short, 0, len(todo)))
    engine, place = planned.engine, session.lake.place(table)
    made = commit.Commit(seen[table.short].version, ())
    staged: list[Staged] = []
    for portion in _portions(table, place, stage_targets(session, table, todo, engine)):
        good = [one for one in portion.audited if not one.stops]
        blocked += tuple(stop for one in portion.audited for stop in one.blocked)
        part = commit.publish(
            table,
            place,
            [one.staged for one in good],
            run=session.run,
            engine=engine,
            remove=remove if portion.last else (),
            planned=made.version,
            still_wanted=lambda: still_wanted(session, table),
        )
        session.note(builds=[_published(session, one, part, planned) for one in good])
        made, staged = made.then(part), [*staged, *(one.staged for one in good)]
    session.on_event(Event("committed", table.short, len(todo), len(todo), f"v{made.version}"))
    seconds = time.perf_counter() - began
    return of_commit(table, staged, made, blocked, waiting, engine, seconds)


def _waiting(table: Table, targets: Sequence[Target]) -> tuple[str, ...]:
    return tuple(
        f"{t.key or table.short} {t.reasons[0].code} {t.reasons[0].input or ''}".strip()
        for t in targets
        if t.action is Action.wait
    )


def _blocked_before(table: Table, targets: Sequence[Target]) -> tuple[Blocked, ...]:
    why = "blocked before, nothing has changed"
    held = [t for t in targets if t.action is Action.blocked]
    return tuple(Blocked(table.name, t.key, t.reasons[0].detail, why) for t in held)


def _note_absent(session: Session, table: Table, targets: Sequence[Target]) -> None:
    """Remember which partitions those downstream must not do without."""
    held = (Action.wait, Action.blocked)
    session.absent[table.short] = frozenset(
        t.partition for t in targets if t.action in held and t.actual is None
    )


def still_wanted(session: Session, table: Table) -> Mapping[str, str]:
    """Key → wanted id as the inputs are now."""
    session.relist(table)
    seen = session.read([*table.reads, table.short])
    return {t.key: t.wanted for t in session.targets(table, {}, seen)}


# --- stage and audit ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Audited:
    """A target, its staged files, and the rules that keep it from being published."""

    table: Table
    target: Target
    staged: Staged
    stops: tuple[audit.Verdict, ...] = ()

    @property
    def blocked(self) -> tuple[Blocked, ...]:
        """What is told of the rules that stop it."""
        name, key = self.table.name, self.staged.key
        return tuple(Blocked(name, key, stop.rule, stop.detail) for stop in self.stops)


def stage_targets(
    session: Session, table: Table, targets: Sequence[Target], engine: str
) -> Iterator[Audited]:
    """Stage and audit: each target comes as soon as it is judged.

    Raises:
        EngineError: A target could not be staged.
    """
    by_key = {t.key: t for t in targets}
    running = session.engine_for(engine)
    groups = grouped(session, table, targets, running.slots, spreads=running.spreads)
    tasks = [task_of(session, table, group, len(groups), running.dialect) for group in groups]
    for done, staged in enumerate(running.stage(tasks), 1):
        one = Audited(table, by_key[staged.key], staged, _judge(session, table, staged))
        if one.stops:
            _hold(session, one, engine)
        session.on_event(Event("staged", table.short, done, len(targets), staged.key))
        yield one


@dataclass(frozen=True)
class _Portion:
    """What is published by one commit, while others are still staged."""

    audited: Sequence[Audited]
    last: bool


def _portions(table: Table, place: Storage, audited: Iterator[Audited]) -> Iterator[_Portion]:
    """What is ready from time to time, and what is when all is or one could not be staged.

    So a long backfill that is killed, or fails at one target, keeps what it has done. Where the
    table's columns change, all files must be replaced together.
    """
    ready: list[Audited] = []
    since = time.monotonic()
    try:
        for one in audited:
            ready.append(one)
            if time.monotonic() - since >= _PORTION_S:
                if not commit.whole(table, place):
                    yield _Portion(ready, last=False)
                    ready = []
                since = time.monotonic()
    except EngineError:
        if ready and not commit.whole(table, place):
            yield _Portion(ready, last=False)
        raise
    yield _Portion(ready, last=True)


def _judge(session: Session, table: Table, staged: Staged) -> tuple[audit.Verdict, ...]:
    verdicts = audit.judge(
        table.contract,
        staged.numbers,
        rows=staged.selected,
        quarantined=staged.quarantined,
        today=session.started.date(),
    )
    rows = ledger.audit_rows(session.run, table.name, staged.key, staged.wanted, verdicts)
    session.note(audits=rows)
    return audit.blocking(verdicts)


def _hold(session: Session, one: Audited, engine: str) -> None:
    session.note(builds=[_row(session, one, engine, -1, {}, "blocked")])
    if one.target.actual is None:
        short = one.table.short
        session.absent[short] = session.absent.get(short, frozenset()) | {one.target.partition}


# --- what the ledger is told --------------------------------------------------------------------


def _published(session: Session, one: Audited, made: commit.Commit, planned: Planned) -> BuildRow:
    versions = {name: planned.seen[name].version for name in one.table.reads}
    result = "superseded" if one.staged.key in made.superseded else "published"
    return _row(session, one, planned.engine, made.version, versions, result)


def _row(
    session: Session,
    one: Audited,
    engine: str,
    version: int,
    versions: Mapping[str, int],
    result: str,
) -> BuildRow:
    staged, target = one.staged, one.target
    builds = {str(snapshots.build_of(f.path)) for f in staged.files}
    return BuildRow(
        run=session.run,
        table=one.table.name,
        key=staged.key,
        label=target.batch.label if target.batch else "",
        build=",".join(sorted(builds)),
        wanted=staged.wanted,
        reasons=json.dumps([asdict(reason) for reason in target.reasons]),
        inputs=json.dumps({name: dict(prints) for name, prints in target.inputs.items()}),
        reads=json.dumps(dict(versions)),
        version=version,
        rows_in=staged.rows_in,
        published=staged.published,
        quarantined=staged.quarantined,
        superseded=staged.superseded,
        samples=json.dumps(staged.samples),
        bytes=staged.bytes,
        files=len(staged.files),
        result=result,
        rule=one.stops[0].rule if one.stops else "",
        gates=one.table.contract.gates,
        engine=engine,
        started=ledger.now() - dt.timedelta(seconds=staged.seconds),
        seconds=staged.seconds,
    )
