"""The scoring flow: champion and challenger, each a task, over the rows that they have not seen."""

from __future__ import annotations

import datetime as dt
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

if not __package__:  # as a file: python flows/score.py
    sys.path.insert(0, str(Path(__file__).parents[1]))

from prefect import State, flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from prefect.futures import PrefectFuture
from prefect.states import Completed, Failed

from flows import outcome, script
from lakehouse import ledger, scoring
from lakehouse.build import open_lake
from lakehouse.errors import (
    CommitError,
    LakehouseError,
    StorageError,
    UnsafeStoreError,
    without_login,
)
from lakehouse.lake import Lake
from lakehouse.scoring import Scored, ScoredVersion, Todo, VersionPlan
from lakehouse.stack import settings_with_stack

__all__ = ["NO_VERSION", "main", "score", "score_version"]

#: The state of a run that had no version to score by yet.
NO_VERSION = "NoVersion"


@flow(name="score", flow_run_name="score {model}")
def score(
    model: str = "late_arrival",
    domain: str | None = None,
    version: str | int | None = None,
    since: dt.date | None = None,
) -> State[Any]:
    """Predict what champion and challenger have not predicted yet; no prediction is changed.

    Args:
        model: The model's name.
        domain: The domain that declares it, where it is known.
        version: Only this version, by number or alias.
        since: Leave out feature partitions that end before this day of their time zone.
    """
    lake = open_lake(settings_with_stack())
    try:
        todo = scoring.plan(lake, model, domain, version=version, since=since)
    except scoring.NoVersion as error:
        # New rows come before the first training as well.
        return Completed(name=NO_VERSION, message=error.found)
    run, started = ledger.new_run(), ledger.now()
    futures = [_submitted(lake, todo, one, run) for one in todo.versions]
    for future in futures:
        future.wait()
    states = [future.state for future in futures]
    done = [state.result() for state in states if state.is_completed()]
    failed = [state.result(raise_on_failure=False) for state in states if not state.is_completed()]
    failure = next((error for error in failed if isinstance(error, LakehouseError)), None)
    scored = scoring.record(lake, todo, run, started, done, failure)
    report(scored)
    return _became(scored, [outcome.reason(s) for s in states if not s.is_completed()])


def _submitted(lake: Lake, todo: Todo, one: VersionPlan, run: str) -> PrefectFuture[ScoredVersion]:
    name = " ".join(filter(None, (f"version {one.who.version}", one.alias)))
    found: PrefectFuture[ScoredVersion] = score_version.with_options(name=name).submit(
        lake, todo, one, run, name
    )
    return found


def _worth_another_try(_task: Any, _run: Any, state: State[Any]) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, CommitError | StorageError) and not isinstance(error, UnsafeStoreError)


@task(
    task_run_name="{name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=_worth_another_try,
)
def score_version(lake: Lake, todo: Todo, plan: VersionPlan, run: str, name: str) -> ScoredVersion:
    """Score by one version, and tell of it."""
    log = get_run_logger()
    done = scoring.score_version(lake, todo, plan, run, progress=log.info)
    if done.refused is not None:
        log.error("%s: %s", name, done.refused)
    if done.waiting:
        log.warning("%d partitions wait, built by an older definition", len(done.waiting))
    if done.table_version >= 0:
        _tell(todo, done, run)
    return done


def _tell(todo: Todo, done: ScoredVersion, run: str) -> None:
    """A hint to those who wait; the predictions themselves stand in their table."""
    name = f"{todo.domain.name}.{todo.model.name}"
    emit_event(
        event="lakehouse.model.scored",
        resource={
            "prefect.resource.id": f"lakehouse.model.{name}",
            "prefect.resource.name": name,
        },
        payload={
            "version": done.version,
            "partitions": list(done.partitions[:100]),
            "rows": done.rows,
            "run": run,
        },
    )


def report(scored: Scored) -> None:
    """What each version scored, with links, as an artifact."""
    lines = [
        f"# {scored.model}: {scored.rows:,} new predictions",
        "",
        f"From `{scored.table}` version {scored.read}, in run `{scored.run}`.",
        "",
        "| version | as | partitions | new | known before | result |",
        "| --- | --- | --: | --: | --: | --- |",
        *(_line(scored.model, one) for one in scored.versions),
    ]
    lines += ["", *(f"- **refused**: {e.asked}: {e.found}; {e.remedy}" for e in scored.refused)]
    query = f"FROM ops.predictions WHERE model = '{scored.model}' AND run = '{scored.run}'"
    lines += ["", f'The rows themselves: `lake query "{query}"`.'] if scored.rows else []
    create_markdown_artifact(
        key=f"scores-{scored.model.replace('_', '-')}",
        markdown="\n".join(lines),
        description="Predictions that were added, by version",
    )


def _line(model: str, one: ScoredVersion) -> str:
    looked = f"{len(one.partitions):,}"
    result = "nothing new"
    if one.refused is not None:
        result = "**refused**"
    elif one.table_version >= 0:
        result = f"`ops.predictions` version {one.table_version}"
    elif one.waiting:
        result = f"{len(one.waiting)} partitions wait for their table to be built"
    cells = [_link(model, one.version), one.alias or "-", looked]
    return f"| {' | '.join([*cells, f'{one.rows:,}', f'{one.known:,}', result])} |"


def _link(model: str, version: int) -> str:
    """The registered version, linked where a server shows it."""
    uri = without_login(os.environ.get("MLFLOW_TRACKING_URI", ""))
    page = f"{uri}/#/models/{quote(model)}/versions/{version}"
    return f"[{version}]({page})" if uri.startswith("http") else str(version)


def _became(scored: Scored, failed: Sequence[str]) -> State[Any]:
    told = [f"version {one.version}: {one.rows:,} rows" for one in scored.versions if one.rows]
    refused = [f"refused: {error.asked}: {error.found}" for error in scored.refused]
    if failed or refused:
        return Failed(message="; ".join([*failed, *refused, *told]))
    return Completed(message="; ".join(told) or "nothing new")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the flow without a deployment: ``python -m flows.score [MODEL [DOMAIN]]``."""
    return script.run(score, *(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    sys.exit(main())
