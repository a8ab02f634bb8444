"""Model declarations: strict, located errors, and an id that only meaning changes."""

from __future__ import annotations

import calendar
import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.errors import ModelError
from lakehouse.training.declaration import ModelDeclaration, load
from lakehouse.training.split import before

ZONE = "America/New_York"

YAML = """\
name: late
description: Toy flights that arrive late.
features:
  table: gold.toy_features
  key: [flight_id]
  event_time: sched_dep_ts
  lead: 60 minutes
  columns: [carrier, hour]
label: {column: late, matures_after: 2 days}
split: {train: [2013-01-01, 2013-10-01], test: [2013-10-01, 2014-01-01]}
estimator: {entry: "late:build", params: {max_depth: 3}}
baselines: [{name: rates, entry: "late:rates"}]
metrics: {primary: roc_auc, also: [average_precision, brier]}
gates:
- {name: beats_baseline, metric: roc_auc, by: 0.02}
- {name: business, metric: roc_auc, at_least: 0.74}
"""

PYTHON = '''\
"""Estimators."""
from sklearn.dummy import DummyClassifier


def build(params):
    """The candidate."""
    return DummyClassifier(strategy="prior")  # a comment


def rates(params):
    return DummyClassifier(strategy="prior")


def number(params):
    return 3


def fails(params):
    return 1 / 0
'''


def declare(folder: Path, text: str = YAML, python: str = PYTHON) -> ModelDeclaration:
    (folder / "late.py").write_text(python, encoding="utf-8")
    file = folder / "late.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file)


def test_reads_every_part(tmp_path: Path) -> None:
    declared = declare(tmp_path)
    assert declared.features.lead == dt.timedelta(minutes=60)
    assert declared.label.matures_after == dt.timedelta(days=2)
    assert declared.columns == ("flight_id", "sched_dep_ts", "carrier", "hour", "late")
    assert declared.estimator.params == {"max_depth": 3}
    assert [gate.name for gate in declared.gates] == ["beats_baseline", "business"]
    assert hasattr(declared.make(declared.estimator), "predict_proba")
    assert not list(tmp_path.glob("__pycache__"))


def test_split_begins_at_midnight_of_the_tables_zone(tmp_path: Path) -> None:
    train, test = declare(tmp_path).windows(None, ZONE).intervals(ZONE)
    assert train.start == dt.datetime(2013, 1, 1, 5, tzinfo=dt.UTC)
    assert train.end == test.start == dt.datetime(2013, 10, 1, 4, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("old", "new", "line", "found", "remedy"),
    [
        ("  key:", "  kye:", 5, "unknown key 'kye'", "did you mean 'key'?"),
        ("at_least", "at_lest", 16, "unknown key 'at_lest'", "did you mean 'at_least'?"),
        ("label: {column: late,", "label: {", 9, "key 'column' is missing", "add 'column:'"),
        ("60 minutes", "soon", 7, "'soon' is no duration", "60 minutes"),
        ("60 minutes", "60", 7, "'60' is no duration", "60 minutes"),
        ("primary: roc_auc", "primary: acuracy", 13, "metrics.primary", "correct"),
        ("[2013-10-01, 2014", "[2013-09-30, 2014", 10, "reaches into the test", "end training"),
        ("[2013-01-01, 2013", "[2013-12-01, 2013", 10, "holds no day", "first, day after last"),
        ("[carrier, hour]", "[carrier, carrier]", 3, "'carrier' is listed twice", "keep one"),
        ("[carrier, hour]", "[carrier, flight_id]", 3, "'flight_id' names the row", "take it out"),
        ("[carrier, hour]", "[carrier, late]", 1, "the label 'late' is among", "take it out"),
        ("at_least: 0.74", "at_most: 0.74", 16, "says nothing good", "write 'at_least'"),
        (", at_least: 0.74", "", 16, "has 0 conditions", "write one"),
        ("at_least: 0.74", "at_least: 1, by: 1", 16, "has 2 conditions", "write one"),
        ("name: business", "name: beats_baseline", 1, "named twice", "own name"),
        ('baselines: [{name: rates, entry: "late:rates"}]', "", 1, "no baseline", "baselines:"),
        ("name: late\n", "name: late\nname: late\n", 2, "written twice", "keep one"),
        ("features:", "features: [", 5, "not YAML", "mend line"),
        ("late:build", "late.build", 11, "estimator.entry", "correct"),
    ],
)
def test_errors_name_line_and_remedy(
    tmp_path: Path, old: str, new: str, line: int, found: str, remedy: str
) -> None:
    assert old in YAML
    with pytest.raises(ModelError) as caught:
        declare(tmp_path, YAML.replace(old, new, 1))
    error = caught.value
    assert found in error.found
    assert remedy in f"{error.found} {error.remedy}"
    assert error.file == f"{tmp_path / 'late.yaml'}:{line}"


