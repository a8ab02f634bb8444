"""Whether rows are distributed as those that a model learnt from (pure).

The effect size is Cramér's V of the two distributions, each with the same weight: 0 for equal
ones, 1 for such that share no bin; a normal feature whose mean moves by a fifth of its standard
deviation gives 0.1. By chance alone its square is expected at ``(bins - 1) / 4 * (1 / n + 1 /
m)``; that is taken off, so that few rows do not look like drift (Bergsma, "A bias-correction for
Cramér's V and Tschuprow's T", Journal of the Korean Statistical Society 42, 2013). A feature
drifted when its effect is large *and* chance is excluded: by a chi-square test of homogeneity, by
Fisher's exact test for values too rare for it, corrected for the number of features (Holm 1979).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakehouse.monitoring.reference import Counts, Reference
from lakehouse.monitoring.verdict import Verdict

if TYPE_CHECKING:
    import numpy as np

    Doubles = np.ndarray[Any, np.dtype[np.float64]]

__all__ = ["ALPHA", "FeatureDrift", "compare", "drift", "missing", "weighted_effect"]

#: The chance, at most, that a window without drift has a drifted feature.
ALPHA = 0.001

#: Bins in which fewer rows are expected are counted as one, and tested exactly (Cochran 1954).
_LEAST_EXPECTED = 5.0
_NAMED = 3


@dataclass(frozen=True)
class FeatureDrift:
    """One feature in one window, against the rows of the reference.

    Attributes:
        feature: The column.
        rows: Rows of the window.
        missing: Share of them that is NULL.
        missing_before: The same share of the reference's rows.
        effect: Cramér's V of the two distributions, without what chance is expected to give.
        p_value: That chance gives such a difference, corrected for the number of features; None
            when there was nothing to test.
        missing_p: That chance gives such a rise of NULLs, corrected for the number of features.
        importance: The feature's share in the model's importance; over all features they sum
            to 1.
        drifted: Whether effect and p-value both say so.
    """

    feature: str
    rows: int
    missing: float
    missing_before: float
    effect: float
    p_value: float | None
    missing_p: float
    importance: float
    drifted: bool


def compare(
    reference: Reference,
    window: Mapping[str, Counts],
    importance: Mapping[str, float],
    effect: float = 0.1,
) -> tuple[FeatureDrift, ...]:
    """Compare a window with the reference, feature by feature.

    Args:
        reference: The bins, and the counts of the training rows.
        window: Counts in these bins, by feature.
        importance: Feature → its share; equal shares when it says nothing of any.
        effect: The effect size from which a feature counts as drifted.
    """
    shares = _shares(importance, [one.feature for one in reference.features])
    tested = [_test(one.trained, window[one.feature]) for one in reference.features]
    corrected = iter(_holm([p for _, p in tested if p is not None]))
    found = []
    for one, (size, p) in zip(reference.features, tested, strict=True):
        counts, before = window[one.feature], one.trained
        more = _rise(before.missing, before.rows, counts.missing, counts.rows)
        p_value = None if p is None else next(corrected)
        found.append(
            FeatureDrift(
                feature=one.feature,
                rows=counts.rows,
                missing=counts.null_share,
                missing_before=before.null_share,
                effect=size,
                p_value=p_value,
                missing_p=min(1.0, more * len(reference.features)),
                importance=shares[one.feature],
                drifted=p_value is not None and p_value < ALPHA and size >= effect,
            )
        )
    return tuple(found)


def weighted_effect(found: Sequence[FeatureDrift]) -> float:
    """The features' effect sizes, averaged by importance."""
    return sum(one.importance * one.effect for one in found)


def drift(found: Sequence[FeatureDrift], share: float, min_rows: int) -> Verdict:
    """Judge a window: an alarm when features of this share of the importance drifted."""
    rows = max((one.rows for one in found), default=0)
    if rows < min_rows:
        return _too_few("drift", rows, min_rows, share)
    drifted = sorted((one for one in found if one.drifted), key=lambda one: -one.importance)
    value = sum(one.importance for one in drifted)
    # Twelve digits: sums of shares are not exact.
    alarm = bool(drifted) and round(value - share, 12) >= 0
    if drifted:
        told = f"{_named(drifted)} drifted: {value:.0%} of the importance"
    else:
        told = f"none of {len(found)} features drifted"
    because = f"{told}, alarm from {share:.0%}"
    return Verdict("drift", "alarm" if alarm else "ok", because, rows, value, share)


