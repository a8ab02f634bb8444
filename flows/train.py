"""The training flow: a declared model from pinned versions, through its gates, to the registry."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if not __package__:  # as a file: python flows/train.py
    sys.path.insert(0, str(Path(__file__).parents[1]))

from prefect import State, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows import outcome, reports, script
from lakehouse.build import open_lake
from lakehouse.stack import settings_with_stack
from lakehouse.training import job
from lakehouse.training.job import Trained

__all__ = ["main", "train", "train_model"]


@flow(name="train", flow_run_name="train-{model}")
def train(
    model: str = "late_arrival", domain: str | None = None, force: bool = False
) -> State[Any]:
    """Train and register a model; its alias ``champion`` moves only through its gates.

    Args:
        model: The model's name.
        domain: The domain that declares it, where it is known.
        force: Train though neither rows nor definition have changed.
    """
    done = train_model(model, domain, force)
    reports.training(done)
    return outcome.of_training(done)


@task(task_run_name="{model}", cache_policy=NO_CACHE, persist_result=False)
def train_model(model: str, domain: str | None, force: bool) -> Trained:
    """Train one model, unless nothing has changed since its last version."""
    lake = open_lake(settings_with_stack())
    log = get_run_logger()
    return job.train_model(lake, model, domain=domain, force=force, progress=log.info)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the flow without a deployment: ``python -m flows.train [MODEL [DOMAIN]]``."""
    return script.run(train, *(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    sys.exit(main())
