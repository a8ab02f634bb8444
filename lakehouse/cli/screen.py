"""How results look: tables on a screen, plain columns in a pipe, progress for who watches."""

from __future__ import annotations

import re
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from lakehouse.build import Event, Lake, open_lake
from lakehouse.settings import Settings
from lakehouse.units import counted, size

__all__ = ["cell", "counted", "heading", "json_option", "lake", "progress", "say", "settings"]
__all__ += ["size", "table"]

#: Cells up to this long stay whole on a narrow screen: half a number is another number.
_WHOLE = 10

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def settings() -> Settings:
    """The settings, with the local stack's addresses where the user has set none.

    Raises:
        SettingsError: See :func:`lakehouse.stack.settings_with_stack`.
    """
    from lakehouse.stack import settings_with_stack

    return settings_with_stack()


def lake() -> Lake:
    """The lake of the settings."""
    return open_lake(settings())


def say(text: str = "") -> None:
    """One line for a person."""
    click.echo(text)


def heading(text: str) -> None:
    """A title line."""
    click.echo(click.style(f"\n{text}", bold=True))


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Rows under column names; numbers to the right."""
    cells = [[cell(value) for value in row] for row in rows]
    longest = [max((len(row[i]) for row in cells), default=0) for i in range(len(columns))]
    if not sys.stdout.isatty():
        _plain(columns, cells, longest)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    made = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, header_style="bold")
    widths = [max(len(name), width) for name, width in zip(columns, longest, strict=True)]
    narrow = sum(widths) + 2 * len(widths) > console.width
    for i, name in enumerate(columns):
        right = bool(rows) and all(isinstance(row[i], int | float) for row in rows)
        whole = narrow and longest[i] <= _WHOLE
        head = "\n".join(textwrap.wrap(name, max(longest[i], 6))) if whole else name
        made.add_column(head, justify="right" if right else "left", overflow="fold", no_wrap=whole)
    for line in cells:
        made.add_row(*map(Text, line))
    console.print(made)


def _plain(columns: Sequence[str], cells: Sequence[Sequence[str]], longest: Sequence[int]) -> None:
    widths = [max(len(name), width) for name, width in zip(columns, longest, strict=True)]
    for row in (columns, *cells):
        line = "  ".join(one.ljust(width) for one, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def cell(value: Any) -> str:
    """One value on one line: landed text may hold line ends, and codes that steer a terminal."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.3f}"
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: repr(found[0])[1:-1], str(value))


class _Lines:
    """Progress where nobody watches: one line per table that did something."""

    def event(self, event: Event) -> None:
        if event.kind == "committed":
            click.echo(f"{event.table}: {event.total} published, {event.detail}", err=True)


class _Bars:
    """Progress on a screen: one bar per table at work."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        self.bars = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", style="dim"),
            console=Console(stderr=True),
        )
        self.tasks: dict[str, Any] = {}
        self.lock = threading.Lock()

    def event(self, event: Event) -> None:
        with self.lock:
            if event.table not in self.tasks:
                self.tasks[event.table] = self.bars.add_task(
                    event.table, total=event.total, detail=""
                )
            self.bars.update(
                self.tasks[event.table],
                completed=event.done,
                total=event.total,
                detail=event.detail,
            )


@contextmanager
def progress() -> Iterator[Any]:
    """A function that takes :class:`Event` and shows it."""
    if not sys.stderr.isatty():
        yield _Lines().event
        return
    bars = _Bars()
    with bars.bars:
        yield bars.event
