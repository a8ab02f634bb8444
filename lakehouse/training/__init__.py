"""Models: declared beside their estimators, trained on pinned table versions, judged by gates.

What trains is in :mod:`lakehouse.training.train` and :mod:`lakehouse.training.job`.
"""

from lakehouse.training.dataset import DatasetVersion
from lakehouse.training.declaration import ModelDeclaration, load
from lakehouse.training.explain import Contribution, explain

__all__ = ["Contribution", "DatasetVersion", "ModelDeclaration", "explain", "load"]
