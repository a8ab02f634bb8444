"""What happened: a run's rows for the ``ops`` tables, and what is remembered from them."""

from __future__ import annotations

import datetime as dt
import functools
import json
import os
import secrets
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse import __version__, ops
from lakehouse.audit import Verdict
from lakehouse.ops import AuditRow, BuildRow, RunRow
from lakehouse.planning import Record
from lakehouse.storage import Storage

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Ledger", "audit_rows", "finish", "new_run", "now"]


def now() -> dt.datetime:
    """This instant, UTC: for the ledger only, never for a row of a table."""
    return dt.datetime.now(dt.UTC)


def new_run() -> str:
    """A run id that sorts by time, to the microsecond; the end tells apart who began at once."""
    return f"{now():%Y%m%dT%H%M%S-%f}{secrets.token_hex(2)}"


def audit_rows(
    run: str, table: str, key: str, wanted: str, verdicts: Iterable[Verdict]
) -> list[AuditRow]:
    """Verdicts as ledger rows."""
    return [
        AuditRow(
            run,
            table,
            key,
            wanted,
            v.rule,
            v.expectation,
            json.dumps(dict(v.kwargs), default=str),
            v.mostly,
            v.result,
            v.detail,
            v.measured.rows,
            v.measured.unexpected,
            v.measured.missing,
            float(v.measured.value) if isinstance(v.measured.value, int | float) else None,
            v.blocks,
        )
        for v in verdicts
    ]


@dataclass
class Ledger:
    """The ``ops`` tables of one lake."""

    storage: Storage

    def record(
        self, run: RunRow, builds: Sequence[BuildRow] = (), audits: Sequence[AuditRow] = ()
    ) -> None:
        """Write a run with its targets and audits: one commit per table.

        Raises:
            CommitError: The store refused.
        """
        written: list[tuple[str, Sequence[Any]]] = [
            ("builds", builds),
            ("audits", audits),
            ("runs", [run]),
        ]
        for name, rows in written:
            if rows:
                self.append(name, rows, run.run)

    def append(self, name: str, rows: Sequence[DataclassInstance], run: str) -> int:
        """Append rows to one ops table, in one commit; returns the table's version.

        Raises:
            CommitError: The store refused.
        """
        return ops.append(self.storage.at("ops", name), name, rows, run)

    def records(self, table: str) -> Mapping[str, Record]:
        """What is remembered of a table's targets, by key; the one built last is the last."""
        return self._records.get(table, {})

    @functools.cached_property
    def _records(self) -> Mapping[str, Mapping[str, Record]]:
        what = ("table", "key", "wanted", "inputs", "result", "rule", "gates", "engine", "started")
        rows = self.rows("builds", what)
        found: dict[str, dict[str, Record]] = {}
        for row in sorted(rows, key=lambda r: r["started"]):
            of_table = found.setdefault(row["table"], {})
            before = of_table.get(row["key"], Record())
            if row["result"] == "blocked":
                tried = (row["wanted"], row["gates"] or "")
                after = replace(before, blocked={**before.blocked, tried: row["rule"]})
            elif row["result"] == "published":
                after = Record(json.loads(row["inputs"]), {}, row["engine"] or "")
            else:
                continue
            of_table.pop(row["key"], None)
            of_table[row["key"]] = after
        return found

    @functools.cached_property
    def labels(self) -> Mapping[str, str]:
        """Landing batch → the label it had."""
        rows = self.rows("builds", ["key", "label"])
        return {row["key"]: row["label"] for row in rows if row["label"]}

    def rows(self, name: str, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Rows of one ops table; none when it does not exist yet."""
        return ops.read(self.storage.at("ops", name), columns, ops.schema_of(name))


def finish(
    run: str,
    kind: str,
    domain: str,
    started: dt.datetime,
    *,
    engine: str = "",
    parameters: Mapping[str, object] | None = None,
    result: str,
    error: str = "",
    folder: Path,
) -> RunRow:
    """A run's row, closed now."""
    ended = now()
    return RunRow(
        run,
        kind,
        domain,
        started,
        ended,
        (ended - started).total_seconds(),
        f"{os.uname().nodename}:{os.getpid()}",
        engine,
        json.dumps(dict(parameters or {}), default=str),
        __version__,
        _code(folder),
        result,
        error,
        os.environ.get("PREFECT__FLOW_RUN_ID", ""),
    )


def _code(folder: Path) -> str:
    """The commit of the folder that declares the tables, with ``+`` when it was edited since."""
    git = ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--abbrev=12"]
    try:
        done = subprocess.run(git, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
