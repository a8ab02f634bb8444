"""Reference pages from the code: ``<!-- made: NAME -->`` in a page becomes what NAME makes.

Nothing is imported that starts anything: flows and events are read from their source.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Mapping

from source import error_tree, errors, events, flows
from texts import code, described, marked, table

MARK = re.compile(r"^<!-- made: ([a-z-]+) -->$", re.MULTILINE)


def setup(app: object) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", _fill)  # type: ignore[attr-defined]
    return {"parallel_read_safe": True}


def _fill(_app: object, _docname: str, source: list[str]) -> None:
    source[0] = MARK.sub(lambda found: MADE[found[1]](), source[0])


def settings() -> str:
    """The ``LAKE_…`` variables."""
    from lakehouse.settings import Settings

    told = described(Settings)
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default
        shown = "2 GiB" if default == 2 * 1024**3 else "" if default in ("", None) else str(default)
        rows.append([code(f"LAKE_{name.upper()}"), code(shown), marked(told.get(name, ""))])
    return table(["variable", "default", "what it says"], rows)


def contract_keys() -> str:
    """The keys of ``customProperties: lakehouse``."""
    from lakehouse.contract import model

    parts = (
        ("", model.Properties),
        ("source", model.Source),
        ("partition", model.Partition),
        ("columns", model.ColumnPolicy),
        ("reads.<table>", model.Read),
        ("rows", model.Rows),
        ("waivers[]", model.Waiver),
        ("retention", model.Retention),
    )
    return "\n".join(_keys(f"lakehouse.{at}".rstrip("."), kind) for at, kind in parts)


def model_keys() -> str:
    """The keys of a model declaration."""
    from lakehouse.training import declaration as d

    parts = (
        ("the file", d.ModelDeclaration),
        ("features", d.Features),
        ("label", d.Label),
        ("split, fixed", d.FixedSplit),
        ("split, rolling", d.RollingSplit),
        ("estimator", d.Estimator),
        ("baselines[]", d.Baseline),
        ("metrics", d.Metrics),
        ("slices[]", d.SliceOf),
        ("gates[]", d.MetricGate),
        ("gates[], kind: champion", d.ChampionGate),
        ("gates[], kind: volume", d.VolumeGate),
        ("gates[], kind: missing", d.MissingGate),
        ("gates[], kind: skew", d.SkewGate),
        ("gates[], kind: slices", d.SlicesGate),
        ("gates[], kind: infrastructure", d.InfrastructureGate),
        ("waivers[]", d.Waiver),
        ("retrain", d.RetrainPolicy),
        ("retrain.budget", d.Budget),
        ("monitors", d.Monitors),
        ("monitors.drift", d.DriftMonitor),
        ("monitors.performance", d.PerformanceMonitor),
        ("monitors.freshness", d.FreshnessMonitor),
        ("monitors.volume", d.VolumeMonitor),
        ("monitors.missing", d.MissingMonitor),
    )
    return "\n".join(_keys(at, kind) for at, kind in parts)


def _keys(at: str, kind: type) -> str:
    told, rows = described(kind), []
    for name, field in kind.model_fields.items():  # type: ignore[attr-defined]
        needed = "needed" if field.is_required() else _default(field.default)
        key = code(field.alias or name)
        rows.append([key, _type(field.annotation), needed, marked(told.get(name, ""))])
    first = inspect.cleandoc(kind.__doc__ or "").splitlines()[0]
    return f"### `{at}`\n\n{marked(first)}\n\n" + table(["key", "type", "default", "what"], rows)


def _default(value: object) -> str:
    if hasattr(type(value), "model_fields") or value in (None, (), {}):
        return ""
    if hasattr(value, "total_seconds"):
        return code(str(value).removesuffix(", 0:00:00") if value else "0 days")
    return code(list(value) if isinstance(value, tuple) else value)


def _type(kind: object) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(code(value) for value in typing.get_args(kind))
    arguments = [a for a in typing.get_args(kind) if a is not type(None)]
    if kind.__class__.__name__ in ("UnionType", "_UnionGenericAlias"):
        return _type(arguments[0])
    origin = typing.get_origin(kind)
    if origin in (tuple, list):
        return "pair of dates" if len(set(arguments)) == 1 and len(arguments) == 2 else "list"
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is not None:
        return "mapping"
    if isinstance(kind, type) and hasattr(kind, "__members__"):
        return ", ".join(code(value) for value in kind)
    return _TYPES.get(getattr(kind, "__name__", str(kind)), "mapping")


_TYPES = {
    "bool": "true or false",
    "date": "date",
    "float": "number",
    "int": "whole number",
    "str": "text",
    "timedelta": "duration",
}


def rules() -> str:
    """The expectations that are evaluated, with their arguments."""
    from lakehouse.contract import rules as known

    def rows(of: Mapping[str, tuple[frozenset[str], frozenset[str], frozenset[str]]]) -> str:
        made = []
        for name, (needed, some, optional) in of.items():
            asked = ", ".join(code(a) for a in sorted(needed))
            one = " or ".join(code(a) for a in sorted(some))
            made.append(
                [
                    code(f"expect_{name}"),
                    ", ".join(filter(None, [asked, one])) or "none",
                    ", ".join(code(a) for a in sorted(optional)),
                ]
            )
        return table(["expectation", "needs", "may have"], made)

    return (
        "**Row rules**: a row that violates one goes to quarantine; with `mostly` below 1 the rule "
        f"only counts, and blocks when too many rows violate it.\n\n{rows(known._ROW)}\n"
        "**Table rules**: evaluated over a whole target, which they block.\n\n"
        f"{rows(known._TABLE)}"
    )


def types() -> str:
    """The types that a column may have."""
    from lakehouse.types import ARROW_TYPES, DELTA_TYPES

    rows = [[code(t), code(ARROW_TYPES[t]), code(DELTA_TYPES[t])] for t in ARROW_TYPES]
    return table(["`physicalType`", "Arrow", "Delta"], rows)


def sql_forms() -> str:
    """The probes of the portable subset: what stands in one is allowed."""
    from lakehouse.sql import portable

    parts = (
        ("One value a row", portable.EXPRESSIONS),
        ("One value a group", portable.AGGREGATES),
        ("Whole queries", portable.SELECTS),
    )
    return "\n".join(
        f"### {title}\n\n```sql\n" + "\n".join(" ".join(p.split()) for p in probes) + "\n```\n"
        for title, probes in parts
    )


def ops_tables() -> str:
    """The tables of the ledger, column by column."""
    from lakehouse import ops

    made = []
    for name, kind in ops.ROWS.items():
        told, schema = described(kind), ops.schema_of(name)
        rows = [
            [code(f.name), code(schema.field(f.name).type), marked(told.get(f.name, ""))]
            for f in dataclasses.fields(kind)
        ]
        grain = inspect.cleandoc(kind.__doc__ or "").splitlines()[0].rstrip(".")
        made.append(f"## `ops.{name}`\n\nGrain: {grain[0].lower()}{grain[1:]}.\n")
        made.append(table(["column", "type", "what"], rows))
    return "\n".join(made)


def commands() -> str:
    """Every command of ``lake`` with its arguments and options."""
    import click

    from lakehouse.cli import COMMANDS, lake

    made = []
    context = click.Context(lake, info_name="lake")
    for name in COMMANDS:
        command = lake.get_command(context, name)
        assert command is not None, name
        inner = click.Context(command, info_name=name, parent=context)
        usage = " ".join(command.collect_usage_pieces(inner))
        made.append(f"## `lake {name}`\n\n```\nlake {name} {usage}\n```\n")
        text = inspect.cleandoc(command.help or "").replace("\b", "")
        made.append(marked(text) + "\n")
        rows = [
            [code("/".join([*p.opts, *p.secondary_opts])), _option(p)]
            for p in command.params
            if isinstance(p, click.Option) and not p.hidden
        ]
        if rows:
            made.append(table(["option", "what"], rows))
    return "\n".join(made)


def _option(option: object) -> str:
    import click

    assert isinstance(option, click.Option)
    told = marked(option.help or "")
    if isinstance(option.type, click.Choice):
        told += " One of " + ", ".join(code(c) for c in option.type.choices) + "."
    shown = option.default
    if shown not in (None, False, (), "") and "UNSET" not in str(shown).upper():
        told += f" Default: {code(shown)}."
    return told


MADE: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "contract-keys": contract_keys,
    "error-tree": error_tree,
    "errors": errors,
    "events": events,
    "flows": flows,
    "model-keys": model_keys,
    "ops-tables": ops_tables,
    "rules": rules,
    "settings": settings,
    "sql-forms": sql_forms,
    "types": types,
}
