"""A profile as one HTML document: styles and charts inside, nothing to run or to fetch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape

from lakehouse.profile.measure import QUANTILES, Bar, ColumnProfile, Profile, Value

__all__ = ["page"]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881;
  --bar: light-dark(#3b6fb6, #7aa7e8); --link: light-dark(#0b57d0, #8ab4f8); }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 16px 24px 64px; }
h1 { font-size: 24px; margin: 8px 0 0; }
h2 { font-size: 18px; margin: 32px 0 8px; }
h3 { font: 600 15px/1.4 ui-monospace, monospace; margin: 0; overflow-wrap: anywhere; }
p { margin: 4px 0; }
a { color: var(--link); text-decoration: none; }
nav { display: flex; flex-wrap: wrap; gap: 2px 14px; font-size: 14px; }
.soft { opacity: .72; }
.tag { background: var(--soft); border: 1px solid var(--line); border-radius: 4px;
  padding: 0 5px; font-size: 12px; white-space: nowrap; }
section { display: grid; grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); gap: 4px 32px;
  padding: 14px 0; border-top: 1px solid var(--line); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 14px; margin: 8px 0 0; }
dt { opacity: .72; }
dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg rect { fill: var(--bar); }
svg text { fill: currentColor; font: 12px system-ui, sans-serif; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; }
th, td { text-align: left; padding: 4px 10px; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
@media (max-width: 760px) { section { grid-template-columns: minmax(0, 1fr); } }
"""
_WIDTH, _HEIGHT, _ROW = 480, 88, 20


def page(made: Profile) -> str:
    """The profile as HTML."""
    return "\n".join(_document(made)) + "\n"


def _document(made: Profile) -> Iterator[str]:
    title = escape(f"{made.table} · version {made.version}")
    yield '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title><style>{_STYLE}</style></head><body><main>"
    yield f"<h1>{title}</h1>"
    yield f"<p>{escape(made.description)}</p>"
    yield (
        f'<p class="soft">{made.rows:,} rows · {len(made.columns)} columns · '
        f"{made.bytes / 1e6:,.1f} MB · ≈ marks approximate numbers</p>"
    )
    links = (f'<a href="#{_anchor(c)}">{escape(c.column.name)}</a>' for c in made.columns)
    yield f"<nav>{''.join(links)}</nav>"
    if len(made.partitions) > 1:
        yield "<h2>Rows by partition</h2>"
        bars = tuple(Bar(value, None, n) for value, n in made.partitions.items())
        yield _histogram(bars, "rows by partition")
        yield _ends(bars[0].low, bars[-1].low)
    yield "<h2>Columns</h2>"
    for column in made.columns:
        yield from _section(column, made.rows)
    if made.examples:
        yield "<h2>First rows</h2>"
        yield from _examples(made.examples)
    yield "</main></body></html>"


def _anchor(one: ColumnProfile) -> str:
    return escape(f"column-{one.column.name}", quote=True)


def _section(one: ColumnProfile, rows: int) -> Iterator[str]:
    column = one.column
    yield f'<section id="{_anchor(one)}"><div><h3>{escape(column.name)}</h3><p>'
    tags = [column.type, column.unit, "key" if column.key else None, column.classification]
    yield " ".join(f'<span class="tag">{escape(tag)}</span>' for tag in tags if tag)
    yield f"</p><p>{escape(column.description or '')}</p><dl>"
    for name, value in _facts(one, rows):
        yield f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
    yield "</dl></div><div>"
    if column.sensitive:
        yield f'<p class="soft">values not shown: {escape(column.classification or "")}</p>'
    elif one.bins:
        yield _histogram(one.bins, column.name)
        yield _ends(one.least, one.greatest if one.least != one.greatest else None)
    elif one.top and one.top[0].rows == 1 and len(one.top) > 1:
        told = ", ".join(_short(_told(bar.low), 40) for bar in one.top)
        yield f'<p class="soft">no value twice; among them {escape(told)}</p>'
    elif one.top:
        yield _top(one.top, rows - one.nulls)
    elif not one.least and not one.greatest:
        yield '<p class="soft">no values</p>'
    yield "</div></section>"


