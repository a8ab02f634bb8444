"""One table of a run, built in this process as an order says that another has written."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from lakehouse.build.order import Answer, Order, read_order, write_answer
from lakehouse.build.results import Event
from lakehouse.build.session import Session
from lakehouse.engines.spark import running
from lakehouse.errors import LakehouseError
from lakehouse.lake import Lake

__all__ = ["work"]

_STOPPED = 128 + signal.SIGTERM


def work(order: Path, lake: Callable[[], Lake], say: Callable[[str], None] = print) -> int:
    """Build the table that an order names, and answer.

    Args:
        order: The order's file, which its leader holds locked.
        lake: Opens the lake.
        say: Told of progress.

    Returns:
        As the ``lake`` command: 0 done, 1 error, 3 blocked by an audit.
    """
    _live_as_long_as_leader(order)
    asked, told = read_order(order), Answer()
    try:
        with _session(asked, lake(), say) as session:
            told = _build(session, asked.table)
    except LakehouseError as failed:
        told = Answer(error=failed.to_json())
    write_answer(order, told)
    if told.result is None:
        return LakehouseError.exit_code
    return 3 if told.result.blocked else 0


def _build(session: Session, table: str) -> Answer:
    result, error = None, None
    try:
        result = session.build_table(table)
    except LakehouseError as failed:
        # What was blocked before it failed is noted all the same.
        error = failed.to_json()
    absent = session.absent.get(table, frozenset())
    return Answer(result, error, tuple(session.builds), tuple(session.audits), absent)


@contextlib.contextmanager
def _session(asked: Order, lake: Lake, say: Callable[[str], None]) -> Iterator[Session]:
    session = Session(
        lake,
        lake.domain(asked.domain),
        run=asked.run,
        engine=asked.engine,
        force=asked.force,
        forced_tables=frozenset([asked.table]),
        on_event=lambda event: say(_words(event)),
        absent=dict(asked.absent),
        started=asked.started,
    )
    if asked.engine == "spark":
        say(running.look(lake.settings, lake.storage, say).line())
    try:
        yield session
    finally:
        session.close()


def _words(event: Event) -> str:
    if event.kind == "planned":
        return f"{event.table}: {event.total} to build"
    if event.kind == "staged":
        return f"{event.table}: staged {event.detail or 'all'} ({event.done} of {event.total})"
    return f"{event.table}: {event.kind} {event.detail}".rstrip()


def _live_as_long_as_leader(order: Path) -> None:
    """End this process as soon as the order is no longer held."""
    held = order.open()
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        sys.exit(_STOPPED)

    def wait() -> None:
        # Commits are atomic, and staged files that no log names are maintenance's.
        fcntl.flock(held, fcntl.LOCK_EX)
        os._exit(_STOPPED)

    threading.Thread(target=wait, name="leader", daemon=True).start()
