"""Stage one target with DuckDB: the work of one task, on any worker, from plain data."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as url_quote

from lakehouse import audit, landing, sql
from lakehouse.audit import OUTSIDE_PARTITION, literal, quote
from lakehouse.contract import LANDED_COLUMNS, digest
from lakehouse.engines.base import Input, Staged, StagedFile, Task
from lakehouse.errors import EngineError
from lakehouse.interval import Grain
from lakehouse.planning import NO_ROWS
from lakehouse.types import arrow

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["QUARANTINE_COLUMNS", "mount", "stage"]

#: What a quarantine table has besides its table's columns, with DuckDB types.
QUARANTINE_COLUMNS = {"_violations": "VARCHAR[]", "_build": "VARCHAR", "_raw": "VARCHAR"}

_ROW_GROUP = 250_000
_SAMPLES = 5
_LONGEST_STRING_STATISTIC = 64


def stage(task: Task) -> Staged:
    """Stage one target: select, audit and write its files below the table's directory.

    Raises:
        EngineError: The SQL failed, memory did not suffice, or the row law does not hold.
    """
    import duckdb

    began = time.perf_counter()
    try:
        with _connection(task) as con:
            staged = _stage(task, con, began)
    except duckdb.OutOfMemoryException as error:
        raise EngineError(
            f"stage {task.table} {task.key}",
            f"more memory than the worker's {task.memory:,} bytes: {str(error)[:200]}",
            "raise LAKE_WORKER_MEMORY, or choose a finer partition grain in the contract",
        ) from error
    except duckdb.Error as error:
        raise EngineError(
            f"stage {task.table} {task.key}",
            str(error)[:600],
            f"correct {task.contract.path.removesuffix('.yaml')}.sql; 'lake lint' checks it",
        ) from error
    _check_row_law(staged, task)
    return staged


@contextmanager
def _connection(task: Task) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    with tempfile.TemporaryDirectory(prefix="lake-spill-") as spill:
        con = duckdb.connect(
            config={
                "memory_limit": f"{task.memory}B",
                "threads": task.threads,
                "temp_directory": spill,
                "preserve_insertion_order": True,
            }
        )
        try:
            for statement in (*sql.MACROS, "SET enable_progress_bar = false"):
                con.execute(statement)
            yield con
        finally:
            con.close()


def _stage(task: Task, con: duckdb.DuckDBPyConnection, began: float) -> Staged:
    warnings: tuple[str, ...] = ()
    rejects = None
    if task.batch is not None:
        rejects, warnings, records = _read_batch(task, con)
        select = _bronze_select(task)
    else:
        for one in task.inputs:
            mount(con, one)
        select, records = task.sql, None
    con.execute(f"CREATE TEMP TABLE _audited AS {_audited(task, select)}")
    numbers = _numbers(task, con)
    rejected = rejects.num_rows if rejects is not None else 0
    rows_in, superseded, samples = _lineage(task, con, records, numbers["rows"])
    writer = _Writer(task, con)
    files = writer.publish()
    quarantine = writer.quarantine(rejects)
    return Staged(
        key=task.key,
        partition=task.partition,
        wanted=task.wanted,
        files=files,
        quarantine=quarantine,
        rows_in=rows_in,
        selected=numbers["rows"] + rejected,
        published=sum(f.rows for f in files),
        quarantined=sum(f.rows for f in quarantine),
        superseded=superseded,
        numbers=numbers,
        reasons=_reasons(con, rejects),
        samples=samples,
        warnings=warnings,
        seconds=time.perf_counter() - began,
    )


# --- what is read -----------------------------------------------------------------------------


def mount(con: duckdb.DuckDBPyConnection, one: Input, name: str | None = None) -> None:
    """An input as a view over just its files; the partition value comes from the log.

    Args:
        con: A connection.
        one: What to mount.
        name: The view's name where it is not the input's: ``domain.layer.table``.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    filesystem, form = one.storage.arrow(), ds.ParquetFileFormat()
    column = one.partition_column
    schema = pa.schema([(name, _arrow(kind)) for name, kind in one.types.items()])

    def expression(value: str | None) -> Any:
        if column is None:
            return None
        if value is None:
            return pc.field(column).is_null()
        typed = dt.date.fromisoformat(value) if one.types[column] == "DATE" else value
        return pc.field(column) == pa.scalar(typed, arrow(one.types[column]))

    fragments = [
        form.make_fragment(
            f"{one.storage.root}/{file.path}",
            filesystem,
            partition_expression=expression(file.partition),
        )
        for file in one.files
    ]
    files = f"_{one.name.replace('.', '_')}"
    con.register(files, ds.FileSystemDataset(fragments, schema, form, filesystem))
    where = ""
    if one.event is not None and one.lower is not None:
        dated = one.types[one.event] == "DATE"
        where = f" WHERE {quote(one.event)} >= {literal(one.lower.date() if dated else one.lower)}"
    *outer, last = (name or one.name).split(".")
    if len(outer) == 2:
        con.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {quote(outer[0])}")
    schema_name = ".".join(map(quote, outer))
    con.execute(f"CREATE SCHEMA IF NOT EXISTS {schema_name}")
    con.execute(
        f"CREATE VIEW {schema_name}.{quote(last)} AS SELECT * FROM temp.{quote(files)}{where}"
    )


