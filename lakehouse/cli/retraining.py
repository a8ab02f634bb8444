"""``lake retrain``, ``lake why``, ``lake runs`` and ``lake deploy``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lakehouse.cli import screen
from lakehouse.errors import CatalogError

if TYPE_CHECKING:
    from lakehouse.retraining.job import Decided
    from lakehouse.retraining.story import Reign, Story, Told

__all__ = ["deploy", "retrain", "runs", "show_story", "why"]

_domain = click.option("--domain", help="The domain that declares it, where it is known.")


@click.command()
@click.argument("model")
@_domain
@click.option("--because", default="", help="Why you ask; it is kept with the decision.")
@click.option("--force", is_flag=True, help="Past cooldown and budget, and with nothing new.")
@screen.json_option
def retrain(model: str, domain: str | None, because: str, force: bool, as_json: bool) -> int:
    """Ask the arbiter to train MODEL: it decides, says why, and trains when it is yes."""
    import getpass

    from lakehouse import ledger
    from lakehouse.cli.models import show_result
    from lakehouse.retraining.facts import Trigger
    from lakehouse.retraining.job import retrain as ask

    def tell(made: Decided) -> None:
        if not as_json:
            _show_decision(made)

    done = ask(
        screen.lake(),
        model,
        domain=domain,
        triggers=[Trigger("on demand", because, getpass.getuser(), force)],
        now=ledger.now(),
        decided=tell,
        progress=lambda step: click.echo(f"  {step}", err=True),
    )
    result = done.trained.result if done.trained else None
    if as_json:
        click.echo(json.dumps(done.to_json(), default=str))
    elif result is not None:
        show_result(result)
    elif done.trained is not None and done.trained.existing is not None:
        screen.say(f"version {done.trained.existing.version} was trained from just these rows")
    return 3 if result is not None and result.alias != "champion" else 0


def _show_decision(made: Decided) -> None:
    verdict = "training" if made.made.verdict == "train" else "not now"
    screen.say(f"{made.facts.model}: {verdict} (decision {made.decision})")
    for reason in made.made.reasons:
        mark = {"for": "+", "against": "-", "told": " "}[reason.weight]
        screen.say(f"  {mark} {reason.sentence}")
    if made.made.verdict == "no" and not made.facts.forced:
        screen.say(f"  'lake retrain {made.facts.model} --force' trains in any case")


@click.command()
@click.argument("model")
@_domain
@click.option(
    "--last", default=20, show_default=True, help="So many of the last events; 0 for all."
)
@screen.json_option
def why(model: str, domain: str | None, last: int, as_json: bool) -> None:
    """The story of MODEL: its champion, every decision, and what would train it next."""
    from lakehouse import ledger
    from lakehouse.retraining.story import tell

    story = tell(screen.lake(), model, domain=domain, now=ledger.now())
    if as_json:
        click.echo(json.dumps(story.to_json(), default=str))
    else:
        show_story(story, last)


def show_story(story: Story, last: int = 0) -> None:
    """A model's champion, its newest events (all for 0), and what would train it next."""
    _show_champion(story)
    events = story.events[-last:] if last else story.events
    if events:
        screen.heading("What happened")
        for event in events:
            _show_event(event)
    screen.heading("What would train it next")
    for reason in story.next:
        screen.say(f"  {'+' if reason.weight == 'for' else '-'} {reason.sentence}")


def _show_event(event: Told) -> None:
    told = {"train": "trained", "no": "not trained"}.get(event.what, event.what)
    screen.say(f"  {_when(event.at)}  {told}, asked by {event.asked or 'nobody'}")
    if event.because:
        screen.say(f"      because {event.because}")
    if event.outcome:
        screen.say(f"      → {event.outcome}")


def _show_champion(story: Story) -> None:
    of = story.champion
    if of is None:
        screen.say(f"{story.model} of {story.domain} has no champion")
        return
    since = f" since {_when(of.since)}" if of.since else ""
    screen.say(f"{story.model} of {story.domain}: version {of.version} is champion{since}")
    rows = [
        ["made champion", _made(of)],
        ["trained on", f"{of.trained_rows:,} rows, {_span(of, 'train')}"],
        ["judged on", _span(of, "test")],
        ["from", ", ".join(f"{table} version {v}" for table, v in of.inputs.items())],
        ["metrics", ", ".join(f"{name} {value:.4f}" for name, value in of.metrics.items())],
        ["gates", ", ".join(f"{name} {verdict}" for name, verdict in of.gates.items())],
        ["MLflow run", of.mlflow_run],
        ["decision", of.decision or "none: trained by hand"],
    ]
    screen.table(["what", "how"], [row for row in rows if row[1]])


