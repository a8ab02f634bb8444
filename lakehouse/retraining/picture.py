"""The year of a model in one picture: how it did, what was decided, who was champion."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["timeline"]

_COLOURS = ("#1f5fa8", "#d9822b", "#4f9d69", "#8d6cab", "#b0524f", "#3b8ea5", "#a07b3b")
_DETAIL, _ALARM = "#5b6770", "#b3261e"
_PROMOTED, _HELD, _NO = "#2e7d4f", "#d9822b", "#9aa4ad"


def timeline(
    model: str,
    metric: str,
    performance: Iterable[Mapping[str, Any]],
    monitors: Iterable[Mapping[str, Any]],
    decisions: Sequence[Mapping[str, Any]],
    promotions: Sequence[Mapping[str, Any]],
) -> Figure:
    """Draw performance by window, alarms, decisions and the reigns of champions.

    Args:
        model: The model's name.
        metric: The metric to show.
        performance: Rows of ``ops.performance``; those of all rows and ripe labels are drawn.
        monitors: Rows of ``ops.monitors``; their alarms are drawn, hollow those of windows that
            were past, or not of the champion, when it was looked.
        decisions: Rows of ``ops.decisions``.
        promotions: Rows of ``ops.promotions``, by which reigns are told.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), dpi=120, layout="constrained")
    rows = figure.subplots(3, 1, sharex=True, gridspec_kw={"height_ratios": (3, 0.7, 1.1)})
    upper, middle, lower = rows
    figure.suptitle(f"{model}: performance, decisions and champions", x=0.01, ha="left")
    reigns = sorted((p for p in promotions if p["alias"] == "champion"), key=lambda p: p["moved"])
    _draw_performance(upper, metric, performance)
    _draw_alarms(middle, list(monitors), reigns)
    made = {p["decision"]: int(p["version"]) for p in reigns}
    _draw_decisions(lower, decisions, made)
    for one in reigns:
        for axes in rows:
            axes.axvline(one["moved"], color=_PROMOTED, linewidth=1, alpha=0.6)
        told = f"v{one['version']} "
        upper.annotate(told, (one["moved"], 1.0), xycoords=("data", "axes fraction"), va="bottom")
    for axes in rows:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=_DETAIL, labelsize=9)
    return figure


def _draw_performance(axes: Axes, metric: str, rows: Iterable[Mapping[str, Any]]) -> None:
    by_version: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        whole = row["metric"] == metric and not row["slice"] and not row["estimated"]
        if whole and row["value"] is not None:
            by_version.setdefault(int(row["version"]), []).append(row)
    for i, (version, found) in enumerate(sorted(by_version.items())):
        newest = {row["window_start"]: row for row in found}
        shown = [newest[start] for start in sorted(newest)]
        at = [_middle(row) for row in shown]
        values = [row["value"] for row in shown]
        colour = _COLOURS[i % len(_COLOURS)]
        axes.plot(at, values, color=colour, marker="o", markersize=4, label=f"version {version}")  # type: ignore[arg-type]
        known = [row for row in shown if row["low"] is not None]
        axes.fill_between(
            [_middle(row) for row in known],  # type: ignore[arg-type]
            [row["low"] for row in known],
            [row["high"] for row in known],
            color=colour,
            alpha=0.12,
            linewidth=0,
        )
    axes.set_ylabel(metric)
    axes.grid(color="#eceff1", linewidth=0.8)
    if by_version:
        axes.legend(loc="lower left", frameon=False, ncols=4, fontsize=9)


def _draw_alarms(
    axes: Axes, monitors: Sequence[Mapping[str, Any]], reigns: Sequence[Mapping[str, Any]]
) -> None:
    """A row for each monitor that raised an alarm, a mark at the end of its window."""
    raised = [m for m in monitors if m["verdict"] == "alarm"]
    told = {_mark(m) for m in _newest(monitors, reigns) if m["verdict"] == "alarm"}
    names = sorted({m["monitor"] for m in raised})
    for monitor, at in sorted({_mark(m) for m in raised}):
        face = _ALARM if (monitor, at) in told else "none"
        axes.plot(
            [at],  # type: ignore[arg-type]
            [names.index(monitor)],
            marker="^",
            markersize=6,
            color=_ALARM,
            markerfacecolor=face,
            linestyle="",
            label="told" if face == _ALARM else "seen afterwards",
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.7, max(len(names), 1) - 0.3)
    axes.set_ylabel("alarm")
    by_label = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    if by_label:
        axes.legend(
            by_label.values(), by_label.keys(), loc="lower left", frameon=False, fontsize=9, ncols=2
        )


def _newest(
    monitors: Sequence[Mapping[str, Any]], reigns: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Of each look the last verdicts on the champion: what it told. Others are of weeks past."""
    last: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in sorted(monitors, key=lambda m: m["window_end"]):
        before = [int(p["version"]) for p in reigns if p["moved"] < row["looked"]]
        if before and int(row["version"]) == before[-1]:
            last[row["run"], row["monitor"]] = row
    return list(last.values())


def _mark(row: Mapping[str, Any]) -> tuple[str, dt.datetime]:
    return row["monitor"], row["window_end"]


def _draw_decisions(
    axes: Axes, decisions: Sequence[Mapping[str, Any]], made: Mapping[str, int]
) -> None:
    axes.set_yticks([0, 1], ["no", "train"])
    axes.set_ylim(-0.6, 1.9)
    axes.set_ylabel("decision")
    for row in decisions:
        train = row["verdict"] == "train"
        version = made.get(row["decision"])
        colour = _PROMOTED if version else _HELD if train else _NO
        axes.plot([row["decided"]], [int(train)], marker="s", color=colour, markersize=8)
        told = f"v{version} champion" if version else "a gate held it" if train else _kinds(row)
        axes.annotate(
            told,
            (row["decided"], int(train)),
            xytext=(0, 8),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=_DETAIL,
        )


def _kinds(row: Mapping[str, Any]) -> str:
    return ", ".join(dict.fromkeys(str(t["kind"]) for t in json.loads(row["triggers"])))


def _middle(row: Mapping[str, Any]) -> dt.datetime:
    start: dt.datetime = row["window_start"]
    end: dt.datetime = row["window_end"]
    return start + (end - start) / 2
