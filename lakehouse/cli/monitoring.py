"""``lake monitor``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from lakehouse.cli import screen

if TYPE_CHECKING:
    from lakehouse.lake import Lake
    from lakehouse.monitoring.job import Monitored

__all__ = ["monitor"]


@click.command()
@click.argument("model", required=False)
@click.option("--domain", help="The domain that declares it, where it is known.")
@screen.json_option
def monitor(model: str | None, domain: str | None, as_json: bool) -> None:
    """See how the champion does on rows that it was not trained on. MODEL: all that have one.

    Whole windows of event time are held against what the model was trained on, and stored
    predictions against their labels. What was looked at is not looked at again. An alarm is told;
    it trains nothing.
    """
    from lakehouse import ledger
    from lakehouse.monitoring import job

    lake = screen.lake()
    models = [(domain, model)] if model else list(_championed(lake, domain))
    done = [
        job.monitor(lake, owner, name, now=ledger.now(), progress=_step) for owner, name in models
    ]
    if as_json:
        told = [one.to_json() for one in done]
        document = told[0] if model else {"schema": 1, "models": told}
        click.echo(json.dumps(document, default=str))
        return
    for one in done:
        _show(lake, one)
    if not done:
        screen.say("no model has a champion yet: lake train NAME")


def _step(text: str) -> None:
    click.echo(f"  {text}", err=True)


def _championed(lake: Lake, domain: str | None) -> Iterator[tuple[str, str]]:
    """The declared models that have a champion: (domain, model)."""
    from lakehouse.registry import registry_of

    registry = registry_of(lake.settings)
    for owner in [lake.domain(domain)] if domain else lake.domains:
        for file in owner.model_files():
            if registry.champion(file.stem):
                yield owner.name, file.stem


def _show(lake: Lake, done: Monitored) -> None:
    from lakehouse.stack.docs import address

    if done.lacking:
        screen.say(f"{done.domain}.{done.model}: not evaluated: {done.lacking}")
        return
    windows = {row.window_start for row in done.looked.monitors if row.seen}
    looked = screen.counted(len(windows), "window") if windows else "nothing new"
    screen.heading(f"{done.domain}.{done.model} version {done.version}: {looked} looked at")
    screen.table(
        ["monitor", "verdict", "until", "because"],
        [[r.monitor, r.verdict, f"{r.window_end:%Y-%m-%d}", r.because] for r in done.current],
    )
    if done.report:
        screen.say(address(lake.settings.state, done.report))
