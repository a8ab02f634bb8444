"""Every probe of the allow-list, run: what no probe shows, no table may use."""

from __future__ import annotations

import re

import duckdb
import pytest
import sqlglot
from both_engines import output
from generated import COLUMNS
from sqlglot import exp

from lakehouse.sql import MACROS, Input, lint, parse, select
from lakehouse.sql.portable import allowed, forms, probes

#: Rows with NULLs, negatives, zeros, a leap day, changes of daylight saving time, a time before
#: 1970, and texts that are nearly numbers.
ROWS = """
  (1, 7, 2, 2.5, 'N1a-x', DATE '2013-03-10', TIMESTAMPTZ '2013-03-10 02:30:00+00', true,
    'America/New_York'),
  (1, -7, 2, -2.5, 'b', DATE '2013-11-03', TIMESTAMPTZ '2013-11-03 01:30:00+00', false,
    'Europe/London'),
  (2, 5, 0, 3.5, NULL, DATE '2012-12-30', TIMESTAMPTZ '1965-12-30 23:59:59.999999+00', NULL,
    'Asia/Kolkata'),
  (2, NULL, 3, NULL, ' Ab ', DATE '2024-02-29', TIMESTAMPTZ '2024-02-29 12:00:00+00', NULL, NULL),
  (3, 0, 1, 0.0, '0123-5.7', DATE '2013-06-30', TIMESTAMPTZ '2013-06-30 05:06:07.5+00', true,
    'Australia/Lord_Howe')
"""
INPUTS = {"silver.t": Input(COLUMNS, key=("d",))}
# Probes of what only an inner SELECT may hold.
INNER = [probe for probe in probes() if probe == "FROM t SELECT d" or "SELECT 1, 7" in probe]


@pytest.fixture(scope="module")
def duck() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 1})
    for statement in MACROS:
        connection.execute(statement)
    connection.execute("CREATE SCHEMA silver")
    connection.execute(
        "CREATE TABLE silver.t AS SELECT * REPLACE (CAST(x AS DOUBLE) AS x)"
        f" FROM (VALUES {ROWS}) AS t(g, i, j, x, s, d, ts, b, zone)"
    )
    return connection


def table(probe: str) -> str:
    """The probe over a table that a query may read."""
    return re.sub(r"\b(FROM|JOIN) t\b", r"\1 silver.t", probe)


def columns(probe: str) -> dict[str, str]:
    """The columns of a probe with the contract types that hold them."""
    return output(parse(table(probe), "probe.sql"), INPUTS)


@pytest.mark.parametrize("probe", probes())
def test_a_probe_runs_and_its_type_is_known(probe: str, duck: duckdb.DuckDBPyConnection) -> None:
    kinds = columns(probe)
    assert not {"UNKNOWN", "NULL"} & set(kinds.values())
    made = duck.sql(select(parse(table(probe), "probe.sql"), kinds))
    assert made.columns == list(kinds)
    assert made.fetchall()


@pytest.mark.parametrize("probe", probes())
def test_a_probe_passes_the_lint(probe: str) -> None:
    query = parse(table(probe), "probe.sql")
    found = lint(query, inputs=INPUTS, output=columns(probe), partition=None, layer="silver")
    assert {f.code for f in found} <= ({"unnamed"} if probe in INNER else set())


@pytest.mark.parametrize("probe", probes())
def test_a_probe_has_a_form_for_spark_that_spark_can_parse(probe: str) -> None:
    made = select(parse(table(probe), "probe.sql"), columns(probe), "spark", INPUTS)
    again = sqlglot.parse_one(made, read="spark", error_level=sqlglot.ErrorLevel.RAISE)
    assert isinstance(again, exp.Select)


def test_the_allow_list_is_what_the_probes_hold() -> None:
    assert {"Sum", "Join.kind=SEMI", "TimestampTrunc MONTH", "to_utc_timestamp()"} <= allowed()
    refused = sqlglot.parse_one("SELECT now(), count_if(b) FROM t LIMIT 1", read="duckdb")
    outside = {form for node in refused.walk() for form in forms(node)} - allowed()
    assert outside == {"now()", "CountIf", "CountIf.this", "Limit", "Limit.expression"} | {
        "Select.limit"
    }
