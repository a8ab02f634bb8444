"""What DuckDB itself refuses before it runs: functions that do not take what they are given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from sqlglot import exp

from lakehouse.sql.finding import Finding
from lakehouse.sql.query import Query
from lakehouse.sql.render import MACROS, select
from lakehouse.sql.resolve import Input, visible

__all__ = ["check_bound"]

_DESCRIBE = "DESCRIBE "


def check_bound(
    query: Query, inputs: Mapping[str, Input], output: Mapping[str, str]
) -> Iterator[Finding]:
    """The first thing in a query that DuckDB's binder refuses, over tables without rows.

    Args:
        query: A query that has passed every other check.
        inputs: Each table that it reads, by ``layer.table``.
        output: The contract's columns with DuckDB types.
    """
    import duckdb

    text = _DESCRIBE + select(query, output)
    with duckdb.connect(config={"threads": 1, "enable_external_access": "false"}) as con:
        for statement in (*MACROS, *_tables(query, inputs), "SET errors_as_json = true"):
            con.execute(statement)
        try:
            con.execute(text)
        except duckdb.Error as error:
            told, _ = json.JSONDecoder().raw_decode(str(error).partition(": ")[2])
            # DuckDB counts bytes.
            before = text.encode()[: int(told.get("position") or 0)].decode(errors="ignore")
            line, column = _place(query.text, len(before) - text.index(query.text))
            message = f"DuckDB refuses it: {told['exception_message'].splitlines()[0]}"
            yield Finding(line, column, "binder", message, "cast what it is given, or rewrite it")


def _tables(query: Query, inputs: Mapping[str, Input]) -> Iterator[str]:
    for name in query.reads:
        layer, _, short = name.partition(".")
        columns = ", ".join(
            f"{exp.to_identifier(column, quoted=True).sql('duckdb')} {kind}"
            for column, kind in visible(name, inputs[name]).items()
        )
        yield f'CREATE SCHEMA IF NOT EXISTS "{layer}"'
        yield f'CREATE TABLE "{layer}"."{short}" ({columns})'


def _place(text: str, at: int) -> tuple[int, int]:
    """Line and column, from 1; the beginning, where it lies outside the text."""
    at = at if 0 <= at < len(text) else 0
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
