"""A model card: what a version is for, what it learnt from, how good it is, and where it ends.

Written once, as Markdown and as a page. After Mitchell et al., "Model Cards for Model Reporting",
FAT* 2019.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lakehouse.training.attempt import Attempt
from lakehouse.training.dataset import DatasetVersion
from lakehouse.training.declaration import ModelDeclaration
from lakehouse.training.fields import LOWER_IS_BETTER, MetricName
from lakehouse.training.gates import GateResult
from lakehouse.training.metrics import Evaluation
from lakehouse.training.split import Windows

__all__ = ["Card", "Section", "card"]

_IMPORTANT = 15


@dataclass(frozen=True)
class Section:
    """A heading with paragraphs, and a table when it has columns."""

    title: str
    text: Sequence[str] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Card:
    """The sections of a card."""

    title: str
    sections: Sequence[Section]

    def markdown(self) -> str:
        """As Markdown."""
        lines = [f"# {_md(self.title)}"]
        for one in self.sections:
            lines += ["", f"## {_md(one.title)}"]
            for text in one.text:
                lines += ["", _md(text)]
            if one.columns:
                table = [one.columns, ["---"] * len(one.columns), *one.rows]
                lines += ["", *(f"| {' | '.join(map(_cell, row))} |" for row in table)]
        return "\n".join(lines) + "\n"

    def page(self) -> str:
        """As one HTML page that loads nothing."""
        body = [f"<h1>{html.escape(self.title)}</h1>"]
        for one in self.sections:
            body.append(f"<h2>{html.escape(one.title)}</h2>")
            body += [f"<p>{_code(html.escape(text))}</p>" for text in one.text]
            if one.columns:
                head = "".join(f"<th>{html.escape(c)}</th>" for c in one.columns)
                rows = "".join(
                    f"<tr>{''.join(f'<td>{html.escape(c)}</td>' for c in row)}</tr>"
                    for row in one.rows
                )
                body.append(f"<table><tr>{head}</tr>{rows}</table>")
        title = html.escape(self.title)
        return _PAGE.format(title=title, style=_STYLE, body="\n".join(body))


def card(
    declaration: ModelDeclaration,
    attempt: Attempt,
    windows: Windows,
    inputs: Sequence[DatasetVersion],
    rows: tuple[int, int, int],
    evaluations: Sequence[Evaluation],
    slices: Sequence[Evaluation],
    gates: Sequence[GateResult],
    importance: Mapping[str, float],
) -> Card:
    """The card of a version.

    Args:
        declaration: The model.
        attempt: The training.
        windows: What it learnt from and was judged on.
        inputs: The table versions that were read.
        rows: To learn from, to be judged on, left out.
        evaluations: On the test rows, the candidate's first.
        slices: The candidate's, slice by slice.
        gates: The verdicts.
        importance: Feature → its share.
    """
    primary = declaration.metrics.primary
    looked = (
        f"A feature's share in the loss of {primary} when the values of one feature after the "
        "other are shuffled among the test rows."
    )
    return Card(
        f"Model {declaration.name}",
        [
            Section("What it is for", _purpose(declaration)),
            _data(attempt, windows, inputs, rows),
            _measured("How good it is", evaluations, _shown(declaration)),
            *([_measured("By slice", slices, [primary])] if slices else []),
            Section(
                "Gates",
                columns=["gate", "verdict", "because"],
                rows=[[g.name, g.verdict, g.because] for g in gates],
            ),
            Section(
                "What it looks at",
                [looked],
                ["feature", "share"],
                [[name, f"{share:.1%}"] for name, share in _most(importance)],
            ),
            Section("Limits", _limits(declaration)),
            Section("How to go back", _back(declaration)),
        ],
    )


def _most(importance: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(importance.items(), key=lambda pair: (-pair[1], pair[0]))[:_IMPORTANT]


def _purpose(declaration: ModelDeclaration) -> list[str]:
    of, label = declaration.features, declaration.label
    lead = f"{of.lead.total_seconds() / 60:g} minutes before `{of.event_time}`"
    asked = f"It gives the probability that `{label.column}` is 1, asked {lead}."
    return [*([declaration.description.strip()] if declaration.description else []), asked]


def _data(
    attempt: Attempt,
    windows: Windows,
    inputs: Sequence[DatasetVersion],
    rows: tuple[int, int, int],
) -> Section:
    learnt, judged, left_out = rows
    (first, second), (third, fourth) = windows.train, windows.test
    mark = f", as known at {attempt.watermark:%Y-%m-%d %H:%M} UTC" if attempt.watermark else ""
    rows_told = (
        f"It learnt from {learnt:,} rows from {first} until {second} and was judged on {judged:,} "
        f"later ones, from {third} until {fourth}{mark}. {left_out:,} rows did not count: their "
        "label was not known or not ripe, or they were known too late."
    )
    text = [rows_told, f"It was training {attempt.number} with this evaluation window."]
    if attempt.decision:
        text.append(f"The decision to train was `{attempt.decision}`.")
    return Section(
        "What it learnt from",
        text,
        ["table", "version", "definition", "partitions", "rows"],
        [
            [i.table, str(i.version), i.definition_id, str(i.partitions), f"{i.rows:,}"]
            for i in inputs
        ],
    )


def _shown(declaration: ModelDeclaration) -> list[MetricName]:
    known = (declaration.metrics.primary, *declaration.metrics.also)
    return list(dict.fromkeys(known))


def _measured(
    title: str, evaluations: Sequence[Evaluation], names: Sequence[MetricName]
) -> Section:
    heads = [f"{n} ({'less' if n in LOWER_IS_BETTER else 'more'} is better)" for n in names]
    return Section(
        title,
        ["In brackets: the 95 % interval, by drawing whole days."],
        ["of", "rows", "share of 1", *heads],
        [
            [e.model, f"{e.rows:,}", f"{e.base_rate:.3f}", *(_value(e, n) for n in names)]
            for e in evaluations
        ],
    )


def _value(evaluation: Evaluation, name: MetricName) -> str:
    value = evaluation.value(name)
    if value is None:
        return "-"
    ends = evaluation.intervals.get(name)
    return f"{value:.4f}" + (f" [{ends[0]:.4f}, {ends[1]:.4f}]" if ends else "")


def _limits(declaration: ModelDeclaration) -> list[str]:
    of = declaration.features
    told = [
        f"It scores rows of `{of.table}` of the definition that it learnt from, and no other.",
        "Its figures hold for days like those of the test; the monitors say when that ends.",
    ]
    if declaration.slices:
        columns = ", ".join(f"`{s.column}`" for s in declaration.slices)
        told.append(f"Values of {columns} with few rows were not measured on their own.")
    else:
        told.append("No slice was declared: how it does for parts of the rows is not known.")
    return told


def _back(declaration: ModelDeclaration) -> list[str]:
    name = declaration.name
    told = (
        f"`lake rollback {name} --because …` makes the champion before it the champion again; "
        f"`lake promote {name} VERSION --because …` takes any version; `lake why {name}` tells "
        "what happened to it."
    )
    return [told]


def _md(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return re.sub(r"([|<])", r"\\\1", " ".join(str(text).split()))


def _code(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", text)


_STYLE = """\
body{font:15px/1.5 system-ui,sans-serif;color:#22282d;max-width:62rem;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:1.8rem}
table{border-collapse:collapse;font-size:14px}th,td{text-align:left;padding:.3rem .7rem .3rem 0;
border-bottom:1px solid #e3e7ea;vertical-align:top}code{background:#f1f3f5;padding:0 .25rem}"""

_PAGE = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{style}</style></head>
<body>
{body}
</body></html>
"""
