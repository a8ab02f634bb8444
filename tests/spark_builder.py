"""A builder on Spark in a process of its own, and so with a JVM of its own.

Run as a script it builds a shop, line by line of what it is asked:
``spark_builder.py SHOP OPTIONS [POINT COUNT]``. With a point it dies there, its JVM with it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

__all__ = ["JARS", "SparkBuilder", "until"]

HERE = Path(__file__).parent
JARS = Path(os.environ.get("LAKE_SPARK_JARS") or HERE.parent / ".lake" / "jars")
_PATIENCE_S = 240.0
_OPTIONS = {"spark_master": "local[2]", "spark_memory": "1GiB", "spark_jars": str(JARS)}


def until(true: Callable[[], object], seconds: float = _PATIENCE_S) -> None:
    """Wait, looking often."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds} s"
        time.sleep(0.005)


class SparkBuilder:
    """The process, from the outside; it leads a group with its JVM.

    Args:
        root: The shop's folder.
        options: Of the shop's settings; with ``portions`` each target is published by itself.
        environment: Further variables, for example keys.
        death: A point of ``dying_build`` or of this module, and at which passing.
    """

    def __init__(
        self,
        root: Path,
        options: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        death: tuple[str, int] | None = None,
    ) -> None:
        from lakehouse.stack import process

        self.root, self.mark = root, root / "spark builder"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("LAKE_", "AWS_"))}
        path = os.pathsep.join(map(str, (HERE, HERE / "crash", HERE.parent)))
        given = json.dumps({**_OPTIONS, **(options or {})})
        self.printed = root / "printed"
        with self.printed.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, __file__, str(root), given, *map(str, death or ())],
                env={**clean, "PYTHONPATH": path, process.MARK: str(self.mark)}
                | dict(environment or {}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        from lakehouse.stack import process

        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        # The daemon of Spark's Python workers has a group of its own, and ends by itself.
        until(lambda: not process.marked(self.mark), 60)

    def ask(self, **what: object) -> None:
        """Ask for a build: arguments of ``Shop.build``, its tables by name.

        With ``goes_on`` an error is its answer, not its end.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """What came of it."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.printed.read_text()[-3000:]
        told: dict[str, Any] = json.loads(line)
        return told

    def build(self, *tables: str, **what: object) -> dict[str, Any]:
        """Ask, and wait for the answer."""
        self.ask(tables=tables, **what)
        return self.answer()

    def died(self) -> int:
        """Wait for its end; the exit code."""
        self.process.communicate(timeout=_PATIENCE_S)
        return self.process.returncode


def _serve(root: Path, options: dict[str, Any]) -> None:
    from racing_builder import OpenShop

    from lakehouse.build import table, tasks
    from lakehouse.errors import LakehouseError

    if options.pop("portions", False):
        table._PORTION_S, tasks._SPREAD = 0.0, 0
    shop = OpenShop(root, **options)
    for line in sys.stdin:
        asked = json.loads(line)
        if asked.pop("page", False):
            told: dict[str, Any] = {"page": _pages()}
        else:
            tables, goes_on = asked.pop("tables", ()), asked.pop("goes_on", False)
            try:
                done = shop.build(*tables, **{"engine": "spark", **asked})
                told = {
                    "run": done.run,
                    "changed": {t.table: [t.engine, t.version] for t in done.changed},
                }
            except LakehouseError as error:
                if not goes_on:
                    raise
                told = error.to_json()
        print(json.dumps(told), flush=True)


def _pages() -> str:
    """What Spark's page says of its environment."""
    from pyspark.sql import SparkSession

    context = SparkSession.active().sparkContext
    browser = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    pages = ("environment/", f"api/v1/applications/{context.applicationId}/environment")
    return "".join(browser.open(f"{context.uiWebUrl}/{page}").read().decode() for page in pages)


def _die_at(point: str, count: int) -> None:
    import dying_build

    from lakehouse.engines.spark import staging

    dying_build.POINTS["staged on Spark"] = (staging, "stage", True)
    dying_build.die = lambda: os.killpg(0, signal.SIGKILL)
    dying_build.die_at(point, count)


if __name__ == "__main__":
    if len(sys.argv) > 3:
        _die_at(sys.argv[3], int(sys.argv[4]))
    _serve(Path(sys.argv[1]), json.loads(sys.argv[2]))
