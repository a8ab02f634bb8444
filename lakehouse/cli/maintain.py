"""``lake maintain``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from lakehouse.build import Event
from lakehouse.cli import screen

if TYPE_CHECKING:
    from lakehouse.maintenance import Done, Plan

__all__ = ["maintain"]


@click.command()
@click.argument("tables", nargs=-1)
@click.option(
    "--domain", help="The domain; needed only when there are several and TABLES do not tell."
)
@click.option("--apply", is_flag=True, help="Do it; without this it is only shown.")
@screen.json_option
def maintain(tables: tuple[str, ...], domain: str | None, apply: bool, as_json: bool) -> None:
    """Merge small files, remove what no kept version needs. TABLES: only these.

    Shows what would be done, with files and bytes; --apply does it. It may run beside
    builds. Versions that a recorded run or a model holds stay readable.
    """
    from lakehouse import maintenance

    lake = screen.lake()
    owner = lake.domain(domain, [name for name in tables if not name.startswith("ops.")])
    with _progress() as show:
        found = maintenance.plan(lake, owner, tables, on_event=show)
    done: Done | None = None
    if apply and found.todo:
        with _progress() as show:
            done = maintenance.maintain(lake, owner, found, on_event=show)
    if as_json:
        click.echo(json.dumps(maintenance.to_json(found, done)))
    else:
        _show(found, done)


def _show(found: Plan, done: Done | None) -> None:
    for table in found.tables:
        for warning in table.warnings:
            screen.say(f"note: {warning}")
        for version, holders in sorted(table.held.items()):
            more = f" and {len(holders) - 1} more" if len(holders) > 1 else ""
            screen.say(f"kept: {table.place.name} version {version}, for {holders[0]}{more}")
    if not found.todo:
        screen.say(f"nothing to do: {screen.counted(len(found.tables), 'table')} looked at")
        return
    rows = [
        [table.place.name, str(step.act), step.files, screen.size(step.bytes), step.because]
        for table in found.todo
        for step in (table.steps if done is None else done.steps[table.place.name])
    ]
    screen.table(["table", "do" if done is None else "did", "files", "bytes", "because"], rows)
    if done is None:
        screen.say("nothing was changed: 'lake maintain --apply' does it")
    else:
        screen.say(f"done in run {done.run}")


@contextmanager
def _progress() -> Iterator[Callable[[Event], None]]:
    """Bars on a screen; where nobody watches, a line per step that is finished."""
    if sys.stderr.isatty():
        with screen.progress() as show:
            yield show
        return

    def line(event: Event) -> None:
        if event.kind != "looked" and event.done == event.total:
            files = screen.counted(event.total, "file")
            click.echo(f"{event.table}: {event.detail}, {files}", err=True)

    yield line
