"""Gates on the candidate's metrics: against a number, or against the best baseline (pure)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace

from lakehouse.training.conditions import MetricGate
from lakehouse.training.fields import LOWER_IS_BETTER
from lakehouse.training.gates.result import GateResult
from lakehouse.training.metrics import Evaluation

__all__ = ["judge"]


def judge(gate: MetricGate, candidate: Evaluation, baselines: Sequence[Evaluation]) -> GateResult:
    """The verdict of one gate; the best baseline is what counts."""
    value = candidate.value(gate.metric)
    if value is None:
        because = f"{gate.metric} is not defined on {candidate.rows} test rows of one class"
        return replace(GateResult.unknown(gate.name, gate.kind, because), metric=gate.metric)
    if gate.by is None:
        return _absolute(gate, value)
    return _relative(gate, gate.by, value, baselines)


def _absolute(gate: MetricGate, value: float) -> GateResult:
    limit = gate.at_most if gate.at_least is None else gate.at_least
    assert limit is not None
    _, asked = _direction(gate)
    because = f"{gate.metric} {value:.4f}, {asked} {limit:g} is asked"
    return _result(gate, value, limit, because)


def _relative(
    gate: MetricGate, by: float, value: float, baselines: Sequence[Evaluation]
) -> GateResult:
    known = [(b.value(gate.metric), b.model) for b in baselines]
    values = [(v, name) for v, name in known if v is not None]
    if not values:
        because = f"no baseline has a {gate.metric} on these rows"
        unknown = GateResult.unknown(gate.name, gate.kind, because, candidate=value)
        return replace(unknown, metric=gate.metric, candidate=value)
    lower = gate.metric in LOWER_IS_BETTER
    best, name = min(values) if lower else max(values)
    required = best - by if lower else best + by
    _, asked = _direction(gate)
    because = (
        f"{gate.metric} {value:.4f} against {best:.4f} of {name}; "
        f"{asked} {required:.4f} is asked (better by {by:g})"
    )
    return _result(gate, value, required, because, name)


def _result(
    gate: MetricGate, value: float, required: float, because: str, baseline: str | None = None
) -> GateResult:
    better, _ = _direction(gate)
    passed = better(value, required)
    against = {"baseline": baseline} if baseline else {}
    made = GateResult.of(
        gate.name, gate.kind, passed, because, candidate=value, required=required, **against
    )
    return replace(made, metric=gate.metric, candidate=value, required=required, baseline=baseline)


def _direction(gate: MetricGate) -> tuple[Callable[[float, float], bool], str]:
    if gate.metric in LOWER_IS_BETTER:
        return operator.le, "at most"
    return operator.ge, "at least"
