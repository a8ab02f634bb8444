"""The ELT flow: plan, then each table as a task, inputs first, independent ones side by side."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from prefect import State, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import StateType
from prefect.events import emit_event
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from flows import reports
from lakehouse import build as builds
from lakehouse.build import Session, TableResult, open_lake
from lakehouse.errors import CommitError, StorageError
from lakehouse.stack import settings_with_stack


def _worth_another_try(_task: Any, _run: Any, state: State[Any]) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, CommitError | StorageError)


@task(
    task_run_name="{name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=_worth_another_try,
)
def build_table(session: Session, name: str) -> TableResult:
    """Build one table whose inputs are built, and tell of its commit."""
    result = session.build_table(name)
    for blocked in result.blocked:
        get_run_logger().error(
            "blocked: %s by rule %s: %s", blocked.partition, blocked.rule, blocked.detail
        )
    if result.partitions:
        get_run_logger().info(
            "version %s: %s partitions, %s rows published, %s quarantined",
            result.version,
            result.partitions,
            f"{result.rows_out:,}",
            f"{result.quarantined:,}",
        )
        _tell(session, result)
    return result


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


@flow(name="elt", flow_run_name="elt-{domain}", task_runner=ThreadPoolTaskRunner(max_workers=4))  # type: ignore[arg-type]
def elt(
    domain: str = "flights",
    select: list[str] | None = None,
    engine: str = "auto",
    force: bool = False,
) -> State[Any]:
    """Build what the plan says of a domain.

    Args:
        domain: The domain.
        select: Only these tables and what they are made from.
        engine: ``auto``, ``dask`` or ``local``.
        force: Rebuild the selected tables though they are up to date.
    """
    lake = open_lake(settings_with_stack())
    session = Session(lake, lake.domain(domain), engine=engine)
    session.select(select or [], force=force)
    lake.storage.probe()
    found, _ = builds.plan(session, select or [])
    reports.plan(session, found)
    results, failure = _build(session, select or [])
    reports.audit(session, results)
    blocked = [b for r in results for b in r.blocked]
    session.finish("failed" if failure else "blocked" if blocked else "done", failure or "")
    if failure:
        return State(type=StateType.FAILED, message=failure)
    if blocked:
        told = ", ".join(f"{b.table} {b.partition} by {b.rule}" for b in blocked[:5])
        return State(type=StateType.FAILED, name="Blocked", message=f"blocked: {told}")
    changed = [r for r in results if r.partitions]
    rows = sum(r.rows_out for r in changed)
    told = f"{len(changed)} tables, {rows:,} rows" if changed else "nothing to do"
    return State(type=StateType.COMPLETED, message=told)


def _build(session: Session, select: Sequence[str]) -> tuple[list[TableResult], str | None]:
    wanted = builds.selected(session, select)
    futures: dict[str, PrefectFuture[TableResult]] = {}
    try:
        for table in session.domain.order:
            if table.short in wanted:
                named = build_table.with_options(name=table.short)
                above = [futures[name] for name in table.reads]
                futures[table.short] = named.submit(  # type: ignore[call-overload]
                    session, table.short, wait_for=above
                )
        states = {name: future.wait() or future.state for name, future in futures.items()}
    finally:
        session.close()
    results = [s.result() for s in states.values() if s.is_completed()]
    failed = [f"{name}: {s.message}" for name, s in states.items() if not s.is_completed()]
    return results, failed[0] if failed else None


def main(argv: Sequence[str]) -> None:
    """Run the flow without a deployment: ``python -m flows.elt [DOMAIN]``."""
    elt(argv[0] if argv else "flights")


if __name__ == "__main__":
    main(sys.argv[1:])
