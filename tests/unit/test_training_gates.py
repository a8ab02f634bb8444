"""Gates: a verdict for each, with its reason; nothing passes silently."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.monitoring.reference import Reference
from lakehouse.training import load
from lakehouse.training.conditions import (
    ChampionGate,
    MetricGate,
    MissingGate,
    SkewGate,
    SliceOf,
    SlicesGate,
    VolumeGate,
    Waiver,
)
from lakehouse.training.dataset import Samples
from lakehouse.training.gates import (
    Candidate,
    Case,
    Champion,
    Judged,
    champion,
    data,
    fresh_window,
    judge,
    metrics,
    slices,
)
from lakehouse.training.gates.result import GateResult, waived
from lakehouse.training.metrics import Evaluation, evaluate

SHARE = st.integers(0, 1000).map(lambda k: k / 1000)
DAY = dt.date(2026, 5, 1)
FIRST = (DAY - dt.date(1970, 1, 1)).days
DAYS, ROWS = 40, 4000


def evaluation(model: str, auc: float | None, brier: float = 0.1) -> Evaluation:
    return Evaluation(model, 100, 0.2, auc, auc, brier, 0.01, ())


@given(candidate=SHARE, baselines=st.lists(SHARE, min_size=1, max_size=3), by=SHARE)
def test_the_best_baseline_is_what_counts(
    candidate: float, baselines: list[float], by: float
) -> None:
    gate = MetricGate(name="beats", metric="roc_auc", by=by)
    others = [evaluation(f"b{i}", value) for i, value in enumerate(baselines)]
    found = metrics.judge(gate, evaluation("candidate", candidate), others)
    assert found.verdict == ("passed" if candidate >= max(baselines) + by else "failed")
    assert found.blocks is (found.verdict == "failed")
    assert found.baseline in {o.model for o in others if o.roc_auc == max(baselines)}
    assert (found.candidate, found.required) == (candidate, max(baselines) + by)


def test_less_is_better_for_brier() -> None:
    gates = [
        MetricGate(name="beats", metric="brier", by=0.02),
        MetricGate(name="bar", metric="brier", at_most=0.1),
        MetricGate(name="low", metric="brier", at_most=0.09),
    ]
    others = [evaluation("poor", 0.5, 0.2), evaluation("good", 0.5, 0.11)]
    one = evaluation("candidate", 0.7, 0.1)
    beats, bar, low = (metrics.judge(gate, one, others) for gate in gates)
    assert (beats.verdict, bar.verdict, low.verdict) == ("failed", "passed", "failed")
    assert beats.because == (
        "brier 0.1000 against 0.1100 of good; at most 0.0900 is asked (better by 0.02)"
    )


@pytest.mark.parametrize(
    ("candidate", "baseline", "because"),
    [(None, 0.5, "100 test rows of one class"), (0.7, None, "no baseline has a roc_auc")],
)
def test_undefined_metrics_are_not_evaluated(
    candidate: float | None, baseline: float | None, because: str
) -> None:
    gate = MetricGate(name="beats", metric="roc_auc", by=0.01)
    found = metrics.judge(gate, evaluation("candidate", candidate), [evaluation("b", baseline)])
    assert (found.verdict, found.blocks) == ("not evaluated", True)
    assert because in found.because


# --- against the champion ---------------------------------------------------------------------


def probabilities(skill: float, seed: int) -> np.ndarray:
    """What a model of that skill says: the truth, blurred."""
    return 1 / (1 + np.exp(-(skill * _TRUTH + np.random.default_rng(seed).normal(size=ROWS))))


_MAKE = np.random.default_rng(0)
_TRUTH = _MAKE.normal(size=ROWS)
_DAY = FIRST + np.arange(ROWS) * DAYS // ROWS
TEST = Samples(
    pd.DataFrame({"a": _TRUTH, "b": _MAKE.normal(size=ROWS)}),
    (_MAKE.random(ROWS) < 1 / (1 + np.exp(-2 * _TRUTH))).astype(np.int64),
    _DAY,
    {"carrier": np.where(np.arange(ROWS) % 4 == 0, "AA", "UA").astype(object)},
)


def judged(probability: np.ndarray, name: str = "candidate") -> Judged:
    return Judged(evaluate(name, TEST.y, probability, TEST.day), probability)


def case(
    candidate: np.ndarray | None = None,
    rival: np.ndarray | None = None,
    *,
    until: dt.date | None = DAY,
    training: pd.DataFrame | None = None,
    **changes: Any,
) -> Case:
    ours = judged(probabilities(1.0, 1) if candidate is None else candidate)
    learnt = TEST.x if training is None else training
    against = None
    if rival is not None:
        against = Champion(3, until, rival, Reference.of(TEST.x))
    made = Case(
        Candidate(ours.evaluation, ours.probability, 20_000, learnt, DAY, {"a": 0.9, "b": 0.1}),
        (judged(probabilities(0.1, 9), "rates"),),
        TEST,
        against,
        DAY + dt.timedelta(days=DAYS),
        None,
        DAY,
    )
    return replace(made, **changes)


BEATS = ChampionGate(name="beats_champion", kind="champion", metric="roc_auc", margin=0.005)


@pytest.mark.parametrize(
    ("skill", "verdict"), [(1.0, "passed"), (0.97, "failed"), (0.6, "failed"), (1.5, "passed")]
)
def test_not_worse_than_the_champion_by_more_than_the_margin(skill: float, verdict: str) -> None:
    # The same blur for both: the pair differs by skill alone.
    found = champion.judge(BEATS, case(probabilities(skill, 1), probabilities(1.0, 1)))
    told = found.evidence
    assert found.verdict == ("passed" if told["low"] >= -0.005 else "failed")
    assert told["low"] <= told["gain"] <= told["high"]
    assert (told["days"], told["rows"], told["champion_version"]) == (DAYS, ROWS, 3)
    if skill != 0.97:
        assert found.verdict == verdict
    assert "version 3" in found.because and "later than both trainings" in found.because


def test_what_fails_by_little_is_told_with_the_digits_that_show_it() -> None:
    rivals = case(probabilities(0.98, 1), probabilities(1.0, 1))
    low = champion.judge(BEATS, rivals).evidence["low"]
    allowed = round(-low - 2e-6, 6)
    found = champion.judge(BEATS.model_copy(update={"margin": allowed}), rivals)
    assert found.verdict == "failed"
    told = re.search(r"confidence by (\S+) to \S+; at least (\S+) is asked", found.because)
    assert told and float(told[1]) < float(told[2])


def test_less_is_better_against_the_champion_too() -> None:
    gate = ChampionGate(name="c", kind="champion", metric="brier")
    better, worse = probabilities(1.5, 1), probabilities(0.5, 1)
    assert champion.judge(gate, case(better, worse)).verdict == "passed"
    assert champion.judge(gate, case(worse, better)).verdict == "failed"


def test_only_rows_later_than_both_trainings_count() -> None:
    late = DAY + dt.timedelta(days=25)
    found = champion.judge(BEATS, case(rival=probabilities(1.0, 1), until=late))
    assert (found.evidence["days"], found.evidence["rows"]) == (DAYS - 25, ROWS * 15 // DAYS)


@pytest.mark.parametrize(
    ("changes", "because", "blocks"),
    [
        ({"rival": None}, "there is no champion to compare with yet", False),
        ({"until": None}, "does not say which rows it was trained on", True),
        ({"until": DAY + dt.timedelta(days=DAYS)}, "no test row is later than both", True),
        ({"until": DAY + dt.timedelta(days=DAYS - 9)}, "9 days are later", True),
    ],
)
def test_what_cannot_be_compared_is_not_passed(
    changes: dict[str, Any], because: str, blocks: bool
) -> None:
    found = champion.judge(BEATS, case(**{"rival": probabilities(1.0, 1), **changes}))
    assert (found.verdict, found.blocks) == ("not evaluated", blocks)
    assert because in found.because


def test_a_champion_that_cannot_score_blocks_and_says_so() -> None:
    rival = Champion(3, DAY, None, None, "could not score them: it is not signed")
    for gate in (BEATS, SlicesGate(name="s", kind="slices", metric="roc_auc")):
        one = case(champion=rival)
        found = (
            champion.judge(gate, one)
            if isinstance(gate, ChampionGate)
            else slices.judge(gate, (SliceOf(column="carrier"),), one)
        )
        assert (found.verdict, found.blocks) == ("not evaluated", True)
        assert found.because == "champion version 3 could not score them: it is not signed"


def test_one_class_has_no_metric_to_compare() -> None:
    of_one = Samples(TEST.x, np.zeros(ROWS, dtype=np.int64), TEST.day)
    found = champion.judge(BEATS, case(rival=probabilities(1.0, 2), test=of_one))
    assert (found.verdict, found.blocks) == ("not evaluated", True)


# --- data --------------------------------------------------------------------------------------


def test_volume() -> None:
    told = [
        data.volume(VolumeGate(name="v", kind="volume", at_least=n), case()) for n in (1, 20_001)
    ]
    assert [t.verdict for t in told] == ["passed", "failed"]
    assert told[1].because == "20,000 labelled rows to learn from, at least 20,001 are asked"


@pytest.mark.parametrize(("share", "verdict"), [(0.0, "passed"), (0.1, "passed"), (0.2, "failed")])
def test_missing(share: float, verdict: str) -> None:
    learnt = TEST.x.copy()
    learnt.loc[: int(share * ROWS) - 1, "b"] = np.nan
    gate = MissingGate(name="m", kind="missing", at_most=0.1)
    found = data.missing(gate, case(rival=probabilities(1, 1), training=learnt))
    assert found.verdict == verdict
    if share:
        assert found.evidence["feature"] == "b"
        assert found.evidence["rise"] == pytest.approx(share)


def test_skew_is_weighed_by_importance() -> None:
    gate = SkewGate(name="s", kind="skew", at_most=0.2)
    effects = []
    for name in ("a", "b"):
        learnt = TEST.x.copy()
        learnt[name] += 1.5
        found = data.skew(gate, case(rival=probabilities(1, 1), training=learnt))
        effects.append(found.evidence["effect"])
        assert found.because.split("most by ")[1].startswith(name)
        assert found.verdict == ("failed" if name == "a" else "passed")
    assert effects[0] == pytest.approx(9 * effects[1], rel=0.1)
    assert data.skew(gate, case(rival=probabilities(1, 1))).evidence["effect"] == 0


def test_training_rows_without_a_champion_to_compare() -> None:
    for gate, of in (
        (MissingGate(name="m", kind="missing", at_most=0.1), data.missing),
        (SkewGate(name="s", kind="skew", at_most=0.1), data.skew),
    ):
        assert not of(gate, case()).blocks
        bare = Champion(3, DAY, probabilities(1, 1), None)
        found = of(gate, case(champion=bare))
        assert (found.verdict, found.blocks) == ("not evaluated", True)
        assert "left no histograms" in found.because
        other = Champion(
            3, DAY, probabilities(1, 1), Reference.of(TEST.x.rename(columns=str.upper))
        )
        assert "has none of these features" in of(gate, case(champion=other)).because


# --- slices ------------------------------------------------------------------------------------

SLICED = (SliceOf(column="carrier", min_rows=500),)


def test_no_slice_pays_for_the_others() -> None:
    """Better on all rows, much worse on a quarter of them."""
    rival, ours = probabilities(0.8, 1), probabilities(2.0, 1)
    one = TEST.parts["carrier"] == "AA"
    ours[one] = 1 - ours[one]
    found = slices.judge(
        SlicesGate(name="s", kind="slices", metric="roc_auc", margin=0.03),
        SLICED,
        case(ours, rival),
    )
    assert (found.verdict, found.evidence["worse"], found.evidence["slices"]) == ("failed", 1, 2)
    assert found.evidence["slice"] == "carrier=AA"
    assert "carrier=AA: roc_auc 0." in found.because


def test_slices_against_the_best_baseline_without_a_champion() -> None:
    gate = SlicesGate(name="s", kind="slices", metric="brier")
    others = (judged(probabilities(0.1, 9), "rates"), judged(probabilities(0.2, 9), "best"))
    found = slices.judge(gate, SLICED, case(baselines=others))
    assert found.verdict == "passed"
    assert "none of 2 slices is worse than best" in found.because
    alone = slices.judge(gate, SLICED, case(baselines=()))
    assert (alone.verdict, alone.blocks) == ("not evaluated", True)


def test_slices_of_too_few_rows_are_not_passed() -> None:
    gate = SlicesGate(name="s", kind="slices", metric="roc_auc")
    few = (SliceOf(column="carrier", min_rows=ROWS),)
    found = slices.judge(gate, few, case(rival=probabilities(1, 1)))
    assert (found.verdict, found.blocks) == ("not evaluated", True)
    assert "lower its min_rows" in found.because


# --- windows and waivers -----------------------------------------------------------------------


@pytest.mark.parametrize(("later", "verdict"), [(-1, "passed"), (0, "failed"), (1, "failed")])
def test_one_window_decides_one_promotion(later: int, verdict: str) -> None:
    decided = (DAY + dt.timedelta(days=DAYS + later), 7)
    found = fresh_window(case(decided=decided))
    assert (found.verdict, found.blocks) == (verdict, verdict == "failed")
    assert "decided that version 7 became champion" in found.because


def test_a_waiver_holds_until_its_day_and_is_told() -> None:
    waiver = Waiver(gate="skew", until=DAY, by="ann@example.org", because="new airport")
    failed = GateResult.of("skew", "skew", False, "effect 0.3")
    assert waived(failed, [waiver], DAY) == replace(
        failed,
        verdict="waived",
        blocks=False,
        because="waived until 2026-05-01 by ann@example.org because new airport; "
        "failed: effect 0.3",
    )
    assert waived(failed, [waiver], DAY + dt.timedelta(days=1)) == failed
    assert waived(replace(failed, name="volume"), [waiver], DAY).verdict == "failed"
    passed = GateResult.of("skew", "skew", True, "effect 0.1")
    assert waived(passed, [waiver], DAY) == passed


def test_all_gates_are_judged_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("def build(params): ...\ndef rates(params): ...\n")
    (tmp_path / "m.yaml").write_text(
        """\
name: m
features: {table: gold.t, key: [id], event_time: at, lead: 0 minutes, columns: [a, b]}
label: {column: late, matures_after: 1 days}
split: {train: 3 months, test: 1 month}
estimator: {entry: "m:build"}
baselines: [{name: rates, entry: "m:rates"}]
metrics: {primary: roc_auc}
slices: [{column: carrier}]
gates:
- {name: slices, kind: slices, metric: roc_auc}
- {name: beats_champion, kind: champion, metric: roc_auc}
- {name: loads, kind: infrastructure}
- {name: bar, metric: roc_auc, at_least: 0.99}
- {name: skew, kind: skew, at_most: 0.1}
waivers: [{gate: bar, until: 2026-05-02, by: ann@example.org, because: trial}]
"""
    )
    found = judge(load(tmp_path / "m.yaml"), case(rival=probabilities(0.5, 1)))
    assert [(g.name, g.verdict) for g in found] == [
        ("slices", "passed"),
        ("beats_champion", "passed"),
        ("bar", "waived"),
        ("skew", "passed"),
        ("fresh_window", "passed"),
    ]
    assert all(g.because for g in found) and not any(g.blocks for g in found)
