"""What is known about a candidate when it is judged (pure)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakehouse.monitoring.reference import Reference
from lakehouse.training.dataset import Samples
from lakehouse.training.metrics import Evaluation

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Floats = np.ndarray[Any, np.dtype[np.float64]]

__all__ = ["Candidate", "Case", "Champion", "Judged"]


@dataclass(frozen=True)
class Judged:
    """A model with what it says about the test rows.

    Attributes:
        evaluation: Its metrics on all of them.
        probability: Of class 1, shape (test rows,).
    """

    evaluation: Evaluation
    probability: Floats


@dataclass(frozen=True)
class Candidate(Judged):
    """The version that wants to be champion.

    Attributes:
        training_rows: Labelled rows that it learnt from.
        training_x: Their features.
        trained_until: The day after its training window, in the feature table's zone.
        importance: Feature → its share.
    """

    training_rows: int
    training_x: pd.DataFrame
    trained_until: dt.date
    importance: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Champion:
    """The version that is in use.

    Attributes:
        version: Its number.
        trained_until: The day after its training window; None when its record does not say.
        probability: Of class 1, shape (test rows,); None when it could not score them.
        reference: The rows that it learnt from, as histograms; None when there are none.
        because: Why it could not be compared, where it could not.
    """

    version: int
    trained_until: dt.date | None
    probability: Floats | None
    reference: Reference | None
    because: str = ""


@dataclass(frozen=True)
class Case:
    """A candidate, the test rows, and what it is held against.

    Attributes:
        candidate: The candidate.
        baselines: The simple models, by name in their evaluations.
        test: The test rows.
        champion: The version in use; None for none.
        window_end: The day after the test.
        decided: The evaluation window that decided the last promotion: the day after it, and
            the version; None when none has.
        today: For waivers.
        alone: Why there is no champion to compare with, where there is none.
    """

    candidate: Candidate
    baselines: tuple[Judged, ...]
    test: Samples
    champion: Champion | None
    window_end: dt.date
    decided: tuple[dt.date, int] | None
    today: dt.date
    alone: str = "there is no champion to compare with yet"
