"""The ELT flow: plan, then each table as a task, inputs first, independent ones side by side."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

if not __package__:  # as a file: python flows/elt.py
    sys.path.insert(0, str(Path(__file__).parents[1]))

from prefect import State, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from flows import outcome, reports, script
from flows.outcome import Built
from flows.spark import OnSpark
from lakehouse import build as builds
from lakehouse.build import Session, TableResult, open_lake
from lakehouse.errors import CommitError, SchemaChangeError, StorageError, UnsafeStoreError
from lakehouse.ops import AuditRow
from lakehouse.planning import Plan
from lakehouse.stack import settings_with_stack

__all__ = ["build_table", "elt", "main"]


@flow(
    name="elt",
    flow_run_name="elt-{domain}",
    # A task holds its thread while it waits for its inputs; the engine limits the real work.
    task_runner=ThreadPoolTaskRunner(max_workers=16),  # type: ignore[arg-type]
)
def elt(
    domain: str = "flights",
    select: list[str] | None = None,
    engine: str = "auto",
    force: bool = False,
) -> State[Any]:
    """Build what the plan says of a domain, and nothing else.

    Args:
        domain: The domain.
        select: Only these tables and what they are made from.
        engine: ``auto``, ``dask``, ``spark`` or ``local``.
        force: Rebuild the selected tables though they are up to date.
    """
    session = _open(domain, select or [], engine, force=force)
    plan, _ = builds.plan(session, select or [])
    wanted = builds.selected(session, select or [])
    reports.name_run(session, plan)
    reports.plan(session, plan, len(wanted))
    built = _build(session, plan, wanted)
    session.finish(built.verdict, built.errors)
    reports.audit(session, built, len(wanted))
    if session.audits:
        write_data_docs(session, session.audits)
    return outcome.of_build(built)


def _open(domain: str, select: Sequence[str], engine: str, *, force: bool) -> Session:
    lake = open_lake(settings_with_stack())
    session = Session(lake, lake.domain(domain), engine=engine)
    session.select(select, force=force)
    lake.storage.probe()
    return session


def _build(session: Session, plan: Plan, wanted: Collection[str]) -> Built:
    """Submit each table that the plan can touch, and wait for all."""
    futures: dict[str, PrefectFuture[TableResult]] = {}
    planned = {target.table for target in plan.targets}
    on_spark = OnSpark(session)
    try:
        for table in session.domain.order:
            above = [futures[name] for name in table.reads if name in futures]
            if table.short in wanted and (above or table.short in planned):
                named = build_table.with_options(name=table.short)
                futures[table.short] = named.submit(session, table.short, on_spark, wait_for=above)  # type: ignore[call-overload]
        for future in futures.values():
            future.wait()
    finally:
        on_spark.close()
        session.close()
    states = {name: future.state for name, future in futures.items()}
    return Built(
        tuple(s.result() for s in states.values() if s.is_completed()),
        {n: outcome.reason(s) for n, s in states.items() if s.is_final() and not s.is_completed()},
        tuple(name for name, state in states.items() if not state.is_final()),
    )


def _worth_another_try(_task: Any, _run: Any, state: State[Any]) -> bool:
    error = state.result(raise_on_failure=False)
    hopeless = isinstance(error, SchemaChangeError | UnsafeStoreError)
    return isinstance(error, CommitError | StorageError) and not hopeless


@task(
    task_run_name="{name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=_worth_another_try,
)
def build_table(session: Session, name: str, on_spark: OnSpark) -> State[TableResult]:
    """Build one table whose inputs are built, and tell of its commit."""
    log = get_run_logger()
    planned = session.plan_table(name)
    if planned.engine:
        log.info("%s goes to %s: %s", name, planned.engine, planned.because)
    result = (on_spark if planned.engine == "spark" else session).build_table(name, planned)
    state = outcome.of_table(result)
    for blocked in result.blocked:
        log.error("blocked: %s by rule %s: %s", blocked.partition, blocked.rule, blocked.detail)
    for warning in result.warnings:
        log.warning(warning)
    if result.partitions:
        _tell(session, result)
    return state


@task(name="Data Docs", task_run_name="Data Docs", cache_policy=NO_CACHE, persist_result=False)
def write_data_docs(session: Session, audits: Sequence[AuditRow]) -> None:
    """Write the pages of the run's validation results, and link them."""
    reports.data_docs(session, audits)


def _tell(session: Session, result: TableResult) -> None:
    """A hint to those who wait; whoever acts on it plans again from the versions."""
    emit_event(
        event="lakehouse.table.committed",
        resource={
            "prefect.resource.id": f"lakehouse.table.{result.table}",
            "prefect.resource.name": result.table,
        },
        payload={
            "version": result.version,
            "partitions": list(result.keys[:100]),
            "rows": result.rows_out,
            "run": session.run,
        },
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the flow without a deployment: ``python -m flows.elt [DOMAIN [TABLE …]]``."""
    domain, *tables = [*(sys.argv[1:] if argv is None else argv)] or ["flights"]
    return script.run(elt, domain, tables)


if __name__ == "__main__":
    sys.exit(main())
