"""Refuse at load time what would mean something else on another engine or in another partition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lakehouse.errors import SqlError
from lakehouse.sql.bound import check_bound
from lakehouse.sql.finding import Finding
from lakehouse.sql.orders import check_orders
from lakehouse.sql.problem import Problem
from lakehouse.sql.query import Query, position
from lakehouse.sql.resolve import Input, did_you_mean, resolve
from lakehouse.sql.typed import check_output, check_types
from lakehouse.sql.windows import check_windows
from lakehouse.sql.written import check_text

__all__ = ["lint"]


def lint(
    query: Query,
    *,
    inputs: Mapping[str, Input],
    output: Mapping[str, str],
    partition: str | None,
    layer: str,
) -> tuple[Finding, ...]:
    """Everything in a query that must be changed before it may run.

    Args:
        query: A parsed query.
        inputs: Each table that may be read, by ``layer.table``.
        output: The contract's columns with DuckDB types.
        partition: The output's partition column, None for an unpartitioned table.
        layer: The layer of the output.

    Returns:
        Findings in the order of the file; none when the query is in the portable subset. Types
        are judged only when the words and columns are right, and DuckDB's own binder is asked last.
    """
    problems = list(check_text(query))
    if not problems:
        try:
            tree = resolve(query, inputs)
        except SqlError as error:
            line = int((error.file or ":1").rpartition(":")[2])
            return (Finding(line, 1, "unknown-column", error.found, error.remedy),)
        problems = [
            *check_types(tree),
            *check_output(tree, output),
            *check_windows(tree, inputs, partition),
            *check_orders(tree, inputs),
            *_columns(query, tree.named_selects, output, layer),
        ]
    found = {_finding(query, problem) for problem in problems}
    return tuple(sorted(found or check_bound(query, inputs, output)))


def _columns(
    query: Query, selected: list[str], output: Mapping[str, str], layer: str
) -> Iterator[Problem]:
    names, wanted = {n.lower() for n in selected}, {n.lower(): n for n in output}
    for name in wanted.keys() - names:
        message = f"the contract's column {wanted[name]!r} is not selected"
        yield query.ast, "missing-column", message, did_you_mean(name, names - wanted.keys())
    for name in names - wanted.keys():
        message = f"column {name!r} is not in the contract"
        yield (
            query.ast,
            "extra-column",
            message,
            "add it to the contract's properties, or delete it",
        )
    for name in wanted:
        if name.startswith("_") and layer != "silver":
            message = f"column {name!r}: names with _ are bookkeeping, of bronze and silver only"
            yield query.ast, "hidden-column", message, "publish it by a name without _"


def _finding(query: Query, problem: Problem) -> Finding:
    node, code, message, remedy = problem
    line, column = position(query.text, node)
    return Finding(line, column, code, message, remedy)
