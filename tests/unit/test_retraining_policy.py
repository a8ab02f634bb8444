"""The arbiter's decision: each reason by its numbers, and what holds whatever is asked."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.retraining import Alarm, Attempt, Champion, Decision, Facts, Trigger
from lakehouse.retraining import decide as decide_by
from lakehouse.retraining import outlook as outlook_by
from lakehouse.retraining.policy import CODES
from lakehouse.training.policies import Budget, RetrainPolicy

NOW = dt.datetime(2014, 1, 10, 12, tzinfo=dt.UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
POLICY = RetrainPolicy(
    new_rows=1000,
    cooldown="20 hours",  # type: ignore[arg-type]
    budget=Budget(attempts=3, per="7 days"),  # type: ignore[arg-type]
    retries=2,
)
SCHEDULE = Trigger("schedule")
ASKED = Trigger("on demand", "the vendor changed units", "ann")
FORCED = replace(ASKED, force=True)
FIRST = Attempt("d1", NOW - 3 * DAY, "done", "f1", "a-b", NOW - 40 * DAY, 1)
#: A champion, trained three days ago; 400 rows have ripened since.
QUIET = Facts(
    "flights",
    "late_arrival",
    NOW,
    (SCHEDULE,),
    watermark=NOW - HOUR,
    ripe_until=NOW - 2 * DAY,
    pinned={"flights.gold.features": 7},
    fingerprint="f2",
    definition="a-b",
    window_end=NOW - 2 * DAY,
    rows=5400,
    new_rows=400,
    champion=Champion(1, "a-b", NOW - 40 * DAY),
    attempts=(FIRST,),
)
ALARM = Alarm(
    "performance", 1, "roc_auc 0.71 in 2 of 5 weeks, 0.73 is asked", NOW - DAY, NOW - HOUR
)


def decide(facts: Facts) -> Decision:
    return decide_by(POLICY, facts)


def codes(decision: Decision) -> list[str]:
    return [r.code for r in decision.deciding]


def attempts(*hours_ago: int, state: str = "done") -> tuple[Attempt, ...]:
    made = [
        Attempt(f"d{h}", NOW - h * HOUR, state, f"old{h}", "a-b", NOW - 40 * DAY)  # type: ignore[arg-type]
        for h in hours_ago
    ]
    return tuple(made)


class TestYes:
    def test_rows_enough(self) -> None:
        found = decide(replace(QUIET, new_rows=1000))
        assert (found.verdict, codes(found), found.attempt) == ("train", ["new rows"], 1)
        assert found.because == "1,000 of 1,000 new ripe rows since 2013-12-01"

    @pytest.mark.parametrize(
        ("monitor", "code"),
        [("performance", "performance drop"), ("drift", "distribution change")],
    )
    def test_an_alarm_without_many_rows(self, monitor: str, code: str) -> None:
        found = decide(replace(QUIET, alarms=(replace(ALARM, monitor=monitor),)))
        assert (found.verdict, codes(found)) == ("train", [code])
        assert found.because == f"{ALARM.because} (looked 2014-01-10 11:00 UTC)"

    def test_the_definition_changed(self) -> None:
        assert codes(decide(replace(QUIET, definition="a-c"))) == ["definition changed"]

    def test_the_champion_was_trained_elsewhere_by_another_definition(self) -> None:
        facts = replace(QUIET, attempts=(), definition="a-c")
        assert codes(decide(facts)) == ["definition changed"]

    def test_the_first_model_as_soon_as_there_are_rows(self) -> None:
        nobody = replace(QUIET, champion=None, attempts=())
        assert codes(decide(nobody)) == ["too few rows"]
        assert codes(decide(replace(nobody, new_rows=1000))) == ["no champion"]

    def test_asked_for_without_new_rows(self) -> None:
        found = decide(replace(QUIET, triggers=(ASKED,)))
        assert found.because == "asked by ann: the vendor changed units"

    def test_an_attempt_that_crashed_is_repeated_at_once(self) -> None:
        crashed = replace(FIRST, at=NOW - HOUR, state="crashed", fingerprint="f2", version=0)
        found = decide(replace(QUIET, attempts=(FIRST, crashed)))
        assert (found.verdict, codes(found), found.attempt) == ("train", ["crashed"], 2)
        assert "retry 1 of 2" in found.because


class TestNo:
    def test_says_how_many_rows_are_missing(self) -> None:
        found = decide(QUIET)
        assert codes(found) == ["too few rows", "no alarm"]
        assert found.because == (
            "400 of 1,000 new ripe rows since 2013-12-01; "
            "no alarm about champion 1 since the last attempt"
        )
        assert found.attempt == 0

    def test_within_the_cooldown(self) -> None:
        recent = replace(FIRST, at=NOW - 5 * HOUR)
        found = decide(replace(QUIET, new_rows=5000, attempts=(recent,)))
        assert (found.verdict, codes(found)) == ("no", ["cooldown"])
        assert found.because == (
            "the last attempt was 5 hours ago; the cooldown of 20 hours ends 2014-01-11 03:00 UTC"
        )
        # What speaks for training is kept.
        assert "new rows" in {r.code for r in found.reasons}

    def test_past_the_budget(self) -> None:
        facts = replace(QUIET, new_rows=5000, attempts=attempts(150, 60, 30))
        found = decide(facts)
        assert codes(found) == ["budget"]
        assert "3 of 3 attempts in 7 days" in found.because
        free = facts.attempts[0].at + 7 * DAY
        assert f"{free:%Y-%m-%d %H:%M}" in found.because
        assert decide(replace(facts, now=free)).verdict == "train"

    def test_the_same_evidence(self) -> None:
        found = decide(replace(QUIET, new_rows=5000, fingerprint="f1"))
        assert codes(found) == ["same evidence"]
        assert "version 1 was trained from these rows" in found.because

    def test_an_alarm_that_the_last_attempt_answered(self) -> None:
        facts = replace(QUIET, alarms=(replace(ALARM, looked=FIRST.at - HOUR),))
        assert codes(decide(facts)) == ["too few rows", "no alarm"]

    def test_an_alarm_about_rows_that_the_last_attempt_was_judged_on(self) -> None:
        assert FIRST.window_end is not None
        facts = replace(QUIET, alarms=(replace(ALARM, window_end=FIRST.window_end),))
        assert codes(decide(facts)) == ["too few rows", "no alarm"]

    def test_something_trains(self) -> None:
        facts = replace(QUIET, new_rows=5000, running="flow run 7 trains since 11:40")
        assert codes(decide(facts)) == ["running"]

    def test_nothing_to_learn_from(self) -> None:
        facts = replace(QUIET, champion=None, attempts=(), lacking="gold.features has no rows")
        assert "no rows" in codes(decide(facts))

    def test_a_crash_is_not_repeated_for_ever(self) -> None:
        crashed = attempts(150, 149, 148, state="crashed")
        found = decide(replace(QUIET, attempts=(FIRST, *crashed), fingerprint="old148"))
        assert codes(found) == ["too few rows", "no alarm", "same evidence", "budget"]
        # With other rows it is tried again, no sooner than the cooldown and the budget allow.
        later = replace(QUIET, attempts=(FIRST, *crashed), new_rows=2000, now=NOW + 2 * DAY)
        assert codes(decide(later)) == ["new rows"]


class TestForce:
    def test_overrules_cooldown_budget_and_same_evidence_and_tells_them(self) -> None:
        facts = replace(QUIET, triggers=(FORCED,), attempts=attempts(3, 2, 1), fingerprint="old1")
        found = decide(facts)
        assert (found.verdict, codes(found)) == ("train", ["asked"])
        told = [r.code for r in found.reasons if r.weight == "told"]
        assert told == ["same evidence", "cooldown", "budget"]

    @pytest.mark.parametrize("what", ["running", "lacking"])
    def test_does_not_overrule_what_cannot_be(self, what: str) -> None:
        assert decide(replace(QUIET, triggers=(FORCED,), **{what: "because"})).verdict == "no"


def test_the_outlook_has_the_numbers() -> None:
    found = [r.sentence for r in outlook_by(POLICY, replace(QUIET, attempts=attempts(3)))]
    assert found[0] == "400 of 1,000 new ripe rows since 2013-12-01"
    assert any("cooldown of 20 hours ends" in sentence for sentence in found)


def test_facts_become_json() -> None:
    import json

    text = json.dumps(replace(QUIET, alarms=(ALARM,)).to_json(), default=str)
    assert json.loads(text)["attempts"][0]["fingerprint"] == "f1"


# --- whatever is asked ------------------------------------------------------------------------

instants = st.integers(0, 24 * 30).map(lambda h: NOW - h * HOUR)
fingerprints = st.sampled_from(["f1", "f2", "f3", ""])
states = st.sampled_from(["done", "blocked", "failed", "crashed"])
triggers = st.lists(
    st.sampled_from(
        [
            SCHEDULE,
            ASKED,
            FORCED,
            *(Trigger(k) for k in ("new data", "reconcile", "performance drop")),  # type: ignore[arg-type]
        ]
    ),
    min_size=1,
    max_size=3,
).map(tuple)


@st.composite
def known(draw: st.DrawFn) -> Facts:
    made = sorted(draw(st.lists(instants, max_size=6)))
    tried = tuple(
        Attempt(
            f"d{i}",
            at,
            draw(states),
            draw(fingerprints),
            draw(st.sampled_from(["a-b", "a-c"])),
            draw(st.none() | instants),
            draw(st.integers(0, 3)),
        )
        for i, at in enumerate(made)
    )
    alarms = tuple(
        Alarm(draw(st.sampled_from(["performance", "drift", "volume"])), 1, "worse", at, at)
        for at in sorted(draw(st.lists(instants, max_size=3)))
    )
    return replace(
        QUIET,
        triggers=draw(triggers),
        fingerprint=draw(fingerprints),
        new_rows=draw(st.sampled_from([0, 999, 1000, 10**6])),
        champion=draw(st.none() | st.just(QUIET.champion)),
        attempts=tried,
        alarms=alarms,
        running=draw(st.sampled_from(["", "something"])),
    )


@given(known())
def test_invariants(facts: Facts) -> None:
    found = decide(facts)
    retried = 0 < facts.crashes <= POLICY.retries
    assert found.deciding and all(r.sentence and r.code in CODES for r in found.reasons)
    assert (found.attempt > 0) == (found.verdict == "train")
    assert outlook_by(POLICY, facts)
    if found.verdict == "no":
        return
    assert not facts.running
    assert found.attempt <= POLICY.retries + 1 or not retried
    if facts.forced:
        return
    finished = [a for a in facts.attempts if a.state != "crashed"]
    assert not facts.fingerprint or facts.fingerprint not in {a.fingerprint for a in finished}
    within = [a for a in facts.attempts if a.at > NOW - POLICY.budget.per]
    assert len(within) < POLICY.budget.attempts
    if not retried and facts.last is not None:
        assert NOW - facts.last.at >= POLICY.cooldown


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40),  # hours that pass
            st.integers(0, 800),  # rows that ripen
            st.booleans(),  # an alarm
            triggers,
            states,  # how a training ends, if there is one
        ),
        max_size=60,
    )
)
def test_a_long_life(steps: list[tuple[int, int, bool, tuple[Trigger, ...], str]]) -> None:
    """Whatever comes: cooldown, budget and evidence hold over the whole history."""
    facts = replace(QUIET, attempts=(), champion=None, new_rows=0, fingerprint="f0")
    unforced: list[Attempt] = []
    for i, (hours, rows, alarm, asked, state) in enumerate(steps):
        facts = replace(
            facts,
            now=facts.now + hours * HOUR,
            triggers=asked,
            new_rows=facts.new_rows + rows,
            fingerprint=f"f{i}" if rows else facts.fingerprint,
        )
        if alarm:
            more = replace(ALARM, looked=facts.now, window_end=facts.now)
            facts = replace(facts, alarms=(*facts.alarms, more))
        found = decide(facts)
        if found.verdict == "no":
            continue
        made = Attempt(f"d{i}", facts.now, state, facts.fingerprint, "a-b", facts.now)  # type: ignore[arg-type]
        if not facts.forced:
            before = facts.attempts
            if before and found.attempt == 1:
                assert made.at - before[-1].at >= POLICY.cooldown
            in_week = [a for a in before if a.at > made.at - POLICY.budget.per]
            assert len(in_week) < POLICY.budget.attempts
            assert made.fingerprint not in {a.fingerprint for a in before if a.state != "crashed"}
            unforced.append(made)
        judged = state in ("done", "blocked")
        facts = replace(
            facts,
            attempts=(*facts.attempts, made),
            champion=Champion(i, "a-b", facts.now) if state == "done" else facts.champion,
            new_rows=0 if judged else facts.new_rows,
        )
        again = decide(replace(facts, triggers=(SCHEDULE,)))
        assert again.verdict == "no" or state == "crashed"
