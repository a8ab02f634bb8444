"""``lake score``."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from lakehouse.cli import screen

if TYPE_CHECKING:
    from lakehouse.lake import Lake
    from lakehouse.scoring import Scored, ScoredVersion

__all__ = ["score"]


@click.command()
@click.argument("model", required=False)
@click.option("--domain", help="The domain that declares it, where it is known.")
@click.option("--version", help="Only this version, by number or alias.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Leave out feature partitions that end before this day of their time zone.",
)
@screen.json_option
def score(
    model: str | None,
    domain: str | None,
    version: str | None,
    since: dt.datetime | None,
    as_json: bool,
) -> int:
    """Predict what is new by champion and challenger. MODEL: all that have a version.

    Feature partitions that a version has not seen, or that were built again since, are read;
    each entity is predicted once by each version, and no prediction is ever changed.
    """
    from lakehouse import scoring

    lake = screen.lake()
    models = [(domain, model)] if model else list(_trained(lake, domain))
    if version is not None and not model:
        raise click.UsageError("--version is of one model: name it.")
    day = since.date() if since else None
    done = [
        scoring.score(lake, owner, name, version=version, since=day, progress=_step)
        for owner, name in models
    ]
    if as_json:
        told = [one.to_json() for one in done]
        click.echo(json.dumps(told[0] if model else {"schema": 1, "models": told}))
    elif done:
        _show(done)
    else:
        screen.say("no model has a version yet: lake train NAME")
    refused = [error for one in done for error in one.refused]
    for error in refused:
        click.echo(f"{type(error).__name__}: {error}", err=True)
    return max((error.exit_code for error in refused), default=0)


def _step(text: str) -> None:
    click.echo(f"  {text}", err=True)


def _trained(lake: Lake, domain: str | None) -> Iterator[tuple[str, str]]:
    """The declared models that have a champion or a challenger: (domain, model)."""
    from lakehouse.training.job import registry_of

    registry = registry_of(lake.settings)
    domains = [lake.domain(domain)] if domain else lake.domains
    for owner in domains:
        for file in owner.model_files():
            if any(version.aliases for version in registry.versions(file.stem)):
                yield owner.name, file.stem


def _show(done: list[Scored]) -> None:
    rows = [
        [one.model, v.version, v.alias or "-", len(v.partitions), v.rows, v.known, _became(v)]
        for one in done
        for v in one.versions
    ]
    screen.table(["model", "version", "as", "partitions", "new", "known", "result"], rows)
    for one in done:
        for version in one.versions:
            if version.waiting:
                screen.say(
                    f"{one.model} version {version.version}: {len(version.waiting)} partitions of "
                    f"{one.table} wait, built by an older definition: lake build {one.table}"
                )


def _became(version: ScoredVersion) -> str:
    if version.refused is not None:
        return "refused"
    if version.table_version >= 0:
        return f"ops.predictions version {version.table_version}"
    return "waits" if version.waiting else "nothing new"
