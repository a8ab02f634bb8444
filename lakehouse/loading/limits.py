"""How much a model's process may use, and what it may not do at all."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

__all__ = ["Limits", "allow_seconds", "confine"]

_GIB = 1024**3

#: What Python announces before it does it, and a model never needs.
_DENIED = (
    *("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork"),
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "os.kill", "shutil.", "pty.", "ftplib.", "urllib."),
    *("smtplib.", "http.client.", "pickle.find_class"),
)

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True)
class Limits:
    """What a model's process may use.

    Attributes:
        memory: Bytes of memory that it may take for itself.
        load_seconds: Wall time to start and to load.
        batch_seconds: Wall time to score one batch of rows; CPU time is limited to as much on
            each core.
    """

    memory: int = 4 * _GIB
    load_seconds: float = 300
    batch_seconds: float = 600


def confine(memory: int) -> None:
    """Limit this process for good: memory, files, and what its Python may do."""
    import resource

    for kind, most in (
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_AS, 4 * memory + 8 * _GIB),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 1024**2),
        (resource.RLIMIT_NOFILE, 256),
    ):
        hard = resource.getrlimit(kind)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, least))
    sys.addaudithook(_deny)


def _deny(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open":
        flags = arguments[2]
        if isinstance(flags, int) and flags & _WRITING:
            raise PermissionError(f"a model may not write {arguments[0]!r}")
    elif event.startswith(_DENIED):
        raise PermissionError(f"a model may not do {event}")


def allow_seconds(seconds: float) -> None:
    """Let this process use that much more CPU time on each core; then it is ended."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    most = used.ru_utime + used.ru_stime + seconds * (os.cpu_count() or 1) + 1
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(most), hard))