def _facts(one: ColumnProfile, rows: int) -> Iterator[tuple[str, str]]:
    share = one.nulls / rows if rows else 0.0
    yield "NULL", f"{one.nulls:,} ({share:.2%})" if one.nulls else "none"
    yield "distinct", f"≈ {one.distinct:,}"
    of = "length " if one.column.type == "VARCHAR" else ""
    if one.least is not None:
        yield f"{of}least … greatest", f"{_told(one.least)} … {_told(one.greatest)}"
    if one.mean is not None:
        yield f"{of}mean", _told(one.mean)
    if one.quantiles:
        yield (
            "quantiles ≈",
            " · ".join(
                f"{at:.0%} {_told(value)}"
                for at, value in zip(QUANTILES, one.quantiles, strict=True)
            ),
        )
    if one.rules:
        yield "rules", ", ".join(rule.id for rule in one.rules)


def _told(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    return "–" if value is None else value


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _histogram(bars: Sequence[Bar], what: str) -> str:
    most = max((bar.rows for bar in bars), default=0) or 1
    step = _WIDTH / len(bars)
    drawn = []
    for i, bar in enumerate(bars):
        # A bin that holds anything is seen.
        height = max(1.5, _HEIGHT * bar.rows / most) if bar.rows else 0.0
        span = _told(bar.low) if bar.high is None else f"{_told(bar.low)} … {_told(bar.high)}"
        drawn.append(
            f'<rect x="{i * step:.2f}" y="{_HEIGHT - height:.2f}" '
            f'width="{max(step - 1.5, 0.5):.2f}" height="{height:.2f}">'
            f"<title>{escape(span)}: {bar.rows:,} rows</title></rect>"
        )
    line = f'<path d="M0 {_HEIGHT}H{_WIDTH}" stroke="currentColor" stroke-opacity=".4"/>'
    return _svg(_HEIGHT + 1, f"histogram: {what}", [*drawn, line])


def _ends(low: Value, high: Value) -> str:
    right = "" if high is None else f"<span>{escape(_told(high))}</span>"
    return (
        '<div class="soft" style="display: flex; justify-content: space-between; font-size: 12px">'
        f"<span>{escape(_told(low))}</span>{right}</div>"
    )


def _top(bars: Sequence[Bar], known: int) -> str:
    most, drawn = max(bar.rows for bar in bars), []
    for i, bar in enumerate(bars):
        text, y = _told(bar.low) or "(empty text)", i * _ROW
        width = max(1.0, 200 * bar.rows / most)
        drawn.append(
            f"<g><title>{escape(_short(text, 400))}: {bar.rows:,} rows</title>"
            f'<text x="0" y="{y + 14}">{escape(_short(text, 22))}</text>'
            f'<rect x="180" y="{y + 3}" width="{width:.1f}" height="{_ROW - 6}"/>'
            f'<text x="{186 + width:.1f}" y="{y + 14}">{_share(bar.rows, known)}</text></g>'
        )
    return _svg(len(bars) * _ROW, "most frequent values", drawn)


def _share(rows: int, known: int) -> str:
    return f"{rows / known:.1%}" if rows / known >= 0.001 else f"{rows:,} rows"


def _svg(height: int, label: str, inside: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(label, quote=True)}">'
        f"{''.join(inside)}</svg>"
    )


def _examples(rows: Sequence[Mapping[str, Value]]) -> Iterator[str]:
    yield '<div class="wide"><table><thead><tr>'
    yield "".join(f"<th>{escape(name)}</th>" for name in rows[0])
    yield "</tr></thead><tbody>"
    for row in rows:
        cells = "".join(f"<td>{escape(_short(_told(v), 80))}</td>" for v in row.values())
        yield f"<tr>{cells}</tr>"
    yield "</tbody></table></div>"
