"""What a rule of the lint yields, and what rules ask of a tree."""

from __future__ import annotations

from sqlglot import exp

__all__ = ["Problem", "number"]

#: (where, code, message, remedy)
Problem = tuple[exp.Expr, str, str, str]


def number(node: exp.Expr) -> float | None:
    """The value of a written number, None for anything else."""
    node = node.unnest()
    if isinstance(node, exp.Neg):
        value = number(node.this)
        return None if value is None else -value
    if isinstance(node, exp.Literal) and not node.is_string:
        return float(node.name)
    return None
