"""What sqlglot 30.30 does not make of DuckDB's SQL for Spark, or makes wrongly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from lakehouse.sql import letters, regex
from lakehouse.sql.typed import family

__all__ = ["in_any_year", "rewrite", "typed"]

_AUDITED = "_audited"
# Spark writes later years with a sign, earlier ones below zero, and knows no infinity.
_DATE = """CASE WHEN {} > DATE'9999-12-31' THEN substr(CAST({} AS STRING), 2)
    WHEN {} < DATE'0001-01-01' THEN concat(
        CASE WHEN year({}) > -9999 THEN lpad(CAST(1 - year({}) AS STRING), 4, '0')
            ELSE CAST(1 - year({}) AS STRING) END,
        right(CAST({} AS STRING), 6), ' (BC)')
    ELSE CAST({} AS STRING) END"""
_TEXTS = {
    "date": f"""CASE abs(unix_date({{}})) WHEN 2147483647
        THEN concat(if({{}} > DATE'1970-01-01', '', '-'), 'infinity') ELSE {_DATE} END""",
    "timestamp": f"""CASE abs(unix_micros({{}})) WHEN 9223372036854775807
        THEN concat(if({{}} > DATE'1970-01-01', '', '-'), 'infinity')
        ELSE concat({_DATE.replace("{}", "CAST({} AS DATE)")},
            regexp_extract(CAST({{}} AS STRING), ' .*$', 0), '+00') END""",
}


def rewrite(tree: exp.Expr) -> exp.Expr:
    """A tree in DuckDB's dialect as the tree that means the same on Spark.

    Args:
        tree: Changed in place. Where types are known (``resolve``, :func:`typed`), numbers that
            are whole keep their simple form.
    """
    for node in reversed(list(tree.walk())):
        made = _rewritten(node)
        if made is node:
            continue
        made.type = node.type
        if node is tree:
            tree = made
        else:
            node.replace(made)
    return tree


def in_any_year(tree: exp.Expr) -> exp.Expr:
    """A rewritten tree whose casts of times to text are DuckDB's in any year."""
    for cast in list(tree.find_all(exp.Cast)):
        form = _TEXTS.get(family(cast.this) or "")
        if form is None or not cast.to.is_type("VARCHAR", "TEXT"):
            continue
        # As text: sqlglot reads unix_date as a difference of dates, which is narrower.
        made = exp.var("(" + form.replace("{}", cast.this.sql("spark")) + ")")
        if cast is tree:
            return made
        cast.replace(made)
    return tree


def typed(text: str, columns: Mapping[str, str]) -> exp.Expr:
    """An expression, or a query of ``_audited``, with the types of what it reads.

    Args:
        text: DuckDB SQL of the library's own.
        columns: Columns with DuckDB types; others may be read too, their types are not known.
    """
    tree = sqlglot.parse_one(text, read="duckdb")
    if isinstance(tree, exp.Query):
        return _resolved(tree, columns)
    query = _resolved(exp.select(exp.alias_(tree, "_v")).from_(_AUDITED), columns)
    for column in query.find_all(exp.Column):
        if column.table == _AUDITED:
            column.set("table", None)
    return query.selects[0].unalias()


def _resolved(query: exp.Query, columns: Mapping[str, str]) -> exp.Query:
    kinds: dict[str, object] = {_AUDITED: {"_violations": "VARCHAR[]", **columns}}
    schema = MappingSchema(kinds, dialect="duckdb")
    options: dict[str, Any] = {"validate_qualify_columns": False, "expand_stars": False}
    found = qualify(query, schema=schema, dialect="duckdb", **options)
    return annotate_types(found, schema=schema, dialect="duckdb")


def _rewritten(node: exp.Expr) -> exp.Expr:
    for kind, rule in _RULES:
        if isinstance(node, kind):
            return rule(node)
    return node


def _isodow(node: exp.DayOfWeekIso) -> exp.Expr:
    weekday = exp.Anonymous(this="weekday", expressions=[node.this])
    return exp.paren(exp.Add(this=weekday, expression=exp.Literal.number(1)))


def _median(node: exp.Median) -> exp.Expr:
    half = exp.Literal.number("0.5")
    return exp.Anonymous(this="percentile", expressions=[node.this, half])


