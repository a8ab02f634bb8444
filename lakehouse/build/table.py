"""One table of a run: plan, stage, audit, publish, note."""

from __future__ import annotations

import datetime as dt
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from lakehouse import audit, catalog, commit, ledger, sql
from lakehouse import snapshot as snapshots
from lakehouse.build.results import Blocked, Event, TableResult, of_commit
from lakehouse.catalog import Table
from lakehouse.engines.base import Argument, Function, Input, InputFile, Output, Staged, Task
from lakehouse.engines.routing import cores
from lakehouse.errors import EngineError
from lakehouse.ops import BuildRow
from lakehouse.planning import Action, Pending, ReadFiles, Target
from lakehouse.snapshot import Snapshot
from lakehouse.storage import Storage

if TYPE_CHECKING:
    from lakehouse.build.session import Session

__all__ = [
    "Audited",
    "Planned",
    "build_table",
    "grouped",
    "plan_table",
    "stage_targets",
    "still_wanted",
    "task_of",
]

#: How much larger rows may be in memory than in their files, with what a window needs beside them.
_GROWTH = 64
#: Neighbours that one task builds even where each could have a slot of its own: two months that
#: each look back one read three together, four apart, and DuckDB has the idle slot's threads.
_TOGETHER = 2
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
    groups = grouped(session, table, targets, running.slots)
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


def grouped(
    session: Session, table: Table, targets: Sequence[Target], slots: int | None
) -> list[list[Target]]:
    """The targets of each task: those that one SELECT builds as each alone would be.

    Args:
        session: The run.
        table: The targets' table.
        targets: What is to be built of it.
        slots: How many tasks run side by side; None where one is spread by its engine. Elsewhere
            only neighbours that read the same files are one task: a year of months with a
            lookback of one reads eleven months once instead of twice.
    """
    timed = all(any(read.lower for read in t.reads) for t in targets)
    if table.code is not None or catalog.narrow_references(session.domain, table):
        # Nothing is known of a function, and a key may be looked for in part of a table: each
        # target sees just what its partition reads.
        return [[target] for target in targets]
    if slots is None and (timed or _carried(session, table)):
        return [list(targets)]
    if slots is None or not timed or table.contract.lake.rows is not None:
        return [[target] for target in targets]
    longest = max(_TOGETHER, math.ceil(len(targets) / slots))
    largest = session.lake.settings.worker_memory / _GROWTH
    groups: list[list[Target]] = []
    read: set[str] = set()
    for target in sorted(targets, key=lambda t: t.key):
        files = {f"{r.table}/{file.path}" for r in target.reads for file in r.files}
        last = groups[-1] if groups else []
        wide = sum(t.bytes for t in last) + target.bytes > largest
        if not last or len(last) == longest or wide or read.isdisjoint(files):
            groups.append([])
        groups[-1].append(target)
        read = files
    return groups


def _carried(session: Session, table: Table) -> bool:
    """Whether a row's partition is that of the input row which it is made of."""
    part = table.contract.lake.partition
    if part is None or table.query is None:
        return False
    inputs = catalog.sql_inputs(session.domain, table)
    sources = sql.lineage(table.query, inputs).get(part.column, frozenset())
    return bool(sources) and all(
        column == part.column and inputs[name].partition == column for name, column in sources
    )


def task_of(
    session: Session,
    table: Table,
    targets: Sequence[Target],
    beside: int,
    dialect: sql.Dialect = "duckdb",
) -> Task:
    """Everything that staging some targets of a table together needs.

    Args:
        session: The run.
        table: The targets' table.
        targets: What is to be built; one, where a batch is landed.
        beside: How many tasks run with it; alone, it may use every core.
        dialect: The engine's SQL.
    """
    lake, at_once = session.lake, cores(session.lake.settings)
    first = targets[0]
    return Task(
        table=table.name,
        outputs=tuple(Output(t.key, t.partition, t.wanted) for t in targets),
        contract=table.contract,
        storage=lake.place(table),
        sql=_select(session, table, dialect),
        function=_function(session, table),
        inputs=tuple(
            _input(session, reads) for reads in zip(*(t.reads for t in targets), strict=True)
        ),
        batch=first.batch,
        landing=lake.landing_of(session.domain.name) if first.batch else None,
        rows_from=table.contract.lake.rows.from_ if table.contract.lake.rows else None,
        reaches=any(r.lower is not None for r in first.reads if r.table in table.made_of),
        memory=int(lake.settings.worker_memory),
        threads=max(1, at_once // min(beside, at_once)),
    )


def _select(session: Session, table: Table, dialect: sql.Dialect) -> str:
    if table.query is None:
        return ""
    inputs = catalog.sql_inputs(session.domain, table)
    return sql.select(table.query, table.contract.types, dialect, inputs)


def _function(session: Session, table: Table) -> Function | None:
    if table.code is None:
        return None
    known = catalog.sql_inputs(session.domain, table)
    passed = tuple(
        Argument(name, read, tuple(filter(None, (*known[read].key, known[read].partition))))
        if known[read].key
        else Argument(name, read)
        for name, read in table.arguments.items()
    )
    return Function(table.code, passed)


def _input(session: Session, reads: Sequence[ReadFiles]) -> Input:
    """What several targets read of one table, together."""
    table = session.domain.tables[reads[0].table]
    part = table.contract.lake.partition
    # Lineage columns are bronze's; what silver carries of them says nothing about a row.
    types = {
        name: kind
        for name, kind in table.contract.types.items()
        if table.landed or not name.startswith("_")
    }
    files = dict.fromkeys(InputFile(f.path, f.partition) for read in reads for f in read.files)
    return Input(
        name=reads[0].table,
        storage=session.lake.place(table),
        types=types,
        partition_column=part.column if part else None,
        files=tuple(files),
        event=part.event if part else None,
        version=reads[0].version,
        lower=min((read.lower for read in reads if read.lower is not None), default=None),
    )


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
