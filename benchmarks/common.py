"""What the benchmarks share: a process for each run, medians, rows of a table, years of flights.

Each benchmark starts itself again for every run, with ``--run ROLE``, so that nothing is warm
that would be cold for a user. Roles alternate, so that a busy machine is busy for all of them.
Wall time is that of the part which counts; start-up is what else the process took.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil  # type: ignore[import-untyped, unused-ignore]

    from lakehouse.build import Session
    from lakehouse.lake import Lake
    from lakehouse.sample import Delivery

__all__ = [
    "ROOT",
    "Run",
    "Target",
    "alternate",
    "child",
    "compare",
    "connect",
    "lake_at",
    "land",
    "measure",
    "measure_tree",
    "median",
    "parser",
    "row",
    "scratch",
    "session_of",
    "spark_here",
    "warm",
]

ROOT = Path(__file__).parents[1]
_YEAR = 2013
_MARK = "measured: "


@dataclass(frozen=True)
class Run:
    """One measured run.

    Attributes:
        wall: Seconds of the part that counts.
        cpu: Its CPU seconds, of all threads.
        memory_mb: The most that the process held, start-up included.
        told: What else it reports.
        process_wall: Seconds of the whole process, start-up included.
        process_cpu: Its CPU seconds.
    """

    wall: float
    cpu: float
    memory_mb: float
    told: Mapping[str, float] = field(default_factory=dict)
    process_wall: float = 0.0
    process_cpu: float = 0.0

    def __str__(self) -> str:
        told = "".join(f", {name} {value:g}" for name, value in self.told.items())
        return (
            f"{self.wall:.2f} s wall, {self.cpu:.2f} s CPU (whole process {self.process_wall:.2f} "
            f"and {self.process_cpu:.2f}), {self.memory_mb:,.0f} MB{told}"
        )


# --- in the process that is measured -----------------------------------------------------------


def measure(work: Callable[[], Mapping[str, float] | None]) -> None:
    """Run the part that counts and tell the parent what it took."""
    began, before = time.perf_counter(), time.process_time()
    told = work()
    wall, cpu = time.perf_counter() - began, time.process_time() - before
    print(_MARK + json.dumps(asdict(Run(wall, cpu, _peak_mb(), told or {}))))


def _peak_mb() -> float:
    status = Path("/proc/self/status")
    if status.exists():
        # What getrusage tells on Linux includes the parent's, from before this program began.
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        assert found is not None
        return int(found[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


def measure_tree(work: Callable[[], Mapping[str, float] | None]) -> None:
    """Like :func:`measure`, of this process and all below it: a JVM, workers.

    Memory is the sum of what they hold resident, looked at ten times a second: pages that
    forked workers share count for each.
    """
    ended, most = threading.Event(), [_resident()]

    def watch() -> None:
        while not ended.wait(0.1):
            most[0] = max(most[0], _resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        began, before = time.perf_counter(), _used()
        told = work()
        wall, cpu = time.perf_counter() - began, _used() - before
    finally:
        ended.set()
        watcher.join()
    print(_MARK + json.dumps(asdict(Run(wall, cpu, most[0] / 1024**2, told or {}))))


def _resident() -> float:
    return _sum(lambda process: float(process.memory_info().rss))


def _used() -> float:
    # The seconds of a process that has ended are with its parent.
    return _sum(lambda process: float(sum(process.cpu_times()[:4])))


def _sum(number: Callable[[psutil.Process], float]) -> float:
    """A number of this process and of each that lives below it."""
    import psutil

    me, found = psutil.Process(), 0.0
    for one in (me, *me.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += number(one)
    return found


def warm() -> None:
    """Import what a build needs: start-up, not work."""
    import deltalake  # noqa: F401
    import duckdb  # noqa: F401
    import pyarrow.dataset
    import pyarrow.parquet  # noqa: F401

    import lakehouse.build  # noqa: F401


def lake_at(folder: Path, domains: Path = ROOT / "jobs", landing: Path | None = None) -> Lake:
    """The lake below a folder."""
    from lakehouse import settings
    from lakehouse.lake import open_lake

    return open_lake(
        settings.load(
            state=folder / "state",
            uri=(folder / "lake").as_uri(),
            landing=(landing or folder / "landing").as_uri(),
            domains=domains,
        )
    )


def session_of(lake: Lake, engine: str = "dask") -> Session:
    """A run over its only domain, its engine started: Dask's workers, or a JVM."""
    from lakehouse.build import Session

    session = Session(lake, lake.domain(None), engine=engine)
    running = session.engine_for(engine)
    if engine == "spark":
        running.session.sql("SELECT 1").collect()  # type: ignore[attr-defined]
    else:
        _ = running.client  # type: ignore[attr-defined]
    return session


def spark_here() -> None:
    """Let Spark run on the cores of this machine, with the project's archives."""
    os.environ.setdefault("LAKE_SPARK_MASTER", f"local[{os.cpu_count()}]")
    os.environ.setdefault("LAKE_SPARK_JARS", str(ROOT / ".lake" / "jars"))


