"""The estimators of late_arrival.yaml, of scikit-learn's own types alone: skops can store them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

__all__ = ["build", "carrier_hour_rates"]


def build(params: Mapping[str, Any]) -> Pipeline:
    """Gradient boosting over all feature columns; a category not seen in training is missing.

    Args:
        params: Of ``HistGradientBoostingClassifier``.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    # Codes are split like numbers: the booster's own categories were no better on July to
    # September, and would put a function into the stored model.
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=math.nan,
        encoded_missing_value=math.nan,
    )
    columns = ColumnTransformer(
        [("codes", codes, ["carrier", "origin", "dest"])], remainder="passthrough"
    )
    return Pipeline([("columns", columns), ("boosting", HistGradientBoostingClassifier(**params))])


def carrier_hour_rates(params: Mapping[str, Any]) -> Pipeline:
    """The share of late arrivals of each carrier and local hour of departure.

    A logistic regression with one weight for each carrier, hour, and pair of
    the two: its probabilities are the shares, drawn towards those of carrier
    and hour where a pair has few flights.

    Args:
        params: ``C``, the inverse strength of that pull, 10 when not given.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures

    cells = OneHotEncoder(handle_unknown="ignore")
    return Pipeline(
        [
            ("cells", ColumnTransformer([("cells", cells, ["carrier", "dep_hour"])])),
            ("pairs", PolynomialFeatures(2, interaction_only=True, include_bias=False)),
            ("rates", LogisticRegression(C=float(params.get("C", 10)), max_iter=500)),
        ]
    )
