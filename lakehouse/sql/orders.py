"""Orders outside windows: total, or of nothing else than what they order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlglot import exp

from lakehouse.sql.keys import Keys
from lakehouse.sql.problem import Problem
from lakehouse.sql.resolve import Input

__all__ = ["check_orders"]


def check_orders(tree: exp.Query, inputs: Mapping[str, Input]) -> Iterator[Problem]:
    """Each ORDER BY of a resolved query that decides rows or values and may have equals."""
    keys = Keys(tree, inputs)
    for text in tree.find_all(exp.GroupConcat):
        yield from _text(text, keys)
    for select in tree.find_all(exp.Select):
        yield from _first(select, keys)
        yield from _kept(select)


def _text(text: exp.GroupConcat, keys: Keys) -> Iterator[Problem]:
    order = text.this
    if not isinstance(order, exp.Order) or isinstance(order.parent, exp.Window):
        return
    of = order.this.expressions[0] if isinstance(order.this, exp.Distinct) else order.this
    by = [ordered.this for ordered in order.expressions]
    # Equal texts may change places.
    told = of in by or all(column in by for column in of.find_all(exp.Column))
    if not told and not keys.total_in_group(text, by):
        message = "string_agg: rows may be equal in this order, so either may come first"
        remedy = f"end the ORDER BY with the text or the rows' key: …, {of.sql('duckdb')}"
        yield text, "aggregate-order", message, remedy


def _first(select: exp.Select, keys: Keys) -> Iterator[Problem]:
    distinct, order = select.args.get("distinct"), select.args.get("order")
    on = distinct.args.get("on") if isinstance(distinct, exp.Distinct) else None
    if not isinstance(distinct, exp.Distinct) or on is None or order is None:
        return
    named = {column.alias_or_name: column.unalias() for column in select.selects}
    by = [*(on.expressions if isinstance(on, exp.Tuple) else [on])]
    # What is ordered by is written as an output's name where there is one.
    by += [named.get(o.this.name, o.this) for o in order.expressions]
    if all(of in by for of in named.values()) or keys.total(distinct, by):
        return
    message = "DISTINCT ON: rows may be equal in this order, so either may be kept"
    yield distinct, "window-order", message, "end the ORDER BY with the key of the rows"


def _kept(select: exp.Select) -> Iterator[Problem]:
    qualify = select.args.get("qualify")
    for node in qualify.find_all(exp.Column, exp.AggFunc) if qualify else ():
        if not isinstance(node.find_ancestor(exp.Window, exp.Qualify), exp.Window):
            message = (
                f"{node.sql('duckdb')} in QUALIFY, beside windows: Spark does not see it there"
            )
            yield node, "not-portable", message, "filter in a SELECT around this one"
            return
