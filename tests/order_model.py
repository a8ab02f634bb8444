"""A shop with a model: does an order of the size and customer turn out large?"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from shop import Shop, contract

from lakehouse.training import job
from lakehouse.training.job import Order, Trained

__all__ = ["MODEL", "ModelShop"]

MODEL = "large_order"

FEATURES = {
    "order_id": "VARCHAR, primaryKey: true",
    "ordered_at": "TIMESTAMPTZ",
    "name_length": "INTEGER",
    "amount": "INTEGER",
    "letter": "VARCHAR",
    "large": "BOOLEAN",
    "order_month": "DATE",
}
FEATURES_SQL = """\
SELECT
  order_id, CAST(CAST(ordered AS TIMESTAMP) AS TIMESTAMPTZ) AS ordered_at,
  CAST(length(customer) AS INTEGER) AS name_length, amount,
  substr(customer, 1, 1) AS letter, substr(customer, 2, 1) = 'L' AS large, order_month
FROM silver.orders
"""
MODEL_YAML = """\
name: large_order
description: Whether an order is large.
features:
  table: gold.features
  key: [order_id]
  event_time: ordered_at
  lead: 0 minutes
  columns: [name_length, amount]
label: {column: large, matures_after: 1 days}
split: {train: 2 months, test: 1 month}
estimator: {entry: "large_order:build", params: {C: 1.0}}
baselines: [{name: name_rates, entry: "large_order:rates"}]
metrics: {primary: roc_auc, also: [brier]}
slices: [{column: letter, min_rows: 30}]
gates:
- {name: beats_baseline, metric: roc_auc, by: 0.02}
- {name: beats_champion, kind: champion, metric: roc_auc, margin: 0.05}
- {name: volume, kind: volume, at_least: 100}
- {name: missing, kind: missing, at_most: 0.1}
- {name: skew, kind: skew, at_most: 0.3}
- {name: slices, kind: slices, metric: roc_auc, margin: 0.2}
"""
MODEL_PY = """\
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline


def build(params):
    return make_pipeline(LogisticRegression(max_iter=1000, **params))


def rates(params):
    columns = make_column_transformer(("passthrough", ["name_length"]))
    return make_pipeline(columns, LogisticRegression())
"""


class ModelShop(Shop):
    """A shop whose orders are large or not, by their amount and by chance.

    Args:
        root: An empty folder.
        model: The declaration.
    """

    def __init__(self, root: Path, model: str = MODEL_YAML, **overrides: Any) -> None:
        super().__init__(root, ["bronze.orders", "silver.orders"], **overrides)
        made = contract(
            "gold",
            "features",
            FEATURES,
            "partition: {column: order_month, grain: month, event: ordered_at}\nengine: local",
        )
        self.write(
            "gold/features.yaml",
            made.replace("integer, physicalType: BO", "boolean, physicalType: BO"),
        )
        self.write("gold/features.sql", FEATURES_SQL)
        self.write("models/large_order.yaml", model)
        self.write("models/large_order.py", MODEL_PY)

    def month(self, month: int, *, rows: int = 300, shift: int = 0) -> None:
        """Land and build a month of 2026; ``shift`` is added to the amounts."""
        make = random.Random(month)
        made = []
        for i in range(rows):
            amount = make.randrange(100)
            large = make.random() < 1 / (1 + 2.7 ** (-(amount - 50) / 12))
            name = make.choice("abc") + ("L" if large else "S") + "n" * make.randrange(5)
            day = i * 28 // rows + 1
            made.append((f"{month}-{i}", name, amount + shift, f"2026-{month:02d}-{day:02d}"))
        self.orders(f"2026-{month:02d}", *made)
        self.build()

    def train(self, **options: Any) -> Trained:
        """Train in this process."""
        return job.train_here(self.lake(), Order(MODEL, "shop", **options))

    def train_apart(self, **options: Any) -> Trained:
        """Train as users do: in a process of its own."""
        return job.train_model(self.lake(), MODEL, **options)
