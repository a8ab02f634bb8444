"""Verdicts of a run as Great Expectations validation results, and their Data Docs pages.

The audit has already been done, in one pass and on either engine: nothing is
evaluated again here. One validation result per table and run goes into a file
context below the state folder (``gx``), and the pages into ``docs``, which the
stack's docs service shows. Great Expectations takes seconds to import, so it is
imported by :func:`publish` only, after the tables are committed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from lakehouse.ops import AuditRow
from lakehouse.validation.merged import RuleResult, merge

__all__ = ["KEPT_RUNS", "RuleResult", "latest", "merge", "publish"]

#: Validation results kept per table, newest first; the ledger keeps all verdicts.
KEPT_RUNS = 20


def publish(state: Path, audits: Sequence[AuditRow], run: str, at: dt.datetime) -> Path | None:
    """Store a run's verdicts as validation results and bring the pages up to date.

    Args:
        state: The state folder.
        audits: The run's audits. Grain: one per table, target and rule; of several
            (a task that was tried again) the last one counts.
        run: The run's id.
        at: When it started.

    Returns:
        The first page, which lists all results; None when there was no audit.
    """
    if not audits:
        return None
    from lakehouse.validation import site

    tables = {table: merge(audits, table) for table in dict.fromkeys(a.table for a in audits)}
    return site.publish(state.absolute(), tables, run, at, KEPT_RUNS)


def latest(state: Path, table: str) -> Path | None:
    """The page of a table's newest validation result, if there is one."""
    pages = state.joinpath("docs", "validations", *table.split(".")).glob("*/*/*.html")
    return max(pages, key=lambda page: page.parent.name, default=None)
