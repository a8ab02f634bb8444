"""The pictures of a training run. Figures are made without pyplot's global state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lakehouse.training.explain import Importance
from lakehouse.training.fields import MetricName
from lakehouse.training.metrics import Evaluation, evaluate

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["calibration_plot", "importance_plot", "roc_plot", "slices_plot", "weeks_plot"]

_CANDIDATE, _DETAIL, _GUIDE = "#1f5fa8", "#5b6770", "#c3c9ce"
_BASELINES = ("#d9822b", "#4f9d69", "#8d6cab", "#b0524f")
_SHOWN = 20
_SLICES = 40
_LEAST_ROWS = 30
_NAMES = {
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
    "brier": "Brier score",
    "calibration_error": "Calibration error",
}


def roc_plot(
    y: np.ndarray[Any, np.dtype[np.int64]],
    probabilities: Sequence[tuple[Evaluation, np.ndarray[Any, np.dtype[np.float64]]]],
) -> Figure:
    """ROC curves, the candidate first; ``y`` and probabilities of shape (rows,)."""
    from sklearn.metrics import roc_curve

    figure, (axes,) = _figure(6.4, 5.6, "ROC on the test rows")
    axes.plot([0, 1], [0, 1], color=_GUIDE, linestyle=(0, (4, 3)), linewidth=1)
    for i, (evaluation, probability) in enumerate(probabilities):
        false, true, _ = roc_curve(y, probability)
        label = f"{evaluation.model}  (AUC {evaluation.roc_auc or 0:.3f})"
        axes.plot(false, true, color=_colour(i), linewidth=2.2 if i == 0 else 1.5, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
    axes.set(xlabel="False positive rate", ylabel="True positive rate")
    axes.legend(loc="lower right", frameon=False)
    return figure


def calibration_plot(evaluations: Sequence[Evaluation]) -> Figure:
    """Observed against predicted share, the candidate first, and the candidate's row counts.

    Bins of fewer than 30 rows are counted but not drawn: their share says little.
    """
    figure, (axes, counts) = _figure(6.4, 6.4, "Calibration on the test rows", (3.2, 1))
    axes.plot([0, 1], [0, 1], color=_GUIDE, linestyle=(0, (4, 3)), linewidth=1)
    for i, evaluation in enumerate(evaluations):
        bins = [b for b in evaluation.calibration if b.rows >= _LEAST_ROWS]
        axes.plot(
            [b.predicted for b in bins],
            [b.observed for b in bins],
            color=_colour(i),
            marker="o",
            markersize=5.5 if i == 0 else 4,
            linewidth=2.2 if i == 0 else 1.5,
            label=f"{evaluation.model}  (error {evaluation.calibration_error:.3f})",
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.005), ylabel="Observed share")
    axes.legend(loc="upper left", frameon=False)
    axes.tick_params(labelbottom=False)
    of = evaluations[0].calibration
    centres = [(b.low + b.high) / 2 for b in of]
    counts.bar(centres, [b.rows for b in of], width=0.092, color=_CANDIDATE, alpha=0.75)
    counts.set(xlim=(0, 1), xlabel="Predicted probability", ylabel="Rows")
    counts.yaxis.set_major_formatter("{x:,.0f}")
    counts.locator_params(axis="y", nbins=3)
    figure.align_ylabels()
    return figure


def importance_plot(found: Sequence[Importance], metric: str) -> Figure:
    """The loss of ``metric`` when a feature is shuffled: the 20 most important features."""
    shown = list(reversed(found[:_SHOWN]))
    title = "Permutation importance"
    if len(found) > _SHOWN:
        title += f" (the first {_SHOWN} of {len(found)} features)"
    figure, (axes,) = _figure(7.6, 1.5 + 0.3 * max(len(shown), 3), title)
    axes.barh(
        [i.feature for i in shown],
        [i.loss for i in shown],
        xerr=[i.deviation for i in shown],
        color=_CANDIDATE,
        alpha=0.85,
        height=0.68,
        error_kw={"ecolor": _DETAIL, "elinewidth": 1, "capsize": 2},
    )
    axes.axvline(0, color=_DETAIL, linewidth=0.8)
    axes.grid(visible=False, axis="y")
    axes.margins(y=0.02)
    axes.set_xlabel(f"Loss of {_NAMES[metric]} when the feature's values are shuffled")
    return figure


def slices_plot(slices: Sequence[Evaluation], whole: Evaluation, metric: MetricName) -> Figure:
    """The metric of each slice with its interval, the lowest at the bottom; a line for all rows."""
    known = [(value, s) for s in slices if (value := s.value(metric)) is not None]
    known.sort(key=lambda pair: pair[0])
    shown = known if len(known) <= _SLICES else [*known[: _SLICES // 2], *known[-_SLICES // 2 :]]
    title = f"{_NAMES[metric]} by slice"
    if len(known) > len(shown):
        title += f" (the lowest and highest of {len(known)})"
    figure, (axes,) = _figure(7.6, 1.5 + 0.27 * max(len(shown), 3), title)
    for at, (value, one) in enumerate(shown):
        low, high = one.intervals.get(metric, (value, value))
        axes.plot([low, high], [at, at], color=_DETAIL, linewidth=1.4)
        axes.plot([value], [at], marker="o", color=_CANDIDATE, markersize=5)
    axes.set_yticks(range(len(shown)), [f"{s.model} ({s.rows:,})" for _, s in shown])
    if (all_rows := whole.value(metric)) is not None:
        axes.axvline(all_rows, color=_DETAIL, linestyle=(0, (4, 3)), linewidth=1)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"{_NAMES[metric]} with its 95 % interval; dashed: all rows")
    return figure


def weeks_plot(
    y: np.ndarray[Any, np.dtype[np.int64]],
    day: np.ndarray[Any, np.dtype[np.int64]],
    probabilities: Sequence[tuple[str, np.ndarray[Any, np.dtype[np.float64]]]],
    metric: MetricName,
) -> Figure:
    """The metric of each model in each seven days of the test, the candidate first.

    Args:
        y: Labels, shape (rows,).
        day: Of each row, as days since 1970, shape (rows,).
        probabilities: Model and its probabilities, shape (rows,).
        metric: What is shown.
    """
    import numpy as np

    first = int(day.min())
    week = (day - first) // 7
    figure, (axes,) = _figure(7.6, 4.2, f"{_NAMES[metric]} by week of the test")
    for i, (name, probability) in enumerate(probabilities):
        points = []
        for number in np.unique(week):
            at = week == number
            value = evaluate(name, y[at], probability[at]).value(metric)
            if value is not None and at.sum() >= _LEAST_ROWS:
                points.append((np.datetime64(first + 7 * int(number), "D"), value))
        width = 2.2 if i == 0 else 1.5
        axes.plot(
            *zip(*points, strict=True) if points else ([], []),
            marker="o",
            markersize=4,
            color=_colour(i),
            linewidth=width,
            label=name,
        )
    axes.set(ylabel=_NAMES[metric])
    axes.legend(frameon=False)
    axes.tick_params(axis="x", rotation=30)
    return figure


def _figure(
    width: float, height: float, title: str, rows: tuple[float, ...] = (1,)
) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    grid = figure.subplots(len(rows), 1, squeeze=False, gridspec_kw={"height_ratios": rows})
    all_axes = [axes for (axes,) in grid]
    for axes in all_axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(_DETAIL)
        axes.tick_params(colors=_DETAIL, labelsize=9)
        axes.grid(color="#eceff1", linewidth=0.8)
        axes.set_axisbelow(True)
    all_axes[0].set_title(title, loc="left", fontsize=12, fontweight="bold", pad=10)
    return figure, all_axes


def _colour(i: int) -> str:
    return _CANDIDATE if i == 0 else _BASELINES[(i - 1) % len(_BASELINES)]
