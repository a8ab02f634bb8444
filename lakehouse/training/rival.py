"""The champion as a candidate meets it: it scores the same test rows, in a process of its own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from lakehouse.errors import ModelError
from lakehouse.loading.scorer import Scorer
from lakehouse.monitoring.reference import Reference
from lakehouse.registry import ModelRecord, ModelVersion, Registry
from lakehouse.training.dataset import Samples
from lakehouse.training.gates import Champion

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["champion"]


def champion(
    registry: Registry, version: ModelVersion | None, test: Samples, accepted: Collection[str]
) -> Champion | str:
    """What the version in use says about the test rows; or why there is none to compare with.

    Args:
        registry: Where it is registered.
        version: The champion.
        test: The rows; ``extra`` holds features that only the champion has.
        accepted: Definitions of the feature table that give these rows: a version of another one
            cannot score them, and is in use no more.

    Raises:
        StorageError: MLflow or its store does not answer: that says nothing about the champion.
    """
    if version is None:
        return "there is no champion to compare with yet"
    record = version.record
    if record is None or record.feature_definition_id not in accepted:
        told = "was trained on another definition of the feature table and cannot score its rows"
        return f"champion version {version.version} {told}"
    reference = _reference(registry, version)
    until = record.windows.get("train", (None, None))[1]
    trained_until = dt.date.fromisoformat(until) if until else None
    try:
        probability = _score(registry, version, _features(record, test))
    except ModelError as error:
        because = f"could not score them: {error.found}"
        return Champion(version.version, trained_until, None, reference, because)
    return Champion(version.version, trained_until, probability, reference)


def _score(
    registry: Registry, version: ModelVersion, x: pd.DataFrame
) -> np.ndarray[Any, np.dtype[np.float64]]:
    with Scorer(registry, version) as scorer:
        return scorer.probabilities(x)


def _features(record: ModelRecord, test: Samples) -> pd.DataFrame:
    import pandas as pd

    lacking = sorted(set(record.features) - set(test.x.columns) - set(test.extra.columns))
    if lacking:
        found = f"its features {', '.join(lacking)} were not read"
        raise ModelError("score the test rows", found, "train again")
    return pd.concat([test.x, test.extra], axis=1)[list(record.features)]


def _reference(registry: Registry, version: ModelVersion) -> Reference | None:
    try:
        return Reference.from_json(registry.reference(version.name, version.version))
    except ModelError:
        return None  # The gates that need it say so.