def _arrow(kind: str) -> pa.DataType:
    import pyarrow as pa

    return pa.list_(arrow(kind.removesuffix("[]"))) if kind.endswith("[]") else arrow(kind)


def _read_batch(
    task: Task, con: duckdb.DuckDBPyConnection
) -> tuple[pa.Table, tuple[str, ...], int]:
    import pyarrow as pa

    assert task.batch is not None and task.landing is not None
    filesystem = task.landing.fsspec()
    read = [
        landing.read(filesystem, task.landing.root, file, task.contract, task.batch.id)
        for file in task.batch.files
    ]
    con.register("_landed", pa.concat_tables([one.rows for one in read]))
    warnings = tuple(f"{w}" for one in read for w in one.warnings)
    rejects = pa.concat_tables([one.rejects for one in read])
    return rejects, warnings, sum(one.records for one in read)


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
    rules = list(audit.violations(task.contract))
    part, where = task.contract.lake.partition, ""
    if part is not None:
        column = quote(part.column)
        value = _partition_literal(task)
        if task.batch is not None:
            # Delta holds an empty partition value as NULL: such a row would belong nowhere.
            none = f"({column} IS NULL OR CAST({column} AS VARCHAR) = '')"
            rules.append((OUTSIDE_PARTITION, none))
        elif task.reaches:
            where = f" WHERE {column} = {value} OR {column} IS NULL"
            rules.append((OUTSIDE_PARTITION, f"{column} IS NULL"))
        else:
            rules.append((OUTSIDE_PARTITION, f"{column} IS DISTINCT FROM {value}"))
    flags = ", ".join(f"CASE WHEN {bad} THEN {literal(rule)} END" for rule, bad in rules)
    found = (
        f"list_filter([{flags}], lambda rule: rule IS NOT NULL)"
        if flags
        else "CAST([] AS VARCHAR[])"
    )
    return f"SELECT *, {found} AS _violations FROM (\n{select}\n) AS _selected{where}"


def _partition_literal(task: Task) -> str:
    part = task.contract.lake.partition
    assert part is not None
    kind = "VARCHAR" if part.grain is Grain.value else "DATE"
    return f"CAST({literal(task.partition)} AS {kind})"


