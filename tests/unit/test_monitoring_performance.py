"""The performance monitor: no alarm by noise, found at a drop that matters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import norm, t
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from lakehouse.monitoring.performance import Measured, Predicted, measure, performance
from lakehouse.training.declaration import MetricName, SliceOf

RULE = {"drop": 0.03, "last": 5, "bad": 2, "min_rows": 200}


def predicted(
    random: np.random.Generator, rows: int, auc: float = 0.76, days: int = 7, share: float = 0.25
) -> Predicted:
    """Scores of two normal classes that are as far apart as the AUC asks."""
    outcome = (random.random(rows) < share).astype(float)
    apart = norm.ppf(auc) * np.sqrt(2)
    score = norm.cdf((random.normal(size=rows) + apart * outcome) / 2)
    return Predicted(score, outcome, np.sort(random.integers(0, days, rows)))


def auc(found: Predicted) -> Measured:
    (one,) = measure(found, ["roc_auc"])
    return one


def judged(windows: Sequence[Measured | None], reference: float | None = 0.76) -> str:
    return performance(windows, reference, **RULE).verdict  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", [200, 2_000, 10_000])
def test_hardly_a_false_alarm_in_100_windows(rows: int) -> None:
    random = np.random.default_rng(rows)
    windows = [auc(predicted(random, rows)) for _ in range(100)]
    alarms = sum(judged(windows[: i + 1]) == "alarm" for i in range(100))
    assert alarms <= 1


def test_a_drop_of_five_hundredths_is_found_in_the_second_or_third_window_of_5000_rows() -> None:
    random = np.random.default_rng(7)
    second = third = 0
    for _ in range(20):
        windows = [auc(predicted(random, 5_000)) for _ in range(3)]
        windows += [auc(predicted(random, 5_000, 0.71)) for _ in range(3)]
        second += judged(windows[:5]) == "alarm"
        third += "alarm" in (judged(windows[:5]), judged(windows))
    assert second >= 14
    assert third >= 19


def test_intervals_hold_what_they_promise() -> None:
    random = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        one = auc(predicted(random, 500))
        assert one.low is not None and one.high is not None
        held += one.low <= 0.76 <= one.high
    assert 182 <= held <= 198


def test_intervals_are_wider_where_days_differ() -> None:
    random = np.random.default_rng(2)
    same, differing = predicted(random, 4_000), predicted(random, 4_000)
    # On some days the scores say nothing.
    blind = np.isin(differing.day, [1, 4])
    score = np.where(blind, random.random(4_000), differing.probability)
    differing = Predicted(score, differing.outcome, differing.day)
    wide, narrow = auc(differing), auc(same)
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)  # type: ignore[operator]


@pytest.mark.parametrize("days", [1, 3, 7])
def test_values_are_those_of_the_library(days: int) -> None:
    found = predicted(np.random.default_rng(3), 500, days=days)
    by_name = {one.metric: one for one in measure(found, ["roc_auc", "average_precision", "brier"])}
    y, p = found.outcome, found.probability
    assert by_name["roc_auc"].value == pytest.approx(roc_auc_score(y, p))
    assert by_name["average_precision"].value == pytest.approx(average_precision_score(y, p))
    assert by_name["brier"].value == pytest.approx(brier_score_loss(y, p))
    for one in by_name.values():
        assert one.low < one.value < one.high  # type: ignore[operator]


def test_estimates_are_right_where_probabilities_are() -> None:
    random = np.random.default_rng(4)
    p = random.beta(2, 5, 20_000)
    outcome = (random.random(20_000) < p).astype(float)
    day = np.sort(random.integers(0, 7, 20_000))
    known = measure(Predicted(p, outcome, day), ["roc_auc", "brier", "average_precision"])
    expected = measure(
        Predicted(p, p, day, estimated=True), ["roc_auc", "brier", "average_precision"]
    )
    for one, other in zip(known, expected, strict=True):
        assert other.estimated and not one.estimated
        assert other.value == pytest.approx(one.value, abs=0.015)


def test_calibration_is_not_estimated_by_what_takes_it_for_granted() -> None:
    p = np.linspace(0.1, 0.9, 50)
    (one,) = measure(Predicted(p, p, np.arange(50) % 7, estimated=True), ["calibration_error"])
    assert one.value is None


def test_slices_of_enough_rows_are_measured_by_the_first_metric() -> None:
    found = predicted(np.random.default_rng(5), 300)
    colour = np.array(["red"] * 250 + ["blue"] * 50, dtype=object)
    with_slices = Predicted(found.probability, found.outcome, found.day, {"colour": colour})
    measured = measure(with_slices, ["roc_auc", "brier"], [SliceOf(column="colour", min_rows=60)])
    assert [(one.slice, one.metric, one.rows) for one in measured] == [
        ("", "roc_auc", 300),
        ("", "brier", 300),
        ("colour=red", "roc_auc", 250),
    ]


def test_one_class_has_no_auc() -> None:
    rows = Predicted(np.full(300, 0.5), np.zeros(300), np.arange(300) % 7)
    assert auc(rows).value is None
    verdict = performance([auc(rows)], 0.76, **RULE)  # type: ignore[arg-type]
    assert verdict.verdict == "not evaluated" and "only one class" in verdict.because


def value(of: float, rows: int = 1000, half: float = 0.01, metric: str = "roc_auc") -> Measured:
    return Measured("", metric, of, of - half, of + half, rows, False)  # type: ignore[arg-type]


GOOD, BAD = value(0.76), value(0.70)


@pytest.mark.parametrize(
    ("windows", "verdict"),
    [
        ([GOOD], "ok"),
        ([BAD], "ok"),  # one of those looked at
        ([BAD, BAD], "alarm"),
        ([BAD, GOOD], "ok"),  # the latest is good
        ([BAD, GOOD, GOOD, GOOD, BAD], "alarm"),
        ([BAD, GOOD, GOOD, GOOD, GOOD, BAD], "ok"),  # too long ago
        ([BAD, value(0.70, half=0.08)], "ok"),  # not surely worse
        ([BAD, value(0.74, half=0.001)], "ok"),  # surely worse, by little
        ([BAD, None, BAD], "alarm"),
        ([BAD, value(0.70, rows=10), BAD], "alarm"),
        ([value(0.70, rows=10), BAD], "ok"),  # too few rows to count
        ([BAD, None], "not evaluated"),
        ([BAD, value(0.70, rows=199)], "not evaluated"),
    ],
)
def test_the_latest_and_another_of_the_last_five_must_be_bad(
    windows: list[Measured | None], verdict: str
) -> None:
    assert judged(windows) == verdict


def test_without_a_reference_nothing_is_judged() -> None:
    verdict = performance([BAD, BAD], None, **RULE)  # type: ignore[arg-type]
    assert verdict.verdict == "not evaluated"
    assert verdict.because == "the version was registered without its roc_auc"


def test_less_is_better_for_some() -> None:
    worse = value(0.20, metric="brier")
    assert judged([worse, worse], 0.15) == "alarm"
    assert judged([worse, worse], 0.25) == "ok"


def test_the_verdict_says_its_numbers() -> None:
    verdict = performance([BAD, BAD], 0.76, **RULE)  # type: ignore[arg-type]
    assert (verdict.value, verdict.limit, verdict.rows) == (0.70, pytest.approx(0.73), 1000)
    assert verdict.because == (
        "roc_auc 0.700 (0.690 to 0.710), 0.760 when it was judged; 2 of the last 2 windows are "
        "worse by more than 0.03, alarm from 2 with the latest"
    )


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "brier"])
@pytest.mark.parametrize("estimated", [False, True])
def test_what_is_left_without_a_day_is_measured_as_all_is(
    metric: MetricName, estimated: bool
) -> None:
    random = np.random.default_rng(3)
    found = predicted(random, 500)
    # Few scores, so that many rows have the same one.
    score = found.probability.round(1)
    outcome = np.where(random.random(500) < 0.3, score, found.outcome) if estimated else None
    found = Predicted(
        score, found.outcome if outcome is None else outcome, found.day, {}, estimated
    )
    (one,) = measure(found, [metric])
    without = [
        measure(found.where(found.day != day), [metric])[0].value for day in np.unique(found.day)
    ]
    spread = np.var(np.array(without, dtype=float)) * (len(without) - 1)
    half = t.ppf(0.975, len(without) - 1) * np.sqrt(spread)
    assert (one.low, one.high) == pytest.approx((one.value - half, one.value + half), abs=1e-12)
