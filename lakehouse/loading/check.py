"""The infrastructure gate: a version is loaded as it would be in use, and says the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakehouse.errors import ModelError
from lakehouse.loading.limits import Limits
from lakehouse.loading.scorer import Scorer
from lakehouse.registry import ModelVersion, Registry

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["Checked", "check"]

_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Checked:
    """What came of loading a version in a fresh process.

    Attributes:
        passed: It was loaded within the limits and gives the numbers of training.
        because: The reason, in a sentence with its numbers.
        evidence: ``load_seconds``, ``peak_mib``, ``rows``, ``difference`` (the largest), as
            far as it came.
    """

    passed: bool
    because: str
    evidence: Mapping[str, float] = field(default_factory=dict)


def check(
    registry: Registry,
    version: ModelVersion,
    example: pd.DataFrame,
    expected: np.ndarray[Any, np.dtype[np.float64]],
    limits: Limits = Limits(),  # noqa: B008
) -> Checked:
    """Load a version from the registry in a fresh, limited process and score an example.

    Args:
        registry: Where it is registered.
        version: The version.
        example: Features, some rows.
        expected: The probabilities that training gave them; shape (rows,).
        limits: What its process may use.
    """
    import numpy as np

    scorer = Scorer(registry, version, limits)
    try:
        with scorer:
            scored = scorer.probabilities(example)
    except ModelError as error:
        because = f"{error.asked}: {error.found}"
        return Checked(passed=False, because=because, evidence=_seen(scorer))
    # NaN is no number at all, and compares as a difference.
    apart = float(np.max(np.abs(scored - expected))) if len(expected) else 0.0
    seen = {**_seen(scorer), "rows": float(len(scored)), "difference": apart}
    if not apart <= _TOLERANCE:
        because = f"loaded again it differs by {apart:.3g} from what was trained"
        return Checked(passed=False, because=because, evidence=seen)
    because = (
        f"loaded in a fresh process in {scorer.load_seconds:.1f} s with at most "
        f"{seen['peak_mib']:,.0f} MiB; {len(scored)} rows score the same"
    )
    return Checked(passed=True, because=because, evidence=seen)


def _seen(scorer: Scorer) -> dict[str, float]:
    return {"load_seconds": scorer.load_seconds, "peak_mib": scorer.peak_bytes / 1024**2}
