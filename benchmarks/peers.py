"""The tables of ``benchmarks/domains/tpch`` as a person would make them by hand, three times.

Each reads the same landed files and writes the same columns, by month, with the same codec; none
plans, audits, keeps a quarantine or remembers anything. A function takes the landing zone and the
folder to write to, and gives the part that counts; what it did before is start-up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import common, tpch

if TYPE_CHECKING:
    import pandas as pd

    from lakehouse.catalog import Domain, Table
    from lakehouse.lake import Lake

__all__ = ["dataframe", "duckdb", "on_spark", "pyspark", "written"]


def _domain() -> Domain:
    from lakehouse import catalog

    return catalog.load(tpch.DOMAINS / tpch.NAME)


def written(folder: Path, table: str) -> list[str]:
    """The live files of a peer's table."""
    from deltalake import DeltaTable

    place = folder / table
    if (place / "_delta_log").exists():
        return list(DeltaTable(str(place)).file_uris())
    return [str(file) for file in place.rglob("*.parquet")]


# --- PySpark -----------------------------------------------------------------------------------


def pyspark(landing: Path, folder: Path) -> Callable[[], None]:
    """PySpark and delta-spark, table after table, in a session with our settings."""
    lake = common.lake_at(folder, tpch.DOMAINS, landing)

    def landed(spark: Any, table: Table) -> Any:
        return spark.sql(_landed(table, f"parquet.`{_glob(table, landing)}`", _SPARK))

    return on_spark(lake, _domain(), folder, landed)


def on_spark(
    lake: Lake, domain: Domain, folder: Path, landed: Callable[[Any, Table], Any]
) -> Callable[[], None]:
    """A domain by PySpark and delta-spark, table after table.

    Args:
        lake: Whose settings the session has.
        domain: Its tables.
        folder: Where to write.
        landed: Of a session and a bronze table: its rows as a frame.

    Returns:
        The part that counts.
    """
    from lakehouse.engines.spark import session

    spark = session.start(lake.settings, lake.storage)
    # Spark 4.2 takes columns from the features of flights by it, and fails.
    rule = "org.apache.spark.sql.catalyst.optimizer.RemoveRedundantAliases"
    spark.conf.set("spark.sql.optimizer.excludedRules", rule)
    # What a person would set who reads small tables on two cores: 50 tasks for each log else.
    spark.conf.set("spark.databricks.delta.snapshotPartitions", "2")
    spark.sql("SELECT 1").collect()

    def work() -> None:
        for table in domain.order:
            bronze = table.query is None
            frame = landed(spark, table) if bronze else spark.sql(_selected(domain, table))
            part = table.contract.lake.partition
            if part is not None and not bronze:
                # Files of a month by one task: without, each task would write into each month.
                frame = frame.repartition(part.column)
            written = frame.write.format("delta").mode("overwrite").option("compression", "zstd")
            if part is not None:
                written = written.partitionBy(part.column)
            spark.sql(f"CREATE SCHEMA IF NOT EXISTS {table.layer}")
            written.option("path", str(folder / table.short)).saveAsTable(table.short)

    return work


def _selected(domain: Domain, table: Table) -> str:
    """A table's SQL in Spark's words."""
    from lakehouse import catalog, sql

    assert table.query is not None
    inputs = catalog.sql_inputs(domain, table)
    return sql.select(table.query, table.contract.types, "spark", inputs)


def _month(table: Table) -> str:
    part = table.contract.lake.partition
    assert part is not None
    return part.column


def _glob(table: Table, landing: Path) -> Path:
    source = table.contract.lake.source
    assert source is not None
    return landing / tpch.NAME / source.path


_SPARK = {
    "_batch": "substring(md5(_metadata.file_path), 1, 10)",
    "_source_file": "_metadata.file_path",
    "_row": "monotonically_increasing_id()",
    "_landed_at": "_metadata.file_modification_time",
}
_DUCKDB = {
    "_batch": "md5(filename)[:10]",
    "_source_file": "filename",
    "_row": "row_number() OVER ()",
    "_landed_at": "TIMESTAMPTZ '2014-01-01 00:00:00+00'",
}


def _landed(table: Table, source: str, lineage: Mapping[str, str]) -> str:
    """A bronze table as a query: columns as they landed, with where they are from."""
    part = table.contract.lake.partition
    assert part is not None
    made = {**lineage, part.column: part.expression}
    columns = ", ".join(f"{made.get(n, n)} AS {n}" for n in table.contract.types)
    return f"SELECT {columns} FROM {source}"


# --- DuckDB and deltalake ----------------------------------------------------------------------


def duckdb(landing: Path, folder: Path, memory: str) -> Callable[[], None]:
    """DuckDB and deltalake in one process: each table in memory, and written from there."""
    common.warm()
    domain = _domain()
    con: Any = common.connect(folder / "spill", memory)
    for layer in {table.layer for table in domain.order}:
        con.execute(f"CREATE SCHEMA {layer}")

    def work() -> None:
        for table in domain.order:
            _on_duckdb(con, table, landing, folder)

    return work


