"""The picture of a model's year: which alarms were told, and which were seen afterwards."""

from __future__ import annotations

import datetime as dt
from typing import Any

from lakehouse.retraining.picture import timeline


def day(number: int) -> dt.datetime:
    return dt.datetime(2013, 1, number, tzinfo=dt.UTC)


def verdict(looked: int, version: int, end: int, said: str = "alarm") -> dict[str, Any]:
    return {
        "run": f"run-{looked}",
        "looked": day(looked),
        "version": version,
        "monitor": "drift",
        "window_end": day(end),
        "verdict": said,
    }


def drawn(monitors: list[dict[str, Any]]) -> dict[str, set[int]]:
    reigns = [
        {"alias": "champion", "version": version, "moved": day(moved), "decision": str(version)}
        for version, moved in ((1, 1), (2, 20))
    ]
    figure = timeline("m", "roc_auc", [], monitors, [], reigns)
    # The others are the days on which champions began.
    marks = [line for line in figure.axes[1].lines if line.get_marker() == "^"]
    found: dict[str, set[int]] = {"told": set(), "seen afterwards": set()}
    for mark in marks:
        (at,) = mark.get_xdata()
        found[str(mark.get_label())].add(at.day)
        assert (mark.get_markerfacecolor() != "none") == (mark.get_label() == "told")
    return found


def test_only_the_newest_window_of_the_champion_was_told() -> None:
    monitors = [
        verdict(10, 1, 3),
        verdict(10, 1, 9),  # the newest of its look
        verdict(20, 1, 16),
        verdict(20, 1, 19, "ok"),
        verdict(20, 2, 18),  # became champion by what this look found
        verdict(30, 2, 19),
        verdict(30, 2, 22),
        verdict(30, 2, 29),
        verdict(30, 1, 28),  # champion no more
    ]
    assert drawn(monitors) == {"told": {9, 29}, "seen afterwards": {3, 16, 18, 19, 22, 28}}


def test_without_alarms_there_is_no_mark() -> None:
    assert drawn([verdict(10, 1, 9, "ok")]) == {"told": set(), "seen afterwards": set()}
