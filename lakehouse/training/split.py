"""What a model learns from and what it is judged on: two spans of days (pure)."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from dataclasses import dataclass
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Discriminator, Tag, field_validator, model_validator

from lakehouse.errors import ModelError
from lakehouse.interval import Interval
from lakehouse.training.fields import Strict

__all__ = ["FixedSplit", "RollingSplit", "Split", "Windows", "before"]

_SPAN = re.compile(r"(\d+) +(day|week|month|year)s?")


@dataclass(frozen=True)
class Windows:
    """Half-open spans of dates of the event time, in the feature table's time zone.

    Attributes:
        train: First day, and the day after the last one.
        test: The same; it begins where training ends, or later.
    """

    train: tuple[dt.date, dt.date]
    test: tuple[dt.date, dt.date]

    def intervals(self, timezone: str) -> tuple[Interval, Interval]:
        """The instants of training and test; ``timezone`` is the feature table's."""
        zone = ZoneInfo(timezone)
        (first, second), (third, fourth) = self.train, self.test
        return (
            Interval(_midnight(first, zone), _midnight(second, zone)),
            Interval(_midnight(third, zone), _midnight(fourth, zone)),
        )


class FixedSplit(Strict):
    """Spans by their dates. With the table's zone they begin and end where its partitions do.

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
    def _train_before_test(self) -> FixedSplit:
        if self.train[1] > self.test[0]:
            found = f"training until {self.train[1]} reaches into the test from {self.test[0]}"
            raise ValueError(f"{found}; end training where the test begins, or before")
        return self

    def windows(self, ripe: dt.datetime | None, timezone: str, first: dt.date | None) -> Windows:
        """The written dates, whatever there is."""
        return Windows(self.train, self.test)


def _span(value: object) -> str:
    found = _SPAN.fullmatch(str(value).strip())
    if not found or not int(found[1]):
        raise ValueError(f"{value!r} is no span; write for example '9 months' or '90 days'")
    return f"{int(found[1])} {found[2]}{'' if int(found[1]) == 1 else 's'}"


Span = Annotated[str, BeforeValidator(_span)]


class RollingSplit(Strict):
    """Spans by their lengths, which end with the last day whose labels are known.

    Attributes:
        train: Before the test: ``9 months``.
        test: Whole days, months or years before the last midnight that is ripe: ``3 months``.
    """

    train: Span
    test: Span

    def windows(self, ripe: dt.datetime | None, timezone: str, first: dt.date | None) -> Windows:
        """The dates at a moment.

        Args:
            ripe: The instant up to which labels are known; None when there are no rows.
            timezone: The feature table's.
            first: The day of the first event, where training is cut.

        Raises:
            ModelError: The rows do not reach back to the test.
        """
        asked = f"cut {self.train} to learn from and {self.test} to be judged on"
        remedy = "build more of the feature table (lake plan), or shorten the split"
        if ripe is None or first is None:
            raise ModelError(asked, "the feature table has no rows", remedy)
        end = ripe.astimezone(ZoneInfo(timezone)).date()
        cut = before(end, self.test)
        start = max(before(cut, self.train), first)
        if start >= cut:
            found = f"labels are known from {first} until {end}"
            raise ModelError(asked, found, remedy)
        return Windows((start, cut), (cut, end))


def before(end: dt.date, span: str) -> dt.date:
    """The day a span before another; a month ago of 31 May is 30 April."""
    number, unit = span.split()
    count = int(number)
    match unit.removesuffix("s"):
        case "day":
            return end - dt.timedelta(days=count)
        case "week":
            return end - dt.timedelta(weeks=count)
        case "month":
            year, month = divmod(end.year * 12 + end.month - 1 - count, 12)
        case _:
            year, month = end.year - count, end.month - 1
    last = calendar.monthrange(year, month + 1)[1]
    return dt.date(year, month + 1, min(end.day, last))


def _midnight(date: dt.date, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.combine(date, dt.time(), zone).astimezone(dt.UTC)


def _which(value: Any) -> str:
    if isinstance(value, Strict):
        return type(value).__name__
    spans = [value.get(key) for key in ("train", "test")] if isinstance(value, dict) else []
    return "RollingSplit" if any(isinstance(span, str) for span in spans) else "FixedSplit"


Split = Annotated[
    Annotated[FixedSplit, Tag("FixedSplit")] | Annotated[RollingSplit, Tag("RollingSplit")],
    Discriminator(_which),
]
