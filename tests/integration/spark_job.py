"""A job: writes and reads a Delta table with Spark and prints what it saw, as JSON.

Runs by ``python`` and by spark-submit; it knows of its cluster what its settings say.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def saw(_: Iterator[Any]) -> Iterator[tuple[str, str]]:
    """Which library an executor has, and its place."""
    import lakehouse
    from lakehouse.engines import kernel

    yield lakehouse.__file__, kernel.__name__


def main() -> None:
    from lakehouse.engines.spark import session
    from lakehouse.stack import settings_with_stack
    from lakehouse.storage import connect

    settings = settings_with_stack()
    storage = connect(settings, settings.lake_uri)
    spark = session.start(settings, storage)
    again = session.start(settings, storage)
    table = storage.at("a table").spark_uri()
    rows = spark.sql(
        "SELECT id, timestamp'0044-03-15 12:00:00.000001' AS at, id % 3 AS third FROM range(1000)"
    )
    rows.repartition(4).write.format("delta").mode("overwrite").partitionBy("third").save(table)
    found = spark.read.format("delta").load(table)
    context = spark.sparkContext
    browser = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    pages = ("environment/", f"api/v1/applications/{context.applicationId}/environment")
    told = {
        "master": context.master,
        "same": again is spark,
        "count": found.where("third = 1").count(),
        "at": str(found.selectExpr("max(cast(at AS string))").collect()[0][0]),
        "saw": context.parallelize(range(2), 2).mapPartitions(saw).collect(),
        "page": "".join(
            browser.open(f"{context.uiWebUrl}/{page}").read().decode() for page in pages
        ),
        "commands": _commands(),
    }
    spark.stop()
    Path(sys.argv[1]).write_text(json.dumps(told))


def _commands() -> list[str]:
    """The command lines and the properties that everybody on this machine can see."""
    seen = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if os.fsencode("java") in command:
            seen.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return seen


if __name__ == "__main__":
    main()
