"""What happened, in Delta tables of the ``ops`` schema: one commit per table and run.

``ops.runs`` has one row per run, ``ops.builds`` one per run and target,
``ops.audits`` one per run, target and rule. Losing them loses explanations,
never correctness: the snapshots say what is built.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import os
import secrets
import subprocess
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse import __version__, commit
from lakehouse import snapshot as snapshots
from lakehouse.audit import Verdict
from lakehouse.engines.base import StagedFile
from lakehouse.errors import CommitError, cause
from lakehouse.planning import Record
from lakehouse.storage import Storage
from lakehouse.types import arrow

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["AuditRow", "BuildRow", "Ledger", "RunRow", "audit_rows", "new_run", "now", "schema_of"]

#: The ops tables.
TABLES = ("runs", "builds", "audits")


def now() -> dt.datetime:
    """This instant, UTC: for the ledger only, never for a row of a table."""
    return dt.datetime.now(dt.UTC)


def new_run() -> str:
    """A run id that sorts by time."""
    return f"{now():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


@dataclass(frozen=True)
class RunRow:
    """One run.

    Attributes:
        run: The id, which sorts by time.
        kind: What ran: ``build``, ``train``.
        domain: The domain's name.
        started: UTC.
        ended: UTC.
        seconds: Wall time.
        executor: Host and process id.
        engine: The engines used, comma-separated.
        parameters: JSON.
        version: The library's.
        code: Commit of the domain's folder; ``+`` when it was edited since.
        result: ``done``, ``blocked`` or ``failed``.
        error: The first failure.
        flow_run: Prefect's id of the flow run; empty without one.
    """

    run: str
    kind: str
    domain: str
    started: dt.datetime
    ended: dt.datetime
    seconds: float
    executor: str
    engine: str
    parameters: str
    version: str
    code: str
    result: str
    error: str
    flow_run: str


@dataclass(frozen=True)
class BuildRow:
    """One target in one run.

    Attributes:
        run: The run's id.
        table: Full name.
        key: The target's name inside its table: partition, or landing batch for bronze.
        label: Bronze: the batch as a person reads it.
        build: Full build ids written, comma-separated.
        wanted: ``<sql>-<contract>-<inputs>``.
        reasons: JSON: why it was built.
        inputs: JSON: input → partition → what was hashed.
        reads: JSON: input → the version that was read.
        version: The table's version after it; -1 when nothing was published.
        rows_in: Rows that went in.
        published: Rows in the table.
        quarantined: Rows in its quarantine.
        superseded: Rows that a later one of the same key replaces.
        samples: JSON: some of them, as [source file, row].
        bytes: Of the published files.
        files: Published files.
        result: ``published``, ``blocked``, or ``superseded`` by another build.
        rule: The rule that blocked it.
        gates: Id of what could block it: when that changes, it is tried again.
        engine: The engine that staged it.
        started: UTC.
        seconds: Time to stage it.
    """

    run: str
    table: str
    key: str
    label: str
    build: str
    wanted: str
    reasons: str
    inputs: str
    reads: str
    version: int
    rows_in: int
    published: int
    quarantined: int
    superseded: int
    samples: str
    bytes: int
    files: int
    result: str
    rule: str
    gates: str
    engine: str
    started: dt.datetime
    seconds: float


@dataclass(frozen=True)
class AuditRow:
    """One rule at one target in one run.

    Attributes:
        run: The run's id.
        table: Full name.
        key: The target.
        wanted: ``<sql>-<contract>-<inputs>`` of the target.
        rule: The rule's id.
        expectation: Its Great Expectations name.
        kwargs: JSON: its arguments.
        mostly: The share of rows that must hold it.
        result: ``passed``, ``failed``, ``waived`` or ``not evaluated``.
        detail: Why, in words.
        rows: Rows looked at.
        unexpected: Rows that violate it.
        missing: Rows with NULL in its column.
        value: What a table rule observed.
        blocks: Whether it kept the target from being published.
    """

    run: str
    table: str
    key: str
    wanted: str
    rule: str
    expectation: str
    kwargs: str
    mostly: float
    result: str
    detail: str
    rows: int
    unexpected: int
    missing: int
    value: float | None
    blocks: bool


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


_ROWS: Mapping[str, type] = {"runs": RunRow, "builds": BuildRow, "audits": AuditRow}


def types_of(table: str) -> dict[str, str]:
    """The columns of an ops table with their DuckDB types, from its row's annotations."""
    kinds = {
        "str": "VARCHAR",
        "int": "BIGINT",
        "float": "DOUBLE",
        "float | None": "DOUBLE",
        "bool": "BOOLEAN",
        "dt.datetime": "TIMESTAMPTZ",
    }
    return {name: kinds[str(kind)] for name, kind in _ROWS[table].__annotations__.items()}


def schema_of(table: str) -> pa.Schema:
    """The Arrow schema of an ops table."""
    import pyarrow as pa

    return pa.schema([(name, arrow(kind)) for name, kind in types_of(table).items()])


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
                append(self.storage.at("ops", name), name, map(asdict, rows), run.run)

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
        return read_table(self.storage.at("ops", name), columns, schema_of(name))


def read_table(
    storage: Storage, columns: Sequence[str] | None = None, schema: pa.Schema | None = None
) -> list[dict[str, Any]]:
    """All rows of a small Delta table; columns that older files lack are NULL."""
    import pyarrow.dataset as ds

    found = snapshots.read(storage, storage.uri)
    if not found.files:
        return []
    paths = [f"{storage.root}/{file.path}" for file in found.files]
    with storage.reaching(f"read {storage.uri}"):
        table = ds.dataset(paths, schema, filesystem=storage.arrow(), format="parquet").to_table(
            columns=list(columns) if columns else None
        )
    return [dict(row) for row in table.to_pylist()]


def append(storage: Storage, name: str, rows: Iterable[Mapping[str, Any]], run: str) -> None:
    """Append rows to an ops table in one commit, which a lost reply does not double.

    Raises:
        CommitError: The store refused; what was published stays, unexplained.
    """
    import pyarrow as pa
    import pyarrow.fs
    import pyarrow.parquet as pq

    made = pa.Table.from_pylist(list(rows), schema=schema_of(name))
    path = f"run={run}/part-{uuid.uuid4().hex}.parquet"
    filesystem, place = storage.arrow(), f"{storage.root}/{path}"
    try:
        if isinstance(filesystem, pyarrow.fs.LocalFileSystem):
            filesystem.create_dir(place.rsplit("/", 1)[0], recursive=True)
        pq.write_table(made, place, filesystem=filesystem, compression="zstd")
        size = int(filesystem.get_file_info(place).size)
    except OSError as error:
        raise CommitError(
            f"record run {run} in {storage.uri}",
            cause(error),
            "what was published stays, unexplained; see that the store answers ('lake doctor')",
        ) from error
    stats = json.dumps({"numRecords": made.num_rows})
    file = StagedFile(path, size, made.num_rows, None, stats)
    commit.append(f"ops.{name}", storage, types_of(name), file, run=run)


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
