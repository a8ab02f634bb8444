"""Rows for a model: types do not depend on the rows, spans are half-open, order does not matter."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.errors import ModelError
from lakehouse.training.dataset import cut, matrix, slices_of
from lakehouse.training.declaration import ModelDeclaration, load

YAML = """\
name: toy
features:
  {table: gold.toy, key: [id], event_time: at, lead: 60 minutes, columns: [carrier, delay_min]}
label: {column: late, matures_after: 0 days}
split: {train: [2013-01-01, 2013-02-01], test: [2013-02-01, 2013-03-01]}
estimator: {entry: "toy:build"}
metrics: {primary: roc_auc}
gates: [{name: any, metric: brier, at_most: 1}]
"""
ZONE = "America/New_York"
MIDNIGHT = dt.datetime(2013, 2, 1, 5, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelDeclaration:
    folder = tmp_path_factory.mktemp("toy")
    (folder / "toy.py").write_text("def build(params): ...\n", encoding="utf-8")
    (folder / "toy.yaml").write_text(YAML, encoding="utf-8")
    return load(folder / "toy.yaml")


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> ModelDeclaration:
    """The toy whose labels take two days."""
    folder = tmp_path_factory.mktemp("slow")
    (folder / "toy.py").write_text("def build(params): ...\n", encoding="utf-8")
    text = YAML.replace("matures_after: 0 days", "matures_after: 2 days")
    (folder / "toy.yaml").write_text(text, encoding="utf-8")
    return load(folder / "toy.yaml")


def rows(times: list[dt.datetime], late: list[float | None] | None = None) -> pa.Table:
    n = len(times)
    return pa.table(
        {
            "id": list(range(n)),
            "at": pa.array(times, pa.timestamp("us", tz="UTC")),
            "carrier": ["UA", None][:n] + ["AA"] * (n - 2),
            "delay_min": pa.array([i if i % 3 else None for i in range(n)], pa.int32()),
            "late": pa.array(late or [i % 2 for i in range(n)], pa.float64()),
        }
    )


def test_spans_are_half_open_at_local_midnight(toy: ModelDeclaration) -> None:
    start, end = MIDNIGHT - dt.timedelta(days=31), MIDNIGHT + dt.timedelta(days=28)
    inside = [start, MIDNIGHT - MINUTE, MIDNIGHT, MIDNIGHT + MINUTE]
    outside = [start - MINUTE, end]
    found = cut(toy, rows(inside + outside), ZONE)
    assert (found.train.rows, found.test.rows, found.left_out) == (2, 2, 0)
    with pytest.raises(ModelError, match="1 labelled rows from 2013-01-01"):
        cut(toy, rows(inside), "UTC")


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(minutes=st.sets(st.integers(-40_000, 40_000), min_size=6), seed=st.integers(0, 99))
def test_training_rows_precede_test_rows_whatever_the_order(
    toy: ModelDeclaration, minutes: set[int], seed: int
) -> None:
    minutes |= {-2, -1, 1, 2}
    frame = rows([MIDNIGHT + m * MINUTE for m in sorted(minutes)])
    shuffled = frame.take(np.random.default_rng(seed).permutation(frame.num_rows))
    found, shuffled_found = cut(toy, frame, ZONE), cut(toy, shuffled, ZONE)
    train, test = found.train, found.test
    again, test_again = shuffled_found.train, shuffled_found.test
    assert train.x.equals(again.x) and test.x.equals(test_again.x)
    assert train.y.tolist() == again.y.tolist()
    assert train.rows == sum(m < 0 for m in minutes)
    assert test.rows == sum(0 <= m < 28 * 1440 for m in minutes)


def test_rows_without_label_are_left_out_and_counted(toy: ModelDeclaration) -> None:
    times = [MIDNIGHT - 2 * MINUTE, MIDNIGHT - MINUTE, MIDNIGHT - 3 * MINUTE, MIDNIGHT]
    times += [MIDNIGHT + MINUTE]
    found = cut(toy, rows(times, [0.0, 1.0, None, 0.0, 1.0]), ZONE)
    assert (found.train.rows, found.test.rows, found.left_out) == (2, 2, 1)


@pytest.mark.parametrize("days", [0, 1, 2, 9])
def test_labels_that_cannot_be_ripe_do_not_count(slow: ModelDeclaration, days: int) -> None:
    """Two days after the event; no clock is asked, only the newest event."""
    day = dt.timedelta(days=1)
    times = [MIDNIGHT - 2 * day - MINUTE, MIDNIGHT - 2 * day]
    times += [MIDNIGHT + n * day - m * MINUTE for n in (-1, 0) for m in (0, -1)]
    times = [*times, MIDNIGHT + MINUTE, MIDNIGHT + MINUTE * 2]
    watermark = MIDNIGHT + days * day + MINUTE
    frame = rows(times)
    if days < 2:
        with pytest.raises(ModelError, match="from 2013-02-01 until 2013-03-01"):
            cut(slow, frame, ZONE, None, watermark)
        return
    found = cut(slow, frame, ZONE, None, watermark)
    ripe = [t for t in times if t >= MIDNIGHT and t <= watermark - 2 * day]
    assert found.test.rows == len(ripe)
    assert found.left_out == len(times) - found.train.rows - found.test.rows


def test_what_is_learnt_was_known_before_the_test_begins(slow: ModelDeclaration) -> None:
    """Who trains at the cut has no labels yet of the two days before it."""
    day = dt.timedelta(days=1)
    times = [MIDNIGHT - 3 * day, MIDNIGHT - 2 * day, MIDNIGHT - 2 * day + MINUTE, MIDNIGHT - MINUTE]
    found = cut(slow, rows([*times, MIDNIGHT, MIDNIGHT + MINUTE]), ZONE)
    assert (found.train.rows, found.test.rows, found.left_out) == (2, 2, 2)


def test_rows_that_were_known_too_late_do_not_count(toy: ModelDeclaration, tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text("def build(params): ...\n", encoding="utf-8")
    text = YAML.replace("columns: [carrier, delay_min]", "columns: [carrier], available_at: seen")
    (tmp_path / "toy.yaml").write_text(text, encoding="utf-8")
    times = [MIDNIGHT + m * MINUTE for m in (-9, -8, -7, -6, 1, 2, 3, 4)]
    seen = [t - (60 if i not in (0, 1, 6, 7) else 59) * MINUTE for i, t in enumerate(times)]
    frame = rows(times).append_column("seen", pa.array(seen, pa.timestamp("us", "UTC")))
    found = cut(load(tmp_path / "toy.yaml"), frame, ZONE)
    assert (found.train.rows, found.test.rows, found.left_out) == (2, 2, 4)


def test_days_and_slices_of_the_rows(toy: ModelDeclaration, tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text("def build(params): ...\n", encoding="utf-8")
    sliced = f"{YAML}slices: [{{column: carrier, min_rows: 2}}]\n"
    (tmp_path / "toy.yaml").write_text(sliced, encoding="utf-8")
    model = load(tmp_path / "toy.yaml")
    times = [MIDNIGHT + m * MINUTE for m in (-2, -1, 0, 1, 60 * 24 - 1, 60 * 24)]
    found = cut(model, rows(times), ZONE).test
    assert found.day.tolist() == [15737, 15737, 15737, 15738]
    slices = {name: at.tolist() for name, at in slices_of(found, model.slices)}
    assert slices == {"carrier=AA": [0, 1, 2, 3]}
    part = found.only(found.day == 15738)
    assert (part.rows, part.parts["carrier"].tolist(), len(part.x)) == (1, ["AA"], 1)


def test_a_former_feature_that_rows_are_only_sliced_by_is_there_for_the_champion(
    toy: ModelDeclaration, tmp_path: Path
) -> None:
    (tmp_path / "toy.py").write_text("def build(params): ...\n", encoding="utf-8")
    text = YAML.replace("[carrier, delay_min]", "[delay_min]")
    slices = "slices: [{column: carrier, min_rows: 2}, {column: day, min_rows: 2}]\n"
    (tmp_path / "toy.yaml").write_text(text + slices, encoding="utf-8")
    frame = rows([MIDNIGHT + m * MINUTE for m in (-2, -1, 0, 1)])
    # A date slices, and can be no feature.
    frame = frame.append_column("day", pa.array([dt.date(2013, 2, 1)] * 4))
    frame = frame.append_column("of_champion", pa.array([True] * 4))
    test = cut(load(tmp_path / "toy.yaml"), frame, ZONE).test
    assert list(test.x.columns) == ["delay_min"]
    assert test.extra.to_dict("list") == {"carrier": ["AA", "AA"], "of_champion": [1.0, 1.0]}
    assert test.only(test.y == 1).extra["carrier"].tolist() == ["AA"]


@pytest.mark.parametrize(
    ("change", "found", "remedy"),
    [
        ({"id": [1, 1, 2, 3]}, "1 rows repeat a key of id", "unique"),
        ({"late": [0, 1, 2, 1]}, "label 'late' holds 2", "0 and 1"),
        ({"late": [0, 0, 0, 1]}, "2 labelled rows from 2013-01-01 until 2013-02-01", "lake plan"),
        ({"late": [None] * 4}, "none of either class", "lake plan"),
        ({"at": pa.array([MIDNIGHT] * 4, pa.timestamp("us"))}, "timestamp[us]", "TIMESTAMPTZ"),
        ({"carrier": None}, "no such column", "known"),
        ({"carrier": [dt.date(2013, 1, 1)] * 4}, "date32", "derive a number"),
    ],
)
def test_frames_that_do_not_fit(
    toy: ModelDeclaration, change: dict[str, object], found: str, remedy: str
) -> None:
    times = [MIDNIGHT - 2 * MINUTE, MIDNIGHT - MINUTE, MIDNIGHT, MIDNIGHT + MINUTE]
    frame = rows(times)
    for name, values in change.items():
        at = frame.column_names.index(name)
        frame = frame.remove_column(at)
        if values is not None:
            frame = frame.add_column(at, name, pa.array(values))
    with pytest.raises(ModelError) as caught:
        cut(toy, frame, ZONE)
    assert found in caught.value.found
    assert remedy in caught.value.remedy


def test_types_of_a_matrix_do_not_depend_on_its_rows() -> None:
    table = pa.table(
        {
            "text": pa.array(["a", None]),
            "coded": pa.array(["b", None]).dictionary_encode(),
            "whole": pa.array([1, None], pa.int64()),
            "flag": pa.array([True, None]),
            "exact": pa.array([1, None], pa.decimal128(9, 2)),
            "real": pa.array([0.5, None]),
        }
    )
    made = matrix(table, table.column_names)
    assert [str(kind) for kind in made.dtypes] == ["object", "object", *["float64"] * 4]
    assert made["text"].tolist() == ["a", None]
    assert made["coded"].tolist() == ["b", None]
    assert made.iloc[0, 2:].tolist() == [1.0, 1.0, 1.0, 0.5]
    assert made.iloc[1, 2:].isna().all()
    for part in (table.slice(0, 1), table.slice(1, 1), table.slice(0, 0)):
        assert matrix(part, table.column_names).dtypes.equals(made.dtypes)
