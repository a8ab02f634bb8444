"""The arbiter over a real lake: what it sees, what it writes down, and what it does not do twice."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from loop_shop import DAY, LoopShop, loop_yaml
from order_model import MODEL

from lakehouse import executions, ledger, ops
from lakehouse.errors import CommitConflict, ModelError, StorageError
from lakehouse.ledger import Ledger
from lakehouse.ops import DecisionRow, MonitorRow
from lakehouse.registry import registry_of
from lakehouse.retraining import decisions, story
from lakehouse.retraining.deciding import executor, lives
from lakehouse.training.job import Trained

NOW = dt.datetime(2026, 4, 2, 12, tzinfo=dt.UTC)
TESTS = Path(__file__).parents[1]


@pytest.fixture
def shop(tmp_path: Path) -> LoopShop:
    made = LoopShop(tmp_path)
    for month in (1, 2, 3):
        made.land_month(month)
    made.build()
    return made


def rows(shop: LoopShop, table: str = "decisions") -> list[dict[str, Any]]:
    return Ledger(shop.lake().storage).rows(table)


def alarm(
    shop: LoopShop,
    version: int,
    looked: dt.datetime,
    monitor: str = "performance",
    **but: Any,
) -> None:
    row = MonitorRow(
        run="r1",
        domain="shop",
        model=MODEL,
        version=version,
        monitor=monitor,
        window_start=looked - 14 * DAY,
        window_end=looked,
        rows=300,
        value=0.6,
        limit=0.7,
        verdict="alarm",
        because="roc_auc 0.6 in 1 of 5 windows, 0.7 is asked",
        read_version=1,
        seen="",
        looked=looked,
    )
    Ledger(shop.lake().storage).append("monitors", [replace(row, **but)], "r1")


def quick(lake: Any, name: str, **how: Any) -> Trained:
    """What a training tells the ledger, without one."""
    owner = lake.domain(how["domain"])
    told = {"model": name, "decision": how["decision"], "version": 0}
    run = ledger.finish(
        ledger.new_run(), "train", owner.name, NOW, parameters=told, result="blocked",
        folder=owner.path,
    )  # fmt: skip
    Ledger(lake.storage).record(run)
    return Trained(name, None, None)


def test_a_life(shop: LoopShop) -> None:
    """First model, a quiet time, new rows, an alarm: each answer from the rows themselves."""
    first = shop.ask(NOW, "new data")
    assert (first.made.verdict, [r.code for r in first.made.deciding]) == ("train", ["no champion"])
    assert first.promoted
    (row,) = rows(shop)
    assert row["verdict"] == "train" and row["attempt"] == 1
    assert json.loads(row["pinned"]) == {
        "shop.gold.features": first.facts.pinned["shop.gold.features"]
    }
    champion = registry_of(shop.settings).champion(MODEL)
    assert champion is not None and champion.record is not None
    assert champion.record.decision == first.decision
    assert champion.record.fingerprint == first.facts.fingerprint

    # The same evidence: no, also for a person; the answer is kept with its numbers.
    again = shop.ask(NOW + DAY, "schedule")
    assert again.made.verdict == "no"
    assert again.made.because.startswith("21 of 500 new ripe rows since 2026-03-27; no alarm about")
    asked = shop.ask(NOW + DAY, "on demand", because="I want it")
    assert [r.code for r in asked.made.deciding] == ["same evidence"]
    assert {r.code for r in asked.made.reasons} == {"same evidence", "asked"}
    assert len(rows(shop)) == 3

    # Reconciling finds nothing that the last no did not know, and writes nothing.
    assert not shop.ask(NOW + DAY, "reconcile").recorded
    assert len(rows(shop)) == 3

    # A month lands: a lost event is made up for by the reconciling look.
    shop.month(4)
    fresh = shop.ask(NOW + 30 * DAY, "reconcile", train=quick)
    assert fresh.recorded and [r.code for r in fresh.made.deciding] == ["new rows"]
    assert fresh.facts.new_rows == 621

    # An alarm about the champion trains without many rows; once.
    shop.month(5, rows=200)
    alarm(shop, champion.version, NOW + 40 * DAY)
    alarmed = shop.ask(NOW + 41 * DAY, "performance drop", train=quick)
    assert [r.code for r in alarmed.made.deciding] == ["performance drop"]
    after = shop.ask(NOW + 43 * DAY, "schedule")
    assert {"too few rows", "no alarm"} <= {r.code for r in after.made.deciding}

    told = story.tell(shop.lake(), MODEL, now=NOW + 43 * DAY)
    assert told.champion is not None and told.champion.trained_rows > 900
    assert [e.what for e in told.events] == ["train", "no", "no", "train", "train", "no"]
    assert told.events[0].outcome == "version 1 passed its gates and became champion"
    assert any("of 500 new ripe rows since" in r.sentence for r in told.next)
    json.dumps(told.to_json(), default=str)

    trained, *_ = executions.read(shop.lake(), kind="train")
    assert trained.pipeline == f"train/{MODEL}"
    assert trained.inputs == first.facts.pinned and trained.outputs == {f"model {MODEL}": 1}
    (built,) = executions.read(shop.lake(), kind="build", last=1)
    assert {s.table for s in built.steps} == {
        "shop.bronze.orders",
        "shop.silver.orders",
        "shop.gold.features",
    }


def test_a_window_whose_labels_are_to_come_hides_no_alarm(shop: LoopShop) -> None:
    assert shop.ask(NOW).promoted
    shop.month(4)
    ripe = shop.facts(NOW).ripe_until
    assert ripe is not None
    alarm(shop, 1, NOW + DAY, window_end=ripe - DAY)
    alarm(shop, 1, NOW + DAY, window_end=ripe + DAY, verdict="not evaluated")
    assert [a.window_end for a in shop.facts(NOW + DAY).alarms] == [ripe - DAY]
    # What is said of a newer window whose labels are known replaces it.
    alarm(shop, 1, NOW + DAY, window_end=ripe, verdict="ok")
    assert not shop.facts(NOW + DAY).alarms


def test_a_window_with_too_few_rows_to_judge_hides_no_alarm(shop: LoopShop) -> None:
    assert shop.ask(NOW).promoted
    shop.month(4)
    alarm(shop, 1, NOW + DAY, "drift", window_end=NOW)
    few = {"verdict": "not evaluated", "because": "12 rows, 150 are needed"}
    alarm(shop, 1, NOW + 2 * DAY, "drift", window_end=NOW + DAY, **few)
    assert [a.window_end for a in shop.facts(NOW + 2 * DAY).alarms] == [NOW]
    alarm(shop, 1, NOW + 3 * DAY, "drift", window_end=NOW + 2 * DAY, verdict="ok")
    assert not shop.facts(NOW + 3 * DAY).alarms


def test_the_story_tells_the_last_judgement_and_each_that_moved(shop: LoopShop) -> None:
    name = f"models/{MODEL}.yaml"
    shop.edit(name, "kind: volume, at_least: 100", "kind: volume, at_least: 9999")
    assert not shop.ask(NOW).promoted
    told = story.tell(shop.lake(), MODEL, now=NOW)
    assert told.events[0].outcome == "version 1 did not pass: volume"
    shop.edit(name, "kind: volume, at_least: 9999", "kind: volume, at_least: 100")
    judged = shop.train(now=NOW + DAY)
    assert judged.result is not None and not judged.result.trained
    told = story.tell(shop.lake(), MODEL, now=NOW + DAY)
    assert told.champion is not None
    assert (told.champion.gates["volume"], told.champion.gates["infrastructure"]) == (
        "passed",
        "passed",
    )
    assert [(e.what, e.outcome) for e in told.events] == [
        ("train", "version 1 did not pass: volume"),
        ("judged again", "version 1 is champion"),
    ]


def test_too_few_rows_cooldown_budget_and_force(tmp_path: Path) -> None:
    shop = LoopShop(tmp_path, loop_yaml(new_rows=5000, attempts=2))
    for month in (1, 2, 3):
        shop.land_month(month)
    assert "no rows" in {r.code for r in shop.ask(NOW).made.deciding}
    shop.build()
    few = shop.ask(NOW)
    assert [r.code for r in few.made.deciding] == ["too few rows"]
    assert few.made.because == "1,779 of 5,000 new ripe rows"
    assert shop.ask(NOW, "on demand", train=quick).made.verdict == "train"
    shop.month(4)
    cold = shop.ask(NOW + DAY / 2, "on demand")
    assert [r.code for r in cold.made.deciding] == ["cooldown"]
    forced = shop.ask(
        NOW + DAY / 2, "on demand", force=True, because="a mended source", train=quick
    )
    assert forced.made.verdict == "train" and "cooldown" in {r.code for r in forced.made.reasons}
    assert forced.made.because == "asked by ann: a mended source"
    shop.month(5)
    spent = shop.ask(NOW + 2 * DAY, "on demand")
    assert [r.code for r in spent.made.deciding] == ["budget"]


def test_a_changed_definition_trains(shop: LoopShop) -> None:
    shop.ask(NOW, train=quick)
    shop.edit(f"models/{MODEL}.yaml", "C: 1.0", "C: 0.5")
    changed = shop.ask(NOW + DAY, "reconcile", train=quick)
    assert [r.code for r in changed.made.deciding] == ["definition changed"]


def test_a_training_that_fails_is_not_repeated_on_the_same_rows(shop: LoopShop) -> None:
    shop.edit(f"models/{MODEL}.py", "def build(params):", "def build(params):\n    raise OSError")
    with pytest.raises(ModelError):
        shop.ask(NOW)
    found = shop.ask(NOW + DAY)
    assert [r.code for r in found.made.deciding] == ["same evidence"]
    assert "an attempt was made (failed)" in found.made.because
    told = story.tell(shop.lake(), MODEL, now=NOW + DAY)
    assert told.champion is None and told.events[0].outcome.startswith("failed: ")


def test_a_training_that_the_store_kept_from_its_end_is_begun_again(shop: LoopShop) -> None:
    def unreachable(lake: Any, name: str, **how: Any) -> Trained:
        raise StorageError("store the model", "no route to host", "lake doctor")

    with pytest.raises(StorageError):
        shop.ask(NOW, train=unreachable)
    again = shop.ask(NOW + DAY / 24, "reconcile", train=quick)
    assert again.made.verdict == "train" and "crashed" in {r.code for r in again.made.deciding}


def dies(shop: LoopShop, now: dt.datetime) -> None:
    """An arbiter in a process of its own that is killed as soon as its training begins."""
    code = f"""
