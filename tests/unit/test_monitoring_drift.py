"""The drift monitor: silent without drift at any number of rows, and not blind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from lakehouse.monitoring import drift
from lakehouse.monitoring.reference import Counts, FeatureBins, Reference

Shares = Sequence[float]

EVEN: Shares = [0.05] * 20
SKEWED: Shares = [0.5, 0.25, 0.12, 0.06, 0.03, 0.02, 0.01, 0.005, 0.003, 0.001, 0.001]
#: Fifteen numbers and five texts with rare values, as shares of their bins.
FEATURES: dict[str, Shares] = {f"n{i}": EVEN for i in range(15)} | {
    f"t{i}": SKEWED for i in range(5)
}
NULLS = 0.02


def drawn(random: np.random.Generator, shares: Shares, rows: int, nulls: float = NULLS) -> Counts:
    p = [*(np.array(shares) / sum(shares) * (1 - nulls)), nulls]
    *counts, missing = random.multinomial(rows, p)
    return Counts(tuple(map(int, counts)), int(missing))


def bins(name: str, counts: Counts) -> FeatureBins:
    edges = tuple(map(float, range(len(counts.counts) - 1)))
    return FeatureBins(name, "numeric", edges, (), counts.counts, counts.missing)


def learnt(random: np.random.Generator, rows: int, nulls: float = NULLS) -> Reference:
    return Reference(
        tuple(bins(name, drawn(random, shares, rows, nulls)) for name, shares in FEATURES.items())
    )


@pytest.mark.parametrize("rows", [200, 2_000, 50_000, 5_000_000])
@pytest.mark.parametrize("trained", [2_000, 200_000])
def test_hardly_a_false_alarm_in_100_windows(rows: int, trained: int) -> None:
    random = np.random.default_rng([rows, trained])
    alarms = features = 0
    reference = learnt(random, trained)
    for _ in range(100):
        window = {name: drawn(random, shares, rows) for name, shares in FEATURES.items()}
        # One feature has all the importance: each false alarm counts.
        found = drift.compare(reference, window, {"n0": 1.0})
        verdicts = [drift.drift(found, 0.3, 200), drift.missing(found, 0.1, 200)]
        alarms += any(v.verdict == "alarm" for v in verdicts)
        features += any(one.drifted for one in found)
    assert alarms <= 1
    assert features <= 1


def test_hardly_a_false_alarm_where_bins_were_cut_from_few_rows() -> None:
    random = np.random.default_rng(5)
    reference = Reference.of(pd.DataFrame(random.normal(size=(1000, 5)), columns=list("abcde")))
    alarms = 0
    for _ in range(100):
        rows = pd.DataFrame(random.normal(size=(400, 5)), columns=list("abcde"))
        found = drift.compare(reference, reference.count(rows), {})
        alarms += any(one.drifted for one in found)
    assert alarms <= 1


def mean_shift() -> tuple[Shares, Shares, float, float]:
    """A normal feature whose mean moves by 0.3 standard deviations."""
    edges = norm.ppf(np.arange(1, 20) / 20)
    return EVEN, np.diff([0, *norm.cdf(edges - 0.3), 1]).tolist(), NULLS, NULLS


def share_shift() -> tuple[Shares, Shares, float, float]:
    """A value whose share grows from 0.1 to 0.2."""
    return [0.1, 0.3, 0.3, 0.3], [0.2, 0.8 / 3, 0.8 / 3, 0.8 / 3], NULLS, NULLS


def null_shift() -> tuple[Shares, Shares, float, float]:
    """A feature that was never NULL, and is in a tenth of the rows."""
    return EVEN, EVEN, 0.0, 0.1


@pytest.mark.parametrize(
    ("shift", "rows"),
    [
        (mean_shift, 1_000),
        (share_shift, 1_000),
        (null_shift, 500),
        (mean_shift, 5_000_000),
        (share_shift, 5_000_000),
        (null_shift, 5_000_000),
    ],
)
def test_real_shifts_are_found(shift: object, rows: int) -> None:
    before, after, nulls, later_nulls = shift()  # type: ignore[operator]
    random = np.random.default_rng(rows)
    hits = 0
    for _ in range(40):
        others = learnt(random, 100_000)
        moved = bins("moved", drawn(random, before, 100_000, nulls))
        window = {name: drawn(random, shares, rows) for name, shares in FEATURES.items()}
        window["moved"] = drawn(random, after, rows, later_nulls)
        reference = Reference((moved, *others.features))
        found = drift.compare(reference, window, {"moved": 0.4, "n0": 0.6})
        hits += drift.drift(found, 0.3, 200).verdict == "alarm"
    assert hits >= 38


def test_a_rise_of_nulls_beyond_what_is_allowed_is_found_in_500_rows() -> None:
    random = np.random.default_rng(3)
    hits = 0
    for _ in range(40):
        reference = learnt(random, 100_000)
        window = {name: drawn(random, shares, 500) for name, shares in FEATURES.items()}
        window["n3"] = drawn(random, FEATURES["n3"], 500, 0.22)
        verdict = drift.missing(drift.compare(reference, window, {}), 0.1, 200)
        hits += verdict.verdict == "alarm" and "n3" in verdict.because
    assert hits >= 38


def test_small_effects_are_no_drift_however_many_the_rows() -> None:
    edges = norm.ppf(np.arange(1, 20) / 20)
    shifted = np.diff([0, *norm.cdf(edges - 0.05), 1]).tolist()
    random = np.random.default_rng(0)
    reference = Reference((bins("x", drawn(random, EVEN, 1_000_000)),))
    (found,) = drift.compare(reference, {"x": drawn(random, shifted, 5_000_000)}, {})
    assert found.p_value is not None and found.p_value < 1e-9
    assert not found.drifted and found.effect == pytest.approx(0.025, abs=0.005)


def test_the_effect_is_that_of_the_literature() -> None:
    """Cramér's V of a balanced two by two table of shares 0.1 and 0.2 is |phi|."""
    reference = Reference((bins("x", Counts((100_000, 900_000), 0)),))
    (found,) = drift.compare(reference, {"x": Counts((200_000, 800_000), 0)}, {})
    phi = (0.1 * 0.8 - 0.9 * 0.2) / np.sqrt(0.3 * 1.7)
    assert found.effect == pytest.approx(abs(phi), abs=1e-4)


