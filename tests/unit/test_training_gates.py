"""Gates: a verdict for each, with its reason; nothing passes silently."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.training.declaration import Gate
from lakehouse.training.gates import judge
from lakehouse.training.metrics import Evaluation

SHARE = st.integers(0, 1000).map(lambda k: k / 1000)


def evaluation(model: str, auc: float | None, brier: float = 0.1) -> Evaluation:
    return Evaluation(model, 100, 0.2, auc, auc, brier, 0.01, ())


@given(candidate=SHARE, baselines=st.lists(SHARE, min_size=1, max_size=3), by=SHARE)
def test_the_best_baseline_is_what_counts(
    candidate: float, baselines: list[float], by: float
) -> None:
    gate = Gate(name="beats", metric="roc_auc", by=by)
    others = [evaluation(f"b{i}", value) for i, value in enumerate(baselines)]
    (found,) = judge([gate], evaluation("candidate", candidate), others)
    assert found.verdict == ("passed" if candidate >= max(baselines) + by else "failed")
    assert found.baseline in {o.model for o in others if o.roc_auc == max(baselines)}
    assert (found.candidate, found.required) == (candidate, max(baselines) + by)


def test_less_is_better_for_brier() -> None:
    gates = [
        Gate(name="beats", metric="brier", by=0.02),
        Gate(name="bar", metric="brier", at_most=0.1),
        Gate(name="low", metric="brier", at_most=0.09),
    ]
    others = [evaluation("poor", 0.5, 0.2), evaluation("good", 0.5, 0.11)]
    beats, bar, low = judge(gates, evaluation("candidate", 0.7, 0.1), others)
    assert (beats.verdict, bar.verdict, low.verdict) == ("failed", "passed", "failed")
    assert beats.because == (
        "brier 0.1000 against 0.1100 of good; at most 0.0900 is asked (better by 0.02)"
    )


@pytest.mark.parametrize(
    ("candidate", "baseline", "because"),
    [(None, 0.5, "100 test rows of one class"), (0.7, None, "no baseline has a roc_auc")],
)
def test_undefined_metrics_are_not_evaluated(
    candidate: float | None, baseline: float | None, because: str
) -> None:
    gate = Gate(name="beats", metric="roc_auc", by=0.01)
    (found,) = judge([gate], evaluation("candidate", candidate), [evaluation("b", baseline)])
    assert found.verdict == "not evaluated"
    assert because in found.because