@pytest.mark.parametrize(
    ("old", "new", "found", "remedy"),
    [
        ("late:build", "late:biuld", "no function 'biuld'", "did you mean 'build'?"),
        ("late:build", "lats:build", "no file lats.py", "did you mean 'late'?"),
    ],
)
def test_entries_are_checked_without_running_them(
    tmp_path: Path, old: str, new: str, found: str, remedy: str
) -> None:
    with pytest.raises(ModelError) as caught:
        declare(tmp_path, YAML.replace(old, new), PYTHON + "\nraise SystemExit\n")
    assert (caught.value.found, caught.value.remedy) == (found, remedy)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        load(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9")
    with pytest.raises(ModelError, match="UTF-8"):
        load(tmp_path / "latin.yaml")
    with pytest.raises(ModelError, match=r"not Python[\s\S]*late\.py:"):
        declare(tmp_path, python=PYTHON + "def broken(:\n")
    with pytest.raises(ModelError, match=r"name the file other\.yaml"):
        declare(tmp_path, YAML.replace("name: late\n", "name: other\n"))
    (tmp_path / "empty.yaml").write_text("", encoding="utf-8")
    with pytest.raises(ModelError, match="the file"):
        load(tmp_path / "empty.yaml")


@pytest.mark.parametrize(
    ("entry", "found"), [("late:number", "int has no fit"), ("late:fails", "ZeroDivisionError")]
)
def test_functions_that_make_no_estimator(tmp_path: Path, entry: str, found: str) -> None:
    declared = declare(tmp_path, YAML.replace("late:build", entry))
    with pytest.raises(ModelError, match=found):
        declared.make(declared.estimator)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[carrier, hour]", "[hour, carrier]"),
        ("2013-10-01]", "2013-09-01]"),
        ("max_depth: 3", "max_depth: 4"),
        ("late:build", "late:rates"),
        ("60 minutes", "30 minutes"),
        ("column: late", "column: cancelled"),
    ],
)
def test_definition_id_follows_what_decides_the_model(tmp_path: Path, old: str, new: str) -> None:
    assert old in YAML
    before = declare(tmp_path).definition_id
    assert declare(tmp_path, YAML.replace(old, new, 1)).definition_id != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Toy flights", "Small flights"),
        ("at_least: 0.74", "at_least: 0.76"),
        ("60 minutes", "1 hour"),
        ("max_depth: 3", "max_depth:    3 "),
        ("also: [average_precision, brier]", "also: [brier]"),
    ],
)
def test_definition_id_ignores_what_only_describes_or_judges(
    tmp_path: Path, old: str, new: str
) -> None:
    assert old in YAML
    before = declare(tmp_path).definition_id
    assert declare(tmp_path, YAML.replace(old, new, 1)).definition_id == before


def test_definition_id_follows_the_meaning_of_the_code(tmp_path: Path) -> None:
    before = declare(tmp_path).definition_id
    reformatted = PYTHON.replace("  # a comment", "").replace('"prior"', "'prior'", 1)
    reformatted = reformatted.replace('    """The candidate."""\n', "\n\n")
    assert reformatted != PYTHON
    assert declare(tmp_path, python=reformatted).definition_id == before
    changed = PYTHON.replace('"prior"', '"stratified"', 1)
    assert declare(tmp_path, python=changed).definition_id != before


# --- rolling windows, gates, policies --------------------------------------------------------

ROLLING = YAML.replace(
    "split: {train: [2013-01-01, 2013-10-01], test: [2013-10-01, 2014-01-01]}",
    "split: {train: 9 months, test: 3 months}",
)


