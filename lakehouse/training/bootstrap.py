"""How sure a metric is: days drawn again and again, with all of their rows (pure).

Rows of one day resemble each other: the same storm delays them all. So whole days are drawn with
replacement, the same for every model that is compared, and never single rows.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13. Tails are
widened for few days as in Hesterberg, "What Teachers Should Know About the Bootstrap", The American
Statistician 69(4), 2015, section 5.3.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

from lakehouse.training.fields import MetricName

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Integers = np.ndarray[Any, np.dtype[np.int64]]

__all__ = ["LEAST_DAYS", "Days", "average_precision", "interval", "roc_auc"]

#: An interval from fewer days says little.
LEAST_DAYS = 10

_DRAWS = 2000
#: More different scores than this are taken together, where they lie side by side.
_LEVELS = 2048
_BINS = 10


class Days:
    """The days of some rows, drawn with replacement; the same draws for every metric and model.

    Args:
        day: Of each row, as a whole number; shape (rows,).
    """

    def __init__(self, day: Integers) -> None:
        import numpy as np

        known, self._of_row = np.unique(day, return_inverse=True)
        self.count = len(known)

    @functools.cached_property
    def _draws(self) -> Floats:
        """How often each day is drawn; shape (draws, days)."""
        import numpy as np

        make = np.random.default_rng(0)
        shares = np.full(self.count, 1 / self.count)
        return make.multinomial(self.count, shares, _DRAWS).astype(np.float64)

    def values(self, metric: MetricName, y: Integers, probability: Floats) -> Floats:
        """The metric in each draw, NaN where it is not defined; shape (draws,).

        Args:
            metric: Its name.
            y: Labels 0 and 1, shape (rows,).
            probability: Of class 1, shape (rows,).
        """
        match metric:
            case "brier":
                return self._brier(y, probability)
            case "calibration_error":
                return self._calibration_error(y, probability)
            case "roc_auc":
                return self._roc_auc(*self._by_level(y, probability))
            case "average_precision":
                positive, negative = self._by_level(y, probability)
                return average_precision(self._draws @ positive, self._draws @ negative)

    def _roc_auc(self, positive: Floats, negative: Floats) -> Floats:
        """Pairs of a row of one day and a row of another are counted once, for all draws."""
        import numpy as np

        won = positive @ _below(negative).T
        of_draw = ((self._draws @ won) * self._draws).sum(axis=1)
        pairs = (self._draws @ positive.sum(axis=1)) * (self._draws @ negative.sum(axis=1))
        with np.errstate(invalid="ignore"):
            found: Floats = of_draw / np.where(pairs, pairs, np.nan)
        return found

    def _brier(self, y: Integers, probability: Floats) -> Floats:
        loss = self._sums((probability - y) ** 2)
        rows = self._sums(None)
        found: Floats = (self._draws @ loss / (self._draws @ rows))[:, 0]
        return found

    def _calibration_error(self, y: Integers, probability: Floats) -> Floats:
        import numpy as np

        bins = np.minimum((probability * _BINS).astype(np.int64), _BINS - 1)
        gaps = self._draws @ self._sums(probability - y, bins, _BINS)
        found: Floats = np.abs(gaps).sum(axis=1) / (self._draws @ self._sums(None))[:, 0]
        return found

    def _by_level(self, y: Integers, probability: Floats) -> tuple[Floats, Floats]:
        """Rows of class 1 and of class 0 by level of the score; each of shape (days, levels)."""
        import numpy as np

        known, level = np.unique(probability, return_inverse=True)
        if len(known) > _LEVELS:
            cuts = np.unique(np.quantile(probability, np.linspace(0, 1, _LEVELS + 1)[1:-1]))
            level = np.searchsorted(cuts, probability, side="right")
        levels = int(level.max()) + 1
        return self._sums(y == 1, level, levels), self._sums(y == 0, level, levels)

    def _sums(
        self, weights: Any | None, column: Integers | None = None, columns: int = 1
    ) -> Floats:
        """Sums of the rows of each day, apart by column; shape (days, columns)."""
        import numpy as np

        cell = self._of_row if column is None else self._of_row * columns + column
        sums = np.bincount(cell, weights=weights, minlength=self.count * columns)
        return sums.astype(np.float64).reshape(self.count, columns)


def interval(values: Floats, days: int, confidence: float = 0.95) -> tuple[float, float] | None:
    """Between which values a metric lies.

    Args:
        values: Of the draws, shape (draws,).
        days: How many days were drawn from.
        confidence: The share of such intervals that hold the true value.

    Returns:
        The two ends; None when there are fewer than two days, or no value.
    """
    import numpy as np
    from scipy import stats

    known = values[np.isfinite(values)]
    if days < 2 or not len(known):
        return None
    reach = math.sqrt(days / (days - 1)) * stats.t.ppf((1 + confidence) / 2, days - 1)
    tail = float(stats.norm.cdf(-reach))
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


def roc_auc(positive: Floats, negative: Floats) -> Floats:
    """The area under the curve of each draw; NaN where only one class is in it.

    Args:
        positive: Rows of class 1 by score, from low to high; shape (draws, scores).
        negative: Rows of class 0.
    """
    import numpy as np

    below = _below(negative)
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(invalid="ignore"):
        found: Floats = (positive * below).sum(axis=1) / np.where(pairs, pairs, np.nan)
    return found


def _below(negative: Floats) -> Floats:
    """Rows of class 0 with a lower score than each, and half of those with the same."""
    import numpy as np

    found: Floats = np.cumsum(negative, axis=1) - negative / 2
    return found


def average_precision(positive: Floats, negative: Floats) -> Floats:
    """The average precision of each draw; NaN where nothing is of class 1. As :func:`roc_auc`."""
    import numpy as np

    hits = np.cumsum(positive[:, ::-1], axis=1)
    told = hits + np.cumsum(negative[:, ::-1], axis=1)
    precision = hits / np.where(told, told, 1)
    total = positive.sum(axis=1)
    gained = (precision * positive[:, ::-1]).sum(axis=1)
    found: Floats = np.where(total > 0, gained / np.where(total, total, 1), np.nan)
    return found
