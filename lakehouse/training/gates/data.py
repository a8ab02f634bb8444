"""Gates on the rows that a candidate learnt from (pure)."""

from __future__ import annotations

from lakehouse.monitoring.drift import FeatureDrift, compare, weighted_effect
from lakehouse.monitoring.reference import Reference
from lakehouse.training.conditions import MissingGate, SkewGate, VolumeGate
from lakehouse.training.gates.case import Case
from lakehouse.training.gates.result import GateResult

__all__ = ["missing", "skew", "volume"]

_NAMED = 3


def volume(gate: VolumeGate, case: Case) -> GateResult:
    """Whether there were enough labelled rows."""
    rows = case.candidate.training_rows
    because = f"{rows:,} labelled rows to learn from, at least {gate.at_least:,} are asked"
    passed = rows >= gate.at_least
    return GateResult.of(gate.name, gate.kind, passed, because, rows=rows, required=gate.at_least)


def missing(gate: MissingGate, case: Case) -> GateResult:
    """Whether a feature is NULL much more often than it was for the champion."""
    found = _compared(case)
    if isinstance(found, str):
        return _unknown(gate, case, found)
    worst = max(found, key=lambda one: one.missing - one.missing_before)
    rise = worst.missing - worst.missing_before
    because = (
        f"{worst.feature} is NULL in {worst.missing:.1%} of the training rows, "
        f"{worst.missing_before:.1%} in the champion's; a rise of {gate.at_most:.1%} is allowed"
    )
    # Twelve digits: a difference of shares is not exact.
    passed = round(rise - gate.at_most, 12) <= 0
    return GateResult.of(gate.name, gate.kind, passed, because, feature=worst.feature, rise=rise)


def skew(gate: SkewGate, case: Case) -> GateResult:
    """Whether the training rows are distributed as the champion's were."""
    found = _compared(case)
    if isinstance(found, str):
        return _unknown(gate, case, found)
    value = weighted_effect(found)
    most = sorted(found, key=lambda one: -one.importance * one.effect)[:_NAMED]
    named = ", ".join(f"{one.feature} {one.effect:.2f}" for one in most)
    because = (
        f"effect {value:.3f} on average by importance, at most {gate.at_most:g} is allowed; "
        f"most by {named}"
    )
    evidence = {f"effect.{one.feature}": one.effect for one in most}
    passed = value <= gate.at_most
    return GateResult.of(gate.name, gate.kind, passed, because, effect=value, **evidence)


def _compared(case: Case) -> tuple[FeatureDrift, ...] | str:
    """The features of both, or why they cannot be compared."""
    champion = case.champion
    if champion is None:
        return case.alone
    if champion.reference is None:
        return f"champion version {champion.version} left no histograms of its training rows"
    x = case.candidate.training_x
    known = champion.reference.features
    both = Reference(tuple(one for one in known if one.feature in x.columns))
    if not both.features:
        return f"champion version {champion.version} has none of these features"
    return compare(both, both.count(x), case.candidate.importance)


def _unknown(gate: MissingGate | SkewGate, case: Case, because: str) -> GateResult:
    return GateResult.unknown(gate.name, gate.kind, because, blocks=case.champion is not None)
