"""Which rows differ: exactly, but for the last digits of floats."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.comparison import differences

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", None]),
        st.one_of(st.none(), st.floats(-1e6, 1e6)),
        st.one_of(st.none(), st.integers(0, 2)),
    ),
    max_size=8,
)


def table(rows: list[tuple[object, ...]]) -> pa.Table:
    kinds = {"k": pa.string(), "x": pa.float64(), "n": pa.int64()}
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return pa.table(
        {
            name: pa.array(list(c), kind)
            for (name, kind), c in zip(kinds.items(), columns, strict=True)
        }
    )


@settings(deadline=None, max_examples=40)
@given(rows=ROWS, noise=st.floats(-1e-12, 1e-12), order=st.randoms())
def test_order_and_the_last_digits_do_not_matter(rows, noise, order) -> None:  # type: ignore[no-untyped-def]
    other = [(k, x if x is None else x * (1 + noise), n) for k, x, n in rows]
    order.shuffle(other)
    assert differences(table(rows), table(other).select(["n", "x", "k"])) == []


@settings(deadline=None, max_examples=40)
@given(rows=ROWS.filter(bool))
def test_a_row_more_is_told(rows) -> None:  # type: ignore[no-untyped-def]
    assert differences(table(rows), table([*rows, ("c", 0.5, 1)]))[-1] == ("c", 0.5, 1)
    assert differences(table([*rows, rows[0]]), table(rows))


def test_what_differs_is_told_from_both_sides() -> None:
    left, right = table([("a", 1.0, 1), ("b", 2.0, 1)]), table([("a", 1.1, 1), ("b", 2.0, 1)])
    assert differences(left, right) == [("a", 1.0, 1), ("a", 1.1, 1)]
    assert differences(left, left) == []
    assert differences(table([("a", None, 1)]), table([("a", 0.0, 1)]))


def test_columns_must_be_the_same() -> None:
    with pytest.raises(ValueError, match="columns"):
        differences(table([]), table([]).drop_columns(["n"]))