import datetime as dt, sys
sys.path.insert(0, {str(TESTS)!r})
from pathlib import Path
from loop_shop import LoopShop, crash
LoopShop(Path({str(shop.root)!r})).ask(dt.datetime.fromisoformat({now.isoformat()!r}), train=crash)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == -9, done.stderr.decode()


def test_a_training_that_is_killed_is_begun_again_a_bounded_number_of_times(shop: LoopShop) -> None:
    for attempt in range(1, 4):
        dies(shop, NOW + attempt * DAY / 24)
        assert [r["attempt"] for r in rows(shop)][-1] == attempt
    given_up = shop.ask(NOW + DAY / 4, "reconcile")
    assert given_up.made.verdict == "no"
    assert {"same evidence", "cooldown", "budget"} <= {r.code for r in given_up.made.deciding}
    assert len(rows(shop)) == 4


def test_after_a_kill_the_next_look_trains_and_only_once(shop: LoopShop) -> None:
    dies(shop, NOW)
    retried = shop.ask(NOW + DAY / 24, "reconcile", train=quick)
    assert retried.made.deciding[0].code == "crashed"
    assert retried.made.attempt == 2
    assert shop.ask(NOW + DAY / 12, "reconcile").made.verdict == "no"


def test_whoever_asks_meanwhile_is_told_what_runs(shop: LoopShop) -> None:
    meanwhile = []

    def train(*lake: Any, **how: Any) -> Any:
        meanwhile.append(shop.ask(NOW + DAY / 24, "new data"))
        return quick(*lake, **how)

    shop.ask(NOW, train=train)
    (asked,) = meanwhile
    assert asked.made.deciding[0].code == "running"
    assert "runs since 2026-04-02 12:00 UTC" in asked.made.because


