"""Explanations on models whose true effects are known."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lakehouse.errors import ModelError
from lakehouse.training.dataset import Samples, matrix
from lakehouse.training.explain import explain, importance

DAY = np.zeros(6000, dtype=np.int64)
COLUMNS = ("wind", "carrier", "idle")


class Additive:
    """Probability 0.5 + 0.01 · wind + 0.2 for UA; ``idle`` does nothing."""

    def fit(self, x: object, y: object, /) -> Additive:
        return self

    def predict_proba(self, x: object, /) -> object:
        p = 0.5 + 0.01 * x["wind"].fillna(0) + 0.2 * (x["carrier"] == "UA")
        return np.column_stack([1 - p, p])


def background(n: int = 400) -> pa.Table:
    return pa.table(
        {
            "wind": pa.array([float(i % 2 * 10) for i in range(n)]),
            "carrier": ["UA" if i % 4 < 2 else None for i in range(n)],
            "idle": list(range(n)),
        }
    )


def test_effects_are_those_of_the_model() -> None:
    row = pa.table({"wind": [20.0], "carrier": ["UA"], "idle": pa.array([None], pa.int64())})
    # All of an even-sized background is used: its mean wind is 5, a half of it is UA.
    found = explain(Additive(), row, background(200), COLUMNS)
    assert [(c.feature, c.value) for c in found] == [
        ("wind", 20.0),
        ("carrier", "UA"),
        ("idle", None),
    ]
    assert [c.effect for c in found] == pytest.approx([0.15, 0.1, 0.0])
    assert type(found[0].value) is float


def test_one_row_and_some_background_are_needed() -> None:
    with pytest.raises(ModelError, match="2 rows and 9 rows"):
        explain(Additive(), background(2), background(9), COLUMNS)
    with pytest.raises(ModelError, match="0 rows of background"):
        explain(Additive(), background(1), background(0), COLUMNS)


def test_importance_orders_features_and_spares_idle_ones() -> None:
    from sklearn.tree import DecisionTreeClassifier

    rng = np.random.default_rng(0)
    table = pa.table({"wind": rng.normal(size=6000), "idle": rng.normal(size=6000)})
    x = matrix(table, ["idle", "wind"])
    y = (x["wind"] > 0).to_numpy().astype(int)
    tree = DecisionTreeClassifier(max_depth=1).fit(x, y)
    wind, idle = importance(tree, Samples(x, y, DAY), "roc_auc")
    assert (wind.feature, idle.feature, idle.loss) == ("wind", "idle", 0)
    assert wind.loss == pytest.approx(0.5, abs=0.05)
    assert importance(tree, Samples(x, np.zeros(6000, int), DAY), "brier") == ()
