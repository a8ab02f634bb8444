"""Rewrite live files: several into one, or a sealed one without some of its batches.

No row changes, nor its partition, nor what the log tells of it.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lakehouse import sealed
from lakehouse import snapshot as snapshots
from lakehouse.engines.base import StagedFile
from lakehouse.engines.writer import PARQUET, ROW_GROUP
from lakehouse.errors import CommitError
from lakehouse.sealed import Member
from lakehouse.snapshot import File
from lakehouse.storage import Storage
from lakehouse.types import ARROW_TYPES

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Statistics", "merged", "remainder", "rewrite", "statistics"]


@dataclass(frozen=True)
class Statistics:
    """What the log tells of one file: bounds by column, NULLs by column."""

    rows: int
    low: Mapping[str, Any]
    high: Mapping[str, Any]
    nulls: Mapping[str, int]


def statistics(storage: Storage, paths: Iterable[str]) -> Mapping[str, Statistics]:
    """Path → what the log tells of it, for some live files."""
    import pyarrow as pa

    table, wanted = snapshots.open_table(storage), set(paths)
    if table is None:
        return {}
    actions = pa.RecordBatchReader.from_stream(table.get_add_actions(flatten=True)).read_all()
    told = {}
    for row in actions.to_pylist():
        path = unquote(row["path"])
        if path in wanted:
            parts = (_named(row, prefix) for prefix in ("min.", "max.", "null_count."))
            told[path] = Statistics(row.get("num_records") or 0, *parts)
    return told


def _named(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value
        for name, value in row.items()
        if name.startswith(prefix) and value is not None
    }


def merged(told: Sequence[Statistics]) -> str:
    """The statistics of files together, in the log's own form.

    A bound stands only where each file that has a value has one.
    """
    rows = sum(one.rows for one in told)
    full = [one for one in told if one.rows]
    columns = [c for c in (full[0].nulls if full else ()) if all(c in one.nulls for one in full)]
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    for column in columns:
        valued = [one for one in full if one.nulls[column] < one.rows]
        if valued and all(column in one.low and column in one.high for one in valued):
            least = min(one.low[column] for one in valued)
            most = max(one.high[column] for one in valued)
            if all(not isinstance(v, float) or math.isfinite(v) for v in (least, most)):
                low[column], high[column] = _written(least), _written(most)
    if not columns:
        return json.dumps({"numRecords": rows})
    nulls = {column: sum(one.nulls[column] for one in full) for column in columns}
    found = {"numRecords": rows, "minValues": low, "maxValues": high, "nullCount": nulls}
    return json.dumps(found, allow_nan=False)


def _written(value: object) -> object:
    if isinstance(value, dt.datetime):
        utc = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
        return utc.isoformat("T", "microseconds") + "Z"
    return value.isoformat() if isinstance(value, dt.date) else value


def rewrite(
    storage: Storage,
    name: str,
    files: Sequence[File],
    folder: str,
    told: Mapping[str, Statistics],
    *,
    types: Mapping[str, str] | None = None,
    members: Sequence[Member] = (),
) -> StagedFile:
    """Write the rows of some files of one partition into one that no log knows yet.

    Args:
        storage: The table's place.
        name: Its full name, for messages.
        files: What is read, in this order.
        folder: Where the new file is put.
        told: Path → what the log tells of it.
        types: Column → DuckDB type where older files may lack columns; else all are alike.
        members: The batches of a file that is sealed by it.

    Raises:
        CommitError: The files do not hold the rows that the log tells of.
        StorageError: The store does not answer.
    """
    path = f"{folder}/part-{uuid.uuid4().hex}.parquet"
    with storage.reaching(f"merge files of {name}"):
        sources = [file.path for file in files]
        written, rows = _write(storage, sources, path, types=types, members=members)
    known = [told.get(file.path) for file in files]
    if all(file.rows >= 0 for file in files):
        _account(name, f"merge {len(files)} files", sum(file.rows for file in files), rows)
    sure = [one for one in known if one is not None]
    whole = len(sure) == len(known) and sum(one.rows for one in sure) == rows
    stats = merged(sure) if whole else json.dumps({"numRecords": rows})
    return StagedFile(path, written, rows, files[0].partition, stats)


def remainder(storage: Storage, name: str, file: File, stay: Sequence[File]) -> StagedFile:
    """Write what stays of a sealed file into one that no log knows yet.

    Args:
        storage: The table's place.
        name: Its full name, for messages.
        file: The sealed file.
        stay: Those of its parts that stay.

    Raises:
        CommitError: The file does not hold the rows that its footer tells of.
        StorageError: The store does not answer.
    """
    batches = {part.batch for part in stay}
    members = [member for member in file.members if member.batch in batches]
    above = file.path.rsplit("/", 2)[0] + "/" if file.path.count("/") > 1 else ""
    path = f"{above}{sealed.folder(members)}/part-{uuid.uuid4().hex}.parquet"
    with storage.reaching(f"take batches out of {file.path} of {name}"):
        keep = [member.batch for member in members]
        written, rows = _write(storage, [file.path], path, members=members, keep=keep)
        told = statistics(storage, [file.path]).get(file.path)
        stats = _counted(storage, path, told) if told else json.dumps({"numRecords": rows})
    _account(name, f"take batches out of {file.path}", sum(m.rows for m in members), rows)
    return StagedFile(path, written, rows, file.partition, stats)


def _account(name: str, asked: str, known: int, rows: int) -> None:
    if known != rows:
        raise CommitError(
            f"{asked} of {name}",
            f"{rows} rows in them, {known} in the log",
            f"nothing was changed; rebuild it: 'lake build {name} --force'",
        )


def _counted(storage: Storage, path: str, told: Statistics) -> str:
    """The statistics of a file by its own footer, for columns that have them in the log."""
    import pyarrow.parquet as pq

    found = pq.read_metadata(f"{storage.root}/{path}", filesystem=storage.arrow())
    places = {found.schema.column(i).path: i for i in range(found.num_columns)}
    groups = []
    for group in map(found.row_group, range(found.num_row_groups)):
        kept = {name: group.column(places[name]).statistics for name in told.nulls}
        ends = {n: one for n, one in kept.items() if n in told.low and one and one.has_min_max}
        groups.append(
            Statistics(
                group.num_rows,
                {name: one.min for name, one in ends.items()},
                {name: one.max for name, one in ends.items()},
                {name: one.null_count or 0 for name, one in kept.items() if one},
            )
        )
    return merged(groups)


def _write(
    storage: Storage,
    sources: Sequence[str],
    path: str,
    *,
    types: Mapping[str, str] | None = None,
    members: Sequence[Member] = (),
    keep: Collection[str] | None = None,
) -> tuple[int, int]:
    """Stream files into one, of some batches only where ``keep`` names them; (bytes, rows)."""
    import pyarrow.fs
    import pyarrow.parquet as pq

    filesystem, root = storage.arrow(), storage.root
    target = f"{root}/{path}"
    if isinstance(filesystem, pyarrow.fs.LocalFileSystem):
        filesystem.create_dir(target.rpartition("/")[0], recursive=True)
    paths = [f"{root}/{source}" for source in sources]
    schema = _schema(types, pq.read_schema(paths[0], filesystem=filesystem))
    listed = schema.with_metadata(sealed.footer(members)) if members else schema
    rows = 0
    with filesystem.open_output_stream(target) as sink:
        with pq.ParquetWriter(sink, listed, **PARQUET) as writer:
            for table in _chunks(_batches(filesystem, paths, schema, keep), schema):
                rows += table.num_rows
                writer.write_table(table.cast(listed), row_group_size=ROW_GROUP)
        written = int(sink.tell())
    stored = filesystem.get_file_info(target).size
    if stored != written:
        raise OSError(f"{path} has {stored} bytes in the store, {written} were written")
    return written, rows


def _schema(types: Mapping[str, str] | None, found: pa.Schema) -> pa.Schema:
    import pyarrow as pa

    if types:
        return pa.schema([(name, ARROW_TYPES[kind]) for name, kind in types.items()])
    return pa.schema([pa.field(f.name, f.type) for f in found])


def _batches(
    filesystem: pa.fs.FileSystem,
    paths: Iterable[str],
    schema: pa.Schema,
    keep: Collection[str] | None,
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = None if keep is None else pc.field("_batch").isin(list(keep))
    for path in paths:
        with filesystem.open_input_file(path) as stream:
            for read in pq.ParquetFile(stream).iter_batches(ROW_GROUP):
                if lost := set(read.schema.names) - set(schema.names):
                    raise OSError(f"{path} has {', '.join(sorted(lost))}, which others have not")
                batch = read if wanted is None else read.filter(wanted)
                columns = [
                    batch.column(f.name).cast(f.type)
                    if f.name in batch.schema.names
                    else pa.nulls(batch.num_rows, f.type)
                    for f in schema
                ]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _chunks(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Tables of at least a row group's rows: many small files must not become many groups."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(one.num_rows for one in held) >= ROW_GROUP:
            yield pa.Table.from_batches(held, schema)
            held = []
    if held:
        yield pa.Table.from_batches(held, schema)
