"""Metrics against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.training.metrics import calibration, calibration_error, evaluate

PAIRS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 20).map(lambda k: k / 20)), min_size=1, max_size=60
)


@settings(max_examples=60, deadline=None)
@given(pairs=PAIRS)
def test_metrics_follow_their_definitions(pairs: list[tuple[int, float]]) -> None:
    y, p = np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])
    found = evaluate("m", y, p)
    assert found.rows == sum(b.rows for b in found.calibration) == len(pairs)
    assert found.brier == pytest.approx(sum((b - a) ** 2 for a, b in pairs) / len(pairs))
    assert 0 <= found.calibration_error <= 1
    assert all(b.low - 1e-9 <= b.predicted <= b.high + 1e-9 for b in found.calibration)
    late, on_time = p[y == 1], p[y == 0]
    if len(late) and len(on_time):
        won = (late[:, None] > on_time) + 0.5 * (late[:, None] == on_time)
        assert found.roc_auc == pytest.approx(won.mean())
        assert found.value("average_precision") is not None
    else:
        assert found.roc_auc is None and found.average_precision is None
        assert set(found.metrics) == {"brier", "calibration_error"}
    assert evaluate("m", y[::-1], p[::-1]).metrics == pytest.approx(dict(found.metrics))


def test_calibrated_probabilities_have_no_error() -> None:
    y = np.array([1, 0, 0, 0, 1, 1, 1, 0])
    p = np.array([0.25] * 4 + [0.75] * 4)
    assert calibration_error(calibration(y, p)) == 0
    assert calibration_error(calibration(y, 1 - p)) == 0.5
    assert calibration(np.array([1]), np.array([1.0]))[0].low == 0.9
