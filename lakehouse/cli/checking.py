"""``lake check``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from lakehouse import catalog
from lakehouse.cli import screen

if TYPE_CHECKING:
    from lakehouse.invariance import Checked

__all__ = ["check"]

_SHOWN = 3


@click.command()
@click.argument("table")
@click.option("--partition", "partitions", multiple=True, help="Only this one: 2013-06-01.")
@click.option("--until", help="Read no partition after this one, where a table is large.")
@screen.json_option
def check(table: str, partitions: tuple[str, ...], until: str | None, as_json: bool) -> int:
    """See that TABLE built by partitions has the rows of its SELECT over everything at once.

    It does not where the lookback or lookahead of a read is too short, or where a
    window ranks or sums rows of several partitions. Each partition is built alone
    and all are built together, beside the lake: nothing is published. Exits with 1
    where rows differ.
    """
    from lakehouse import invariance

    lake = screen.lake()
    one = catalog.find(lake.domains, table)
    found: list[Checked] = []
    for checked in invariance.check(lake, one, partitions, until):
        found.append(checked)
        if not as_json:
            _show(checked)
    differ = [c for c in found if c.differing]
    if as_json:
        told = [{**asdict(c), "differing": len(c.differing)} for c in found]
        click.echo(json.dumps({"schema": 1, "table": one.name, "partitions": told}))
    elif differ:
        screen.say(
            f"{one.name}: {len(differ)} of {screen.counted(len(found), 'partition')} differ. "
            "Lengthen lookback or lookahead under 'reads' in "
            f"{one.contract.path}, or look only at rows of the partition in "
            f"{one.definition_file}; 'lake lint' names windows that reach further."
        )
    else:
        screen.say(f"{one.name}: {screen.counted(len(found), 'partition')}, the same rows")
    return 1 if differ else 0


def _show(one: Checked) -> None:
    same = "the same alone and with all others"
    differ = f"{len(one.differing)} rows that only one of the two has"
    screen.say(f"{one.partition}: {one.rows:,} rows, {differ if one.differing else same}")
    for row in one.differing[:_SHOWN]:
        screen.say(f"  {_told(dict(zip(one.columns, row, strict=True)))}")
    if len(one.differing) > _SHOWN:
        screen.say(f"  and {len(one.differing) - _SHOWN} more")


def _told(row: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in row.items())
