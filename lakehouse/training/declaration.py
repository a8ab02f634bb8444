"""What a model is: a YAML file and, beside it, the Python that makes its estimators.

The declaration is strict: a misspelled key is an error with its line. What
decides the fitted model is hashed into :attr:`ModelDeclaration.definition_id`;
descriptions, metrics and gates are not, since they only judge it.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from lakehouse.contract import digest
from lakehouse.errors import ModelError
from lakehouse.interval import Interval, duration
from lakehouse.strictyaml import did_you_mean, read
from lakehouse.training.code import Classifier, Code

__all__ = [
    "LOWER_IS_BETTER",
    "Baseline",
    "Estimator",
    "Features",
    "Gate",
    "Label",
    "MetricName",
    "Metrics",
    "ModelDeclaration",
    "Split",
    "load",
]

MetricName = Literal["roc_auc", "average_precision", "brier", "calibration_error"]
LOWER_IS_BETTER: frozenset[MetricName] = frozenset({"brier", "calibration_error"})

# Text only: a bare number would be taken for seconds.
Duration = Annotated[dt.timedelta, BeforeValidator(lambda value: duration(str(value)))]
Entry = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*:[A-Za-z_]\w*$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Features(_Strict):
    """Where the features come from. Grain: one row per ``key``.

    Attributes:
        table: The feature table, ``gold.flight_features`` inside its domain.
        key: The columns that name the entity.
        event_time: The instant that is predicted about.
        lead: How long before ``event_time`` the prediction is made.
        columns: The features, in the order in which the estimator gets them.
    """

    table: str
    key: tuple[str, ...] = Field(min_length=1)
    event_time: str
    lead: Duration
    columns: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _no_column_twice(self) -> Features:
        for name in self.columns:
            if self.columns.count(name) > 1:
                raise ValueError(f"feature {name!r} is listed twice; keep one")
            if name in (*self.key, self.event_time):
                raise ValueError(f"{name!r} names the row; take it out of the features")
        return self


class Label(_Strict):
    """What is predicted: a column of 0 and 1; NULL where it is not (yet) known.

    Attributes:
        column: Of the feature table.
        matures_after: How long after the event time the outcome is known. Declared for the
            monitors to come: training takes every row that has a label.
    """

    column: str
    matures_after: Duration


class Split(_Strict):
    """Half-open spans of dates of the event time, in the feature table's time zone.

    With that zone the spans begin and end where the table's partitions do.

    Attributes:
        train: First day, and the day after the last one.
        test: The same; not before training ends.
    """

    train: tuple[dt.date, dt.date]
    test: tuple[dt.date, dt.date]

    @field_validator("train", "test")
    @classmethod
    def _forwards(cls, span: tuple[dt.date, dt.date]) -> tuple[dt.date, dt.date]:
        if span[0] >= span[1]:
            raise ValueError(f"{span[0]} to {span[1]} holds no day; write [first, day after last]")
        return span

    @model_validator(mode="after")
    def _train_before_test(self) -> Split:
        if self.train[1] > self.test[0]:
            found = f"training until {self.train[1]} reaches into the test from {self.test[0]}"
            raise ValueError(f"{found}; end training where the test begins, or before")
        return self

    def intervals(self, timezone: str) -> tuple[Interval, Interval]:
        """The instants of training and test; ``timezone`` is the feature table's."""
        zone = ZoneInfo(timezone)

        def midnight(date: dt.date) -> dt.datetime:
            return dt.datetime.combine(date, dt.time(), zone).astimezone(dt.UTC)

        (first, second), (third, fourth) = self.train, self.test
        return (
            Interval(midnight(first), midnight(second)),
            Interval(midnight(third), midnight(fourth)),
        )


class Estimator(_Strict):
    """The candidate.

    Attributes:
        entry: ``file:function`` of the Python file beside the declaration.
        params: What the function is given.
    """

    entry: Entry
    params: Mapping[str, Any] = {}


class Baseline(_Strict):
    """A simple model which a candidate has to beat.

    Attributes:
        name: How it is named in results.
        entry: ``file:function``.
        params: What the function is given.
    """

    name: Name
    entry: Entry
    params: Mapping[str, Any] = {}


class Metrics(_Strict):
    """How a model is measured on the test span.

    Attributes:
        primary: The metric that decides.
        also: Those that are reported beside it.
    """

    primary: Literal["roc_auc", "average_precision", "brier"]
    also: tuple[MetricName, ...] = ()


