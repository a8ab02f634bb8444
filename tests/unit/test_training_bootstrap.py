"""Intervals by drawing days: right draw by draw, and as often right as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from lakehouse.training.bootstrap import Days, interval
from lakehouse.training.metrics import calibration, calibration_error


def made(days: int, per_day: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Days of unequal difficulty: day, label, true probability."""
    make = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), per_day)
    logit = make.normal(size=days)[day] + 1.5 * make.normal(size=days * per_day)
    true = 1 / (1 + np.exp(-logit))
    return day, (make.random(len(true)) < true).astype(np.int64), true


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([5, 10_000]))
def test_each_draw_is_the_metric_of_the_days_drawn(seed: int, levels: int) -> None:
    day, y, p = made(6, 12, seed)
    p = np.round(p * levels) / levels
    days = Days(day)
    known = {
        "roc_auc": roc_auc_score,
        "average_precision": average_precision_score,
        "brier": brier_score_loss,
        "calibration_error": lambda a, b: calibration_error(calibration(a, b)),
    }
    for metric, of in known.items():
        found = days.values(metric, y, p)
        for i in range(3):
            rows = np.repeat(np.arange(len(y)), days._draws[i][day].astype(int))
            if metric in ("roc_auc", "average_precision") and len(set(y[rows])) < 2:
                assert metric != "roc_auc" or np.isnan(found[i])
                continue
            assert found[i] == pytest.approx(of(y[rows], p[rows]))


def test_many_levels_are_taken_together_without_harm() -> None:
    day, y, p = made(30, 400, 1)
    found = Days(day).values("roc_auc", y, p)
    assert len(np.unique(p)) > 4 * 2048
    assert np.mean(found) == pytest.approx(roc_auc_score(y, p), abs=0.002)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of two models that are equally good, the difference is 0: 95 % of intervals hold it."""
    held = 0
    for seed in range(200):
        day, y, true = made(25, 30, seed)
        make = np.random.default_rng(1000 + seed)
        # Each errs in its own way, and on whole days at once.
        pair = [
            1 / (1 + np.exp(-(np.log(true / (1 - true)) + make.normal(size=25)[day] + e)))
            for e in make.normal(size=(2, len(y)))
        ]
        days = Days(day)
        a, b = (days.values("roc_auc", y, p) for p in pair)
        low, high = interval(a - b, days.count)
        held += low <= 0 <= high
    assert 183 <= held <= 199


def test_rows_of_one_day_count_as_what_they_are() -> None:
    make = np.random.default_rng(0)
    day = np.repeat(np.arange(30), 100)
    good = make.random(30) < 0.5
    y = make.integers(0, 2, len(day))
    p = np.where(good[day], 0.25 + 0.5 * y, 0.75 - 0.5 * y)
    by_day, by_row = Days(day), Days(np.arange(len(day)))
    wide, narrow = (interval(d.values("brier", y, p), d.count) for d in (by_day, by_row))
    assert wide[1] - wide[0] > 5 * (narrow[1] - narrow[0])


def test_what_cannot_be_known_has_no_interval() -> None:
    y, p = np.array([1, 1, 1]), np.array([0.1, 0.5, 0.9])
    days = Days(np.array([0, 1, 2]))
    assert interval(days.values("roc_auc", y, p), days.count) is None
    alone = Days(np.zeros(3, dtype=np.int64))
    assert interval(alone.values("brier", y, p), alone.count) is None
    few, many = (interval(np.linspace(0, 1, 1001), n) for n in (5, 500))
    assert few[0] < many[0] < 0.03 and 0.97 < many[1] < few[1]
