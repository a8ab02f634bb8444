"""What a training run leaves in MLflow."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.artifacts import (
    client_of,
    log_stored,
    mlflow_errors,
    prepare_process,
    tracking_at,
)
from lakehouse.modelfile import NAMES, Stored, serialise
from lakehouse.registry import ModelRecord
from lakehouse.training.attempt import Attempt
from lakehouse.training.card import Card
from lakehouse.training.code import Classifier
from lakehouse.training.dataset import DatasetVersion
from lakehouse.training.declaration import ModelDeclaration
from lakehouse.training.gates import GateResult
from lakehouse.training.metrics import Evaluation
from lakehouse.training.split import Windows

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = [
    "describe",
    "judged_by",
    "log_card",
    "log_declaration",
    "log_evaluation",
    "log_gates",
    "log_inputs",
    "log_judged",
    "log_model",
    "log_plots",
    "log_reference",
    "reopened_run",
    "started_run",
]

_EXAMPLE_ROWS = 5
_REFERENCE = "reference.json"
_JUDGED = "lakehouse.judging_id"
#: MLflow's names of metrics; and how long a tag may be.
_UNNAMED = re.compile(r"[^\w\-. :/]")
_TAG = 5000


@contextmanager
def started_run(
    tracking_uri: str, artifacts: Path | None, experiment: str, name: str
) -> Iterator[str]:
    """A run of an experiment; what is logged inside the block goes to it.

    Args:
        tracking_uri: ``sqlite:///…/mlflow.db`` or a server's address.
        artifacts: The folder of a new experiment's artifacts; None: as the server says.
        experiment: Made when it is not there.
        name: The run's name.

    Yields:
        The run's id.
    """
    prepare_process()
    import mlflow

    with tracking_at(tracking_uri):
        known = mlflow.get_experiment_by_name(experiment)
        place = artifacts.resolve().as_uri() if artifacts else None
        where = known.experiment_id if known else mlflow.create_experiment(experiment, place)
        with mlflow.start_run(experiment_id=where, run_name=name) as run:
            yield run.info.run_id


@contextmanager
def reopened_run(tracking_uri: str, run_id: str) -> Iterator[str]:
    """A run that has ended; what is logged inside the block goes to it.

    Yields:
        The run's id.
    """
    prepare_process()
    import mlflow

    with tracking_at(tracking_uri), mlflow.start_run(run_id=run_id):
        yield run_id


def judged_by(tracking_uri: str, run_id: str) -> str:
    """The id of what a run's version was judged by last; empty when that is not known."""
    with mlflow_errors("read how a version was judged"):
        tags = client_of(tracking_uri).get_run(run_id).data.tags
    return str(tags.get(_JUDGED, ""))


def log_declaration(
    declaration: ModelDeclaration, record: ModelRecord, windows: Windows, attempt: Attempt
) -> None:
    """Parameters, the declaration with its Python, and the ids of what is trained from."""
    import mlflow

    features = declaration.features
    params = {
        "estimator": declaration.estimator.entry,
        **{f"estimator.{k}": v for k, v in declaration.estimator.params.items()},
        "features.table": features.table,
        "features.count": len(features.columns),
        "features.lead_minutes": features.lead.total_seconds() / 60,
        "label": declaration.label.column,
        "split.train": f"{windows.train[0]} until {windows.train[1]}",
        "split.test": f"{windows.test[0]} until {windows.test[1]}",
        "attempt": attempt.number,
    }
    mlflow.log_params(params)
    mlflow.set_tags(
        {
            "lakehouse.model": declaration.name,
            "lakehouse.domain": record.domain,
            "lakehouse.definition_id": record.definition_id,
            "lakehouse.feature_definition_id": record.feature_definition_id,
            "lakehouse.fingerprint": record.fingerprint,
            "lakehouse.watermark": record.watermark,
            # Nobody decided on a training by hand.
            **({"lakehouse.decision": record.decision} if record.decision else {}),
        }
    )
    mlflow.log_dict(declaration.model_dump(mode="json"), "declaration/declaration.json")
    for code in declaration.code:
        mlflow.log_text(code.source, f"declaration/{code.path.name}")


def log_inputs(inputs: Sequence[DatasetVersion]) -> None:
    """Each table with its Delta version, as data sets of the run."""
    import mlflow
    from mlflow.data.delta_dataset_source import DeltaDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    for one in inputs:
        source = DeltaDatasetSource(path=one.uri, delta_table_version=one.version)
        digest = f"v{one.version}-{one.definition_id}"
        # Its class leaves `profile` abstract, and is documented as made so.
        data = MetaDataset(source, name=one.table, digest=digest)  # type: ignore[abstract]
        mlflow.log_input(data, context="training and test")
        mlflow.set_tag(f"delta.{one.table}", f"version {one.version}")
    mlflow.log_dict({"inputs": [asdict(one) for one in inputs]}, "inputs.json")


