"""The monitoring flow: what is new of a model is judged; an alarm is told to those who wait."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

if not __package__:  # as a file: python flows/monitor.py
    sys.path.insert(0, str(Path(__file__).parents[1]))

from prefect import State, flow, get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from prefect.states import Completed

from flows import script
from lakehouse import ledger
from lakehouse.build import open_lake
from lakehouse.errors import CommitError, StorageError, UnsafeStoreError
from lakehouse.lake import Lake
from lakehouse.monitoring import job
from lakehouse.monitoring.job import Monitored
from lakehouse.ops import MonitorRow
from lakehouse.stack import settings_with_stack
from lakehouse.stack.docs import address

__all__ = ["ALARM", "look", "main", "monitor"]

#: The state of a run that found an alarm: it did its work.
ALARM = "Alarm"


@flow(name="monitor", flow_run_name="monitor {model}")
def monitor(model: str = "late_arrival", domain: str | None = None) -> State[Any]:
    """Hold new rows and predictions of a model against what it was trained on; train nothing.

    Args:
        model: The model's name.
        domain: The domain that declares it, where it is known.
    """
    lake = open_lake(settings_with_stack())
    done = look.with_options(name=model)(lake, model, domain, ledger.now())
    report(lake, done)
    alarms = {row.monitor: row for row in done.alarms}
    if "performance" in alarms:
        _tell_performance(done, alarms["performance"])
    if "drift" in alarms:
        _tell_drift(done, alarms["drift"])
    return _became(done)


def _worth_another_try(_task: Any, _run: Any, state: State[Any]) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, CommitError | StorageError) and not isinstance(error, UnsafeStoreError)


@task(
    task_run_name="{model}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=_worth_another_try,
)
def look(lake: Lake, model: str, domain: str | None, now: dt.datetime) -> Monitored:
    """Look at what is new of one model."""
    log = get_run_logger()
    done = job.monitor(lake, domain, model, now=now, progress=log.info)
    for row in done.alarms:
        log.warning("%s: %s", row.monitor, row.because)
    return done


def _tell_performance(done: Monitored, row: MonitorRow) -> None:
    """A hint to those who wait; whoever acts on it looks into ``ops.monitors`` himself."""
    emit_event(
        event="lakehouse.model.performance_dropped",
        resource={
            "prefect.resource.id": f"lakehouse.model.{done.domain}.{done.model}",
            "prefect.resource.name": f"{done.domain}.{done.model}",
        },
        payload={
            "version": row.version,
            "window": _window(row),
            "because": row.because,
            "run": done.run,
        },
    )


def _tell_drift(done: Monitored, row: MonitorRow) -> None:
    emit_event(
        event="lakehouse.model.distribution_changed",
        resource={
            "prefect.resource.id": f"lakehouse.model.{done.domain}.{done.model}",
            "prefect.resource.name": f"{done.domain}.{done.model}",
        },
        payload={
            "version": row.version,
            "window": _window(row),
            "because": row.because,
            "run": done.run,
        },
    )


def _window(row: MonitorRow) -> Mapping[str, str]:
    return {"start": row.window_start.isoformat(), "end": row.window_end.isoformat()}


def report(lake: Lake, done: Monitored) -> None:
    """The verdicts, and a link to the page with the plots."""
    if done.lacking:
        lines = [f"# {done.model}", "", f"Not evaluated: {done.lacking}."]
    else:
        windows = len({row.window_start for row in done.looked.monitors if row.seen})
        lines = [
            f"# {done.model} version {done.version}",
            "",
            f"{windows:,} windows looked at in run `{done.run}`.",
            "",
            "| monitor | verdict | window until | because |",
            "| --- | --- | --- | --- |",
            *(_line(row) for row in done.current),
            "",
            f"All of them: `lake query \"FROM ops.monitors WHERE model = '{done.model}'\"`.",
        ]
    key = done.model.replace("_", "-")
    create_markdown_artifact(
        key=f"monitors-{key}", markdown="\n".join(lines), description="What each monitor says"
    )
    if done.report:
        create_link_artifact(
            key=f"monitoring-{key}",
            link=address(lake.settings.state, done.report),
            link_text="Monitoring report",
            description="Performance, drift, NULLs and rows by window, with plots",
        )


def _line(row: MonitorRow) -> str:
    verdict = f"**{row.verdict}**" if row.verdict == "alarm" else row.verdict
    because = row.because.replace("|", "\\|").replace("_", "\\_")
    return f"| {row.monitor} | {verdict} | {row.window_end:%Y-%m-%d} | {because} |"


def _became(done: Monitored) -> State[Any]:
    if done.lacking:
        return Completed(name="NotEvaluated", message=done.lacking)
    if done.alarms:
        told = "; ".join(f"{row.monitor}: {row.because}" for row in done.alarms)
        return Completed(name=ALARM, message=told)
    unknown = [row.monitor for row in done.current if row.verdict == "not evaluated"]
    told = f"no alarm; not evaluated: {', '.join(unknown)}" if unknown else "no alarm"
    return Completed(message=told)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the flow without a deployment: ``python -m flows.monitor [MODEL [DOMAIN]]``."""
    return script.run(monitor, *(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    sys.exit(main())
