"""What a model is: a YAML file and, beside it, the Python that makes its estimators.

The declaration is strict: a misspelled key is an error with its line. What
decides the fitted model is hashed into :attr:`ModelDeclaration.definition_id`;
descriptions, metrics and gates are not, since they only judge it.
"""

from __future__ import annotations

import datetime as dt
import functools
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, model_validator

from lakehouse.contract import digest
from lakehouse.errors import ModelError
from lakehouse.strictyaml import did_you_mean, read
from lakehouse.training.code import Classifier, Code, make_installed
from lakehouse.training.conditions import (
    ChampionGate,
    Gate,
    InfrastructureGate,
    MetricGate,
    MissingGate,
    SkewGate,
    SliceOf,
    SlicesGate,
    VolumeGate,
    Waiver,
)
from lakehouse.training.fields import (
    LOWER_IS_BETTER,
    Duration,
    Entry,
    MetricName,
    Name,
    Primary,
    Strict,
)
from lakehouse.training.policies import (
    Budget,
    DriftMonitor,
    FreshnessMonitor,
    MissingMonitor,
    Monitors,
    PerformanceMonitor,
    RetrainPolicy,
    VolumeMonitor,
)
from lakehouse.training.split import FixedSplit, RollingSplit, Split, Windows

__all__ = [
    "LOWER_IS_BETTER",
    "Baseline",
    "Budget",
    "ChampionGate",
    "DriftMonitor",
    "Estimator",
    "Features",
    "FixedSplit",
    "FreshnessMonitor",
    "Gate",
    "InfrastructureGate",
    "Label",
    "MetricGate",
    "MetricName",
    "Metrics",
    "MissingGate",
    "MissingMonitor",
    "ModelDeclaration",
    "Monitors",
    "PerformanceMonitor",
    "RetrainPolicy",
    "RollingSplit",
    "SkewGate",
    "SliceOf",
    "SlicesGate",
    "Split",
    "VolumeGate",
    "VolumeMonitor",
    "Waiver",
    "Windows",
    "load",
]


class Features(Strict):
    """Where the features come from. Grain: one row per ``key``.

    Attributes:
        table: The feature table, ``gold.flight_features`` inside its domain.
        key: The columns that name the entity.
        event_time: The instant that is predicted about.
        lead: How long before ``event_time`` the prediction is made.
        columns: The features, in the order in which the estimator gets them.
        available_at: The column that says since when a row is known. A row counts only when that
            is ``lead`` before ``event_time``, or earlier.
    """

    table: str
    key: tuple[str, ...] = Field(min_length=1)
    event_time: str
    lead: Duration
    columns: tuple[str, ...] = Field(min_length=1)
    available_at: str | None = None

    @model_validator(mode="after")
    def _no_column_twice(self) -> Features:
        for name in self.columns:
            if self.columns.count(name) > 1:
                raise ValueError(f"feature {name!r} is listed twice; keep one")
            if name in (*self.key, self.event_time, self.available_at):
                raise ValueError(f"{name!r} names the row; take it out of the features")
        return self


class Label(Strict):
    """What is predicted: a column of 0 and 1; NULL where it is not (yet) known.

    Attributes:
        column: The label.
        matures_after: How long after the event time the outcome is known. Rows that are younger
            than the newest event by less than that are not learnt from.
        table: The table that has it, with the key's columns, when that is not the feature table.
        event_time: The instant that is predicted about in that table; by the same name as in the
            feature table when not written.
        available_at: The column that says since when the label is known.
    """

    column: str
    matures_after: Duration
    table: str | None = None
    event_time: str | None = None
    available_at: str | None = None

    @model_validator(mode="after")
    def _of_a_table(self) -> Label:
        if self.event_time is not None and self.table is None:
            raise ValueError("label.event_time is for a label in another table; delete it")
        return self


class Estimator(Strict):
    """The candidate.

    Attributes:
        entry: ``file:function`` of the Python file beside the declaration, or ``package:class``
            of an installed one.
        params: What the function or class is given.
    """

    entry: Entry
    params: Mapping[str, Any] = {}


class Baseline(Strict):
    """A simple model which a candidate has to beat.

    Attributes:
        name: How it is named in results.
        entry: As the estimator's.
        params: What the function or class is given.
    """

    name: Name
    entry: Entry
    params: Mapping[str, Any] = {}


class Metrics(Strict):
    """How a model is measured on the test span.

    Attributes:
        primary: The metric that decides.
        also: Those that are reported beside it.
    """

    primary: Primary
    also: tuple[MetricName, ...] = ()


