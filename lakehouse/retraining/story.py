"""The story of a model: what is champion and from what, every decision, and what would be next."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lakehouse import promotion
from lakehouse.lake import Lake
from lakehouse.ledger import Ledger
from lakehouse.ops import PromotionRow
from lakehouse.registry import ModelVersion, registry_of
from lakehouse.retraining import decisions
from lakehouse.retraining.facts import Attempt, Facts
from lakehouse.retraining.gather import gather
from lakehouse.retraining.policy import Reason, outlook
from lakehouse.training.job import find

__all__ = ["Reign", "Story", "Told", "tell"]


@dataclass(frozen=True)
class Reign:
    """The champion: where it comes from, and how it came to be.

    Attributes:
        version: Its number.
        since: When it was made champion, UTC; None where that was not recorded.
        kind: ``gates``, ``promote`` or ``rollback``; empty where that was not recorded.
        because: Why it was.
        by: Who made it.
        trained_rows: Rows that it learnt from; 0 where that was not recorded.
        windows: ``train`` and ``test``: first day, and the day after the last.
        inputs: Table → the version that it was trained from.
        metrics: On the rows that it was judged on.
        gates: Gate → verdict, as it was judged last.
        mlflow_run: The MLflow run that made it.
        decision: The decision that led to it; empty for a training by hand.
    """

    version: int
    since: dt.datetime | None
    kind: str
    because: str
    by: str
    trained_rows: int
    windows: Mapping[str, tuple[str, str]]
    inputs: Mapping[str, int]
    metrics: Mapping[str, float]
    gates: Mapping[str, str]
    mlflow_run: str
    decision: str


@dataclass(frozen=True)
class Told:
    """One thing that happened: a decision, a training by hand, or an alias that moved.

    Attributes:
        at: When, UTC.
        what: ``train``, ``no``, ``trained by hand``, or ``promoted``, ``rolled back``, ``judged
            again``.
        asked: Who asked: the kinds of the triggers.
        because: The deciding reasons.
        outcome: What came of it.
        decision: The decision's id; empty where there was none.
    """

    at: dt.datetime
    what: str
    asked: str
    because: str
    outcome: str
    decision: str = ""


@dataclass(frozen=True)
class Story:
    """All of it.

    Attributes:
        domain: The domain's name.
        model: The model's name.
        champion: None for none.
        events: The oldest first.
        next: What would make it be trained next, and what stands in the way.
        facts: What that was seen from.
    """

    domain: str
    model: str
    champion: Reign | None
    events: tuple[Told, ...]
    next: tuple[Reason, ...]
    facts: Facts

    def to_json(self) -> dict[str, Any]:
        """The one JSON document that ``lake why --json`` prints."""
        document = {**asdict(self), "facts": self.facts.to_json()}
        return {"schema": 1, **document}


def tell(lake: Lake, name: str, *, domain: str | None = None, now: dt.datetime) -> Story:
    """Tell the story of a model; nothing is written.

    Args:
        lake: The lake.
        name: The model.
        domain: Its domain, where it is known.
        now: The time that cooldown and budget are measured by.

    Raises:
        ModelError: It is not declared.
        LakehouseError: The store or the registry cannot be read.
    """
    owner, model = find(lake, name, domain)
    versions = registry_of(lake.settings).versions(name)
    moves = promotion.history(Ledger(lake.storage), owner.name, name, versions)
    seen = decisions.read(lake.storage, owner.name, name)
    facts = gather(lake, owner, model, (), now, seen=seen)
    champion = next((v for v in versions if "champion" in v.aliases), None)
    judged = _first_judged(moves)
    told = [
        *_decided(seen.rows, facts, judged),
        *(_hand(a, judged) for a in facts.attempts if not a.decision),
        *(_moved(move) for move in moves if judged.get(move.version) is not move),
    ]
    return Story(
        owner.name,
        name,
        _reign(champion, moves) if champion else None,
        tuple(sorted(told, key=lambda t: (t.at, t.decision))),
        outlook(model.retrain, facts),
        facts,
    )


def _first_judged(moves: Iterable[PromotionRow]) -> Mapping[int, PromotionRow]:
    """Version → what its gates said when it was trained; later moves are events of their own."""
    found: dict[int, PromotionRow] = {}
    for move in moves:
        if move.kind == "gates":
            found.setdefault(move.version, move)
    return found


def _reign(champion: ModelVersion, moves: Sequence[PromotionRow]) -> Reign:
    own = [m for m in moves if (m.version, m.alias) == (champion.version, "champion")]
    last = own[-1] if own else None
    record = champion.record
    return Reign(
        version=champion.version,
        since=last.moved if last else None,
        kind=last.kind if last else "",
        because=last.because if last else "",
        by=last.by if last else "",
        trained_rows=record.trained_rows if record else 0,
        windows=dict(record.windows) if record else {},
        inputs=dict(record.inputs) if record else {},
        metrics=dict(record.metrics) if record else {},
        gates={k: v.partition(":")[0] for k, v in promotion.judged(moves, champion).items()},
        mlflow_run=champion.run_id,
        decision=record.decision if record else "",
    )


def _decided(
    rows: Sequence[Mapping[str, Any]], facts: Facts, judged: Mapping[int, PromotionRow]
) -> list[Told]:
    outcomes = {a.decision: _outcome(a, judged) for a in facts.attempts if a.decision}
    found = []
    for row in rows:
        train = row["verdict"] == "train"
        weight = "for" if train else "against"
        because = [r["sentence"] for r in row["reasons"] if r["weight"] == weight]
        found.append(
            Told(
                at=row["decided"],
                what=row["verdict"],
                asked=", ".join(dict.fromkeys(t["kind"] for t in row["triggers"])),
                because="; ".join(because),
                outcome=outcomes.get(row["decision"], facts.running) if train else "",
                decision=row["decision"],
            )
        )
    return found


def _hand(attempt: Attempt, judged: Mapping[int, PromotionRow]) -> Told:
    outcome = _outcome(attempt, judged)
    return Told(attempt.at, "trained by hand", "a person, not the arbiter", "", outcome)


def _outcome(attempt: Attempt, judged: Mapping[int, PromotionRow]) -> str:
    if attempt.state == "crashed":
        return "ended without a result"
    if attempt.state == "failed":
        return f"failed: {attempt.detail}" if attempt.detail else "failed"
    told = f"version {attempt.version}" if attempt.version else "a version"
    if attempt.state == "done":
        return f"{told} passed its gates and became champion"
    by = judged.get(attempt.version)
    held = by.because.removeprefix("held by ") if by else "a gate"
    return f"{told} did not pass: {held}"


def _moved(move: PromotionRow) -> Told:
    words = {"promote": "promoted", "rollback": "rolled back", "gates": "judged again"}
    what = words.get(move.kind, move.kind)
    before = f", before it was {move.before}" if move.before else ""
    outcome = f"version {move.version} is {move.alias}{before}"
    return Told(move.moved, what, move.by, move.because, outcome)
