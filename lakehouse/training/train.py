"""Train one model, or judge one again: fit, compare, judge, store, register."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.errors import ModelError
from lakehouse.loading.check import check
from lakehouse.loading.scorer import Scorer
from lakehouse.modelfile import Stored, serialise
from lakehouse.monitoring.reference import Reference
from lakehouse.promotion import PromotionLost
from lakehouse.registry import (
    Alias,
    ModelRecord,
    ModelVersion,
    Registry,
    prepare_process,
)
from lakehouse.signing import SigningKey
from lakehouse.training import tracking
from lakehouse.training.attempt import Attempt
from lakehouse.training.card import card
from lakehouse.training.dataset import DatasetVersion
from lakehouse.training.declaration import ModelDeclaration
from lakehouse.training.explain import Importance, importance, shares
from lakehouse.training.fitting import Fitted, fit
from lakehouse.training.gates import GateResult, Judged, infrastructure_name
from lakehouse.training.metrics import evaluate
from lakehouse.training.result import TrainingResult
from lakehouse.training.split import Windows
from lakehouse.training.trial import Hearing, Trial, begin, pictures

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Move", "TrainingResult", "judge_again", "train"]

#: Rows of the test that the stored model has to score as the fitted one did.
_EXAMPLE_ROWS = 200

#: Gives a version its alias, with the verdicts; a ModelError when it may not have it.
Move = Callable[[int, Alias, Sequence[GateResult]], None]


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
    attempt: Attempt | None = None,
    move: Move | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> TrainingResult:
    """Fit candidate and baselines, judge them on later rows, and register the candidate.

    The alias ``champion`` moves only when no gate blocks; otherwise the new
    version is ``challenger``.

    Args:
        declaration: The model.
        frame: One row per entity, with the declaration's ``joined`` columns.
        inputs: The table versions from which ``frame`` was read.
        tracking_uri: ``sqlite:///…/mlflow.db`` or a server's address.
        artifacts: The folder for artifacts; None when the server keeps them.
        key: Signs the stored model.
        fingerprint: What the model is made from, by the planner.
        timezone: The feature table's: the windows' dates begin at its midnights.
        attempt: The circumstances.
        move: Gives the alias; None: the registry itself.
        progress: Told each step.

    Raises:
        ModelError: The frame does not fit the declaration, or an estimator failed.
        UntrustedModelError: The estimator holds types which would not be loaded again.
    """
    began = time.perf_counter()
    definition = _feature_table(declaration, inputs).definition_id
    prepare_process()
    trial = begin(declaration, frame, inputs, timezone, attempt or Attempt(), progress)
    registry = Registry(tracking_uri, key)
    record = _record(trial, fingerprint, definition, timezone)
    first, after = trial.windows.train
    run_name = f"{declaration.name} {first} until {after}"
    with tracking.started_run(tracking_uri, artifacts, declaration.name, run_name) as run_id:
        tracking.log_declaration(declaration, record, trial.windows, trial.attempt)
        tracking.log_inputs(inputs)
        progress(f"fit {declaration.name} on {trial.spans.train.rows:,} rows")
        fitted = fit(declaration, declaration.estimator, trial.spans.train, trial.spans.test)
        stored = serialise(fitted.estimator)
        found = importance(fitted.estimator, trial.spans.test, declaration.metrics.primary)
        hearing = trial.hear(registry, fitted, shares(found), definition)
        record = _with_reference(record, trial, hearing, found)
        progress("store and register")
        version = _register(registry, trial, fitted, stored, run_id, record)
        done = _conclude(registry, trial, hearing, version, move)
    return _result(trial, done, hearing, version, found, fitted.seconds, began)


def judge_again(
    declaration: ModelDeclaration,
    version: ModelVersion,
    frame: pa.Table,
    inputs: Sequence[DatasetVersion],
    *,
    tracking_uri: str,
    key: SigningKey,
    timezone: str = "UTC",
    attempt: Attempt | None = None,
    move: Move | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> TrainingResult:
    """Judge a registered version by the gates as they are declared now, without training it.

    Args:
        declaration: The model.
        version: The version, trained from just these rows.
        frame: As in :func:`train`.
        inputs: As in :func:`train`.
        tracking_uri: As in :func:`train`.
        key: As in :func:`train`.
        timezone: As in :func:`train`.
        attempt: The circumstances.
        move: Gives the alias; None: the registry itself.
        progress: Told each step.

    Raises:
        ModelError: It cannot be loaded, or a baseline failed.
    """
    began = time.perf_counter()
    definition = _feature_table(declaration, inputs).definition_id
    assert version.record is not None
    prepare_process()
    trial = begin(declaration, frame, inputs, timezone, attempt or Attempt(), progress)
    registry = Registry(tracking_uri, key)
    progress(f"score the test rows by version {version.version}")
    with Scorer(registry, version) as scorer:
        probability = scorer.probabilities(trial.spans.test.x)
    test = trial.spans.test
    judged = Judged(evaluate("candidate", test.y, probability, test.day), probability)
    hearing = trial.hear(registry, judged, version.record.importance, definition, version.version)
    with tracking.reopened_run(tracking_uri, version.run_id):
        done = _conclude(registry, trial, hearing, version, move)
    return _result(trial, done, hearing, version, (), 0.0, began, trained=False)


def _record(trial: Trial, fingerprint: str, definition: str, timezone: str) -> ModelRecord:
    declared, attempt = trial.declaration, trial.attempt
    return ModelRecord(
        fingerprint=fingerprint,
        definition_id=declared.definition_id,
        feature_definition_id=definition,
        features=declared.features.columns,
        inputs={one.table: one.version for one in trial.inputs},
        windows=_dates(trial.windows),
        timezone=timezone,
        watermark=attempt.watermark.isoformat() if attempt.watermark else "",
        domain=attempt.domain,
        decision=attempt.decision,
        trained_rows=trial.spans.train.rows,
        attempt=attempt.number,
    )


def _dates(windows: Windows) -> Mapping[str, tuple[str, str]]:
    spans = {"train": windows.train, "test": windows.test}
    return {name: (str(first), str(after)) for name, (first, after) in spans.items()}


def _with_reference(
    record: ModelRecord, trial: Trial, hearing: Hearing, found: Sequence[Importance]
) -> ModelRecord:
    """What was measured goes to the run; the record names it, and is signed with it."""
    tracking.log_evaluation(hearing.candidate.evaluation, hearing.others, hearing.slices)
    tracking.log_plots(pictures(trial, hearing, found))
    text = Reference.of(trial.spans.train.x).to_json()
    return dataclasses.replace(
        record,
        metrics=hearing.candidate.evaluation.metrics,
        gates={gate.name: gate.verdict for gate in hearing.gates},
        importance=hearing.candidate.importance,
        reference=tracking.log_reference(text),
        reference_sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def _register(
    registry: Registry,
    trial: Trial,
    fitted: Fitted,
    stored: Stored,
    run_id: str,
    record: ModelRecord,
) -> ModelVersion:
    name = trial.declaration.name
    model_uri = tracking.log_model(fitted.estimator, trial.spans.test.x, stored)
    return registry.version(name, registry.register(name, model_uri, run_id, record, stored))


def _conclude(
    registry: Registry,
    trial: Trial,
    hearing: Hearing,
    version: ModelVersion,
    move: Move | None,
) -> tuple[tuple[GateResult, ...], Alias]:
    """Judge what is stored, write everything down, and give the alias."""
    declared = trial.declaration
    trial.progress("load it in a process of its own")
    gates = (*hearing.gates, _infrastructure(registry, trial, hearing, version))
    alias: Alias = "challenger" if any(g.blocks for g in gates) else "champion"
    _write(registry, trial, hearing, version, gates)
    if "champion" in version.aliases:
        alias = "champion"  # Only a person takes it away.
    else:
        try:
            _move(registry, version, alias, gates, move)
        except PromotionLost as error:
            if alias == "challenger":
                raise
            # Another training was promoted on this window in the same moment.
            alias = "challenger"
            late = GateResult.of("fresh_window", "fresh_window", passed=False, because=error.found)
            gates = tuple(late if g.name == late.name else g for g in gates)
            _write(registry, trial, hearing, version, gates)
            _move(registry, version, alias, gates, move)
    tracking.log_judged(declared.judging_id)
    trial.progress(f"{declared.name} version {version.version} is {alias}")
    return gates, alias


def _move(
    registry: Registry,
    version: ModelVersion,
    alias: Alias,
    gates: Sequence[GateResult],
    move: Move | None,
) -> None:
    if move is None:
        registry.give_alias(version.name, version.version, alias)
    else:
        move(version.version, alias, gates)


def _write(
    registry: Registry,
    trial: Trial,
    hearing: Hearing,
    version: ModelVersion,
    gates: Sequence[GateResult],
) -> None:
    declared = trial.declaration
    tracking.log_gates(gates)
    made = card(
        declared,
        trial.attempt,
        trial.windows,
        trial.inputs,
        (trial.spans.train.rows, trial.spans.test.rows, trial.spans.left_out),
        (hearing.candidate.evaluation, *hearing.others),
        hearing.slices,
        gates,
        hearing.candidate.importance,
    )
    tracking.log_card(made)
    tracking.describe(registry.tracking_uri, declared.name, version.version, made.markdown())


def _infrastructure(
    registry: Registry, trial: Trial, hearing: Hearing, version: ModelVersion
) -> GateResult:
    name = infrastructure_name(trial.declaration)
    example = trial.spans.test.x.head(_EXAMPLE_ROWS)
    expected = hearing.candidate.probability[: len(example)]
    try:
        checked = check(registry, version, example, expected)
    except ModelError as error:
        because = f"{error.asked}: {error.found}"
        return GateResult.of(name, "infrastructure", passed=False, because=because)
    return GateResult.of(
        name, "infrastructure", checked.passed, checked.because, **checked.evidence
    )


def _result(
    trial: Trial,
    done: tuple[tuple[GateResult, ...], Alias],
    hearing: Hearing,
    version: ModelVersion,
    found: Sequence[Importance],
    fit_seconds: float,
    began: float,
    *,
    trained: bool = True,
) -> TrainingResult:
    gates, alias = done
    assert version.record is not None
    return TrainingResult(
        model=trial.declaration.name,
        version=version.version,
        alias=alias,
        run_id=version.run_id,
        fingerprint=version.record.fingerprint,
        train_rows=trial.spans.train.rows,
        test_rows=trial.spans.test.rows,
        unlabelled_rows=trial.spans.left_out,
        candidate=hearing.candidate.evaluation,
        baselines=hearing.others,
        gates=gates,
        importance=tuple(found),
        fit_seconds=fit_seconds,
        seconds=time.perf_counter() - began,
        slices=hearing.slices,
        windows=_dates(trial.windows),
        attempt=trial.attempt.number,
        trained=trained,
    )


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
