"""The process that holds a stored model: it loads one, scores rows, and ends with its parent."""

from __future__ import annotations

import json
import os
import select
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from lakehouse.errors import LakehouseError, cause
from lakehouse.loading.limits import allow_seconds, confine
from lakehouse.loading.wire import from_arrow, receive, send
from lakehouse.modelfile import MAX_BYTES, Stored, restore

__all__ = ["main"]

#: The largest batch of rows that is taken, in bytes.
MAX_BATCH = 8 * 1024**3


def main() -> None:
    """Answer the parent until it closes the pipe."""
    asked, answered = os.dup(0), os.dup(1)
    # Whatever libraries print must not come between the frames.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, args=(asked,), daemon=True).start()
    with os.fdopen(asked, "rb", buffering=0) as questions, os.fdopen(answered, "wb") as answers:
        try:
            _serve(questions, answers)
        except EOFError:
            os._exit(0)


def _end_with_parent(pipe: int) -> None:
    """End this process as soon as nobody holds the other end of its pipe."""
    watch = select.poll()
    watch.register(pipe, 0)
    while not watch.poll():
        pass
    os._exit(1)


def _serve(questions: IO[bytes], answers: IO[bytes]) -> None:
    order = json.loads(receive(questions, 4096))
    confine(order["memory"])
    allow_seconds(order["load_seconds"])
    estimator: Any = None
    data = receive(questions, MAX_BYTES)
    try:
        began = time.perf_counter()
        estimator = restore(Stored(order["file"], bytes(data)), order["asked"], order["remedy"])
        _score_nothing()
    except Exception as error:
        _tell(answers, error)
        return
    _tell(answers, None, seconds=time.perf_counter() - began)
    while True:
        rows = receive(questions, MAX_BATCH)
        allow_seconds(order["batch_seconds"])
        try:
            scores = _probabilities(estimator, rows)
        except Exception as error:
            _tell(answers, error)
            continue
        _tell(answers, None)
        send(answers, scores)


def _score_nothing() -> None:
    """Import what the first batch needs, so that it counts as loading."""
    import pandas as pd  # noqa: F401
    import pyarrow.ipc  # noqa: F401


def _probabilities(estimator: Any, rows: bytearray) -> Any:
    import numpy as np
    import pyarrow as pa

    with pa.ipc.open_stream(pa.py_buffer(rows)) as stream:
        x = from_arrow(stream.read_all())
    return np.ascontiguousarray(estimator.predict_proba(x)[:, 1], dtype=np.float64)


def _peak() -> int:
    """The most memory that this process had, in bytes."""
    try:
        # Linux counts what the parent had before it became this program as ours elsewhere.
        with Path("/proc/self/status").open(encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if "VmHWM" in line)
    except (OSError, StopIteration):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def _tell(answers: IO[bytes], error: Exception | None, *, seconds: float = 0.0) -> None:
    told: dict[str, object] = {"seconds": seconds, "peak": _peak()}
    if _is_of_memory(error):
        told |= {"kind": "memory", "found": ""}
    elif isinstance(error, LakehouseError):
        told |= {"kind": "refused", "found": error.found[:1000]}
    elif error is not None:
        told |= {"kind": "failed", "found": cause(error)}
    send(answers, json.dumps(told).encode())


def _is_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it came of, is that memory did not suffice."""
    while error is not None:
        # A library that cannot be mapped is reported as one that cannot be imported.
        if isinstance(error, MemoryError) or "failed to map segment" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


if __name__ == "__main__":
    main()
