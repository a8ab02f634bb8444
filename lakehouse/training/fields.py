"""The words and small types of which model declarations are made."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from lakehouse.interval import duration

__all__ = ["LOWER_IS_BETTER", "Duration", "Entry", "MetricName", "Name", "Primary", "Strict"]

MetricName = Literal["roc_auc", "average_precision", "brier", "calibration_error"]
Primary = Literal["roc_auc", "average_precision", "brier"]
LOWER_IS_BETTER: frozenset[MetricName] = frozenset({"brier", "calibration_error"})

# Text only: a bare number would be taken for seconds.
Duration = Annotated[dt.timedelta, BeforeValidator(lambda value: duration(str(value)))]
Entry = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Strict(BaseModel):
    """A part of a declaration: frozen, and unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
