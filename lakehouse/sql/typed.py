"""What can be judged once types are known: silent casts and arithmetic of times."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from sqlglot import exp

from lakehouse.sql.problem import Problem

__all__ = ["check_output", "check_types", "family"]

_FAMILIES: dict[str, str] = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INT", "BIGINT", "INT128", "UINT"), "whole"),
    **dict.fromkeys(("DOUBLE", "FLOAT", "DECIMAL"), "double"),
    **dict.fromkeys(("VARCHAR", "TEXT", "CHAR"), "text"),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMPNTZ", "TIMESTAMPTZ"), "timestamp"),
    "DATE": "date",
    "BOOLEAN": "boolean",
    "INTERVAL": "interval",
    "NULL": "null",
}
# What may be compared with, or stand beside, what.
_KINDS = {"whole": "number", "double": "number", "date": "time", "timestamp": "time"}

_COMPARE = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.Between, exp.In)
_BRANCHES = (exp.Case, exp.Coalesce, exp.If, exp.Greatest, exp.Least, exp.Nullif)
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Pow)
_OF_NUMBERS = (exp.Sum, exp.Avg, exp.Median, exp.Stddev, exp.StddevSamp, exp.VariancePop)

_PATTERNS = {
    "whole": "^-?[0-9]+$",
    "double": "^-?[0-9]+([.][0-9]+)?$",
    "date": "^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}$",
    "timestamp": "^[0-9]{4}(-[0-9]{2}){2} ([01][0-9]|2[0-3])(:[0-9]{2}){2}$",
    "boolean": "^(true|false)$",
}
# Texts that the engines read differently, so that no pattern may let them through.
_DAY = "2013-01-05"
_DATES = (
    *("2013", "2013-01", "2013/01/05", "2013 01 05", "13-01-05", "101-1-1", "-013-01-05"),
    *("epoch", "infinity", f"{_DAY} (BC)"),
)
_CLOCKS = (
    *("24:00", "24:00:00", "24:00:00.0", "04", "004:03:2", "04:03:02+5", "04:03:02+19:00"),
    *("24:00:00Z", "24:00:00+00", "24:00:00+0000", "24:00:00+00:00"),
)
_ODD = {
    "whole": ("5.7", "1.0", "7.", ".5", "1_000", "1e3", "1E3", "1e-2", "0x1F", "0b1"),
    "double": ("1_000", "+-7", "1d", "1D", "1f", "1F", "0x1p3"),
    "date": (*_DATES, f"{_DAY}T", f"{_DAY} 25:00:00", f"{_DAY} 04"),
    "timestamp": (*_DATES, *(f"{_DAY}{by}{clock}" for clock in _CLOCKS for by in (" ", "T"))),
    "boolean": (" true", "true "),
}


def family(node: exp.Expr) -> str | None:
    """The family of an expression's type; None when it is not known."""
    kind = node.type
    return _FAMILIES.get(kind.this.value) if isinstance(kind, exp.DataType) else None


def check_types(tree: exp.Query) -> Iterator[Problem]:
    """Everything in a resolved query whose meaning hangs on a silent cast."""
    for node in tree.walk():
        for kind, rule in _RULES:
            if isinstance(node, kind):
                yield from rule(node)


def check_output(tree: exp.Query, output: Mapping[str, str]) -> Iterator[Problem]:
    """Where the final cast to the contract's types would change values."""
    kinds = {name.lower(): kind for name, kind in output.items()}
    for column in tree.selects:
        kind = kinds.get(column.alias_or_name.lower())
        if kind is None:
            continue
        source, target = family(column), _family_of(kind)
        if source in (None, "null", target) or (source, target) in _HARMLESS:
            continue
        message = f"{column.alias_or_name} is {column.type} here and {kind} in the contract"
        remedy = "cast it"
        if (source, target) == ("double", "whole"):
            remedy = f"write CAST(floor(…) AS {kind})"
        elif source == "text":
            remedy = _read_text(target, kind)
        yield column, "silent-cast", message, remedy