def connect(spill: Path, memory: str) -> object:
    """The peer's DuckDB: every core, the same macros, room to spill."""
    import duckdb

    from lakehouse import sql

    spill.mkdir(parents=True, exist_ok=True)
    con = duckdb.connect(
        config={
            "threads": os.cpu_count() or 1,
            "memory_limit": memory,
            "temp_directory": str(spill),
        }
    )
    for statement in (*sql.MACROS, "SET enable_progress_bar = false"):
        con.execute(statement)
    return con


# --- in the process that starts the others -----------------------------------------------------


def parser(description: str | None, roles: Sequence[str], rounds: int) -> argparse.ArgumentParser:
    """The arguments that all benchmarks have."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--rounds", type=int, default=rounds, help="runs of each role")
    made.add_argument("--scratch", type=Path, help="where to work; a temporary folder if not said")
    made.add_argument("--run", choices=roles, help=argparse.SUPPRESS)
    made.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return made


def scratch(asked: argparse.Namespace) -> tempfile.TemporaryDirectory[str]:
    """A folder to work in, removed at the end."""
    return tempfile.TemporaryDirectory(prefix="lake-benchmark-", dir=asked.scratch)


def child(module: str, role: str, folder: Path, *arguments: str) -> Run:
    """One run in a process of its own, told as it ends."""
    command = [sys.executable, "-m", module, "--run", role, "--folder", str(folder), *arguments]
    began, before = time.perf_counter(), _children()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    wall, cpu = time.perf_counter() - began, _children() - before
    line = next(x for x in done.stdout.splitlines() if x.startswith(_MARK))
    run = Run(**json.loads(line.removeprefix(_MARK)) | {"process_wall": wall, "process_cpu": cpu})
    print(f"{role}: {run}", flush=True)
    return run


def alternate(
    module: str, roles: Sequence[str], folder: Path, rounds: int
) -> Mapping[str, list[Run]]:
    """Role → its runs: in each round every role once, so that a slower minute is everybody's."""
    found: dict[str, list[Run]] = {role: [] for role in roles}
    for _ in range(rounds):
        for role, runs in found.items():
            runs.append(child(module, role, folder))
    return found


def compare(
    measured: str, size: str, ours: Sequence[Run], peer: Sequence[Run], most: float
) -> None:
    """Print the rows of CPU and wall time.

    Raises:
        AssertionError: They came to other results.
    """
    assert ours[0].told == peer[0].told, f"{ours[0].told} by ours, {peer[0].told} by the peer"
    for what, unit in (("cpu", "s CPU"), ("wall", "s wall")):
        a, b = median(ours, what), median(peer, what)
        row(f"{measured}, {unit}", size, f"{a:.2f}", f"{b:.2f}", a / b, Target(most))


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def median(runs: Sequence[Run], what: str) -> float:
    """The median of one of their numbers."""
    return float(statistics.median(getattr(run, what) for run in runs))


@dataclass(frozen=True)
class Target:
    """What a number is to be at most.

    Attributes:
        most: The bound.
        value: What is held against it; None for the ratio.
        unit: Its unit.
    """

    most: float
    value: float | None = None
    unit: str = ""


def row(
    measured: str, size: str, ours: str, peer: str, ratio: float, target: Target | None
) -> None:
    """Print a row for the table of docs/performance.md; the columns' names stand there."""
    told = "–"
    if target is not None:
        value = ratio if target.value is None else target.value
        told = f"≤{target.most:.3g}{f' {target.unit}' if target.unit else ''}, "
        told += "met" if value <= target.most else "missed"
    cells = (measured, size, ours, peer, f"{ratio:.3g}", told)
    print(f"| {' | '.join(cells)} |", flush=True)


# --- flights of several years ------------------------------------------------------------------


@dataclass(frozen=True)
class _Moved:
    path: str
    content: bytes = field(repr=False)
    month: str | None


def land(lake: Lake, times: int) -> None:
    """Land the sample of flights; those of 2013 also as flights of the years after it.

    Weather and the dimensions stay those of 2013.

    Args:
        lake: Where.
        times: How many years of flights.
    """
    from lakehouse import sample

    def files() -> Iterator[Delivery]:
        for one in sample.deliveries(lake.domain("flights").path):
            yield one
            if one.path.startswith("flights/"):
                yield from (_moved(one, _YEAR + years) for years in range(1, times))

    sample.land(lake.landing_of("flights"), files())


def _moved(one: Delivery, year: int) -> Delivery:
    zipped = one.path.endswith(".gz")
    lines = gzip.decompress(one.content) if zipped else one.content
    # The year's column, and the hour in UTC, which may be of the year after.
    lines = re.sub(rb"^%d," % _YEAR, b"%d," % year, lines, flags=re.MULTILINE)
    for old, new in ((_YEAR + 1, year + 1), (_YEAR, year)):
        lines = lines.replace(b",%d-" % old, b",%d-" % new)
    content = gzip.compress(lines, 1, mtime=0) if zipped else lines
    assert one.month is not None
    return _Moved(
        one.path.replace(str(_YEAR), str(year)), content, one.month.replace(str(_YEAR), str(year))
    )
