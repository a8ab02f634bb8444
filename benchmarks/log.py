"""The log of a table with many files: its bytes, and what reading and writing it takes.

    python -m benchmarks.log [--files 10000,100000]

A table by day is published by the library's own transactions, 20,000 files each, with statistics
of a key and a date; no data is written, since nothing here reads any. Then the log is summed up,
the table is listed, and one file of it is replaced. The peer opens the table with deltalake and
lists its files. Each size is a process of its own; memory is the most it held.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import common

if TYPE_CHECKING:
    from lakehouse.engines.base import StagedFile

_MODULE = "benchmarks.log"
_FIRST = dt.date(1990, 1, 1)
_TYPES = {"reading_id": "BIGINT", "read_on": "DATE", "reading": "DOUBLE", "day": "DATE"}
_HEAD = ("files", "what", "bytes each", "s CPU", "s wall")


def write(folder: Path, files: int) -> None:
    """Publish, sum up, list, replace; tell what each took."""
    common.warm()
    common.measure(lambda: _told(folder, files))


def _told(folder: Path, files: int) -> dict[str, float]:
    from deltalake import DeltaTable

    from lakehouse import snapshot as snapshots
    from lakehouse.snapshot import File
    from lakehouse.storage import Storage
    from lakehouse.transaction import MAX_ACTIONS, Change, Form, Transaction

    place = Storage(folder.as_uri())
    told: dict[str, float] = {}
    log = folder / "_delta_log"

    def publish(first: int, last: int, removes: Sequence[File] = ()) -> None:
        adds = [_file(n, len(removes)) for n in range(first, last)]
        transaction = Transaction("days", place, Form(_TYPES, "day"), "run", "dask")
        transaction.commit(lambda now: Change(adds, removes))

    for first in range(0, files, MAX_ACTIONS):
        with _timed(told, "a commit of many"):
            publish(first, min(files, first + MAX_ACTIONS))
    told["bytes a commit of many"] = _bytes(log.glob("*.json")) / files
    with _timed(told, "checkpoint"):
        DeltaTable(str(folder)).create_checkpoint()
    told["bytes checkpoint"] = _bytes(log.glob("*.checkpoint*.parquet")) / files
    with _timed(told, "list, as every plan does"):
        snapshot = snapshots.read(place, "days")
    assert len(snapshot.files) == files
    with _timed(told, "list, by deltalake alone"):
        DeltaTable(str(folder)).file_uris()
    before = _bytes(log.glob("*.json"))
    with _timed(told, "a commit that replaces one"):
        publish(0, 1, snapshot.files[:1])
    told["bytes a commit that replaces one"] = _bytes(log.glob("*.json")) - before
    return told


@contextmanager
def _timed(told: dict[str, float], what: str) -> Iterator[None]:
    """The last of its kind counts."""
    began, before = time.perf_counter(), time.process_time()
    yield
    told[f"cpu {what}"] = time.process_time() - before
    told[f"wall {what}"] = time.perf_counter() - began


def _bytes(files: Iterator[Path]) -> float:
    return float(sum(file.stat().st_size for file in files))


def _file(number: int, turn: int) -> StagedFile:
    from lakehouse.engines.base import StagedFile

    day = _FIRST + dt.timedelta(days=number)
    bounds = {"reading_id": number * 1000, "read_on": str(day)}
    stats = {"numRecords": 1000, "minValues": bounds, "maxValues": bounds}
    stats["nullCount"] = dict.fromkeys(bounds, 0)
    build = "-".join(f"{number:05}{part}{turn}abcd" for part in "0123")
    path = f"day={day}/build={build}/part-{number:032x}.parquet"
    return StagedFile(path, 10_000_000, 1000, str(day), json.dumps(stats))


def main() -> None:
    """A process for each size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", default="10000,100000", help="in the table")
    parser.add_argument("--run", choices=["write"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        write(asked.folder, int(asked.files))
        return
    runs: dict[int, common.Run] = {}
    for files in map(int, asked.files.split(",")):
        with tempfile.TemporaryDirectory(prefix="lake-benchmark-") as folder:
            runs[files] = common.child(_MODULE, "write", Path(folder), "--files", str(files))
    print(f"\n| {' | '.join(_HEAD)} |\n|{' --- |' * len(_HEAD)}")
    for files, run in runs.items():
        _tell(files, run)


def _tell(files: int, run: common.Run) -> None:
    for name, cpu in run.told.items():
        if name.startswith("cpu "):
            what = name.removeprefix("cpu ")
            size = run.told.get(f"bytes {what}")
            cells = (f"{files:,}", what, f"{size:,.0f}" if size else "–")
            print(f"| {' | '.join(cells)} | {cpu:.2f} | {run.told[f'wall {what}']:.2f} |")
    print(f"| {files:,} | memory of all this, MB | {run.memory_mb:,.0f} | | |")


if __name__ == "__main__":
    main()
