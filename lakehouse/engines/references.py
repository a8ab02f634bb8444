"""Relationships as SQL: whether the keys of rows are in the tables that they refer to."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lakehouse.audit import absent, quote
from lakehouse.contract import Reference, Rule, reference
from lakehouse.contract.rules import columns_of

__all__ = ["dotted", "looked_up"]

_Named = Callable[[str], str]


def dotted(name: str) -> str:
    """A table's short name as DuckDB knows it."""
    return ".".join(map(quote, name.split(".")))


def looked_up(
    rules: Iterable[Rule], relation: str, quoted: _Named = quote, named: _Named = dotted
) -> str:
    """A relation with the column ``audit.absent`` of each relationship among some rules.

    Each row is joined with the distinct keys of what it refers to, which neither multiplies nor
    drops it: Spark takes no subquery in a projection.

    Args:
        rules: Others than relationships may be among them.
        relation: What stands behind FROM: a name, or a SELECT in brackets.
        quoted: A column's name in the engine's quotes.
        named: A table's short name as the engine knows it.
    """
    referring = [(rule, one) for rule in rules if (one := reference(rule))]
    if not referring:
        return relation
    columns, joins = ["_r.*"], [f"{relation} AS _r"]
    for i, (rule, one) in enumerate(referring):
        own = [f"_r.{quoted(name)}" for name in columns_of(rule)]
        present = " AND ".join(f"{name} IS NOT NULL" for name in own)
        columns.append(f"(_keys_{i}._0 IS NULL AND {present}) AS {quoted(absent(rule))}")
        same = " AND ".join(f"{name} = _keys_{i}._{k}" for k, name in enumerate(own))
        joins.append(f"LEFT JOIN {_keys(one, quoted, named)} AS _keys_{i} ON {same}")
    return f"(SELECT {', '.join(columns)} FROM {' '.join(joins)})"


def _keys(one: Reference, quoted: _Named, named: _Named) -> str:
    columns = ", ".join(f"{quoted(name)} AS _{k}" for k, name in enumerate(one.columns))
    return f"(SELECT DISTINCT {columns} FROM {named(one.table)})"
