"""Stored models in a process of their own, which may use so much and reach nothing.

No format of models is safe by itself: scikit-learn follows the numbers inside a
file without looking at them. So what is loaded to score is loaded in a child with
limits on memory and time, an environment without secrets, and no network; when it
crashes, an error is all that its parent sees.
"""

from __future__ import annotations

from lakehouse.loading.check import Checked, check
from lakehouse.loading.limits import Limits
from lakehouse.loading.scorer import Scorer

__all__ = ["Checked", "Limits", "Scorer", "check"]