def _made(of: Reign) -> str:
    by = {"gates": "by its gates", "promote": f"by {of.by}", "rollback": f"by {of.by}, back to it"}
    return ": ".join(filter(None, (by.get(of.kind, ""), of.because)))


def _span(of: Reign, window: str) -> str:
    if window not in of.windows:
        return ""
    first, after = of.windows[window]
    return f"{first} until {after}"


def _when(at: Any) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


_KINDS = ("build", "train", "judge", "retrain", "score", "monitor", "maintain")


@click.command()
@click.argument("run", required=False)
@click.option("--domain", help="Only runs of this domain.")
@click.option("--kind", type=click.Choice(_KINDS), help="Only runs of this kind.")
@click.option(
    *("--last", "last"),
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="So many of the last; 0 for all.",
)
@screen.json_option
def runs(run: str | None, domain: str | None, kind: str | None, last: int, as_json: bool) -> None:
    """The executions, or one RUN: code, times, engine, parameters, inputs and outputs."""
    from lakehouse import executions

    lake = screen.lake()
    found = executions.read(lake, run=run, domain=domain, kind=kind, last=last)
    if domain and not found:
        lake.domain(domain)  # raises for one that is not declared
    if run and not found:
        raise CatalogError(f"show the run {run!r}", "no such run is recorded", "see 'lake runs'")
    if as_json:
        click.echo(json.dumps({"schema": 1, "runs": [one.to_json() for one in found]}, default=str))
    elif run and found:
        _show_run(found[-1])
    elif found:
        columns = ["run", "pipeline", "result", "started", "seconds", "engine", "reads", "writes"]
        screen.table(columns, [_run_line(one) for one in found])
        screen.say("all of one: lake runs RUN")
    else:
        screen.say("no such run is recorded" if domain or kind else "no run is recorded yet")


def _run_line(one: Any) -> list[Any]:
    return [
        one.run,
        one.pipeline,
        one.result,
        _when(one.started),
        round(one.seconds, 1),
        one.engine or "-",
        len(one.inputs),
        len(one.outputs),
    ]


def _show_run(one: Any) -> None:
    rows = [
        ["pipeline", one.pipeline],
        ["code", one.code or "not in a repository"],
        ["library", one.version],
        ["started", f"{one.started:%Y-%m-%d %H:%M:%S} UTC"],
        ["ended", f"{one.ended:%Y-%m-%d %H:%M:%S} UTC"],
        ["seconds", f"{one.seconds:,.1f}"],
        ["executor", one.executor],
        ["engine", one.engine],
        ["result", one.result],
        ["error", one.error],
        ["Prefect flow run", one.flow_run],
        ["parameters", json.dumps(dict(one.parameters), default=str)],
        ["reads", _versions(one.inputs)],
        ["writes", _versions(one.outputs)],
    ]
    screen.table(["what", "value"], [row for row in rows if row[1]])
    if one.steps:
        screen.table(
            ["table", "targets", "result", "engine", "rows in", "published", "seconds"],
            [
                [s.table, s.targets, s.result, s.engine, s.rows_in, s.published, s.seconds]
                for s in one.steps
            ],
        )


def _versions(of: Any) -> str:
    return ", ".join(f"{name} version {version}" for name, version in of.items())


@click.command()
@click.option("--check", is_flag=True, help="Only show the difference; 4 when there is one.")
@screen.json_option
def deploy(check: bool, as_json: bool) -> int:
    """Have Prefect's server run what prefect.yaml and deployments/ declare."""
    import subprocess

    from lakehouse.errors import StackError

    here = Path.cwd()
    if not (here / "flows" / "deploy").is_dir():
        raise StackError(
            "deploy the flows",
            f"{here} has no flows/deploy",
            "run it in the project's folder, which holds prefect.yaml and flows/",
        )
    asked = [*(["--check"] if check else []), *(["--json"] if as_json else [])]
    # Flows know Prefect; the library does not: theirs is a process of its own.
    done = subprocess.run([sys.executable, "-m", "flows.deploy", *asked], check=False)
    return done.returncode
