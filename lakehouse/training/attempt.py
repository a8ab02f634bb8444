"""The circumstances of one training: from which rows, why, and what it is held against."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from lakehouse.training.split import Windows

__all__ = ["Attempt"]


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


@dataclass(frozen=True)
class Attempt:
    """One training.

    Attributes:
        windows: What is learnt from and judged on; None for those of a fixed split.
        watermark: The newest event, UTC: labels that cannot be ripe by then do not count. None:
            all that are there are.
        domain: The domain that declares the model.
        decision: The decision to train; empty without one.
        number: Which training with this evaluation window it is, from 1.
        decided: The evaluation window that decided the last promotion: the day after it, and the
            version; None when none has.
        today: For waivers.
    """

    windows: Windows | None = None
    watermark: dt.datetime | None = None
    domain: str = ""
    decision: str = ""
    number: int = 1
    decided: tuple[dt.date, int] | None = None
    today: dt.date = field(default_factory=_today)
