"""What can be judged from the text alone: the allow-list, and how its words are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlglot import exp

from lakehouse.sql import arguments, portable
from lakehouse.sql.finding import remedy
from lakehouse.sql.problem import Problem, number
from lakehouse.sql.query import Query

__all__ = ["check_text"]

_DIVIDES = (exp.Div, exp.IntDiv, exp.Mod)
_COMPARISONS = (
    *(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.Is),
    *(exp.In, exp.Like, exp.ILike, exp.Between),
)
_UNITS = frozenset(["MICROSECOND", "SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR"])


def check_text(query: Query) -> Iterator[Problem]:
    """Everything in a query that is outside the portable subset, without asking for types."""
    for node in query.ast.walk():
        yield from _forms(node)
        for kind, rule in _RULES:
            if isinstance(node, kind):
                yield from rule(node)
    yield from _ctes(query.ast)
    yield from _outermost(query.ast)


def _ctes(tree: exp.Expr) -> Iterator[Problem]:
    """For Spark all are moved to the top, where each has one meaning."""
    seen: set[str] = set()
    for cte in tree.find_all(exp.CTE):
        name = cte.alias.lower()
        if name in seen:
            yield cte, "not-portable", f"two CTEs {name!r}", "give each its own name"
        seen.add(name)


def _forms(node: exp.Expr) -> Iterator[Problem]:
    for form in portable.forms(node):
        if form not in portable.allowed():
            written = node.sql("duckdb", comments=False)
            short = written if len(written) <= 60 else written[:57] + "…"
            yield node, "not-portable", f"{short}: {_spoken(form)}", remedy(form)
            return


def _spoken(form: str) -> str:
    word = form.rpartition(".")[2].replace("=", " ").rstrip("_")
    return f"{word} is outside the portable subset"


def _divisor(node: exp.Binary) -> Iterator[Problem]:
    by = node.right.unnest()
    value = number(by)
    if value is None and not (isinstance(by, exp.Nullif) and number(by.expression) == 0):
        message = "a divisor that may be 0: inf on one engine, an error on the other"
        yield node, "divisor", message, f"write nullif({by.sql('duckdb')}, 0)"
    if value == 0:
        yield node, "divisor", "division by 0", "divide by something else"


def _interval(node: exp.Interval) -> Iterator[Problem]:
    unit = node.args.get("unit")
    name = unit.name.upper() if isinstance(unit, exp.Var) else ""
    if not isinstance(node.this, exp.Literal) or name.removesuffix("S") not in _UNITS:
        message = f"{node.sql('duckdb')}: an interval is one number and one unit"
        yield node, "interval", message, "write n * INTERVAL '1' MINUTE"


def _round(node: exp.Round) -> Iterator[Problem]:
    of = node.this.unnest()
    if not isinstance(of, exp.Column):
        message = "rounding a computed double: its last bits differ, so halves fall either way"
        yield node, "rounding", message, "publish it as it is, or floor(x + 0.5e0) of a column"


def _count_distinct(node: exp.Window) -> Iterator[Problem]:
    if node.this.find(exp.Distinct):
        message = "DISTINCT in a window: not known to Spark"
        yield node, "not-portable", message, "group in a CTE and join"


def _union(node: exp.SetOperation) -> Iterator[Problem]:
    for side in (node.left, node.right):
        if isinstance(side, exp.Select) and side.is_star:
            message = "* in a set operation: columns are matched by position"
            yield side, "star", message, "name the columns"


def _distinct_on(node: exp.Select) -> Iterator[Problem]:
    distinct = node.args.get("distinct")
    if (
        isinstance(distinct, exp.Distinct)
        and distinct.args.get("on")
        and not node.args.get("order")
    ):
        message = "DISTINCT ON without ORDER BY keeps any row"
        yield node, "window-order", message, "add ORDER BY, ending with the key"


def _qualified(node: exp.Column) -> Iterator[Problem]:
    if node.db:
        message = f"{node.sql('duckdb')}: a column with its layer"
        yield node, "not-portable", message, "give the table an alias and write alias.column"


def _brackets(node: exp.Expr) -> Iterator[Problem]:
    sides = [node.this, *(node.args.get(side) for side in ("expression", "low", "high"))]
    if any(isinstance(side, (*_COMPARISONS, exp.Not, exp.Exists)) for side in sides):
        message = "a comparison of a comparison: which comes first differs"
        yield node, "not-portable", message, "write brackets: a = (b IN (…))"


def _in_rows(node: exp.In) -> Iterator[Problem]:
    above: exp.Expr | None = node.parent
    while isinstance(above, exp.And | exp.Or | exp.Not | exp.Paren):
        above = above.parent
    if node.args.get("query") and not isinstance(above, _CONDITIONS):
        message = "IN (SELECT …) as a value: NULL here where it cannot be told, false there"
        yield node, "not-portable", message, "LEFT JOIN the rows, or write it in a WHERE or CASE"


_CONDITIONS = (exp.Where, exp.Having, exp.Join, exp.If)


def _qualify(node: exp.Qualify) -> Iterator[Problem]:
    select = node.parent
    if isinstance(select, exp.Select) and select.args.get("distinct"):
        message = "DISTINCT with QUALIFY: which comes first differs"
        yield node, "not-portable", message, "write one of them in a SELECT around the other"


def _group_concat(node: exp.GroupConcat) -> Iterator[Problem]:
    if not isinstance(node.this, exp.Order):
        message = "string_agg in no order"
        yield node, "aggregate-order", message, "write string_agg(s, ',' ORDER BY s)"


def _join(node: exp.Join) -> Iterator[Problem]:
    told = node.args.get("on") or node.args.get("using")
    if not told and node.args.get("kind") != "CROSS":
        message = "a join without ON or USING"
        yield node, "not-portable", message, "write ON …, or CROSS JOIN"


_RULES: tuple[
    tuple[type[exp.Expr] | tuple[type[exp.Expr], ...], Callable[..., Iterator[Problem]]], ...
] = (
    (_DIVIDES, _divisor),
    (exp.Interval, _interval),
    (exp.Round, _round),
    *arguments.RULES,
    (exp.Window, _count_distinct),
    (exp.SetOperation, _union),
    (exp.Select, _distinct_on),
    (exp.Column, _qualified),
    (_COMPARISONS, _brackets),
    (exp.In, _in_rows),
    (exp.Qualify, _qualify),
    (exp.GroupConcat, _group_concat),
    (exp.Join, _join),
)


def _outermost(tree: exp.Expr) -> Iterator[Problem]:
    while isinstance(tree, exp.SetOperation):
        tree = tree.left
    if not isinstance(tree, exp.Select):
        return
    seen: set[str] = set()
    for column in tree.expressions:
        name = column.alias_or_name.lower()
        if column.is_star:
            message = "* in the outermost SELECT: a reader should see what the table holds"
            yield column, "star", message, "name the columns in the contract's order"
        elif not name or not isinstance(column, exp.Alias | exp.Column):
            message = f"{column.sql('duckdb')} has no name"
            yield column, "unnamed", message, "add AS <column of the contract>"
        elif name in seen:
            yield column, "unnamed", f"two columns {name!r}", "give each its own name"
        seen.add(name)
