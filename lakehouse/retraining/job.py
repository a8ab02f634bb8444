"""The arbiter at work: look, decide once, write it down, and train when the answer is yes."""

from __future__ import annotations

import datetime as dt
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lakehouse import ledger
from lakehouse.catalog import Domain
from lakehouse.errors import CommitConflict, CommitError, EngineError, StorageError
from lakehouse.lake import Lake
from lakehouse.ledger import Ledger
from lakehouse.ops import DecisionRow
from lakehouse.retraining import deciding, decisions
from lakehouse.retraining.decisions import OUTCOME, Look, Seen
from lakehouse.retraining.facts import Facts, Trigger
from lakehouse.retraining.gather import gather
from lakehouse.retraining.policy import Decision, decide
from lakehouse.training.declaration import ModelDeclaration
from lakehouse.training.job import Trained, find, train_model
from lakehouse.training.process import Died

__all__ = ["Decided", "Train", "retrain"]

_TRIES = 10

#: Faults that pass: of the process, of the store, of the registry's server, of memory.
_PASSING = (Died, StorageError, CommitError, EngineError)

#: How a training is done; :func:`lakehouse.training.job.train_model` unless another is given.
Train = Callable[..., Trained]


@dataclass(frozen=True)
class Decided:
    """What was decided, and what came of it.

    Attributes:
        decision: The id in ``ops.decisions``; that of the last one when nothing new was seen.
        recorded: Whether it was written: a reconciling look that sees nothing new writes nothing.
        facts: All that was seen.
        made: Verdict and reasons.
        trained: What the training made; None for no.
    """

    decision: str
    recorded: bool
    facts: Facts
    made: Decision
    trained: Trained | None = None

    @property
    def promoted(self) -> bool:
        """Whether the training made a new champion."""
        result = self.trained.result if self.trained else None
        return result is not None and result.alias == "champion"

    def to_json(self) -> dict[str, Any]:
        """The one JSON document that ``lake retrain --json`` prints."""
        return {
            "schema": 1,
            "decision": self.decision,
            "recorded": self.recorded,
            "domain": self.facts.domain,
            "model": self.facts.model,
            "verdict": self.made.verdict,
            "attempt": self.made.attempt,
            "reasons": [vars(reason) for reason in self.made.reasons],
            "facts": self.facts.to_json(),
            "training": self.trained.to_json() if self.trained else None,
        }


def retrain(
    lake: Lake,
    name: str,
    *,
    domain: str | None = None,
    triggers: Sequence[Trigger],
    now: dt.datetime,
    look: Look = lambda run: None,
    flow_run: str = "",
    train: Train = train_model,
    decided: Callable[[Decided], None] = lambda made: None,
    progress: Callable[[str], None] = lambda step: None,
) -> Decided:
    """Decide whether to train a model, record that, and train it when the answer is yes.

    Args:
        lake: The lake.
        name: The model.
        domain: Its domain, where it is known.
        triggers: Who asks.
        now: The time that cooldown and budget are measured by.
        look: Id of a flow run → what the orchestrator knows of it.
        flow_run: The id of the flow run that asks; empty without one.
        train: Trains from pinned versions.
        decided: Told the decision as soon as it is recorded.
        progress: Told each step.

    Raises:
        ModelError: It is not declared, or the training failed; that is recorded too.
        CommitConflict: Others decided each time.
        LakehouseError: The store or the registry cannot be read or written.
    """
    owner, model = find(lake, name, domain)
    with lake.alone(f"decision-{owner.name}.{name}"):
        made = _decide(lake, owner, model, triggers, now, look, flow_run)
    decided(made)
    if made.made.verdict == "no":
        return made
    progress(f"train {name}: {made.made.because}")
    return _train(lake, owner, made, train, progress)


def _decide(
    lake: Lake,
    owner: Domain,
    model: ModelDeclaration,
    triggers: Sequence[Trigger],
    now: dt.datetime,
    look: Look,
    flow_run: str,
) -> Decided:
    for _ in range(_TRIES):
        seen = decisions.read(lake.storage, owner.name, model.name)
        facts = gather(lake, owner, model, triggers, now, seen=seen, look=look, own=flow_run)
        made = decide(model.retrain, facts)
        if _nothing_new(seen, facts, made):
            return Decided(str(seen.rows[-1]["decision"]), recorded=False, facts=facts, made=made)
        row = _row(facts, made, flow_run)
        try:
            decisions.append(lake.storage, row, seen)
        except CommitConflict:
            continue
        return Decided(row.decision, recorded=True, facts=facts, made=made)
    raise CommitConflict(
        f"decide whether to train {model.name}",
        f"others decided {_TRIES} times meanwhile",
        f"lake why {model.name}",
    )


def _nothing_new(seen: Seen, facts: Facts, made: Decision) -> bool:
    """Whether a reconciling look finds just what the last decision, a no, was made from."""
    if made.verdict != "no" or not seen.rows or any(t.kind != "reconcile" for t in facts.triggers):
        return False
    last = seen.rows[-1]
    now = json.loads(json.dumps(facts.to_json(), default=str))
    looked = ("pinned", "definition", "champion", "alarms", "attempts", "running", "lacking")
    same = all(last["facts"].get(name) == now[name] for name in looked)
    return bool(last["verdict"] == "no" and same)


def _row(facts: Facts, made: Decision, flow_run: str) -> DecisionRow:
    known = {**facts.to_json(), "executor": deciding.executor()}
    train = made.verdict == "train"
    return DecisionRow(
        # To the microsecond: it orders the decisions.
        decision=f"{ledger.now():%Y%m%dT%H%M%S.%f}-{secrets.token_hex(3)}",
        domain=facts.domain,
        model=facts.model,
        triggers=json.dumps([vars(t) for t in facts.triggers]),
        decided=facts.now,
        as_of=facts.watermark or facts.now,
        verdict=made.verdict,
        reasons=json.dumps([vars(r) for r in made.reasons], ensure_ascii=False),
        facts=json.dumps(known, default=str, ensure_ascii=False),
        pinned=json.dumps(dict(facts.pinned) if train else {}),
        attempt=made.attempt,
        flow_run=flow_run,
    )


def _train(
    lake: Lake, owner: Domain, made: Decided, train: Train, progress: Callable[[str], None]
) -> Decided:
    started, name = ledger.now(), made.facts.model
    try:
        trained = train(
            lake,
            name,
            domain=owner.name,
            # The arbiter has compared the evidence: who forces it wants another training.
            force=made.facts.forced,
            pinned=dict(made.facts.pinned),
            decision=made.decision,
            now=made.facts.now,
            progress=progress,
        )
    except _PASSING as error:
        # Nobody judged the rows: it is begun again, so often as the policy allows.
        _record(lake, owner, made, started, "failed", crashed=True, error=error.found)
        raise
    if trained.result is None and trained.existing is not None:
        # A training tells the ledger itself; that there was nothing to train does not.
        _record(lake, owner, made, started, "done", version=trained.existing.version)
    return replace(made, trained=trained)


def _record(
    lake: Lake,
    owner: Domain,
    made: Decided,
    started: dt.datetime,
    result: str,
    **told: object,
) -> None:
    error = str(told.pop("error", ""))
    run = ledger.finish(
        ledger.new_run(),
        OUTCOME,
        owner.name,
        started,
        parameters={
            "model": made.facts.model,
            "decision": made.decision,
            "reads": dict(made.facts.pinned),
            **told,
        },
        result=result,
        error=error,
        folder=owner.path,
    )
    Ledger(lake.storage).record(run)
