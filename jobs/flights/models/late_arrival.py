"""The estimators of late_arrival.yaml: built of scikit-learn's own types, so that skops can store them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

__all__ = ["build", "carrier_hour_rates"]

_CATEGORIES = ["carrier", "origin", "dest"]


def build(params: Mapping[str, Any]) -> Pipeline:
    """Gradient boosting over all feature columns; a category not seen in training is missing.

    Args:
        params: Of ``HistGradientBoostingClassifier``.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline

    columns = ColumnTransformer(
        [("categories", _codes(missing=math.nan), _CATEGORIES)], remainder="passthrough"
    )
    # The encoder puts the categories first.
    boosting = HistGradientBoostingClassifier(
        categorical_features=list(range(len(_CATEGORIES))), **params
    )
    return Pipeline([("columns", columns), ("boosting", boosting)])


def carrier_hour_rates(params: Mapping[str, Any]) -> Pipeline:
    """The share of late arrivals of each carrier and local hour of departure.

    A tree over these two columns alone, grown until a leaf is one carrier and
    hour, or has too few flights to be split.

    Args:
        params: ``min_flights`` of a leaf, 100 when not given.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.tree import DecisionTreeClassifier

    columns = ColumnTransformer(
        [("carrier", _codes(missing=-1), ["carrier"]), ("hour", "passthrough", ["dep_hour"])]
    )
    rates = DecisionTreeClassifier(
        min_samples_leaf=int(params.get("min_flights", 100)), random_state=0
    )
    return Pipeline([("columns", columns), ("rates", rates)])


def _codes(missing: float) -> Any:
    from sklearn.preprocessing import OrdinalEncoder

    return OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=missing, encoded_missing_value=missing
    )
