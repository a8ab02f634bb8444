"""What a model must show before it may be champion (pure).

No gate passes silently: each has a verdict with its reason and its numbers.
"""

from __future__ import annotations

from lakehouse.training.conditions import (
    ChampionGate,
    Gate,
    InfrastructureGate,
    MetricGate,
    MissingGate,
    SkewGate,
    SlicesGate,
    VolumeGate,
)
from lakehouse.training.declaration import ModelDeclaration
from lakehouse.training.gates import champion, data, metrics, slices
from lakehouse.training.gates.case import Candidate, Case, Champion, Judged
from lakehouse.training.gates.result import GateResult, Verdict, waived

__all__ = [
    "Candidate",
    "Case",
    "Champion",
    "GateResult",
    "Judged",
    "Verdict",
    "fresh_window",
    "infrastructure_name",
    "judge",
]


def judge(declaration: ModelDeclaration, case: Case) -> tuple[GateResult, ...]:
    """The verdict of each gate in the order of the declaration, then of ``fresh_window``.

    Those of kind ``infrastructure`` are left out: they are judged on what is stored.
    """
    judged = [
        _judge(gate, declaration, case)
        for gate in declaration.gates
        if not isinstance(gate, InfrastructureGate)
    ]
    permitted = [waived(result, declaration.waivers, case.today) for result in judged]
    return (*permitted, fresh_window(case))


def _judge(gate: Gate, declaration: ModelDeclaration, case: Case) -> GateResult:
    match gate:
        case MetricGate():
            others = [b.evaluation for b in case.baselines]
            return metrics.judge(gate, case.candidate.evaluation, others)
        case ChampionGate():
            return champion.judge(gate, case)
        case SlicesGate():
            return slices.judge(gate, declaration.slices, case)
        case VolumeGate():
            return data.volume(gate, case)
        case MissingGate():
            return data.missing(gate, case)
        case SkewGate():
            return data.skew(gate, case)
    raise AssertionError(gate.kind)


def fresh_window(case: Case) -> GateResult:
    """One evaluation window decides at most one promotion: nobody trains until he is lucky."""
    name = "fresh_window"
    if case.decided is None:
        because = "no evaluation window has decided a promotion yet"
        return GateResult(name, name, "passed", because)
    until, version = case.decided
    told = f"the window until {until} decided that version {version} became champion"
    because = f"{told}; this one ends on {case.window_end}"
    fresh = case.window_end > until
    if not fresh:
        because += ": judge on later rows, or 'lake promote' with a reason"
    return GateResult.of(
        name, name, fresh, because, window_end=str(case.window_end), decided=str(until)
    )


def infrastructure_name(declaration: ModelDeclaration) -> str:
    """The name of the gate on what is stored, declared or not."""
    named = (g.name for g in declaration.gates if isinstance(g, InfrastructureGate))
    return next(named, "infrastructure")
