"""Whether to train: a pure function of the declared policy and of what is known.

All triggers come here, and none of them decides: an event is a hint that something may have
changed. So a lost event is made up for by the next look, and a doubled one finds that the same
evidence was answered already. What holds, whatever is asked in whatever order:

- the same rows with the same definition are not trained on twice, unless a person forces it or
  the attempt before ended without a result;
- between two attempts lies the cooldown, unless forced, or to make up for a crash;
- a span of the budget holds no more attempts than are allowed, unless forced;
- every decision has at least one reason, with its numbers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lakehouse.retraining.facts import Alarm, Facts
from lakehouse.training.policies import RetrainPolicy

__all__ = ["CODES", "Decision", "Reason", "decide", "outlook"]

#: What a reason may be about. The first row speaks for training, the second against it.
CODES = (
    *("crashed", "no champion", "definition changed", "new rows", "performance drop"),
    *("distribution change", "asked"),
    *("no rows", "running", "same evidence", "cooldown", "budget", "too few rows", "no alarm"),
)

_ALARMS = {"performance": "performance drop", "drift": "distribution change"}


@dataclass(frozen=True)
class Reason:
    """One reason of a decision.

    Attributes:
        code: One of ``CODES``.
        weight: ``for`` training, ``against`` it, or only ``told``, since a person forces it.
        sentence: The reason with its numbers.
    """

    code: str
    weight: Literal["for", "against", "told"]
    sentence: str


@dataclass(frozen=True)
class Decision:
    """What was decided, and why.

    Attributes:
        verdict: ``train`` or ``no``.
        reasons: At least one.
        attempt: Which attempt in a row since the last that ended with a result, from 1; 0 for
            no.
    """

    verdict: Literal["train", "no"]
    reasons: tuple[Reason, ...]
    attempt: int

    @property
    def deciding(self) -> tuple[Reason, ...]:
        """The reasons that made it what it is."""
        weight = "for" if self.verdict == "train" else "against"
        return tuple(r for r in self.reasons if r.weight == weight)

    @property
    def because(self) -> str:
        """The deciding reasons as one line."""
        return "; ".join(r.sentence for r in self.deciding)


def decide(policy: RetrainPolicy, facts: Facts) -> Decision:
    """Decide whether to train a model now.

    Args:
        policy: As declared with the model.
        facts: What is known.
    """
    causes = tuple(_causes(policy, facts))
    final = tuple(_final(facts))
    retried = any(reason.code == "crashed" for reason in causes)
    checked = tuple(_obstacles(policy, facts, retried=retried))
    if facts.forced:
        checked = tuple(Reason(r.code, "told", r.sentence) for r in checked)
    short = () if causes else tuple(_shortfalls(policy, facts))
    against = (*final, *short, *checked)
    if any(reason.weight == "against" for reason in against):
        # What speaks for training is told too: a person sees what is being held back.
        return Decision("no", (*against, *causes), 0)
    return Decision("train", (*causes, *against), facts.crashes + 1)


def outlook(policy: RetrainPolicy, facts: Facts) -> tuple[Reason, ...]:
    """What would make the model be trained next, and what stands in the way, with numbers."""
    causes = tuple(_causes(policy, facts))
    asked = ("asked", "crashed")
    known = tuple(r for r in causes if r.code not in asked) or tuple(_shortfalls(policy, facts))
    return (*known, *_final(facts), *_obstacles(policy, facts, retried=False))


def _causes(policy: RetrainPolicy, facts: Facts) -> Iterator[Reason]:
    last = facts.last
    if last is not None and 0 < facts.crashes <= policy.retries:
        yield _for(
            "crashed",
            f"the attempt of {_when(last.at)} ended without a result: "
            f"retry {facts.crashes} of {policy.retries}",
        )
    enough = facts.new_rows >= policy.new_rows
    if facts.champion is None and enough:
        yield _for("no champion", f"no champion, and {facts.new_rows:,} ripe rows to learn from")
    before = facts.judged.definition if facts.judged else _definition(facts)
    if before and facts.definition and before != facts.definition:
        yield _for("definition changed", "the model or its feature table is declared differently")
    if facts.champion is not None and enough:
        yield _for("new rows", f"{_rows(policy, facts)}")
    for alarm in _newest(facts.new_alarms):
        yield _for(_ALARMS[alarm.monitor], f"{alarm.because} (looked {_when(alarm.looked)})")
    for trigger in facts.triggers:
        if trigger.kind == "on demand":
            by = f" by {trigger.by}" if trigger.by else ""
            yield _for("asked", f"asked{by}: {trigger.detail or 'no reason was given'}")


def _final(facts: Facts) -> Iterator[Reason]:
    """What nobody can overrule."""
    if facts.lacking:
        yield _against("no rows", facts.lacking)
    if facts.running:
        yield _against("running", facts.running)


def _obstacles(policy: RetrainPolicy, facts: Facts, *, retried: bool) -> Iterator[Reason]:
    last = facts.last
    if last is None:
        return
    # A retry makes up for an attempt that gave no answer: its evidence is still open.
    open_ = facts.crashes if 0 < facts.crashes <= policy.retries else 0
    spent = facts.attempts[: len(facts.attempts) - open_]
    same = [a for a in spent if facts.fingerprint and a.fingerprint == facts.fingerprint]
    if same:
        yield _against("same evidence", _same(same[-1].version, same[-1].state, same[-1].at))
    ends = last.at + policy.cooldown
    if facts.now < ends and not retried:
        waited = _span(facts.now - last.at)
        yield _against(
            "cooldown",
            f"the last attempt was {waited} ago; the cooldown of {_span(policy.cooldown)} "
            f"ends {_when(ends)}",
        )
    budget = policy.budget
    within = [a.at for a in facts.attempts if a.at > facts.now - budget.per]
    if len(within) >= budget.attempts:
        free = within[len(within) - budget.attempts] + budget.per
        yield _against(
            "budget",
            f"{len(within)} of {budget.attempts} attempts in {_span(budget.per)} are used; "
            f"the next is free {_when(free)}",
        )


def _shortfalls(policy: RetrainPolicy, facts: Facts) -> Iterator[Reason]:
    if facts.new_rows < policy.new_rows:
        yield _against("too few rows", _rows(policy, facts))
    if facts.champion is not None and not facts.new_alarms:
        yield _against(
            "no alarm", f"no alarm about champion {facts.champion.version} since the last attempt"
        )


def _definition(facts: Facts) -> str:
    return facts.champion.definition if facts.champion else ""


def _newest(alarms: tuple[Alarm, ...]) -> tuple[Alarm, ...]:
    return tuple({alarm.monitor: alarm for alarm in alarms if alarm.monitor in _ALARMS}.values())


def _same(version: int, state: str, at: dt.datetime) -> str:
    made = f"version {version} was trained" if version else f"an attempt was made ({state})"
    return f"{made} from these rows with this definition on {_when(at)}"


def _rows(policy: RetrainPolicy, facts: Facts) -> str:
    since = f" since {facts.since:%Y-%m-%d}" if facts.since else ""
    return f"{facts.new_rows:,} of {policy.new_rows:,} new ripe rows{since}"


def _for(code: str, sentence: str) -> Reason:
    return Reason(code, "for", sentence)


def _against(code: str, sentence: str) -> Reason:
    return Reason(code, "against", sentence)


def _when(at: dt.datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _span(of: dt.timedelta) -> str:
    minutes = int(of.total_seconds() // 60)
    if minutes >= 2 * 24 * 60:
        return f"{minutes / 24 / 60:.3g} days"
    return f"{minutes / 60:.3g} hours" if minutes >= 120 else f"{minutes} minutes"
