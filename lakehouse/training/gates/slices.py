"""The gate on slices: no declared part of the rows is paid for by the others (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakehouse.training.conditions import SliceOf, SlicesGate
from lakehouse.training.dataset import slices_of
from lakehouse.training.fields import LOWER_IS_BETTER
from lakehouse.training.gates.case import Case
from lakehouse.training.gates.champion import later_rows
from lakehouse.training.gates.result import GateResult
from lakehouse.training.metrics import evaluate

if TYPE_CHECKING:
    import numpy as np

__all__ = ["judge"]

_NAMED = 5


def judge(gate: SlicesGate, declared: tuple[SliceOf, ...], case: Case) -> GateResult:
    """Whether the candidate is worse in no slice than the champion by more than the margin.

    Without a champion the baseline that is best on all rows is compared with.
    """
    rival = _rival(gate, case)
    if isinstance(rival, str):
        return GateResult.unknown(gate.name, gate.kind, rival)
    against, rows, theirs = rival
    test = case.test.only(rows)
    ours = case.candidate.probability[rows]
    compared, worse = 0, {}
    least = (1.0, "", 0.0, 0.0)
    for name, at in slices_of(test, declared):
        pair = [evaluate("", test.y[at], p[at]).value(gate.metric) for p in (ours, theirs[rows])]
        if pair[0] is None or pair[1] is None:
            continue
        compared += 1
        gain = pair[1] - pair[0] if gate.metric in LOWER_IS_BETTER else pair[0] - pair[1]
        least = min(least, (gain, name, pair[0], pair[1]))
        if round(gain + gate.margin, 12) < 0:
            worse[name] = gain
    if not compared:
        because = "no slice has enough rows of both classes; lower its min_rows"
        return GateResult.unknown(gate.name, gate.kind, because)
    return _result(gate, against, compared, worse, least)


def _rival(
    gate: SlicesGate, case: Case
) -> tuple[str, np.ndarray[Any, np.dtype[np.bool_]], Any] | str:
    import numpy as np

    if case.champion is not None:
        rows, lacking = later_rows(case, case.champion)
        if rows is None:
            return lacking
        return f"champion version {case.champion.version}", rows, case.champion.probability
    known = [(b.evaluation.value(gate.metric), b) for b in case.baselines]
    values = [(value, b) for value, b in known if value is not None]
    if not values:
        return "there is neither a champion nor a baseline to compare with"
    worst_first = -1 if gate.metric in LOWER_IS_BETTER else 1
    _, best = max(values, key=lambda pair: worst_first * pair[0])
    return best.evaluation.model, np.ones(case.test.rows, dtype=bool), best.probability


def _result(
    gate: SlicesGate,
    against: str,
    compared: int,
    worse: dict[str, float],
    least: tuple[float, str, float, float],
) -> GateResult:
    gain, name, ours, theirs = least
    told = f"{name}: {gate.metric} {ours:.4f} against {theirs:.4f} ({gain:+.4f})"
    allowed = f"worse by {gate.margin:g} is allowed"
    if worse:
        named = ", ".join(sorted(worse, key=lambda n: worse[n])[:_NAMED])
        more = f" and {len(worse) - _NAMED} more" if len(worse) > _NAMED else ""
        found = f"{len(worse)} of {compared} slices are worse than {against}: {named}{more}"
        because = f"{found}; most {told}"
    else:
        because = f"none of {compared} slices is worse than {against}; least {told}"
    return GateResult.of(
        gate.name,
        gate.kind,
        not worse,
        f"{because}; {allowed}",
        slices=compared,
        worse=len(worse),
        least=gain,
        slice=name,
    )
