"""Full ELT of the flights, landing files to gold, against a hand-written DuckDB + deltalake script.

    python -m benchmarks.elt [--rounds 3]

Both do the same work in one process on the same threads: the same files, SQL, codec (zstd) and
Delta tables by month. Ours adds plan, audit, quarantine, statistics, row law and ledger. Wall time
runs from the landed files to the last commit; start-up (imports, the Dask workers) and Data Docs
are apart. Printed are medians and the ratio; a ratio of 1 is the peer's time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def ours(folder: Path) -> float:
    """Build the whole domain; seconds."""
    from lakehouse import build as builds
    from lakehouse import settings
    from lakehouse.lake import open_lake

    made = settings.load(
        state=folder / "state", uri=(folder / "lake").as_uri(), domains=ROOT / "jobs"
    )
    lake = open_lake(made)
    session = builds.Session(lake, lake.domain("flights"))
    _ = session.engine_for("dask").client  # type: ignore[attr-defined]
    began = time.perf_counter()
    done = builds.build(session)
    seconds = time.perf_counter() - began
    assert not done.blocked
    return seconds


def peer(folder: Path) -> float:
    """The same tables as a person would write them; seconds."""
    import duckdb
    from deltalake import write_deltalake

    from lakehouse import catalog, sql

    domain = catalog.load(ROOT / "jobs" / "flights")
    landing = folder / "lake" / "landing" / "flights"
    con = duckdb.connect(config={"threads": os.cpu_count() or 1, "memory_limit": "4GB"})
    for statement in (*sql.MACROS, "SET enable_progress_bar = false"):
        con.execute(statement)
    for layer in catalog.LAYERS:
        con.execute(f"CREATE SCHEMA {layer}")
    began = time.perf_counter()
    for table in domain.order:
        name, part = table.contract.name, table.contract.lake.partition
        if table.query is None:
            source = table.contract.lake.source
            assert source is not None
            path = str(landing / source.path)
            reader = {
                "csv": f"read_csv('{path}', all_varchar=true, header=true, filename=true, "
                "nullstr=['', 'NA'])",
                "jsonl": f"read_json('{path}', filename=true)",
                "parquet": f"read_parquet('{path}', filename=true)",
            }[source.format]
            landed = [c for c in table.contract.types if not c.startswith("_")]
            columns = ", ".join(
                f"({part.expression}) AS {c}"
                if part and c == part.column
                else f"CAST({c} AS {table.contract.types[c]}) AS {c}"
                for c in landed
            )
            query = (
                f"SELECT {columns}, md5(filename)[:10] AS _batch, filename AS _source_file, "
                "row_number() OVER () AS _row, TIMESTAMPTZ '2014-01-01 00:00:00+00' AS _landed_at "
                f"FROM {reader}"
            )
        else:
            query = sql.select(table.query, table.contract.types)
        con.execute(f"CREATE TABLE {table.short} AS {query}")
        write_deltalake(
            str(folder / "peer" / table.layer / name),
            con.sql(f"FROM {table.short}").to_arrow_reader(250_000),
            partition_by=[part.column] if part else None,
        )
    return time.perf_counter() - began


def _once(who: str) -> tuple[float, float]:
    """(wall seconds, CPU seconds of the process) of one run in a process of its own."""
    folder = Path(tempfile.mkdtemp(prefix="lake-benchmark-"))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.elt", "--run", who, "--folder", str(folder)],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        wall, cpu = map(float, done.stdout.split()[-2:])
        return wall, cpu
    finally:
        shutil.rmtree(folder)


def _run(who: str, folder: Path) -> None:
    from lakehouse import sample, settings
    from lakehouse.lake import open_lake

    made = settings.load(uri=(folder / "lake").as_uri(), domains=ROOT / "jobs")
    lake = open_lake(made)
    sample.land(lake.landing_of("flights"), sample.deliveries(lake.domain("flights").path))
    before = time.process_time()
    wall = {"ours": ours, "peer": peer}[who](folder)
    print(wall, time.process_time() - before)


def main() -> None:
    """Alternate ours and the peer, so that a busy machine is busy for both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", choices=["ours", "peer"])
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    if asked.run:
        _run(asked.run, asked.folder)
        return
    found: dict[str, list[tuple[float, float]]] = {"ours": [], "peer": []}
    for _ in range(asked.rounds):
        for who, runs in found.items():
            runs.append(_once(who))
            print(f"{who}: {runs[-1][0]:.1f} s wall, {runs[-1][1]:.1f} s CPU", flush=True)
    for i, what in enumerate(("wall", "CPU")):
        mine, theirs = (statistics.median(run[i] for run in found[w]) for w in ("ours", "peer"))
        print(f"{what}: ours {mine:.1f} s, peer {theirs:.1f} s, ratio {mine / theirs:.2f}")


if __name__ == "__main__":
    main()
