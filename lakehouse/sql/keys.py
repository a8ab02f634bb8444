"""Which columns name one row, at any place in a query: the proof that an ORDER BY is total.

Everything here asks a *resolved* tree, and errs on the side of "not known".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from lakehouse.sql.resolve import Input

__all__ = ["Keys"]

#: A set of columns, each as (source alias, column); inside a source the alias is empty.
_Columns = frozenset[tuple[str, str]]


class Keys:
    """Keys and base tables of every SELECT of one resolved query."""

    def __init__(self, tree: exp.Query, inputs: Mapping[str, Input]) -> None:
        self._inputs = inputs
        self._scopes = {id(scope.expression): scope for scope in traverse_scope(tree)}

    def tables(self, select: exp.Select) -> frozenset[str]:
        """The tables whose rows a SELECT's windows see, through CTEs and subqueries."""
        scope = self._scopes.get(id(select))
        return frozenset(_tables(scope)) if scope else frozenset()

    def total(self, node: exp.Window | exp.Distinct, columns: Iterable[exp.Expr]) -> bool:
        """Whether no two rows of the input of a window, or DISTINCT, agree in all these columns."""
        select = node.find_ancestor(exp.Select)
        group = select.args.get("group") if select else None
        if group is not None:
            return bool(group.expressions) and _plain(group.expressions) <= _plain(columns)
        return self._one_row(select, columns)

    def total_in_group(self, aggregate: exp.AggFunc, columns: Iterable[exp.Expr]) -> bool:
        """Whether no two rows of one of the aggregate's groups agree in all these columns."""
        select = aggregate.find_ancestor(exp.Select)
        group = select.args.get("group") if select else None
        return self._one_row(select, [*columns, *(group.expressions if group else [])])

    def _one_row(self, select: exp.Select | None, columns: Iterable[exp.Expr]) -> bool:
        scope = self._scopes.get(id(select))
        if scope is None or select is None:
            return False
        named = _closure(_plain(columns), select)
        return any(key <= named for key in self._joined(scope))

    def _of(self, scope: Scope) -> tuple[_Columns, ...]:
        """Keys of what a scope gives, in its output's names."""
        select = scope.expression
        if isinstance(select, exp.SetOperation):
            if select.args.get("distinct"):
                return (frozenset(("", name) for name in select.named_selects),)
            return tuple(self._tagged(scope)) if isinstance(select, exp.Union) else ()
        if not isinstance(select, exp.Select):
            return ()
        found = [*self._grouped(select), *_deduplicated(select)]
        if not select.args.get("group"):
            unnested = [c for c in select.selects if c.find(exp.Explode)]
            found += [key | {_made(c) for c in unnested} for key in self._joined(scope)]
        renamed = {_name(e.unalias()) or _made(e): e.alias_or_name for e in select.selects}
        keys = [
            frozenset(("", renamed[column]) for column in key)
            for key in found
            if all(column in renamed for column in key)
        ]
        if isinstance(select.args.get("distinct"), exp.Distinct) and not _distinct_on(select):
            keys.append(frozenset(("", name) for name in select.named_selects))
        return tuple(keys)

    def _tagged(self, scope: Scope) -> Iterator[_Columns]:
        """Keys of a UNION ALL whose branches each carry a literal of their own."""
        branches = list(_branches(scope))
        selects = [_selects(branch) for branch in branches]
        names = [column.alias_or_name for column in selects[0]]
        shared = set.intersection(
            *(
                {frozenset(_index(branch, c) for _, c in key) for key in self._of(branch)}
                for branch in branches
            )
        )
        for at, name in enumerate(names):
            tags = [columns[at].unalias() for columns in selects]
            if all(isinstance(t, exp.Literal) for t in tags) and len(set(tags)) == len(tags):
                for key in shared:
                    yield frozenset({("", name), *(("", names[i]) for i in key)})

    def _grouped(self, select: exp.Select) -> Iterator[_Columns]:
        group = select.args.get("group")
        if group is not None and group.expressions:
            yield _plain(group.expressions)

    def _joined(self, scope: Scope) -> list[_Columns]:
        """Keys of the rows before grouping: those of the sources, less what a join determines."""
        select = scope.expression
        kept: list[_Columns] = [frozenset()]
        dropped = {
            join.alias_or_name
            for join in select.args.get("joins") or []
            if join.args.get("kind") in ("SEMI", "ANTI")
        }
        for alias, (_, source) in scope.selected_sources.items():
            if alias in dropped:
                continue
            keys = self._source(alias, source)
            if any(_determined(alias, key, select) for key in keys):
                continue
            kept = [one | key for one in kept for key in keys][:8]
        return kept

    def _source(self, alias: str, source: object) -> list[_Columns]:
        if isinstance(source, exp.Table):
            name = f"{source.db}.{source.name}"
            key = self._inputs[name].key if name in self._inputs else ()
            return [frozenset((alias, column.lower()) for column in key)] if key else []
        if isinstance(source, Scope):
            if isinstance(source.expression, exp.Unnest):
                return [frozenset((alias, c) for c in source.expression.alias_column_names)]
            return [frozenset((alias, c) for _, c in key) for key in self._of(source)]
        return []