_HARMLESS = {
    *(("whole", "double"), ("whole", "text"), ("date", "text"), ("date", "timestamp")),
    *(("boolean", "text"), ("boolean", "whole")),
}


def _family_of(kind: str) -> str | None:
    return _FAMILIES.get(exp.DataType.build(kind, dialect="duckdb").this.value)


def _cast(node: exp.Cast) -> Iterator[Problem]:
    source, target, of = family(node.this), _FAMILIES.get(node.to.this.value), node.this.unnest()
    if (
        source == "double"
        and target == "whole"
        and not isinstance(of, exp.Floor | exp.Ceil | exp.Round)
    ):
        message = "a double to a whole number: rounded here, cut there"
        yield node, "float-to-int", message, f"write CAST(floor(x) AS {node.to.sql('duckdb')})"
    elif source == "text" and target not in ("text", None):
        kind = node.to.sql("duckdb")
        if odd := _odd_text(of, str(target)):
            message = f"a text to {kind}: engines differ in what they read of {odd!r}"
            yield node, "text-cast", message, _read_text(target, kind)
    elif target == "text" and source in ("double", "timestamp", "interval"):
        remedy = "write strftime(ts, '…')" if source == "timestamp" else "publish the number"
        yield node, "text-cast", f"{source} to text is written differently", remedy


def _read_text(target: str | None, kind: str) -> str:
    pattern = _PATTERNS.get(target or "", "^…$")
    return f"write TRY_CAST(regexp_extract(s, '{pattern}') AS {kind}): no match gives NULL"


def _odd_text(node: exp.Expr, target: str) -> str | None:
    """A text that engines read differently and that may stand here; None where none is known.

    None of a literal, which is one text. Of ``regexp_extract``, possibly inside ``nullif``, those
    that its pattern lets through; of anything else all.
    """
    if isinstance(node, exp.Nullif):
        node = node.this
    if isinstance(node, exp.Literal):
        return None
    pattern = node.expression.name if isinstance(node, exp.RegexpExtract) else ""
    if not (pattern.startswith("^") and pattern.endswith("$")):
        return _ODD[target][0]
    group = node.args.get("group")
    taken = int(group.name) if isinstance(group, exp.Literal) else 0
    found = ((text, re.search(pattern, text)) for text in _ODD[target])
    return next((text for text, match in found if match and match[taken] == text), None)


def _text(node: exp.Expr) -> Iterator[Problem]:
    for part in node.iter_expressions():
        if family(part) in ("double", "timestamp", "interval"):
            message = f"{part.sql('duckdb')} becomes text by itself"
            yield part, "text-cast", message, "write strftime, or leave it a number"


def _compare(node: exp.Expr) -> Iterator[Problem]:
    parts = [p for p in node.iter_expressions() if not isinstance(p, exp.Query)]
    kinds = {_KINDS.get(f, f) for p in parts if (f := family(p)) not in (None, "null")}
    texts = [p for p in parts if family(p) == "text"]
    if kinds == {"text", "time"} and all(isinstance(p, exp.Literal) for p in texts):
        return
    if len(kinds) > 1:
        message = f"{node.sql('duckdb')}: {' with '.join(sorted(map(str, kinds)))}"
        yield node, "mixed-types", message, "cast one side"


def _branches(node: exp.Expr) -> Iterator[Problem]:
    kinds = {_KINDS.get(f, f) for p in _values(node) if (f := family(p)) not in (None, "null")}
    if len(kinds) > 1:
        message = f"{' and '.join(sorted(map(str, kinds)))} as one value"
        yield node, "mixed-types", message, "cast them to one type"


