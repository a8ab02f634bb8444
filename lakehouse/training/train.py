"""Train one model: fit, compare, judge, store, register."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.errors import ModelError
from lakehouse.registry import (
    Alias,
    ModelRecord,
    Registry,
    prepare_process,
    require_trusted,
)
from lakehouse.signing import SigningKey
from lakehouse.training import plots, tracking
from lakehouse.training.code import Classifier
from lakehouse.training.dataset import DatasetVersion, Samples, cut
from lakehouse.training.declaration import Baseline, Estimator, ModelDeclaration
from lakehouse.training.explain import Importance, importance
from lakehouse.training.gates import GateResult, judge
from lakehouse.training.metrics import Evaluation, evaluate

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from matplotlib.figure import Figure

__all__ = ["TrainingResult", "train"]


@dataclass(frozen=True)
class TrainingResult:
    """What a training made.

    Attributes:
        model: The model's name.
        version: The registered version.
        alias: ``champion`` when all gates passed, else ``challenger``.
        run_id: The MLflow run.
        fingerprint: What it was trained from.
        train_rows: Labelled rows of the training span.
        test_rows: Labelled rows of the test span.
        unlabelled_rows: Rows left out because their label is NULL.
        candidate: Its metrics on the test rows.
        baselines: Theirs, on the same rows.
        gates: The verdicts, in the order of the declaration.
        importance: The most important feature first.
        fit_seconds: Time to fit the candidate.
        seconds: Time of all.
    """

    model: str
    version: int
    alias: Alias
    run_id: str
    fingerprint: str
    train_rows: int
    test_rows: int
    unlabelled_rows: int
    candidate: Evaluation
    baselines: tuple[Evaluation, ...]
    gates: tuple[GateResult, ...]
    importance: tuple[Importance, ...]
    fit_seconds: float
    seconds: float


def train(
    declaration: ModelDeclaration,
    frame: pa.Table,
    inputs: Sequence[DatasetVersion],
    *,
    tracking_uri: str,
    artifacts: Path | None,
    key: SigningKey,
    fingerprint: str,
    timezone: str = "UTC",
    progress: Callable[[str], None] = lambda step: None,
) -> TrainingResult:
    """Fit candidate and baselines, judge them on later rows, and register the candidate.

    The alias ``champion`` moves only when every gate passed; otherwise the new
    version is ``challenger``.

    Args:
        declaration: The model.
        frame: One row per entity, with the declaration's ``columns``.
        inputs: The table versions from which ``frame`` was read.
        tracking_uri: ``sqlite:///…/mlflow.db`` or a server's address.
        artifacts: The folder for artifacts; None when the server keeps them.
        key: Signs the stored model.
        fingerprint: What the model is made from, by the planner.
        timezone: The feature table's: the split's dates begin at its midnights.
        progress: Told each step.

    Raises:
        ModelError: The frame does not fit the declaration, or an estimator failed.
        UntrustedModelError: The estimator holds types which would not be loaded again.
    """
    began = time.perf_counter()
    features = _feature_table(declaration, inputs)
    prepare_process()
    training, test, unlabelled = cut(declaration, frame, timezone)
    record = ModelRecord(
        fingerprint=fingerprint,
        definition_id=declaration.definition_id,
        feature_definition_id=features.definition_id,
        features=declaration.features.columns,
        inputs={one.table: one.version for one in inputs},
    )
    first, after = declaration.split.train
    run_name = f"{declaration.name} {first} until {after}"
    with tracking.started_run(tracking_uri, artifacts, declaration.name, run_name) as run_id:
        tracking.log_declaration(declaration, record)
        tracking.log_inputs(inputs)
        compared = _compare(declaration, training, test, progress)
        tracking.log_evaluation(compared.candidate.evaluation, compared.others, compared.gates)
        tracking.log_plots(_plots(declaration, compared, test))
        progress("store and register")
        model_uri = tracking.log_model(compared.candidate.estimator, test.x)
        registry = Registry(tracking_uri, key)
        version, alias = _register(registry, declaration.name, model_uri, run_id, record, compared)
        progress(f"{declaration.name} version {version} is {alias}")
    return TrainingResult(
        model=declaration.name,
        version=version,
        alias=alias,
        run_id=run_id,
        fingerprint=fingerprint,
        train_rows=training.rows,
        test_rows=test.rows,
        unlabelled_rows=unlabelled,
        candidate=compared.candidate.evaluation,
        baselines=compared.others,
        gates=compared.gates,
        importance=compared.importance,
        fit_seconds=compared.candidate.seconds,
        seconds=time.perf_counter() - began,
    )


@dataclass(frozen=True)
class _Fitted:
    """A fitted model with what it says about the test rows; shape (rows,)."""

    evaluation: Evaluation
    estimator: Classifier
    probability: np.ndarray[Any, np.dtype[np.float64]]
    seconds: float


@dataclass(frozen=True)
class _Comparison:
    """Candidate and baselines on the same test rows, and what follows from it."""

    candidate: _Fitted
    baselines: tuple[_Fitted, ...]
    gates: tuple[GateResult, ...]
    importance: tuple[Importance, ...]

    @property
    def others(self) -> tuple[Evaluation, ...]:
        return tuple(b.evaluation for b in self.baselines)


def _compare(
    declaration: ModelDeclaration,
    training: Samples,
    test: Samples,
    progress: Callable[[str], None],
) -> _Comparison:
    progress(f"fit {declaration.name} on {training.rows:,} rows")
    candidate = _fit(declaration, declaration.estimator, training, test)
    require_trusted(candidate.estimator)
    for baseline in declaration.baselines:
        progress(f"fit baseline {baseline.name}")
    baselines = tuple(_fit(declaration, b, training, test) for b in declaration.baselines)
    progress(f"evaluate on {test.rows:,} later rows")
    others = [b.evaluation for b in baselines]
    return _Comparison(
        candidate,
        baselines,
        judge(declaration.gates, candidate.evaluation, others),
        importance(candidate.estimator, test, declaration.metrics.primary),
    )


def _plots(
    declaration: ModelDeclaration, compared: _Comparison, test: Samples
) -> dict[str, Figure]:
    fitted = (compared.candidate, *compared.baselines)
    return {
        "roc": plots.roc_plot(test.y, [(f.evaluation, f.probability) for f in fitted]),
        "calibration": plots.calibration_plot([f.evaluation for f in fitted]),
        "importance": plots.importance_plot(compared.importance, declaration.metrics.primary),
    }


def _register(
    registry: Registry,
    name: str,
    model_uri: str,
    run_id: str,
    record: ModelRecord,
    compared: _Comparison,
) -> tuple[int, Alias]:
    judged = dataclasses.replace(
        record,
        metrics=compared.candidate.evaluation.metrics,
        gates={gate.name: gate.verdict for gate in compared.gates},
    )
    version = registry.register(name, model_uri, run_id, judged)
    passed = all(gate.verdict == "passed" for gate in compared.gates)
    alias: Alias = "champion" if passed else "challenger"
    registry.give_alias(name, version, alias)
    return version, alias


def _fit(
    declaration: ModelDeclaration, made: Estimator | Baseline, training: Samples, test: Samples
) -> _Fitted:
    name = made.name if isinstance(made, Baseline) else "candidate"
    estimator = declaration.make(made)
    began = time.perf_counter()
    try:
        estimator.fit(training.x, training.y)
        seconds = time.perf_counter() - began
        probability = estimator.predict_proba(test.x)[:, 1]
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
        remedy = "mend the function that builds it"
        where = str(declaration.path)
        raise ModelError(f"fit {made.entry}", found, remedy, file=where) from error
    return _Fitted(evaluate(name, test.y, probability), estimator, probability, seconds)


def _feature_table(
    declaration: ModelDeclaration, inputs: Sequence[DatasetVersion]
) -> DatasetVersion:
    wanted = declaration.features.table
    for one in inputs:
        if one.table == wanted or one.table.endswith(f".{wanted}"):
            return one
    found = f"inputs: {', '.join(one.table for one in inputs) or 'none'}"
    remedy = f"hand over the version of {wanted} from which the rows were read"
    raise ModelError(f"train {declaration.name}", found, remedy)
