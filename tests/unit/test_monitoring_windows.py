from __future__ import annotations

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from lakehouse.monitoring import supply
from lakehouse.monitoring.windows import named, whole

ZONE = "America/New_York"
instants = st.datetimes(dt.datetime(2012, 1, 1), dt.datetime(2014, 1, 1), timezones=st.just(dt.UTC))


@given(instants, instants, st.integers(1, 30))
def test_windows_follow_each_other_within_their_bounds(
    since: dt.datetime, watermark: dt.datetime, days: int
) -> None:
    found = whole(since, watermark, dt.timedelta(days=days), ZONE)
    assert all(since <= w.start and w.end <= watermark for w in found)
    assert all(a.end == b.start for a, b in itertools.pairwise(found))
    for window in found:
        first, after = (at.astimezone(ZoneInfo(ZONE)) for at in (window.start, window.end))
        assert first.time() == after.time() == dt.time()
        assert (after.date() - first.date()).days == days
    if watermark - since > dt.timedelta(days=2 * days + 1):
        assert found


@given(instants, instants, instants)
def test_two_versions_are_watched_by_the_same_windows(
    since: dt.datetime, later: dt.datetime, watermark: dt.datetime
) -> None:
    week = dt.timedelta(days=7)
    both = whole(since, watermark, week, ZONE), whole(later, watermark, week, ZONE)
    many, few = sorted(both, key=len, reverse=True)
    assert few == many[len(many) - len(few) :]


def test_weeks_begin_on_mondays() -> None:
    since = dt.datetime(2013, 3, 1, 5, tzinfo=dt.UTC)
    until = dt.datetime(2013, 3, 18, 4, tzinfo=dt.UTC)
    found = whole(since, until, dt.timedelta(days=7), ZONE)
    assert [named(w, ZONE) for w in found] == [
        "2013-03-04 until 2013-03-11",
        "2013-03-11 until 2013-03-18",
    ]
    # The week in which the clocks go forward is an hour shorter.
    assert found[0].end - found[0].start == dt.timedelta(days=7, hours=-1)


def test_freshness() -> None:
    now = dt.datetime(2013, 3, 1, tzinfo=dt.UTC)
    at_most = dt.timedelta(days=40)
    old = supply.freshness(now - dt.timedelta(days=41), now, at_most)
    new = supply.freshness(now - dt.timedelta(days=40), now, at_most)
    assert (old.verdict, old.value, old.limit) == ("alarm", 41.0, 40.0)
    assert new.verdict == "ok"
    assert old.because == "the newest event is 41.0 days old, 40 are allowed"


def test_volume_is_held_against_the_median_of_what_came_before() -> None:
    assert supply.volume(10, [100, 100], 0.5).verdict == "not evaluated"
    assert supply.volume(49, [100, 90, 1000], 0.5).verdict == "alarm"
    assert supply.volume(50, [100, 90, 1000], 0.5).verdict == "ok"
    assert supply.volume(50, [0, 0, 0], 0.5).verdict == "not evaluated"
    # Long ago is not usual.
    assert supply.volume(50, [1000] * 12 + [100] * 12, 0.5).verdict == "ok"
