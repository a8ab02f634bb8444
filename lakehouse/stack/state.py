"""What the stack remembers between two commands: ``stack.json``, its lock, the S3 keys."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lakehouse.errors import StackError

__all__ = ["Credentials", "Record", "Service", "credentials", "load", "locked", "save", "secret"]


@dataclass(frozen=True)
class Service:
    """One service that was started.

    Attributes:
        name: One of ``lakehouse.stack.ALL``.
        pid: Its process, which leads a session of its own.
        port: Where it listens on 127.0.0.1; None for Prefect's worker.
        url: What to open, or to hand to a client.
        log: Path of its log.
        started: When the process began (seconds since the epoch).
        definition: Digest of its command and environment: when it changes, it is restarted.
    """

    name: str
    pid: int
    port: int | None
    url: str
    log: str
    started: float
    definition: str


@dataclass(frozen=True)
class Record:
    """The content of ``stack.json``; ports stay known after a service was stopped."""

    services: Mapping[str, Service] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)

    def having(self, service: Service) -> Record:
        """The record with this service in it."""
        return Record({**self.services, service.name: service}, self.ports)

    def without(self, name: str) -> Record:
        """The record without the service of this name."""
        return Record({k: v for k, v in self.services.items() if k != name}, self.ports)


@dataclass(frozen=True)
class Credentials:
    """The keys of the embedded S3 server."""

    access_key: str
    secret_key: str = field(repr=False)


def load(state: Path) -> Record:
    """Read ``stack.json``; an absent or broken one is an empty record.

    What a broken one knew is found again by the mark in the processes' environment.
    """
    try:
        raw = json.loads((state / "stack.json").read_text(encoding="utf-8"))
        services = {s["name"]: Service(**s) for s in raw["services"]}
        return Record(services, {str(k): int(v) for k, v in raw["ports"].items()})
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return Record()


def save(state: Path, record: Record) -> None:
    """Write ``stack.json`` in one step."""
    body = {
        "schema": 1,
        "services": [asdict(s) for s in record.services.values()],
        "ports": dict(record.ports),
    }
    _write(state / "stack.json", json.dumps(body, indent=1) + "\n")


@contextlib.contextmanager
def locked(state: Path, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the stack's lock: one command at a time starts or stops services.

    Raises:
        StackError: The state folder cannot be written.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        handle = os.open(state / "stack.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StackError(
            f"use the state folder {state}",
            f"{error.strerror or error}",
            "set LAKE_STATE to a folder that you may write",
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait("another lake command starts or stops services: waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def credentials(state: Path) -> Credentials:
    """The keys of this state folder's S3 server, made at the first call (file mode 0600)."""
    path = state / "keys" / "s3.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Credentials(str(raw["access_key"]), str(raw["secret_key"]))
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (ValueError, KeyError) as error:
        raise StackError(
            f"read the keys of the S3 server in {path}",
            "the file is broken",
            f"`lake down`, remove {path}, `lake up`: new keys are made, the data stays",
        ) from error
    made = Credentials("lake" + secrets.token_hex(8), secrets.token_urlsafe(30))
    _write(path, json.dumps({"access_key": made.access_key, "secret_key": made.secret_key}))
    return made


def secret(state: Path, name: str) -> str:
    """What clients of a service of this state folder must know, made at the first call."""
    path = state / "keys" / name
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = secrets.token_urlsafe(30)
    _write(path, made)
    return made


def _write(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(temporary).replace(path)
