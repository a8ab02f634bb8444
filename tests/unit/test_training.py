"""A toy model is trained, judged, stored, registered and loaded again, without a pickle."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lakehouse.errors import ModelError, UntrustedModelError
from lakehouse.registry import Registry
from lakehouse.signing import SigningKey
from lakehouse.training import DatasetVersion, explain, load
from lakehouse.training.dataset import matrix
from lakehouse.training.train import TrainingResult, train

YAML = """\
name: toy
features:
  table: gold.toy_features
  key: [id]
  event_time: at
  lead: 60 minutes
  columns: [carrier, hour, late_share, rush]
label: {column: late, matures_after: 0 days}
split: {train: [2013-01-01, 2013-10-01], test: [2013-10-01, 2014-01-01]}
estimator: {entry: "toy:build", params: {max_iter: 20}}
baselines: [{name: carrier_rates, entry: "toy:rates"}]
metrics: {primary: roc_auc, also: [average_precision, brier]}
gates:
- {name: beats_baseline, metric: roc_auc, by: 0.02}
- {name: business, metric: roc_auc, at_least: 0.6}
"""

PYTHON = """\
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, FunctionTransformer


def build(params):
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_pipeline(
        make_column_transformer((encode, ["carrier"]), remainder="passthrough"),
        HistGradientBoostingClassifier(random_state=0, **params),
    )


def rates(params):
    encode = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(make_column_transformer((encode, ["carrier"])), LogisticRegression())


class Own(LogisticRegression):
    pass


def own_class(params):
    encode = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(make_column_transformer((encode, ["carrier"])), Own())


def lame(params):
    return LogisticRegression()
