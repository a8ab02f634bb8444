"""The figures of a run, printed at its end."""

from __future__ import annotations

import figures
import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if figures.FIGURES:
        last = figures.SEED + figures.ROUNDS - 1
        terminalreporter.section(f"crash set, seeds {figures.SEED} to {last}")
        for name, n in sorted(figures.FIGURES.items()):
            terminalreporter.write_line(f"{n:6} {name}")