@pytest.mark.parametrize(
    ("watermark", "train", "test"),
    [
        # The last midnight in New York that is two days old: 29 December.
        ("2014-01-01T04:59", ("2013-01-01", "2013-09-29"), ("2013-09-29", "2013-12-29")),
        ("2013-12-31T05:00", ("2013-01-01", "2013-09-29"), ("2013-09-29", "2013-12-29")),
        ("2013-12-31T04:59", ("2013-01-01", "2013-09-28"), ("2013-09-28", "2013-12-28")),
        ("2014-06-02T05:00", ("2013-05-28", "2014-02-28"), ("2014-02-28", "2014-05-31")),
        ("2013-04-05T00:00", ("2013-01-01", "2013-01-02"), ("2013-01-02", "2013-04-02")),
    ],
)
def test_rolling_windows_end_where_labels_are_known(
    tmp_path: Path, watermark: str, train: tuple[str, str], test: tuple[str, str]
) -> None:
    mark = dt.datetime.fromisoformat(watermark).replace(tzinfo=dt.UTC)
    found = declare(tmp_path, ROLLING).windows(mark, ZONE, dt.date(2013, 1, 1))
    assert tuple(map(str, found.train)) == train
    assert tuple(map(str, found.test)) == test


def test_windows_that_find_no_rows(tmp_path: Path) -> None:
    declared = declare(tmp_path, ROLLING)
    with pytest.raises(ModelError, match="the feature table has no rows"):
        declared.windows(None, ZONE)
    mark = dt.datetime(2013, 3, 1, tzinfo=dt.UTC)
    with pytest.raises(ModelError, match="labels are known from 2013-01-01 until 2013-02-26"):
        declared.windows(mark, ZONE, dt.date(2013, 1, 1))


@settings(max_examples=100)
@given(
    end=st.dates(dt.date(1990, 1, 1), dt.date(2090, 1, 1)),
    count=st.integers(1, 40),
    unit=st.sampled_from(["day", "week", "month", "year"]),
)
def test_a_span_ago(end: dt.date, count: int, unit: str) -> None:
    found = before(end, f"{count} {unit}s")
    days = {"day": (1, 1), "week": (7, 7), "month": (28, 31), "year": (365, 366)}[unit]
    assert days[0] * count <= (end - found).days <= days[1] * count
    if unit in ("month", "year"):
        last = calendar.monthrange(found.year, found.month)[1]
        assert found.day == min(end.day, last)


ALL = (
    ROLLING.replace(
        "gates:\n",
        """\
slices: [{column: carrier, min_rows: 500}, {column: origin}]
gates:
- {name: beats_champion, kind: champion, metric: roc_auc, margin: 0.005, confidence: 0.95}
- {name: volume, kind: volume, at_least: 20000}
- {name: missing, kind: missing, at_most: 0.1}
- {name: skew, kind: skew, at_most: 0.2}
- {name: slices, kind: slices, metric: roc_auc, margin: 0.03}
- {name: infrastructure, kind: infrastructure}
""",
    )
    + """\
waivers: [{gate: skew, until: 2014-01-01, by: owner@example.org, because: "a new airport"}]
retrain: {new_rows: 20000, cooldown: 20 hours, budget: {attempts: 3, per: 7 days}, timeout: 2 hours}
monitors:
  window: 7 days
  drift: {share: 0.3, effect: 0.1, min_rows: 200}
  performance: {drop: 0.03, windows: 5, bad: 2}
  freshness: {at_most: 40 days}
  volume: {at_least: 0.5}
  missing: {at_most: 0.1}
"""
)


def test_reads_gates_policies_and_monitors(tmp_path: Path) -> None:
    declared = declare(tmp_path, ALL)
    kinds = ["champion", "volume", "missing", "skew", "slices", "infrastructure"]
    assert [g.kind for g in declared.gates] == [*kinds, "metric", "metric"]
    assert declared.columns[-1] == "origin"
    assert declared.retrain.budget.per == dt.timedelta(days=7)
    assert declared.monitors.performance.metric == "roc_auc"
    assert declared.waivers[0].until == dt.date(2014, 1, 1)


def test_everything_has_a_default(tmp_path: Path) -> None:
    declared = declare(tmp_path, YAML.replace("primary: roc_auc", "primary: brier"))
    assert declared.retrain.cooldown == dt.timedelta(hours=20)
    assert declared.monitors.window == dt.timedelta(days=7)
    assert declared.monitors.performance.metric == "brier"
    assert (declared.slices, declared.waivers, declared.label_columns) == ((), (), ())


