"""The maintenance flow: what no kept version needs is shown, and removed where that is asked."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if not __package__:  # as a file: python flows/maintain.py
    sys.path.insert(0, str(Path(__file__).parents[1]))

from prefect import State, flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

from flows import script
from lakehouse import maintenance
from lakehouse.build import Event, Lake, open_lake
from lakehouse.maintenance import Done, Plan, Step
from lakehouse.stack import settings_with_stack
from lakehouse.units import size

__all__ = ["main", "maintain", "maintain_tables"]

_COLUMNS = ("table", "do", "files", "bytes", "because")


@flow(name="maintain", flow_run_name="maintain-{domain}")
def maintain(
    domain: str = "flights", tables: list[str] | None = None, apply: bool = False
) -> State[Any]:
    """Merge small files and remove what no kept version of a domain's tables needs.

    Args:
        domain: The domain.
        tables: Only these; all, and the ledger's, when there are none.
        apply: Do it; without this it is only shown.
    """
    lake = open_lake(settings_with_stack())
    found = maintenance.plan(lake, lake.domain(domain), tables or [])
    done = maintain_tables(lake, domain, found) if apply and found.todo else None
    report(domain, found, done)
    files = sum(step.files for step in found.steps)
    total = size(sum(step.bytes for step in found.steps))
    told = f"{files:,} files, {total}" if files else "nothing to do"
    return Completed(message=told if done or not files else f"{told}; nothing was changed")


@task(name="maintain tables", cache_policy=NO_CACHE, persist_result=False)
def maintain_tables(lake: Lake, domain: str, found: Plan) -> Done:
    """Do what the plan says, one table after the other."""
    log = get_run_logger()

    def tell(event: Event) -> None:
        if event.done == event.total:
            log.info("%s: %s, %d files", event.table, event.detail, event.total)

    return maintenance.maintain(lake, lake.domain(domain), found, on_event=tell)


def report(domain: str, found: Plan, done: Done | None) -> None:
    """What was, or would be, done, as an artifact."""
    steps = {t.place.name: t.steps for t in found.todo} if done is None else done.steps
    shown = ": shown, not done" if steps and done is None else ""
    lines = [f"# Maintenance of {domain}{shown}", ""]
    if steps:
        lines += [_row(_COLUMNS), _row(["---", "---", "--:", "--:", "---"])]
        lines += [_line(name, step) for name, of_table in steps.items() for step in of_table]
    else:
        lines.append(f"Nothing to do: {len(found.tables)} tables looked at.")
    lines += ["", *(f"- {warning}" for table in found.tables for warning in table.warnings)]
    create_markdown_artifact(
        key=re.sub(r"[^a-z0-9]+", "-", f"maintain-{domain}".lower()),
        markdown="\n".join(lines),
        description="Files that no kept version needs, and small files that became one",
    )


def _line(name: str, step: Step) -> str:
    return _row([f"`{name}`", str(step.act), f"{step.files:,}", size(step.bytes), step.because])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the flow without a deployment: ``python -m flows.maintain [--apply] [DOMAIN …]``."""
    given = [*(sys.argv[1:] if argv is None else argv)]
    domain, *tables = [word for word in given if word != "--apply"] or ["flights"]
    return script.run(maintain, domain, tables, "--apply" in given)


if __name__ == "__main__":
    sys.exit(main())
