"""Decisions in the ledger, and what became of the trainings that they began.

The decision to train is written before the training begins. So one that has no outcome, and
whose process is gone, crashed: nothing is trained that nobody knows of.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lakehouse import ops, promotion
from lakehouse import snapshot as snapshots
from lakehouse.ledger import Ledger
from lakehouse.ops import DecisionRow
from lakehouse.registry import ModelRecord, ModelVersion
from lakehouse.retraining.deciding import lives
from lakehouse.retraining.facts import Attempt, State
from lakehouse.storage import Storage

__all__ = ["OUTCOME", "Look", "Seen", "append", "attempts", "definition_of", "read"]

#: The kind of a run that tells what became of a decision to train.
OUTCOME = "retrain"

#: What an orchestrator knows of a flow run, by its id; None where it knows nothing.
Look = Callable[[str], Literal["running", "crashed", "cancelled"] | None]

_STATES: Mapping[str, State] = {"done": "done", "blocked": "blocked", "failed": "failed"}


@dataclass(frozen=True)
class Seen:
    """The decisions about one model at one version of the ledger.

    Attributes:
        version: Of ``ops.decisions``; -1 for none.
        rows: The model's, the oldest first, with their JSON read.
    """

    version: int
    rows: tuple[Mapping[str, Any], ...]


def read(storage: Storage, domain: str, model: str) -> Seen:
    """The decisions about a model, the oldest first."""
    place = storage.at("ops", "decisions")
    version = snapshots.read(place, "ops.decisions").version
    found = [r for r in Ledger(storage).rows("decisions") if _is(r, domain, model)]
    told = ("triggers", "reasons", "facts", "pinned")
    rows = [{**r, **{name: json.loads(r[name]) for name in told}} for r in found]
    return Seen(version, tuple(sorted(rows, key=lambda r: str(r["decision"]))))


def append(storage: Storage, row: DecisionRow, seen: Seen) -> None:
    """Write a decision, unless another one came between.

    Raises:
        CommitConflict: The ledger holds decisions that were not seen: look and decide again.
        CommitError: The store refused.
    """
    place = storage.at("ops", "decisions")
    ops.append(place, "decisions", [row], row.decision, only_after=seen.version)


def attempts(
    seen: Seen,
    runs: Sequence[Mapping[str, Any]],
    versions: Sequence[ModelVersion],
    *,
    now: dt.datetime,
    timeout: dt.timedelta,
    look: Look,
    own: str = "",
) -> tuple[Attempt, ...]:
    """The trainings of a model that were begun, by decisions and by hand, the oldest first.

    Args:
        seen: The decisions.
        runs: Rows of ``ops.runs`` about training this model, with their parameters read.
        versions: The registered versions.
        now: When this is asked.
        timeout: After this a training of which nothing is known is taken for lost.
        look: Id of a flow run → what the orchestrator knows of it.
        own: The id of the flow run that asks: it begins again, so what it began before is lost.
    """
    outcomes: dict[str, Mapping[str, Any]] = {}
    for run in sorted(runs, key=lambda r: (r["kind"] == OUTCOME, r["run"])):
        if decision := run["parameters"].get("decision"):
            outcomes[decision] = run
    made = {v.record.decision: v for v in versions if v.complete and v.record}
    state: State
    found = []
    for row in seen.rows:
        if row["verdict"] != "train":
            continue
        outcome, version = outcomes.get(row["decision"]), made.get(row["decision"])
        crashed = bool(outcome and outcome["parameters"].get("crashed"))
        if version is not None and (outcome is None or crashed):
            # It ended between its last step and the ledger: its gates have spoken.
            state = "done" if "champion" in version.aliases else "blocked"
        elif outcome is not None:
            state = "crashed" if crashed else _STATES[outcome["result"]]
        else:
            state = _unended(row, now=now, timeout=timeout, look=look, own=own)
        found.append(_attempt(row, state, outcome, version))
    by_number = {v.version: v for v in versions}
    own_runs = [r for r in runs if r["kind"] == "train" and not r["parameters"].get("decision")]
    found += [_by_hand(run, by_number, now) for run in own_runs]
    return tuple(sorted(found, key=lambda a: a.at))


def _unended(
    row: Mapping[str, Any],
    *,
    now: dt.datetime,
    timeout: dt.timedelta,
    look: Look,
    own: str,
) -> State:
    if own and row["flow_run"] == own:
        return "crashed"
    lost = now - row["decided"] > timeout
    here = lives(str(row["facts"].get("executor", "")))
    if here and not lost:
        return "running"
    told = look(row["flow_run"]) if row["flow_run"] else None
    if told == "cancelled":
        # A person's will: it is not begun again, however long ago it was.
        return "failed"
    return "crashed" if lost or here is False or told == "crashed" else "running"


def _attempt(
    row: Mapping[str, Any],
    state: State,
    outcome: Mapping[str, Any] | None,
    version: ModelVersion | None,
) -> Attempt:
    facts, told = row["facts"], outcome["parameters"] if outcome else {}
    end = facts.get("window_end")
    return Attempt(
        decision=row["decision"],
        at=row["decided"],
        state=state,
        fingerprint=facts.get("fingerprint", ""),
        definition=facts.get("definition", ""),
        window_end=dt.datetime.fromisoformat(end) if end else None,
        version=version.version if version else int(told.get("version") or 0),
        detail=outcome["error"] if outcome else "",
    )


def _by_hand(
    run: Mapping[str, Any], versions: Mapping[int, ModelVersion], now: dt.datetime
) -> Attempt:
    told = run["parameters"]
    version = versions.get(int(told.get("version") or 0))
    record = version.record if version else None
    return Attempt(
        decision="",
        # Where time is played, it was begun before the time that is played.
        at=min(run["started"], now),
        state=_STATES[run["result"]],
        fingerprint=told.get("fingerprint", ""),
        definition=definition_of(record) if record else "",
        window_end=promotion.window_of(record)[1] if record else None,
        version=version.version if version else 0,
        detail=run["error"],
    )


def definition_of(record: ModelRecord) -> str:
    """The definition ids of a version and of the feature table that it was trained from."""
    return f"{record.definition_id}-{record.feature_definition_id}"


def _is(row: Mapping[str, Any], domain: str, model: str) -> bool:
    return bool(row["domain"] == domain and row["model"] == model)
