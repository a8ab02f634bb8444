"""What ``lake import`` says of large files while it reads them."""

from __future__ import annotations

from itertools import count

import pytest

from lakehouse.cli.surveying import _Bars, _Lines
from lakehouse.drafting import Progress

MB = 10**6
STEPS = [
    Progress("reading", 0, 170 * MB, "a.csv"),
    Progress("reading", 170 * MB, 170 * MB, "a.csv"),
    *(Progress("understanding", n, 20, f"c{n}") for n in range(21)),
]


def test_a_line_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    ticks = count()
    lines = _Lines(clock=lambda: float(next(ticks)))
    for step in STEPS:
        lines.show(step)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "reading: a.csv, 0 of 170 MB",
        "understanding: 0 of 20 columns",
        "understanding: 5 of 20 columns",
        "understanding: 10 of 20 columns",
        "understanding: 15 of 20 columns",
        "understanding: 20 of 20 columns",
    ]


def test_small_files_are_not_worth_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = _Lines()
    for step in (Progress("reading", 0, MB, "a.csv"), *STEPS[2:]):
        lines.show(step)
    assert capsys.readouterr().err == ""


def test_whatever_takes_long_is_worth_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    ticks = count()
    lines = _Lines(clock=lambda: float(next(ticks)))
    for step in (Progress("reading", 0, MB, "a.csv"), *STEPS[2:9]):
        lines.show(step)
    assert capsys.readouterr().err.splitlines() == ["understanding: 3 of 20 columns"]


def test_bars_for_a_terminal() -> None:
    bars = _Bars()
    for step in STEPS:
        bars.show(step)
    assert [(t.description, t.completed, t.total, t.fields["told"]) for t in bars.bars.tasks] == [
        ("reading", 170 * MB, 170 * MB, "a.csv, 170 of 170 MB"),
        ("understanding", 20, 20, "20 of 20 columns"),
    ]
