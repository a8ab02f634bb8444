"""Lines and orders of TPC-H from landed files to gold, on Dask and on Spark, against peers.

    python -m benchmarks.lineitem [--scale 1] [--rounds 1] [--roles dask,duckdb,…] [--keep FOLDER]

Six tables by month: bronze and silver of ``lineitem`` and ``orders``, what suppliers shipped, and
a join with an aggregate. Ours is built by each engine; the peers (``benchmarks.peers``) are the
same by hand: DuckDB with deltalake in one process, PySpark to Delta with our session's settings,
dask.dataframe to Parquet on a process for each core. All have two cores, the same files, columns,
months and codec, and must come to the same sums. What counts runs from the landed files to the
last commit; start-up (imports, JVM, workers) is apart. CPU and memory are those of the process
and all below it.

After each full build of ours one month of 84 is delivered again with a row fewer (``-change``),
after a run with nothing to do (``-nothing``). Another month was delivered again in the same
process before, as part of its start-up: what that took is told as ``first``. On Spark it is many
times the second, for the JVM compiles what it runs while it runs it.

With ``--keep`` the landed files and the runs stay in a folder: a benchmark that was stopped, or
is asked for more rounds, goes on from there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import common, peers, tpch

if TYPE_CHECKING:
    from lakehouse.build import Session

_MODULE = "benchmarks.lineitem"
_PEERS = ("duckdb", "pyspark", "dataframe")
_ENGINES = ("dask", "spark")
_NAMES = {
    "dask": "Dask",
    "spark": "Spark",
    "duckdb": "DuckDB + deltalake",
    "pyspark": "PySpark",
    "dataframe": "dask.dataframe",
}


@dataclass(frozen=True)
class _Ratio:
    ours: str
    peer: str
    most: float | None


#: Where the target is "n times as fast", the bound is 1/n.
_RATIOS = (
    _Ratio("spark", "pyspark", 1.1),
    _Ratio("dask", "dataframe", 1 / 2.4),
    _Ratio("dask", "pyspark", 1 / 2.5),
    _Ratio("dask", "duckdb", 1.15),
    _Ratio("spark", "dask", None),
)


# --- in the process that is measured -------------------------------------------------------------


def ours(folder: Path, landing: Path, engine: str) -> None:
    """Build whatever is not as it should be."""
    common.warm()
    lake = common.lake_at(folder, tpch.DOMAINS, landing)
    session = common.session_of(lake, engine)
    common.measure_tree(lambda: _built(session))


def change(folder: Path, landing: Path, engine: str) -> None:
    """Build a month that comes again, after another one that is part of the start-up."""
    common.warm()
    lake = common.lake_at(folder, tpch.DOMAINS, landing)
    with tpch.one_row_fewer(landing, "1995-06"):
        session = common.session_of(lake, engine)
        began = time.perf_counter()
        _built(session)
        first = time.perf_counter() - began
        session.close()
        with tpch.one_row_fewer(landing, "1995-09"):
            session = common.session_of(lake, engine)
            common.measure_tree(lambda: {"first": first, **_built(session)})


def _built(session: Session) -> dict[str, float]:
    from lakehouse import build as builds

    done = builds.build(session)
    assert not done.blocked, done.blocked
    seconds = {f"s {table.table.split('.', 1)[1]}": table.seconds for table in done.changed}
    return {"partitions": sum(table.partitions for table in done.changed), **seconds}


def peer(folder: Path, landing: Path, role: str, memory: str) -> None:
    """The same tables by hand."""
    made = {
        "duckdb": lambda: peers.duckdb(landing, folder, memory),
        "pyspark": lambda: peers.pyspark(landing, folder),
        "dataframe": lambda: peers.dataframe(landing, folder),
    }
    work = made[role]()

    def timed() -> None:
        work()

    common.measure_tree(timed)


# --- in the process that starts the others -------------------------------------------------------


@dataclass(frozen=True)
class _Bench:
    """Where it works, and what it has found.

    Attributes:
        folder: Landed files, the lake of the moment, ``runs.jsonl``.
        scale: TPC-H's scale.
        memory: DuckDB's memory before it spills.
    """

    folder: Path
    scale: float
    memory: str

    @property
    def landing(self) -> Path:
        return self.folder / f"scale-{self.scale:g}"

    def run(self, role: str, round_: int) -> None:
        """One role, unless this round of it is known: for an engine full, nothing, change."""
        parts = [f"{role}{more}" for more in ("", "-nothing", "-change")]
        parts = parts if role in _ENGINES else [role]
        if all(len(self.found(part)) > round_ for part in parts):
            return
        place = self.folder / role
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        made = {}
        for part in parts:
            made[part] = self._child(part, place)
            if part == role:
                self._check(role, place)
        # Known only as a whole: a run is never half there.
        with (self.folder / "runs.jsonl").open("a", encoding="utf-8") as file:
            for part, run in made.items():
                row = {"role": part, "scale": self.scale, "run": asdict(run)}
                file.write(json.dumps(row) + "\n")
        shutil.rmtree(place)

    def _child(self, part: str, place: Path) -> common.Run:
        run = common.child(
            _MODULE, part, place, "--landing", str(self.landing), "--memory", self.memory
        )
        if part.endswith("-nothing"):
            assert not run.told["partitions"]
        if part.endswith("-change"):
            # The month in both layers of lines, and in both tables of gold.
            assert run.told["partitions"] == 4
        return run

    def _check(self, role: str, place: Path) -> None:
        """That a role has come to the sums of all others."""
        tables = ("gold.revenue", "gold.late_shipments")
        live = _live if role in _ENGINES else peers.written
        found = tpch.summary({table: live(place, table) for table in tables})
        known = self.landing / "summary.json"
        if not known.exists():
            known.write_text(json.dumps(found), encoding="utf-8")
        expected = json.loads(known.read_text(encoding="utf-8"))
        close = [abs(a - b) <= 1e-6 * abs(b) for a, b in zip(found, expected, strict=True)]
        assert all(close), f"{role} comes to {found}, the others to {expected}"

    def found(self, role: str) -> list[common.Run]:
        """The runs of a role."""
        file = self.folder / "runs.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        rows = [json.loads(line) for line in lines]
        mine = [row for row in rows if (row["role"], row["scale"]) == (role, self.scale)]
        return [common.Run(**row["run"]) for row in mine]


def _live(folder: Path, table: str) -> list[str]:
    from deltalake import DeltaTable

    return list(DeltaTable(str(folder / "lake" / tpch.NAME / table.replace(".", "/"))).file_uris())


def main() -> None:
    """Alternate the roles."""
    roles = [*_PEERS, *(f"{e}{m}" for e in _ENGINES for m in ("", "-nothing", "-change"))]
    parser = common.parser(__doc__, roles, rounds=1)
    parser.add_argument("--scale", type=float, default=1, help="1 is six million lines")
    parser.add_argument("--roles", default=",".join([*_ENGINES, *_PEERS]), help="some of them")
    parser.add_argument("--memory", default="4GB", help="DuckDB's memory before it spills")
    parser.add_argument("--keep", type=Path, help="a folder to go on in")
    parser.add_argument("--landing", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    common.spark_here()
    if asked.run in _PEERS:
        peer(asked.folder, asked.landing, asked.run, asked.memory)
    elif asked.run:
        engine, _, part = asked.run.partition("-")
        (change if part == "change" else ours)(asked.folder, asked.landing, engine)
    else:
        with _place(asked) as folder:
            bench = _Bench(folder, asked.scale, asked.memory)
            _compare(bench, asked.roles.split(","), asked.rounds)


@contextmanager
def _place(asked: argparse.Namespace) -> Iterator[Path]:
    if asked.keep is not None:
        asked.keep.mkdir(parents=True, exist_ok=True)
        yield asked.keep.resolve()
    else:
        with common.scratch(asked) as folder:
            yield Path(folder)


def _compare(bench: _Bench, roles: Sequence[str], rounds: int) -> None:
    tpch.land(bench.landing, bench.scale)
    for round_ in range(rounds):
        for role in roles:
            bench.run(role, round_)
    found = {role: bench.found(role) for role in (*_ENGINES, *_PEERS) if bench.found(role)}
    size = f"{bench.scale:g} × 6,000,000 lines"
    for ratio in _RATIOS:
        if ratio.ours in found and ratio.peer in found:
            _tell(ratio, found, size)
    for engine in _ENGINES:
        if engine in found:
            _tell_change(bench, engine, size)


def _tell(ratio: _Ratio, found: Mapping[str, Sequence[common.Run]], size: str) -> None:
    named = f"{_NAMES[ratio.ours]} against {_NAMES[ratio.peer]}"
    for what, unit in (("cpu", "s CPU"), ("wall", "s wall"), ("memory_mb", "MB peak")):
        mine, theirs = (common.median(found[role], what) for role in (ratio.ours, ratio.peer))
        target = common.Target(ratio.most) if ratio.most and what != "memory_mb" else None
        cells = (f"{named}, {unit}", size, f"{mine:,.1f}", f"{theirs:,.1f}")
        common.row(*cells, mine / theirs, target)


def _tell_change(bench: _Bench, engine: str, size: str) -> None:
    """One month of 84; the target allows for the floor being 1/84."""
    for what, unit in (("cpu", "s CPU"), ("wall", "s wall")):
        full, nothing, change = (
            common.median(bench.found(f"{engine}{more}"), what)
            for more in ("", "-nothing", "-change")
        )
        common.row(
            f"{_NAMES[engine]}: one month of {tpch.MONTHS} changed, {unit}",
            size,
            f"{change:.2f} − {nothing:.2f}",
            f"{full:.2f} − {nothing:.2f}",
            (change - nothing) / (full - nothing),
            common.Target(0.03),
        )


if __name__ == "__main__":
    main()
