"""An MLflow store of small models in a folder, through which tests reach its files and rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakehouse.artifacts import log_stored, prepare_process, tracking_at
from lakehouse.modelfile import Stored, serialise
from lakehouse.registry import ModelRecord, Registry
from lakehouse.signing import SigningKey

__all__ = ["RECORD", "ModelStore", "toy_rows"]

RECORD = ModelRecord("print", "d1", "f1", ("a", "b"), {"toys.gold.t": 3})


def toy_rows() -> tuple[Any, Any]:
    """Forty rows of two features, and their labels; shapes (40, 2) and (40,)."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(7)
    x = pd.DataFrame({"a": random.normal(size=40), "b": random.normal(size=40)})
    return x, (x["a"] + x["b"] > 0).astype(int).to_numpy()


def logistic() -> Any:
    """A fitted logistic regression."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(*toy_rows())


@dataclass(frozen=True)
class ModelStore:
    """A registry with its files below a folder."""

    folder: Path
    uri: str
    registry: Registry

    @classmethod
    def at(cls, folder: Path, uri: str = "", key: SigningKey | None = None) -> ModelStore:
        """A store in an empty folder."""
        prepare_process()
        address = uri or f"sqlite:///{folder}/mlflow.db"
        registry = Registry(address, key or SigningKey.at(folder / "keys"))
        return cls(folder, address, registry)

    @contextmanager
    def run(self) -> Iterator[str]:
        """A run of the one experiment; its id."""
        import mlflow

        with tracking_at(self.uri):
            known = mlflow.get_experiment_by_name("toys")
            place = (self.folder / "artifacts").as_uri()
            where = known.experiment_id if known else mlflow.create_experiment("toys", place)
            with mlflow.start_run(experiment_id=where) as started:
                yield started.info.run_id

    def register(
        self,
        name: str,
        estimator: Any = None,
        record: ModelRecord = RECORD,
        stored: Stored | None = None,
    ) -> int:
        """Train (a logistic regression, when not given), log and register; the version."""
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, Schema

        made = stored or serialise(estimator if estimator is not None else logistic())
        x, _ = toy_rows()
        signature = ModelSignature(Schema([ColSpec("double", name) for name in x.columns]))
        with self.run() as run_id:
            uri = log_stored(made, signature, x.head(3), ["scikit-learn"])
            return self.registry.register(name, uri, run_id, record, made)

    def client(self) -> Any:
        """MLflow's own client."""
        from mlflow import MlflowClient

        return MlflowClient(self.uri, self.uri)

    def tags(self, name: str, version: int = 1) -> dict[str, str]:
        """What stands beside a version."""
        return dict(self.client().get_model_version(name, str(version)).tags)

    def tag(self, name: str, key: str, value: str, version: int = 1) -> None:
        """Put something else beside it."""
        self.client().set_model_version_tag(name, str(version), f"lakehouse.{key}", value)

    def folder_of(self, name: str, version: int = 1) -> Path:
        """Where a version's files lie."""
        source = self.client().get_model_version(name, str(version)).source
        model_id = source.removeprefix("models:/")
        return self.folder / f"artifacts/models/{model_id}/artifacts"

    def file_of(self, name: str, version: int = 1) -> Path:
        """The stored model."""
        (found,) = self.folder_of(name, version).glob("model.*")
        return found

    def sql(self, statement: str, *values: str) -> None:
        """Change MLflow's own database behind its back."""
        with sqlite3.connect(self.folder / "mlflow.db") as database:
            changed = database.execute(statement, values).rowcount
        database.close()
        assert changed == 1, statement
