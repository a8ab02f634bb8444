"""``lake up``, ``lake down`` and ``lake status``."""

from __future__ import annotations

import json

import click

from lakehouse import stack
from lakehouse.cli import screen
from lakehouse.settings import load

__all__ = ["down", "status", "up"]


@click.command()
@click.argument("services", nargs=-1, type=click.Choice(sorted(stack.ALL)))
@click.option("--spark", is_flag=True, help="Also a Spark master and a worker.")
def up(services: tuple[str, ...], spark: bool) -> None:
    """Start the local stack, or only SERVICES. Everything listens on loopback only."""
    settings = load()
    own_store = bool(settings.uri)
    wanted = services or tuple(s for s in stack.USUAL if s != "s3" or not own_store)
    wanted += ("spark-master", "spark-worker") if spark else ()
    stack.up(settings.state, wanted, screen.say, hand_down_s3=not own_store)
    _show()
    offered = stack.environment(settings.state)
    if "PREFECT_API_URL" in offered:
        screen.say("for the prefect command in this shell:")
        screen.say(f"  export PREFECT_API_URL={offered['PREFECT_API_URL']}")


@click.command()
def down() -> None:
    """Stop what 'lake up' and 'lake demo' started; data and logs stay."""
    stopped = stack.down(load().state, screen.say)
    screen.say(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


@click.command()
@screen.json_option
def status(as_json: bool) -> None:
    """Which services run, and where."""
    if as_json:
        found = stack.status(load().state)
        rows = [
            {"service": s.name, "state": s.state, "url": s.service.url if s.service else None}
            for s in found
        ]
        click.echo(json.dumps({"schema": 1, "services": rows}))
        return
    _show()
    screen.say(f"lake: {screen.settings().lake_uri}")


def _show() -> None:
    rows = [
        [s.name, s.state, *((s.service.url or "-", s.service.log) if s.service else ("-", "-"))]
        for s in stack.status(load().state)
    ]
    screen.table(["service", "state", "open", "log"], rows)