def test_many_arbiters_at_once_train_once(shop: LoopShop) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: shop.ask(NOW, "new data", train=quick), range(4)))
    assert sorted(d.made.verdict for d in done) == ["no", "no", "no", "train"]


def test_arbiters_on_two_machines_cannot_both_decide(shop: LoopShop) -> None:
    storage = shop.lake().storage
    seen = decisions.read(storage, "shop", MODEL)
    assert seen.version == -1
    row = DecisionRow(
        "20260402T120000-aaaaaa", "shop", MODEL, "[]", NOW, NOW, "train", "[]", "{}", "{}", 1, ""
    )

    def write(i: int) -> bool:
        try:
            decisions.append(storage, replace(row, decision=f"{row.decision}{i}"), seen)
        except CommitConflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(write, range(8))) == 1
    assert len(decisions.read(storage, "shop", MODEL).rows) == 1


class TestWhoRuns:
    """A decision to train without an outcome: does somebody still work at it?"""

    def state(self, shop: LoopShop, told: str | None = None, **row: Any) -> str:
        facts = {"executor": row.pop("executor", "elsewhere:1:2"), "fingerprint": "f"}
        made = {"verdict": "train", "decision": "d", "decided": NOW, "flow_run": "r"} | row
        seen = decisions.Seen(0, ({**made, "facts": facts},))
        (found,) = decisions.attempts(
            seen,
            [],
            [],
            now=NOW + DAY / 24,
            timeout=DAY / 12,
            look=lambda run: told,
            own="own",  # type: ignore[arg-type,return-value]
        )
        return found.state

    def test_on_another_machine_the_orchestrator_knows(self, shop: LoopShop) -> None:
        assert self.state(shop, "running") == "running"
        assert self.state(shop, "crashed") == "crashed"
        assert self.state(shop, "cancelled") == "failed"
        assert self.state(shop, None) == "running"

    def test_after_the_timeout_it_is_lost(self, shop: LoopShop) -> None:
        assert self.state(shop, "running", decided=NOW - DAY) == "crashed"
        assert self.state(shop, "running", decided=NOW - DAY, executor=executor()) == "crashed"
        assert self.state(shop, None, decided=NOW - DAY) == "crashed"

    def test_what_a_person_cancelled_stays_so_after_the_timeout(self, shop: LoopShop) -> None:
        assert self.state(shop, "cancelled", decided=NOW - DAY) == "failed"

    def test_on_this_machine_the_process_tells(self, shop: LoopShop) -> None:
        assert self.state(shop, "crashed", executor=executor()) == "running"
        with subprocess.Popen([sys.executable, "-c", ""]) as gone:
            host, _, began = executor().split(":")
        assert self.state(shop, "running", executor=f"{host}:{gone.pid}:{began}") == "crashed"

    def test_a_flow_run_that_begins_again_has_lost_what_it_began(self, shop: LoopShop) -> None:
        assert self.state(shop, "running", flow_run="own", executor=executor()) == "crashed"

    def test_an_id_that_was_given_to_another_process(self) -> None:
        host, pid, _ = executor().split(":")
        assert lives(executor()) is True
        assert lives(f"{host}:{pid}:1") is False
        assert lives("elsewhere:1:1") is None and lives("") is None


def test_the_rows_of_decisions_are_as_declared(shop: LoopShop) -> None:
    first = shop.ask(NOW, train=quick)
    assert set(rows(shop)[0]) == set(ops.types_of("decisions"))
    assert first.decision < shop.ask(NOW).decision
