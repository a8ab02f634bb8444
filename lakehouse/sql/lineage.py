"""Where each column of a table comes from."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, build_scope

from lakehouse.sql.query import Query
from lakehouse.sql.resolve import Input, resolve

__all__ = ["lineage"]

_Sources = frozenset[tuple[str, str]]


def lineage(query: Query, inputs: Mapping[str, Input]) -> dict[str, _Sources]:
    """The columns that each output column is computed from, as (table, column).

    What only filters, joins or orders rows is not counted, but for the PARTITION BY and ORDER BY
    of a window inside the column.

    Raises:
        SqlError: The query names a table or column that does not exist.
    """
    scope = build_scope(resolve(query, inputs))
    if scope is None:
        return {}
    traced = _Tracer()
    return {name: traced.column(scope, name) for name in _names(scope)}


class _Tracer:
    """Follows columns through CTEs and subqueries, each once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], _Sources] = {}

    def column(self, scope: Scope, name: str) -> _Sources:
        """The sources of one output column of a scope."""
        at = (id(scope), name)
        if at not in self._known:
            self._known[at] = frozenset()
            self._known[at] = self._traced(scope, name)
        return self._known[at]

    def _traced(self, scope: Scope, name: str) -> _Sources:
        query = scope.expression
        if isinstance(query, exp.SetOperation):
            index = query.named_selects.index(name)
            sides = [(side, _names(side)[index]) for side in scope.set_operation_scopes]
            return frozenset().union(*(self.column(side, own) for side, own in sides))
        if not isinstance(query, exp.Select):
            return frozenset()
        made = [column for column in query.selects if column.alias_or_name == name]
        return frozenset().union(*(self._expression(scope, column) for column in made))

    def _expression(self, scope: Scope, node: exp.Expr) -> _Sources:
        found: _Sources = frozenset()
        for column in (*node.find_all(exp.Column), *_window_columns(node)):
            source = self._source(scope, column.table)
            if isinstance(source, exp.Table):
                found |= {(f"{source.db}.{source.name}", column.name)}
            elif isinstance(source, Scope):
                found |= self.column(source, column.name)
        return found

    def _source(self, scope: Scope, alias: str) -> object:
        """What an alias stands for: here, in a subquery of this SELECT, or around it."""
        for place in (scope, *scope.subquery_scopes):
            if alias in place.selected_sources:
                return place.selected_sources[alias][1]
        return self._source(scope.parent, alias) if scope.parent else None


def _names(scope: Scope) -> list[str]:
    query = scope.expression
    return query.named_selects if isinstance(query, exp.Query) else []


def _window_columns(node: exp.Expr) -> list[exp.Column]:
    """Columns of the WINDOW clause's entries that the expression names."""
    named = {w.text("alias").lower() for w in node.find_all(exp.Window)} - {""}
    select = node.find_ancestor(exp.Select)
    windows = (select.args.get("windows") or []) if select else []
    return [c for w in windows if w.name.lower() in named for c in w.find_all(exp.Column)]
