"""Windows: in a total order, and inside the partition or with a lookback as far as they look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlglot import exp

from lakehouse.sql.frames import check_reach, reach
from lakehouse.sql.keys import Keys
from lakehouse.sql.problem import Problem
from lakehouse.sql.resolve import Input

__all__ = ["check_windows"]

# Functions that pick or number single rows.
_BY_ROW = (
    *(exp.RowNumber, exp.Ntile, exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.NthValue),
)
# Functions in which rows that are equal in the order share a value.
_BY_PEERS = (exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist)


def check_windows(
    tree: exp.Query, inputs: Mapping[str, Input], partition: str | None
) -> Iterator[Problem]:
    """Every window of a resolved query whose result depends on chance or on the partitioning."""
    keys = Keys(tree, inputs)
    for window in tree.find_all(exp.Window):
        if isinstance(window.parent, exp.Select) and window.arg_key == "windows":
            continue
        whole = _defined(window)
        yield from _order(window, whole, keys)
        yield from _frame(whole)
        if partition:
            yield from _partition(window, whole, keys, inputs, partition)


def _defined(window: exp.Window) -> exp.Window:
    """The window itself, or what its name stands for in the WINDOW clause."""
    name = window.args.get("alias")
    select = window.find_ancestor(exp.Select)
    if name is None or select is None:
        return window
    named = [w for w in select.args.get("windows") or [] if w.name.lower() == name.name.lower()]
    return _defined(named[0]) if named else window


def _function(window: exp.Window) -> exp.Expr:
    node: exp.Expr = window.this
    while isinstance(node, exp.IgnoreNulls | exp.RespectNulls | exp.Filter):
        node = node.this
    return node


def _order(window: exp.Window, whole: exp.Window, keys: Keys) -> Iterator[Problem]:
    function, order = _function(window), whole.args.get("order")
    spec = whole.args.get("spec")
    by_row = isinstance(function, _BY_ROW)
    if order is None:
        if by_row or isinstance(function, _BY_PEERS):
            message = f"{_name(function)} without ORDER BY: any row may come first"
            yield window, "window-order", message, "add ORDER BY, ending with the key"
        return
    by_row = by_row or bool(spec and spec.args.get("kind") == "ROWS")
    parts = whole.args.get("partition_by") or []
    columns = (*parts, *(ordered.this for ordered in order.expressions))
    if by_row and not keys.total(window, columns):
        message = f"{_name(function)}: rows may be equal in this order, so either may come first"
        remedy = "end the ORDER BY with the key of the rows (of bronze: _source_file, _row)"
        if not isinstance(function, _BY_ROW):
            remedy += ", or write RANGE for ROWS: equal rows then share the value"
        yield window, "window-order", message, remedy


def _name(function: exp.Expr) -> str:
    return function.sql("duckdb").split("(")[0].lower()


def _frame(whole: exp.Window) -> Iterator[Problem]:
    spec = whole.args.get("spec")
    bounds = [spec.args.get(side) for side in ("start", "end")] if spec else []
    units = {
        b.text("unit").upper().removesuffix("S") for b in bounds if isinstance(b, exp.Interval)
    }
    if len(units) > 1:
        message = f"a frame from {' to '.join(sorted(units))}: Spark wants one unit for both bounds"
        remedy = "write both in the smaller unit, or ORDER BY unix_seconds(ts) and whole numbers"
        yield whole, "window-frame", message, remedy


def _partition(
    window: exp.Window,
    whole: exp.Window,
    keys: Keys,
    inputs: Mapping[str, Input],
    partition: str,
) -> Iterator[Problem]:
    select = window.find_ancestor(exp.Select)
    read = keys.tables(select) if isinstance(select, exp.Select) else frozenset()
    cut = [name for name in sorted(read) if name in inputs and inputs[name].partition]
    narrow = [name for name in cut if not inputs[name].widened]
    names = {partition, *(str(inputs[name].partition) for name in cut)}
    held = {c.name for p in whole.args.get("partition_by") or [] for c in p.find_all(exp.Column)}
    if names & held:
        return
    if not narrow:
        yield from check_reach(window, reach(_function(window), whole), cut, inputs)
    else:
        message = f"this window sees only the partition's own rows of {', '.join(narrow)}"
        remedy = f"add {partition} to PARTITION BY, or declare reads: {narrow[0]}: {{lookback: …}}"
        yield window, "window-partition", message, remedy
