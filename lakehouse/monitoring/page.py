"""What was seen of a model as one HTML document: styles and plots inside, nothing to fetch."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from zoneinfo import ZoneInfo

from lakehouse.interval import Interval
from lakehouse.monitoring.charts import Level, Point, bars, lines
from lakehouse.monitoring.history import History
from lakehouse.monitoring.windows import named
from lakehouse.ops import DriftRow, MonitorRow, PerformanceRow
from lakehouse.registry import ModelVersion
from lakehouse.training.declaration import ModelDeclaration

__all__ = ["Story", "page"]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881;
  --bar: light-dark(#3b6fb6, #7aa7e8); --alarm: light-dark(#c0392b, #ff7a6b);
  --ok: light-dark(#2e7d4f, #6fce97);
  --s0: light-dark(#7a4fa3, #c39be8); --s1: light-dark(#1f5fa8, #7aa7e8);
  --s2: light-dark(#b5631a, #f0a860); --s3: light-dark(#2f7d55, #6fce97);
  --s4: light-dark(#9c3b3a, #f08d8b); }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 16px 24px 64px; }
h1 { font-size: 24px; margin: 8px 0 0; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 32px 0 4px; }
p { margin: 4px 0; }
.soft { opacity: .72; }
.wide { overflow-x: auto; }
.plot { display: block; width: 100%; min-width: 640px; height: auto; }
.plot text { fill: currentColor; font: 12px system-ui, sans-serif; opacity: .8; }
.grid { stroke: var(--line); stroke-width: 1; }
.mark { stroke: currentColor; stroke-width: 1.5; opacity: .6; }
.line { fill: none; stroke-width: 1.5; opacity: .7; }
.interval { stroke-width: 2; opacity: .45; }
.level { stroke-width: 1.5; stroke-dasharray: 6 5; opacity: .8; }
.s0 { --own: var(--s0); } .s1 { --own: var(--s1); } .s2 { --own: var(--s2); }
.s3 { --own: var(--s3); } .s4 { --own: var(--s4); }
.line, .interval, .level { stroke: var(--own); }
circle.known { fill: var(--own); stroke: var(--own); }
circle.hollow { fill: Canvas; stroke: var(--own); stroke-width: 1.5; }
circle.ringed { stroke: var(--alarm); stroke-width: 3; }
rect.bar { fill: var(--bar); } rect.alarm { fill: var(--alarm); }
.key { display: inline-block; width: 10px; height: 10px; border-radius: 5px; margin-right: 5px;
  background: var(--own); }
table { border-collapse: collapse; font-size: 13px; }
th, td { text-align: left; padding: 4px 10px; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.name, th.name { white-space: nowrap; }
.because { min-width: 260px; }
@media (max-width: 640px) {
  main { padding: 12px 14px 48px; }
  .verdicts thead { display: none; }
  .verdicts table, .verdicts tbody { display: block; }
  .verdicts tr { display: flex; flex-wrap: wrap; gap: 0 12px; padding: 8px 0;
    border-bottom: 1px solid var(--line); }
  .verdicts td { border: 0; padding: 0; }
  .verdicts td.because { flex-basis: 100%; }
}
.verdict { white-space: nowrap; font-weight: 600; }
.verdict.alarm { color: var(--alarm); } .verdict.ok { color: var(--ok); }
.heat { font-size: 11px; font-variant-numeric: tabular-nums; border-collapse: separate;
  border-spacing: 1px; }
.heat th, .heat td { border: 0; padding: 3px 5px; }
.heat thead th { font-weight: 400; white-space: nowrap; }
.heat tbody th { position: sticky; left: 0; background: Canvas; white-space: nowrap;
  font: 12px ui-monospace, monospace; }
.heat td { text-align: center; min-width: 40px;
  background: color-mix(in srgb, var(--alarm) calc(var(--heat) * 1%), var(--soft)); }
.heat td.drifted { font-weight: 700; outline: 2px solid var(--alarm); outline-offset: -2px; }
"""
_SIGNS = {"ok": "✓", "alarm": "▲", "not evaluated": "–"}
_HOTTEST = 0.3
_SHOWN = 40