def _numbers(task: Task, con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    named = {
        "rows": "count(*)",
        "published": "count(*) FILTER (WHERE len(_violations) = 0)",
        **audit.aggregates(task.contract),
    }
    columns = ", ".join(f"{expression} AS {quote(name)}" for name, expression in named.items())
    found = con.execute(f"SELECT {columns} FROM _audited").fetchall()[0]
    numbers = dict(zip(named, found, strict=True))
    for rule, query in audit.duplicates(task.contract).items():
        shared, looked = con.execute(query).fetchall()[0]
        numbers[f"unique:{rule}"], numbers[f"looked:{rule}"] = int(shared), int(looked)
    return numbers


def _reasons(con: duckdb.DuckDBPyConnection, rejects: pa.Table | None) -> dict[str, int]:
    query = "SELECT unnest(_violations) AS rule FROM _audited"
    if rejects is not None:
        con.register("_rejects", rejects)
        query += " UNION ALL SELECT unnest(_violations) FROM _rejects"
    counted = con.execute(f"SELECT rule, count(*) FROM ({query}) GROUP BY rule ORDER BY rule")
    return {rule: int(n) for rule, n in counted.fetchall()}


# --- the row law ------------------------------------------------------------------------------


def _lineage(
    task: Task, con: duckdb.DuckDBPyConnection, records: int | None, selected: int
) -> tuple[int, int, tuple[tuple[str, int], ...]]:
    """(rows in, superseded rows, some of them)."""
    if records is not None:
        return records, 0, ()
    if task.rows_from is None:
        return selected, 0, ()
    source = ".".join(map(quote, task.rows_from.split(".")))
    rows_in = int(con.execute(f"SELECT count(*) FROM {source}").fetchall()[0][0])
    if not {"_source_file", "_row"} <= set(task.contract.types):
        return rows_in, rows_in - selected, ()
    gone = f"FROM {source} AS i ANTI JOIN _audited AS o USING (_source_file, _row)"
    superseded = int(con.execute(f"SELECT count(*) {gone}").fetchall()[0][0])
    samples = con.execute(
        f"SELECT _source_file, _row {gone} ORDER BY ALL LIMIT {_SAMPLES}"
    ).fetchall()
    return rows_in, superseded, tuple((str(file), int(row)) for file, row in samples)


def _check_row_law(staged: Staged, task: Task) -> None:
    accounted = staged.published + staged.quarantined
    if accounted == staged.selected and staged.rows_in == accounted + staged.superseded:
        return
    raise EngineError(
        f"account for every row of {task.table} {task.key}",
        f"{staged.rows_in:,} rows in, {staged.selected:,} selected; {staged.published:,} published "
        f"+ {staged.quarantined:,} quarantined + {staged.superseded:,} superseded",
        f"a join in {task.contract.path.removesuffix('.yaml')}.sql multiplies or drops rows of "
        f"{task.rows_from or 'its input'}: join on a key that is unique",
    )


# --- what is written --------------------------------------------------------------------------


@dataclass
class _Writer:
    task: Task
    con: duckdb.DuckDBPyConnection

    def __post_init__(self) -> None:
        part = self.task.contract.lake.partition
        self.column = part.column if part else None
        self.filesystem = self.task.storage.arrow()
        self.builds: list[str] = []

    def publish(self) -> tuple[StagedFile, ...]:
        """One file per partition written; a zero-row marker where nothing is left to publish."""
        good = "len(_violations) = 0"
        if self.task.batch is None or self.column is None:
            return (self._file(self.task.partition, good),)
        column = quote(self.column)
        found = self.con.execute(
            f"SELECT DISTINCT CAST({column} AS VARCHAR) FROM _audited WHERE {good} ORDER BY 1"
        ).fetchall()
        kind = self.task.contract.types[self.column]
        return tuple(
            self._file(value, f"{good} AND {column} = CAST({literal(value)} AS {kind})")
            for (value,) in found
        ) or (self._file(None, "FALSE"),)

    def _file(self, partition: str | None, where: str) -> StagedFile:
        content = self._content(where)
        build = f"{self.task.wanted}-{content}"
        self.builds.append(build)
        columns = [c for c in self.task.contract.types if c != self.column]
        path = self._path(partition, build)
        query = f"SELECT {', '.join(map(quote, columns))} FROM _audited WHERE {where}"
        size, rows = _write(self.con, query, self.filesystem, f"{self.task.storage.root}/{path}")
        return StagedFile(path, size, rows, partition, self._stats(where, rows))

    def _content(self, where: str) -> str:
        """An order-independent hash: count and sum of row hashes, with the columns' names."""
        bronze = self.task.batch is not None
        columns = {
            name: kind
            for name, kind in self.task.contract.types.items()
            if name != self.column and (bronze or name not in LANDED_COLUMNS)
        }
        hashed = ", ".join(map(quote, columns)) or "NULL"
        found = self.con.execute(
            f"SELECT count(*), CAST(sum(CAST(hash({hashed}) AS HUGEINT)) AS VARCHAR) "
            f"FROM _audited WHERE {where}"
        ).fetchall()[0]
        return digest(found, columns) if found[0] else NO_ROWS

    def _path(self, partition: str | None, build: str) -> str:
        parts = []
        if self.column is not None:
            value = "__HIVE_DEFAULT_PARTITION__" if partition is None else partition
            parts.append(f"{self.column}={url_quote(value, safe='')}")
        if self.task.batch is not None:
            parts.append(f"batch={self.task.batch.id}")
        return "/".join([*parts, f"build={build}", f"part-{uuid.uuid4().hex}.parquet"])

    def _stats(self, where: str, rows: int) -> str:
        """Delta statistics: exact bounds of key and time columns, in the log's own form."""
        contract = self.task.contract
        told = {
            name: kind
            for name, kind in contract.types.items()
            if name != self.column and (name in contract.key or kind in ("DATE", "TIMESTAMPTZ"))
        }
        if not rows or not told:
            return json.dumps({"numRecords": rows})
        asked = ", ".join(
            f"min({quote(n)}), max({quote(n)}), count(*) - count({quote(n)})"
            + (f", max(length({quote(n)}))" if kind == "VARCHAR" else ", 0")
            for n, kind in told.items()
        )
        found = self.con.execute(f"SELECT {asked} FROM _audited WHERE {where}").fetchall()[0]
        low, high, null = {}, {}, {}
        for i, name in enumerate(told):
            least, most, nulls, longest = found[4 * i : 4 * i + 4]
            null[name] = nulls
            if least is not None and (longest or 0) <= _LONGEST_STRING_STATISTIC:
                low[name], high[name] = _statistic(least), _statistic(most)
        return json.dumps(
            {"numRecords": rows, "minValues": low, "maxValues": high, "nullCount": null}
        )

    def quarantine(self, rejects: pa.Table | None) -> tuple[StagedFile, ...]:
        """The rows kept out, with the rules they violate; no file when there are none."""
        build = self.builds[0]
        columns = ", ".join(map(quote, self.task.contract.types))
        query = (
            f"SELECT {columns}, _violations, {literal(build)} AS _build, "
            "CAST(NULL AS VARCHAR) AS _raw FROM _audited WHERE len(_violations) > 0"
        )
        if rejects is not None and rejects.num_rows:
            self.con.register("_rejects", rejects)
            query += f" UNION ALL SELECT {self._rejected_columns()}, _violations, "
            query += f"{literal(build)}, _raw FROM _rejects"
        if not self.con.execute(f"SELECT count(*) FROM ({query})").fetchall()[0][0]:
            return ()
        path = f"build={build}/part-{uuid.uuid4().hex}.parquet"
        root = f"{self.task.storage.root}__quarantine"
        size, rows = _write(self.con, query, self.filesystem, f"{root}/{path}")
        return (StagedFile(path, size, rows, None, json.dumps({"numRecords": rows})),)

    def _rejected_columns(self) -> str:
        assert self.task.batch is not None
        known = {"_source_file": "_source_file", "_row": "_row"}
        known["_batch"] = literal(self.task.batch.id)
        return ", ".join(
            f"CAST({known.get(name, 'NULL')} AS {kind})"
            for name, kind in self.task.contract.types.items()
        )


def _statistic(value: object) -> object:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, dt.date):
        return value.isoformat()
    return value


def _write(
    con: duckdb.DuckDBPyConnection, query: str, filesystem: Any, path: str
) -> tuple[int, int]:
    """Stream a query into one Parquet file; (bytes, rows)."""
    import pyarrow.fs
    import pyarrow.parquet as pq

    if isinstance(filesystem, pyarrow.fs.LocalFileSystem):
        filesystem.create_dir(path.rsplit("/", 1)[0], recursive=True)
    rows = 0
    reader = con.sql(query).to_arrow_reader(_ROW_GROUP)
    with (
        filesystem.open_output_stream(path) as sink,
        pq.ParquetWriter(sink, reader.schema, compression="zstd") as writer,
    ):
        for batch in reader:
            rows += batch.num_rows
            writer.write_batch(batch)
    return int(filesystem.get_file_info(path).size), rows
