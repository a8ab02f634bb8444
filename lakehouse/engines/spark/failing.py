"""What Spark, its JVM and its executors raise, in this library's words."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lakehouse.errors import EngineError, LakehouseError, cause
from lakehouse.storage import Storage

__all__ = ["ended", "failing"]

_LOG = "Spark's log ('lake doctor' names it)"
#: How long a JVM that has hung up may take to be gone.
_PATIENCE_S = 5.0
_MEMORY = ("OutOfMemoryError", "ExecutorLostFailure")


@contextmanager
def failing(asked: str, remedy: str, storage: Storage) -> Iterator[None]:
    """Name what is raised inside.

    Args:
        asked: What was to be done.
        remedy: What to do where neither memory nor the store is the reason.
        storage: The store that is read and written.

    Raises:
        EngineError: Spark failed, its executors were lost, or its JVM ended.
        StorageError: Files could not be read or written by this process.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except LakehouseError:
        raise
    except (PySparkException, Py4JError, EOFError, OSError) as error:
        if (code := ended()) is not None:
            raise EngineError(
                asked,
                f"Spark's JVM ended with code {code}",
                "the system ends it where memory is short: lower LAKE_SPARK_MEMORY, or give the "
                f"machine more; see {_LOG}; then 'lake build' goes on",
            ) from error
        if isinstance(error, OSError):
            raise storage.failed(asked, error) from error
        said = str(error).strip() or cause(error)
        if any(word in said for word in _MEMORY):
            remedy = (
                "give its executors more with LAKE_SPARK_MEMORY, or choose a finer partition grain"
            )
        raise EngineError(asked, said[:800], f"{remedy}; see {_LOG}") from error


def ended() -> int | None:
    """The exit code of this process's JVM, if it is no more; None, too, where it is our parent."""
    from pyspark import SparkContext

    gateway: Any = SparkContext._gateway  # noqa: SLF001
    process = getattr(gateway, "proc", None)
    if process is None or _answers(gateway):
        return None
    try:
        return int(process.wait(_PATIENCE_S))
    except subprocess.TimeoutExpired:
        return None


def _answers(gateway: Any) -> bool:
    from py4j.protocol import Py4JError

    try:
        return bool(gateway.jvm.java.lang.System.nanoTime())
    except (Py4JError, OSError):
        return False
