"""The arbiter: whoever asks, it decides once, says why, and trains when the answer is yes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args
from uuid import UUID

if not __package__:  # as a file: python flows/retrain.py
    sys.path.insert(0, str(Path(__file__).parents[1]))

from prefect import State, flow, get_client, get_run_logger, tags, task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Completed

from flows import outcome, reports, script
from flows.reconcile import AGAIN
from flows.score import score
from lakehouse import ledger
from lakehouse.build import open_lake
from lakehouse.errors import ModelError
from lakehouse.retraining import Trigger, job
from lakehouse.retraining.facts import Kind
from lakehouse.retraining.job import Decided
from lakehouse.stack import settings_with_stack
from lakehouse.training.job import Trained, train_model

__all__ = ["DECLINED", "main", "retrain", "train_pinned"]

#: The state of a run that decided not to train.
DECLINED = "Declined"


@flow(name="retrain", flow_run_name="retrain {model}")
def retrain(
    model: str = "late_arrival",
    domain: str | None = None,
    trigger: dict[str, str] | None = None,
    because: str = "",
    force: bool = False,
) -> State[Any]:
    """Decide whether to train a model, write the decision down, and train it when it is yes.

    Args:
        model: The model's name.
        domain: The domain that declares it, where it is known.
        trigger: Who asks: ``kind`` and ``detail``; a person, when there is none.
        because: Why a person asks.
        force: Past cooldown and budget, and with nothing new.
    """
    log = get_run_logger()
    asked = _asked(trigger, because, force=force)
    log.info("asked by %s%s", asked.kind, f": {asked.detail}" if asked.detail else "")
    done = job.retrain(
        open_lake(settings_with_stack()),
        model,
        domain=domain,
        triggers=[asked],
        now=ledger.now(),
        look=_look,
        flow_run=str(flow_run.get_id() or ""),
        train=_train,
        decided=report,
        progress=log.info,
    )
    if done.trained is None:
        return Completed(name=DECLINED, message=done.made.because)
    reports.training(done.trained)
    if not done.promoted:
        return outcome.of_training(done.trained)
    _tell(done)
    # A run within a run has none of its own: it would be found, and told of, by nobody.
    with tags(*flow_run.get_tags()):
        scored = score(model, done.facts.domain, return_state=True)
    return outcome.of_training(done.trained, scored)


def _asked(trigger: dict[str, str] | None, because: str, *, force: bool) -> Trigger:
    # Whoever makes up for a crashed run forces nothing: what that one was forced to may be done,
    # and a training that crashed is begun again by the policy.
    force = force and AGAIN not in flow_run.get_tags()
    if trigger is None:
        return Trigger("on demand", because, os.environ.get("USER", ""), force)
    kind = trigger.get("kind", "")
    if kind not in get_args(Kind):
        known = ", ".join(get_args(Kind))
        raise ModelError(f"read the trigger {trigger}", f"kind {kind!r}", f"write one of {known}")
    return Trigger(kind, trigger.get("detail", ""), force=force)  # type: ignore[arg-type]


def _look(run: str) -> Literal["running", "crashed", "cancelled"] | None:
    """What Prefect knows of a flow run that began a training."""
    with get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(UUID(run)).state
        except (ObjectNotFound, ValueError):
            return None
    if state is None:
        return None
    if state.is_cancelled() or state.is_cancelling():
        return "cancelled"
    return "crashed" if state.is_final() else "running"


def _train(lake: Any, name: str, **how: Any) -> Trained:
    return train_pinned.with_options(name=f"train {name}")(lake, name, how)


@task(task_run_name="train {name}", cache_policy=NO_CACHE, persist_result=False)
def train_pinned(lake: Any, name: str, how: dict[str, Any]) -> Trained:
    """Train from the versions that the decision pinned."""
    return train_model(lake, name, **how)


def report(done: Decided) -> None:
    """The decision with its reasons as an artifact, its verdict and who asked as tags."""
    reports.decision(done)
    _mark(done)


def _mark(done: Decided) -> None:
    verdict = "train" if done.made.verdict == "train" else "no"
    marks = {f"verdict:{verdict}", *(f"trigger:{t.kind}" for t in done.facts.triggers)}
    with get_client(sync_client=True) as client:
        client.update_flow_run(
            UUID(flow_run.get_id()), tags=sorted(marks | set(flow_run.get_tags()))
        )


def _tell(done: Decided) -> None:
    """A hint to those who wait; who is champion stands in the registry."""
    name = f"{done.facts.domain}.{done.facts.model}"
    before = done.facts.champion.version if done.facts.champion else 0
    result = done.trained.result if done.trained else None
    emit_event(
        event="lakehouse.model.promoted",
        resource={
            "prefect.resource.id": f"lakehouse.model.{name}",
            "prefect.resource.name": name,
        },
        payload={
            "version": result.version if result else 0,
            "before": before,
            "decision": done.decision,
        },
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the flow without a deployment: ``python -m flows.retrain [MODEL [DOMAIN]]``."""
    return script.run(retrain, *(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    sys.exit(main())
