"""What Spark has written, as the log of its staging table tells, in the committer's form."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote as url_quote

from lakehouse import snapshot as snapshots
from lakehouse.engines.base import Output, StagedFile, Task
from lakehouse.engines.writer import bounded, measured, statistic
from lakehouse.storage import Storage

__all__ = ["kept_out", "marker", "published", "written"]

#: Spark cuts strings to this length in statistics.
_CUT = 32
#: Spark's statistics of times are cut to milliseconds.
_MILLISECOND = dt.timedelta(milliseconds=1)


def written(place: Storage) -> list[dict[str, Any]]:
    """The files of a staging table; see :func:`lakehouse.snapshot.added`."""
    return sorted(snapshots.added(place), key=lambda add: str(add["path"]))


def published(
    place: Storage, adds: Iterable[Mapping[str, Any]], task: Task
) -> dict[str, tuple[StagedFile, ...]]:
    """Build → the files of rows that nothing keeps out.

    Args:
        place: The staging table, directly below ``staging/`` of its table.
        adds: Its files.
        task: What was staged.
    """
    part = task.contract.lake.partition
    found: dict[str, tuple[StagedFile, ...]] = {}
    for add in adds:
        if add["partition.rejected"] in (False, "false"):
            value = add[f"partition.{part.column}"] if part else None
            file = StagedFile(
                f"staging/{_id(place)}/{add['path']}",
                add["size_bytes"],
                add["num_records"],
                None if value is None else str(value),
                _statistics(add, measured(task.contract)),
            )
            found[add["partition.build"]] = (*found.get(add["partition.build"], ()), file)
    return found


def kept_out(place: Storage) -> dict[str, tuple[StagedFile, ...]]:
    """Build → the files of rows that are kept out, relative to the quarantine."""
    found: dict[str, tuple[StagedFile, ...]] = {}
    for add in written(place):
        stats = json.dumps({"numRecords": add["num_records"]})
        path = f"staging/{_id(place)}/{add['path']}"
        file = StagedFile(path, add["size_bytes"], add["num_records"], None, stats)
        found[add["partition.build"]] = (*found.get(add["partition.build"], ()), file)
    return found


def marker(task: Task, output: Output, build: str) -> StagedFile:
    """A file without rows: the target was built and has none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from lakehouse.types import arrow

    part = task.contract.lake.partition
    schema = pa.schema(
        [(n, arrow(k)) for n, k in task.contract.types.items() if not (part and n == part.column)]
    )
    value = url_quote(output.partition or "", safe="")
    folder = f"{part.column}={value}/build={build}" if part else f"build={build}"
    path = f"{folder}/part-{uuid.uuid4().hex}.parquet"
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    body = sink.getvalue()
    full = f"{task.storage.root}/{path}"
    filesystem = task.storage.arrow()
    if not task.storage.is_s3:
        filesystem.create_dir(full.rsplit("/", 1)[0], recursive=True)
    with filesystem.open_output_stream(full) as file:
        file.write(body)
    return StagedFile(path, body.size, 0, output.partition, json.dumps({"numRecords": 0}))


def _id(place: Storage) -> str:
    return place.uri.rsplit("/", 1)[1]


def _statistics(add: Mapping[str, Any], columns: tuple[str, ...]) -> str:
    low, high, null = {}, {}, {}
    for name in columns:
        if (nulls := add.get(f"null_count.{name}")) is not None:
            null[name] = nulls
        least, most = add.get(f"min.{name}"), add.get(f"max.{name}")
        if not bounded(least, most) or (isinstance(most, str) and len(most) >= _CUT):
            continue
        if isinstance(most, dt.datetime):
            most += _MILLISECOND
        low[name], high[name] = statistic(least), statistic(most)
    told: dict[str, object] = {"numRecords": add["num_records"]}
    if columns:
        told |= {"minValues": low, "maxValues": high, "nullCount": null}
    return json.dumps(told, allow_nan=False)
