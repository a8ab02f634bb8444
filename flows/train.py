"""The training flow: a declared model from pinned versions, through its gates, to the registry."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from prefect import State, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import StateType

from flows import reports
from lakehouse.build import open_lake
from lakehouse.stack import settings_with_stack
from lakehouse.training import job
from lakehouse.training.job import Trained


@task(task_run_name="{model}", cache_policy=NO_CACHE, persist_result=False)
def train_model(model: str, domain: str, force: bool) -> Trained:
    """Train one model, unless nothing has changed since its last version."""
    log = get_run_logger()
    lake = open_lake(settings_with_stack())
    return job.train_model(lake, model, domain=domain, force=force, progress=log.info)


@flow(name="train", flow_run_name="train-{model}")
def train(model: str = "late_arrival", domain: str = "flights", force: bool = False) -> State[Any]:
    """Train and register a model; its alias ``champion`` moves only through its gates.

    Args:
        model: The model's name.
        domain: The domain that declares it.
        force: Train though neither rows nor definition have changed.
    """
    done = train_model(model, domain, force)
    reports.training(done)
    if done.result is None:
        version = done.existing.version if done.existing else "?"
        return State(type=StateType.COMPLETED, message=f"nothing to do: version {version} stands")
    told = f"version {done.result.version} is {done.result.alias}"
    if done.result.alias != "champion":
        failed = [g.name for g in done.result.gates if g.verdict != "passed"]
        told = f"{told}: gates not passed: {', '.join(failed)}"
        return State(type=StateType.FAILED, name="Blocked", message=told)
    return State(type=StateType.COMPLETED, message=told)


def main(argv: Sequence[str]) -> None:
    """Run the flow without a deployment: ``python -m flows.train [MODEL]``."""
    train(argv[0] if argv else "late_arrival")


if __name__ == "__main__":
    main(sys.argv[1:])
