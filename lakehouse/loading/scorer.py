"""A registered version that scores rows in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from lakehouse.errors import ModelError, UntrustedModelError
from lakehouse.loading.limits import Limits
from lakehouse.loading.wire import receive, send, to_arrow
from lakehouse.modelfile import Stored
from lakehouse.registry import ModelVersion, Registry

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

__all__ = ["Scorer"]

#: Rows that go over the pipe at once.
BATCH_ROWS = 100_000

#: What a model's process is told of its surroundings: no address, no secret.
_ENVIRONMENT = (
    *("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR"),
    *("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
)


class Scorer:
    """A registered version, checked, and loaded in a limited process.

    ::

        with Scorer(registry, registry.version("late_arrival", "champion")) as scorer:
            probability = scorer.probabilities(x)

    Args:
        registry: Where the version is registered.
        version: The version.
        limits: What its process may use.
    """

    def __init__(
        self,
        registry: Registry,
        version: ModelVersion,
        limits: Limits = Limits(),  # noqa: B008
    ) -> None:
        self.version, self.limits = version, limits
        self.load_seconds, self.peak_bytes = 0.0, 0
        self._registry, self._asking = registry, threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._late = False

    def __repr__(self) -> str:
        return f"Scorer({self.version.name!r}, {self.version.version})"

    def __enter__(self) -> Self:
        """Check the signature and load the model.

        Raises:
            UntrustedModelError: It is unsigned, changed, or holds other types than ours.
            ModelError: It cannot be fetched, or needs more than the limits.
        """
        stored = self._registry.fetch(self.version.name, self.version.version)
        self._start(stored)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._child is not None:
            self._end(self._child)
            self._child = None

    def probabilities(self, x: pd.DataFrame | pa.Table) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The probability of class 1 for each row of features.

        Args:
            x: Features in the estimator's order: numbers (NULL is NaN) and text (NULL is
                None), as :func:`lakehouse.training.dataset.matrix` makes them, or in Arrow,
                as ``typed`` beside it does.

        Returns:
            Shape (rows,).

        Raises:
            ModelError: The model fails on these rows, its process crashed, or it needs more
                than the limits.
        """
        import numpy as np

        table = to_arrow(x)
        with self._asking:
            starts = range(0, len(table), BATCH_ROWS)
            made = [self._batch(table.slice(at, BATCH_ROWS)) for at in starts]
            return np.concatenate([np.empty(0), *made])

    def _batch(self, table: pa.Table) -> np.ndarray[Any, np.dtype[np.float64]]:
        import numpy as np
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        asked = f"score {len(table):,} rows by {self._words()}"
        with self._talking(asked, self.limits.batch_seconds) as (questions, answers):
            send(questions, sink.getvalue())
            self._answer(answers, asked)
            return np.frombuffer(receive(answers, 8 * len(table)), np.float64)

    def _start(self, stored: Stored) -> None:
        asked = f"load {self._words()}"
        order = {
            "file": stored.file,
            "asked": asked,
            "remedy": self._remedy(),
            "memory": self.limits.memory,
            "load_seconds": self.limits.load_seconds,
            "batch_seconds": self.limits.batch_seconds,
        }
        self._child = subprocess.Popen(
            [sys.executable, "-B", "-P", "-m", "lakehouse.loading.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        )
        try:
            with self._talking(asked, self.limits.load_seconds) as (questions, answers):
                send(questions, json.dumps(order).encode())
                send(questions, stored.data)
                self.load_seconds = float(self._answer(answers, asked)["seconds"])
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def _answer(self, answers: IO[bytes], asked: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(receive(answers, 65_536))
        self.peak_bytes = int(told["peak"])
        kind = told.get("kind")
        if kind == "refused":
            raise UntrustedModelError(asked, str(told["found"]), self._remedy())
        if kind == "memory":
            raise self._too_much(asked)
        if kind is not None:
            raise ModelError(asked, str(told["found"]), self._remedy())
        return told

    @contextlib.contextmanager
    def _talking(self, asked: str, seconds: float) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """The pipes of the child, which is killed when it takes longer."""
        child = self._child
        if child is None or child.stdin is None or child.stdout is None:
            raise ModelError(asked, "its process is not running", "use the scorer in a with block")
        clock = threading.Timer(seconds, self._too_late, [child])
        clock.daemon = True
        clock.start()
        try:
            yield child.stdin, child.stdout
        except (EOFError, OSError, ValueError) as error:
            raise self._died(child, asked, seconds) from error
        finally:
            clock.cancel()

    def _too_late(self, child: subprocess.Popen[bytes]) -> None:
        self._late = True
        child.kill()

    def _died(self, child: subprocess.Popen[bytes], asked: str, seconds: float) -> ModelError:
        self._end(child)
        self._child = None
        if self._late:
            return ModelError(asked, f"it took longer than {seconds:g} s", self._remedy())
        code = child.returncode
        if code == -signal.SIGXCPU:
            return ModelError(asked, "it used more CPU time than it may", self._remedy())
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        found = f"its process died ({name}) with a limit of {self.limits.memory // 1024**2:,} MiB"
        return ModelError(asked, found, self._remedy())

    def _too_much(self, asked: str) -> ModelError:
        found = f"it needs more memory than the {self.limits.memory // 1024**2:,} MiB it may take"
        return ModelError(asked, found, "train a smaller one, or allow it more memory")

    @staticmethod
    def _end(child: subprocess.Popen[bytes]) -> None:
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            child.wait(0.5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _words(self) -> str:
        return f"{self.version.name} version {self.version.version}"

    def _remedy(self) -> str:
        return f"do not use it; train again: lake train {self.version.name} --force"


def _environment() -> dict[str, str]:
    told = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    told.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # What the parent can import, its child can: tests and editable installs too.
    return {**told, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
