"""Features and labels of two tables meet as they were known: nothing from later gets in."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.errors import ModelError
from lakehouse.training import asof
from lakehouse.training.dataset import cut
from lakehouse.training.declaration import ModelDeclaration, load

YAML = """\
name: churn
features:
  table: gold.customers
  key: [customer]
  event_time: as_of
  lead: 2 hours
  columns: [spent]
  available_at: loaded
label: {column: left_us, matures_after: 1 days, table: gold.outcomes, event_time: due,
        available_at: told}
split: {train: [2026-01-01, 2026-02-01], test: [2026-02-01, 2026-03-01]}
estimator: {entry: "churn:build"}
metrics: {primary: roc_auc}
slices: [{column: country, min_rows: 1}]
gates: [{name: any, metric: brier, at_most: 1}]
"""
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
UTC = pa.timestamp("us", tz="UTC")


@pytest.fixture(scope="module")
def churn(tmp_path_factory: pytest.TempPathFactory) -> ModelDeclaration:
    return declare(tmp_path_factory.mktemp("churn"), YAML)


def declare(folder: Path, text: str) -> ModelDeclaration:
    (folder / "churn.py").write_text("def build(params): ...\n", encoding="utf-8")
    (folder / "churn.yaml").write_text(text, encoding="utf-8")
    return load(folder / "churn.yaml")


def at(hours: int | None) -> dt.datetime | None:
    return None if hours is None else START + hours * HOUR


def features(rows: list[tuple[str, int, int | None, float]]) -> pa.Table:
    """Customer, as of which hour, loaded in which hour, spent."""
    return pa.table(
        {
            "customer": pa.array([r[0] for r in rows], pa.string()),
            "as_of": pa.array([at(r[1]) for r in rows], UTC),
            "loaded": pa.array([at(r[2]) for r in rows], UTC),
            "spent": pa.array([r[3] for r in rows], pa.float64()),
            "country": pa.array(["NO"] * len(rows), pa.string()),
        }
    )


def labels(rows: list[tuple[str, int, int, bool | None]]) -> pa.Table:
    """Customer, due in which hour, told in which hour, whether they left."""
    return pa.table(
        {
            "customer": pa.array([r[0] for r in rows], pa.string()),
            "due": pa.array([at(r[1]) for r in rows], UTC),
            "left_us": pa.array([r[3] for r in rows], pa.bool_()),
            "told": pa.array([at(r[2]) for r in rows], UTC),
        }
    )


def table(model: ModelDeclaration, known: pa.Table, outcomes: pa.Table) -> pa.Table:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("f", known)
        con.register("l", outcomes)
        return asof.join(model, con, "f", "l")


def joined(model: ModelDeclaration, known: pa.Table, outcomes: pa.Table) -> list[dict[str, Any]]:
    found = table(model, known, outcomes)
    assert sorted(found.column_names) == sorted(model.joined)
    return sorted(found.to_pylist(), key=lambda r: (r["customer"], r["as_of"]))


def test_the_newest_row_that_was_known_in_time(churn: ModelDeclaration) -> None:
    known = features(
        [
            ("ann", 0, 0, 1.0),
            ("ann", 10, 11, 2.0),
            ("ann", 20, 30, 3.0),  # too late for the prediction in hour 24, due in hour 26
            ("ann", 27, 27, 4.0),  # of a later instant
            ("bob", 0, None, 5.0),  # nobody says since when it is known
        ]
    )
    outcomes = labels([("ann", 26, 40, True), ("ann", 9, 12, False), ("bob", 26, 40, True)])
    found = joined(churn, known, outcomes)
    assert [(r["customer"], r["as_of"], r["spent"], r["left_us"]) for r in found] == [
        ("ann", at(9), 1.0, False),
        ("ann", at(26), 2.0, True),
    ]


def test_without_an_arrival_a_row_is_known_at_its_event(tmp_path: Path) -> None:
    model = declare(tmp_path, YAML.replace("  available_at: loaded\n", ""))
    known = features([("ann", 10, 10, 1.0), ("ann", 20, 20, 2.0)])
    spent = [
        joined(model, known, labels([("ann", due, 50, True)]))[0]["spent"] for due in (20, 21, 22)
    ]
    # Two hours before hour 21 the row of hour 20 did not exist.
    assert spent == [1.0, 1.0, 2.0]


def test_a_correction_counts_from_its_arrival(churn: ModelDeclaration) -> None:
    known = features([("ann", 10, 10, 1.0), ("ann", 10, 20, 2.0)])
    before, after = (
        joined(churn, known, labels([("ann", due, 50, True)]))[0]["spent"] for due in (21, 22)
    )
    assert (before, after) == (1.0, 2.0)


ROWS = st.lists(
    st.tuples(
        st.sampled_from("ab"), st.integers(0, 30), st.integers(0, 40), st.integers(0, 9).map(float)
    ),
    max_size=12,
)
ASKED = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40)), max_size=6, unique=True).map(
    lambda made: [(who, due, due, True) for who, due in made]
)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(known=ROWS, asked=ASKED, shift=st.integers(0, 30))
def test_every_row_is_the_best_that_was_known(
    churn: ModelDeclaration,
    known: list[tuple[str, int, int, float]],
    asked: list[tuple[str, int, int, bool]],
    shift: int,
) -> None:
    """Whatever arrives later by any shift: the rule in plain Python says the same."""
    shifted = [(who, of, loaded + shift, spent) for who, of, loaded, spent in known]
    expected = []
    for who, due, _, _ in sorted(asked):
        could = [r for r in shifted if r[0] == who and r[1] <= due and r[2] <= due - 2]
        if could:
            newest = max((r[1], r[2]) for r in could)
            expected.append((who, at(due), {r[3] for r in could if (r[1], r[2]) == newest}))
    found = joined(churn, features(shifted), labels(asked))
    assert [(r["customer"], r["as_of"]) for r in found] == [e[:2] for e in expected]
    assert all(r["spent"] in e[2] for r, e in zip(found, expected, strict=True))


def test_the_order_of_rows_does_not_matter(churn: ModelDeclaration) -> None:
    twice = [("ann", 0, 0, 1.0), ("ann", 0, 0, 2.0)]
    outcomes = labels([("ann", 10, 10, True)])
    ways = [joined(churn, features(rows), outcomes) for rows in (twice, twice[::-1])]
    assert ways[0] == ways[1]


def test_a_planted_leak_is_of_no_use(churn: ModelDeclaration) -> None:
    """The outcome itself, written into the features when it is known, never reaches a row."""
    known, outcomes = [], []
    for i in range(40):
        who, due = f"c{i}", 24 * (10 + i)
        left = i % 2 == 0
        known += [(who, due - 24, due - 24, 0.0), (who, due, due + 1, float(left))]
        outcomes.append((who, due, due + 24, left))
    assert {r["spent"] for r in joined(churn, features(known), labels(outcomes))} == {0.0}
    early = [(who, of, loaded - 4, spent) for who, of, loaded, spent in known]
    found = joined(churn, features(early), labels(outcomes))
    assert [r["spent"] for r in found] == [float(r["left_us"]) for r in found]


@pytest.mark.parametrize(("late", "rows"), [(0, (2, 2)), (30, None)])
def test_a_label_counts_from_its_arrival(
    churn: ModelDeclaration, late: int, rows: tuple[int, int] | None
) -> None:
    """Those of training are known when the test begins, those of the test at the watermark."""
    days = [5, 6, 33, 34]
    told = [(f"c{d}", 24 * d, 24 * (d + late), bool(i % 2)) for i, d in enumerate(days)]
    known = [(who, due - 5, due - 5, 1.0) for who, due, _, _ in told]
    frame = table(churn, features(known), labels(told))
    if rows is None:
        with pytest.raises(ModelError, match="0 labelled rows from 2026-01-01"):
            cut(churn, frame, "UTC", None, at(24 * 65))
        return
    found = cut(churn, frame, "UTC", None, at(24 * 65))
    assert (found.train.rows, found.test.rows, found.left_out) == (*rows, 0)
    assert found.test.parts["country"].tolist() == ["NO", "NO"]


def test_an_entity_may_be_asked_about_again(churn: ModelDeclaration) -> None:
    known = features([("ann", 0, 0, 1.0)])
    times = [24 * d for d in (2, 3, 33, 34)]
    outcomes = labels([("ann", due, due, bool(i % 2)) for i, due in enumerate(times)])
    found = cut(churn, table(churn, known, outcomes), "UTC")
    assert (found.train.rows, found.test.rows) == (2, 2)