"""

INPUTS = [DatasetVersion("toys.gold.toy_features", 7, "file:///lake/toys", "a1-b2", 12, 6000)]
ZONE = "America/New_York"


def frame(n: int = 6000) -> pa.Table:
    rng = np.random.default_rng(0)
    seconds = (rng.random(n) * 365 * 86_400).astype("int64")
    hour, share = rng.integers(5, 24, n), rng.beta(1, 4, n)
    logit = -2.5 + 4 * share + 0.1 * (hour - 12)
    late = rng.random(n) < 1 / (1 + np.exp(-logit))
    return pa.table(
        {
            "id": np.arange(n),
            "at": pa.array(
                np.datetime64("2013-01-01T05", "us") + seconds.astype("m8[s]"),
                pa.timestamp("us", "UTC"),
            ),
            "carrier": pa.array(rng.choice(["UA", "AA", "DL"], n), mask=rng.random(n) < 0.02),
            "hour": pa.array(hour, pa.int32(), mask=rng.random(n) < 0.02),
            "late_share": share,
            "rush": hour > 16,
            "late": pa.array(late, mask=rng.random(n) < 0.02),
        }
    )


@dataclass(frozen=True)
class Place:
    """One MLflow with its folders; the name has a space."""

    folder: Path

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder}/mlflow.db"

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    @property
    def key(self) -> SigningKey:
        return SigningKey.at(self.folder / "keys")

    @property
    def registry(self) -> Registry:
        return Registry(self.uri, self.key)

    def train(self, text: str, fingerprint: str, steps: list[str] | None = None) -> TrainingResult:
        (self.folder / "toy.py").write_text(PYTHON, encoding="utf-8")
        (self.folder / "toy.yaml").write_text(text, encoding="utf-8")
        return train(
            load(self.folder / "toy.yaml"),
            frame(),
            INPUTS,
            tracking_uri=self.uri,
            artifacts=self.artifacts,
            key=self.key,
            fingerprint=fingerprint,
            timezone=ZONE,
            progress=[].append if steps is None else steps.append,
        )


@dataclass(frozen=True)
class Trained:
    """Three trainings: all gates passed, one failed, all passed again."""

    place: Place
    results: tuple[TrainingResult, ...]
    aliases: tuple[dict[int, tuple[str, ...]], ...]
    steps: tuple[str, ...]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    place = Place(tmp_path_factory.mktemp("my lake"))
    results, aliases, steps = [], [], []
    texts = (
        YAML,
        YAML.replace("at_least: 0.6", "at_least: 0.99"),
        YAML.replace("max_iter: 20", "max_iter: 10"),
    )
    for i, text in enumerate(texts):
        results.append(place.train(text, f"print{i}", steps))
        versions = place.registry.versions("toy")
        aliases.append({v.version: v.aliases for v in versions if v.aliases})
    return Trained(place, tuple(results), tuple(aliases), tuple(steps))


def test_champion_moves_only_through_the_gates(trained: Trained) -> None:
    first, second, third = trained.results
    assert [(r.version, r.alias) for r in trained.results] == [
        (1, "champion"),
        (2, "challenger"),
        (3, "champion"),
    ]
    names = ["beats_baseline", "business", "fresh_window", "infrastructure"]
    assert [g.name for g in first.gates] == names
    assert [g.verdict for g in first.gates] == ["passed"] * 4
    assert [g.verdict for g in second.gates] == ["passed", "failed", "passed", "passed"]
    assert [g.blocks for g in second.gates] == [False, True, False, False]
    assert third.candidate.roc_auc and third.candidate.roc_auc > 0.6
    assert trained.aliases == (
        {1: ("champion",)},
        {1: ("champion",), 2: ("challenger",)},
        {3: ("champion",)},
    )


def test_steps_are_told(trained: Trained) -> None:
    first = trained.steps[: len(trained.steps) // 3]
    assert first[0].startswith("fit toy on 4,")
    assert first[-1] == "toy version 1 is champion"


def test_rows_are_counted(trained: Trained) -> None:
    result = trained.results[0]
    assert result.train_rows + result.test_rows + result.unlabelled_rows == 6000
    assert result.unlabelled_rows == frame()["late"].null_count
    assert result.candidate.rows == result.baselines[0].rows == result.test_rows
    assert {i.feature for i in result.importance} == {"carrier", "hour", "late_share", "rush"}


def test_the_run_says_what_it_was_made_from(trained: Trained) -> None:
    from mlflow import MlflowClient

    result, place = trained.results[0], trained.place
    client = MlflowClient(place.uri)
    run = client.get_run(result.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "toy 2013-01-01 until 2013-10-01"
    assert run.data.tags["delta.toys.gold.toy_features"] == "version 7"
    assert run.data.tags["lakehouse.fingerprint"] == "print0"
    assert run.data.tags["lakehouse.feature_definition_id"] == "a1-b2"
    assert run.data.tags["gate.business"].startswith("passed: roc_auc 0.")
    assert run.data.params["estimator.max_iter"] == "20"
    assert run.data.metrics["roc_auc"] == result.candidate.roc_auc
    assert run.data.metrics["carrier_rates/roc_auc"] == result.baselines[0].roc_auc
    (data,) = [one.dataset for one in run.inputs.dataset_inputs]
    assert (data.name, data.digest) == ("toys.gold.toy_features", "v7-a1-b2")
    assert json.loads(data.source) == {"path": "file:///lake/toys", "delta_table_version": 7}
    plots = {file.path for file in client.list_artifacts(result.run_id, "plots")}
    names = ("roc", "calibration", "importance", "weeks")
    assert plots == {f"plots/{name}.png" for name in names}


def test_signature_and_example_are_stored(trained: Trained) -> None:
    import yaml

    stored = sorted(trained.place.artifacts.rglob("MLmodel"))
    assert len(stored) == 3
    signature = yaml.safe_load(stored[0].read_text(encoding="utf-8"))["signature"]
    inputs = {one["name"]: one["type"] for one in json.loads(signature["inputs"])}
    assert inputs == {
        "carrier": "string",
        "hour": "double",
        "late_share": "double",
        "rush": "double",
    }
    example = json.loads((stored[0].parent / "input_example.json").read_text(encoding="utf-8"))
    assert example["columns"] == list(inputs) and len(example["data"]) == 5


def test_no_artifact_is_a_pickle(trained: Trained) -> None:
    files = [file for file in trained.place.artifacts.rglob("*") if file.is_file()]
    kinds = {".skops", ".png", ".json", ".txt", ".py", ".md", ".html", ""}
    assert kinds == {f.suffix for f in files}
    for file in files:
        assert not file.read_bytes().startswith(b"\x80")
        if file.suffix != ".skops":
            continue
        with zipfile.ZipFile(file) as parts:
            for part in parts.namelist():
                content = parts.read(part)
                assert part == "schema.json" or content.startswith(b"\x93NUMPY")
                assert b"'descr': '|O'" not in content[:200]


def test_the_loaded_model_gives_the_same_probabilities(trained: Trained) -> None:
    version = trained.place.registry.champion("toy")
    assert version is not None and version.record is not None
    model = trained.place.registry.load("toy")
    x = matrix(frame(), version.record.features)
    probability = model.predict_proba(x)[:, 1]
    assert version.record.metrics == pytest.approx(dict(trained.results[2].candidate.metrics))
    assert probability.min() >= 0 and probability.std() > 0.05
    found = explain(model, frame().slice(3, 1), frame(), version.record.features)
    assert {c.feature for c in found} == set(version.record.features)
    assert abs(found[0].effect) > 0


def test_training_is_found_by_its_fingerprint(trained: Trained) -> None:
    registry = trained.place.registry
    found = registry.find_by_fingerprint("toy", "print1")
    assert found is not None and found.version == 2
    assert registry.find_by_fingerprint("toy", "print9") is None


def test_training_again_gives_the_same_model(trained: Trained) -> None:
    again = trained.place.train(YAML, "again")
    assert again.candidate == trained.results[0].candidate


@pytest.mark.parametrize(
    ("entry", "error", "found"),
    [
        ("toy:own_class", UntrustedModelError, "Own"),
        ("toy:lame", ModelError, "ValueError: could not convert string"),
    ],
)
def test_estimators_that_cannot_be_used(
    trained: Trained, entry: str, error: type[ModelError], found: str
) -> None:
    from mlflow import MlflowClient

    before = trained.place.registry.versions("toy")
    with pytest.raises(error, match=found):
        trained.place.train(YAML.replace("toy:build", entry).replace("{max_iter: 20}", "{}"), "x")
    assert trained.place.registry.versions("toy") == before
    client = MlflowClient(trained.place.uri)
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    newest = client.search_runs([experiment.experiment_id], max_results=1)[0]
    assert newest.info.status == "FAILED"


def test_tracking_address_is_as_before(trained: Trained) -> None:
    import mlflow

    assert not mlflow.is_tracking_uri_set()


def test_inputs_must_hold_the_feature_table(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(PYTHON, encoding="utf-8")
    (tmp_path / "toy.yaml").write_text(YAML, encoding="utf-8")
    with pytest.raises(ModelError, match="inputs: none"):
        train(
            load(tmp_path / "toy.yaml"),
            frame(10),
            [],
            tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
            artifacts=None,
            key=SigningKey.at(tmp_path),
            fingerprint="x",
        )
    assert not (tmp_path / "mlflow.db").exists()


def test_any_estimator_by_its_entry(tmp_path: Path) -> None:
    """XGBoost, from its declaration to a champion that another process loads."""
    pytest.importorskip("xgboost")
    from lakehouse.loading.scorer import Scorer

    text = YAML.replace("[carrier, hour", "[hour").replace("toy:build", "xgboost:XGBClassifier")
    text = text.replace("{max_iter: 20}", "{n_estimators: 20, max_depth: 3, n_jobs: 1}")
    place = Place(tmp_path)
    rates = 'entry: "xgboost:XGBClassifier", params: {n_estimators: 1, max_depth: 1, n_jobs: 1}'
    result = place.train(text.replace('entry: "toy:rates"', rates), "boosted")
    assert result.alias == "champion", result.gates
    assert result.candidate.metrics["roc_auc"] > 0.6
    x = matrix(frame(), ["hour", "late_share", "rush"])
    with Scorer(place.registry, place.registry.version("toy", "champion")) as scorer:
        chances = scorer.probabilities(x)
    assert np.array_equal(chances, place.registry.load("toy").predict_proba(x)[:, 1])
    assert chances.std() > 0.05
