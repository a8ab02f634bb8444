"""A table whose builds lie in many small files, as Spark writes them; and a lake of another time."""

from __future__ import annotations

import datetime as dt
import json
import os
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from shop import Shop

from lakehouse import query
from lakehouse import snapshot as snapshots
from lakehouse.engines.base import StagedFile
from lakehouse.engines.writer import quarantine_of
from lakehouse.rewriting import statistics
from lakehouse.snapshot import Snapshot
from lakehouse.storage import Storage
from lakehouse.transaction import Change, Transaction

__all__ = ["age", "place_of", "rows_at", "scatter", "stats_of", "versions_of"]


def place_of(shop: Shop, name: str) -> Storage:
    lake = shop.lake()
    if name.endswith("__quarantine"):
        return quarantine_of(place_of(shop, name.removesuffix("__quarantine")))
    if name.startswith("ops."):
        return lake.storage.at("ops", name.removeprefix("ops."))
    return lake.place(lake.domain("shop").table(name))


def scatter(shop: Shop, name: str, parts: int = 3) -> None:
    """Cut each live file of a table into parts of the same build, in their order."""
    place = place_of(shop, name)
    filesystem = place.arrow()
    now = snapshots.read(place, name)
    known = statistics(place, [f.path for f in now.files])
    parted: dict[str, list[StagedFile]] = {}
    # A builder may have replaced some between the two readings of the log.
    for file in (f for f in now.files if f.path in known):
        rows = pq.read_table(f"{place.root}/{file.path}", filesystem=filesystem, partitioning=None)
        step = max(1, -(-rows.num_rows // parts))
        told = known[file.path]
        for i, start in enumerate(range(0, max(rows.num_rows, 1), step)):
            part = rows.slice(start, step)
            path = f"{file.path.rpartition('/')[0]}/part-{i:05}-{uuid.uuid4().hex}.parquet"
            pq.write_table(part, f"{place.root}/{path}", filesystem=filesystem)
            size = filesystem.get_file_info(f"{place.root}/{path}").size
            stats = stats_of(part, list(told.nulls), list(told.low))
            made = StagedFile(path, size, part.num_rows, file.partition, json.dumps(stats))
            parted.setdefault(file.path, []).append(made)

    def change(now: Snapshot) -> Change:
        old = [f for f in now.files if f.path in parted]
        modified = {part.path: f.added for f in old for part in parted[f.path]}
        new = [part for f in old for part in parted[f.path]]
        return Change(new, old, data_change=False, modified=modified)

    Transaction(name, place, None, "scatter", "test").commit(change)


def stats_of(rows: pa.Table, counted: list[str], bounded: list[str]) -> dict[str, Any]:
    """The statistics of some rows, in the log's form."""
    if not rows.num_rows or not counted:
        return {"numRecords": rows.num_rows}
    ends = {c: pc.min_max(rows[c]).as_py() for c in bounded if rows[c].null_count < rows.num_rows}

    def told(value: Any) -> Any:
        return value.isoformat() if isinstance(value, dt.date) else value

    return {
        "numRecords": rows.num_rows,
        "minValues": {c: told(e["min"]) for c, e in ends.items()},
        "maxValues": {c: told(e["max"]) for c, e in ends.items()},
        "nullCount": {c: rows[c].null_count for c in counted},
    }


def age(root: Path, days: float) -> None:
    """Make every file of a lake older, as if it had been left alone for so long."""
    for file in root.rglob("*"):
        if file.is_file():
            then = file.stat().st_mtime - days * 86400
            os.utime(file, (then, then))


def rows_at(shop: Shop, name: str, version: int) -> list[tuple[Any, ...]]:
    """The rows that are read at one version, sorted."""
    full = shop.lake().domain("shop").table(name).name
    rows = query.run(shop.lake(), f"FROM {name}", query.Cut({full: version})).to_pylist()
    return sorted((tuple(row.values()) for row in rows), key=repr)


def versions_of(shop: Shop, name: str, since: int = 0) -> dict[int, list[tuple[Any, ...]]]:
    """Version → the rows that are read at it, up to the newest."""
    latest = snapshots.read(place_of(shop, name), name).version
    return {version: rows_at(shop, name, version) for version in range(since, latest + 1)}
