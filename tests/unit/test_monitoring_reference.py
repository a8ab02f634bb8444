from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.errors import ModelError
from lakehouse.monitoring.reference import Counts, FeatureBins, Reference

NUMBERS = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=80)
TEXTS = st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=80)


def frame(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(values) for name, values in columns.items()})


@settings(max_examples=80, deadline=None)
@given(NUMBERS)
def test_every_number_is_in_one_bin(numbers: list[float]) -> None:
    rows = pd.DataFrame({"x": pd.Series(numbers, dtype=float)})
    reference = Reference.of(rows)
    bins = reference["x"]
    assert bins.trained.rows == len(numbers)
    assert bins.missing == sum(map(math.isnan, numbers))
    # What was learnt from is counted as it was.
    assert reference.count(rows)["x"] == bins.trained
    assert Reference.from_json(reference.to_json()) == reference


@settings(max_examples=80, deadline=None)
@given(TEXTS)
def test_every_text_is_in_one_bin(texts: list[str | None]) -> None:
    rows = pd.DataFrame({"x": pd.Series(texts, dtype=object)})
    reference = Reference.of(rows)
    assert reference["x"].trained.rows == len(texts)
    assert reference["x"].missing == texts.count(None)
    assert reference.count(rows)["x"] == reference["x"].trained
    assert Reference.from_json(reference.to_json()) == reference


def test_numbers_are_cut_at_their_quantiles() -> None:
    bins = Reference.of(frame(x=[float(i) for i in range(1000)]))["x"]
    assert bins.counts == (50,) * 20
    assert bins.edges[:2] == (49.0, 99.0)


def test_a_few_values_have_a_bin_each_and_what_lies_outside_one_on_either_side() -> None:
    reference = Reference.of(frame(x=[0.0, 1.0, 1.0, 2.0]))
    assert reference["x"].counts == (0, 1, 2, 1, 0)
    later = reference.count(frame(x=[-1.0, 0.0, 2.0, 3.0, math.nan]))
    assert later["x"] == Counts((1, 1, 0, 1, 1), 1)


def test_text_beyond_the_most_frequent_is_counted_as_others() -> None:
    values = [f"v{i:02d}" for i in range(25) for _ in range(25 - i)]
    reference = Reference.of(frame(x=values))
    bins = reference["x"]
    assert bins.values == tuple(f"v{i:02d}" for i in range(20))
    assert bins.counts[0] == 25 and bins.counts[-1] == 1 + 2 + 3 + 4 + 5
    assert reference.count(frame(x=["new", "v00", None]))["x"].counts[-1] == 1


def test_which_of_equally_frequent_texts_are_kept_does_not_depend_on_the_order() -> None:
    values = [f"v{i:02d}" for i in range(30)]
    shuffled = list(np.random.default_rng(0).permutation(values))
    assert Reference.of(frame(x=values)).to_json() == Reference.of(frame(x=shuffled)).to_json()


def test_text_where_numbers_were_counts_as_null() -> None:
    reference = Reference.of(frame(x=[1.0, 2.0]))
    assert reference.count(frame(x=["a", "1"]))["x"].missing == 1


def test_only_some_features() -> None:
    reference = Reference.of(frame(a=[1.0], b=[2.0]))
    assert [one.feature for one in reference.only(["b", "c"]).features] == ["b"]


@pytest.mark.parametrize(
    "change",
    [
        lambda d: "not json",
        lambda d: json.dumps({**d, "schema": 2}),
        lambda d: json.dumps({**d, "features": [{}]}),
        lambda d: json.dumps({**d, "features": [{**d["features"][0], "counts": [1]}]}),
        lambda d: json.dumps({**d, "features": [{**d["features"][0], "kind": "odd"}]}),
        lambda d: json.dumps({**d, "features": [{**d["features"][0], "missing": -1}]}),
        lambda d: json.dumps([]),
    ],
)
def test_another_document_is_refused(change: object) -> None:
    document = json.loads(Reference.of(frame(a=[1.0, 2.0])).to_json())
    with pytest.raises(ModelError, match="train the model again"):
        Reference.from_json(change(document))  # type: ignore[operator]


def test_bins_fit_their_counts() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        FeatureBins("x", "numeric", (2.0, 1.0), (), (1, 1, 1), 0)
