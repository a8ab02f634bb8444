"""Periods of time: what a time partition covers, and which partitions another one reads.

Pure: no clock. A partition is named by its first local date; what it covers is
a half-open span of instants in the table's time zone, so that a day with a
change of daylight saving time has 23 or 25 hours.
"""

from __future__ import annotations

import datetime as dt
import difflib
import enum
import functools
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo, available_timezones

__all__ = ["Grain", "Interval", "duration", "span", "time_zone"]


class Grain(enum.StrEnum):
    """The length of a time partition; ``value`` is a partition by equal values, not by time."""

    day = "day"
    week = "week"
    month = "month"
    quarter = "quarter"
    year = "year"
    value = "value"

    def start(self, date: dt.date) -> dt.date:
        """The first date of the partition that holds ``date``."""
        match self:
            case Grain.week:
                return date - dt.timedelta(days=date.weekday())
            case Grain.month:
                return date.replace(day=1)
            case Grain.quarter:
                return date.replace(month=date.month - (date.month - 1) % 3, day=1)
            case Grain.year:
                return date.replace(month=1, day=1)
            case _:
                return date

    def next(self, start: dt.date) -> dt.date:
        """The first date of the partition after the one that begins on ``start``."""
        days = {Grain.day: 1, Grain.week: 7, Grain.month: 31, Grain.quarter: 92, Grain.year: 366}
        return self.start(self.start(start) + dt.timedelta(days=days[self]))


@dataclass(frozen=True, order=True)
class Interval:
    """A half-open span of instants (UTC)."""

    start: dt.datetime
    end: dt.datetime

    def overlaps(self, other: Interval) -> bool:
        """Whether the two have an instant in common."""
        return self.start < other.end and other.start < self.end


def span(
    start: dt.date,
    grain: Grain,
    timezone: str,
    *,
    lookback: dt.timedelta = dt.timedelta(0),
    lookahead: dt.timedelta = dt.timedelta(0),
) -> Interval:
    """What the partition that begins on ``start`` covers, widened on both sides.

    Whole days of lookback and lookahead are calendar days of the time zone, or days of 24 hours
    where those reach further: a frame of SQL counts hours, also across a change of the clock.
    """
    zone = ZoneInfo(timezone)
    return Interval(
        _shift(start, -lookback, zone),
        _shift(grain.next(start), lookahead, zone),
    )


def time_zone(name: str) -> ZoneInfo:
    """The time zone of that name.

    Raises:
        ValueError: There is none; the message ends with what to write instead.
    """
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        close = difflib.get_close_matches(name, available_timezones(), n=1)
        remedy = f"did you mean {close[0]!r}?" if close else "write it as in 'Europe/Oslo' or 'UTC'"
        raise ValueError(f"no time zone is named {name!r}; {remedy}") from None


def _shift(date: dt.date, by: dt.timedelta, zone: ZoneInfo) -> dt.datetime:
    # Whole days towards zero: 23 hours back are elapsed time, not a day back and an hour ahead.
    days = int(by / dt.timedelta(days=1)) if by else 0
    rest = by - dt.timedelta(days=days) if by else by
    try:
        calendar = _midnight(date + dt.timedelta(days=days), zone) + rest
        if not by:
            return calendar
        elapsed = _midnight(date, zone) + by
        return min(calendar, elapsed) if by < dt.timedelta(0) else max(calendar, elapsed)
    except OverflowError:
        # The first and last year of the calendar have nothing beyond them.
        early = by < dt.timedelta(0) or date.year == 1
        return _FIRST if early else _LAST


@functools.lru_cache(maxsize=65536)
def _midnight(date: dt.date, zone: ZoneInfo) -> dt.datetime:
    # The end of one partition is the beginning of the next.
    return dt.datetime.combine(date, dt.time(), zone).astimezone(dt.UTC)


_FIRST = dt.datetime(1, 1, 1, tzinfo=dt.UTC)
_LAST = dt.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC)


_UNITS = {"minute": "minutes", "hour": "hours", "day": "days", "week": "weeks"}


def duration(text: str) -> dt.timedelta:
    """Read ``30 days``, ``60 minutes``, ``1 hour``, ``2 weeks``.

    Raises:
        ValueError: The text is not a whole number and a unit.
    """
    found = re.fullmatch(r"(\d+) +(minute|hour|day|week)s?", text.strip())
    if not found:
        raise ValueError(f"{text!r} is no duration; write for example '30 days' or '60 minutes'")
    return dt.timedelta(**{_UNITS[found[2]]: int(found[1])})
