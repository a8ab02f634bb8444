"""Model declarations: strict, located errors, and an id that only meaning changes."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from lakehouse.errors import ModelError
from lakehouse.training.declaration import ModelDeclaration, load

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
    train, test = declare(tmp_path).split.intervals("America/New_York")
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
