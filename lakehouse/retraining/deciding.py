"""One decision at a time: on a machine by a lock, between machines by the ledger's own commits."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["alone", "executor", "lives"]

# A start time is derived from the time of boot, which moves when the clock is set.
_SLACK_S = 5.0


@contextmanager
def alone(state: Path, domain: str, model: str) -> Iterator[None]:
    """Wait until nobody else on this machine decides about the model; a death lets go.

    Args:
        state: The state folder.
        domain: The domain's name.
        model: The model's name.
    """
    file = state / "retraining" / f"{domain}.{model}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def executor() -> str:
    """This process, told from all others that ever had its id: ``host:pid:started``."""
    import psutil  # type: ignore[import-untyped, unused-ignore]

    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.0f}"


def lives(of: str) -> bool | None:
    """Whether a process still runs; None when it is of another machine, or not known."""
    import psutil

    host, _, rest = of.partition(":")
    pid, _, started = rest.partition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return None
    try:
        process = psutil.Process(int(pid))
        same = bool(abs(process.create_time() - float(started)) < _SLACK_S)
        return same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
