"""Child processes that outlive their parent, found again and stopped by their own id.

A service leads a session (``setsid``), so that its children can be told from
everybody else's. Its environment carries a mark, by which also those are found
that opened a session of their own (flow runs of a worker).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from lakehouse.stack.state import Service

__all__ = ["MARK", "alive", "marked", "members", "spawn", "started", "stop"]

#: The variable that every process of a stack carries: the state folder it belongs to.
MARK = "LAKE_STACK"

# A start time is derived from the time of boot, which moves when the clock is set.
_SLACK_S = 5.0


def spawn(command: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
    """Start a command in its own session, without a terminal, writing to ``log``.

    The log of the start before is kept as ``<log>.1``.

    Returns:
        The process id, which is also the id of its session.

    Raises:
        OSError: The program cannot be run.
    """
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileNotFoundError):
        log.replace(log.with_name(log.name + ".1"))
    return os.posix_spawn(
        command[0],
        list(command),
        dict(environment),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        # An ignored signal is inherited: a stack started under nohup could not be stopped.
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE],
    )


def started(pid: int) -> float | None:
    """When the process began (seconds since the epoch), or None when it is gone or a zombie."""
    import psutil  # type: ignore[import-untyped, unused-ignore]

    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return float(process.create_time())
    except psutil.Error:
        return None


def alive(service: Service) -> bool:
    """Whether the process of this id still is the one that we started."""
    began = started(service.pid)
    return began is not None and abs(began - service.started) < _SLACK_S


def members(service: Service, state: Path) -> list[int]:
    """The living processes of the service's session, without those with sessions of their own."""
    began = started(service.pid)
    if began is not None and not alive(service):
        return []  # the id was given to somebody else's process
    found = []
    for pid in _pids():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            ours = os.getsid(pid) == service.pid and started(pid) is not None
            if ours and (began is not None or _mark(pid) == str(state)):
                found.append(pid)
    return found


def marked(state: Path) -> list[int]:
    """All living processes that descend from a service of this state folder, except this one."""
    own = os.getpid()
    return [pid for pid in _pids() if pid != own and _mark(pid) == str(state)]


def stop(pids: Collection[int], *, grace_s: float) -> None:
    """End these processes: SIGTERM, then SIGKILL for those that stay past the grace."""
    left = _signal(pids, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [pid for pid in left if started(pid) is not None]
    left = _signal(left, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = [pid for pid in left if started(pid) is not None]


def _signal(pids: Collection[int], number: signal.Signals) -> list[int]:
    reached = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
            reached.append(pid)
    return reached


def _pids() -> list[int]:
    import psutil

    return list(psutil.pids())


def _mark(pid: int) -> str | None:
    import psutil

    try:
        value: str | None = psutil.Process(pid).environ().get(MARK)
    except (psutil.Error, OSError):
        return None
    return value
