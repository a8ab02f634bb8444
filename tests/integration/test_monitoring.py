"""A model is watched: each window once, again when something in it changed, and by real rows."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from watched_toys import MODEL, START, WatchedToys, visits

from lakehouse import scoring
from lakehouse.cli.monitoring import monitor as command
from lakehouse.errors import ModelError
from lakehouse.monitoring import job
from lakehouse.monitoring.job import Monitored
from lakehouse.ops import MonitorRow
from lakehouse.training.job import train_model

WEEK = dt.timedelta(weeks=1)
SHIFTED = {"age_shift": 0.5, "age_missing": 0.2, "chance": 0.2}


@pytest.fixture(scope="module")
def seven_weeks(tmp_path_factory: pytest.TempPathFactory) -> WatchedToys:
    """Weeks 0 to 6, of which the last two are unlike those before; predicted by versions 1 and 2."""
    toys = WatchedToys(tmp_path_factory.mktemp("toys") / "shop")
    for week in range(7):
        frame = visits(week, **(SHIFTED if week > 4 else {}))
        toys.land(week, frame, build=week == 6)
        toys.predict(frame)
        if week > 2:
            toys.predict(frame, 2)
    return toys


@pytest.fixture
def toys(seven_weeks: WatchedToys, tmp_path: Path) -> WatchedToys:
    shutil.copytree(seven_weeks.shop.root, tmp_path / "shop")
    return WatchedToys(tmp_path / "shop")


def verdicts(done: Monitored, monitor: str) -> dict[int, str]:
    """Week → verdict of what a run looked at."""
    return {(r.window_start - START).days // 7: r.verdict for r in looked(done, monitor)}


def looked(done: Monitored, monitor: str) -> list[MonitorRow]:
    return [row for row in done.looked.monitors if row.monitor == monitor]


def test_each_monitor_judges_each_whole_window(toys: WatchedToys) -> None:
    done = toys.watch(now=START + 7 * WEEK)
    # The seventh week is not over before an event of the eighth has come.
    assert verdicts(done, "drift") == dict.fromkeys(range(5), "ok") | {5: "alarm"}
    assert verdicts(done, "missing") == dict.fromkeys(range(5), "ok") | {5: "alarm"}
    assert verdicts(done, "volume") == dict.fromkeys(range(3), "not evaluated") | dict.fromkeys(
        range(3, 6), "ok"
    )
    assert verdicts(done, "performance") == dict.fromkeys(range(6), "ok")
    assert [row.verdict for row in looked(done, "freshness")] == ["ok"]
    assert {row.monitor for row in done.alarms} == {"drift", "missing"}


def test_the_second_bad_window_is_an_alarm(toys: WatchedToys) -> None:
    toys.watch(now=START + 7 * WEEK)
    frame = visits(7, **SHIFTED)
    toys.land(7, frame)
    toys.predict(frame)
    done = toys.watch(now=START + 8 * WEEK)
    # Weeks are watched, months are built: those of the month that was built again are looked at.
    assert verdicts(done, "performance") == {3: "ok", 4: "ok", 5: "ok", 6: "alarm"}
    *before, row = looked(done, "performance")
    assert "2 of the last 5 windows are worse by more than 0.03" in row.because
    assert {row.monitor for row in done.alarms} == {"drift", "missing", "performance"}
    # What was found before is no news, and was found when it was.
    assert {row.looked for row in before} == {START + 7 * WEEK}
    assert {r.window_start for r in done.news if r.seen} == {START + 6 * WEEK}


def test_what_was_looked_at_is_not_looked_at_again(toys: WatchedToys) -> None:
    toys.watch(now=START + 7 * WEEK)
    again = toys.watch(now=START + 7 * WEEK)
    assert [row.monitor for row in again.looked.monitors] == ["freshness"]
    assert not again.looked.drift and not again.looked.performance
    # The verdicts still stand, and are no news.
    assert {r.monitor for r in again.current if r.verdict == "alarm"} == {"drift", "missing"}
    assert again.alarms == ()


def test_changed_rows_are_looked_at_again(toys: WatchedToys) -> None:
    toys.watch(now=START + 7 * WEEK)
    toys.land(4, visits(4, **SHIFTED))
    done = toys.watch(now=START + 7 * WEEK)
    assert verdicts(done, "drift") == {3: "ok", 4: "alarm", 5: "alarm"}
    assert {r.window_start for r in done.news if r.monitor == "drift"} == {START + 4 * WEEK}
    told = toys.rows("monitors", ["window_start"])
    assert len(told) == len(set(toys.rows("monitors", ["run", "monitor", "window_start"])))


def test_a_window_is_judged_again_when_one_before_it_turns_out_bad(tmp_path: Path) -> None:
    toys = WatchedToys(tmp_path / "shop")
    for week in range(8):
        frame = visits(week, **({"chance": 0.2} if week == 6 else {}))
        toys.land(week, frame, build=week == 7)
        toys.predict(frame)
    first = toys.watch(now=START + 8 * WEEK)
    assert verdicts(first, "performance") == dict.fromkeys(range(7), "ok")
    # Labels of January are mended; those of February, with the latest window, are as before.
    toys.land(2, visits(2, chance=0.2))
    done = toys.watch(now=START + 8 * WEEK)
    assert verdicts(done, "performance") == dict.fromkeys(range(6), "ok") | {6: "alarm"}
    assert [row.monitor for row in done.alarms] == ["performance"]
    assert "2 of the last 5 windows are worse" in looked(done, "performance")[-1].because
    # Only what was measured anew is written anew.
    measured = {(r.window_start - START).days // 7 for r in done.looked.performance}
    assert measured == {0, 1, 2, 3}


def test_predictions_that_come_later_are_measured(toys: WatchedToys) -> None:
    toys.watch(now=START + 7 * WEEK)
    toys.watch(toys.version(3), now=START + 7 * WEEK)
    toys.predict(visits(1), 3)
    done = toys.watch(toys.version(3), now=START + 7 * WEEK)
    assert verdicts(done, "performance") == {1: "ok"}
    assert not looked(done, "drift")


def test_windows_whose_labels_are_not_ripe_are_estimated(toys: WatchedToys) -> None:
    toys.shop.edit(f"models/{MODEL}.yaml", "matures_after: 2 days", "matures_after: 8 days")
    first = toys.watch(now=START + 7 * WEEK)
    assert verdicts(first, "performance")[5] == "not evaluated"
    (row,) = [r for r in looked(first, "performance") if r.window_start == START + 5 * WEEK]
    assert re.search(r"roc_auc 0\.\d+ is expected", row.because)
    of_week = [r for r in first.looked.performance if r.window_start == START + 5 * WEEK]
    assert of_week and all(r.estimated for r in of_week)
    # Of the present it says what is known of the newest window that is ripe.
    (now,) = [r for r in first.current if r.monitor == "performance"]
    assert now.window_start == START + 4 * WEEK
    toys.land(7)
    ripe = toys.watch(now=START + 8 * WEEK)
    assert verdicts(ripe, "performance") == {3: "ok", 4: "ok", 5: "ok", 6: "not evaluated"}
    kept = {r.estimated for r in ripe.looked.performance if r.window_start == START + 5 * WEEK}
    assert kept == {False}


def test_rows_without_a_label_are_left_out(toys: WatchedToys) -> None:
    frame = visits(4)
    frame["bought"] = frame["bought"].astype("Int64").where(frame.index % 4 != 0)
    toys.land(4, frame)
    done = toys.watch(now=START + 7 * WEEK)
    (row,) = [r for r in looked(done, "performance") if r.window_start == START + 4 * WEEK]
    assert row.rows == 750


def test_the_challenger_is_measured_and_not_judged_for_alarms(toys: WatchedToys) -> None:
    second = toys.version(2, "challenger", windows={"train": ("2026-01-05", "2026-01-26")})
    done = toys.watch(toys.version(), second, now=START + 7 * WEEK)
    measured = {r.version: set() for r in done.looked.performance}
    for row in done.looked.performance:
        measured[row.version].add((row.window_start - START).days // 7)
    assert measured == {1: {0, 1, 2, 3, 4, 5}, 2: {3, 4, 5}}
    assert {row.version for row in looked(done, "drift")} == {1}
    assert {row.version for row in done.current} == {1}


def test_a_table_that_was_defined_anew_is_not_compared(toys: WatchedToys) -> None:
    done = toys.watch(toys.version(feature_definition_id="other"), now=START + 7 * WEEK)
    assert set(verdicts(done, "drift").values()) == {"not evaluated"}
    assert "gold.visits was defined otherwise when version 1 was trained" in {
        row.because for row in looked(done, "drift")
    }
    # Rows come, and stored predictions have labels, all the same.
    assert verdicts(done, "volume")[5] == "ok"
    assert verdicts(done, "performance")[5] == "ok"


def test_another_limit_is_judged_anew(toys: WatchedToys) -> None:
    toys.watch(now=START + 7 * WEEK)
    toys.shop.edit(
        f"models/{MODEL}.yaml", "window: 7 days", "window: 7 days\n  performance: {bad: 1}"
    )
    done = toys.watch(now=START + 7 * WEEK)
    assert verdicts(done, "performance")[5] == "alarm"
    assert not looked(done, "drift")


def test_old_and_few_rows_are_alarms(toys: WatchedToys) -> None:
    toys.land(7, visits(7, 300))
    toys.land(8, visits(8, 300))
    done = toys.watch(now=START + 12 * WEEK)
    assert verdicts(done, "volume")[7] == "alarm"
    assert [row.verdict for row in looked(done, "freshness")] == ["alarm"]


def test_labels_of_another_table(tmp_path: Path) -> None:
    toys = WatchedToys(tmp_path / "shop")
    toys.shop.write(
        "gold/outcomes.yaml",
        (toys.shop.domain / "gold" / "visits.yaml")
        .read_text()
        .replace("visits", "outcomes")
        .replace("visited", "decided"),
    )
    sql = (toys.shop.domain / "gold" / "visits.sql").read_text()
    toys.shop.write("gold/outcomes.sql", sql.replace("AS visited", "AS decided"))
    toys.shop.edit(
        f"models/{MODEL}.yaml",
        "label: {column: bought, matures_after: 2 days}",
        "label: {table: gold.outcomes, column: bought, event_time: decided, matures_after: 2 days}",
    )
    for week in range(3):
        frame = toys.land(week, build=week == 2)
        toys.predict(frame)
    done = toys.watch(now=START + 3 * WEEK)
    assert verdicts(done, "performance") == {0: "ok", 1: "ok"}
    assert [row.rows for row in looked(done, "performance")] == [1000, 1000]
    assert {row.slice for row in done.looked.performance} == {"", "colour=red", "colour=blue"}


def test_without_rows_or_windows_it_says_so(tmp_path: Path) -> None:
    toys = WatchedToys(tmp_path / "shop")
    assert toys.watch().lacking == "shop.gold.visits has no rows"
    assert "without its windows" in toys.watch(toys.version(windows={})).lacking
    done = job.monitor(toys.shop.lake(), None, MODEL, now=START)
    assert done.lacking == "there is no champion yet"
    with pytest.raises(ModelError):
        job.monitor(toys.shop.lake(), None, "nobody", now=START)


def test_the_page_holds_all_it_needs(toys: WatchedToys) -> None:
    done = toys.watch(now=START + 7 * WEEK)
    assert done.report is not None
    text = done.report.read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=|@import|url\(|<script", text)
    assert text.count("<svg") == 2
    for words in ("age (effect", "colour=red", "alarm", "version 1", "NULLs"):
        assert words in text
    # Each feature in each window that was compared.
    assert len(re.findall(r'<td[^>]* style="--heat', text)) >= 3 * 6


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedToys]:
    """A model that was trained, registered and used for scoring."""
    toys = WatchedToys(tmp_path_factory.mktemp("trained") / "shop")
    toys.learn_in_january()
    for week in range(7):
        toys.land(week, build=week == 6)
    lake = toys.shop.lake()
    train_model(lake, MODEL)
    scoring.score(lake, "shop", MODEL)
    return toys


def test_a_trained_model_is_watched_by_what_was_stored_with_it(trained: WatchedToys) -> None:
    done = job.monitor(trained.shop.lake(), "shop", MODEL, now=START + 7 * WEEK)
    assert done.version == 1 and not done.lacking
    # Training ended after two weeks.
    assert verdicts(done, "drift") == dict.fromkeys(range(2, 6), "ok")
    assert {r.rows for r in looked(done, "performance")} == {1000}
    assert trained.rows("runs WHERE kind = 'monitor'", ["result"]) == [("done",)]
    assert json.loads(json.dumps(done.to_json(), default=str))["alarms"] == []


def test_the_command_watches_all_champions(
    trained: WatchedToys, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = trained.shop.settings
    for name in ("uri", "landing", "domains", "state"):
        monkeypatch.setenv(f"LAKE_{name.upper()}", str(getattr(settings, name)))
    found = CliRunner().invoke(command, ["--json"])
    assert found.exit_code == 0, found.output
    (document,) = json.loads(found.stdout)["models"]
    assert {row["monitor"] for row in document["current"]} >= {"drift", "performance", "freshness"}
    shown = CliRunner().invoke(command, [MODEL])
    assert "shop.buys version 1" in click.unstyle(shown.stdout)
    assert ".html" in shown.stdout