def test_a_value_that_never_was_is_drift() -> None:
    reference = Reference.of(pd.DataFrame({"x": pd.Series(["a", "b"] * 5000)}))
    rows = pd.DataFrame({"x": pd.Series(["a", "b"] * 95 + ["new"] * 10)})
    (found,) = drift.compare(reference, reference.count(rows), {})
    assert found.drifted


def test_rows_of_which_every_value_is_new_are_drift() -> None:
    reference = Reference.of(pd.DataFrame({"x": pd.Series(["a", "b"] * 5000)}))
    (found,) = drift.compare(reference, {"x": Counts((0, 0, 200), 0)}, {})
    assert found.drifted and found.effect == pytest.approx(1.0, abs=0.01)


def test_hardly_a_false_alarm_by_rare_values() -> None:
    random = np.random.default_rng(11)
    rare = {f"f{i}": [1 - share, share] for i, share in enumerate([0.001, 0.005, 0.01, 0.02] * 5)}
    drifted = 0
    for rows in (200, 400, 1000):
        for _ in range(100):
            reference = Reference(
                tuple(bins(name, drawn(random, p, 50_000, 0)) for name, p in rare.items())
            )
            window = {name: drawn(random, p, rows, 0) for name, p in rare.items()}
            drifted += any(one.drifted for one in drift.compare(reference, window, {}))
    assert drifted <= 1


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=8),
    st.integers(0, 50),
    st.integers(0, 50),
)
def test_effects_and_chances_are_within_their_bounds(
    pairs: list[tuple[int, int]], missing: int, later: int
) -> None:
    reference = Reference((bins("x", Counts(tuple(a for a, _ in pairs), missing)),))
    window = {"x": Counts(tuple(b for _, b in pairs), later)}
    (found,) = drift.compare(reference, window, {"x": 2.0})
    assert 0 <= found.effect <= 1
    assert found.p_value is None or 0 <= found.p_value <= 1
    assert 0 <= found.missing_p <= 1
    assert found.importance == 1.0


def test_equal_rows_have_no_effect() -> None:
    counts = Counts((50, 60, 70), 5)
    (found,) = drift.compare(Reference((bins("x", counts),)), {"x": counts}, {})
    assert found.effect == 0.0 and not found.drifted


def test_importance_decides_what_drift_weighs() -> None:
    reference = Reference((bins("x", Counts((500, 500), 0)), bins("y", Counts((500, 500), 0))))
    window = {"x": Counts((900, 100), 0), "y": Counts((500, 500), 0)}
    few = drift.compare(reference, window, {"x": 0.2, "y": 0.8})
    verdict = drift.drift(few, 0.3, 200)
    assert (verdict.verdict, verdict.value) == ("ok", pytest.approx(0.2))
    assert "x (effect 0.4" in verdict.because and "20% of the importance" in verdict.because
    assert drift.drift(few, 0.2, 200).verdict == "alarm"
    equal = drift.compare(reference, window, {})
    assert drift.drift(equal, 0.5, 200).verdict == "alarm"
    assert drift.weighted_effect(few) == pytest.approx(0.2 * few[0].effect)


def test_too_few_rows_are_not_judged() -> None:
    reference = Reference((bins("x", Counts((500, 500), 0)),))
    found = drift.compare(reference, {"x": Counts((199, 0), 0)}, {})
    for verdict in (drift.drift(found, 0.3, 200), drift.missing(found, 0.1, 200)):
        assert (verdict.verdict, verdict.because) == ("not evaluated", "199 rows, 200 are needed")


def test_nothing_is_compared_with_an_empty_reference() -> None:
    reference = Reference.of(pd.DataFrame({"x": pd.Series([], dtype=float)}))
    (found,) = drift.compare(reference, {"x": Counts((300,), 0)}, {})
    assert (found.p_value, found.drifted, found.missing_p) == (None, False, 1.0)
