"""plan → stage → audit → commit → ledger: the one place that puts them together."""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime as dt
import functools
import graphlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lakehouse import audit, catalog, commit, landing, ledger, sql
from lakehouse import snapshot as snapshots
from lakehouse.catalog import Domain, Table
from lakehouse.engines.base import Engine, Input, InputFile, Staged, Task
from lakehouse.errors import CatalogError, CommitError, SettingsError
from lakehouse.landing import Batch
from lakehouse.ledger import BuildRow, Ledger
from lakehouse.planning import Action, Pending, Plan, Target, plan_table
from lakehouse.settings import Settings
from lakehouse.snapshot import Snapshot
from lakehouse.storage import Storage, connect

__all__ = [
    "Blocked",
    "BuildResult",
    "Event",
    "Lake",
    "Session",
    "TableResult",
    "build",
    "open_lake",
    "plan",
]


@dataclass(frozen=True)
class Lake:
    """A place for tables and the domains declared for it."""

    settings: Settings
    storage: Storage
    landing: Storage
    domains: tuple[Domain, ...]

    def place(self, table: Table) -> Storage:
        """Where a table's data is."""
        return self.storage.at(*table.path.split("/"))

    def landing_of(self, domain: str) -> Storage:
        """Where a domain's files land."""
        return self.landing.at(domain)

    def domain(self, name: str | None) -> Domain:
        """A domain by name; the only one when there is no name.

        Raises:
            CatalogError: No such domain, or several and none named.
        """
        names = ", ".join(d.name for d in self.domains)
        found = [d for d in self.domains if name in (None, d.name)]
        if len(found) == 1:
            return found[0]
        raise CatalogError(
            f"find the domain {name!r}" if name else "find the domain",
            f"there are {names}",
            f"name one of them: {names}",
        )


def open_lake(settings: Settings) -> Lake:
    """The lake of the settings, its domains read and linted.

    Raises:
        CatalogError, ContractError, SqlError: A declaration is wrong.
    """
    return Lake(
        settings,
        connect(settings, settings.lake_uri),
        connect(settings, settings.landing_uri),
        catalog.load_all(settings.domains, settings.state),
    )


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
    """What a run did."""

    run: str
    tables: tuple[TableResult, ...]
    seconds: float = 0.0

    @property
    def changed(self) -> tuple[TableResult, ...]:
        """The tables of which something was published or removed."""
        return tuple(t for t in self.tables if t.partitions)

    @property
    def blocked(self) -> tuple[Blocked, ...]:
        """All blocked targets."""
        return tuple(b for t in self.tables for b in t.blocked)


