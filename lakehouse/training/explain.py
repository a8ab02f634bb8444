"""Why one row got its probability, and which features matter to a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse.errors import ModelError
from lakehouse.training.code import Classifier
from lakehouse.training.dataset import Samples, matrix

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Contribution", "Importance", "explain", "importance", "shares"]

_SAMPLE = 3_000
_BACKGROUND = 200


@dataclass(frozen=True)
class Contribution:
    """What one feature's value does to one row's probability.

    Attributes:
        feature: The feature.
        value: The row's value; None for NULL.
        effect: Probability of class 1 as the row is, less the mean probability
            with this feature's value drawn from the background.
    """

    feature: str
    value: str | float | None
    effect: float


@dataclass(frozen=True)
class Importance:
    """How much a metric loses when a feature's values are shuffled among the rows.

    Attributes:
        feature: The feature.
        loss: Mean loss of the metric over the repeats; more is more important.
        deviation: The standard deviation over the repeats.
    """

    feature: str
    loss: float
    deviation: float


def explain(
    estimator: Classifier, row: pa.Table, background: pa.Table, columns: Sequence[str]
) -> list[Contribution]:
    """Explain one prediction, the largest effects first.

    One feature at a time takes the values that it has in up to 200 rows of the
    background; the effect is the mean difference that this makes. Effects do
    not add up to the probability, and what features do only together is not
    seen.

    Source: the prediction difference of Robnik-Šikonja and Kononenko,
    "Explaining Classifications for Individual Instances", IEEE Transactions on
    Knowledge and Data Engineering 20(5), 2008.

    Args:
        estimator: A fitted classifier.
        row: Exactly one row.
        background: Rows which stand for what is usual, at least one.
        columns: The features in the order of the declaration.

    Raises:
        ModelError: ``row`` is not one row, or the background is empty.
    """
    import numpy as np
    import pandas as pd

    if row.num_rows != 1 or not background.num_rows:
        found = f"{row.num_rows} rows and {background.num_rows} rows of background"
        raise ModelError("explain one prediction", found, "give one row and some background")
    one = matrix(row, columns)
    spread = np.linspace(0, background.num_rows - 1, min(_BACKGROUND, background.num_rows))
    usual = matrix(background.take(spread.astype(int)), columns)
    repeated = np.zeros(len(usual) * len(columns), dtype=int)
    changed = one.iloc[repeated].reset_index(drop=True)
    for i, name in enumerate(columns):
        at = slice(i * len(usual), (i + 1) * len(usual))
        values = changed[name].to_numpy(copy=True)
        values[at] = usual[name].to_numpy()
        changed[name] = values
    actual = float(estimator.predict_proba(one)[0, 1])
    means = estimator.predict_proba(changed)[:, 1].reshape(len(columns), -1).mean(axis=1)
    values_of_row = [None if pd.isna(v) else v for v in one.astype(object).iloc[0]]
    made = [
        # Twelve digits: what is left of a sum is not an effect.
        Contribution(name, value, round(actual - float(mean), 12) + 0.0)
        for name, value, mean in zip(columns, values_of_row, means, strict=True)
    ]
    return sorted(made, key=lambda c: (-abs(c.effect), c.feature))


def importance(estimator: Classifier, samples: Samples, metric: str) -> tuple[Importance, ...]:
    """Permutation importance on up to 3,000 rows, the most important first.

    Source: Breiman, "Random Forests", Machine Learning 45, 2001.

    Args:
        estimator: A fitted classifier.
        samples: Rows that it was not trained on.
        metric: ``roc_auc``, ``average_precision`` or ``brier``.
    """
    import numpy as np
    from sklearn.inspection import permutation_importance

    spread = np.linspace(0, samples.rows - 1, min(_SAMPLE, samples.rows)).astype(int)
    if len(np.unique(samples.y[spread])) < 2:
        return ()
    scoring = "neg_brier_score" if metric == "brier" else metric
    x, y = samples.x.iloc[spread].reset_index(drop=True), samples.y[spread]
    found = permutation_importance(estimator, x, y, scoring=scoring, n_repeats=3, random_state=0)
    made = [
        Importance(str(name), float(loss), float(deviation))
        for name, loss, deviation in zip(
            x.columns, found.importances_mean, found.importances_std, strict=True
        )
    ]
    return tuple(sorted(made, key=lambda i: (-i.loss, i.feature)))


def shares(found: Sequence[Importance]) -> Mapping[str, float]:
    """Each feature's share in the importance of all; a feature whose shuffling gains has none."""
    losses = {one.feature: max(0.0, one.loss) for one in found}
    total = sum(losses.values())
    return {name: loss / total for name, loss in losses.items()} if total else {}
