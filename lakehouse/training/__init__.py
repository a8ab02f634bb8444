"""Models: declared beside their estimators, trained on pinned table versions, judged by gates."""

from lakehouse.training.dataset import DatasetVersion
from lakehouse.training.declaration import ModelDeclaration, load
from lakehouse.training.explain import Contribution, explain
from lakehouse.training.gates import GateResult
from lakehouse.training.train import TrainingResult, train

__all__ = [
    "Contribution",
    "DatasetVersion",
    "GateResult",
    "ModelDeclaration",
    "TrainingResult",
    "explain",
    "load",
    "train",
]
