"""Who decides: a process, told from all others, and whether it still runs."""

from __future__ import annotations

import os
import socket

__all__ = ["executor", "lives"]

# A start time is derived from the time of boot, which moves when the clock is set.
_SLACK_S = 5.0


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
