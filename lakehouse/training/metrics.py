"""How good probabilities are, on rows that were not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakehouse.training.bootstrap import Days, interval
from lakehouse.training.conditions import SliceOf
from lakehouse.training.dataset import Samples, slices_of
from lakehouse.training.fields import MetricName

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "CalibrationBin",
    "Evaluation",
    "calibration",
    "calibration_error",
    "evaluate",
    "evaluate_slices",
]

BINS = 10


@dataclass(frozen=True)
class CalibrationBin:
    """Rows whose probability lies in ``[low, high)``; the last bin includes 1.

    Attributes:
        low: Its lower edge.
        high: Its upper edge.
        rows: How many rows; empty bins are left out.
        predicted: Their mean probability.
        observed: The share of them that is of class 1.
    """

    low: float
    high: float
    rows: int
    predicted: float
    observed: float


@dataclass(frozen=True)
class Evaluation:
    """One model's metrics on one set of rows.

    Attributes:
        model: ``candidate``, or the baseline's name.
        rows: How many rows.
        base_rate: The share of class 1.
        roc_auc: Area under the ROC curve; None when only one class is there.
        average_precision: Area under the precision-recall curve; None likewise.
        brier: Mean squared difference of probability and label; less is better.
        calibration_error: Expected calibration error; less is better.
        calibration: Its bins, from low to high.
        intervals: Metric → the ends of its 95 % interval, where it has one.
    """

    model: str
    rows: int
    base_rate: float
    roc_auc: float | None
    average_precision: float | None
    brier: float
    calibration_error: float
    calibration: tuple[CalibrationBin, ...]
    intervals: Mapping[MetricName, tuple[float, float]] = field(default_factory=dict)

    def value(self, metric: MetricName) -> float | None:
        """The metric of that name; None when it is not defined on these rows."""
        return self.metrics.get(metric)

    @property
    def metrics(self) -> Mapping[str, float]:
        """The metrics that are defined on these rows, by name."""
        values: dict[str, float | None] = {
            "roc_auc": self.roc_auc,
            "average_precision": self.average_precision,
            "brier": self.brier,
            "calibration_error": self.calibration_error,
        }
        return {name: value for name, value in values.items() if value is not None}


def evaluate(
    model: str,
    y: np.ndarray[Any, np.dtype[np.int64]],
    probability: np.ndarray[Any, np.dtype[np.float64]],
    day: np.ndarray[Any, np.dtype[np.int64]] | None = None,
    sure_of: Sequence[MetricName] = ("roc_auc", "average_precision", "brier"),
) -> Evaluation:
    """Compare probabilities with labels.

    Args:
        model: The name in the result.
        y: Labels 0 and 1, shape (rows,), at least one row.
        probability: Of class 1, shape (rows,).
        day: Of each row, for the intervals; None for none.
        sure_of: The metrics that get an interval.
    """
    import numpy as np
    from sklearn.metrics import average_precision_score, roc_auc_score

    both = 0 < y.sum() < len(y)
    bins = calibration(y, probability)
    return Evaluation(
        model=model,
        rows=len(y),
        base_rate=float(y.mean()),
        roc_auc=float(roc_auc_score(y, probability)) if both else None,
        average_precision=float(average_precision_score(y, probability)) if both else None,
        brier=float(np.mean((probability - y) ** 2)),
        calibration_error=calibration_error(bins),
        calibration=bins,
        intervals={} if day is None else _intervals(y, probability, day, sure_of),
    )


def _intervals(
    y: np.ndarray[Any, np.dtype[np.int64]],
    probability: np.ndarray[Any, np.dtype[np.float64]],
    day: np.ndarray[Any, np.dtype[np.int64]],
    names: Sequence[MetricName],
) -> Mapping[MetricName, tuple[float, float]]:
    days = Days(day)
    found = {name: interval(days.values(name, y, probability), days.count) for name in names}
    return {name: ends for name, ends in found.items() if ends is not None}


def evaluate_slices(
    samples: Samples,
    probability: np.ndarray[Any, np.dtype[np.float64]],
    declared: Sequence[SliceOf],
    primary: MetricName,
) -> tuple[Evaluation, ...]:
    """Each declared slice with enough rows, named ``column=value``, with its primary interval."""
    return tuple(
        evaluate(name, samples.y[at], probability[at], samples.day[at], [primary])
        for name, at in slices_of(samples, declared)
    )


def calibration(
    y: np.ndarray[Any, np.dtype[np.int64]],
    probability: np.ndarray[Any, np.dtype[np.float64]],
) -> tuple[CalibrationBin, ...]:
    """Ten bins of equal width, without the empty ones."""
    import numpy as np

    at = np.minimum((probability * BINS).astype(int), BINS - 1)
    rows = np.bincount(at, minlength=BINS)
    predicted = np.bincount(at, weights=probability, minlength=BINS)
    observed = np.bincount(at, weights=y, minlength=BINS)
    return tuple(
        CalibrationBin(
            low=i / BINS,
            high=(i + 1) / BINS,
            rows=int(rows[i]),
            predicted=float(predicted[i] / rows[i]),
            observed=float(observed[i] / rows[i]),
        )
        for i in range(BINS)
        if rows[i]
    )


def calibration_error(bins: tuple[CalibrationBin, ...]) -> float:
    """Expected calibration error: the bins' gaps, weighted by their rows.

    Source: Naeini, Cooper, Hauskrecht, "Obtaining Well Calibrated Probabilities
    Using Bayesian Binning", AAAI 2015.
    """
    total = sum(b.rows for b in bins)
    return sum(b.rows * abs(b.predicted - b.observed) for b in bins) / total