def _tables(scope: Scope) -> Iterator[str]:
    for inner in scope.set_operation_scopes:
        yield from _tables(inner)
    for _, source in scope.selected_sources.values():
        if isinstance(source, Scope):
            yield from _tables(source)
        elif isinstance(source, exp.Table):
            yield f"{source.db}.{source.name}"


def _name(node: exp.Expr) -> tuple[str, str] | None:
    return (node.table, node.name) if isinstance(node, exp.Column) else None


def _made(node: exp.Expr) -> tuple[str, str]:
    """A name for what a SELECT computes; no source has an alias with a space."""
    return " made", node.alias_or_name


def _branches(scope: Scope) -> Iterator[Scope]:
    if scope.set_operation_scopes:
        for side in scope.set_operation_scopes:
            yield from _branches(side)
    else:
        yield scope


def _selects(scope: Scope) -> list[exp.Expr]:
    query = scope.expression
    return query.selects if isinstance(query, exp.Query) else []


def _index(scope: Scope, name: str) -> int:
    return [column.alias_or_name for column in _selects(scope)].index(name)


def _plain(nodes: Iterable[exp.Expr]) -> _Columns:
    return frozenset(name for node in nodes if (name := _name(node.unnest())) is not None)


def _equalities(select: exp.Expr) -> Iterator[tuple[str, tuple[str, str], tuple[str, str]]]:
    """(alias of the joined source, left column, right column) of each ON a = b."""
    for join in select.args.get("joins") or []:
        on = join.args.get("on")
        for part in on.flatten() if isinstance(on, exp.And) else [on]:
            if isinstance(part, exp.EQ):
                left, right = _name(part.left), _name(part.right)
                if left and right:
                    yield join.alias_or_name, left, right


def _determined(alias: str, key: _Columns, select: exp.Expr) -> bool:
    """Whether a join finds at most one row of a source for each row of the others."""
    fixed = set()
    for joined, left, right in _equalities(select):
        if joined == alias:
            for own, other in ((left, right), (right, left)):
                if own[0] == alias and other[0] != alias:
                    fixed.add(own)
    return bool(key) and key <= fixed


def _closure(named: _Columns, select: exp.Select) -> _Columns:
    pairs = [(left, right) for joined, left, right in _equalities(select) if _inner(select, joined)]
    known = set(named)
    for _ in pairs:
        for left, right in pairs:
            if left in known or right in known:
                known |= {left, right}
    return frozenset(known)


def _inner(select: exp.Select, alias: str) -> bool:
    joins = select.args.get("joins") or []
    return any(j.alias_or_name == alias and not j.args.get("side") for j in joins)


def _deduplicated(select: exp.Select) -> Iterator[_Columns]:
    """The PARTITION BY of ``QUALIFY row_number() … = 1``, and DISTINCT ON."""
    qualify = select.args.get("qualify")
    kept = qualify.this if qualify else None
    if isinstance(kept, exp.EQ) and kept.right.sql() == "1" and isinstance(kept.left, exp.Window):
        parts = kept.left.args.get("partition_by") or []
        if isinstance(kept.left.this, exp.RowNumber) and len(_plain(parts)) == len(parts):
            yield _plain(parts)
    on = _distinct_on(select)
    if on and len(_plain(on)) == len(on):
        yield _plain(on)


def _distinct_on(select: exp.Select) -> list[exp.Expr]:
    distinct = select.args.get("distinct")
    on = distinct.args.get("on") if isinstance(distinct, exp.Distinct) else None
    return list(on.expressions) if isinstance(on, exp.Tuple) else [on] if on else []
