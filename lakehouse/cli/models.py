"""``lake train``, ``lake models``, ``lake promote`` and ``lake rollback``."""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING, Any

import click

from lakehouse.cli import screen

if TYPE_CHECKING:
    from lakehouse.ops import PromotionRow
    from lakehouse.promotion import Moved
    from lakehouse.registry import ModelVersion
    from lakehouse.training.train import TrainingResult

__all__ = ["models", "promote", "rollback", "train"]


@click.command()
@click.argument("model")
@click.option("--domain", help="The domain that declares it, where it is known.")
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
@click.argument("model", required=False)
@screen.json_option
def models(model: str | None, as_json: bool) -> None:
    """The registered versions of the models (or of MODEL), and who was champion."""
    from lakehouse import promotion
    from lakehouse.ledger import Ledger
    from lakehouse.registry import registry_of
    from lakehouse.training import declaration

    lake = screen.lake()
    registry, book = registry_of(lake.settings), Ledger(lake.storage)
    listed: list[list[Any]] = []
    moves: list[PromotionRow] = []
    for domain in lake.domains:
        for file in domain.model_files():
            if model not in (None, file.stem):
                continue
            declared = declaration.load(file)
            versions = registry.versions(declared.name)
            listed += [_version(one, declared.metrics.primary) for one in versions]
            moves += promotion.history(book, domain.name, declared.name, versions)
    if as_json:
        document = [dict(zip(_VERSION, row, strict=True)) for row in listed]
        moved = [dict(zip(_MOVE, _move(row), strict=True)) for row in moves]
        click.echo(json.dumps({"schema": 1, "versions": document, "promotions": moved}))
    elif listed:
        screen.table(_VERSION, listed)
        if moves:
            screen.heading("Moved")
            screen.table(_MOVE, [_move(row) for row in moves])
    else:
        screen.say("no model is registered yet: lake train NAME")


_VERSION = ("model", "version", "alias", "primary metric", "trained from", "created", "run")
_MOVE = ("model", "moved", "alias", "from", "to", "how", "by", "because")


def _version(one: ModelVersion, primary: str) -> list[Any]:
    record = one.record
    return [
        one.name,
        one.version,
        ", ".join(one.aliases) or "-",
        record.metrics.get(primary) if record else None,
        ", ".join(f"{t} v{v}" for t, v in record.inputs.items()) if record else "-",
        f"{one.created:%Y-%m-%d %H:%M}",
        one.run_id,
    ]


def _move(row: PromotionRow) -> list[Any]:
    moved = f"{row.moved:%Y-%m-%d %H:%M}"
    return [row.model, moved, row.alias, row.before, row.version, row.kind, row.by, row.because]


_because = click.option("--because", required=True, help="The reason; it goes into the ledger.")
_by = click.option("--by", default=getpass.getuser, help="Who decides; your login by default.")
_domain = click.option("--domain", help="The domain that declares it, where it is known.")


@click.command()
@click.argument("model")
@click.argument("version")
@_because
@_by
@_domain
@screen.json_option
def promote(
    model: str, version: str, because: str, by: str, domain: str | None, as_json: bool
) -> None:
    """Make VERSION (a number, or 'challenger') of MODEL champion, whatever its gates said."""
    from lakehouse import promotion

    done = promotion.promote(screen.lake(), model, version, because=because, by=by, domain=domain)
    _show_move(done, as_json=as_json)


@click.command()
@click.argument("model")
@_because
@click.option("--to", help="A former champion's number; the one before when not given.")
@_by
@_domain
@screen.json_option
def rollback(
    model: str, because: str, to: str | None, by: str, domain: str | None, as_json: bool
) -> None:
    """Make the champion before the present one champion of MODEL again."""
    from lakehouse import promotion

    done = promotion.rollback(screen.lake(), model, because=because, by=by, to=to, domain=domain)
    _show_move(done, as_json=as_json)


def _show_move(done: Moved, *, as_json: bool) -> None:
    row = done.row
    if as_json:
        click.echo(json.dumps(done.to_json(), default=str))
    elif not done.moved:
        screen.say(
            f"{row.model} version {row.version} is {row.alias} already, since "
            f"{row.moved:%Y-%m-%d %H:%M}, by {row.by}: {row.because}"
        )
    else:
        before = f", before it version {row.before}" if row.before else ""
        screen.say(f"{row.model} version {row.version} is {row.alias}{before}")
        gates = json.loads(row.gates)
        for verdict, said in (("failed", "had failed"), ("not evaluated", "were not evaluated")):
            told = [name for name, of in gates.items() if str(of).startswith(verdict)]
            if told:
                screen.say(f"its gates {', '.join(told)} {said}: lake models {row.model}")
