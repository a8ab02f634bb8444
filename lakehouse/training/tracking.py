"""What a training run leaves in MLflow."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.registry import TRUSTED_TYPES, ModelRecord, prepare_process, tracking_at
from lakehouse.training.code import Classifier
from lakehouse.training.dataset import DatasetVersion
from lakehouse.training.declaration import ModelDeclaration
from lakehouse.training.gates import GateResult
from lakehouse.training.metrics import Evaluation

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = [
    "log_declaration",
    "log_evaluation",
    "log_inputs",
    "log_model",
    "log_plots",
    "started_run",
]

_EXAMPLE_ROWS = 5


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


def log_declaration(declaration: ModelDeclaration, record: ModelRecord) -> None:
    """Parameters, the declaration with its Python, and the ids of what is trained from."""
    import mlflow

    split, features = declaration.split, declaration.features
    mlflow.log_params(
        {
            "estimator": declaration.estimator.entry,
            **{f"estimator.{k}": v for k, v in declaration.estimator.params.items()},
            "features.table": features.table,
            "features.count": len(features.columns),
            "features.lead_minutes": features.lead.total_seconds() / 60,
            "label": declaration.label.column,
            "split.train": f"{split.train[0]} until {split.train[1]}",
            "split.test": f"{split.test[0]} until {split.test[1]}",
        }
    )
    mlflow.set_tags(
        {
            "lakehouse.model": declaration.name,
            "lakehouse.definition_id": record.definition_id,
            "lakehouse.feature_definition_id": record.feature_definition_id,
            "lakehouse.fingerprint": record.fingerprint,
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


def log_evaluation(
    candidate: Evaluation,
    baselines: Sequence[Evaluation],
    gates: Sequence[GateResult],
) -> None:
    """Metrics (a baseline's as ``<name>/<metric>``), calibration and gates."""
    import mlflow

    for evaluation in (candidate, *baselines):
        prefix = "" if evaluation is candidate else f"{evaluation.model}/"
        mlflow.log_metrics({prefix + k: v for k, v in evaluation.metrics.items()})
    mlflow.set_tags({f"gate.{g.name}": f"{g.verdict}: {g.because}" for g in gates})
    evaluations = [asdict(e) for e in (candidate, *baselines)]
    mlflow.log_dict({"models": evaluations}, "evaluation.json")
    mlflow.log_dict({"gates": [asdict(g) for g in gates]}, "gates.json")


def log_plots(figures: Mapping[str, Figure]) -> None:
    """Each figure as ``plots/<name>.png``."""
    import mlflow

    for name, figure in figures.items():
        mlflow.log_figure(figure, f"plots/{name}.png")


def log_model(estimator: Classifier, example: pd.DataFrame) -> str:
    """Store a fitted estimator by skops, with signature and input example.

    Args:
        estimator: The fitted estimator.
        example: Rows of its features, of which the first five are stored.

    Returns:
        ``models:/m-…``, the logged model.
    """
    import mlflow

    with warnings.catch_warnings():
        # MLflow says so of its own classes, to every user, at the import.
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
        import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    rows = example.head(_EXAMPLE_ROWS)
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec("string" if kind == object else "double", str(name), required=False)  # noqa: E721
        for name, kind in rows.dtypes.items()
    ]
    probabilities = estimator.predict_proba(rows)
    outputs = TensorSpec(probabilities.dtype, (-1, probabilities.shape[1]))
    packages = ("scikit-learn", "skops", "numpy", "pandas")
    logged = mlflow.sklearn.log_model(
        estimator,
        name="model",
        serialization_format="skops",
        skops_trusted_types=list(TRUSTED_TYPES),
        signature=ModelSignature(inputs=Schema(inputs), outputs=Schema([outputs])),
        input_example=rows,
        pyfunc_predict_fn="predict_proba",
        # Named here: to infer them MLflow would load the model in another process.
        pip_requirements=[f"{name}=={version(name)}" for name in packages],
    )
    return str(logged.model_uri)
