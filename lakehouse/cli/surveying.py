"""How far ``lake import`` is with large or wide files, on the error stream."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from lakehouse.drafting import Progress

__all__ = ["progress"]

#: Files of fewer bytes are read before anybody asks how far it is.
_LARGE = 16 << 20
#: Seconds from line to line where nobody watches.
_EVERY = 5.0


class _Lines:
    """Of what takes long: a line when something begins, then one every few seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.told, self.doing, self.long = clock, 0.0, "", False
        self.began = clock()

    def show(self, now: Progress) -> None:
        large = now.doing == "reading" and now.total >= _LARGE
        # A small file may have very many columns.
        self.long = self.long or large or self.clock() - self.began >= _EVERY
        if not self.long:
            return
        if now.doing == self.doing and self.clock() - self.told < _EVERY:
            return
        self.told, self.doing = self.clock(), now.doing
        click.echo(f"{now.doing}: {_told(now)}", err=True)


def _told(now: Progress) -> str:
    if now.doing == "reading":
        return f"{now.detail}, {now.done / 1e6:,.0f} of {now.total / 1e6:,.0f} MB"
    return f"{now.done} of {now.total} columns"


class _Bars:
    """A bar for the bytes of the files, and one for the columns."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        self.bars = Bars(
            TextColumn("{task.description:<13}"),
            BarColumn(28),
            TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self.tasks: dict[str, Any] = {}

    def show(self, now: Progress) -> None:
        if now.doing not in self.tasks:
            self.tasks[now.doing] = self.bars.add_task(now.doing, total=now.total, told="")
        self.bars.update(
            self.tasks[now.doing], completed=now.done, total=now.total, told=_told(now)
        )


@contextmanager
def progress() -> Iterator[Callable[[Progress], None]]:
    """A function that takes :class:`~lakehouse.drafting.Progress` and shows it."""
    if not sys.stderr.isatty():
        yield _Lines().show
        return
    bars = _Bars()
    with bars.bars:
        yield bars.show