@dataclass(frozen=True)
class Story:
    """What a report shows.

    Attributes:
        domain: The model's domain.
        model: Its declaration.
        timezone: The feature table's: days are its days.
        champion: The version that is watched.
        champions: When versions became champion.
        history: All that was said.
        current: The newest verdict of each monitor.
        now: When it was looked.
    """

    domain: str
    model: ModelDeclaration
    timezone: str
    champion: ModelVersion
    champions: Mapping[dt.datetime, int]
    history: History
    current: Sequence[MonitorRow]
    now: dt.datetime

    def named(self, row: MonitorRow | DriftRow | PerformanceRow) -> str:
        """A row's window in words."""
        return named(Interval(row.window_start, row.window_end), self.timezone)


def page(story: Story) -> str:
    """The report as HTML."""
    return "\n".join(_document(story)) + "\n"


def _document(story: Story) -> Iterator[str]:
    title = escape(f"{story.domain}.{story.model.name} · monitoring")
    yield '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title><style>{_STYLE}</style></head><body><main>"
    yield f"<h1>{title}</h1>"
    yield f'<p class="soft">{_about(story)}</p>'
    yield "<h2>Now</h2>"
    yield from _verdicts(story, story.current)
    yield from _performance(story)
    yield from _slices(story)
    rows = [r for r in story.history.drift if r.version == story.champion.version]
    yield "<h2>Drift</h2>"
    yield (
        '<p class="soft">Effect size of each feature against the training rows of '
        f"version {story.champion.version}, the most important feature first; framed: drifted."
        "</p>"
    )
    limit = story.model.monitors.drift.min_rows
    yield from _heat(story, rows, lambda r: r.effect, f"no window of {limit:,} rows yet")
    yield "<h2>NULLs</h2>"
    yield '<p class="soft">Share of NULL, of the features that have any.</p>'
    lacking = {r.feature for r in rows if r.missing}
    some = [r for r in rows if r.feature in lacking]
    yield from _heat(story, some, lambda r: r.missing, "no feature was NULL")
    yield from _volume(story)
    yield from _past(story)
    yield "</main></body></html>"


def _about(story: Story) -> str:
    record = story.champion.record
    trained = f", trained on {' until '.join(record.windows['train'])}" if record else ""
    days = story.model.monitors.window.days
    return (
        f"champion: version {story.champion.version}{trained} · windows of {days} days of "
        f"{escape(story.timezone)} · looked at {story.now.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
    )


def _verdicts(story: Story, rows: Sequence[MonitorRow]) -> Iterator[str]:
    yield '<div class="wide verdicts"><table><thead><tr><th>monitor</th><th>verdict</th>'
    yield "<th>version</th><th>window</th><th>because</th></tr></thead><tbody>"
    for row in rows:
        kind = row.verdict.replace(" ", "-")
        window = "–" if row.monitor == "freshness" else story.named(row)
        yield (
            f'<tr><td class="name">{escape(row.monitor)}</td>'
            f'<td class="verdict {kind}">{_SIGNS[row.verdict]} {escape(row.verdict)}</td>'
            f'<td class="name">version {row.version}</td><td class="name">{window}</td>'
            f'<td class="because">{escape(row.because)}</td></tr>'
        )
    yield "</tbody></table></div>"


def _performance(story: Story) -> Iterator[str]:
    metric = story.model.monitors.performance.metric
    rows = [r for r in story.history.performance if r.metric == metric and not r.slice]
    rows = [r for r in rows if r.value is not None]
    yield f"<h2>Performance: {escape(metric)}</h2>"
    if not rows:
        yield '<p class="soft">no predictions with labels yet: lake score</p>'
        return
    alarms = {
        (r.version, r.window_start)
        for r in story.history.monitors
        if r.monitor == "performance" and r.verdict == "alarm"
    }
    points = [_point(story, r, (r.version, r.window_start) in alarms) for r in rows]
    references = {r.version: r.reference for r in rows if r.reference is not None}
    levels = [Level(version, value) for version, value in references.items()]
    marks = {at: f"version {v} champion" for at, v in story.champions.items()}
    yield f"<p>{_legend(sorted({r.version for r in rows}))}</p>"
    yield lines(points, levels, marks, f"{metric} by window of event time, with 95 % intervals")
    yield (
        '<p class="soft">Bars: 95 % intervals. Dashed: what the version reached when it was '
        "judged. Hollow: expected from the probabilities, labels are not ripe. Ringed: alarm.</p>"
    )


