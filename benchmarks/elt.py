"""Full ELT of the flights, landing files to gold, against the same written by hand.

    python -m benchmarks.elt [--rounds 3] [--times 1] [--engine dask]

Ours on Dask is held against DuckDB with deltalake, ours on Spark against PySpark with delta-spark.
Both do the same work in one process on the same threads: the same files, SQL, codec (zstd) and
Delta tables by month. Ours adds plan, audit, quarantine, statistics, row law and ledger. What
counts runs from the landed files to the last commit; start-up (imports, the Dask workers, a JVM)
and Data Docs are apart. Printed are medians and the ratio; a ratio of 1 is the peer's time.
``--times 20`` copies the flights to the nineteen years after 2013 too: then the peak of memory
tells whether it follows the partition or the table. On Spark, CPU and memory are those of the
process and its JVM.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from benchmarks import common, peers

_MODULE = "benchmarks.elt"


def ours(folder: Path, landing: Path, engine: str) -> None:
    """Build the whole domain."""
    from lakehouse import build as builds

    common.warm()
    session = common.session_of(common.lake_at(folder, landing=landing), engine)

    def work() -> dict[str, float]:
        done = builds.build(session)
        assert not done.blocked, done.blocked
        return {"rows": sum(table.rows_out for table in done.tables)}

    measure = common.measure_tree if engine == "spark" else common.measure
    measure(work)


def pyspark(folder: Path, landing: Path) -> None:
    """The same tables as a person would write them for Spark."""
    lake = common.lake_at(folder, landing=landing)

    def landed(spark: Any, table: Any) -> Any:
        return _frame(spark, table.contract, landing / "flights")

    common.measure_tree(peers.on_spark(lake, lake.domain("flights"), folder / "peer", landed))


def _frame(spark: Any, contract: Any, landing: Path) -> Any:
    from pyspark.sql import functions as F  # noqa: N812

    from lakehouse import sql

    source, part, types = contract.lake.source, contract.lake.partition, contract.types
    columns = {
        name: f"CAST({name} AS {kind})" for name, kind in types.items() if not name.startswith("_")
    }
    read = spark.read.options(header=True, nullValue="NA")
    if source.format == "jsonl":
        read = read.schema(", ".join(f"{name} STRING" for name in columns))
    form = {"jsonl": "json"}.get(source.format, source.format)
    rows = read.format(form).load(str(landing / source.path))
    if part:
        columns[part.column] = part.expression
    made = {name: F.expr(sql.expression(text, types)) for name, text in columns.items()}
    made |= {
        "_batch": F.expr("substring(md5(_metadata.file_path), 1, 10)"),
        "_source_file": F.col("_metadata.file_path"),
        "_row": F.monotonically_increasing_id(),
        "_landed_at": F.col("_metadata.file_modification_time"),
    }
    return rows.select(*(made[name].alias(name) for name in types))


def peer(folder: Path, landing: Path, memory: str) -> None:
    """The same tables as a person would write them for one process."""
    from lakehouse import catalog

    common.warm()
    domain = catalog.load(common.ROOT / "jobs" / "flights")
    con: Any = common.connect(folder / "spill", memory)
    for layer in catalog.LAYERS:
        con.execute(f"CREATE SCHEMA {layer}")

    def work() -> dict[str, float]:
        rows = sum(_peer_table(con, table, folder, landing / "flights") for table in domain.order)
        return {"rows": rows}

    common.measure(work)


def _peer_table(con: Any, table: Any, folder: Path, landing: Path) -> int:
    from deltalake import WriterProperties, write_deltalake

    from lakehouse import sql

    part = table.contract.lake.partition
    query = (
        sql.select(table.query, table.contract.types)
        if table.query
        else _landed(table.contract, landing)
    )
    con.execute(f"CREATE TABLE {table.short} AS {query}")
    write_deltalake(
        str(folder / "peer" / table.layer / table.contract.name),
        con.sql(f"FROM {table.short}").to_arrow_reader(250_000),
        partition_by=[part.column] if part else None,
        writer_properties=WriterProperties(compression="ZSTD", compression_level=1),
    )
    return int(con.sql(f"SELECT count(*) FROM {table.short}").fetchall()[0][0])


def _landed(contract: Any, landing: Path) -> str:
    source, part = contract.lake.source, contract.lake.partition
    path = str(landing / source.path)
    reader = {
        "csv": f"read_csv('{path}', all_varchar=true, header=true, filename=true, "
        "nullstr=['', 'NA'])",
        "jsonl": f"read_json('{path}', filename=true)",
        "parquet": f"read_parquet('{path}', filename=true)",
    }[source.format]
    columns = ", ".join(
        f"({part.expression}) AS {name}"
        if part and name == part.column
        else f"CAST({name} AS {kind}) AS {name}"
        for name, kind in contract.types.items()
        if not name.startswith("_")
    )
    return (
        f"SELECT {columns}, md5(filename)[:10] AS _batch, filename AS _source_file, "
        "row_number() OVER () AS _row, TIMESTAMPTZ '2014-01-01 00:00:00+00' AS _landed_at "
        f"FROM {reader}"
    )


def main() -> None:
    """Alternate ours and the peer."""
    parser = common.parser(__doc__, ["ours", "peer", "pyspark"], rounds=3)
    parser.add_argument("--times", type=int, default=1, help="years of flights")
    parser.add_argument("--engine", choices=["dask", "spark"], default="dask", help="of ours")
    parser.add_argument("--memory", default="4GB", help="the peer's memory before it spills")
    parser.add_argument("--landing", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    common.spark_here()
    if asked.run == "ours":
        ours(asked.folder, asked.landing, asked.engine)
    elif asked.run == "peer":
        peer(asked.folder, asked.landing, asked.memory)
    elif asked.run == "pyspark":
        pyspark(asked.folder, asked.landing)
    else:
        with common.scratch(asked) as folder:
            _compare(Path(folder), asked)


def _compare(folder: Path, asked: argparse.Namespace) -> None:
    times = asked.times
    landing = folder / "landing"
    common.land(common.lake_at(folder, landing=landing), times)
    on_spark = asked.engine == "spark"
    roles = ("ours", "pyspark" if on_spark else "peer")
    found: dict[str, list[common.Run]] = {role: [] for role in roles}
    rows: dict[str, int] = {}
    for _ in range(asked.rounds):
        for who, runs in found.items():
            place = folder / who
            place.mkdir()
            more = ("--landing", str(landing), "--memory", asked.memory, "--engine", asked.engine)
            runs.append(common.child(_MODULE, who, place, *more))
            rows[who] = _features(place, who)
            shutil.rmtree(place)
        # Ours keeps out what breaks a rule: one flight a year.
        assert 0 <= rows[roles[1]] - rows["ours"] <= times, rows
    size = f"{times} × 337,000 flights"
    for what, unit in (("cpu", "s CPU"), ("wall", "s wall"), ("memory_mb", "MB peak")):
        mine, theirs = (common.median(found[who], what) for who in roles)
        target = common.Target(1.1 if on_spark else 1.15 if times >= 20 else 1.3)
        named = "full ELT on Spark" if on_spark else "full ELT"
        cells = (f"{named}, {unit}", size, f"{mine:,.1f}", f"{theirs:,.1f}")
        common.row(*cells, mine / theirs, None if what == "memory_mb" else target)


def _features(place: Path, who: str) -> int:
    """The rows of the largest table that a run has made."""
    from deltalake import DeltaTable

    folders = {
        "ours": place / "lake" / "flights" / "gold" / "flight_features",
        "peer": place / "peer" / "gold" / "flight_features",
        "pyspark": place / "peer" / "gold.flight_features",
    }
    return DeltaTable(str(folders[who])).count()


if __name__ == "__main__":
    main()
