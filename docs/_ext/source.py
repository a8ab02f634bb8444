"""What is read from the source, without importing it: errors, flows, events."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from texts import code, entries, marked, table

__all__ = ["emitted", "error_tree", "errors", "events", "flows"]

ROOT = Path(__file__).parents[2]


def errors() -> str:
    """Every error class, with each place that raises it: what is found, and the remedy."""
    from lakehouse import errors as tree

    raised = _raised(set(tree.__all__))
    made = []
    for name in _in_order(tree):
        kind = getattr(tree, name)
        made.append(f"## {name}\n\n{marked(inspect.cleandoc(kind.__doc__ or '').splitlines()[0])}")
        made.append(f"Exit code {kind.exit_code}.\n")
        if raised.get(name):
            made.append(table(["asked", "found", "remedy"], sorted(raised[name])))
    return "\n\n".join(made)


def error_tree() -> str:
    """The classes as a tree."""
    from lakehouse.errors import LakehouseError

    return "```\n" + "\n".join(["LakehouseError", *_branches(LakehouseError)]) + "\n```\n"


def _branches(kind: type, indent: str = "") -> Iterator[str]:
    below = kind.__subclasses__()
    for child in below:
        last = child is below[-1]
        yield f"{indent}{'└──' if last else '├──'} {child.__name__}"
        yield from _branches(child, indent + ("    " if last else "│   "))


def _in_order(tree: object) -> list[str]:
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
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant() | ast.JoinedStr()):
                found.setdefault(name, []).append(node.value)
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


def flows() -> str:
    """Every flow with its parameters."""
    made = []
    for file in sorted((ROOT / "flows").glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        flows = [f for f in functions if any(_is_flow(d) for d in f.decorator_list)]
        made += [_flow(file.stem, node) for node in flows]
    return "\n".join(made)


def _is_flow(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Name) and called.id == "flow"


def _flow(module: str, node: ast.FunctionDef) -> str:
    doc = ast.get_docstring(node) or ""
    told = entries(doc, "Args")
    arguments = node.args.args
    defaults = [None] * (len(arguments) - len(node.args.defaults)) + [*node.args.defaults]
    rows = []
    for argument, default in zip(arguments, defaults, strict=True):
        shown = "needed" if default is None else code(ast.unparse(default))
        rows.append([code(argument.arg), shown, marked(told.get(argument.arg, ""))])
    head = f"## `{node.name}`\n\n{marked(doc.splitlines()[0])}\n\n`python -m flows.{module}`\n\n"
    return head + table(["parameter", "default", "what"], rows)


_ALARM = {
    "version": "The version that was watched.",
    "window": "`start` and `end` of the window of event time, UTC.",
    "because": "The monitor's sentence, with its numbers.",
    "run": "The run's id, as in `ops.monitors`.",
}

#: What each part of an event says; an event with a part that is not told here fails the build.
_EVENT_PARTS = {
    "lakehouse.table.committed": {
        "version": "The table's new Delta version.",
        "partitions": "The targets published by this commit, at most 100.",
        "rows": "Rows published by this commit.",
        "run": "The run's id, as in `ops.runs`.",
    },
    "lakehouse.model.scored": {
        "version": "The version that predicted.",
        "partitions": "The feature partitions that were looked at, at most 100.",
        "rows": "Predictions that were added.",
        "run": "The run's id, as in `ops.runs`.",
    },
    "lakehouse.model.performance_dropped": _ALARM,
    "lakehouse.model.distribution_changed": _ALARM,
    "lakehouse.model.promoted": {
        "version": "The new champion.",
        "before": "The champion before it; 0 for none.",
        "decision": "The decision that led to it, as in `ops.decisions`.",
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
                about_model = str(event.value).startswith("lakehouse.model.")
                shown = "<domain>.<model>" if about_model else "<domain>.<layer>.<table>"
                identity = re.sub("…(\\.…)*", shown, _template(resource.values[0], {}))
                yield str(event.value), identity, [str(k) for k in keys]
