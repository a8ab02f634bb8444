"""The model late_arrival, trained once on the year of flights."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flights_lake import SampleLake

from lakehouse import features
from lakehouse.registry import Registry
from lakehouse.training import explain, job
from lakehouse.training.dataset import cut
from lakehouse.training.train import TrainingResult

MODEL = "late_arrival"

pytestmark = pytest.mark.timeout(1800)
FEATURES = "flights.gold.flight_features"
#: Every pickle of protocol 2 or later begins so; protocol 0 and 1 are told by their names.
PICKLED = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))


@dataclass(frozen=True)
class Trained:
    """The lake, the registry, and what training said."""

    lake: SampleLake
    registry: Registry
    result: TrainingResult
    steps: tuple[str, ...]


@pytest.fixture(scope="module")
def trained(flights: SampleLake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        lake = flights.copy(tmp_path_factory.mktemp("training") / "lake")
        steps: list[str] = []
        done = job.train_model(lake.lake, MODEL, progress=steps.append)
        assert done.result is not None
        assert done.existing is None
        yield Trained(lake, job.registry_of(lake.settings), done.result, tuple(steps))


def test_it_is_as_good_as_it_can_honestly_be(trained: Trained) -> None:
    metrics = trained.result.candidate.metrics
    assert 0.76 <= metrics["roc_auc"] <= 0.80
    assert metrics["average_precision"] >= 0.54
    # 0.177 is what a constant guess has.
    assert metrics["brier"] <= 0.145
    # The last flight leaves on 31 December; what is two days older than that is ripe.
    assert trained.result.windows == {
        "train": ("2013-01-01", "2013-09-29"),
        "test": ("2013-09-29", "2013-12-29"),
    }
    day = "CAST(from_utc_timestamp(sched_dep_ts, 'America/New_York') AS DATE)"
    # What is learnt was known when the test begins: two days before it nothing was.
    [counts] = trained.lake.rows(
        f"SELECT count(label_late15) FILTER ({day} < '2013-09-27'), "
        f"count(label_late15) FILTER ({day} >= '2013-09-29'), "
        f"count(*) FROM {FEATURES} WHERE {day} < '2013-12-29'"
    )
    result = trained.result
    learnt, judged, every = counts
    assert (learnt, judged) == (result.train_rows, result.test_rows)
    assert every == result.train_rows + result.test_rows + result.unlabelled_rows


def test_it_beats_the_baseline_through_its_gates(trained: Trained) -> None:
    [baseline] = trained.result.baselines
    assert baseline.model == "carrier_hour"
    assert 0.55 <= baseline.metrics["roc_auc"] <= trained.result.candidate.metrics["roc_auc"] - 0.02
    alone = ("beats_champion", "missing", "skew")
    assert {g.name: g.verdict for g in trained.result.gates} == {
        **dict.fromkeys(("beats_baseline", "business", "volume", "slices"), "passed"),
        **dict.fromkeys(("fresh_window", "infrastructure"), "passed"),
        **dict.fromkeys(alone, "not evaluated"),
    }
    assert not trained.result.blocking


def test_it_is_the_champion_with_all_that_it_was_made_from(trained: Trained) -> None:
    champion = trained.registry.champion(MODEL)
    assert champion is not None
    assert (champion.version, champion.aliases, champion.complete) == (1, ("champion",), True)
    record = champion.record
    assert record is not None
    version = trained.lake.snapshot(FEATURES).version
    assert record.inputs == {FEATURES: version}
    assert record.feature_definition_id == trained.lake.table(FEATURES).definition
    assert record.metrics == trained.result.candidate.metrics
    _, declared = job.find(trained.lake.lake, MODEL)
    assert record.features == declared.features.columns
    assert record.definition_id == declared.definition_id


def test_the_run_tells_which_versions_were_read(trained: Trained) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=trained.registry.tracking_uri)
    run = client.get_run(trained.result.run_id)
    version = trained.lake.snapshot(FEATURES).version
    assert run.data.tags[f"delta.{FEATURES}"] == f"version {version}"
    assert [i.dataset.name for i in run.inputs.dataset_inputs] == [FEATURES]
    assert f'"delta_table_version": {version}' in run.inputs.dataset_inputs[0].dataset.source
    assert run.data.metrics["roc_auc"] == trained.result.candidate.metrics["roc_auc"]
    assert "carrier_hour/roc_auc" in run.data.metrics
    [ledger] = trained.lake.rows("SELECT kind, result FROM ops.runs WHERE kind = 'train'")
    assert ledger == ("train", "done")


def test_what_is_stored_is_whole_and_no_pickle(trained: Trained) -> None:
    root = trained.lake.settings.state / "mlartifacts"
    files = [file for file in root.rglob("*") if file.is_file()]
    names = {file.name for file in files}
    assert {
        "model.skops",
        "MLmodel",
        "input_example.json",
        "declaration.json",
        "late_arrival.py",
    } <= names
    assert {"roc.png", "calibration.png", "importance.png"} <= names
    assert "signature:" in next(f for f in files if f.name == "MLmodel").read_text(encoding="utf-8")
    assert not [f for f in files if f.suffix in (".pkl", ".pickle", ".joblib", ".cloudpickle")]
    for where, content in _contents(files):
        assert not content.startswith(PICKLED), where
        # A NumPy array of objects holds a pickle.
        assert b"'descr': '|O'" not in content[:256], where


def _contents(files: list[Path]) -> Iterator[tuple[str, bytes]]:
    for file in files:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                for name in archive.namelist():
                    yield f"{file.name}:{name}", archive.read(name)
        else:
            yield file.name, file.read_bytes()


@pytest.fixture(scope="module")
def judged(trained: Trained) -> tuple[Any, Any, Any]:
    """The champion as it is loaded, the declaration, and the rows it was judged on."""
    owner, declared = job.find(trained.lake.lake, MODEL)
    pinned = features.window(trained.lake.lake, owner, declared)
    frame = features.read(trained.lake.lake, pinned, declared)
    zone = features.timezone_of(pinned.table)
    found = cut(declared, frame, zone, pinned.windows, pinned.watermark)
    return trained.registry.load(MODEL), declared, (frame, found.test)


def test_the_stored_model_is_the_one_that_was_judged(
    trained: Trained, judged: tuple[Any, Any, Any]
) -> None:
    from sklearn.metrics import roc_auc_score

    estimator, _, (_, test) = judged
    assert list(test.x.columns) == list(trained.registry.champion(MODEL).record.features)
    found = roc_auc_score(test.y, estimator.predict_proba(test.x)[:, 1])
    assert found == pytest.approx(trained.result.candidate.metrics["roc_auc"], abs=1e-12)


def test_a_prediction_is_explained(judged: tuple[Any, Any, Any]) -> None:
    estimator, declared, (frame, test) = judged
    chances = estimator.predict_proba(test.x.iloc[:2000])[:, 1]
    assert 0 <= chances.min() < 0.1 < 0.7 < chances.max() <= 1
    row = frame.slice(int(frame.num_rows * 0.9), 1)
    told = explain(estimator, row, frame.slice(0, 1000), declared.features.columns)
    assert [c.feature for c in told] != list(declared.features.columns)
    assert {c.feature for c in told} == set(declared.features.columns)
    assert [abs(c.effect) for c in told] == sorted((abs(c.effect) for c in told), reverse=True)
    assert any(c.effect for c in told)


def test_what_is_known_late_matters_most(trained: Trained) -> None:
    most = [one.feature for one in trained.result.importance[:8]]
    assert any(name.startswith("aircraft_") for name in most)
    assert any(name.startswith(("origin_", "carrier_")) for name in most)


def test_trained_again_there_is_nothing_to_do(trained: Trained) -> None:
    again = job.train_model(trained.lake.lake, MODEL)
    assert again.result is None
    assert again.existing is not None
    assert again.existing.version == 1
    assert [v.version for v in trained.registry.versions(MODEL)] == [1]
    assert os.environ.get("MLFLOW_TRACKING_URI") is None


def test_its_columns_are_named_before_the_flight_leaves(trained: Trained) -> None:
    """Neither the label, nor what silver knows after the fact, nor a key is a feature."""
    _, declared = job.find(trained.lake.lake, MODEL)
    after = {"dep_ts", "arr_ts", "dep_delay_min", "arr_delay_min", "air_time_min", "is_cancelled"}
    keys = {"flight_id", "flight_date", "sched_dep_ts", "asked_ts", "flight_month", "label_late15"}
    assert not set(declared.features.columns) & (after | keys)
