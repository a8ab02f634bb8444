"""Windows of event time: whole days of the feature table's zone, the same for every version."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from lakehouse.interval import Interval

__all__ = ["named", "whole"]

#: A Monday: windows of whole weeks begin on one.
_ANCHOR = dt.date(1970, 1, 5)


def whole(
    since: dt.datetime, watermark: dt.datetime, length: dt.timedelta, timezone: str
) -> tuple[Interval, ...]:
    """The windows after an instant that the data have left behind, the earliest first.

    They lie on one grid, which does not depend on ``since``: what two versions are watched by
    are the same windows.

    Args:
        since: No window begins before it: the end of a version's training.
        watermark: The newest event: no window ends after it.
        length: Whole days.
        timezone: In which days begin.
    """
    return tuple(_whole(since, watermark, length.days, ZoneInfo(timezone)))


def named(window: Interval, timezone: str) -> str:
    """A window by its first day and the day after its last: ``2013-07-01 until 2013-07-08``."""
    zone = ZoneInfo(timezone)
    first, after = (at.astimezone(zone).date() for at in (window.start, window.end))
    return f"{first} until {after}"


def _whole(
    since: dt.datetime, watermark: dt.datetime, days: int, zone: ZoneInfo
) -> Iterator[Interval]:
    first = since.astimezone(zone).date()
    start = first - dt.timedelta(days=(first - _ANCHOR).days % days)
    while True:
        end = start + dt.timedelta(days=days)
        window = Interval(_midnight(start, zone), _midnight(end, zone))
        if window.end > watermark:
            return
        if window.start >= since:
            yield window
        start = end


def _midnight(date: dt.date, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.combine(date, dt.time(), zone).astimezone(dt.UTC)
