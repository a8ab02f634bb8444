"""A training in a process of its own: asked over a pipe, told step by step, ended with us.

The child reads its order and settings, with their secrets, from its standard input, and lives as
long as that stays open: when the parent ends, however it ends, the child does.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from io import RawIOBase
from typing import IO, Any

from pydantic import SecretStr

from lakehouse import errors
from lakehouse.errors import LakehouseError, ModelError
from lakehouse.settings import Settings, load

__all__ = ["Died", "Order", "read_order", "run"]

_LAST_LINES = 5


@dataclass(frozen=True)
class Order:
    """What is to be trained.

    Attributes:
        model: Its name.
        domain: Its domain; None where only one declares it.
        force: Train though a version of the same rows and definition exists.
        pinned: Table → the version to learn from, by full names.
        decision: The decision to train; empty without one.
        now: When, where time is played; None for the clock.
    """

    model: str
    domain: str | None = None
    force: bool = False
    pinned: Mapping[str, int] = field(default_factory=dict)
    decision: str = ""
    now: dt.datetime | None = None


class Died(ModelError):
    """The process ended without an answer: nothing else has recorded it."""


def run(
    settings: Settings,
    order: Order,
    timeout: dt.timedelta,
    progress: Callable[[str], None],
) -> bytes:
    """Train in a child process.

    Args:
        settings: Of the lake.
        order: What to train.
        timeout: After this the child is ended.
        progress: Told each step.

    Returns:
        The JSON of what became of it.

    Raises:
        LakehouseError: What the child failed by.
        Died: It ended without an answer, or took too long.
    """
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "lakehouse.training.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(),
        # An interrupt from the terminal ends the parent, which ends the child.
        process_group=0,
    )
    assert child.stdin and child.stdout and child.stderr
    late = threading.Timer(timeout.total_seconds(), child.kill)
    late.daemon = True
    late.start()
    noise = _Noise(child.stderr)
    try:
        _ask(child.stdin, settings, order)
        answer = _follow(child.stdout, progress)
        child.stdin.close()
        child.wait()
    finally:
        expired = late.finished.is_set()
        late.cancel()
        if child.poll() is None:
            child.kill()
            child.wait()
        noise.join()
        for pipe in (child.stdin, child.stdout, child.stderr):
            pipe.close()
    if "error" in answer:
        raise _error(answer["error"])
    if "done" not in answer:
        raise _died(order, child.returncode, timeout if expired else None, noise.last)
    return json.dumps(answer["done"]).encode()


def read_order(pipe: RawIOBase) -> tuple[Settings, Order]:
    """What the parent asked for."""
    told = json.loads(pipe.readline())
    # Its environment may say other things; what it was given counts.
    asked = {**told["order"]}
    asked["now"] = dt.datetime.fromisoformat(asked["now"]) if asked["now"] else None
    return load(_env_file="", **told["settings"]), Order(**asked)


def _ask(pipe: IO[bytes], settings: Settings, order: Order) -> None:
    asked = {**asdict(order), "now": order.now.isoformat() if order.now else None}
    told = {"settings": _plain(settings), "order": asked}
    try:
        pipe.write(json.dumps(told).encode() + b"\n")
        pipe.flush()
    except BrokenPipeError:
        pass  # It died: what it said last tells why.


def _plain(settings: Settings) -> dict[str, Any]:
    known = {name: getattr(settings, name) for name in type(settings).model_fields}
    secrets = {k: v.get_secret_value() for k, v in known.items() if isinstance(v, SecretStr)}
    return {**settings.model_dump(mode="json"), **secrets}


def _follow(pipe: IO[bytes], progress: Callable[[str], None]) -> dict[str, Any]:
    for line in pipe:
        told: dict[str, Any] = json.loads(line)
        if "step" not in told:
            return told
        progress(told["step"])
    return {}


class _Noise:
    """What libraries in the child say, handed on; its last lines are kept."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self.last: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def _read(self, pipe: IO[bytes]) -> None:
        for line in pipe:
            text = line.decode(errors="replace").rstrip()
            self.last = [*self.last, text][-_LAST_LINES:]
            print(text, file=sys.stderr)

    def join(self) -> None:
        """Wait until all is read."""
        self._thread.join()


def _environment() -> dict[str, str]:
    path = os.pathsep.join(p for p in sys.path if p)
    # What the parent can import, its child can: tests and editable installs too.
    return {**os.environ, "PYTHONPATH": path, "OMP_WAIT_POLICY": "PASSIVE"}


def _error(told: Mapping[str, str]) -> LakehouseError:
    kind: type[LakehouseError] = getattr(errors, told["error"], ModelError)
    return kind(told["asked"], told["found"], told["remedy"], file=told.get("file"))


def _died(order: Order, code: int, late: dt.timedelta | None, last: list[str]) -> Died:
    asked = f"train {order.model}"
    if late is not None:
        remedy = "learn from less, or raise 'retrain: {timeout: …}' of its declaration"
        return Died(asked, f"it took longer than {late}", remedy)
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    said = "; ".join(last) or "it said nothing"
    remedy = "see that the machine has memory left; then train again"
    return Died(asked, f"its process ended by {how} without an answer: {said[-600:]}", remedy)
