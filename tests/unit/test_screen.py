"""Tables on a screen and in a pipe: numbers stay whole, and each row stays a row."""

from __future__ import annotations

import sys

import click
import pytest

from lakehouse.cli import screen

COLUMNS = ["table", "version", "partitions", "rows in", "published", "quarantined", "time"]
ROW = ["flights.gold.flight_features", 1, 12, 336_775, 336_775, 0, "42.7 s"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_numbers_are_whole_on_a_narrow_screen(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    screen.table(COLUMNS, [ROW])
    shown = click.unstyle(capsys.readouterr().out)
    assert shown.count("336,775") == 2 and "42.7 s" in shown
    assert max(map(len, shown.splitlines())) <= width
    assert ("quarantined" in shown) == (width == 120)


def test_landed_text_neither_breaks_a_row_nor_steers_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen.table(["name", "n"], [["Gul\nstripe\x1b[31m\x9b", None], ["Zoë 🚀", 1]])
    assert capsys.readouterr().out.splitlines() == [
        "name                     n",
        r"Gul\nstripe\x1b[31m\x9b  -",
        "Zoë 🚀                    1",
    ]