def _integral(node: exp.Floor | exp.Ceil) -> exp.Expr:
    """Spark's floor gives a BIGINT, and the nearest one of what is larger."""
    of = node.this
    if family(of) == "whole":
        return node
    exact = exp.LT(this=exp.Abs(this=of.copy()), expression=exp.Literal.number(2**53))
    return exp.Case(
        ifs=[exp.If(this=exact, true=exp.cast(node.copy(), "DOUBLE"))],
        default=exp.cast(of.copy(), "DOUBLE"),
    )


def _ln(node: exp.Ln) -> exp.Expr:
    """Spark's logarithm is NULL of what is not above 0."""
    of, zero = node.this, exp.Literal.number(0)
    limits = ((exp.EQ, "-Infinity"), (exp.LT, "NaN"))
    branches = [
        exp.If(
            this=kind(this=of.copy(), expression=zero.copy()),
            true=exp.cast(exp.Literal.string(value), "DOUBLE"),
        )
        for kind, value in limits
    ]
    return exp.Case(ifs=branches, default=node.copy())


def _cased(node: exp.Upper | exp.Lower) -> exp.Expr:
    return _letter_by_letter(node.this, upper=isinstance(node, exp.Upper))


def _letter_by_letter(of: exp.Expr, *, upper: bool) -> exp.Expr:
    kind: type[exp.Func] = exp.Upper if upper else exp.Lower
    swap = letters.swaps(upper=upper)
    letters_, meanwhile, become = (exp.Literal.string(s) for s in swap)
    held = _translate(of.copy(), letters_, meanwhile)
    changed = _translate(kind(this=held), meanwhile.copy(), become)
    sizes = (
        exp.Anonymous(this="octet_length", expressions=[of.copy()]),
        exp.Length(this=of.copy()),
    )
    ascii_ = exp.EQ(this=sizes[0], expression=sizes[1])
    return exp.Case(ifs=[exp.If(this=ascii_, true=kind(this=of.copy()))], default=changed)


def _translate(of: exp.Expr, from_: exp.Expr, to: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="translate", expressions=[of, from_, to])


def _ilike(node: exp.ILike) -> exp.Expr:
    pattern = exp.Literal.string(letters.lower(node.expression.name))
    return exp.Like(this=_letter_by_letter(node.this, upper=False), expression=pattern)


def _trim(node: exp.Trim) -> exp.Expr:
    if node.expression is None and not node.args.get("position"):
        node.set("expression", exp.Literal.string(letters.SPACES))
        node.set("position", "BOTH")
    return node


def _concat(node: exp.Concat) -> exp.Expr:
    texts = [e if family(e) == "text" else exp.cast(e, "TEXT") for e in node.expressions]
    node.set("expressions", texts)
    return node


def _pattern(node: exp.Expr) -> exp.Expr:
    pattern = node.expression
    if isinstance(pattern, exp.Literal):
        node.set("expression", exp.Literal.string(regex.java(pattern.name)))
    return node


def _length(node: exp.Length) -> exp.Expr:
    array = isinstance(node.this.type, exp.DataType) and node.this.type.this == exp.DType.ARRAY
    return exp.ArraySize(this=node.this) if array else node


def _since_1970(node: exp.UnixSeconds | exp.UnixMicros) -> exp.Expr:
    if family(node.this) == "date":
        node.set("this", exp.cast(node.this, "TIMESTAMPTZ"))
    return node


def _anonymous(node: exp.Anonymous) -> exp.Expr:
    if node.name.lower() != "url_encode":
        return node
    # Java writes a space as + and spares * instead of ~.
    made: exp.Expr = node.copy()
    for written, meant in (("+", "%20"), ("*", "%2A"), ("%7E", "~")):
        arguments = [made, exp.Literal.string(written), exp.Literal.string(meant)]
        made = exp.Anonymous(this="replace", expressions=arguments)
    return made


_RULES: tuple[tuple[type[exp.Expr] | tuple[type[exp.Expr], ...], Callable[..., exp.Expr]], ...] = (
    (exp.DayOfWeekIso, _isodow),
    (exp.Median, _median),
    ((exp.Floor, exp.Ceil), _integral),
    (exp.Ln, _ln),
    ((exp.Upper, exp.Lower), _cased),
    (exp.ILike, _ilike),
    (exp.Trim, _trim),
    (exp.Concat, _concat),
    ((exp.RegexpExtract, exp.RegexpLike, exp.RegexpReplace), _pattern),
    (exp.Length, _length),
    ((exp.UnixSeconds, exp.UnixMicros), _since_1970),
    (exp.Anonymous, _anonymous),
)
