"""One run over one domain: what it has seen, what runs for it, what it will record."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lakehouse import landing, ledger, planning
from lakehouse import snapshot as snapshots
from lakehouse.build.results import Event, TableResult
from lakehouse.build.table import Planned, build_table, plan_table
from lakehouse.catalog import Domain, Table
from lakehouse.engines import routing
from lakehouse.engines.base import Engine
from lakehouse.lake import Lake
from lakehouse.landing import Batch
from lakehouse.ledger import Ledger
from lakehouse.ops import AuditRow, BuildRow
from lakehouse.planning import Pending, Target
from lakehouse.snapshot import Snapshot

__all__ = ["Session"]


class _Later(Mapping[str, Any]):
    """A mapping that is made when it is first asked."""

    def __init__(self, make: Callable[[], Mapping[str, Any]]) -> None:
        self._make = functools.cache(make)

    def __getitem__(self, key: str) -> Any:
        return self._make()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._make())

    def __len__(self) -> int:
        return len(self._make())

    def __bool__(self) -> bool:
        return True


@dataclass
class Session:
    """One run over one domain: what it has seen, with the engine it builds on.

    Args:
        lake: The lake.
        domain: The domain.
        run: The run's id.
        engine: ``auto`` or an engine's name, which overrides the contracts.
        force: All selected targets, or the partitions named.
        forced_tables: The tables that ``force`` is about.
        on_event: Called with progress, from several threads.
        absent: Table → partitions which are held back and were never published.
        started: When the run began.
        builds: What the ledger will be told of targets.
        audits: What it will be told of rules.
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
    builds: list[BuildRow] = field(default_factory=list)
    audits: list[AuditRow] = field(default_factory=list)
    _batches: dict[str, tuple[Batch, ...]] = field(default_factory=dict)
    _engines: dict[str, Engine] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _probed: bool = False

    @functools.cached_property
    def ledger(self) -> Ledger:
        """The ops tables."""
        return Ledger(self.lake.storage)

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
        return planning.plan_table(
            table,
            inputs,
            seen[table.short],
            batches=self.batches(table) if table.landed else (),
            held=self._held(table, seen[table.short]),
            pending=pending,
            force=self.force if table.short in self.forced_tables else False,
            # The ledger is worth its reading only where something is to be built: to say why.
            records=_Later(lambda: self.ledger.records(table.name)),
            labels=_Later(self._labels),
        )

    def _held(self, table: Table, actual: Snapshot) -> Mapping[str, Mapping[str, dt.datetime]]:
        """What live batches were read from, where the listing has other files for them, or none."""
        lake = table.contract.lake
        if lake.source is None or lake.on_gone == "remove":
            return {}
        listed = {batch.id: batch.inputs for batch in self.batches(table)}
        changed = [
            file
            for batch, files in actual.batches.items()
            for file in files
            if file.build and listed.get(batch) != file.build.inputs
        ]
        return snapshots.landed(self.lake.place(table), changed)

    def vanished(self, table: Table, actual: Snapshot) -> list[str]:
        """In words, what stays of a bronze table although its landing files are gone."""
        lake = table.contract.lake
        if lake.source is None or lake.on_gone != "keep" or lake.source.batch != "file":
            return []
        gone = set(actual.batches) - {batch.id for batch in self.batches(table)}
        if not gone:
            return []
        names = sorted(self.ledger.labels.get(batch, batch) for batch in gone)
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        kept = f"{table.short} keeps the rows of {', '.join(names[:3])}{more}"
        return [f"{kept}, gone from the landing zone (on_gone: keep)"]

    def _labels(self) -> Mapping[str, str]:
        known = {b.id: b.label for batches in list(self._batches.values()) for b in batches}
        return {**self.ledger.labels, **known}

    def route(self, table: Table, targets: Sequence[Target]) -> tuple[str, str]:
        """The engine for some targets, and why."""
        settings = self.lake.settings
        if not targets or "auto" not in (self.engine, table.contract.lake.engine):
            return routing.route(table, targets, self.engine, settings)
        last = [record.engine for record in self.ledger.records(table.name).values()]
        return routing.route(table, targets, self.engine, settings, last[-1] if last else "")

    def engine_for(self, name: str) -> Engine:
        """The running engine of that name.

        Raises:
            SettingsError: There is no such engine.
        """
        with self._lock:
            if name not in self._engines:
                self._engines[name] = routing.start(name, self.lake.settings, self.lake.storage)
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

    def read(self, names: Iterable[str]) -> dict[str, Snapshot]:
        """The newest snapshots of some tables, read side by side."""
        tables = [self.domain.tables[name] for name in names]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            found = pool.map(self.snapshot, tables)
            return dict(zip([t.short for t in tables], found, strict=True))

    def relist(self, table: Table) -> None:
        """Forget what lay in the landing zone: the next plan lists it anew."""
        self._batches.pop(table.short, None)

    def note(self, builds: Sequence[BuildRow] = (), audits: Sequence[AuditRow] = ()) -> None:
        """Keep rows for the ledger; called from several threads."""
        with self._lock:
            self.builds += builds
            self.audits += audits

    def forget(self, table: Table) -> None:
        """Drop what this run has noted of a table which is about to be built again, unpublished."""
        with self._lock:
            done = {r.key for r in self.builds if r.table == table.name and r.result == "published"}
            self.builds = [r for r in self.builds if r.table != table.name or r.key in done]
            self.audits = [r for r in self.audits if r.table != table.name or r.key in done]

    def plan_table(self, name: str) -> Planned:
        """What is to be done for one table whose inputs are built, and on which engine."""
        return plan_table(self, self.domain.tables[name])

    def build_table(self, name: str, planned: Planned | None = None) -> TableResult:
        """Build one table whose inputs are built; see :func:`lakehouse.build.table.build_table`."""
        return build_table(self, self.domain.tables[name], planned)

    def finish(self, result: str, error: str = "") -> None:
        """Write the run into the ledger, if it did anything."""
        if not (self.builds or self.audits or error):
            return
        self.ledger.record(
            ledger.finish(
                self.run,
                "build",
                self.domain.name,
                self.started,
                engine=",".join(sorted({row.engine for row in self.builds})),
                parameters={"tables": sorted(self.forced_tables), "force": bool(self.force)},
                result=result,
                error=error,
                folder=self.domain.path,
            ),
            self.builds,
            self.audits,
        )
