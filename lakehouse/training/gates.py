"""What a model must show before it may be champion (pure).

No gate passes silently: each has a verdict with its reason and its numbers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from lakehouse.training.declaration import LOWER_IS_BETTER, Gate
from lakehouse.training.metrics import Evaluation

__all__ = ["GateResult", "Verdict", "judge"]

Verdict = Literal["passed", "failed", "not evaluated"]


@dataclass(frozen=True)
class GateResult:
    """One gate's verdict.

    Attributes:
        name: The gate.
        metric: What was looked at.
        verdict: ``passed``, ``failed`` or ``not evaluated``.
        because: The reason, in a sentence with its numbers.
        candidate: The candidate's value, where it is defined.
        required: The value that it had to reach, where it is defined.
        baseline: The baseline that was compared with, for gates with ``by``.
    """

    name: str
    metric: str
    verdict: Verdict
    because: str
    candidate: float | None
    required: float | None
    baseline: str | None = None


def judge(
    gates: Sequence[Gate], candidate: Evaluation, baselines: Sequence[Evaluation]
) -> tuple[GateResult, ...]:
    """The verdict of each gate, in the order of the declaration."""
    return tuple(_judge(gate, candidate, baselines) for gate in gates)


def _judge(gate: Gate, candidate: Evaluation, baselines: Sequence[Evaluation]) -> GateResult:
    value = candidate.value(gate.metric)
    if value is None:
        because = f"{gate.metric} is not defined on {candidate.rows} test rows of one class"
        return GateResult(gate.name, gate.metric, "not evaluated", because, None, None)
    if gate.by is None:
        return _absolute(gate, value)
    return _relative(gate, gate.by, value, baselines)


def _absolute(gate: Gate, value: float) -> GateResult:
    limit = gate.at_most if gate.at_least is None else gate.at_least
    assert limit is not None
    better, asked = _direction(gate)
    passed = better(value, limit)
    because = f"{gate.metric} {value:.4f}, {asked} {limit:g} is asked"
    return GateResult(gate.name, gate.metric, _verdict(passed), because, value, limit)


def _relative(gate: Gate, by: float, value: float, baselines: Sequence[Evaluation]) -> GateResult:
    known = [(b.value(gate.metric), b.model) for b in baselines]
    values = [(v, name) for v, name in known if v is not None]
    if not values:
        because = f"no baseline has a {gate.metric} on these rows"
        return GateResult(gate.name, gate.metric, "not evaluated", because, value, None)
    lower = gate.metric in LOWER_IS_BETTER
    best, name = min(values) if lower else max(values)
    required = best - by if lower else best + by
    better, asked = _direction(gate)
    because = (
        f"{gate.metric} {value:.4f} against {best:.4f} of {name}; "
        f"{asked} {required:.4f} is asked (better by {by:g})"
    )
    verdict = _verdict(better(value, required))
    return GateResult(gate.name, gate.metric, verdict, because, value, required, name)


def _direction(gate: Gate) -> tuple[Callable[[float, float], bool], str]:
    if gate.metric in LOWER_IS_BETTER:
        return operator.le, "at most"
    return operator.ge, "at least"


def _verdict(passed: bool) -> Verdict:
    return "passed" if passed else "failed"