class Gate(_Strict):
    """A condition on the test metrics: exactly one of ``by``, ``at_least``, ``at_most``.

    Attributes:
        name: How it is named in results.
        metric: What is looked at.
        by: The candidate is better than the best baseline by at least this much.
        at_least: The least value, for metrics of which more is better.
        at_most: The greatest value, for metrics of which less is better.
    """

    name: Name
    metric: MetricName
    by: float | None = Field(None, ge=0)
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> Gate:
        given = [k for k in ("by", "at_least", "at_most") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"gate {self.name!r} has {len(given)} conditions; write one of three")
        wrong = "at_least" if self.metric in LOWER_IS_BETTER else "at_most"
        if given == [wrong]:
            right = {"at_least": "at_most", "at_most": "at_least"}[wrong]
            raise ValueError(f"{wrong} says nothing good about {self.metric}; write {right!r}")
        return self


class ModelDeclaration(_Strict):
    """One model. :func:`load` makes it from a file.

    Attributes:
        name: The file's name without its ending.
        description: What it is for.
        features: Where the features come from.
        label: What is predicted.
        split: What is learnt from, and what is judged on.
        estimator: The candidate.
        baselines: What it has to beat.
        metrics: How it is measured.
        gates: What it must show before it is champion.
    """

    name: Name
    description: str | None = None
    features: Features
    label: Label
    split: Split
    estimator: Estimator
    baselines: tuple[Baseline, ...] = ()
    metrics: Metrics
    gates: tuple[Gate, ...] = Field(min_length=1)

    _path: Path = PrivateAttr()
    _code: Mapping[str, Code] = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Take the file that the declaration was read from."""
        self._path = context["path"]
        names = sorted({entry.partition(":")[0] for entry in self._entries})
        self._code = {
            name: Code.read(self.path.with_name(f"{name}.py"), declared_in=self.path)
            for name in names
        }

    @model_validator(mode="after")
    def _consistent(self) -> ModelDeclaration:
        if self.label.column in self.features.columns:
            found = f"the label {self.label.column!r} is among the features"
            raise ValueError(f"{found}; take it out of features.columns")
        compared = [gate.name for gate in self.gates if gate.by is not None]
        if compared and not self.baselines:
            raise ValueError(f"gate {compared[0]!r} has no baseline to beat; add 'baselines:'")
        for kind, names in (
            ("gate", [g.name for g in self.gates]),
            ("baseline", ["candidate", *(b.name for b in self.baselines)]),
        ):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{kind} {name!r} is named twice; give each its own name")
        return self

    @property
    def _entries(self) -> tuple[str, ...]:
        return (self.estimator.entry, *(b.entry for b in self.baselines))

    @property
    def path(self) -> Path:
        """The YAML file."""
        return self._path

    @property
    def code(self) -> tuple[Code, ...]:
        """The Python files beside it which its entries name."""
        return tuple(self._code.values())

    @property
    def columns(self) -> tuple[str, ...]:
        """What training reads of the feature table, each column once."""
        of = self.features
        return tuple(dict.fromkeys((*of.key, of.event_time, *of.columns, self.label.column)))

    @functools.cached_property
    def definition_id(self) -> str:
        """Ten hex digits that change when, and only when, the fitted model could."""
        parts = self.model_dump(mode="json", include={"features", "label", "split", "estimator"})
        return digest(parts, self._code[self.estimator.entry.partition(":")[0]].id)

    def make(self, made: Estimator | Baseline) -> Classifier:
        """An unfitted estimator by the function that the entry names.

        Raises:
            ModelError: The Python file failed.
        """
        file, _, function = made.entry.partition(":")
        return self._code[file].make(function, made.params)

    def check_entries(self) -> None:
        """Check that each entry names a function that its file defines.

        Raises:
            ModelError: With the nearest name.
        """
        for entry in self._entries:
            file, _, function = entry.partition(":")
            code = self._code[file]
            if function not in code.functions():
                asked = f"find {entry} of {self.path}"
                remedy = did_you_mean(function, code.functions())
                found = f"no function {function!r}"
                raise ModelError(asked, found, remedy, file=str(code.path))


def load(path: Path) -> ModelDeclaration:
    """Read a model declaration and the Python beside it, without running that.

    Raises:
        ModelError: With file, line and remedy.
    """
    declaration = read(path, ModelDeclaration, context={"path": path})
    if declaration.name != path.stem:
        found = f"the model is named {declaration.name!r}"
        remedy = f"name the file {declaration.name}.yaml"
        asked = f"read the model declaration {path}"
        raise ModelError(asked, found, remedy, file=str(path))
    declaration.check_entries()
    return declaration
