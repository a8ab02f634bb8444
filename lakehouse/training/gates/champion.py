"""The gate against the champion: on days that neither was trained on, day by day (pure)."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from lakehouse.training.bootstrap import LEAST_DAYS, Days, interval
from lakehouse.training.conditions import ChampionGate
from lakehouse.training.fields import LOWER_IS_BETTER, MetricName
from lakehouse.training.gates.case import Case, Champion
from lakehouse.training.gates.result import GateResult
from lakehouse.training.metrics import evaluate

if TYPE_CHECKING:
    import numpy as np

__all__ = ["judge", "later_rows"]


def judge(gate: ChampionGate, case: Case) -> GateResult:
    """Whether the candidate may be worse than the champion by no more than the margin.

    The lower end of the interval of *candidate − champion* decides: whole days are drawn, the
    same for both, so that what makes a day hard is hard for both.
    """
    champion = case.champion
    if champion is None:
        return GateResult.unknown(gate.name, gate.kind, case.alone, blocks=False)
    rows, lacking = later_rows(case, champion)
    if rows is None or champion.probability is None:
        return GateResult.unknown(gate.name, gate.kind, lacking, champion=champion.version)
    y, day = case.test.y[rows], case.test.day[rows]
    days = Days(day)
    if days.count < LEAST_DAYS:
        because = f"{days.count} days are later than both trainings; {LEAST_DAYS} are needed"
        return GateResult.unknown(gate.name, gate.kind, because, champion=champion.version)
    pair = [case.candidate.probability[rows], champion.probability[rows]]
    ours, theirs = (evaluate("", y, p).value(gate.metric) for p in pair)
    drawn = _gain(gate.metric, *(days.values(gate.metric, y, p) for p in pair))
    between = interval(drawn, days.count, gate.confidence)
    if ours is None or theirs is None or between is None:
        because = f"{gate.metric} is not defined on {len(y)} rows of one class"
        return GateResult.unknown(gate.name, gate.kind, because, champion=champion.version)
    low, high = between
    gain = _gain(gate.metric, ours, theirs)
    because = (
        f"{gate.metric} {ours:.4f} against {theirs:.4f} of champion version {champion.version} on "
        f"{len(y):,} rows of {days.count} days later than both trainings: better by {gain:+.4f}, "
        f"with {gate.confidence:.0%} confidence by {_apart(low, -gate.margin)} to {high:+.4f}; "
        f"at least {-gate.margin:+g} is asked"
    )
    return GateResult.of(
        gate.name,
        gate.kind,
        low >= -gate.margin,
        because,
        candidate=ours,
        champion=theirs,
        champion_version=champion.version,
        gain=gain,
        low=low,
        high=high,
        rows=len(y),
        days=days.count,
    )


def _apart(value: float, limit: float) -> str:
    """Four digits, or as many as show on which side of a limit it lies."""
    digits = next((n for n in range(4, 9) if round(value, n) != round(limit, n)), 4)
    return f"{value:+.{digits}f}"


def later_rows(
    case: Case, champion: Champion
) -> tuple[np.ndarray[Any, np.dtype[np.bool_]] | None, str]:
    """Which test rows neither model was trained on; or None, and why there are none."""
    if champion.probability is None:
        return None, f"champion version {champion.version} {champion.because}"
    if champion.trained_until is None:
        told = "does not say which rows it was trained on"
        return None, f"the record of champion version {champion.version} {told}"
    since = max(champion.trained_until, case.candidate.trained_until)
    rows = case.test.day >= _day(since)
    if not rows.any():
        return None, f"no test row is later than both trainings, which end on {since}"
    return rows, ""


def _day(date: dt.date) -> int:
    return (date - dt.date(1970, 1, 1)).days


def _gain(metric: MetricName, ours: Any, theirs: Any) -> Any:
    return theirs - ours if metric in LOWER_IS_BETTER else ours - theirs
