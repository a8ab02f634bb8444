"""One month of flights delivered again, against the full build in the same run.

    python -m benchmarks.incremental [--rounds 3]                one month of twelve
    python -m benchmarks.incremental --times 10 [--rounds 1]     one of 120 partitions

A middle month comes again with its last flight missing: bronze and silver of that month are
stale, and gold of it and of the month after, whose features look back 30 days. From the change
and from the full build a run with nothing to do is subtracted; what is left of the change is
given as a share of what is left of the full build. All three start the Dask workers first.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
from pathlib import Path

from benchmarks import common

_MODULE = "benchmarks.incremental"
_ROLES = ("full", "nothing", "change")


def build(folder: Path) -> None:
    """Build whatever is not as it should be."""
    from lakehouse import build as builds

    common.warm()
    session = common.session_of(common.lake_at(folder))

    def work() -> dict[str, float]:
        done = builds.build(session)
        assert not done.blocked, done.blocked
        return {"partitions": sum(table.partitions for table in done.tables)}

    common.measure(work)


def drop_flight(landing: Path, year: int) -> None:
    """Deliver June of a year again without its last flight."""
    file = landing / "flights" / "flights" / f"flights_{year}-06.csv.gz"
    lines = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    file.write_bytes(gzip.compress(b"".join(lines[:-1]), mtime=0))


def main() -> None:
    """Full, nothing, change: in turn, each round on a lake of its own."""
    parser = common.parser(__doc__, _ROLES, rounds=3)
    parser.add_argument("--times", type=int, default=1, help="years of flights")
    asked = parser.parse_args()
    if asked.run:
        build(asked.folder)
        return
    with common.scratch(asked) as folder:
        _compare(Path(folder), asked)


def _compare(folder: Path, asked: argparse.Namespace) -> None:
    found: dict[str, list[common.Run]] = {role: [] for role in _ROLES}
    common.land(common.lake_at(folder), asked.times)
    for _ in range(asked.rounds):
        for role, runs in found.items():
            if role == "change":
                drop_flight(folder / "landing", 2013 + asked.times // 2)
            runs.append(common.child(_MODULE, role, folder))
        assert not found["nothing"][-1].told["partitions"]
        assert found["change"][-1].told["partitions"] >= 4
        shutil.rmtree(folder / "lake")
    months = 12 * asked.times
    for what, unit in (("cpu", "s CPU"), ("wall", "s wall")):
        full, nothing, change = (common.median(found[role], what) for role in _ROLES)
        common.row(
            f"one month of {months} changed, {unit}",
            f"{asked.times} × 337,000 flights",
            f"{change:.2f} − {nothing:.2f}",
            f"{full:.2f} − {nothing:.2f}",
            (change - nothing) / (full - nothing),
            common.Target(1 / 6 if months <= 12 else 0.02),
        )


if __name__ == "__main__":
    main()
