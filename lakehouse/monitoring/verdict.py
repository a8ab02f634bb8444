"""What a monitor says of a window: in order, an alarm, or why it cannot say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Judgement", "Verdict"]

Judgement = Literal["ok", "alarm", "not evaluated"]


@dataclass(frozen=True)
class Verdict:
    """One monitor's word about one window.

    Attributes:
        monitor: ``drift``, ``performance``, ``freshness``, ``volume`` or ``missing``.
        verdict: ``ok``, ``alarm`` or ``not evaluated``.
        because: The reason, in a sentence with its numbers.
        rows: Rows looked at.
        value: What was observed; None where it could not be.
        limit: What it was held against.
    """

    monitor: str
    verdict: Judgement
    because: str
    rows: int
    value: float | None = None
    limit: float | None = None
