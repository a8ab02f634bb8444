"""Requests to S3, counted at a proxy in front of it: by what is done, and by what for.

    python -m benchmarks.requests [--months 24,48] [--touched 1,8,2,4] [--engine dask]

The shop of the tests on the embedded server: orders by month in bronze and silver, and a gold
table with a look back of a week, a file for each month. Some of the months are delivered again:
the month itself in all three tables, and the month after it in gold. Then a plan, a build, and a
build with nothing to do are counted, each turn after fresh checkpoints, for until the next one
each commit adds to what is read of a log. What is printed last was fitted to the builds by least
squares: what a build costs whatever is touched, what each touched month adds, and each earlier
run, of which the ledger holds a file until ``lake maintain`` makes them one.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import common

sys.path.insert(0, str(common.ROOT / "tests"))

if TYPE_CHECKING:
    from counting import Counted, Requests  # type: ignore[import-not-found, unused-ignore]

_ACTS = ("plan", "build", "nothing")
_METHODS = ("GET", "HEAD", "LIST", "PUT", "POST", "DELETE")


@dataclass(frozen=True)
class _Counts:
    """What was asked of the store after some months had been delivered again."""

    months: int
    touched: int
    runs: int
    plan: Requests
    build: Requests
    nothing: Requests


def main() -> None:
    """Start a server, count, stop it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--months", default="24,48", help="in a table")
    parser.add_argument("--touched", default="1,8,2,4", help="of them delivered again")
    parser.add_argument("--rows", type=int, default=3, help="of each month")
    parser.add_argument("--engine", default="dask", choices=["dask", "spark"])
    asked = parser.parse_args()
    os.environ.setdefault("LAKE_SPARK_JARS", str(common.ROOT / ".lake" / "jars"))
    found = []
    _head("done", "months", "touched", "requests", *_METHODS)
    with tempfile.TemporaryDirectory(prefix="lake-benchmark-") as folder:
        for months in _numbers(asked.months):
            found += _count(Path(folder), months, _numbers(asked.touched), asked)
    _tell(found)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _count(
    folder: Path, months: int, touched: Sequence[int], asked: argparse.Namespace
) -> list[_Counts]:
    from counting import counted

    from lakehouse import stack

    state = folder / "stack" / ".lake"
    try:
        stack.up(state, ["s3"])
        server = stack.environment(state)
        os.environ.update(
            {k: v for k, v in server.items() if k.upper().startswith(("AWS_", "NO_"))}
        )
        with counted(folder / str(months), server, months, asked.rows) as there:
            there.shop.build(engine=asked.engine)
            return [_once(there, k, turn, asked.engine) for turn, k in enumerate(touched, 1)]
    finally:
        stack.down(state)


def _head(*names: str) -> None:
    print(f"\n| {' | '.join(names)} |\n|{' --- |' * len(names)}")


def _once(there: Counted, touched: int, turn: int, engine: str) -> _Counts:
    there.touch(touched, turn)
    there.sum_up()
    with there.counting() as plan:
        there.shop.plan()
    with there.counting() as build:
        done = there.shop.build(engine=engine)
    assert sum(table.partitions for table in done.changed) == 4 * touched
    with there.counting() as nothing:
        there.shop.build(engine=engine)
    found = _Counts(len(there.months), touched, turn, plan, build, nothing)
    for act in _ACTS:
        asked: Requests = getattr(found, act)
        cells = [act, len(there.months), touched, asked.total()]
        cells += [asked.by(method) for method in _METHODS]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
    return found


def _tell(found: Sequence[_Counts]) -> None:
    from counting import KINDS, fitted

    _head("a build's requests for", "months", "fixed", "a touched month", "an earlier run")
    for months in dict.fromkeys(one.months for one in found):
        mine = [one for one in found if one.months == months]
        for kind in (*KINDS, ""):
            kinds = [kind] if kind else []
            points = [((one.touched, one.runs), one.build.of(*kinds)) for one in mine]
            fixed, each, run = fitted(points)
            # The first of the turns had one run before it.
            cells = (kind or "all", months, f"{fixed:.1f}", f"{each:.1f}", f"{run:.1f}")
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
