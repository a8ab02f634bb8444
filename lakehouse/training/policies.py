"""When a model is watched and trained again: what a declaration says about it."""

from __future__ import annotations

import datetime as dt

from pydantic import Field, model_validator

from lakehouse.training.fields import Duration, MetricName, Strict

__all__ = [
    "Budget",
    "DriftMonitor",
    "FreshnessMonitor",
    "MissingMonitor",
    "Monitors",
    "PerformanceMonitor",
    "RetrainPolicy",
    "VolumeMonitor",
]


class Budget(Strict):
    """How often a model may be trained.

    Attributes:
        attempts: This often,
        per: in any time as long as this.
    """

    attempts: int = Field(default=3, ge=1)
    per: Duration = dt.timedelta(days=7)


class RetrainPolicy(Strict):
    """What makes a trigger start a training.

    Attributes:
        new_rows: Rows that ripened since the last attempt's window.
        cooldown: The least time between two attempts.
        budget: The most attempts in a time.
        timeout: After this a running training is taken for lost.
        retries: How often an attempt that crashed is repeated.
    """

    new_rows: int = Field(default=1000, ge=1)
    cooldown: Duration = dt.timedelta(hours=20)
    budget: Budget = Budget()
    timeout: Duration = dt.timedelta(hours=2)
    retries: int = Field(default=2, ge=0)


class DriftMonitor(Strict):
    """Whether the features are still distributed as in training.

    Attributes:
        share: Alarm when features of this share of the importance drifted.
        effect: The effect size from which a feature counts as drifted.
        min_rows: Windows with fewer rows are not judged.
    """

    share: float = Field(default=0.3, gt=0, le=1)
    effect: float = Field(default=0.1, gt=0, le=1)
    min_rows: int = Field(default=200, ge=1)


class PerformanceMonitor(Strict):
    """Whether stored predictions are still as good as when the version was judged.

    Attributes:
        metric: What is measured; the primary metric when not written.
        drop: A window is bad when it is worse by more than this.
        windows: How many windows are looked at, with the latest.
        bad: Alarm when so many of them are bad, the latest among them.
        min_rows: Windows with fewer predictions are not judged.
    """

    metric: MetricName = "roc_auc"
    drop: float = Field(default=0.03, ge=0)
    windows: int = Field(default=5, ge=1)
    bad: int = Field(default=2, ge=1)
    min_rows: int = Field(default=200, ge=1)

    @model_validator(mode="after")
    def _can_be_bad(self) -> PerformanceMonitor:
        if self.bad > self.windows:
            raise ValueError(f"{self.bad} of {self.windows} windows cannot be bad; write fewer")
        return self


class FreshnessMonitor(Strict):
    """Whether rows still come.

    Attributes:
        at_most: The greatest age of the newest event.
    """

    at_most: Duration = dt.timedelta(days=40)


class VolumeMonitor(Strict):
    """Whether as many rows come as before.

    Attributes:
        at_least: Rows of a window as a share of the median of those before.
    """

    at_least: float = Field(default=0.5, ge=0, le=1)


class MissingMonitor(Strict):
    """Whether a feature is NULL more often than in training.

    Attributes:
        at_most: The greatest rise of its share of NULL.
    """

    at_most: float = Field(default=0.1, ge=0, le=1)


class Monitors(Strict):
    """What is watched.

    Attributes:
        window: Length of a window of event time, in the feature table's zone.
        drift: Distributions.
        performance: Predictions against labels.
        freshness: The age of the newest event.
        volume: Rows.
        missing: NULLs.
    """

    window: Duration = dt.timedelta(days=7)
    drift: DriftMonitor = DriftMonitor()
    performance: PerformanceMonitor = PerformanceMonitor()
    freshness: FreshnessMonitor = FreshnessMonitor()
    volume: VolumeMonitor = VolumeMonitor()
    missing: MissingMonitor = MissingMonitor()

    @model_validator(mode="after")
    def _whole_days(self) -> Monitors:
        if not self.window or self.window % dt.timedelta(days=1):
            raise ValueError("a window is of whole days; write for example '7 days'")
        return self
