"""``lake train`` and ``lake models``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from lakehouse.cli import screen

if TYPE_CHECKING:
    from lakehouse.training.train import TrainingResult

__all__ = ["models", "train"]


@click.command()
@click.argument("model")
@click.option("--domain", help="The domain; needed only when two declare that name.")
@click.option("--force", is_flag=True, help="Train though nothing has changed.")
@screen.json_option
def train(model: str, domain: str | None, force: bool, as_json: bool) -> int:
    """Train MODEL, judge it by its gates and register it."""
    from lakehouse.training import job

    def step(text: str) -> None:
        click.echo(f"  {text}", err=True)

    done = job.train_model(screen.lake(), model, domain=domain, force=force, progress=step)
    if as_json:
        click.echo(json.dumps(done.to_json(), default=str))
    elif done.result is not None:
        show_result(done.result)
    elif done.existing is not None:
        aliases = ", ".join(done.existing.aliases) or "no alias"
        screen.say(
            f"nothing to do: {model} version {done.existing.version} ({aliases}) was trained "
            "from these rows with this definition; --force trains again"
        )
    return 3 if done.result is not None and done.result.alias != "champion" else 0


def show_result(result: TrainingResult) -> None:
    """A training's metrics against the baselines, and its gates."""
    evaluated = [result.candidate, *result.baselines]
    names = list(result.candidate.metrics)
    screen.table(
        ["model", *names],
        [[e.model, *(e.metrics.get(name) for name in names)] for e in evaluated],
    )
    screen.table(
        ["gate", "verdict", "because"], [[g.name, g.verdict, g.because] for g in result.gates]
    )
    screen.say(
        f"{result.model} version {result.version} is {result.alias} "
        f"({result.train_rows:,} rows to learn from, {result.test_rows:,} to be judged on)"
    )


@click.command()
@screen.json_option
def models(as_json: bool) -> None:
    """The declared models and their registered versions."""
    from lakehouse.training import declaration, job

    lake = screen.lake()
    registry = job.registry_of(lake.settings)
    rows = []
    for domain in lake.domains:
        for file in domain.model_files():
            model = declaration.load(file)
            primary = model.metrics.primary
            for version in registry.versions(model.name):
                record = version.record
                rows.append(
                    [
                        model.name,
                        version.version,
                        ", ".join(version.aliases) or "-",
                        record.metrics.get(primary) if record else None,
                        ", ".join(f"{t} v{v}" for t, v in record.inputs.items()) if record else "-",
                        f"{version.created:%Y-%m-%d %H:%M}",
                        version.run_id,
                    ]
                )
    columns = ["model", "version", "alias", "primary metric", "trained from", "created", "run"]
    if as_json:
        document = [dict(zip(columns, row, strict=True)) for row in rows]
        click.echo(json.dumps({"schema": 1, "versions": document}))
    elif rows:
        screen.table(columns, rows)
    else:
        screen.say("no model is registered yet: lake train NAME")
