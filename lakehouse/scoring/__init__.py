"""Batch scoring: champion and challenger over the feature partitions that they have not seen.

Predictions are only ever added. Each entity is predicted once by each version, also where a
partition is computed again, two score at once, or one is killed at any moment.
"""

from __future__ import annotations

from lakehouse.scoring.entity import entity_sql
from lakehouse.scoring.job import (
    Scored,
    ScoredVersion,
    from_registry,
    plan,
    plan_versions,
    record,
    score,
    score_version,
)
from lakehouse.scoring.plan import NoVersion, Todo, Turn, VersionPlan
from lakehouse.scoring.predict import Probabilities
from lakehouse.scoring.stored import ModelKey, Part, Stored

__all__ = [
    "ModelKey",
    "NoVersion",
    "Part",
    "Probabilities",
    "Scored",
    "ScoredVersion",
    "Stored",
    "Todo",
    "Turn",
    "VersionPlan",
    "entity_sql",
    "from_registry",
    "plan",
    "plan_versions",
    "record",
    "score",
    "score_version",
]
