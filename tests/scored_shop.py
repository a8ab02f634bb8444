"""A shop with a feature table and a model over it: is an order large?

Versions are made by hand, with the records that training writes; each predicts by an estimator of
its own, in this process. How versions are registered and loaded is not this module's.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from shop import Shop, contract

from lakehouse import ledger, scoring
from lakehouse.registry import ModelRecord, ModelVersion
from lakehouse.scoring import ModelKey, Scored, Stored
from lakehouse.training import job
from lakehouse.training.dataset import matrix

__all__ = [
    "MODEL",
    "TABLE",
    "TABLES",
    "ScoredShop",
    "amount_over_100",
    "entities",
    "key",
    "write_model",
]

Model = Callable[[pd.DataFrame], "np.ndarray[Any, np.dtype[np.float64]]"]

MODEL = "large_order"
TABLE = "shop.gold.features"
TABLES = ("bronze.orders", "silver.orders")

_FEATURES_YAML = contract(
    "gold",
    "features",
    {
        "order_id": "VARCHAR, primaryKey: true",
        "ordered_at": "TIMESTAMPTZ",
        "customer": "VARCHAR",
        "amount": "INTEGER",
        "large": "BOOLEAN",
        "order_month": "DATE",
    },
    "partition: {column: order_month, grain: month, event: ordered_at}\nengine: local",
).replace(
    "logicalType: integer, physicalType: BOOLEAN", "logicalType: boolean, physicalType: BOOLEAN"
)
_FEATURES_SQL = """\
SELECT
  order_id, CAST(CAST(ordered AS TIMESTAMP) AS TIMESTAMPTZ) AS ordered_at, customer, amount,
  amount > 50 AS large, order_month
FROM silver.orders
"""
_MODEL_YAML = """\
name: large_order
features:
  table: gold.features
  key: [order_id]
  event_time: ordered_at
  lead: 0 minutes
  columns: [customer, amount]
label: {column: large, matures_after: 1 days}
split: {train: [2026-01-01, 2026-02-01], test: [2026-02-01, 2026-03-01]}
estimator: {entry: "large_order:build"}
baselines: [{name: rates, entry: "large_order:rates"}]
metrics: {primary: roc_auc}
gates:
- {name: beats_baseline, metric: roc_auc, by: 0.02}
"""
_MODEL_PY = """\
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder


def build(params):
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["customer"]), ("passthrough", ["amount"])
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1000))


def rates(params):
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["customer"]))
    return make_pipeline(columns, LogisticRegression())
"""


def write_model(shop: Shop) -> None:
    """Write the feature table and the model's declaration into a shop."""
    shop.write("gold/features.yaml", _FEATURES_YAML)
    shop.write("gold/features.sql", _FEATURES_SQL)
    shop.write(f"models/{MODEL}.yaml", _MODEL_YAML)
    shop.write(f"models/{MODEL}.py", _MODEL_PY)


def amount_over_100(x: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A model that anybody can check by hand."""
    return np.clip(x["amount"].to_numpy() / 100, 0, 1)


class ScoredShop:
    """A shop whose orders are scored.

    Args:
        root: An empty folder, or one with such a shop.
        shop: The kind of shop.
        tables: Those of the shop that its features are made from.
        options: Further settings, for example an S3 lake.
    """

    def __init__(
        self,
        root: Path,
        shop: Callable[..., Shop] = Shop,
        tables: Sequence[str] = TABLES,
        **options: object,
    ) -> None:
        self.shop = shop(root, tables, **options)
        write_model(self.shop)
        self.runs: list[Scored] = []

    def version(self, number: int = 1, until: str = "2026-02-01", **record: object) -> ModelVersion:
        """A version whose training window ends on a day."""
        lake = self.shop.lake()
        fields: dict[str, Any] = {
            "fingerprint": "f",
            "definition_id": "d",
            "feature_definition_id": lake.domain("shop").table(TABLE).definition,
            "features": ("customer", "amount"),
            "inputs": {TABLE: 0},
            "windows": {"train": ["2026-01-01", until], "test": [until, "2026-06-01"]},
            "timezone": "UTC",
        }
        # Of the real clock, as predictions are: long before any.
        created = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
        made = ModelRecord(**(fields | record))
        return ModelVersion(MODEL, number, "run", created, ("champion",), True, made)

    def todo(self, *versions: ModelVersion, since: dt.date | None = None) -> scoring.Todo:
        """What there is to score."""
        lake = self.shop.lake()
        owner, declared = job.find(lake, MODEL)
        ranks = [*zip(versions, ("champion", *["challenger"] * len(versions)), strict=False)]
        return scoring.plan_versions(lake, owner, declared, ranks, since)

    def score(
        self,
        *versions: ModelVersion,
        since: dt.date | None = None,
        probabilities: Model = amount_over_100,
        todo: scoring.Todo | None = None,
    ) -> Scored:
        """Score, as :func:`lakehouse.scoring.score` does, by these versions."""

        @contextlib.contextmanager
        def opening(version: ModelVersion, /) -> Iterator[scoring.Probabilities]:
            yield lambda x: probabilities(matrix(x, x.column_names))

        lake, started, run = self.shop.lake(), ledger.now(), ledger.new_run()
        todo = todo or self.todo(*(versions or (self.version(),)), since=since)
        done = [
            scoring.score_version(lake, todo, one, run, opening=opening) for one in todo.versions
        ]
        self.runs.append(scoring.record(lake, todo, run, started, done))
        return self.runs[-1]

    def stored(self) -> Stored:
        """The predictions as files."""
        return Stored.read(self.shop.lake().storage)

    def predictions(self, columns: str = "version, entity, probability") -> list[tuple[Any, ...]]:
        """The predictions as rows, sorted."""
        if not self.stored().snapshot.files:
            return []
        return sorted(self.shop.rows(f"SELECT {columns} FROM ops.predictions"))


def key(number: int = 1) -> ModelKey:
    """The model at a version."""
    return ModelKey("shop", MODEL, number)


def entities(orders: Sequence[str]) -> list[str]:
    """Orders as entities."""
    return [f'["{order}"]' for order in orders]
