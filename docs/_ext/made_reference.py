"""Reference pages from the code: ``<!-- made: NAME -->`` in a page becomes what NAME makes.

Nothing is imported that starts anything: flows and events are read from their source.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARK = re.compile(r"^<!-- made: ([a-z-]+) -->$", re.MULTILINE)


def setup(app: object) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", _fill)  # type: ignore[attr-defined]
    return {"parallel_read_safe": True}


def _fill(_app: object, _docname: str, source: list[str]) -> None:
    source[0] = MARK.sub(lambda found: MADE[found[1]](), source[0])


# --- docstrings -----------------------------------------------------------------------------------


def described(thing: type, section: str = "Attributes") -> dict[str, str]:
    """Name → text of one section of a Google docstring, of the class and of its bases."""
    found: dict[str, str] = {}
    for kind in reversed(thing.__mro__):
        found |= entries(inspect.cleandoc(kind.__dict__.get("__doc__") or ""), section)
    return found


def entries(doc: str, section: str) -> dict[str, str]:
    """The entries of one section of a docstring."""
    found: dict[str, str] = {}
    inside, name = False, ""
    for line in doc.splitlines():
        if line and not line.startswith(" "):
            inside = line == f"{section}:"
        elif inside and (entry := re.match(r"    (\w+): (.*)", line)):
            name = entry[1]
            found[name] = entry[2]
        elif inside and name and line.startswith("        "):
            found[name] += " " + line.strip()
    return found


def marked(text: str) -> str:
    """Docstring markup as Markdown."""
    text = re.sub(r":\w+:`[~.]?([^`]+)`", r"`\1`", text)
    return text.replace("``", "`").replace("|", "\\|")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def code(text: object) -> str:
    """Inline code that may stand in a table."""
    told = str(text).replace("|", "\\|").replace("\n", " ")
    return f"`{told}`" if told else ""


# --- settings, contract, models -------------------------------------------------------------------


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
    )
    return "\n".join(_keys(f"lakehouse.{at}".rstrip("."), kind) for at, kind in parts)


def model_keys() -> str:
    """The keys of a model declaration."""
    from lakehouse.training import declaration as d

    parts = (
        ("the file", d.ModelDeclaration),
        ("features", d.Features),
        ("label", d.Label),
        ("split", d.Split),
        ("estimator", d.Estimator),
        ("baselines[]", d.Baseline),
        ("metrics", d.Metrics),
        ("gates[]", d.Gate),
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
    if hasattr(value, "model_fields") or value in (None, (), {}):
        return ""
    if hasattr(value, "total_seconds"):
        return code("0 days") if not value else code(value)
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
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
    name = getattr(kind, "__name__", str(kind))
    return names.get(name, {"timedelta": "duration"}.get(name, "mapping" if "." not in name and
                     hasattr(kind, "model_fields") else name))


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


# --- ops tables, errors ---------------------------------------------------------------------------


def ops_tables() -> str:
    """The tables of the ledger, column by column."""
    from lakehouse import ledger

    made = []
    rows_of = {"runs": ledger.RunRow, "builds": ledger.BuildRow, "audits": ledger.AuditRow}
    for name in ledger.TABLES:
        kind = rows_of[name]
        told, schema = described(kind), ledger.schema_of(name)
        rows = [
            [code(f.name), code(schema.field(f.name).type), marked(told.get(f.name, ""))]
            for f in dataclasses.fields(kind)
        ]
        grain = inspect.cleandoc(kind.__doc__ or "").splitlines()[0].rstrip(".")
        made.append(f"## `ops.{name}`\n\nGrain: {grain[0].lower()}{grain[1:]}.\n")
        made.append(table(["column", "type", "what"], rows))
    return "\n".join(made)


def errors() -> str:
    """Every error class, with each place that raises it: what is found, and the remedy."""
    from lakehouse import errors as tree

    raised = _raised({name for name in tree.__all__})
    made = []
    for name in _by_depth(tree):
        kind = getattr(tree, name)
        made.append(f"## {name}\n\n{marked(inspect.cleandoc(kind.__doc__ or '').splitlines()[0])}")
        base = kind.__mro__[1].__name__
        made.append(f"Is a `{base}`. Exit code {kind.exit_code}.\n")
        if raised.get(name):
            made.append(table(["asked", "found", "remedy"], sorted(raised[name])))
    return "\n\n".join(made)


def _by_depth(tree: object) -> list[str]:
    """The classes of the module in the order in which they are written."""
    kinds = [k for k in vars(tree).values() if inspect.isclass(k) and k.__name__ in tree.__all__]  # type: ignore[attr-defined]
    return [k.__name__ for k in kinds]


def _raised(names: set[str]) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    for file in sorted(ROOT.glob("lakehouse/**/*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        assigned = _assigned(tree)
        for call in (n for n in ast.walk(tree) if isinstance(n, ast.Call)):
            name = getattr(call.func, "id", "")
            if name not in names or len(call.args) < 3:
                continue
            said = [_template(argument, assigned) for argument in call.args[:3]]
            row = [_cell(text) for text in said]
            # What is only handed through is told where it is made.
            if said[1].strip(" …") and said[2].strip(" …") and row not in found.get(name, []):
                found.setdefault(name, []).append(row)
    return found


def _assigned(tree: ast.AST) -> dict[str, ast.expr]:
    """Names that are given exactly one text in their module."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if isinstance(node.value, ast.Constant | ast.JoinedStr):
                found.setdefault(node.targets[0].id, []).append(node.value)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def _template(node: ast.expr, assigned: Mapping[str, ast.expr]) -> str:
    """A message with ``…`` where a value stands."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_template(v, {}) for v in values)
        case ast.BinOp(left=left, right=right):
            return _template(left, assigned) + _template(right, assigned)
        case ast.IfExp(body=body, orelse=other):
            told = [t for t in (_template(body, {}), _template(other, {})) if t.strip(" …")]
            return " / ".join(told)
        case ast.Name(id=name) if name in assigned:
            return _template(assigned[name], {})
    return "…"


def _cell(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"([|*_`<>\\\[\]])", r"\\\1", text)


# --- commands, flows, events ----------------------------------------------------------------------


def commands() -> str:
    """Every command of ``lake`` with its arguments and options."""
    import click

    from lakehouse.cli import COMMANDS, lake

    made = []
    context = click.Context(lake, info_name="lake")
    for name, (_, summary) in COMMANDS.items():
        command = lake.get_command(context, name)
        assert command is not None, name
        inner = click.Context(command, info_name=name, parent=context)
        usage = " ".join(command.collect_usage_pieces(inner))
        made.append(f"## `lake {name}`\n\n{marked(summary)}\n\n```\nlake {name} {usage}\n```\n")
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


def flows() -> str:
    """Every flow with its parameters."""
    made = []
    for file in sorted((ROOT / "flows").glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and any(_is_flow(d) for d in node.decorator_list):
                made.append(_flow(file.stem, node))
    return "\n".join(made)


def _is_flow(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Name) and called.id == "flow"


def _flow(module: str, node: ast.FunctionDef) -> str:
    doc = ast.get_docstring(node) or ""
    told = entries(doc, "Args")
    arguments = node.args.args
    defaults = [None] * (len(arguments) - len(node.args.defaults)) + [*node.args.defaults]
    rows = [
        [code(a.arg), code(ast.unparse(d)) if d is not None else "needed", marked(told.get(a.arg, ""))]
        for a, d in zip(arguments, defaults, strict=True)
    ]
    head = f"## `{node.name}`\n\n{marked(doc.splitlines()[0])}\n\n`python -m flows.{module}`\n\n"
    return head + table(["parameter", "default", "what"], rows)


#: What each part of an event says; an event with a part that is not told here fails the build.
_EVENT_PARTS = {
    "lakehouse.table.committed": {
        "version": "The table's new Delta version.",
        "partitions": "The targets published by this commit, at most 100.",
        "rows": "Rows published by this commit.",
        "run": "The run's id, as in `ops.runs`.",
    },
}


def events() -> str:
    """The events that flows emit."""
    made = []
    for name, resource, payload in emitted():
        told = _EVENT_PARTS[name]
        rows = [[code(key), told[key]] for key in payload]
        made.append(f"## `{name}`\n\nResource: `{resource}`\n")
        made.append(table(["payload", "what"], rows))
    return "\n".join(made)


def emitted() -> Iterator[tuple[str, str, list[str]]]:
    """(event, resource id, payload keys) of each ``emit_event`` in the flows."""
    for file in sorted((ROOT / "flows").glob("*.py")):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "emit_event":
                given = {k.arg: k.value for k in call.keywords}
                event, resource, payload = given["event"], given["resource"], given["payload"]
                assert isinstance(event, ast.Constant)
                assert isinstance(resource, ast.Dict) and isinstance(payload, ast.Dict)
                keys = [k.value for k in payload.keys if isinstance(k, ast.Constant)]
                identity = _template(resource.values[0], {}).replace("…", "<domain>.<layer>.<table>")
                yield str(event.value), identity, [str(k) for k in keys]


MADE: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "contract-keys": contract_keys,
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
