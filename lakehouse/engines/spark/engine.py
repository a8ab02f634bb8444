"""The Spark engine: SQL for all targets of a table at once, what Python makes one task each."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakehouse.engines import kernel
from lakehouse.engines.base import Staged, Task
from lakehouse.engines.spark import session, staging
from lakehouse.engines.spark.failing import failing
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from lakehouse.sql import Dialect
from lakehouse.storage import Storage

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["SparkEngine"]

#: Spark 4.2 loses columns by it where a CTE is joined and united with itself (flight_features);
#: what it would have removed costs nothing.
_EXCLUDED = "org.apache.spark.sql.catalyst.optimizer.RemoveRedundantAliases"
#: Tasks in one place that each core is given at once; what they staged can be published then.
_WAVES = 16
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class SparkEngine:
    """Stages targets on a Spark session: of this process, or of a cluster.

    Args:
        settings: The master and its memory.
        storage: The lake's store.
    """

    name = "spark"
    dialect: Dialect = "spark"
    spreads = True

    def __init__(self, settings: Settings, storage: Storage) -> None:
        self.settings, self.storage = settings, storage
        self._lock = threading.Lock()

    @property
    def session(self) -> SparkSession:
        """A session of its own names, on the process's context."""
        started = self._started()
        with failing("open a Spark session", "'lake doctor' checks Spark", self.storage):
            made = started.newSession()
            session.set_properties(made, self.storage)
            made.conf.set("spark.sql.optimizer.excludedRules", _EXCLUDED)
            return made

    @property
    def slots(self) -> int:
        """Cores of all executors, as far as they have come; of a new cluster at least two.

        Raises:
            EngineError: Spark does not start, or its JVM has ended.
        """
        started = self._started()
        with failing("ask Spark for its cores", "'lake doctor' checks Spark", self.storage):
            return started.sparkContext.defaultParallelism

    def _started(self) -> SparkSession:
        with self._lock:
            return session.start(self.settings, self.storage)

    def stage(self, tasks: Sequence[Task]) -> Iterator[Staged]:
        """Stage every task; see :class:`lakehouse.engines.base.Engine`.

        Raises:
            EngineError: Executors were lost again and again, or the SQL failed.
        """
        waiting = [task for task in tasks if task.in_one_place]
        while waiting:
            # More cores may have come meanwhile.
            at_once = _WAVES * self.slots
            yield from self._spread(waiting[:at_once])
            waiting = waiting[at_once:]
        for task in tasks:
            if not task.in_one_place:
                yield from staging.stage(self.session, task)

    def _spread(self, tasks: Sequence[Task]) -> Iterator[Staged]:
        """Landing files by the one reader, Python tables by their function, on the executors."""
        context = self.session.sparkContext
        what = "batches landed" if tasks[0].batch else "targets by Python"
        context.setJobDescription(f"{tasks[0].table}: {len(tasks)} {what}")
        spread = context.parallelize(tasks, len(tasks)).map(_Stage(_keys()))
        with failing(
            f"stage {len(tasks)} {what} of {tasks[0].table} on {context.master}",
            "see Spark's UI; then 'lake build' goes on",
            tasks[0].storage,
        ):
            found = spread.collect()
        for staged in found:
            if isinstance(staged, LakehouseError):
                raise staged
            yield from staged

    def close(self) -> None:
        """Nothing: the session serves the next build of this process, and ends with it."""


class _Stage:
    """Stages one target on an executor. An error is handed over, not raised: Spark would retry it.

    Args:
        keys: The driver's keys to the store, for executors whose environment has none. They
            travel inside the closure: never in a property, a log or a command line.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = dict(keys)

    def __call__(self, task: Task) -> Any:
        for name, value in self._keys.items():
            os.environ.setdefault(name, value)
        try:
            return kernel.stage(task)
        except LakehouseError as error:
            return error


def _keys() -> dict[str, str]:
    return {name: os.environ[name] for name in _KEYS if name in os.environ}