class ModelDeclaration(Strict):
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
        slices: Parts of the rows which are measured on their own.
        gates: What it must show before it is champion.
        waivers: Gates which may fail until a day.
        retrain: When a trigger starts a training.
        monitors: What is watched.
    """

    name: Name
    description: str | None = None
    features: Features
    label: Label
    split: Split
    estimator: Estimator
    baselines: tuple[Baseline, ...] = ()
    metrics: Metrics
    slices: tuple[SliceOf, ...] = ()
    gates: tuple[Gate, ...] = Field(min_length=1)
    waivers: tuple[Waiver, ...] = ()
    retrain: RetrainPolicy = RetrainPolicy()
    monitors: Monitors = Monitors()

    _path: Path = PrivateAttr()
    _code: Mapping[str, Code] = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Take the file that the declaration was read from."""
        self._path = context["path"]
        names = sorted({entry.partition(":")[0] for entry in self._entries})
        files = {name: self.path.with_name(f"{name}.py") for name in names}
        self._code = {
            name: Code.read(file, declared_in=self.path)
            for name, file in files.items()
            if file.exists() or not _installed(name)
        }

    @model_validator(mode="before")
    @classmethod
    def _watch_the_primary_metric(cls, raw: Any) -> Any:
        try:
            primary, monitors = raw["metrics"]["primary"], raw.get("monitors") or {}
            watched = {"metric": primary, **(monitors.get("performance") or {})}
            return {**raw, "monitors": {**monitors, "performance": watched}}
        except (AttributeError, KeyError, TypeError):
            return raw  # The fields' own checks say what is wrong.

    @model_validator(mode="after")
    def _consistent(self) -> ModelDeclaration:
        outcome = {self.label.column, self.label.available_at} - {None}
        for name in self.features.columns:
            if name in outcome and self.label.table is None:
                what = "label" if name == self.label.column else "label's arrival"
                raise ValueError(
                    f"the {what} {name!r} is among the features; take it out of features.columns"
                )
        compared = [g.name for g in self.gates if isinstance(g, MetricGate) and g.by is not None]
        if compared and not self.baselines:
            raise ValueError(f"gate {compared[0]!r} has no baseline to beat; add 'baselines:'")
        sliced = [g.name for g in self.gates if isinstance(g, SlicesGate)]
        if sliced and not self.slices:
            raise ValueError(f"gate {sliced[0]!r} has no slices to look at; add 'slices:'")
        for kind, names in (
            ("gate", [g.name for g in self.gates]),
            ("baseline", ["candidate", "champion", *(b.name for b in self.baselines)]),
            ("slice", [s.column for s in self.slices]),
            ("waiver of gate", [w.gate for w in self.waivers]),
        ):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{kind} {name!r} is named twice; give each its own name")
        return self

    @model_validator(mode="after")
    def _waivable(self) -> ModelDeclaration:
        known = {g.name for g in self.gates if not isinstance(g, InfrastructureGate)}
        for waiver in self.waivers:
            if waiver.gate not in known:
                found = f"no gate {waiver.gate!r} that could be waived"
                raise ValueError(f"{found}; {did_you_mean(waiver.gate, known)}")
        for gate in self.gates:
            kept = {"fresh_window": None, "infrastructure": InfrastructureGate}
            if gate.name in kept and type(gate) is not kept[gate.name]:
                raise ValueError(f"{gate.name!r} is a gate of the library; choose another name")
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
        of, label = self.features, self.label
        own = (label.column, label.available_at) if label.table is None else ()
        sliced = (one.column for one in self.slices)
        read = (*of.key, of.event_time, *of.columns, *own, of.available_at, *sliced)
        return tuple(dict.fromkeys(name for name in read if name is not None))

    @property
    def label_columns(self) -> tuple[str, ...]:
        """What training reads of the label's table; nothing when that is the feature table."""
        if self.label.table is None:
            return ()
        at = self.label.event_time or self.features.event_time
        read = (*self.features.key, at, self.label.column, self.label.available_at)
        return tuple(dict.fromkeys(name for name in read if name is not None))

    @property
    def joined(self) -> tuple[str, ...]:
        """The columns of a row that is learnt from, whatever tables they are of."""
        if self.label.table is None:
            return self.columns
        own = (self.label.column, self.label.available_at)
        return (*self.columns, *(name for name in own if name is not None))

    def windows(
        self, watermark: dt.datetime | None, timezone: str, first: dt.date | None = None
    ) -> Windows:
        """The spans of training and test at a moment.

        Args:
            watermark: The newest event, UTC; None when there is none.
            timezone: The feature table's.
            first: The day of the first event.

        Raises:
            ModelError: A rolling split finds no rows before its test.
        """
        ripe = None if watermark is None else watermark - self.label.matures_after
        return self.split.windows(ripe, timezone, first)

    @functools.cached_property
    def definition_id(self) -> str:
        """Ten hex digits that change when, and only when, the fitted model could."""
        parts = self.model_dump(
            mode="json", include={"features", "label", "split"}, exclude_none=True
        )
        return digest(
            {**parts, "estimator": self.estimator.model_dump(mode="json")},
            *self._meaning(self.estimator),
        )

    @functools.cached_property
    def judging_id(self) -> str:
        """Ten hex digits that change when the same fitted model could be judged differently."""
        judging = {"baselines", "metrics", "slices", "gates", "waivers"}
        parts = self.model_dump(mode="json", include=judging, exclude_none=True)
        return digest(parts, *(m for b in self.baselines for m in self._meaning(b)))

    def _meaning(self, made: Estimator | Baseline) -> tuple[str, ...]:
        code = self._code.get(made.entry.partition(":")[0])
        return (code.id,) if code else ()

    def make(self, made: Estimator | Baseline) -> Classifier:
        """An unfitted estimator by the function or class that the entry names.

        Raises:
            ModelError: The Python failed.
        """
        file, _, function = made.entry.partition(":")
        if file in self._code:
            return self._code[file].make(function, made.params)
        return make_installed(made.entry, made.params, declared_in=self.path)

    def check_entries(self) -> None:
        """Check that each entry names a function that its file defines.

        What an installed package defines is seen when it is imported, in training.

        Raises:
            ModelError: With the nearest name.
        """
        for entry in self._entries:
            file, _, function = entry.partition(":")
            code = self._code.get(file)
            if code and function not in code.functions():
                asked = f"find {entry} of {self.path}"
                remedy = did_you_mean(function, code.functions())
                found = f"no function {function!r}"
                raise ModelError(asked, found, remedy, file=str(code.path))


def _installed(name: str) -> bool:
    """Whether a package of that name is installed; nothing is imported."""
    return importlib.util.find_spec(name.partition(".")[0]) is not None


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
