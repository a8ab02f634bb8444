"""A model's declaration is held against the contracts of its domain before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop import contract

from lakehouse.training.linting import complaints

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
estimator: {entry: "late:build"}
metrics: {primary: roc_auc}
gates:
- {name: business, metric: roc_auc, at_least: 0.74}
"""
PYTHON = "def build(params):\n    raise NotImplementedError\n"

FEATURES = {
    "flight_id": "VARCHAR",
    "sched_dep_ts": "TIMESTAMPTZ",
    "carrier": "VARCHAR",
    "hour": "INTEGER",
    "late": "INTEGER",
}
ARRIVALS = {"flight_id": "VARCHAR", "due": "DATE", "late": "INTEGER"}


@pytest.fixture
def domain(tmp_path: Path) -> Path:
    folder = tmp_path / "toy"
    for layer, name, columns in (
        ("gold", "toy_features", FEATURES),
        ("silver", "arrivals", ARRIVALS),
    ):
        file = folder / layer / f"{name}.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(contract(layer, name, columns, ""), encoding="utf-8")
    (folder / "models").mkdir()
    (folder / "models" / "late.py").write_text(PYTHON, encoding="utf-8")
    return folder


def said(domain: Path, old: str = "", new: str = "") -> list[tuple[str, str, str]]:
    """Line of the declaration, what was found, remedy."""
    assert old in YAML
    file = domain / "models" / "late.yaml"
    file.write_text(YAML.replace(old, new), encoding="utf-8")
    problems = complaints(domain)
    assert {(p.file or "").rpartition(":")[0] for p in problems} <= {str(file)}
    return [((p.file or "").rpartition(":")[2], p.found, p.remedy) for p in problems]


def test_a_model_of_its_tables_is_right(domain: Path) -> None:
    assert said(domain) == []


def test_a_name_is_one_model(domain: Path) -> None:
    other = domain.parent / "other" / "models" / "late.yaml"
    other.parent.mkdir(parents=True)
    other.write_text("", encoding="utf-8")
    (domain / "models" / "late.yaml").write_text(YAML, encoding="utf-8")
    (found,) = complaints(domain)
    assert found.found == "the domains other, toy each declare a model of that name"


@pytest.mark.parametrize(
    ("old", "new", "line", "found", "remedy"),
    [
        ("[carrier,", "[carier,", "8", "no column 'carier'", "did you mean 'carrier'?"),
        ("key: [flight_id]", "key: [flight]", "5", "no column 'flight'", "'flight_id'"),
        ("time: sched_dep_ts", "time: sched_dep", "6", "no column 'sched_dep'", "'sched_dep_ts'"),
        ("{column: late,", "{column: latte,", "9", "no column 'latte'", "'late'"),
        ("toy_features", "toy_feature", "4", "no table gold.toy_feature", "'gold.toy_features'"),
        ("gates:", "slices: [{column: airport}]\ngates:", "13", "no column 'airport'", "known: "),
        ("  key:", "  kye:", "5", "unknown key 'kye'", "did you mean 'key'?"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    old: str, new: str, line: str, found: str, remedy: str, domain: Path
) -> None:
    told = said(domain, old, new)
    ((at, what, how),) = told[-1:]
    assert (at, found in what, remedy in how) == (line, True, True), told


def test_a_label_of_another_table(domain: Path) -> None:
    old = "{column: late, "
    told = said(domain, old, "{column: late, table: silver.arrivals, event_time: due, ")
    assert told == [
        ("9", "silver.arrivals.due, the event time, is DATE", "publish it as TIMESTAMPTZ")
    ]
    told = said(domain, old, "{column: missed, table: silver.arrivals, event_time: due, ")
    assert told[0] == ("9", "silver.arrivals has no column 'missed'", told[0][2])


def test_a_contract_that_is_wrong_itself_is_told_of_once(domain: Path) -> None:
    (domain / "gold" / "toy_features.yaml").write_text("kind: {", encoding="utf-8")
    assert said(domain) == []