def _point(story: Story, row: PerformanceRow, alarm: bool) -> Point:
    assert row.value is not None
    told = f"version {row.version}, {story.named(row)}: {_measured(row)}, {row.rows:,} rows"
    if row.estimated:
        told += ", expected"
    return Point(
        row.window_start,
        row.window_end,
        row.version,
        row.value,
        row.low,
        row.high,
        row.estimated,
        alarm,
        told,
    )


def _measured(row: PerformanceRow) -> str:
    value = "–" if row.value is None else f"{row.value:.3f}"
    if row.low is None or row.high is None:
        return value
    return f"{value} ({row.low:.3f} to {row.high:.3f})"


def _legend(versions: Sequence[int]) -> str:
    keys = (f'<span class="key s{v % 5}"></span>version {v}' for v in versions)
    return " &nbsp; ".join(keys)


def _slices(story: Story) -> Iterator[str]:
    rows = [
        r
        for r in story.history.performance
        if r.version == story.champion.version and r.slice and not r.estimated
    ]
    if not rows:
        return
    last = max(r.window_start for r in rows)
    shown = sorted((r for r in rows if r.window_start == last), key=lambda r: r.value or 0.0)
    yield f"<h2>Slices, {story.named(shown[0])}</h2>"
    yield '<div class="wide"><table><thead><tr><th>slice</th><th>metric</th>'
    yield '<th class="number">value</th><th class="number">rows</th></tr></thead><tbody>'
    for row in shown[:_SHOWN]:
        yield (
            f'<tr><td class="name">{escape(row.slice)}</td><td>{escape(row.metric)}</td>'
            f'<td class="number">{_measured(row)}</td><td class="number">{row.rows:,}</td></tr>'
        )
    yield "</tbody></table></div>"


def _heat(
    story: Story, rows: Sequence[DriftRow], value: Callable[[DriftRow], float], nothing: str
) -> Iterator[str]:
    if not rows:
        yield f'<p class="soft">{escape(nothing)}</p>'
        return
    windows = sorted({r.window_start for r in rows})
    by_place = {(r.feature, r.window_start): r for r in rows}
    importance = {r.feature: r.importance for r in rows}
    zone = ZoneInfo(story.timezone)
    yield '<div class="wide"><table class="heat"><thead><tr><th></th>'
    yield "".join(f"<th>{at.astimezone(zone):%m-%d}</th>" for at in windows)
    yield "</tr></thead><tbody>"
    for feature in sorted(importance, key=lambda name: (-importance[name], name)):
        yield f'<tr><th title="{importance[feature]:.1%} of the importance">{escape(feature)}</th>'
        for at in windows:
            row = by_place.get((feature, at))
            yield "<td></td>" if row is None else _cell(story, row, value(row))
        yield "</tr>"
    yield "</tbody></table></div>"


def _cell(story: Story, row: DriftRow, value: float) -> str:
    heat = min(1.0, value / _HOTTEST) * 85
    told = (
        f"{row.feature}, {story.named(row)}: effect {row.effect:.3f}, "
        f"{row.missing:.1%} NULL, {row.rows:,} rows"
    )
    drifted = ' class="drifted"' if row.drifted else ""
    text = f"{value:.2f}".removeprefix("0") if value >= 0.005 else "0"
    return f'<td{drifted} style="--heat:{heat:.0f}" title="{escape(told, quote=True)}">{text}</td>'


def _volume(story: Story) -> Iterator[str]:
    rows = {r.window_start: r for r in story.history.monitors if r.monitor == "volume"}
    yield "<h2>Rows</h2>"
    if not rows:
        yield '<p class="soft">no whole window yet</p>'
        return
    points = [
        Point(
            r.window_start,
            r.window_end,
            r.version,
            float(r.rows),
            None,
            None,
            hollow=False,
            alarm=r.verdict == "alarm",
            told=f"{story.named(r)}: {r.because}",
        )
        for r in rows.values()
    ]
    yield bars(points, "rows by window of event time")


def _past(story: Story) -> Iterator[str]:
    alarms = [r for r in story.history.monitors if r.verdict == "alarm"]
    newest = sorted(alarms, key=lambda r: (r.looked, r.window_end), reverse=True)[:_SHOWN]
    yield "<h2>Alarms</h2>"
    if newest:
        yield from _verdicts(story, newest)
    else:
        yield '<p class="soft">none so far</p>'