def missing(found: Sequence[FeatureDrift], at_most: float, min_rows: int) -> Verdict:
    """Judge a window by the greatest rise of a feature's share of NULL that is not chance."""
    rows = max((one.rows for one in found), default=0)
    if rows < min_rows or not found:
        return _too_few("missing", rows, min_rows, at_most)
    risen = [one for one in found if one.missing_p < ALPHA]
    worst = max(risen or found, key=lambda one: one.missing - one.missing_before)
    value = worst.missing - worst.missing_before
    alarm = bool(risen) and value > at_most
    because = (
        f"{worst.feature} is NULL in {worst.missing:.1%} of the rows, {worst.missing_before:.1%} "
        f"in training; a rise of {at_most:.0%} is allowed"
    )
    return Verdict("missing", "alarm" if alarm else "ok", because, rows, value, at_most)


def _too_few(monitor: str, rows: int, min_rows: int, limit: float) -> Verdict:
    because = f"{rows:,} rows, {min_rows:,} are needed"
    return Verdict(monitor, "not evaluated", because, rows, None, limit)


def _named(drifted: Sequence[FeatureDrift]) -> str:
    named = [f"{one.feature} (effect {one.effect:.2f})" for one in drifted[:_NAMED]]
    more = len(drifted) - _NAMED
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _shares(importance: Mapping[str, float], features: Sequence[str]) -> Mapping[str, float]:
    known = {name: max(0.0, importance.get(name, 0.0)) for name in features}
    total = sum(known.values())
    if not math.isfinite(total) or total <= 0:
        return dict.fromkeys(features, 1 / max(len(features), 1))
    return {name: share / total for name, share in known.items()}


def _test(before: Counts, after: Counts) -> tuple[float, float | None]:
    """Effect size and p-value; no p-value where there are no two bins to compare."""
    import numpy as np
    from scipy.stats import chi2_contingency

    counts = np.array(
        [[*before.counts, before.missing], [*after.counts, after.missing]], dtype=np.float64
    )
    rows = counts.sum(axis=1)
    if not rows.all():
        return 0.0, None
    usual, rare = _pooled(counts)
    used = np.column_stack([usual, rare]) if rare.any() else usual
    bins = used.shape[1]
    if bins < 2:
        return 0.0, None
    share = used / rows[:, None]
    squared = float(np.sum((share[0] - share[1]) ** 2 / (2 * share.sum(axis=0))))
    chance = (bins - 1) / 4 * float(np.sum(1 / rows))
    found = []
    if usual.shape[1] > 1 and usual.any(axis=1).all():
        found.append(float(chi2_contingency(usual, correction=False).pvalue))
    if rare.any():
        found.append(_rise(int(rare[0]), int(rows[0]), int(rare[1]), int(rows[1])))
    p_value = min(1.0, len(found) * min(found))
    return math.sqrt(max(0.0, squared - chance)), p_value


def _pooled(counts: Doubles) -> tuple[Doubles, Doubles]:
    """Bins that a chi-square test may take, and the others as one where it must not take that.

    Shapes (2, bins) and (2,).
    """
    import numpy as np

    total = counts.sum(axis=0)
    expected = total * (counts.sum(axis=1).min() / total.sum())
    few = expected < _LEAST_EXPECTED
    rare = counts[:, few].sum(axis=1)
    if expected[few].sum() < _LEAST_EXPECTED:
        return counts[:, ~few], rare
    return np.column_stack([counts[:, ~few], rare]), np.zeros(2)


def _holm(p_values: Sequence[float]) -> list[float]:
    """Corrected p-values: the chance of one error among all of them stays what it says."""
    corrected = [0.0] * len(p_values)
    least = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        least = max(least, min(1.0, p_values[i] * (len(p_values) - rank)))
        corrected[i] = least
    return corrected


def _rise(before: int, of_before: int, after: int, of_after: int) -> float:
    """One-sided p-value that a share did not grow (Fisher's exact test)."""
    from scipy.stats import hypergeom

    if not of_before or not of_after or after * of_before <= before * of_after:
        return 1.0
    return float(hypergeom.sf(after - 1, of_before + of_after, before + after, of_after))