def log_reference(text: str) -> str:
    """The training rows as histograms, by which they are watched; their path in the run."""
    import mlflow

    mlflow.log_text(text, _REFERENCE)
    return _REFERENCE


def log_evaluation(
    candidate: Evaluation, others: Sequence[Evaluation], slices: Sequence[Evaluation]
) -> None:
    """Metrics with the ends of their intervals, another model's as ``<name>/<metric>``."""
    import mlflow

    for evaluation in (candidate, *others):
        prefix = "" if evaluation is candidate else f"{evaluation.model}/"
        mlflow.log_metrics(_values(evaluation, prefix))
    for one in slices:
        mlflow.log_metrics(_values(one, f"slice/{_UNNAMED.sub('_', one.model)}/"))
    evaluations = [asdict(e) for e in (candidate, *others)]
    mlflow.log_dict({"models": evaluations}, "evaluation.json")
    if slices:
        mlflow.log_dict({"slices": [asdict(e) for e in slices]}, "slices.json")


def _values(evaluation: Evaluation, prefix: str) -> dict[str, float]:
    made = {f"{prefix}{name}": value for name, value in evaluation.metrics.items()}
    for name, (low, high) in evaluation.intervals.items():
        made |= {f"{prefix}{name}_low": low, f"{prefix}{name}_high": high}
    return made


def log_judged(judging_id: str) -> None:
    """The id of what was judged by, when all that follows from it is done."""
    import mlflow

    mlflow.set_tag(_JUDGED, judging_id)


def log_gates(gates: Sequence[GateResult]) -> None:
    """The verdicts, as tags and as a file."""
    import mlflow

    mlflow.set_tags({f"gate.{g.name}": f"{g.verdict}: {g.because}"[:_TAG] for g in gates})
    mlflow.log_dict({"gates": [asdict(g) for g in gates]}, "gates.json")


def log_card(made: Card) -> None:
    """The model card, as Markdown and as a page; the run's own description too."""
    import mlflow

    text = made.markdown()
    mlflow.log_text(text, "card/model_card.md")
    mlflow.log_text(made.page(), "card/model_card.html")
    mlflow.set_tag("mlflow.note.content", text[:_TAG])


def describe(tracking_uri: str, name: str, version: int, text: str) -> None:
    """The description of a registered version."""
    with mlflow_errors(f"describe {name} version {version}"):
        client_of(tracking_uri).update_model_version(name, str(version), text[:_TAG])


def log_plots(figures: Mapping[str, Figure]) -> None:
    """Each figure as ``plots/<name>.png``."""
    import mlflow

    for name, figure in figures.items():
        mlflow.log_figure(figure, f"plots/{name}.png")


def log_model(estimator: Classifier, example: pd.DataFrame, stored: Stored | None = None) -> str:
    """Store a fitted estimator without code, with signature and input example.

    Args:
        estimator: The fitted estimator.
        example: Rows of its features, of which the first five are stored.
        stored: It, as it is stored; made from the estimator when it is not given.

    Returns:
        ``models:/m-…``, the logged model.

    Raises:
        UntrustedModelError: The estimator holds types that would not be loaded again.
    """
    with warnings.catch_warnings():
        # MLflow says so of its own classes, to every user, at the import.
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
        import mlflow.pyfunc  # noqa: F401
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    rows = example.head(_EXAMPLE_ROWS)
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec("string" if kind == object else "double", str(name), required=False)  # noqa: E721
        for name, kind in rows.dtypes.items()
    ]
    probabilities = estimator.predict_proba(rows)
    outputs = TensorSpec(probabilities.dtype, (-1, probabilities.shape[1]))
    signature = ModelSignature(inputs=Schema(inputs), outputs=Schema([outputs]))
    made = stored or serialise(estimator)
    packages = ["scikit-learn", "skops", "numpy", "pandas"]
    if made.file != NAMES[0]:
        packages.append("xgboost")
    return log_stored(made, signature, rows, [pin for p in packages for pin in _pinned(p)])


def _pinned(package: str) -> list[str]:
    try:
        return [f"{package}=={version(package)}"]
    except PackageNotFoundError:  # Of another name: xgboost-cpu is imported as xgboost.
        return [f"{package}-cpu=={version(f'{package}-cpu')}"]
