"""A query with every column traced to its table and every expression given a type."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import OptimizeError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from lakehouse.errors import SqlError
from lakehouse.sql.query import Query

__all__ = ["Input", "did_you_mean", "resolve", "visible"]


@dataclass(frozen=True)
class Input:
    """What a query may know of a table that it reads.

    Attributes:
        columns: Names with DuckDB types.
        key: Columns that together name one row; empty when that is not known.
        partition: The Delta partition column, None when the table is one target.
        widened: Whether more than the partition's own files are read (lookback or lookahead).
        lookback: How far before the partition's start rows are read; None when that is not known.
        lookahead: How far after its end.
    """

    columns: Mapping[str, str]
    key: tuple[str, ...] = ()
    partition: str | None = None
    widened: bool = False
    lookback: dt.timedelta | None = None
    lookahead: dt.timedelta | None = None


def visible(name: str, table: Input) -> dict[str, str]:
    """The columns that may be read: bronze's all, of others those that do not begin with ``_``."""
    bronze = name.startswith("bronze.")
    return {c: t for c, t in table.columns.items() if bronze or not c.startswith("_")}


def resolve(query: Query, inputs: Mapping[str, Input]) -> exp.Query:
    """A copy of the query's tree with stars expanded, columns qualified and types inferred.

    Raises:
        SqlError: A table or column does not exist, or a column could be of several tables.
    """
    for table in query.reads:
        if table not in inputs:
            node = next(t for t in query.ast.find_all(exp.Table) if _dotted(t) == table)
            raise query.error(node, f"table {table!r}", did_you_mean(table, inputs))
    schema = MappingSchema(_nested(inputs), dialect="duckdb")
    try:
        tree = qualify(query.ast.copy(), schema=schema, dialect="duckdb")
    except OptimizeError as error:
        raise _unknown(query, inputs, str(error)) from error
    metadata: Any = {**DuckDB.EXPRESSION_METADATA, **_MACRO_TYPES}
    return annotate_types(tree, schema=schema, expression_metadata=metadata, dialect="duckdb")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A remedy that names the nearest of what exists, or all of it."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there are: {', '.join(names[:40])}" if names else "there are none"


def _dotted(table: exp.Table) -> str:
    return f"{table.db}.{table.name}".lower()


def _nested(inputs: Mapping[str, Input]) -> dict[str, object]:
    nested: dict[str, dict[str, dict[str, str]]] = {}
    for name, table in inputs.items():
        layer, _, short = name.partition(".")
        columns = {column.lower(): kind for column, kind in visible(name, table).items()}
        nested.setdefault(layer, {})[short] = columns
    return dict(nested)


def _macro_type(_annotator: object, node: exp.Anonymous) -> None:
    kinds = {"to_utc_timestamp": "TIMESTAMPTZ", "from_utc_timestamp": "TIMESTAMP"}
    node.type = exp.DataType.build(kinds.get(node.name.lower(), "UNKNOWN"), dialect="duckdb")


_TEXTS = (
    *(exp.Left, exp.Right, exp.SplitPart, exp.Replace, exp.Pad, exp.RegexpExtract),
    *(exp.RegexpReplace, exp.Reverse),
)
# What sqlglot 30.30 leaves without a type in this dialect.
_MACRO_TYPES: dict[type[exp.Expr], dict[str, Any]] = {
    exp.Anonymous: {"annotator": _macro_type},
    exp.UnixMicros: {"returns": exp.DType.BIGINT},
    exp.UnixSeconds: {"returns": exp.DType.BIGINT},
    exp.Median: {"returns": exp.DType.DOUBLE},
    **{kind: {"returns": exp.DType.VARCHAR} for kind in _TEXTS},
}


def _unknown(query: Query, inputs: Mapping[str, Input], message: str) -> SqlError:
    found = re.search(r"[Cc]olumn:? '?\"?([^'\". ]+)", message)
    name = found[1].strip("\"'") if found else ""
    at: exp.Expr = query.ast
    for column in query.ast.find_all(exp.Column):
        if column.name.lower() == name.lower():
            at = column
            break
    tables = {n: visible(n, inputs[n]) for n in query.reads}
    holders = [
        table for table, columns in tables.items() if name.lower() in map(str.lower, columns)
    ]
    if holders and "for table" not in message:
        remedy = f"write which table's it is: several of this SELECT's inputs have {name!r}"
        return query.error(at, f"column {name!r} is ambiguous or out of reach", remedy)
    hidden = [n for n in query.reads if name in inputs[n].columns and name not in tables[n]]
    if hidden:
        remedy = f"{hidden[0]}'s columns that begin with _ are bookkeeping; publish it by a name"
        return query.error(at, f"column {name!r}", remedy)
    aliases = {a.alias for a in query.ast.find_all(exp.Alias)}
    known = aliases.union(*tables.values()) if tables else aliases
    where = re.search(r"for table: '([^']+)'", message)
    if where:
        names = {t.alias_or_name for t in query.ast.find_all(exp.Table)}
        remedy = did_you_mean(where[1], names)
        return query.error(at, f"column {where[1]}.{name}: no such table in reach", remedy)
    return query.error(
        at, f"column {name!r} is in none of {', '.join(tables)}", did_you_mean(name, known)
    )
