"""How results look: tables on a screen, plain columns in a pipe, progress for who watches."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from lakehouse.build import Event, Lake, open_lake
from lakehouse.settings import Settings
from lakehouse.units import counted, size

__all__ = ["counted", "heading", "json_option", "lake", "progress", "say", "settings", "size"]
__all__ += ["table"]

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
    if not sys.stdout.isatty():
        _plain(columns, rows)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for i, name in enumerate(columns):
        right = bool(rows) and all(isinstance(row[i], int | float) for row in rows)
        made.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(_cell(value)) for value in row))
    Console().print(made)


def _plain(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    cells = [list(columns), *([_cell(v) for v in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.3f}"
    return str(value)


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
