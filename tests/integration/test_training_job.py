"""Models trained from a lake as its tables grow: windows roll, gates hear the champion."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from order_model import MODEL, MODEL_YAML, ModelShop

from lakehouse import features
from lakehouse.errors import ModelError
from lakehouse.ledger import Ledger
from lakehouse.monitoring.reference import Reference
from lakehouse.registry import Registry
from lakehouse.training import job
from lakehouse.training.job import Trained
from lakehouse.training.plan import plan

FEATURES = "shop.gold.features"

# The story is five trainings long.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(autouse=True, scope="module")
def own_mlflow() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@dataclass(frozen=True)
class Story:
    """A shop over five months, and what each training made of it."""

    shop: ModelShop
    first: Trained
    again: Trained
    judged: Trained
    forced: Trained
    later: Trained
    plans: dict[str, list[tuple[str, list[str]]]]
    steps: list[str]

    @property
    def registry(self) -> Registry:
        return job.registry_of(self.shop.settings)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, own_mlflow: None) -> Story:
    shop = ModelShop(tmp_path_factory.mktemp("my shop"))
    plans, steps = {}, []

    def look(when: str) -> None:
        lake = shop.lake()
        found = plan(lake, lake.domain("shop"))
        plans[when] = [(t.action.value, [r.code for r in t.reasons]) for t in found]

    look("empty")
    for month in range(1, 5):
        shop.month(month)
    look("built")
    first = shop.train_apart(progress=steps.append)
    look("trained")
    again = shop.train()
    shop.edit("models/large_order.yaml", "at_least: 100", "at_least: 200")
    look("other gates")
    judged = shop.train()
    look("judged")
    forced = shop.train(force=True)
    shop.month(5)
    look("a month later")
    later = shop.train(decision="because-of-may")
    shop.edit("models/large_order.yaml", "C: 1.0", "C: 2.0")
    look("other parameters")
    return Story(shop, first, again, judged, forced, later, plans, steps)


def verdicts(done: Trained) -> dict[str, str]:
    assert done.result is not None
    return {gate.name: gate.verdict for gate in done.result.gates}


def test_two_who_train_at_once_make_one_version(tmp_path: Path) -> None:
    shop = ModelShop(tmp_path)
    for month in (1, 2, 3):
        shop.month(month)
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: shop.train_apart(), range(2)))
    assert sorted(one.result is None for one in done) == [False, True]
    assert [v.version for v in job.registry_of(shop.settings).versions(MODEL)] == [1]


def test_the_first_model_has_nobody_to_beat(story: Story) -> None:
    result = story.first.result
    assert result is not None and story.first.existing is None
    assert (result.version, result.alias, result.attempt, result.trained) == (
        1,
        "champion",
        1,
        True,
    )
    assert result.windows == {
        "train": ("2026-01-27", "2026-03-27"),
        "test": ("2026-03-27", "2026-04-27"),
    }
    assert verdicts(story.first) == {
        "beats_baseline": "passed",
        "beats_champion": "not evaluated",
        "volume": "passed",
        "missing": "not evaluated",
        "skew": "not evaluated",
        "slices": "passed",
        "fresh_window": "passed",
        "infrastructure": "passed",
    }
    assert not result.blocking


def test_a_process_of_its_own_tells_its_steps_and_all_of_its_result(story: Story) -> None:
    assert story.steps[0] == f"read {FEATURES} version 4"
    assert story.steps[-1] == "large_order version 1 is champion"
    result = story.first.result
    assert result is not None
    low, high = result.candidate.intervals["roc_auc"]
    assert low < result.candidate.metrics["roc_auc"] < high
    assert [s.model for s in result.slices] == ["letter=a", "letter=b", "letter=c"]
    assert result.importance[0].feature == "amount"
    document = json.loads(json.dumps(story.first.to_json()))
    assert document["gates"][0]["evidence"]["candidate"] == result.candidate.metrics["roc_auc"]


def test_the_record_says_what_it_was_made_from(story: Story) -> None:
    version = story.registry.version(MODEL, 1)
    record = version.record
    assert record is not None and version.promotion is not None
    assert record.inputs == {FEATURES: 4}
    assert record.windows["test"] == ("2026-03-27", "2026-04-27")
    assert (record.domain, record.timezone, record.trained_rows) == ("shop", "UTC", 600)
    assert record.watermark == "2026-04-28T00:00:00+00:00"
    assert sum(record.importance.values()) == pytest.approx(1)
    reference = Reference.from_json(story.registry.reference(MODEL, 1))
    assert reference["amount"].trained.rows == 600
    assert version.promotion.kind == "gates"


def test_the_run_keeps_card_plots_and_numbers(story: Story) -> None:
    from mlflow import MlflowClient

    result = story.first.result
    assert result is not None
    client = MlflowClient(story.registry.tracking_uri)
    run = client.get_run(result.run_id).data
    assert run.metrics["roc_auc_low"] == result.candidate.intervals["roc_auc"][0]
    assert run.metrics["slice/letter_a/roc_auc"] == result.slices[0].metrics["roc_auc"]
    assert run.params["split.test"] == "2026-03-27 until 2026-04-27"
    plots = {file.path for file in client.list_artifacts(result.run_id, "plots")}
    assert {"plots/slices.png", "plots/weeks.png"} <= plots
    folder = story.shop.settings.state / "mlartifacts"
    (card,) = folder.glob(f"**/{result.run_id}/artifacts/card/model_card.md")
    text = card.read_text(encoding="utf-8")
    for told in (
        "# Model large_order",
        "Whether an order is large.",
        "| shop.gold.features | 4 |",
        "from 2026-01-27 until 2026-03-27",
        "| volume | passed | 600 labelled rows to learn from, at least 200 are asked |",
        "| amount | ",
        "lake rollback large_order",
    ):
        assert told in text
    page = card.with_suffix(".html").read_text(encoding="utf-8")
    assert "<h1>Model large_order</h1>" in page and "<code>gold.features</code>" in page
    described = client.get_model_version(MODEL, "1").description
    assert described is not None and described.startswith("# Model large_order")


def test_nothing_changed_is_nothing_to_do(story: Story) -> None:
    assert story.again.result is None
    assert story.again.existing is not None and story.again.existing.version == 1


def test_other_gates_judge_again_and_train_nothing(story: Story) -> None:
    result, first = story.judged.result, story.first.result
    assert result is not None and first is not None
    assert (result.version, result.alias, result.trained) == (1, "champion", False)
    assert result.candidate == first.candidate
    assert verdicts(story.judged)["volume"] == "passed"
    told = next(g.because for g in result.gates if g.name == "beats_champion")
    assert told == "it is the champion itself"
    assert story.judged.to_json()["judged_again"] is True


def test_one_window_makes_one_champion(story: Story) -> None:
    result = story.forced.result
    assert result is not None
    assert (result.version, result.alias, result.attempt) == (2, "challenger", 2)
    assert [gate.name for gate in result.blocking] == ["fresh_window"]
    assert "2026-04-27 decided that version 1 became champion" in result.blocking[0].because


def test_later_rows_are_a_new_window_and_the_champion_is_beaten_on_them(story: Story) -> None:
    result = story.later.result
    assert result is not None
    assert (result.version, result.alias, result.attempt) == (3, "champion", 1)
    assert result.windows["test"] == ("2026-04-27", "2026-05-27")
    assert set(verdicts(story.later).values()) == {"passed"}
    gate = next(g for g in result.gates if g.name == "beats_champion")
    assert gate.evidence["champion_version"] == 1 and gate.evidence["days"] == 28
    champion = story.registry.champion(MODEL)
    assert champion is not None and champion.record is not None
    assert (champion.version, champion.record.decision) == (3, "because-of-may")


def test_the_plan_says_what_a_training_would_change(story: Story) -> None:
    assert story.plans == {
        "empty": [("wait", ["waits"])],
        "built": [("train", ["missing"])],
        "trained": [],
        "other gates": [("judge", ["gates changed"])],
        "judged": [],
        "a month later": [("train", ["new data"])],
        "other parameters": [("train", ["definition changed"])],
    }


def test_the_ledger_tells_the_story(story: Story) -> None:
    book = Ledger(story.shop.lake().storage)
    rows = sorted(book.rows("runs"), key=lambda r: r["started"])
    told = [(r["kind"], r["result"]) for r in rows if r["kind"] in ("train", "judge")]
    assert told == [
        ("train", "done"),
        ("judge", "done"),
        ("train", "blocked"),
        ("train", "done"),
    ]
    moves = sorted(book.rows("promotions"), key=lambda r: r["promotion"])
    assert [(m["version"], m["alias"], m["kind"], m["before"]) for m in moves] == [
        (1, "champion", "gates", 0),
        (2, "challenger", "gates", 0),
        (3, "champion", "gates", 1),
    ]
    assert moves[0]["window_end"] == dt.datetime(2026, 4, 27, tzinfo=dt.UTC)
    assert json.loads(moves[1]["gates"])["fresh_window"].startswith("failed: the window until")


def test_windows_of_an_older_version(story: Story) -> None:
    lake = story.shop.lake()
    owner, model = job.find(lake, MODEL)
    now = features.window(lake, owner, model)
    then = features.window(lake, owner, model, {FEATURES: 4})
    assert (now.versions, then.versions) == ({FEATURES: 5}, {FEATURES: 4})
    assert str(then.windows.test[1]) == "2026-04-27" and str(now.windows.test[1]) == "2026-05-27"
    assert then.watermark == features.watermark(lake, owner, model, {FEATURES: 4})
    assert [f.partition for f in then.files] == [f"2026-0{m}-01" for m in (1, 2, 3, 4)]
    assert now.fingerprint != then.fingerprint


def test_the_newest_event_is_in_the_log_or_else_in_the_rows(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = story.shop.lake()
    owner, model = job.find(lake, MODEL)
    told = features.watermark(lake, owner, model)
    assert told == dt.datetime(2026, 5, 28, tzinfo=dt.UTC)
    window = features.window(lake, owner, model)
    monkeypatch.setattr(features.snapshots, "bounds", lambda *_: None)
    assert features.watermark(lake, owner, model) == told
    assert features.window(lake, owner, model) == window


def test_the_command_shows_models_in_the_plan(
    story: Story, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lakehouse.cli import main

    settings = story.shop.settings
    for name in ("uri", "landing", "domains", "state"):
        monkeypatch.setenv(f"LAKE_{name.upper()}", str(getattr(settings, name)))
    told = {}
    for words in (["plan", "--json"], ["plan"], ["plan", "--check"], ["plan", "gold.features"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
        told[" ".join(words)] = capsys.readouterr().out
    (model,) = json.loads(told["plan --json"])["models"]
    assert model == {
        "model": "shop.large_order",
        "action": "train",
        "reasons": [{"code": "definition changed", "detail": ""}],
        "reads": [{"table": FEATURES, "version": 5}],
        "windows": {"train": ["2026-02-27", "2026-04-27"], "test": ["2026-04-27", "2026-05-27"]},
        "certain": True,
    }
    assert "nothing to do: 3 tables are as declared" in told["plan"]
    assert "shop.large_order" in told["plan"] and "definition changed" in told["plan"]
    assert "large_order" not in told["plan gold.features"]


# --- what goes wrong ---------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> ModelShop:
    """A shop of one month, judged on its last week."""
    shop = ModelShop(
        tmp_path / "shop", MODEL_YAML.replace("2 months, test: 1 month", "3 weeks, test: 1 week")
    )
    shop.month(1)
    return shop


def failures(shop: ModelShop) -> list[tuple[str, str, str]]:
    rows = Ledger(shop.lake().storage).rows("runs")
    return [(r["kind"], r["result"], r["error"]) for r in rows if r["kind"] == "train"]


def test_an_estimator_that_fails_is_recorded(small: ModelShop) -> None:
    small.edit("models/large_order.py", "def build(params):", "def build(params):\n    1 / 0\n")
    with pytest.raises(ModelError, match="ZeroDivisionError") as caught:
        small.train_apart()
    assert caught.value.file == str(small.domain / "models" / "large_order.py")
    ((kind, result, error),) = failures(small)
    assert (kind, result) == ("train", "failed")
    assert error.startswith("make an estimator by large_order:build: ZeroDivisionError")


def test_a_process_that_dies_is_told_and_recorded(small: ModelShop) -> None:
    kill = "def build(params):\n    import os\n    print('so long', flush=True)\n    os.kill(os.getpid(), 9)\n"
    small.edit("models/large_order.py", "def build(params):", kill)
    with pytest.raises(
        ModelError, match="its process ended by signal 9 without an answer"
    ) as caught:
        small.train_apart()
    assert "so long" in caught.value.found
    assert [f[:2] for f in failures(small)] == [("train", "failed")]
    assert job.registry_of(small.settings).versions(MODEL) == ()


def test_a_training_that_takes_too_long_is_ended(small: ModelShop) -> None:
    from lakehouse.training.process import Died, Order, run

    sleep = "def build(params):\n    import time\n    time.sleep(600)\n"
    small.edit("models/large_order.py", "def build(params):", sleep)
    with pytest.raises(Died, match="it took longer than 0:00:08"):
        run(small.settings, Order(MODEL, "shop"), dt.timedelta(seconds=8), print)


def test_a_feature_table_without_rows(tmp_path: Path) -> None:
    shop = ModelShop(tmp_path / "shop")
    with pytest.raises(ModelError, match="the feature table has no rows"):
        shop.train()
    assert [f[:2] for f in failures(shop)] == [("train", "failed")]
