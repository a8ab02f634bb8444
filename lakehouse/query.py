"""SQL over the lake: each table named in a query becomes a view over one version's files."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakehouse import snapshot as snapshots
from lakehouse.build import Lake
from lakehouse.catalog import Table, find
from lakehouse.engines.base import Input, InputFile
from lakehouse.engines.inputs import mount
from lakehouse.engines.writer import QUARANTINE_COLUMNS, quarantine_of
from lakehouse.errors import CatalogError
from lakehouse.ledger import Ledger
from lakehouse.ops import ROWS, schema_of
from lakehouse.sql import MACROS
from lakehouse.storage import Storage

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["Cut", "of_run", "run"]

QUARANTINE = "__quarantine"


@dataclass(frozen=True)
class Cut:
    """Which version of each table a query reads: full name → version; others are read newest."""

    versions: Mapping[str, int] = field(default_factory=dict)


def of_run(lake: Lake, run: str) -> Cut:
    """The versions that a run read and wrote.

    Raises:
        CatalogError: The ledger knows no such run.
    """
    import json

    rows = [r for r in Ledger(lake.storage).rows("builds") if r["run"] == run]
    if not rows:
        known = sorted({r["run"] for r in Ledger(lake.storage).rows("builds", ["run"])})[-3:]
        raise CatalogError(
            f"read the cut of run {run!r}",
            "the ledger knows no such run, or it built nothing",
            f"the last ones: {', '.join(known) or 'none'}; lake query 'FROM ops.builds'",
        )
    found: dict[str, int] = {}
    for row in rows:
        domain = row["table"].split(".")[0]
        for name, version in json.loads(row["reads"]).items():
            found.setdefault(f"{domain}.{name}", version)
    # What the run wrote wins over what an earlier step of it read.
    found |= {r["table"]: r["version"] for r in rows if r["version"] >= 0}
    return Cut(found)


def run(lake: Lake, sql: str, cut: Cut | None = None) -> pa.Table:
    """Run one query.

    Args:
        lake: The lake.
        sql: DuckDB SQL over ``silver.flights``, ``ops.runs``, ``silver.flights__quarantine``.
        cut: Versions to read instead of the newest.

    Returns:
        The result, whole.

    Raises:
        CatalogError: The query is wrong, or names no table of the lake.
    """
    import duckdb

    try:
        with _connection(lake, sql, cut or Cut()) as con:
            found = con.sql(sql)
            if found is None:
                raise CatalogError("run the query", "it gives no rows", "write one SELECT")
            result: pa.Table = found.to_arrow_table()
            return result
    except duckdb.Error as error:
        raise CatalogError(
            "run the query", str(error)[:800], "correct it; 'lake show' lists tables and columns"
        ) from error


@contextmanager
def _connection(lake: Lake, sql: str, cut: Cut) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    con = duckdb.connect()
    try:
        for statement in (*MACROS, "SET enable_progress_bar = false"):
            con.execute(statement)
        for name in sorted(_named(sql)):
            _mount(lake, con, name, cut)
        # Only what was mounted can be read: a query is no way to files or other servers.
        con.execute("SET enable_external_access = false")
        yield con
    finally:
        con.close()


def _named(sql: str) -> set[str]:
    """The tables a query names as ``schema.table`` (or with its domain before)."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import ParseError, SqlglotError

    try:
        parsed = sqlglot.parse(sql, read="duckdb")
    except SqlglotError as error:
        first = error.errors[0] if isinstance(error, ParseError) and error.errors else None
        found = str(error)[:300]
        if first:
            found = f"line {first['line']}, near {first['highlight']!r}: {first['description']}"
        raise CatalogError("run the query", found, "correct the SQL") from error
    tables = (t for tree in parsed if tree for t in tree.find_all(exp.Table) if t.db)
    return {".".join(part.name for part in t.parts) for t in tables}


def _mount(lake: Lake, con: duckdb.DuckDBPyConnection, name: str, cut: Cut) -> None:
    if name.startswith("ops."):
        _mount_ops(lake, con, name)
        return
    base = name.removesuffix(QUARANTINE)
    try:
        table = find(lake.domains, base)
    except CatalogError as error:
        close = difflib.get_close_matches(name, [f"ops.{t}" for t in ROWS], n=1)
        if close:
            raise CatalogError(error.asked, error.found, f"did you mean {close[0]!r}?") from error
        raise
    version = cut.versions.get(table.name)
    snapshot = snapshots.read(lake.place(table), table.name, version)
    if name.endswith(QUARANTINE):
        one = quarantine_input(lake, table, snapshot)
    else:
        one = table_input(lake, table, snapshot)
    mount(con, one, name)


def table_input(lake: Lake, table: Table, snapshot: snapshots.Snapshot) -> Input:
    """All files of one version of a table."""
    part = table.contract.lake.partition
    return Input(
        table.short,
        lake.place(table),
        table.contract.types,
        part.column if part else None,
        tuple(InputFile(f.path, f.partition) for f in snapshot.files),
    )


def quarantine_input(lake: Lake, table: Table, snapshot: snapshots.Snapshot) -> Input:
    """The quarantined rows of the builds that are live in a version."""
    place = quarantine_of(lake.place(table))
    live = {part.build for part in snapshot.parts}
    found = snapshots.read(place, f"{table.name}{QUARANTINE}")
    files = tuple(InputFile(f.path, None) for f in found.files if f.build in live)
    types = {**table.contract.types, **QUARANTINE_COLUMNS}
    return Input(f"{table.short}{QUARANTINE}", place, types, None, files)


def _mount_ops(lake: Lake, con: duckdb.DuckDBPyConnection, name: str) -> None:
    import pyarrow.dataset as ds

    short = name.removeprefix("ops.")
    if short not in ROWS:
        raise CatalogError(
            f"find the table {name!r}", "no such ops table", f"there are ops.{', ops.'.join(ROWS)}"
        )
    place: Storage = lake.storage.at("ops", short)
    files = [f"{place.root}/{f.path}" for f in snapshots.read(place, name).files]
    found = ds.dataset(files, schema=schema_of(short), filesystem=place.arrow(), format="parquet")
    con.register(f"_ops_{short}", found)
    con.execute("CREATE SCHEMA IF NOT EXISTS ops")
    con.execute(f'CREATE VIEW ops.{short} AS SELECT * FROM "_ops_{short}"')
