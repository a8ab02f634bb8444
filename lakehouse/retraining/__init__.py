"""Continuous training: what is known, what is decided, and the story of both.

Five triggers ask, one arbiter decides. :mod:`facts` and :mod:`policy` are pure, :mod:`job`
gathers, records and trains, :mod:`story` tells.
"""

from __future__ import annotations

from lakehouse.retraining.facts import Alarm, Attempt, Champion, Facts, Trigger
from lakehouse.retraining.policy import Decision, Reason, decide, outlook

__all__ = [
    "Alarm",
    "Attempt",
    "Champion",
    "Decision",
    "Facts",
    "Reason",
    "Trigger",
    "decide",
    "outlook",
]
