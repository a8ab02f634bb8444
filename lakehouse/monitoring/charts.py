"""The plots of a monitoring report, as SVG: drawn here, nothing to run or to fetch."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Level", "Point", "bars", "lines"]

_WIDTH, _HEIGHT = 960, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 18, 30
_COLOURS = 5
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Point:
    """One window of one version.

    Attributes:
        start: Its first instant.
        end: The instant after it.
        series: The version.
        value: What was measured.
        low: Lower end of its interval; None for none.
        high: Upper end.
        hollow: Whether it is expected, not known.
        alarm: Whether a monitor raised one.
        told: What is shown when it is pointed at.
    """

    start: dt.datetime
    end: dt.datetime
    series: int
    value: float
    low: float | None
    high: float | None
    hollow: bool
    alarm: bool
    told: str

    @property
    def at(self) -> dt.datetime:
        """The middle of the window."""
        return self.start + (self.end - self.start) / 2


@dataclass(frozen=True)
class Level:
    """A value that a version is held against, from its first window to its last."""

    series: int
    value: float


def lines(
    points: Sequence[Point],
    levels: Sequence[Level],
    marks: Mapping[dt.datetime, str],
    label: str,
) -> str:
    """Values over time with their intervals, one line per version.

    Args:
        points: At least one.
        levels: Dashed lines, one per version.
        marks: Instants that are marked by a vertical line, with a word.
        label: What is shown, for those who cannot see it.
    """
    first, last = min(p.start for p in points), max(p.end for p in points)
    scale = _Scale.of(first, last, [*_extents(points), *(level.value for level in levels)])
    drawn = [*scale.grid(), *_marks(marks, scale)]
    for series in sorted({p.series for p in points}):
        own = sorted((p for p in points if p.series == series), key=lambda p: p.start)
        drawn += _levels([lv for lv in levels if lv.series == series], own, scale)
        drawn += _line(own, scale)
    return _svg(label, drawn)


def bars(points: Sequence[Point], label: str) -> str:
    """Values over time as bars from zero."""
    first, last = min(p.start for p in points), max(p.end for p in points)
    scale = _Scale.of(first, last, [0.0, *(p.value for p in points)])
    drawn = list(scale.grid())
    for point in points:
        left, right, top = scale.x(point.start), scale.x(point.end), scale.y(point.value)
        drawn.append(
            f'<rect class="{"alarm" if point.alarm else "bar"}" x="{left + 1:.1f}" y="{top:.1f}" '
            f'width="{max(1.0, right - left - 2):.1f}" height="{scale.y(0) - top:.1f}">'
            f"<title>{escape(point.told)}</title></rect>"
        )
    return _svg(label, drawn)


def _extents(points: Iterable[Point]) -> Iterator[float]:
    for point in points:
        yield from (v for v in (point.value, point.low, point.high) if v is not None)


def _line(points: Sequence[Point], scale: _Scale) -> Iterator[str]:
    colour = f"s{points[0].series % _COLOURS}"
    path = " ".join(f"{scale.x(p.at):.1f},{scale.y(p.value):.1f}" for p in points)
    yield f'<polyline class="line {colour}" points="{path}"/>'
    for point in points:
        x = scale.x(point.at)
        if point.low is not None and point.high is not None:
            ends = f"M{x:.1f} {scale.y(point.low):.1f}V{scale.y(point.high):.1f}"
            yield f'<path class="interval {colour}" d="{ends}"/>'
        kind = "hollow" if point.hollow else "known"
        ring = " ringed" if point.alarm else ""
        yield (
            f'<circle class="{kind} {colour}{ring}" cx="{x:.1f}" cy="{scale.y(point.value):.1f}" '
            f'r="{6 if point.alarm else 4}"><title>{escape(point.told)}</title></circle>'
        )


def _levels(levels: Sequence[Level], points: Sequence[Point], scale: _Scale) -> Iterator[str]:
    for level in levels:
        y, colour = scale.y(level.value), f"s{level.series % _COLOURS}"
        start, end = scale.x(points[0].start), scale.x(points[-1].end)
        yield f'<path class="level {colour}" d="M{start:.1f} {y:.1f}H{end:.1f}"/>'


def _marks(marks: Mapping[dt.datetime, str], scale: _Scale) -> Iterator[str]:
    for at, word in sorted(marks.items()):
        if scale.first <= at <= scale.last:
            x = scale.x(at)
            # Near the right edge the word stands to the left of its line.
            side = ' text-anchor="end"' if x > _WIDTH - 140 else ""
            shift = -5 if side else 5
            yield f'<path class="mark" d="M{x:.1f} {_TOP - 8}V{_HEIGHT - _BOTTOM}"/>'
            yield f'<text x="{x + shift:.1f}" y="{_TOP - 2}"{side}>{escape(word)}</text>'


@dataclass(frozen=True)
class _Scale:
    """Instants and values to places; ``step`` is that of the values' grid."""

    first: dt.datetime
    last: dt.datetime
    low: float
    high: float
    step: float

    @classmethod
    def of(cls, first: dt.datetime, last: dt.datetime, values: Sequence[float]) -> _Scale:
        least, most = min(values), max(values)
        rough = max((most - least) / 4, 1e-6, abs(most) * 1e-3)
        power = 10 ** math.floor(math.log10(rough))
        step = next(n * power for n in (1, 2, 5, 10) if n * power >= rough * 0.999)
        low, high = math.floor(least / step) * step, math.ceil(most / step) * step
        return cls(first, max(last, first + _DAY), low, max(high, low + step), step)

    def x(self, at: dt.datetime) -> float:
        share = (at - self.first) / (self.last - self.first)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def grid(self) -> Iterator[str]:
        for i in range(round((self.high - self.low) / self.step) + 1):
            value = self.low + i * self.step
            y = self.y(value)
            yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
            yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:,.4g}</text>'
        days = max(1, (self.last - self.first).days)
        every = max(1, math.ceil(days / 8))
        for i in range(0, days + 1, every):
            at = self.first + i * _DAY
            x, anchor = self.x(at), "start" if i == 0 else "middle"
            if x < _WIDTH - 30:
                yield (
                    f'<text x="{x:.1f}" y="{_HEIGHT - 10}" text-anchor="{anchor}">'
                    f"{at:%Y-%m-%d}</text>"
                )


def _svg(label: str, inside: Iterable[str]) -> str:
    return (
        f'<div class="wide"><svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(label, quote=True)}">{"".join(inside)}</svg></div>'
    )
