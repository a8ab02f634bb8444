"""Stage some targets with DuckDB: the work of one task, on any worker, from plain data."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lakehouse import audit, landing
from lakehouse.audit import OUTSIDE_PARTITION, literal, quote
from lakehouse.engines import python
from lakehouse.engines.base import FileWarning, Output, Staged, Task, check_row_law
from lakehouse.engines.connection import connection
from lakehouse.engines.inputs import mount
from lakehouse.engines.limits import beyond, unfit
from lakehouse.engines.references import dotted, looked_up
from lakehouse.engines.writer import Writer
from lakehouse.errors import EngineError
from lakehouse.interval import Grain

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["stage"]

_SAMPLES = 5
#: How pyarrow's failures to read look when they come through DuckDB.
_STORE = re.compile(r"\bfailed: IOError: |AWS Error [A-Z_]+ ")


def stage(task: Task) -> tuple[Staged, ...]:
    """Stage a task's targets: select, audit and write their files below the table's directory.

    Raises:
        EngineError: The SQL failed, memory did not suffice, or the row law does not hold.
        StorageError: A file could not be read or written.
    """
    import duckdb

    try:
        with connection(task.memory, task.threads) as con:
            staged = tuple(_stage(task, con))
    except duckdb.OutOfMemoryException as error:
        raise EngineError(
            f"stage {task.name}",
            f"more memory than the worker's {task.memory:,} bytes: {str(error)[:200]}",
            _with_less(task),
        ) from error
    except (OSError, duckdb.IOException) as error:
        raise task.storage.failed(f"stage {task.name}", error) from error
    except duckdb.Error as error:
        if _STORE.search(str(error)):
            raise task.storage.failed(f"stage {task.name}", error) from error
        raise EngineError(
            f"stage {task.name}",
            str(error)[:600],
            f"correct {task.definition_file}; 'lake lint' checks it",
        ) from error
    for one in staged:
        check_row_law(one, task)
    return staged


def _with_less(task: Task) -> str:
    """What to do about a target that is too big for its worker."""
    if task.batch is not None:
        return "raise LAKE_WORKER_MEMORY, or land smaller files (fewer to a batch)"
    return (
        "raise LAKE_WORKER_MEMORY, choose a finer partition grain, or build the table with "
        "'--engine spark' (engine: spark in its contract)"
    )


def _stage(task: Task, con: duckdb.DuckDBPyConnection) -> Iterator[Staged]:
    began = time.perf_counter()
    landed = None
    if task.batch is not None:
        landed = _read_batch(task, con)
        select = _bronze_select(task)
    else:
        for one in task.inputs:
            mount(con, one)
        select = task.sql if task.function is None else python.select(task, con)
    con.execute(f"CREATE TEMP TABLE _selected AS {_audited(task, select)}")
    shared = (time.perf_counter() - began) / len(task.outputs)
    for output in task.outputs:
        began = time.perf_counter()
        _cut(task, output, con)
        staged = _write(task, output, con, landed)
        yield replace(staged, seconds=shared + time.perf_counter() - began)


def _cut(task: Task, output: Output, con: duckdb.DuckDBPyConnection) -> None:
    """Make ``_audited``: the rows of one target."""
    if len(task.outputs) == 1:
        con.execute("ALTER TABLE _selected RENAME TO _audited")
        return
    part = task.contract.lake.partition
    assert part is not None
    mine = f"{quote(part.column)} = {_partition_literal(task, output)}"
    if output is task.outputs[0]:
        # A row that belongs nowhere is kept out once.
        mine = f"({mine} OR {quote(part.column)} IS NULL)"
    con.execute(f"CREATE OR REPLACE TEMP TABLE _audited AS FROM _selected WHERE {mine}")


def _write(
    task: Task, output: Output, con: duckdb.DuckDBPyConnection, landed: _Landed | None
) -> Staged:
    numbers, reasons = _numbers(task, con)
    rejects = landed.rejects if landed else None
    rows_in, superseded, samples = _lineage(
        task, con, landed.records if landed else None, numbers["rows"]
    )
    writer = Writer(task, output, con, kept_out=numbers["rows"] - numbers["published"])
    files = writer.publish()
    quarantine = writer.quarantine(rejects)
    return Staged(
        key=output.key,
        partition=output.partition,
        wanted=output.wanted,
        files=files,
        quarantine=quarantine,
        rows_in=rows_in,
        selected=numbers["rows"] + (rejects.num_rows if rejects is not None else 0),
        published=sum(f.rows for f in files),
        quarantined=sum(f.rows for f in quarantine),
        superseded=superseded,
        numbers=numbers,
        reasons=_with_rejects(reasons, rejects),
        samples=samples,
        warnings=landed.warnings if landed else (),
    )


# --- what is read -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Landed:
    """What of a batch is no row: rejected lines, warnings, and how many records there were."""

    rejects: pa.Table
    warnings: tuple[FileWarning, ...]
    records: int


def _read_batch(task: Task, con: duckdb.DuckDBPyConnection) -> _Landed:
    import pyarrow as pa

    assert task.batch is not None and task.landing is not None
    filesystem = task.landing.fsspec()
    read = [
        landing.read(filesystem, task.landing.root, file, task.contract, task.batch.id)
        for file in task.batch.files
    ]
    con.register("_landed", pa.concat_tables([one.rows for one in read]))
    warnings = [
        warning
        for file, one in zip(task.batch.files, read, strict=True)
        for warning in _warnings(file.path, one)
    ]
    rejects = pa.concat_tables([one.rejects for one in read])
    return _Landed(rejects, tuple(warnings), sum(one.records for one in read))


def _warnings(path: str, read: landing.Landed) -> Iterator[FileWarning]:
    if read.refused is not None:
        text = f"refused, nothing of it is read: {read.refused[:300]}"
        yield FileWarning(path, text, refused=True)
    for text in read.warnings:
        yield FileWarning(path, text)


def _bronze_select(task: Task) -> str:
    part = task.contract.lake.partition
    columns = [
        f"({part.expression}) AS {quote(name)}"
        if part and name == part.column and part.expression
        else quote(name)
        for name in task.contract.types
    ]
    return f"SELECT {', '.join(columns)} FROM _landed"


# --- the audit in one pass --------------------------------------------------------------------


def _audited(task: Task, select: str) -> str:
    rules = [*audit.violations(task.contract), *beyond(task.contract).values()]
    part, where = task.contract.lake.partition, ""
    if part is not None:
        column = quote(part.column)
        values = ", ".join(_partition_literal(task, output) for output in task.outputs)
        if task.batch is not None:
            # Delta holds an empty partition value as NULL: such a row would belong nowhere.
            none = f"({column} IS NULL OR CAST({column} AS VARCHAR) = '' OR {unfit(part)})"
            rules.append((OUTSIDE_PARTITION, none))
        elif task.reaches:
            where = f" WHERE {column} IN ({values}) OR {column} IS NULL"
            rules.append((OUTSIDE_PARTITION, f"{column} IS NULL"))
        else:
            rules.append((OUTSIDE_PARTITION, f"({column} IN ({values})) IS NOT TRUE"))
    flags = ", ".join(f"CASE WHEN {bad} THEN {literal(rule)} END" for rule, bad in rules)
    broken = " OR ".join(f"({bad})" for _, bad in rules)
    found = (
        # DuckDB makes the list for the rows of the branch alone; a row without one costs nothing.
        f"CASE WHEN {broken} THEN list_filter([{flags}], lambda rule: rule IS NOT NULL) END"
        if flags
        else "CAST(NULL AS VARCHAR[])"
    )
    counted = [audit.absent(r) for r in task.contract.rules if audit.counts_absent(r)]
    columns = ", ".join(map(quote, (*task.contract.types, *counted)))
    selected = looked_up(task.contract.rules, f"(\n{select}\n)")
    return f"SELECT {columns}, {found} AS _violations FROM {selected} AS _selected{where}"


def _partition_literal(task: Task, output: Output) -> str:
    part = task.contract.lake.partition
    assert part is not None
    kind = "VARCHAR" if part.grain is Grain.value else "DATE"
    return f"CAST({literal(output.partition)} AS {kind})"


def _numbers(task: Task, con: duckdb.DuckDBPyConnection) -> tuple[dict[str, Any], dict[str, int]]:
    """What the audit's aggregates named, and violation → rows of the SELECT."""
    contract = task.contract
    named = {
        "rows": "count(*)",
        "published": f"count(*) FILTER (WHERE {audit.KEPT})",
        **audit.aggregates(contract, listed=False),
    }
    columns = ", ".join(f"{expression} AS {quote(name)}" for name, expression in named.items())
    found = con.execute(f"SELECT {columns} FROM _audited").fetchall()[0]
    numbers = dict(zip(named, found, strict=True))
    reasons = _reasons(con) if numbers["published"] < numbers["rows"] else {}
    numbers |= {f"bad:{r.id}": reasons.get(r.id, 0) for r in contract.rules if audit.hard(r)}
    for rule, query in audit.duplicates(contract).items():
        shared, looked = con.execute(query).fetchall()[0]
        numbers[f"unique:{rule}"], numbers[f"looked:{rule}"] = int(shared), int(looked)
    return numbers, reasons


