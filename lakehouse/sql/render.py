"""A query as the text that one engine runs, and the functions that text needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sqlglot import exp

from lakehouse.sql import spark
from lakehouse.sql.query import Query
from lakehouse.sql.resolve import Input, resolve

__all__ = ["MACROS", "Dialect", "expression", "select"]

Dialect = Literal["duckdb", "spark"]

# Of the two instants of an ambiguous local hour DuckDB's ICU takes the later, Java the earlier. The
# earlier one is what the offset of the day before gives, when that shows the same local time. For a
# local hour that does not exist both go on with the offset before the gap.
_TIME_MACROS = {
    "_instant(ts, zone)": "timezone(zone, CAST(ts AS TIMESTAMP))",
    "_offset(instant, zone)": "timezone(zone, instant) - CAST(instant AS TIMESTAMP)",
    "_earlier(ts, zone)": """CAST(CAST(ts AS TIMESTAMP)
        - _offset(_instant(ts, zone) - INTERVAL 24 HOUR, zone) AS TIMESTAMPTZ)""",
    "to_utc_timestamp(ts, zone)": """CASE
        WHEN timezone(zone, _earlier(ts, zone)) = CAST(ts AS TIMESTAMP) THEN _earlier(ts, zone)
        ELSE _instant(ts, zone) END""",
    "from_utc_timestamp(ts, zone)": "timezone(zone, CAST(ts AS TIMESTAMPTZ))",
    "unix_micros(ts)": "epoch_us(CAST(ts AS TIMESTAMPTZ))",
    # Whole numbers throughout: a double would round the last microsecond of late years up.
    "unix_seconds(ts)": """(epoch_us(CAST(ts AS TIMESTAMPTZ))
        - (epoch_us(CAST(ts AS TIMESTAMPTZ)) % 1000000 + 1000000) % 1000000) // 1000000""",
}

#: Statements that make a DuckDB connection speak the portable subset, in order, run once.
#: ``to_utc_timestamp(local, zone)``, ``from_utc_timestamp(instant, zone)``, ``unix_seconds`` and
#: ``unix_micros`` are Spark's; a local time is a timestamp written as if it were UTC.
MACROS: tuple[str, ...] = (
    "SET TimeZone = 'UTC'",
    *(f"CREATE OR REPLACE MACRO {name} AS {body}" for name, body in _TIME_MACROS.items()),
)


def select(
    query: Query,
    columns: Mapping[str, str],
    dialect: Dialect = "duckdb",
    inputs: Mapping[str, Input] | None = None,
) -> str:
    """The query with exactly the contract's columns, in its order and types; NaN becomes NULL.

    Args:
        query: A linted query.
        columns: Column names with DuckDB types, as the contract publishes them.
        dialect: The engine that will run the text.
        inputs: The tables read, as for the lint; Spark needs them, to write stars and aliases out.

    Returns:
        One SELECT without a WHERE of its own: the engine cuts it to the partition.
    """
    head = exp.select(*(_published(name, kind) for name, kind in columns.items())).sql(dialect)
    # DuckDB runs what was written; a comment at its end must not swallow the bracket.
    inner = query.text if dialect == "duckdb" else _spark(query, inputs or {})
    return f"{head} FROM (\n{inner}\n) AS _t"


def expression(text: str, columns: Mapping[str, str], dialect: Dialect = "spark") -> str:
    """SQL of the library's own in an engine's words: rules, aggregates, partition expressions.

    Args:
        text: One expression in DuckDB's dialect, or one SELECT that reads ``_audited``.
        columns: The columns that it may read, with DuckDB types. ``_violations`` needs no mention.
        dialect: The engine that will run the text.

    Returns:
        The text, its columns without a table's name (of a SELECT: with ``_audited``).
    """
    if dialect == "duckdb":
        return text
    tree = spark.in_any_year(spark.rewrite(spark.typed(text, columns)))
    return tree.sql(dialect=dialect, comments=False)


def _published(name: str, kind: str) -> exp.Expr:
    made: exp.Expr = exp.cast(exp.column(name, quoted=True), kind, dialect="duckdb")
    if kind == "DOUBLE":
        nan = exp.cast(exp.Literal.string("NaN"), kind, dialect="duckdb")
        made = exp.Nullif(this=made, expression=nan)
    return made.as_(name, quoted=True)


def _spark(query: Query, inputs: Mapping[str, Input]) -> str:
    return spark.rewrite(resolve(query, inputs)).sql(dialect="spark", comments=False)
