"""The estimators of late_arrival on a few made-up rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lakehouse.registry import prepare_process, require_trusted
from lakehouse.training import load

MODEL = load(Path(__file__).parents[2] / "jobs/flights/models/late_arrival.yaml")


@pytest.fixture(autouse=True)
def patient_threads() -> None:
    prepare_process()


def short(made):
    """An estimator of few iterations."""
    fewer = {"max_iter": 20} if "max_iter" in made.params else {}
    return MODEL.make(made.model_copy(update={"params": {**made.params, **fewer}}))


def rows(count: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Flights of which those of UA, and those after 16:00, are late more often."""
    make = np.random.default_rng(seed)
    x = pd.DataFrame({c: make.normal(size=count) for c in MODEL.features.columns})
    for name, values in (("carrier", ["UA", "DL"]), ("origin", ["EWR", "JFK"]), ("dest", ["ORD"])):
        x[name] = make.choice(values, count)
    x["dep_hour"] = make.integers(6, 22, count)
    chance = 0.1 + 0.2 * (x["carrier"] == "UA") + 0.3 * (x["dep_hour"] >= 16)
    return x, (make.random(count) < chance).astype(int).to_numpy()


@pytest.mark.parametrize("made", [MODEL.estimator, *MODEL.baselines], ids=["candidate", "baseline"])
def test_an_estimator_learns_and_can_be_stored(made) -> None:
    estimator = short(made)
    x, y = rows(2000)
    estimator.fit(x, y)
    require_trusted(estimator)
    x, y = rows(1000, seed=1)
    chances = estimator.predict_proba(x)[:, 1]
    assert chances[y == 1].mean() > chances[y == 0].mean() + 0.05
    assert np.array_equal(chances, short(made).fit(*rows(2000)).predict_proba(x)[:, 1])


@pytest.mark.parametrize("made", [MODEL.estimator, *MODEL.baselines], ids=["candidate", "baseline"])
def test_a_carrier_never_seen_and_missing_values_are_no_error(made) -> None:
    estimator = short(made).fit(*rows(2000))
    x, _ = rows(3, seed=2)
    x["carrier"] = ["ZZ", None, "UA"]
    x.loc[2, [c for c in x.columns if c not in ("carrier", "origin", "dest", "dep_hour")]] = np.nan
    chances = estimator.predict_proba(x)[:, 1]
    assert ((chances > 0) & (chances < 1)).all()


def test_the_baseline_gives_the_rates_of_carrier_and_hour() -> None:
    x, y = rows(20_000)
    baseline = MODEL.make(MODEL.baselines[0]).fit(x, y)
    told = baseline.predict_proba(x)[:, 1]
    rates = pd.Series(y).groupby([x["carrier"], x["dep_hour"]]).transform("mean")
    assert np.abs(told - rates).max() < 0.02


def test_the_month_is_no_feature() -> None:
    assert not [c for c in MODEL.features.columns if "month" in c]