def _on_duckdb(con: Any, table: Table, landing: Path, folder: Path) -> None:
    from deltalake import WriterProperties, write_deltalake

    from lakehouse import sql

    if table.query is None:
        source = f"read_parquet('{_glob(table, landing)}', filename=true)"
        query = _landed(table, source, _DUCKDB)
    else:
        query = sql.select(table.query, table.contract.types)
    con.execute(f"CREATE TABLE {table.short} AS {query}")
    write_deltalake(
        str(folder / table.short),
        con.sql(f"FROM {table.short}").to_arrow_reader(250_000),
        partition_by=[_month(table)],
        writer_properties=WriterProperties(compression="ZSTD", compression_level=1),
    )


# --- dask.dataframe ----------------------------------------------------------------------------


def dataframe(landing: Path, folder: Path) -> Callable[[], None]:
    """dask.dataframe to Parquet by month, on as many worker processes as there are cores.

    Each landed file is a month, so that the latest of a key is looked for inside a partition:
    a shuffle, which a lake with late files would need, is spared.
    """
    import dask

    # Read where distributed is imported, by the workers too.
    os.environ["DASK_LOGGING__DISTRIBUTED"] = "error"
    dask.config.refresh()
    dask.config.set({"distributed.worker.memory.terminate": False})
    from distributed import Client

    # The connection lives as long as the process.
    connect: Any = Client
    client = connect(
        n_workers=os.cpu_count() or 1,
        threads_per_worker=1,
        dashboard_address=None,
        worker_dashboard_address="127.0.0.1:0",
        host="127.0.0.1",
    )
    client.run(_imported)

    def work() -> None:
        for table, dated, month in _MONTHLY:
            _bronze(landing, folder, table, dated, month)
        _silver(folder)
        _gold(folder)

    return work


_MONTHLY = (("lineitem", "l_shipdate", "ship_month"), ("orders", "o_orderdate", "order_month"))


def _imported() -> None:
    import dask.dataframe  # noqa: F401


def _write(frame: Any, place: Path, month: str) -> None:
    frame.to_parquet(place, partition_on=[month], compression="zstd", write_index=False)


def _read(place: Path, month: str) -> Any:
    import dask.dataframe as dd

    # A category, which is what a directory's name becomes, would multiply groups.
    return dd.read_parquet(place).assign(**{month: lambda frame: frame[month].astype(str)})


def _bronze(landing: Path, folder: Path, table: str, dated: str, month: str) -> None:
    import dask.dataframe as dd

    files = sorted((landing / tpch.NAME / table).glob("*.parquet"))
    spread: Any = dd.from_map
    frame = spread(_landed_frame, files, dated=dated, month=month)
    _write(frame, folder / f"bronze.{table}", month)


def _landed_frame(file: Path, dated: str, month: str) -> pd.DataFrame:
    import hashlib

    import pandas as pd

    rows = pd.read_parquet(file, dtype_backend="pyarrow")
    return rows.assign(
        _batch=hashlib.md5(str(file).encode()).hexdigest()[:10],
        _source_file=str(file),
        _row=range(len(rows)),
        _landed_at=pd.Timestamp(file.stat().st_mtime, unit="s", tz="UTC"),
        **{month: pd.to_datetime(rows[dated]).dt.strftime("%Y-%m-01")},
    )


def _latest(frame: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    landed = frame.sort_values(["_landed_at", "_source_file", "_row"])
    return landed.drop_duplicates(list(key), keep="last")


def _silver(folder: Path) -> None:
    lines = _read(folder / "bronze.lineitem", "ship_month")
    lines = lines.map_partitions(_latest, ["l_orderkey", "l_linenumber"])
    lines["revenue"] = lines.l_extendedprice * (1 - lines.l_discount)
    lines = lines.drop(columns=["l_comment", "l_tax", "_batch", "_landed_at"])
    _write(lines, folder / "silver.lineitem", "ship_month")
    orders = _read(folder / "bronze.orders", "order_month")
    orders = orders.map_partitions(_latest, ["o_orderkey"])
    unread = ["o_clerk", "o_shippriority", "o_comment", "_batch", "_landed_at"]
    _write(orders.drop(columns=unread), folder / "silver.orders", "order_month")


def _gold(folder: Path) -> None:
    lines = _read(folder / "silver.lineitem", "ship_month")
    grouped = lines.groupby(["l_suppkey", "ship_month"])
    named = {"lines": ("revenue", "size"), "quantity": ("l_quantity", "sum")}
    revenue = grouped.agg(**named, revenue=("revenue", "sum")).reset_index()
    _write(revenue, folder / "gold.revenue", "ship_month")
    orders = _read(folder / "silver.orders", "order_month")
    joined = lines.merge(orders, left_on="l_orderkey", right_on="o_orderkey")
    joined["late"] = (joined.l_receiptdate > joined.l_commitdate).astype("int64")
    joined["waited"] = (joined.l_shipdate - joined.o_orderdate).dt.days
    grouped = joined.groupby(["l_shipmode", "o_orderpriority", "ship_month"])
    named = {"lines": ("late", "size"), "late": ("late", "sum"), "waited_days": ("waited", "mean")}
    _write(grouped.agg(**named).reset_index(), folder / "gold.late_shipments", "ship_month")
