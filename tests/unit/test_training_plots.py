"""Plots are real pictures, also where there is little to draw."""

from __future__ import annotations

import io

import numpy as np

from lakehouse.training.explain import Importance
from lakehouse.training.metrics import evaluate
from lakehouse.training.plots import (
    calibration_plot,
    importance_plot,
    roc_plot,
    slices_plot,
    weeks_plot,
)


def test_every_plot_is_a_png() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 500)
    fitted = [(evaluate(name, y, p), p) for name, p in (("m", rng.random(500)), ("b", y * 0.5))]
    many = [Importance(f"feature_{i}", 0.1 / (i + 1), 0.01) for i in range(30)]
    day = 16_000 + np.arange(500) // 20
    said = fitted[0][1]
    parts = (slice(i, None, 50) for i in range(50))
    slices = [evaluate(f"carrier={p.start}", y[p], said[p], day[p]) for p in parts]
    figures = [
        roc_plot(y, fitted),
        calibration_plot([evaluation for evaluation, _ in fitted]),
        importance_plot(many, "roc_auc"),
        importance_plot([], "brier"),
        slices_plot(slices, fitted[0][0], "roc_auc"),
        slices_plot([], fitted[0][0], "brier"),
        weeks_plot(y, day, [("m", fitted[0][1]), ("champion", fitted[1][1])], "roc_auc"),
        weeks_plot(np.zeros(500, int), day, [("m", fitted[0][1])], "roc_auc"),
    ]
    for figure in figures:
        written = io.BytesIO()
        figure.savefig(written, format="png")
        assert written.getvalue().startswith(b"\x89PNG")
    shown = [label.get_text() for label in figures[2].axes[0].get_yticklabels()]
    assert (len(shown), shown[-1]) == (20, "feature_0")
    assert len(figures[4].axes[0].get_yticklabels()) == 40
    (m, champion) = figures[6].axes[0].get_lines()
    assert (len(m.get_xdata()), champion.get_label()) == (4, "champion")
