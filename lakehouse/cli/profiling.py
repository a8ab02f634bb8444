"""``lake profile``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lakehouse import catalog
from lakehouse.cli import screen
from lakehouse.stack.docs import address

if TYPE_CHECKING:
    from lakehouse.profile import ColumnProfile

__all__ = ["profile"]


@click.command()
@click.argument("table")
@click.option("--at", "version", type=click.IntRange(0), help="A version; the newest by default.")
@screen.json_option
def profile(table: str, version: int | None, as_json: bool) -> None:
    """An HTML page of TABLE: distributions, NULLs, examples, at one version.

    Columns that the contract classifies as anything but public or internal are
    counted, and none of their values shown.
    """
    from lakehouse import profile as profiles

    lake = screen.lake()
    made = profiles.measure(lake, catalog.find(lake.domains, table), version)
    page = address(lake.settings.state, profiles.write(lake, made))
    if as_json:
        click.echo(json.dumps({"schema": 1, "page": page, **asdict(made)}, default=str))
        return
    screen.say(f"{made.table} · version {made.version} · {made.rows:,} rows")
    screen.table(
        ["column", "type", "NULL", "distinct ≈", "least", "greatest", "mean"],
        [[c.column.name, c.column.type, c.nulls, c.distinct, *_measured(c)] for c in made.columns],
    )
    screen.say(page)


def _measured(one: ColumnProfile) -> list[object]:
    found = [one.least, one.greatest, one.mean]
    if one.column.type != "VARCHAR":
        return list(found)
    return [None if value is None else f"length {value:.3g}" for value in found]
