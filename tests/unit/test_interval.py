"""Periods: where they begin and end, in which zone, and what overlaps what."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.interval import Grain, Interval, duration, span

PERIODS = [g for g in Grain if g is not Grain.value]
dates = st.dates(dt.date(1900, 1, 1), dt.date(2200, 1, 1))


@settings(deadline=None)
@given(st.sampled_from(PERIODS), dates)
def test_each_date_is_in_one_period(grain: Grain, date: dt.date) -> None:
    start, end = grain.start(date), grain.next(date)
    assert start <= date < end
    assert grain.start(start) == start == grain.start(end - dt.timedelta(days=1))
    assert grain.start(end) == end


@settings(deadline=None)
@given(
    st.sampled_from(PERIODS), dates, st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata"])
)
def test_periods_meet_without_a_gap(grain: Grain, date: dt.date, zone: str) -> None:
    one, other = span(grain.start(date), grain, zone), span(grain.next(date), grain, zone)
    assert one.end == other.start
    assert not one.overlaps(other)


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-08", 23), ("2026-11-01", 25), ("2026-07-01", 24)]
)
def test_a_day_with_a_change_of_time_has_its_own_length(day: str, hours: int) -> None:
    found = span(dt.date.fromisoformat(day), Grain.day, "America/New_York")
    assert found.end - found.start == dt.timedelta(hours=hours)


def test_a_lookback_reaches_as_far_as_days_of_the_calendar_and_of_24_hours() -> None:
    day, zone, one = dt.date(2026, 3, 9), "America/New_York", dt.timedelta(days=1)
    whole = span(day, Grain.day, zone, lookback=one)
    hours = span(day, Grain.day, zone, lookback=dt.timedelta(hours=23))
    # The day before has 23 hours; a frame of 24 at its end begins an hour before it.
    assert hours.start == dt.datetime(2026, 3, 8, 5, tzinfo=dt.UTC)
    assert whole.start == dt.datetime(2026, 3, 8, 4, tzinfo=dt.UTC)
    # One of 25 hours is read whole.
    autumn = span(dt.date(2026, 11, 2), Grain.day, zone, lookback=one)
    assert autumn.start == dt.datetime(2026, 11, 1, 4, tzinfo=dt.UTC)
    ahead = span(day, Grain.day, zone, lookahead=dt.timedelta(minutes=60))
    assert ahead.end == dt.datetime(2026, 3, 10, 5, tzinfo=dt.UTC)
    ahead = span(dt.date(2026, 3, 7), Grain.day, zone, lookahead=one)
    assert ahead.end == dt.datetime(2026, 3, 9, 5, tzinfo=dt.UTC)


@pytest.mark.parametrize("date", [dt.date.min, dt.date(9999, 12, 1)])
def test_the_ends_of_the_calendar_have_nothing_beyond_them(date: dt.date) -> None:
    if date == dt.date.min:
        found = span(date, Grain.month, "Asia/Kolkata", lookback=dt.timedelta(days=30))
        assert found.start.date() == dt.date.min
    else:
        assert (
            span(date, Grain.day, "America/New_York", lookahead=dt.timedelta(days=9)).end.year
            == 9999
        )


def test_half_open() -> None:
    at = [dt.datetime(2026, 1, n, tzinfo=dt.UTC) for n in range(1, 5)]
    assert not Interval(at[0], at[1]).overlaps(Interval(at[1], at[2]))
    assert Interval(at[0], at[2]).overlaps(Interval(at[1], at[3]))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("30 days", dt.timedelta(days=30)),
        ("1 hour", dt.timedelta(hours=1)),
        ("60 minutes", dt.timedelta(hours=1)),
        (" 2 weeks ", dt.timedelta(days=14)),
    ],
)
def test_durations(text: str, found: dt.timedelta) -> None:
    assert duration(text) == found


@pytest.mark.parametrize("text", ["30", "days", "-1 days", "1.5 hours", "1 month", ""])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        duration(text)