@dataclass
class Session:
    """One run over one domain: what it has seen, with the engine it builds on.

    Args:
        lake: The lake.
        domain: The domain.
        run: The run's id; None plans only.
        engine: ``auto`` or an engine's name, which overrides the contracts.
        force: All selected targets, or the partitions named.
        on_event: Called with progress, from several threads.
    """

    lake: Lake
    domain: Domain
    run: str = field(default_factory=ledger.new_run)
    engine: str = "auto"
    force: bool | frozenset[str] = False
    forced_tables: frozenset[str] = frozenset()
    on_event: Callable[[Event], None] = lambda event: None
    absent: dict[str, frozenset[str | None]] = field(default_factory=dict)
    started: dt.datetime = field(default_factory=ledger.now)
    _engines: dict[str, Engine] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _probed: bool = False

    @functools.cached_property
    def ledger(self) -> Ledger:
        """The ops tables."""
        return Ledger(self.lake.storage)

    @functools.cached_property
    def _batches(self) -> dict[str, tuple[Batch, ...]]:
        return {}

    def batches(self, table: Table) -> tuple[Batch, ...]:
        """What lies in the landing zone for a bronze table; listed once a run."""
        if table.short not in self._batches:
            source = table.contract.lake.source
            assert source is not None
            place = self.lake.landing_of(self.domain.name)
            files = landing.files(place.fsspec(), place.root, source)
            self._batches[table.short] = tuple(landing.batches(files, source))
        return self._batches[table.short]

    def snapshot(self, table: Table) -> Snapshot:
        """The newest version of a table."""
        return snapshots.read(self.lake.place(table), table.name)

    def targets(
        self,
        table: Table,
        pending: Mapping[str, Pending],
        seen: Mapping[str, Snapshot],
    ) -> tuple[Target, ...]:
        """Plan one table against snapshots that were read before."""
        inputs = {name: (self.domain.tables[name], seen[name]) for name in table.reads}
        make = functools.partial(
            plan_table,
            table,
            inputs,
            seen[table.short],
            batches=self.batches(table) if table.query is None else (),
            held=self._held(table, seen[table.short]),
            pending=pending,
            force=self.force if table.short in self.forced_tables else False,
        )
        found = make()
        if not any(t.action is Action.build for t in found):
            return found
        # Only now is the ledger worth its reading: to say why, and what was blocked before.
        return make(records=self.ledger.records(table.name), labels=self._labels())

    def _held(self, table: Table, actual: Snapshot) -> Mapping[str, Mapping[str, dt.datetime]]:
        """What live batches of several files were read from, where the listing has changed."""
        lake = table.contract.lake
        if lake.source is None or lake.source.batch == "file" or lake.on_gone == "remove":
            return {}
        listed = {batch.id: batch.inputs for batch in self.batches(table)}
        changed = [
            file
            for batch, files in actual.batches.items()
            for file in files
            if file.build and listed.get(batch) != file.build.inputs
        ]
        return snapshots.landed(self.lake.place(table), changed)

    def _labels(self) -> Mapping[str, str]:
        known = {b.id: b.label for batches in self._batches.values() for b in batches}
        return {**self.ledger.labels, **known}

    def route(self, table: Table, targets: Sequence[Target]) -> tuple[str, str]:
        """The engine for some targets, and why."""
        chosen = self.engine if self.engine != "auto" else table.contract.lake.engine
        if chosen != "auto":
            return chosen, "asked for" if self.engine != "auto" else "the contract says so"
        largest = max((t.bytes for t in targets), default=0)
        limit = int(self.lake.settings.engine_threshold)
        if largest <= limit:
            return "dask", f"{_size(largest)} ≤ {_size(limit)}"
        return "dask", f"{_size(largest)} > {_size(limit)}, but no cluster engine is installed"

    def engine_for(self, name: str) -> Engine:
        """The running engine of that name.

        Raises:
            SettingsError: There is no such engine.
        """
        with self._lock:
            if name not in self._engines:
                self._engines[name] = _start(name, self.lake.settings)
            return self._engines[name]

    def select(
        self, tables: Sequence[str], *, force: bool = False, partitions: Sequence[str] = ()
    ) -> None:
        """Say which tables ``force`` is about; see the attributes.

        Raises:
            CatalogError: No such table.
        """
        named = [self.domain.table(name).short for name in tables]
        self.forced_tables = frozenset(named or self.domain.tables)
        self.force = frozenset(partitions) if force and partitions else force

    def probe(self) -> None:
        """See, before the first write of the run, that the store keeps commits.

        Raises:
            UnsafeStoreError: It would lose some.
            StorageError: It cannot be reached.
        """
        with self._lock:
            if not self._probed:
                self.lake.storage.probe()
                self._probed = True

    def close(self) -> None:
        """Stop the engines."""
        for engine in self._engines.values():
            engine.close()
        self._engines.clear()

    # --- one table ----------------------------------------------------------------------------

    def build_table(self, name: str) -> TableResult:
        """Plan, stage, audit and publish one table whose inputs are built.

        Raises:
            LakehouseError: Staging or committing failed; what was published stays.
        """
        began, table = time.perf_counter(), self.domain.tables[name]
        seen = self._read_all([*table.reads, name])
        pending = {n: Pending(absent=self.absent.get(n, frozenset())) for n in table.reads}
        targets = self.targets(table, pending, seen)
        self._note_absent(table, targets)
        todo = [t for t in targets if t.action is Action.build]
        remove = [t.key for t in targets if t.action is Action.remove]
        waiting = tuple(
            f"{t.key or table.short} {t.reasons[0].code} {t.reasons[0].input or ''}".strip()
            for t in targets
            if t.action is Action.wait
        )
        old = tuple(
            Blocked(table.name, t.key, t.reasons[0].detail, "blocked before, nothing has changed")
            for t in targets
            if t.action is Action.blocked
        )
        if not todo and not remove:
            return TableResult(
                table.name,
                seen[name].version,
                blocked=old,
                waiting=waiting,
                audit="blocked" if old else "nothing to do",
            )
        self.probe()
        self.on_event(Event("planned", table.short, 0, len(todo)))
        engine, _ = self.route(table, todo)
        good, blocked = self._stage(table, todo, engine)
        place = self.lake.place(table)
        made = commit.publish(
            table,
            place,
            [staged for _, staged in good],
            run=self.run,
            engine=engine,
            remove=remove,
            planned=seen[name].version,
            still_wanted=lambda: self._still_wanted(table),
        )
        versions = {n: seen[n].version for n in table.reads}
        self._record(table, good, made, engine, versions)
        result = _result(table, good, made, blocked + old, waiting, engine)
        seconds = time.perf_counter() - began
        self.on_event(Event("committed", table.short, len(todo), len(todo), f"v{made.version}"))
        return TableResult(**{**result.__dict__, "seconds": seconds})

    def _read_all(self, names: Iterable[str]) -> dict[str, Snapshot]:
        return read_snapshots(self, [self.domain.tables[n] for n in names])

    def _note_absent(self, table: Table, targets: Sequence[Target]) -> None:
        held = (Action.wait, Action.blocked)
        self.absent[table.short] = frozenset(
            t.partition for t in targets if t.action in held and t.actual is None
        )

    def _still_wanted(self, table: Table) -> Mapping[str, str]:
        self._batches.pop(table.short, None)
        seen = self._read_all([*table.reads, table.short])
        return {t.key: t.wanted for t in self.targets(table, {}, seen)}

    def _stage(
        self, table: Table, targets: Sequence[Target], engine: str
    ) -> tuple[list[tuple[Target, Staged]], tuple[Blocked, ...]]:
        by_key = {t.key: t for t in targets}
        good: list[tuple[Target, Staged]] = []
        blocked: list[Blocked] = []
        tasks = [self._task(table, target, len(targets)) for target in targets]
        for staged in self.engine_for(engine).stage(tasks):
            verdicts = audit.judge(
                table.contract,
                staged.numbers,
                rows=staged.selected,
                quarantined=staged.quarantined,
                today=self.started.date(),
            )
            with self._lock:
                self.ledger.audits += ledger.audit_rows(
                    self.run, table.name, staged.key, staged.wanted, verdicts
                )
            stops = audit.blocking(verdicts)
            if stops:
                blocked += [Blocked(table.name, staged.key, v.rule, v.detail) for v in stops]
                self._record_blocked(table, by_key[staged.key], staged, stops[0].rule, engine)
                if by_key[staged.key].actual is None:
                    before = self.absent.get(table.short, frozenset())
                    self.absent[table.short] = before | {staged.partition}
            else:
                good.append((by_key[staged.key], staged))
            done = len(good) + len({b.partition for b in blocked})
            self.on_event(Event("staged", table.short, done, len(targets), staged.key))
        return good, tuple(blocked)

    def _task(self, table: Table, target: Target, beside: int) -> Task:
        cores = self.lake.settings.threads or os.cpu_count() or 1
        return Task(
            table=table.name,
            key=target.key,
            partition=target.partition,
            wanted=target.wanted,
            contract=table.contract,
            storage=self.lake.place(table),
            sql=sql.select(table.query, table.contract.types) if table.query else "",
            inputs=tuple(self._input(read) for read in target.reads),
            batch=target.batch,
            landing=self.lake.landing_of(self.domain.name) if target.batch else None,
            rows_from=table.contract.lake.rows.from_ if table.contract.lake.rows else None,
            reaches=any(r.lookback or r.lookahead for r in table.reads.values()),
            memory=int(self.lake.settings.worker_memory),
            threads=max(1, cores // min(beside, cores)),
        )

    def _input(self, read: Any) -> Input:
        table = self.domain.tables[read.table]
        part = table.contract.lake.partition
        return Input(
            name=read.table,
            storage=self.lake.place(table),
            # Lineage columns are bronze's: what silver derives from them says nothing of a row.
            types={
                name: kind
                for name, kind in table.contract.types.items()
                if table.query is None or not name.startswith("_")
            },
            partition_column=part.column if part else None,
            files=tuple(InputFile(f.path, f.partition) for f in read.files),
            event=part.event if part else None,
            lower=read.lower,
        )

    # --- the ledger ---------------------------------------------------------------------------

    def _record(
        self,
        table: Table,
        good: Sequence[tuple[Target, Staged]],
        made: commit.Commit,
        engine: str,
        versions: Mapping[str, int],
    ) -> None:
        rows = [
            self._row(
                table,
                target,
                staged,
                engine,
                made.version,
                versions,
                "superseded" if staged.key in made.superseded else "published",
            )
            for target, staged in good
        ]
        with self._lock:
            self.ledger.builds += rows

    def _record_blocked(
        self, table: Table, target: Target, staged: Staged, rule: str, engine: str
    ) -> None:
        row = self._row(table, target, staged, engine, -1, {}, "blocked", rule)
        with self._lock:
            self.ledger.builds.append(row)

    def _row(
        self,
        table: Table,
        target: Target,
        staged: Staged,
        engine: str,
        version: int,
        versions: Mapping[str, int],
        result: str,
        rule: str = "",
    ) -> BuildRow:
        builds = {str(snapshots.build_of(f.path)) for f in staged.files}
        return BuildRow(
            run=self.run,
            table=table.name,
            key=staged.key,
            label=target.batch.label if target.batch else "",
            build=",".join(sorted(builds)),
            wanted=staged.wanted,
            reasons=json.dumps([r.__dict__ for r in target.reasons]),
            inputs=json.dumps(target.inputs),
            reads=json.dumps(versions),
            version=version,
            rows_in=staged.rows_in,
            published=staged.published,
            quarantined=staged.quarantined,
            superseded=staged.superseded,
            bytes=staged.bytes,
            files=len(staged.files),
            result=result,
            rule=rule,
            gates=table.contract.gates,
            engine=engine,
            started=ledger.now() - dt.timedelta(seconds=staged.seconds),
            seconds=staged.seconds,
        )

    def finish(self, result: str, error: str = "") -> None:
        """Write the run into the ledger, if it did anything."""
        if not (self.ledger.builds or self.ledger.audits or error):
            return
        self.ledger.record(
            ledger.finish(
                self.run,
                "build",
                self.domain.name,
                self.started,
                engine=",".join(sorted({row.engine for row in self.ledger.builds})),
                parameters={"tables": sorted(self.forced_tables), "force": bool(self.force)},
                result=result,
                error=error,
                folder=self.domain.path,
            )
        )


def _result(
    table: Table,
    good: Sequence[tuple[Target, Staged]],
    made: commit.Commit,
    blocked: tuple[Blocked, ...],
    waiting: tuple[str, ...],
    engine: str,
) -> TableResult:
    staged = [s for _, s in good if s.key in made.published]
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
        reasons=reasons,
        blocked=blocked,
        waiting=waiting,
        warnings=tuple(w for s in staged for w in s.warnings),
        keys=tuple(s.key for s in staged),
    )


