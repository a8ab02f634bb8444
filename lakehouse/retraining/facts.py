"""What is known about a model at one instant: all that a decision may look at (pure)."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Alarm", "Attempt", "Champion", "Facts", "Kind", "State", "Trigger"]

#: Who can ask. ``reconcile`` is the schedule that finds what a lost event would have told.
Kind = Literal[
    "on demand", "schedule", "new data", "performance drop", "distribution change", "reconcile"
]

#: How an attempt to train ended: ``done`` and ``blocked`` by a gate are judged.
State = Literal["done", "blocked", "failed", "crashed", "running"]


@dataclass(frozen=True)
class Trigger:
    """One request to look whether a model should be trained.

    Attributes:
        kind: Who asks.
        detail: Why, in a person's words; or what an event said.
        by: A person, where one asked.
        force: Train though nothing has changed, within cooldown and past the budget.
    """

    kind: Kind
    detail: str = ""
    by: str = ""
    force: bool = False


@dataclass(frozen=True)
class Attempt:
    """One training that was begun.

    Attributes:
        decision: The decision that began it; empty for one that was begun by hand.
        at: When, UTC.
        state: How it ended.
        fingerprint: Of the rows and the definition that it learnt from.
        definition: The definition ids of the model and of its feature table.
        window_end: The end of its evaluation window, UTC; None where it is not known.
        version: The version that it registered; 0 for none.
        detail: Why it failed.
    """

    decision: str
    at: dt.datetime
    state: State
    fingerprint: str
    definition: str = ""
    window_end: dt.datetime | None = None
    version: int = 0
    detail: str = ""

    @property
    def judged(self) -> bool:
        """Whether its gates have spoken."""
        return self.state in ("done", "blocked")


@dataclass(frozen=True)
class Champion:
    """The version that is in use.

    Attributes:
        version: Its number.
        definition: The definition ids of the model and of its feature table, as it was trained.
        window_end: The end of its evaluation window, UTC; None where it is not known.
    """

    version: int
    definition: str = ""
    window_end: dt.datetime | None = None


@dataclass(frozen=True)
class Alarm:
    """One alarm of a monitor about the champion.

    Attributes:
        monitor: ``performance`` or ``drift``.
        version: The version that was watched.
        because: The monitor's sentence.
        window_end: The end of the window of event time, UTC.
        looked: When the monitor looked, UTC.
        run: The run that looked.
    """

    monitor: str
    version: int
    because: str
    window_end: dt.datetime
    looked: dt.datetime
    run: str = ""


@dataclass(frozen=True)
class Facts:
    """What a decision is made from. Instants are UTC.

    Attributes:
        domain: The domain's name.
        model: The model's name.
        now: When it is decided.
        triggers: Who asked.
        watermark: The greatest event time of the feature table; None without rows.
        ripe_until: Labels of event times up to here are known by declaration.
        pinned: Table → the version that was looked at, and would be trained from.
        fingerprint: Of the rows and the definition that would be learnt from; empty where there
            are none.
        definition: The definition ids of the model and of its feature table.
        window_end: The end of the evaluation window that would be judged on.
        rows: Ripe labelled rows of the feature table.
        new_rows: Those of them that came after the evaluation window of the last judged attempt.
        champion: The version in use; None for none.
        attempts: The trainings that were begun, the oldest first.
        alarms: Alarms about the champion, the oldest first.
        running: What trains this model right now; empty for nothing.
        lacking: Why there is nothing to learn from; empty when there is.
    """

    domain: str
    model: str
    now: dt.datetime
    triggers: tuple[Trigger, ...]
    watermark: dt.datetime | None = None
    ripe_until: dt.datetime | None = None
    pinned: Mapping[str, int] = field(default_factory=dict)
    fingerprint: str = ""
    definition: str = ""
    window_end: dt.datetime | None = None
    rows: int = 0
    new_rows: int = 0
    champion: Champion | None = None
    attempts: tuple[Attempt, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    running: str = ""
    lacking: str = ""

    @property
    def forced(self) -> bool:
        """Whether a person asked to train in any case."""
        return any(trigger.force for trigger in self.triggers)

    @property
    def last(self) -> Attempt | None:
        """The attempt that was begun last."""
        return self.attempts[-1] if self.attempts else None

    @property
    def judged(self) -> Attempt | None:
        """The last attempt whose gates have spoken."""
        return next((a for a in reversed(self.attempts) if a.judged), None)

    @property
    def since(self) -> dt.datetime | None:
        """Rows after this instant are new: the end of what was judged on last."""
        if self.judged is not None and self.judged.window_end is not None:
            return self.judged.window_end
        return self.champion.window_end if self.champion else None

    @property
    def crashes(self) -> int:
        """How many attempts in a row, up to the last, ended without a result."""
        count = 0
        for attempt in reversed(self.attempts):
            if attempt.state != "crashed":
                break
            count += 1
        return count

    @property
    def new_alarms(self) -> tuple[Alarm, ...]:
        """Alarms about the champion that no judged attempt has answered.

        What was already in the window that the last one was judged on is no news to it, though
        a monitor may have looked later.
        """
        judged = self.judged
        if judged is None:
            return self.alarms
        later = [a for a in self.alarms if a.looked > judged.at]
        known = judged.window_end
        return tuple(a for a in later if known is None or a.window_end > known)

    def to_json(self) -> dict[str, Any]:
        """All of it, for the ledger; instants become text."""
        return dataclasses.asdict(self)
