"""plan → stage → audit → commit → ledger: the one place that puts them together."""

from __future__ import annotations

import concurrent.futures
import contextlib
import graphlib
import time
from collections.abc import Mapping, Sequence

from lakehouse import catalog
from lakehouse.build.results import Blocked, BuildResult, Event, TableResult
from lakehouse.build.session import Session
from lakehouse.build.table import Planned
from lakehouse.catalog import Table
from lakehouse.errors import LakehouseError
from lakehouse.lake import Lake, open_lake
from lakehouse.planning import Action, Pending, Plan, Target
from lakehouse.snapshot import Snapshot

__all__ = [
    "Blocked",
    "BuildResult",
    "Event",
    "Lake",
    "Planned",
    "Session",
    "TableResult",
    "build",
    "open_lake",
    "plan",
    "selected",
]


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
    seen = session.read([t.short for t in tables])
    pending: dict[str, Pending] = {}
    targets: list[Target] = []
    for table in tables:
        found = session.targets(table, pending, seen)
        pending[table.short] = _pending(table, found)
        targets += found
    vanished = [told for table in tables for told in session.vanished(table, seen[table.short])]
    return Plan(tuple(targets), len(tables), tuple(vanished)), seen


def _pending(table: Table, targets: Sequence[Target]) -> Pending:
    todo = [t for t in targets if t.action in (Action.build, Action.remove)]
    held = [t for t in targets if t.action in (Action.wait, Action.blocked)]
    bronze = table.landed
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
    done = BuildResult(session.run, tables, tuple(session.audits), time.perf_counter() - began)
    if failures:
        # Where a store failed the run cannot be recorded either: the first failure is the news.
        with contextlib.suppress(LakehouseError):
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