def read_snapshots(session: Session, tables: Sequence[Table]) -> dict[str, Snapshot]:
    """The newest snapshots by short name, read side by side."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = pool.map(session.snapshot, tables)
        return dict(zip([t.short for t in tables], found, strict=True))


def plan(session: Session, select: Sequence[str] = ()) -> tuple[Plan, Mapping[str, Snapshot]]:
    """What a build would do, as far as it can be known now, and the snapshots it was seen in.

    Args:
        session: The run.
        select: Tables; all when empty. Their inputs are planned too.

    Raises:
        CatalogError: No such table.
        PlanError: Foreign files.
    """
    wanted = selected(session, select)
    tables = [t for t in session.domain.order if t.short in wanted]
    seen = read_snapshots(session, tables)
    pending: dict[str, Pending] = {}
    targets: list[Target] = []
    for table in tables:
        found = session.targets(table, pending, seen)
        pending[table.short] = _pending(table, found)
        targets += found
    return Plan(tuple(targets)), seen


def _pending(table: Table, targets: Sequence[Target]) -> Pending:
    todo = [t for t in targets if t.action in (Action.build, Action.remove)]
    held = [t for t in targets if t.action in (Action.wait, Action.blocked)]
    bronze = table.query is None
    parted = table.contract.lake.partition is not None
    return Pending(
        rebuilt=frozenset()
        if bronze and parted
        else frozenset(t.partition for t in todo if t.partition is not None or not parted),
        unknown=parted and any(t.partition is None for t in todo),
        absent=frozenset(t.partition for t in held if t.actual is None),
    )


def selected(session: Session, select: Sequence[str]) -> frozenset[str]:
    """Short names of the selected tables with everything upstream."""
    names = [catalog.find([session.domain], name).short for name in select]
    return session.domain.upstream(names or session.domain.tables)


def build(session: Session, select: Sequence[str] = ()) -> BuildResult:
    """Build everything that is not as it should be, inputs first, independent tables together.

    Raises:
        LakehouseError: The first failure, after the tables that do not depend on
            it were built and the run was recorded.
    """
    began = time.perf_counter()
    wanted = selected(session, select)
    graph = {n: set(session.domain.tables[n].reads) for n in wanted}
    try:
        results, failures = _build_graph(session, graph)
    finally:
        session.close()
    order = [t.name for t in session.domain.order]
    tables = tuple(sorted(results, key=lambda r: order.index(r.table)))
    done = BuildResult(session.run, tables, time.perf_counter() - began)
    if failures:
        # Where a store failed the run cannot be recorded either: the first failure is the news.
        with contextlib.suppress(CommitError):
            session.finish("failed", str(failures[0]))
        raise failures[0]
    session.finish("blocked" if done.blocked else "done")
    return done


def _build_graph(
    session: Session, graph: Mapping[str, set[str]]
) -> tuple[list[TableResult], list[Exception]]:
    sorter = graphlib.TopologicalSorter(graph)
    sorter.prepare()
    results: list[TableResult] = []
    failures: list[Exception] = []
    running: dict[concurrent.futures.Future[TableResult], str] = {}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        while sorter.is_active():
            for name in sorter.get_ready():
                running[pool.submit(session.build_table, name)] = name
            if not running:
                break
            done, _ = concurrent.futures.wait(
                running, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                name = running.pop(future)
                error = future.exception()
                if error is None:
                    results.append(future.result())
                    sorter.done(name)
                elif isinstance(error, Exception):
                    # What lies downstream is never marked ready and so is not built.
                    failures.append(error)
                else:
                    raise error
    return results, failures


def _start(name: str, settings: Settings) -> Engine:
    if name == "local":
        from lakehouse.engines.local import LocalEngine

        return LocalEngine()
    if name == "dask":
        from lakehouse.engines.dask import DaskEngine

        return DaskEngine(settings.dask_address, settings.threads or os.cpu_count() or 1)
    raise SettingsError(
        f"build with the engine {name!r}", "no such engine", "use auto, dask or local"
    )


def _size(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
