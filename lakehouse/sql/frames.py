"""How far a window looks beyond a row, and whether its inputs are read as far as that."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sqlglot import exp

from lakehouse.sql.problem import Problem
from lakehouse.sql.resolve import Input

__all__ = ["Reach", "check_reach", "reach"]

_DAY = dt.timedelta(days=1)
_UNITS = {
    "SECOND": dt.timedelta(seconds=1),
    "MINUTE": dt.timedelta(minutes=1),
    "HOUR": dt.timedelta(hours=1),
    "DAY": _DAY,
    "WEEK": 7 * _DAY,
}
_WRITTEN = (("day", 1440), ("hour", 60), ("minute", 1))
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}


@dataclass(frozen=True)
class Reach:
    """How far a window looks on both sides of a row, in the order of time.

    Attributes:
        back: Into the past; zero when it is not known how far, None when it does not look there.
        ahead: Into the future, likewise.
    """

    back: dt.timedelta | None
    ahead: dt.timedelta | None


def reach(function: exp.Expr, whole: exp.Window) -> Reach:
    """What a window's function and its written frame look at.

    Args:
        function: What stands before OVER.
        whole: The window with its order and frame.

    Returns:
        Days and times where both are written so; a frame of rows or of whole numbers has
        no length that is known here.
    """
    order, spec = whole.args.get("order"), whole.args.get("spec")
    if order is None:
        return Reach(None, None)
    if isinstance(function, exp.Lag | exp.Lead):
        ahead = isinstance(function, exp.Lead) != isinstance(function.args.get("offset"), exp.Neg)
        some = dt.timedelta(0)
        first, last = (None, some) if ahead else (some, None)
    elif spec is not None:
        first, last = _side(spec, "start", "PRECEDING"), _side(spec, "end", "FOLLOWING")
    else:
        return Reach(None, None)
    turned = bool(order.expressions[0].args.get("desc"))
    return Reach(last, first) if turned else Reach(first, last)


def _side(spec: exp.WindowSpec, name: str, towards: str) -> dt.timedelta | None:
    if spec.args.get(f"{name}_side") != towards:
        return None
    bound = spec.args.get(name)
    length = _length(bound) if isinstance(bound, exp.Interval) else None
    return length or dt.timedelta(0)


def _length(bound: exp.Interval) -> dt.timedelta | None:
    """The longest time that an interval of one unit can be."""
    unit = bound.text("unit").upper().removesuffix("S")
    if not isinstance(bound.this, exp.Literal) or not bound.this.name.isdecimal():
        return None
    number = int(bound.this.name)
    if unit in _MONTHS:
        years, months = divmod(number * _MONTHS[unit], 12)
        # One month has up to 31 days, two 62, three 92, six 184.
        return (years * 366 + (months * 306 + 9) // 10 * bool(months)) * _DAY
    return number * _UNITS[unit] if unit in _UNITS else None


def check_reach(
    window: exp.Window, looks: Reach, names: Iterable[str], inputs: Mapping[str, Input]
) -> Iterator[Problem]:
    """Each input of a window over several partitions that is read less far than it looks."""
    for name in names:
        sides = (
            ("lookback", "before", looks.back, inputs[name].lookback),
            ("lookahead", "after", looks.ahead, inputs[name].lookahead),
        )
        for key, side, needed, declared in sides:
            if needed is None or declared is None or (declared and declared >= needed):
                continue
            far = f"{_said(needed)} {side}" if needed else side
            read = f"read only {_said(declared)}" if declared else "not read"
            message = f"this window looks {far} a row, but {name} is {read} {side} the partition"
            remedy = f"declare reads: {name}: {{{key}: {_said(needed) if needed else '…'}}}"
            if not declared:
                remedy += ", or add the partition column to PARTITION BY"
            yield window, "window-reach", message, remedy


def _said(length: dt.timedelta) -> str:
    """A length as a contract writes it: ``28 days``, ``90 minutes``."""
    minutes = -(-length // dt.timedelta(minutes=1))
    unit, size = next(one for one in _WRITTEN if minutes % one[1] == 0)
    number = minutes // size
    return f"{number} {unit}{'s' if number != 1 else ''}"