def _reasons(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    counted = con.execute(
        "SELECT rule, count(*) FROM (SELECT unnest(list_distinct(_violations)) AS rule "
        "FROM _audited WHERE _violations IS NOT NULL) GROUP BY rule ORDER BY rule"
    )
    return {rule: int(n) for rule, n in counted.fetchall()}


def _with_rejects(reasons: Mapping[str, int], rejects: pa.Table | None) -> dict[str, int]:
    counted = Counter(reasons)
    if rejects is not None:
        for rules in rejects["_violations"].to_pylist():
            counted.update(rules or ())
    return dict(sorted(counted.items()))


# --- the row law ------------------------------------------------------------------------------


def _lineage(
    task: Task, con: duckdb.DuckDBPyConnection, records: int | None, selected: int
) -> tuple[int, int, tuple[tuple[str, int], ...]]:
    """(rows in, superseded rows, some of them)."""
    if records is not None:
        return records, 0, ()
    if task.rows_from is None:
        return selected, 0, ()
    source = dotted(task.rows_from)
    rows_in = int(con.execute(f"SELECT count(*) FROM {source}").fetchall()[0][0])
    gone = f"FROM {source} AS i ANTI JOIN _audited AS o USING (_source_file, _row)"
    superseded = int(con.execute(f"SELECT count(*) {gone}").fetchall()[0][0])
    if not superseded:
        return rows_in, 0, ()
    samples = con.execute(
        f"SELECT _source_file, _row {gone} ORDER BY ALL LIMIT {_SAMPLES}"
    ).fetchall()
    return rows_in, superseded, tuple((str(file), int(row)) for file, row in samples)
