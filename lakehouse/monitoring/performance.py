"""How good stored predictions were, once their labels are known, and what to expect before (pure).

Intervals are of 95 %, by the jackknife that leaves out one day at a time, with Student's t for
the number of days (the delete-a-group jackknife: Kott, "The Delete-a-Group Jackknife", Journal
of Official Statistics 17, 2001): rows of one day are alike, and a bootstrap over the few days of
a window would be too narrow.

A row whose label is not known yet counts as 1 and as 0 with the probabilities that the model
itself gave: right as far as these are calibrated (confidence-based performance estimation).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakehouse.monitoring.verdict import Verdict
from lakehouse.training.declaration import LOWER_IS_BETTER, MetricName, SliceOf

if TYPE_CHECKING:
    import numpy as np

    Doubles = np.ndarray[Any, np.dtype[np.float64]]

__all__ = ["Measured", "Predicted", "measure", "performance"]

_CONFIDENCE = 0.95
#: Fewer days say little of the spread between days: rows are then dealt to so many groups.
_LEAST_DAYS, _GROUPS = 5, 20


@dataclass(frozen=True)
class Predicted:
    """Predictions of one version in one window; all of shape (rows,).

    Attributes:
        probability: Of class 1, as it was stored.
        outcome: The label, 0 or 1, where it is known; else the probability.
        day: The day of the event, as a number.
        slices: Column → the row's value as text.
        estimated: Whether the outcome of any row is expected, not known.
    """

    probability: Doubles
    outcome: Doubles
    day: np.ndarray[Any, np.dtype[np.int64]]
    slices: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    estimated: bool = False

    @property
    def rows(self) -> int:
        """How many predictions."""
        return len(self.probability)

    def where(self, chosen: np.ndarray[Any, np.dtype[np.bool_]]) -> Predicted:
        """Some of the rows."""
        return Predicted(
            self.probability[chosen],
            self.outcome[chosen],
            self.day[chosen],
            {name: values[chosen] for name, values in self.slices.items()},
            self.estimated,
        )


@dataclass(frozen=True)
class Measured:
    """One metric of one window and slice.

    Attributes:
        slice: ``column=value``; empty for all rows.
        metric: Its name.
        value: None where it is not defined: where only one class is there.
        low: Lower end of its 95 % interval; None where there is none.
        high: Upper end.
        rows: Predictions that were measured.
        estimated: Whether it is expected, not known.
    """

    slice: str
    metric: MetricName
    value: float | None
    low: float | None
    high: float | None
    rows: int
    estimated: bool


def measure(
    predicted: Predicted,
    metrics: Sequence[MetricName],
    slices: Sequence[SliceOf] = (),
) -> tuple[Measured, ...]:
    """Measure all rows by each metric, and each slice of enough rows by the first.

    Args:
        predicted: The predictions of one window.
        metrics: The primary one first.
        slices: Columns whose values are measured on their own.
    """
    found = [_measured("", metric, predicted) for metric in dict.fromkeys(metrics)]
    for name, part in _slices(predicted, slices):
        found.append(_measured(name, metrics[0], part))
    return tuple(found)


def performance(
    windows: Sequence[Measured | None],
    reference: float | None,
    *,
    drop: float,
    last: int,
    bad: int,
    min_rows: int,
) -> Verdict:
    """Judge the latest window by it and those before: an alarm when it and enough others are bad.

    A window is bad when its metric is worse than the reference by more than ``drop``, and the
    reference lies outside of its interval.

    Args:
        windows: The watched metric of all rows, the latest window last; None for a window
            without predictions. None of them estimated.
        reference: What the version reached when it was judged.
        drop: How much worse is bad.
        last: How many windows are looked at, the latest among them.
        bad: How many of them must be bad for an alarm, the latest among them.
        min_rows: Windows with fewer predictions are not judged.
    """
    latest = windows[-1]
    rows = latest.rows if latest else 0
    limit = None if reference is None or latest is None else _limit(latest, reference, drop)
    lacking = _lacking(latest, reference, min_rows)
    if lacking or latest is None or reference is None:
        value = latest.value if latest else None
        return Verdict("performance", "not evaluated", lacking, rows, value, limit)
    judged = [one for one in windows[-last:] if one is not None]
    found = [one for one in judged if _is_bad(one, reference, drop, min_rows)]
    alarm = latest in found and len(found) >= bad
    because = (
        f"{latest.metric} {latest.value:.3f} ({latest.low:.3f} to {latest.high:.3f}), "
        f"{reference:.3f} when it was judged; {len(found)} of the last {len(judged)} windows are "
        f"worse by more than {drop:g}, alarm from {bad} with the latest"
    )
    return Verdict("performance", "alarm" if alarm else "ok", because, rows, latest.value, limit)


def _limit(one: Measured, reference: float, drop: float) -> float:
    return reference + drop if one.metric in LOWER_IS_BETTER else reference - drop


def _lacking(latest: Measured | None, reference: float | None, min_rows: int) -> str:
    if latest is None or latest.rows < min_rows:
        rows = latest.rows if latest else 0
        return f"{rows:,} predictions with labels, {min_rows:,} are needed"
    if latest.value is None or latest.low is None:
        return f"{latest.metric} is not defined: on some day only one class is left"
    if reference is None:
        return f"the version was registered without its {latest.metric}"
    return ""


def _is_bad(one: Measured, reference: float, drop: float, min_rows: int) -> bool:
    if one.value is None or one.low is None or one.high is None or one.rows < min_rows:
        return False
    if one.metric in LOWER_IS_BETTER:
        return one.value > reference + drop and one.low > reference
    return one.value < reference - drop and one.high < reference


def _slices(predicted: Predicted, slices: Sequence[SliceOf]) -> Iterator[tuple[str, Predicted]]:
    import numpy as np

    for one in slices:
        values = predicted.slices[one.column]
        for value, rows in zip(*np.unique(values, return_counts=True), strict=True):
            if rows >= one.min_rows:
                yield f"{one.column}={value}", predicted.where(values == value)


def _measured(name: str, metric: MetricName, predicted: Predicted) -> Measured:
    value = _value(metric, predicted)
    low, high = (None, None) if value is None else _interval(metric, predicted, value)
    return Measured(name, metric, value, low, high, predicted.rows, predicted.estimated)


def _interval(
    metric: MetricName, predicted: Predicted, value: float
) -> tuple[float | None, float | None]:
    import numpy as np
    from scipy.stats import t

    groups = predicted.day
    if len(np.unique(groups)) < _LEAST_DAYS:
        groups = np.arange(predicted.rows) % _GROUPS
    without = _without(metric, predicted, groups)
    known = [one for one in without if one is not None]
    if len(known) < len(without) or len(known) < 2:
        return None, None
    spread = np.sum((np.array(known) - np.mean(known)) ** 2) * (len(known) - 1) / len(known)
    half = float(t.ppf((1 + _CONFIDENCE) / 2, len(known) - 1)) * math.sqrt(float(spread))
    return max(0.0, value - half), min(1.0, value + half)


def _without(
    metric: MetricName, predicted: Predicted, groups: np.ndarray[Any, np.dtype[np.int64]]
) -> list[float | None]:
    """The metric without each group of rows in turn; None where it is not defined."""
    import numpy as np

    from lakehouse.training.bootstrap import average_precision, roc_auc

    rest = [groups != one for one in np.unique(groups)]
    if metric not in ("roc_auc", "average_precision"):
        return [_value(metric, predicted.where(rows)) for rows in rest]
    area = {"roc_auc": roc_auc, "average_precision": average_precision}[metric]
    level = np.unique(predicted.probability, return_inverse=True)[1]
    # By sums: scikit-learn would check and sort the same rows again for each group.

    def sums(weights: Doubles, rows: np.ndarray[Any, np.dtype[np.bool_]]) -> Doubles:
        return np.bincount(level[rows], weights[rows]).astype(np.float64)[np.newaxis]

    y = predicted.outcome
    found = [float(area(sums(y, rows), sums(1 - y, rows))[0]) for rows in rest]
    return [one if math.isfinite(one) else None for one in found]


def _value(metric: MetricName, predicted: Predicted) -> float | None:
    """One metric of outcomes that are known or expected; None where it is not defined."""
    import numpy as np
    from sklearn.metrics import average_precision_score, roc_auc_score

    from lakehouse.training.metrics import calibration, calibration_error

    p, outcome = predicted.probability, predicted.outcome
    if not len(p):
        return None
    if metric == "brier":
        return float(np.mean(outcome * (1 - p) ** 2 + (1 - outcome) * p**2))
    if metric == "calibration_error":
        # An estimate takes the probabilities for calibrated: it would be none.
        return (
            None
            if predicted.estimated
            else calibration_error(calibration(outcome.astype(np.int64), p))
        )
    positive = float(outcome.sum())
    if not 0 < positive < len(p):
        return None
    score = {"roc_auc": roc_auc_score, "average_precision": average_precision_score}[metric]
    if not predicted.estimated:
        return float(score(outcome, p))
    both = np.repeat([1, 0], len(p))
    return float(score(both, np.tile(p, 2), sample_weight=np.concatenate([outcome, 1 - outcome])))