def _values(node: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(node, exp.Case):
        yield from (branch.args["true"] for branch in node.args["ifs"])
        yield from filter(None, [node.args.get("default")])
    elif isinstance(node, exp.If):
        if not isinstance(node.parent, exp.Case):
            yield from filter(None, (node.args.get("true"), node.args.get("false")))
    else:
        yield from node.iter_expressions()


def _times(node: exp.Binary) -> Iterator[Problem]:
    left, right = family(node.left), family(node.right)
    if (
        isinstance(node, exp.Sub)
        and left in ("date", "timestamp")
        and right in ("date", "timestamp")
    ):
        days = left == right == "date"
        remedy = (
            "write date_diff('day', b, a)" if days else "write unix_seconds(a) - unix_seconds(b)"
        )
        message = "a time minus a time: a number here, an interval there"
        yield node, "date-arithmetic", message, remedy
    dated = (left == "date" and _span(node.right)) or (right == "date" and _span(node.left))
    if dated and not isinstance(_outer(node), exp.Cast):
        message = "a date and an interval: a timestamp here, a date there"
        remedy = "write CAST(d + INTERVAL … AS DATE), or CAST(d AS TIMESTAMP) + INTERVAL …"
        yield node, "date-arithmetic", message, remedy


def _outer(node: exp.Expr) -> exp.Expr | None:
    parent = node.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    return parent


def _span(node: exp.Expr) -> bool:
    node = node.unnest()
    if isinstance(node, exp.Mul):
        return _span(node.left) or _span(node.right)
    return isinstance(node, exp.Interval)


def _multiple(node: exp.Mul) -> Iterator[Problem]:
    for side, other in ((node.left, node.right), (node.right, node.left)):
        if isinstance(side.unnest(), exp.Interval) and family(other) == "double":
            message = "a fraction of an interval"
            yield node, "interval", message, "write whole numbers of a smaller unit"


def _decimal(node: exp.Literal) -> Iterator[Problem]:
    """A literal with a point is a DECIMAL: its quotients have other digits on each engine."""
    if node.is_string or "." not in node.name or "e" in node.name.lower():
        return
    at: exp.Expr = node
    while isinstance(at.parent, exp.Paren | exp.Neg):
        at = at.parent
    parent = at.parent
    if isinstance(parent, exp.Cast | exp.DateFromParts | exp.TimestampFromParts):
        return
    if isinstance(parent, _COMPARE):
        return
    if isinstance(parent, _ARITHMETIC) and not isinstance(parent, exp.IntDiv):
        other = parent.right if parent.left is at else parent.left
        if family(other) == "double" and not isinstance(other.unnest(), exp.Literal):
            return
    message = f"{node.name} is a DECIMAL, whose arithmetic has other digits on each engine"
    yield node, "decimal", message, f"write {node.name}e0, which is a DOUBLE"


def _int_div(node: exp.IntDiv) -> Iterator[Problem]:
    if "double" in (family(node.left), family(node.right)):
        yield node, "float-to-int", "// of doubles", "write floor(a / nullif(b, 0))"


def _day_diff(node: exp.DateDiff) -> Iterator[Problem]:
    for side in (node.this, node.expression):
        if family(side) not in ("date", None):
            message = "date_diff of timestamps: midnights here, 24 hours there"
            yield (
                node,
                "date-arithmetic",
                message,
                "cast both to DATE, or subtract unix_seconds(ts)",
            )
            return


def _numbers(node: exp.Expr) -> Iterator[Problem]:
    of = node.this.expressions[0] if isinstance(node.this, exp.Distinct) else node.this
    if family(of) not in ("whole", "double", "null", None):
        message = f"{node.sql('duckdb')} of a {family(of)}"
        remedy = "write sum(CASE WHEN … THEN 1 ELSE 0 END), or take a number of it first"
        yield node, "mixed-types", message, remedy


_RULES: tuple[
    tuple[type[exp.Expr] | tuple[type[exp.Expr], ...], Callable[..., Iterator[Problem]]], ...
] = (
    (exp.Cast, _cast),
    ((exp.Concat, exp.ConcatWs, exp.DPipe), _text),
    (_COMPARE, _compare),
    (_BRANCHES, _branches),
    ((exp.Add, exp.Sub), _times),
    (exp.Mul, _multiple),
    (exp.Literal, _decimal),
    (exp.IntDiv, _int_div),
    (exp.DateDiff, _day_diff),
    (_OF_NUMBERS, _numbers),
)
