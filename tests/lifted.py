"""A query over one data set as the query that gives the same of every data set at once.

Each SELECT also carries ``ds``, the number of the data set: windows are partitioned by it, groups
are made by it, joins and subqueries compare it.
"""

from __future__ import annotations

from sqlglot import exp

from lakehouse.sql import Input, parse
from lakehouse.sql.resolve import resolve

__all__ = ["lifted"]

_DS = "ds"


def lifted(text: str, inputs: dict[str, Input], sets: str) -> str:
    """The query for all data sets, its first column ``ds``.

    Args:
        text: A query over one data set.
        inputs: The tables that it reads, without the ``ds`` that they also have.
        sets: A table of all numbers, ``ds`` its one column: what has no input has each of them.
    """
    tree = resolve(parse(text, "lifted.sql"), inputs)
    # The name that both engines know, which the parser has forgotten.
    for kind, name in ((exp.UnixMicros, "unix_micros"), (exp.UnixSeconds, "unix_seconds")):
        for node in tree.find_all(kind):
            node.replace(exp.Anonymous(this=name, expressions=[node.this]))
    for select in list(tree.find_all(exp.Select)):
        _lift(select, sets)
    return tree.sql("duckdb")


def _lift(select: exp.Select, sets: str) -> None:
    first = select.args.get("from_")
    if first is None:
        if not isinstance(select.parent, exp.SetOperation):
            return
        select.from_(exp.to_table(sets, alias="sets"), copy=False)
        first = select.args["from_"]
    outer = _correlated(select)
    if outer is not None:
        _rename(select, first.this)
    alias = first.this.alias_or_name
    number: exp.Expr = exp.column(_DS, alias)
    for join in select.args.get("joins") or []:
        number = _joined(join, number)
    grouped, order = select.args.get("group"), select.args.get("order")
    for window in select.find_all(exp.Window):
        if window.find_ancestor(exp.Select) is select and not _named(window):
            window.set("partition_by", [number.copy(), *(window.args.get("partition_by") or [])])
    if grouped is not None and not grouped.args.get("all"):
        grouped.set("expressions", [number.copy(), *grouped.expressions])
    elif grouped is None and _whole(select):
        select.group_by(number.copy(), copy=False)
    distinct = select.args.get("distinct")
    if distinct is not None and distinct.args.get("on"):
        on = distinct.args["on"]
        distinct.set("on", exp.Tuple(expressions=[number.copy(), *on.expressions]))
        order.set("expressions", [exp.Ordered(this=number.copy()), *order.expressions])
    if outer is None:
        select.set("expressions", [exp.alias_(number.copy(), _DS), *select.expressions])
    else:
        theirs = exp.column(_DS, outer.args["from_"].this.alias_or_name)
        select.where(exp.EQ(this=number.copy(), expression=theirs), copy=False)
        select.set("group", grouped)


def _rename(select: exp.Select, table: exp.Table) -> None:
    """Give a subquery's table a name that the query around it does not have."""
    old, new = table.alias_or_name, f"{table.alias_or_name}_within"
    for column in select.find_all(exp.Column):
        if column.table == old:
            column.set("table", exp.to_identifier(new))
    table.set("alias", exp.TableAlias(this=exp.to_identifier(new)))


def _joined(join: exp.Join, number: exp.Expr) -> exp.Expr:
    source = join.this
    made = isinstance(source, exp.Unnest) or (
        isinstance(source, exp.Subquery) and source.this.args.get("from_") is None
    )
    if made:
        return number
    theirs = exp.column(_DS, source.alias_or_name)
    same = exp.EQ(this=number.copy(), expression=theirs)
    on = join.args.get("on")
    join.set("on", exp.and_(same, on) if on is not None else same)
    if join.args.get("kind") == "CROSS":
        join.set("kind", None)
    if join.args.get("side") in ("RIGHT", "FULL"):
        return exp.Coalesce(this=number.copy(), expressions=[theirs.copy()])
    return number


def _named(window: exp.Window) -> bool:
    return window.args.get("alias") is not None and not isinstance(window.parent, exp.Select)


def _whole(select: exp.Select) -> bool:
    """Whether a SELECT without GROUP BY is of one row."""
    found = (a for column in select.selects for a in column.find_all(exp.AggFunc))
    return any(
        a.find_ancestor(exp.Select) is select and not a.find_ancestor(exp.Window) for a in found
    )


def _correlated(select: exp.Select) -> exp.Select | None:
    """The SELECT in whose expressions a subquery stands."""
    parent: exp.Expr | None = select.parent
    while isinstance(parent, exp.Subquery | exp.Paren):
        if parent.arg_key in ("from_", "joins") or isinstance(parent.parent, exp.From | exp.Join):
            return None
        parent = parent.parent
    if parent is None or isinstance(parent, exp.CTE | exp.SetOperation | exp.From | exp.Join):
        return None
    return parent.find_ancestor(exp.Select)
