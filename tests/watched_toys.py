"""A toy shop with one feature table and a model over it, to be watched.

Visits come by week. Versions, references and predictions are made by hand, with the records that
training and scoring write; how versions are registered is not this module's.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from shop import Shop, contract

from lakehouse import ledger
from lakehouse.ledger import Ledger
from lakehouse.monitoring import job
from lakehouse.monitoring.job import Monitored
from lakehouse.monitoring.reference import Reference
from lakehouse.ops import PredictionRow
from lakehouse.registry import ModelRecord, ModelVersion
from lakehouse.training.job import find

__all__ = ["MODEL", "START", "WatchedToys", "visits"]

MODEL = "buys"
TABLE = "shop.gold.visits"
#: A Monday; training ended there.
START = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)

_COLUMNS = {
    "visit": "VARCHAR, primaryKey: true",
    "visited": "TIMESTAMPTZ",
    "age": "DOUBLE",
    "colour": "VARCHAR",
    "pages": "INTEGER",
    "bought": "INTEGER",
    "visit_month": "DATE",
}
_BRONZE = contract(
    "bronze",
    "visits",
    dict.fromkeys([c for c in _COLUMNS if c != "visit_month"], "VARCHAR"),
    "source: {path: 'visits/*.csv', format: csv, null_values: ['']}\n"
    "partition:\n"
    "  column: visit_month\n"
    "  grain: month\n"
    "  expression: \"CAST(date_trunc('month', TRY_CAST(regexp_extract(visited, '^[0-9-]{10}') AS DATE)) AS DATE)\"",
)
_GOLD = contract(
    "gold",
    "visits",
    _COLUMNS,
    "partition: {column: visit_month, grain: month, event: visited}\nengine: local",
)
_CLOCK = "([01][0-9]|2[0-3])(:[0-9]{2}){2}"
_WHEN = f"TRY_CAST(regexp_extract(visited, '^[0-9]{{4}}(-[0-9]{{2}}){{2}} {_CLOCK}$') AS TIMESTAMP)"
_SQL = f"""\
SELECT
  visit, CAST({_WHEN} AS TIMESTAMPTZ) AS visited,
  TRY_CAST(regexp_extract(age, '^-?[0-9.]+$') AS DOUBLE) AS age, colour,
  TRY_CAST(regexp_extract(pages, '^[0-9]+$') AS INTEGER) AS pages,
  TRY_CAST(regexp_extract(bought, '^[0-9]+$') AS INTEGER) AS bought, visit_month
FROM bronze.visits
"""
_MODEL_YAML = """\
name: buys
features:
  table: gold.visits
  key: [visit]
  event_time: visited
  lead: 0 minutes
  columns: [age, colour, pages]
label: {column: bought, matures_after: 2 days}
split: {train: [2025-12-01, 2026-01-05], test: [2026-01-05, 2026-02-01]}
estimator: {entry: "buys:build"}
baselines: [{name: usual, entry: "buys:build"}]
metrics: {primary: roc_auc, also: [brier]}
slices: [{column: colour, min_rows: 100}]
gates:
- {name: useful, metric: roc_auc, at_least: 0.6}
monitors:
  window: 7 days
  freshness: {at_most: 10 days}
"""
_MODEL_PY = """\
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline


def build(params):
    numbers = make_column_transformer(("passthrough", ["age", "pages"]))
    return make_pipeline(numbers, LogisticRegression(max_iter=300))
