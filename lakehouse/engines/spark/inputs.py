"""Input tables as Spark views, over just the files that a plan names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as url_quote

import sqlglot
from sqlglot import exp

from lakehouse.audit import literal
from lakehouse.engines.base import Input
from lakehouse.errors import EngineError
from lakehouse.storage import Storage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["Added", "mount", "over_views", "quote", "scan", "view"]

#: A file of a Delta log: its path as it stands on disk, bytes, partition column → value as text.
Added = tuple[str, int, Mapping[str, str | None]]


def quote(name: str) -> str:
    """An identifier in Spark's quotes."""
    return "`" + name.replace("`", "``") + "`"


def view(name: str) -> str:
    """The view that stands for ``layer.table``: Spark's temporary views have one part."""
    return f"_{name.replace('.', '_')}"


def over_views(text: str, inputs: Sequence[Input]) -> str:
    """Spark's SQL, which reads the views of its inputs in the place of ``layer.table``."""
    names = {one.name for one in inputs}
    # Parsed to find where tables stand: a column may be called like one, behind an alias.
    tables = [
        (table.args["db"].meta["start"], table.this.meta["end"] + 1, name)
        for table in sqlglot.parse_one(text, read="spark").find_all(exp.Table)
        if (name := f"{table.db}.{table.name}") in names
    ]
    for start, end, name in sorted(tables, reverse=True):
        text = f"{text[:start]}{view(name)}{text[end:]}"
    return text


def mount(spark: SparkSession, one: Input) -> None:
    """An input as a temporary view: its columns, of its files, from its first instant on."""
    if not one.files:
        # No partition matters: the table may not even be there.
        spark.createDataFrame([], _schema(one.types)).createOrReplaceTempView(view(one.name))
        return
    column = one.partition_column
    files = ((f.path, f.size, {column: f.partition} if column else {}) for f in one.files)
    frame = scan(spark, one.storage, one.version, files).select(*map(quote, one.types))
    if one.event is not None and one.lower is not None:
        dated = one.types[one.event] == "DATE"
        kind, lower = ("DATE", one.lower.date()) if dated else ("TIMESTAMP", one.lower)
        event = quote(one.event)
        # A row without its time may matter for any partition.
        frame = frame.where(f"{event} >= CAST({literal(str(lower))} AS {kind}) OR {event} IS NULL")
    frame.createOrReplaceTempView(view(one.name))


def scan(spark: SparkSession, storage: Storage, version: int, files: Iterable[Added]) -> DataFrame:
    """Rows of some files of a Delta table, by Delta's own scan.

    Delta's reader of a whole version would run up to five jobs over the log, only to find the
    files that the caller has found there already.

    Args:
        spark: The session that the rows are for.
        storage: The table's place.
        version: A version that the files are of: it gives the columns.
        files: They; nothing is looked at but what is said of them here.

    Raises:
        EngineError: A file is said to be empty.
    """
    from pyspark.sql import DataFrame

    jvm: Any = spark._jvm  # noqa: SLF001
    session: Any = spark._jsparkSession  # noqa: SLF001
    # Delta makes the rows for the session that is the thread's.
    jvm.org.apache.spark.sql.classic.SparkSession.setActiveSession(session)
    none, no, delta = jvm.scala.Option.empty(), False, jvm.org.apache.spark.sql.delta
    log = delta.DeltaLog.forTable(session, storage.spark_uri())
    # What Delta remembers of a table may be another's, which lay there before.
    log.update(no, none, none)
    snapshot = log.getSnapshotAt(version, none, none, no)
    # Looked up once: each name is a question to the JVM.
    made, adds = delta.actions.Action.fromJson, jvm.java.util.ArrayList()
    for file in files:
        adds.add(made(_action(*file)))
    named = jvm.scala.jdk.javaapi.CollectionConverters.asScala(adds).toSeq()
    return DataFrame(log.createDataFrame(snapshot, named, no, none), spark)


def _action(path: str, size: int, partition: Mapping[str, str | None]) -> str:
    """A file as Delta's log holds it."""
    if size <= 0:
        raise EngineError(
            f"read {path} on Spark",
            f"its log says {size} bytes, of which Spark would read none",
            "restore the version of the table before it: docs/how-to/back-out.md says how",
        )
    said = {"path": url_quote(path), "partitionValues": partition, "size": size}
    return json.dumps({"add": {**said, "modificationTime": 0, "dataChange": False}})


def _schema(types: Mapping[str, str]) -> str:
    return ", ".join(f"{quote(name)} {_type(kind)}" for name, kind in types.items())


def _type(kind: str) -> str:
    if kind.endswith("[]"):
        return f"ARRAY<{_type(kind.removesuffix('[]'))}>"
    return {"VARCHAR": "STRING", "INTEGER": "INT", "TIMESTAMPTZ": "TIMESTAMP"}.get(kind, kind)
