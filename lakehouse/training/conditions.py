"""The gates that a declaration asks for, and who permits one to fail."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from lakehouse.strictyaml import did_you_mean
from lakehouse.training.fields import LOWER_IS_BETTER, MetricName, Name, Strict

__all__ = [
    "ChampionGate",
    "Gate",
    "InfrastructureGate",
    "MetricGate",
    "MissingGate",
    "SkewGate",
    "SliceOf",
    "SlicesGate",
    "VolumeGate",
    "Waiver",
]


class MetricGate(Strict):
    """A condition on the test metrics: exactly one of ``by``, ``at_least``, ``at_most``.

    Attributes:
        name: How it is named in results.
        kind: The default.
        metric: What is looked at.
        by: The candidate is better than the best baseline by at least this much.
        at_least: The least value, for metrics of which more is better.
        at_most: The greatest value, for metrics of which less is better.
    """

    name: Name
    kind: Literal["metric"] = "metric"
    metric: MetricName
    by: float | None = Field(default=None, ge=0)
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> MetricGate:
        given = [k for k in ("by", "at_least", "at_most") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"gate {self.name!r} has {len(given)} conditions; write one of three")
        wrong = "at_least" if self.metric in LOWER_IS_BETTER else "at_most"
        if given == [wrong]:
            right = {"at_least": "at_most", "at_most": "at_least"}[wrong]
            raise ValueError(f"{wrong} says nothing good about {self.metric}; write {right!r}")
        return self


class ChampionGate(Strict):
    """Not worse than the champion on days that neither was trained on.

    Attributes:
        name: How it is named in results.
        kind: ``champion``.
        metric: What is compared.
        margin: How much worse it may be, at the lower end of the interval.
        confidence: Of the interval of the difference.
    """

    name: Name
    kind: Literal["champion"]
    metric: MetricName
    margin: float = Field(default=0.0, ge=0)
    confidence: float = Field(default=0.95, ge=0.5, lt=1)


class VolumeGate(Strict):
    """Enough rows to learn from.

    Attributes:
        name: How it is named in results.
        kind: ``volume``.
        at_least: Labelled rows of the training window.
    """

    name: Name
    kind: Literal["volume"]
    at_least: int = Field(ge=1)


class MissingGate(Strict):
    """No feature is NULL much more often than in the champion's training rows.

    Attributes:
        name: How it is named in results.
        kind: ``missing``.
        at_most: The greatest rise of a feature's share of NULL.
    """

    name: Name
    kind: Literal["missing"]
    at_most: float = Field(ge=0, le=1)


class SkewGate(Strict):
    """The training rows are distributed as the champion's were.

    Attributes:
        name: How it is named in results.
        kind: ``skew``.
        at_most: The features' effect sizes, averaged by importance.
    """

    name: Name
    kind: Literal["skew"]
    at_most: float = Field(ge=0, le=1)


class SlicesGate(Strict):
    """No declared slice is much worse than the champion's, or the best baseline's without one.

    Attributes:
        name: How it is named in results.
        kind: ``slices``.
        metric: What is compared in each slice.
        margin: How much worse one may be.
    """

    name: Name
    kind: Literal["slices"]
    metric: MetricName
    margin: float = Field(default=0.0, ge=0)


class InfrastructureGate(Strict):
    """The stored model gives the same numbers in a fresh process. Judged, declared or not.

    Attributes:
        name: How it is named in results.
        kind: ``infrastructure``.
    """

    name: Name
    kind: Literal["infrastructure"]


_GATES: Mapping[str, type[Strict]] = {
    "metric": MetricGate,
    "champion": ChampionGate,
    "volume": VolumeGate,
    "missing": MissingGate,
    "skew": SkewGate,
    "slices": SlicesGate,
    "infrastructure": InfrastructureGate,
}


def _kind(value: Any) -> str:
    if isinstance(value, Strict):
        return type(value).__name__
    kind = value.get("kind", "metric") if isinstance(value, dict) else "metric"
    return _GATES[kind].__name__


def _known(value: Any) -> Any:
    kind = value.get("kind", "metric") if isinstance(value, dict) else "metric"
    if not isinstance(kind, str) or kind not in _GATES:
        raise ValueError(f"unknown kind of gate {kind!r}; {did_you_mean(str(kind), _GATES)}")
    return value


Gate = Annotated[
    Annotated[MetricGate, Tag("MetricGate")]
    | Annotated[ChampionGate, Tag("ChampionGate")]
    | Annotated[VolumeGate, Tag("VolumeGate")]
    | Annotated[MissingGate, Tag("MissingGate")]
    | Annotated[SkewGate, Tag("SkewGate")]
    | Annotated[SlicesGate, Tag("SlicesGate")]
    | Annotated[InfrastructureGate, Tag("InfrastructureGate")],
    Discriminator(_kind),
    BeforeValidator(_known),
]


class SliceOf(Strict):
    """Rows of each value of a column are measured on their own.

    Attributes:
        column: Of the feature table; it need not be a feature.
        min_rows: Values with fewer test rows are not measured.
    """

    column: str
    min_rows: int = Field(default=500, ge=1)


class Waiver(Strict):
    """Somebody's dated permission for one gate to fail.

    Attributes:
        gate: The gate's name.
        until: The last day on which it holds, by the clock (UTC).
        by: Who permits it.
        because: Why.
    """

    gate: str
    until: dt.date
    by: str
    because: str = Field(min_length=3)
