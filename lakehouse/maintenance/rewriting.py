"""Rewrite small files of one build into one: no row, partition or statistic changes."""

from __future__ import annotations

import datetime as dt
import json
import math
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lakehouse import snapshot as snapshots
from lakehouse.engines.base import StagedFile
from lakehouse.errors import CommitError
from lakehouse.maintenance.compaction import Merge
from lakehouse.maintenance.place import Place
from lakehouse.storage import Storage
from lakehouse.types import ARROW_TYPES

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Statistics", "merged", "rewrite", "statistics"]

_ROW_GROUP = 250_000


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


def rewrite(place: Place, merge: Merge, told: Mapping[str, Statistics]) -> StagedFile:
    """Write the rows of some files into one that no log knows yet.

    Raises:
        CommitError: The files do not hold the rows that the log tells of.
        StorageError: The store does not answer.
    """
    first = merge.files[0]
    path = f"{merge.folder(place.kind)}/part-{uuid.uuid4().hex}.parquet"
    with place.storage.reaching(f"merge files of {place.name}"):
        written, rows = _write(place, merge, path)
    known = [told.get(file.path) for file in merge.files]
    if sum(file.rows for file in merge.files) != rows and all(f.rows >= 0 for f in merge.files):
        raise CommitError(
            f"merge {len(merge.files)} files of {place.name}",
            f"{rows} rows in them, {sum(f.rows for f in merge.files)} in the log",
            f"nothing was changed; rebuild it: 'lake build {place.name} --force'",
        )
    sure = [one for one in known if one is not None]
    whole = len(sure) == len(known) and sum(one.rows for one in sure) == rows
    stats = merged(sure) if whole else json.dumps({"numRecords": rows})
    return StagedFile(path, written, rows, first.partition, stats)


def _write(place: Place, merge: Merge, path: str) -> tuple[int, int]:
    """Stream files into one; (bytes, rows)."""
    import pyarrow.fs
    import pyarrow.parquet as pq

    filesystem, root = place.storage.arrow(), place.storage.root
    target = f"{root}/{path}"
    if isinstance(filesystem, pyarrow.fs.LocalFileSystem):
        filesystem.create_dir(target.rpartition("/")[0], recursive=True)
    paths = [f"{root}/{file.path}" for file in merge.files]
    schema = _schema(place, pq.read_schema(paths[0], filesystem=filesystem))
    rows = 0
    with filesystem.open_output_stream(target) as sink:
        with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
            for table in _chunks(_batches(filesystem, paths, schema), schema):
                rows += table.num_rows
                writer.write_table(table, row_group_size=_ROW_GROUP)
        written = int(sink.tell())
    stored = filesystem.get_file_info(target).size
    if stored != written:
        raise OSError(f"{path} has {stored} bytes in the store, {written} were written")
    return written, rows


def _schema(place: Place, found: pa.Schema) -> pa.Schema:
    import pyarrow as pa

    if place.types:
        return pa.schema([(name, ARROW_TYPES[kind]) for name, kind in place.types.items()])
    return pa.schema([pa.field(f.name, f.type) for f in found])


def _batches(
    filesystem: pa.fs.FileSystem, paths: Iterable[str], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in paths:
        with filesystem.open_input_file(path) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(_ROW_GROUP):
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
        if sum(one.num_rows for one in held) >= _ROW_GROUP:
            yield pa.Table.from_batches(held, schema)
            held = []
    if held:
        yield pa.Table.from_batches(held, schema)
