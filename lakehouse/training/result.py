"""What a training made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lakehouse.registry import Alias
from lakehouse.training.explain import Importance
from lakehouse.training.gates import GateResult
from lakehouse.training.metrics import Evaluation

__all__ = ["TrainingResult"]


@dataclass(frozen=True)
class TrainingResult:
    """What a training made.

    Attributes:
        model: The model's name.
        version: The registered version.
        alias: ``champion`` when no gate blocked it, else ``challenger``.
        run_id: The MLflow run.
        fingerprint: What it was trained from.
        train_rows: Labelled rows of the training span.
        test_rows: Labelled rows of the test span.
        unlabelled_rows: Rows of both spans that did not count: their label is not known or not
            ripe, or they were known too late.
        candidate: Its metrics on the test rows.
        baselines: Theirs, on the same rows.
        gates: The verdicts, in the order of the declaration, then the library's own.
        importance: The most important feature first; none when judged again.
        fit_seconds: Time to fit the candidate.
        seconds: Time of all.
        slices: The candidate's metrics by slice.
        windows: ``train`` and ``test``: first day and the day after the last, ISO dates.
        attempt: Which training with this evaluation window it was, from 1.
        trained: False when a version that was there was only judged again.
    """

    model: str
    version: int
    alias: Alias
    run_id: str
    fingerprint: str
    train_rows: int
    test_rows: int
    unlabelled_rows: int
    candidate: Evaluation
    baselines: tuple[Evaluation, ...]
    gates: tuple[GateResult, ...]
    importance: tuple[Importance, ...]
    fit_seconds: float
    seconds: float
    slices: tuple[Evaluation, ...] = ()
    windows: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    attempt: int = 1
    trained: bool = True

    @property
    def blocking(self) -> tuple[GateResult, ...]:
        """The gates that keep the version from becoming champion."""
        return tuple(gate for gate in self.gates if gate.blocks)
