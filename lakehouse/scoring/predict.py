"""Feature rows in, rows of ``ops.predictions`` out; what is no probability is refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakehouse.errors import ModelError
from lakehouse.scoring.plan import VersionPlan
from lakehouse.scoring.rows import ENTITY, EVENT_TIME, PREDICTION
from lakehouse.scoring.stored import Part, file_schema
from lakehouse.training.dataset import typed

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = ["Made", "Probabilities", "predicted"]

#: Features, as :func:`lakehouse.training.dataset.typed` makes them, to probabilities of class 1,
#: shape (rows,).
Probabilities = Callable[["pa.Table"], "np.ndarray[Any, np.dtype[np.float64]]"]


@dataclass(frozen=True)
class Made:
    """What is the same for every prediction of one version in one run.

    Attributes:
        plan: The version's.
        read: The Delta version of it that is read.
        scored: When, UTC.
        run: The run's id.
    """

    plan: VersionPlan
    read: int
    scored: dt.datetime
    run: str

    def constants(self, part: Part) -> Mapping[str, object]:
        """The columns that are the same for each row of a part."""
        domain, model, version = self.plan.who
        return {
            "domain": domain,
            "model": model,
            "version": version,
            "alias": self.plan.alias,
            "partition": part.partition or "",
            "feature_build": str(part.build),
            "feature_definition": f"{part.build.sql}-{part.build.contract}",
            "feature_version": self.read,
            "scored": self.scored,
            "run": self.run,
        }


def predicted(made: Made, part: Part, rows: pa.Table, probabilities: Probabilities) -> pa.Table:
    """Predict one batch.

    Args:
        made: What is the same for all.
        part: Which build of which partition the rows are of.
        rows: As :func:`lakehouse.scoring.rows.batches` gives them.
        probabilities: The model.

    Returns:
        Grain: one row per entity; the columns of :func:`lakehouse.scoring.stored.file_schema`.

    Raises:
        ModelError: A feature is of a type that no estimator takes, or the model gives anything
            but one probability for each row.
    """
    import numpy as np
    import pyarrow as pa

    found = _checked(made.plan, rows, probabilities(typed(rows, made.plan.features)))
    columns: dict[str, Any] = {
        "prediction": rows.column(PREDICTION),
        "entity": rows.column(ENTITY),
        "event_time": rows.column(EVENT_TIME),
        "probability": pa.array(found),
    }
    schema, first = file_schema(), np.zeros(rows.num_rows, np.int32)
    for name, value in made.constants(part).items():
        values: Any = pa.array([value], schema.field(name).type.value_type)
        columns[name] = pa.DictionaryArray.from_arrays(first, values)
    return pa.table([columns[name] for name in schema.names], schema.names).cast(schema)


def _checked(
    plan: VersionPlan, rows: pa.Table, found: np.ndarray[Any, np.dtype[np.float64]]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    import numpy as np

    asked = f"score with {plan.version.name} version {plan.version.version}"
    remedy = f"nothing was written of it; train again: lake train {plan.version.name} --force"
    if found.shape != (rows.num_rows,):
        told = f"it gives an array of shape {found.shape} for {rows.num_rows:,} rows"
        raise ModelError(asked, told, remedy)
    # NaN is in no interval.
    wrong = np.flatnonzero(~((found >= 0) & (found <= 1)))
    if len(wrong):
        first = int(wrong[0])
        told = f"{len(wrong):,} of {len(found):,} values are no probabilities: "
        told += f"{found[first]} for {rows.column(ENTITY)[first].as_py()}"
        raise ModelError(asked, told, remedy)
    return found