"""
_CHANCE = 0.8


def visits(
    week: int, rows: int = 1000, *, seed: int = 0, chance: float = _CHANCE, **changes: Any
) -> pd.DataFrame:
    """Visits of one week, spread over its days.

    Args:
        week: From :data:`START`.
        rows: How many.
        seed: Of the random numbers, beside the week.
        chance: How far the outcome follows the score: 0 not at all.
        changes: ``age_shift`` in standard deviations, ``age_missing`` and ``red`` as shares.
    """
    random = np.random.default_rng([seed, week + 100])
    red = changes.get("red", 0.2)
    age = random.normal(40, 10, rows) + 10 * changes.get("age_shift", 0.0)
    pages = random.integers(1, 20, rows)
    score = 1 / (1 + np.exp(-chance * random.normal(size=rows) * 2))
    at = (
        START
        + dt.timedelta(weeks=week)
        + dt.timedelta(minutes=1) * np.arange(rows) * (10000 / rows)
    )
    return pd.DataFrame(
        {
            "visit": [f"w{week}-{i}" for i in range(rows)],
            "visited": at,
            "age": np.where(random.random(rows) < changes.get("age_missing", 0.0), np.nan, age),
            "colour": np.where(random.random(rows) < red, "red", "blue"),
            "pages": pages,
            "bought": (random.random(rows) < score).astype(int),
            "score": score,
        }
    )


class WatchedToys:
    """The shop.

    Args:
        root: An empty folder.
        options: Further settings, for example an S3 lake.
    """

    def __init__(self, root: Path, **options: object) -> None:
        self.shop = Shop(root, ("nothing",), **options)
        self.shop.write("bronze/visits.yaml", _BRONZE)
        self.shop.write("gold/visits.yaml", _GOLD)
        self.shop.write("gold/visits.sql", _SQL)
        self.shop.write(f"models/{MODEL}.yaml", _MODEL_YAML)
        self.shop.write(f"models/{MODEL}.py", _MODEL_PY)
        learnt = pd.concat([visits(week, 2000) for week in range(-5, 0)])
        self.reference = Reference.of(learnt[["age", "colour", "pages"]].astype({"pages": float}))

    def learn_in_january(self) -> None:
        """Have the model learn from weeks 0 and 1, and be judged on 2 and 3; it passes."""
        name = f"models/{MODEL}.yaml"
        split = "split: {train: [2026-01-05, 2026-01-19], test: [2026-01-19, 2026-02-02]}"
        self.shop.edit(name, next(x for x in _MODEL_YAML.splitlines() if "split" in x), split)
        self.shop.edit(name, "at_least: 0.6", "at_least: 0.3")

    def land(
        self, week: int, frame: pd.DataFrame | None = None, *, build: bool = True
    ) -> pd.DataFrame:
        """Land a week of visits and build; returns them."""
        frame = visits(week) if frame is None else frame
        rows = frame.assign(
            visited=frame["visited"].map(lambda at: at.strftime("%Y-%m-%d %H:%M:%S"))
        )
        text = rows.drop(columns="score").to_csv(index=False)
        self.shop.land(f"visits/week{week:03d}.csv", text.encode())
        if build:
            self.shop.build()
        return frame

    def version(self, number: int = 1, alias: str = "champion", **record: Any) -> ModelVersion:
        """A version whose training ended at :data:`START`."""
        table = self.shop.lake().domain("shop").table(TABLE)
        fields: dict[str, Any] = {
            "fingerprint": "f",
            "definition_id": "d",
            "feature_definition_id": table.definition,
            "features": ("age", "colour", "pages"),
            "inputs": {TABLE: 0},
            "metrics": {"roc_auc": 0.8, "brier": 0.15},
            "windows": {
                "train": ("2025-12-01", "2026-01-05"),
                "test": ("2026-01-05", "2026-02-01"),
            },
            "timezone": "UTC",
            "reference": "reference.json",
            "importance": {"age": 0.6, "colour": 0.3, "pages": 0.1},
        }
        made = ModelRecord(**(fields | record))
        return ModelVersion(MODEL, number, f"run{number}", START, (alias,), True, made)

    def predict(self, frame: pd.DataFrame, version: int = 1) -> None:
        """Store the frame's scores as predictions."""
        rows = [
            PredictionRow(
                prediction=f"{version}-{row['visit']}",
                domain="shop",
                model=MODEL,
                version=version,
                alias="champion",
                entity=json.dumps([row["visit"]]),
                event_time=row["visited"].to_pydatetime(),
                partition=row["visited"].strftime("%Y-%m-01"),
                feature_build="b",
                feature_definition="d",
                feature_version=1,
                probability=row["score"],
                scored=START,
                run="scored",
            )
            for row in frame.to_dict("records")
        ]
        Ledger(self.shop.lake().storage).append("predictions", rows, "scored")

    def watch(
        self, *versions: ModelVersion, now: dt.datetime | None = None, reference: str | None = None
    ) -> Monitored:
        """Look, as :func:`lakehouse.monitoring.job.monitor` does, at these versions."""
        lake = self.shop.lake()
        owner, declared = find(lake, MODEL)
        return job.watch(
            lake,
            owner,
            declared,
            versions or (self.version(),),
            lambda version: reference or self.reference.to_json(),
            run=ledger.new_run(),
            now=now or START + dt.timedelta(weeks=8),
        )

    def rows(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """An ops table."""
        return sorted(self.shop.rows(f"SELECT {', '.join(columns)} FROM ops.{table}"))
