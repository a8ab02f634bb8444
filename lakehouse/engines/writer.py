"""Staged rows into Parquet files that no log knows yet."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as url_quote

from lakehouse.audit import literal, quote
from lakehouse.contract import LANDED_COLUMNS, Contract, digest
from lakehouse.engines.base import Output, StagedFile, Task
from lakehouse.engines.limits import held, unheld
from lakehouse.planning import NO_ROWS
from lakehouse.storage import Storage

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = [
    "PARQUET",
    "QUARANTINE_COLUMNS",
    "ROW_GROUP",
    "Writer",
    "bounded",
    "measured",
    "quarantine_of",
    "statistic",
]

#: What a quarantine table has besides its table's columns, with DuckDB types.
QUARANTINE_COLUMNS = {"_violations": "VARCHAR[]", "_build": "VARCHAR", "_raw": "VARCHAR"}

#: How rows are written. A dictionary of more than 64 KiB is given up: where values hardly repeat it
#: costs time and bytes, and few columns of a partition ever reach Arrow's own limit of 1 MiB.
PARQUET: Mapping[str, Any] = {"compression": "zstd", "dictionary_pagesize_limit": 64 * 1024}
ROW_GROUP = 250_000
_LONGEST_STRING_STATISTIC = 64


@dataclass
class Writer:
    """Writes one audited target.

    Args:
        task: The task.
        output: The target.
        con: A connection that holds ``_audited``: the rows with ``_violations``.
        kept_out: How many of them have any.
    """

    task: Task
    output: Output
    con: duckdb.DuckDBPyConnection
    kept_out: int

    def __post_init__(self) -> None:
        part = self.task.contract.lake.partition
        self.column = part.column if part else None
        self.filesystem = self.task.storage.arrow()
        self.builds: list[str] = []

    def publish(self) -> tuple[StagedFile, ...]:
        """One file per partition written; a zero-row marker where nothing is left to publish."""
        good = "_violations IS NULL" if self.kept_out else "TRUE"
        if self.task.batch is None or self.column is None:
            return (self._file(self.output.partition, good),)
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
        build = f"{self.output.wanted}-{content}"
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
        told = {name: contract.types[name] for name in measured(contract)}
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
            if bounded(least, most) and (longest or 0) <= _LONGEST_STRING_STATISTIC:
                low[name], high[name] = statistic(least), statistic(most)
        told_all = {"numRecords": rows, "minValues": low, "maxValues": high, "nullCount": null}
        return json.dumps(told_all, allow_nan=False)

    def quarantine(self, rejects: pa.Table | None) -> tuple[StagedFile, ...]:
        """The rows kept out, with the rules they violate; no file when there are none."""
        rejected = rejects is not None and rejects.num_rows > 0
        if not self.kept_out and not rejected:
            return ()
        build = self.builds[0]
        contract = self.task.contract
        query = (
            f"SELECT {held(contract)}, _violations, {literal(build)} AS _build, "
            f"{unheld(contract)} AS _raw FROM _audited WHERE _violations IS NOT NULL"
        )
        if rejected:
            self.con.register("_rejects", rejects)
            query += f" UNION ALL SELECT {self._rejected_columns()}, _violations, "
            query += f"{literal(build)}, _raw FROM _rejects"
        path = f"build={build}/part-{uuid.uuid4().hex}.parquet"
        root = quarantine_of(self.task.storage).root
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


def quarantine_of(storage: Storage) -> Storage:
    """The place of a table's quarantine."""
    return replace(storage, uri=f"{storage.uri}__quarantine")


def measured(contract: Contract) -> tuple[str, ...]:
    """The columns that statistics are kept of: keys and times, without the partition."""
    part = contract.lake.partition
    return tuple(
        name
        for name, kind in contract.types.items()
        if not (part and name == part.column)
        and (name in contract.key or kind in ("DATE", "TIMESTAMPTZ"))
    )


def bounded(*values: object) -> bool:
    """Whether both bounds can stand in the log: JSON has no infinity."""
    return all(v is not None and not (isinstance(v, float) and not isfinite(v)) for v in values)


def statistic(value: object) -> object:
    """A bound in the log's own form."""
    if isinstance(value, dt.datetime):
        # strftime writes the year 1 without its zeros.
        return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat("T", "microseconds") + "Z"
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
    reader = con.sql(query).to_arrow_reader(ROW_GROUP)
    with filesystem.open_output_stream(path) as sink:
        with pq.ParquetWriter(sink, reader.schema, **PARQUET) as writer:
            for batch in reader:
                rows += batch.num_rows
                writer.write_batch(batch)
        size = int(sink.tell())
    stored = filesystem.get_file_info(path).size
    if stored != size:
        raise OSError(f"{path} has {stored} bytes in the store, {size} were written")
    return size, rows
