"""Maintenance of the tables that the library owns: plan first, then act.

Small files of one build are merged, old bronze batches are sealed into one file,
files that no kept version reads are removed, logs are summed up and cleaned.
Nothing that is live changes its rows, its partition or what it was built from,
so that nothing becomes stale; every version of the last days, and each that a
recorded run or a model holds, stays readable.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lakehouse import ledger, ops
from lakehouse.build.results import Event
from lakehouse.catalog import Domain
from lakehouse.errors import LakehouseError
from lakehouse.lake import Lake
from lakehouse.ledger import Ledger
from lakehouse.maintenance.act import apply_table
from lakehouse.maintenance.look import look
from lakehouse.maintenance.pins import of_ledger, of_models
from lakehouse.maintenance.place import Place, places
from lakehouse.maintenance.plan import Act, Plan, Step, TablePlan, plan_table

__all__ = ["Act", "Done", "Place", "Plan", "Step", "TablePlan", "maintain", "plan", "to_json"]


@dataclass(frozen=True)
class Done:
    """What a run of maintenance did.

    Attributes:
        run: The run's id.
        plan: What was to be done.
        steps: Table → the steps that were done, with what they came to.
    """

    run: str
    plan: Plan
    steps: dict[str, tuple[Step, ...]]


def plan(
    lake: Lake,
    domain: Domain,
    select: Sequence[str] = (),
    *,
    now: dt.datetime | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Plan:
    """What is to be done.

    Args:
        lake: The lake.
        domain: The domain.
        select: Tables, with ``ops.runs`` and its like; all when empty.
        now: The time by which things are old; this instant, unless it is given.
        on_event: Told of progress: tables looked at, of how many.

    Raises:
        CatalogError: No such table.
        StorageError: The store does not answer.
        ModelError: The registry does not answer: what it holds is unknown, so nothing may go.
    """
    groups = places(lake, domain, select)
    now = now or ledger.now()
    told = Ledger(lake.storage)
    pins = (*of_ledger(told), *of_models(lake, told))
    found: list[TablePlan] = []
    for done, group in enumerate(groups, 1):
        found += [plan_table(seen, now) for seen in look(group, pins, now)]
        on_event(Event("looked", "looking", done, len(groups), group[0].name))
    return Plan(tuple(found))


def maintain(
    lake: Lake,
    domain: Domain,
    todo: Plan,
    *,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Done:
    """Do what a plan says, and record the run.

    Raises:
        LakehouseError: The first failure; what was done before it stays, and is recorded.
    """
    run, started = ledger.new_run(), ledger.now()
    lake.storage.probe()
    done: dict[str, tuple[Step, ...]] = {}
    failure: LakehouseError | None = None
    for table in todo.todo:
        try:
            done[table.place.name] = apply_table(table, run, on_event)
        except LakehouseError as error:
            failure = failure or error
    if done or failure:
        parameters = {name: [asdict(s) for s in steps] for name, steps in done.items()}
        row = ledger.finish(
            run,
            "maintain",
            domain.name,
            started,
            engine="",
            parameters={"tables": parameters},
            result="failed" if failure else "done",
            error=str(failure) if failure else "",
            folder=domain.path,
        )
        _record(lake, row, failure)
    if failure:
        raise failure
    return Done(run, todo, done)


def _record(lake: Lake, row: ops.RunRow, failure: LakehouseError | None) -> None:
    try:
        Ledger(lake.storage).record(row)
    except LakehouseError:
        # Where a store failed the run cannot be recorded either: the first failure is the news.
        if failure is None:
            raise


def to_json(found: Plan, done: Done | None = None) -> dict[str, Any]:
    """The one JSON document that ``lake maintain --json`` prints."""
    steps = {t.place.name: t.steps for t in found.todo} if done is None else done.steps
    return {
        "schema": 1,
        "run": done.run if done else None,
        "applied": done is not None,
        "tables": [
            {
                "table": table.place.name,
                "version": table.version,
                "oldest_kept": table.oldest,
                "held": [
                    {"version": version, "by": list(holders)}
                    for version, holders in sorted(table.held.items())
                ],
                "steps": [
                    {"do": str(s.act), "files": s.files, "bytes": s.bytes, "because": s.because}
                    for s in steps.get(table.place.name, ())
                ],
                "warnings": list(table.warnings),
            }
            for table in found.tables
        ],
    }