@pytest.mark.parametrize(
    ("old", "new", "found", "remedy"),
    [
        ("9 months", "9 moons", "'9 moons' is no span", "9 months"),
        ("9 months", "0 days", "'0 days' is no span", "9 months"),
        ("kind: champion", "kind: champoin", "unknown kind of gate", "'champion'?"),
        ("margin: 0.005", "magrin: 0.005", "unknown key 'magrin'", "'margin'?"),
        ("kind: volume, at_least", "kind: volume, at_last", "unknown key 'at_last'", "at_least"),
        ("confidence: 0.95", "confidence: 95", "gates.0.confidence", "less than 1"),
        ("min_rows: 500", "min_row: 500", "unknown key 'min_row'", "'min_rows'?"),
        ("new_rows: 20000", "new_rows: 0", "retrain.new_rows", "correct"),
        ("budget: {attempts", "budget: {atempts", "unknown key 'atempts'", "'attempts'?"),
        ("share: 0.3", "shar: 0.3", "unknown key 'shar'", "'share'?"),
        ("bad: 2", "bad: 6", "6 of 5 windows cannot be bad", "fewer"),
        ("window: 7 days", "window: 7 hours", "whole days", "7 days"),
        ("gate: skew", "gate: skw", "no gate 'skw' that could be waived", "'skew'?"),
        ("gate: skew", "gate: infrastructure", "could be waived", "known"),
        ("name: volume, kind", "name: fresh_window, kind", "gate of the library", "another"),
        ("name: volume, kind", "name: infrastructure, kind", "infrastructure", "name"),
        ("{column: origin}", "{column: carrier}", "slice 'carrier' is named twice", "own name"),
        ("slices: [{column: carrier, min_rows: 500}, {column: origin}]\n", "", "no slices", "add"),
        ("{name: rates, entry", "{name: champion, entry", "baseline 'champion'", "own name"),
        (
            "matures_after: 2 days",
            "matures_after: 2 days, event_time: x",
            "another table",
            "delete",
        ),
    ],
)
def test_errors_in_the_newer_parts(
    tmp_path: Path, old: str, new: str, found: str, remedy: str
) -> None:
    assert old in ALL
    with pytest.raises(ModelError) as caught:
        declare(tmp_path, ALL.replace(old, new, 1))
    assert found in caught.value.found
    assert remedy in f"{caught.value.found} {caught.value.remedy}"


@pytest.mark.parametrize(
    ("old", "new", "fitted", "judged"),
    [
        ("9 months", "10 months", True, False),
        ("matures_after: 2 days", "matures_after: 3 days", True, False),
        ("column: late,", "column: late, available_at: told,", True, False),
        ("columns: [carrier, hour]", "columns: [carrier, hour]\n  available_at: seen", True, False),
        ("{max_depth: 3}", "{max_depth: 3, seed: null}", True, False),
        ("margin: 0.005", "margin: 0.01", False, True),
        ("min_rows: 500", "min_rows: 400", False, True),
        ('entry: "late:rates"', 'entry: "late:build"', False, True),
        ("until: 2014-01-01", "until: 2014-01-02", False, True),
        ("new_rows: 20000", "new_rows: 30000", False, False),
        ("share: 0.3", "share: 0.4", False, False),
    ],
)
def test_what_is_fitted_and_what_only_judges(
    tmp_path: Path, old: str, new: str, fitted: bool, judged: bool
) -> None:
    assert old in ALL
    before, after = declare(tmp_path, ALL), declare(tmp_path, ALL.replace(old, new, 1))
    assert (before.definition_id != after.definition_id) is fitted
    assert (before.judging_id != after.judging_id) is judged


def test_estimators_of_installed_packages(tmp_path: Path) -> None:
    text = YAML.replace("late:build", "sklearn.ensemble:RandomForestClassifier")
    declared = declare(tmp_path, text)
    made = declared.make(declared.estimator)
    assert (type(made).__name__, made.max_depth) == ("RandomForestClassifier", 3)
    assert declared.definition_id != declare(tmp_path).definition_id
    for entry, found in (
        ("sklearn.ensemble:RandomForst", "AttributeError"),
        ("sklearn.ensemble:RandomForestRegressor", "no predict_proba"),
    ):
        wrong = declare(tmp_path, YAML.replace("late:build", entry))
        with pytest.raises(ModelError, match=found):
            wrong.make(wrong.estimator)


def test_a_label_in_a_table_of_its_own(tmp_path: Path) -> None:
    text = YAML.replace(
        "{column: late,", "{column: late, table: gold.outcomes, available_at: told,"
    )
    declared = declare(tmp_path, text)
    assert declared.columns == ("flight_id", "sched_dep_ts", "carrier", "hour")
    assert declared.label_columns == ("flight_id", "sched_dep_ts", "late", "told")
    assert declared.joined == (*declared.columns, "late", "told")
