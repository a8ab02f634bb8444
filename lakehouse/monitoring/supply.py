"""Whether rows still come, and as many as before (pure)."""

from __future__ import annotations

import datetime as dt
import statistics
from collections.abc import Sequence

from lakehouse.monitoring.verdict import Verdict

__all__ = ["freshness", "volume"]

#: Windows before that say what is usual: at least, and at most.
_LEAST, _MOST = 3, 12


def freshness(watermark: dt.datetime, now: dt.datetime, at_most: dt.timedelta) -> Verdict:
    """An alarm when the newest event is older than is allowed. Value and limit are in days."""
    age, limit = ((one / dt.timedelta(days=1)) for one in (now - watermark, at_most))
    because = f"the newest event is {age:,.1f} days old, {limit:g} are allowed"
    return Verdict("freshness", "alarm" if age > limit else "ok", because, 0, age, limit)


def volume(rows: int, before: Sequence[int], at_least: float) -> Verdict:
    """An alarm when a window has few rows against the median of those before.

    Value and limit are shares of that median.

    Args:
        rows: Rows of the window.
        before: Rows of the windows before it, the earliest first.
        at_least: The share of their median that is enough.
    """
    if len(before) < _LEAST:
        because = f"{len(before)} windows before it are known, {_LEAST} are needed"
        return Verdict("volume", "not evaluated", because, rows, None, at_least)
    usual = statistics.median(before[-_MOST:])
    if not usual:
        return Verdict("volume", "not evaluated", "no rows came before", rows, None, at_least)
    share = rows / usual
    because = f"{rows:,} rows, {share:.0%} of the usual {usual:,.0f}; {at_least:.0%} are needed"
    return Verdict("volume", "alarm" if share < at_least else "ok", because, rows, share, at_least)
