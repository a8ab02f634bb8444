"""Train one declared model of a lake: pin, read, fit, judge, register, record."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lakehouse import features, ledger
from lakehouse.build import Lake
from lakehouse.catalog import Domain
from lakehouse.errors import ModelError
from lakehouse.ledger import Ledger
from lakehouse.registry import ModelVersion, Registry
from lakehouse.settings import Settings
from lakehouse.signing import SigningKey
from lakehouse.training.declaration import ModelDeclaration, load
from lakehouse.training.train import TrainingResult, train

__all__ = ["Trained", "find", "registry_of", "train_model"]


@dataclass(frozen=True)
class Trained:
    """What became of a request to train.

    Attributes:
        model: Its name.
        result: The new version; None when nothing had changed.
        existing: The version that was trained from just this.
    """

    model: str
    result: TrainingResult | None
    existing: ModelVersion | None

    def to_json(self) -> dict[str, Any]:
        """The one JSON document that ``lake train --json`` prints."""
        document: dict[str, Any] = {"schema": 1, "model": self.model}
        if self.result is None:
            assert self.existing is not None
            return {**document, "trained": False, "version": self.existing.version}
        return {
            **document,
            "trained": True,
            "version": self.result.version,
            "alias": self.result.alias,
            "run": self.result.run_id,
            "metrics": dict(self.result.candidate.metrics),
            "baselines": {b.model: dict(b.metrics) for b in self.result.baselines},
            "gates": [asdict(gate) for gate in self.result.gates],
        }


def find(lake: Lake, name: str, domain: str | None = None) -> tuple[Domain, ModelDeclaration]:
    """A declared model by its name.

    Raises:
        ModelError: No domain declares it, or its declaration is wrong.
    """
    declared = {
        file.stem: (one, file)
        for one in lake.domains
        if domain in (None, one.name)
        for file in one.model_files()
    }
    if name not in declared:
        raise ModelError(
            f"find the model {name!r}",
            f"declared: {', '.join(declared) or 'none'}",
            f"write {name}.yaml in a domain's models/ folder",
        )
    one, file = declared[name]
    return one, load(file)


def tracking_uri(settings: Settings) -> str:
    """Where MLflow keeps runs: its own variable, else SQLite in the state folder."""
    local = f"sqlite:///{settings.state.resolve() / 'mlflow.db'}"
    return os.environ.get("MLFLOW_TRACKING_URI") or local


def registry_of(settings: Settings) -> Registry:
    """The model registry of these settings; its key is theirs, or the state folder's."""
    own = settings.signing_key
    if own is not None:
        return Registry(tracking_uri(settings), SigningKey(own.get_secret_value().encode()))
    return Registry(tracking_uri(settings), SigningKey.at(settings.state / "keys"))


def train_model(
    lake: Lake,
    name: str,
    *,
    domain: str | None = None,
    force: bool = False,
    progress: Callable[[str], None] = lambda step: None,
) -> Trained:
    """Train a model unless a version made from the same inputs and definition exists.

    Raises:
        ModelError: It is not declared, has no rows to learn from, or an estimator failed.
        UntrustedModelError: The estimator holds types which would not be loaded again.
    """
    owner, model = find(lake, name, domain)
    started = ledger.now()
    pinned = features.window(lake, owner, model)
    registry = registry_of(lake.settings)
    existing = registry.find_by_fingerprint(name, pinned.fingerprint)
    if existing and not force:
        return Trained(name, None, existing)
    progress(f"read {pinned.table.name} version {pinned.snapshot.version}")
    uri = tracking_uri(lake.settings)
    local = uri.startswith("sqlite:")
    result = train(
        model,
        features.read(lake, pinned, model),
        [pinned.dataset(lake)],
        tracking_uri=uri,
        artifacts=_artifacts(lake.settings.state) if local else None,
        key=registry.key,
        fingerprint=pinned.fingerprint,
        timezone=features.timezone_of(pinned.table),
        progress=progress,
    )
    Ledger(lake.storage).record(
        ledger.finish(
            ledger.new_run(),
            "train",
            owner.name,
            started,
            engine="scikit-learn",
            parameters={
                "model": name,
                "version": result.version,
                "alias": result.alias,
                "mlflow_run": result.run_id,
                "reads": {pinned.table.name: pinned.snapshot.version},
                "fingerprint": pinned.fingerprint,
            },
            result="done" if result.alias == "champion" else "blocked",
            folder=owner.path,
        )
    )
    return Trained(name, result, existing)


def _artifacts(state: Path) -> Path:
    return state.resolve() / "mlartifacts"
