from __future__ import annotations

import datetime as dt
import math

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.interval import Interval
from lakehouse.monitoring.counting import count_windows, index_sql
from lakehouse.monitoring.reference import Counts, Reference

START = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def windows(n: int) -> list[Interval]:
    return [Interval(START + i * DAY, START + (i + 1) * DAY) for i in range(n)]


def counted(frame: pd.DataFrame, reference: Reference, n: int):  # type: ignore[no-untyped-def]
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    con.register("rows", frame)
    try:
        return count_windows(con, "rows", "at", reference, windows(n))
    finally:
        con.close()


NUMBERS = st.one_of(
    st.none(), st.floats(allow_nan=True, allow_infinity=True), st.integers(0, 3).map(float)
)
TEXTS = st.one_of(st.none(), st.sampled_from(["", "a", "B", "é", "a'b", "other", "ÿ"]))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(NUMBERS, TEXTS), min_size=1, max_size=60),
    st.lists(st.tuples(NUMBERS, TEXTS, st.integers(0, 2)), max_size=60),
)
def test_sql_counts_as_numpy_does(learnt: list, later: list) -> None:
    reference = Reference.of(
        pd.DataFrame(
            {
                "number": pd.Series([a for a, _ in learnt], dtype=float),
                "text": pd.Series([b for _, b in learnt], dtype=object),
            }
        )
    )
    frame = pd.DataFrame(
        {
            "number": pd.Series([a for a, _, _ in later], dtype=float),
            "text": pd.Series([b for _, b, _ in later], dtype="string"),
            "at": pd.Series([START + i * DAY for *_, i in later], dtype="datetime64[us, UTC]"),
        }
    )
    found = counted(frame, reference, 3)
    for i, one in enumerate(found):
        part = frame[frame["at"] == START + i * DAY]
        assert one.rows == len(part)
        assert one.features == reference.count(part)


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(-2 * 24, 14 * 24))
def test_an_instant_falls_into_the_window_that_holds_it(n: int, hours: int) -> None:
    at = START + dt.timedelta(hours=hours)
    expected = hours // 24 if 0 <= hours < n * 24 else None
    sql = index_sql(f"TIMESTAMPTZ '{at.isoformat()}'", windows(n))
    with duckdb.connect() as con:
        assert con.execute(f"SELECT {sql}").fetchall() == [(expected,)]


def test_rows_between_windows_are_in_none() -> None:
    first, _, third = windows(3)
    reference = Reference.of(pd.DataFrame({"x": [1.0]}))
    at = [START + i * DAY for i in range(3)]
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "at": pd.Series(at)})
    with duckdb.connect() as con:
        con.register("rows", frame)
        found = count_windows(con, "rows", "at", reference, [first, third])
    assert [one.rows for one in found] == [1, 1]


def test_integers_booleans_and_decimals_are_counted_as_the_estimator_sees_them() -> None:
    reference = Reference.of(pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0], "z": [1.5, 2.5]}))
    with duckdb.connect() as con:
        con.execute(
            "CREATE TABLE rows AS SELECT 1::BIGINT AS x, true AS y, 2.5::DECIMAL(9, 2) AS z, "
            f"TIMESTAMPTZ '{START.isoformat()}' AS at"
        )
        (found,) = count_windows(con, "rows", "at", reference, windows(1))
    assert found.features["x"].counts == (0, 0, 1, 0)
    assert found.features["y"].counts == (0, 0, 1, 0)
    assert found.features["z"].counts == (0, 0, 1, 0)


def test_empty_text_is_a_value_beside_all_others() -> None:
    reference = Reference.of(pd.DataFrame({"x": pd.Series(["", "a"], dtype=object)}))
    at = pd.Series([START] * 4)
    frame = pd.DataFrame({"x": pd.Series(["", "a", "b", None], dtype="string"), "at": at})
    (found,) = counted(frame, reference, 1)
    assert found.features["x"] == Counts((1, 1, 1), 1)


def test_edges_keep_their_last_digit() -> None:
    values = [0.1, math.nextafter(0.1, 1), 0.3, 1 / 3]
    reference = Reference.of(pd.DataFrame({"x": values}))
    frame = pd.DataFrame({"x": values, "at": pd.Series([START] * 4)})
    (found,) = counted(frame, reference, 1)
    assert found.features["x"].counts == (0, 1, 1, 1, 1, 0)


@pytest.mark.parametrize("rows", [0, 1])
def test_a_feature_that_was_never_known(rows: int) -> None:
    reference = Reference.of(
        pd.DataFrame({"x": [np.nan] * 3, "t": pd.Series([None] * 3, dtype=object)})
    )
    at = pd.Series([START] * rows, dtype="datetime64[us, UTC]")
    frame = pd.DataFrame(
        {"x": [1.0] * rows, "t": pd.Series(["a"] * rows, dtype="string"), "at": at}
    )
    (found,) = counted(frame, reference, 1)
    assert found.features["x"].counts == (rows,)
    assert found.features["t"].counts == (rows,)
