"""Fit an estimator, and let it speak about rows that it was not trained on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakehouse.errors import ModelError
from lakehouse.training.code import Classifier
from lakehouse.training.dataset import Samples
from lakehouse.training.declaration import Baseline, Estimator, ModelDeclaration
from lakehouse.training.gates import Judged
from lakehouse.training.metrics import evaluate

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Fitted", "fit"]


@dataclass(frozen=True)
class Fitted(Judged):
    """A fitted estimator with what it says about the test rows.

    Attributes:
        estimator: It.
        seconds: Time to fit it.
    """

    estimator: Classifier
    seconds: float


def fit(
    declaration: ModelDeclaration, made: Estimator | Baseline, training: Samples, test: Samples
) -> Fitted:
    """Fit the candidate or a baseline, and measure it on the test rows.

    Raises:
        ModelError: It cannot be made, or fails on these rows.
    """
    name = made.name if isinstance(made, Baseline) else "candidate"
    estimator = declaration.make(made)
    began = time.perf_counter()
    try:
        estimator.fit(training.x, training.y)
        seconds = time.perf_counter() - began
        probability = _probability(estimator, test)
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
        remedy = "mend the function that builds it"
        where = str(declaration.path)
        raise ModelError(f"fit {made.entry}", found, remedy, file=where) from error
    evaluation = evaluate(name, test.y, probability, test.day)
    return Fitted(evaluation, probability, estimator, seconds)


def _probability(estimator: Classifier, test: Samples) -> np.ndarray[Any, np.dtype[np.float64]]:
    import numpy as np

    found = np.asarray(estimator.predict_proba(test.x)[:, 1], dtype=np.float64)
    if not np.isfinite(found).all() or found.min() < 0 or found.max() > 1:
        raise ValueError("its probabilities are not all between 0 and 1")
    return found
