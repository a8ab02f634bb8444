"""Connections share instances one after the other, and nothing else."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest

from lakehouse.engines.connection import connection

MEMORY = 2**30


def test_nothing_of_a_task_stays() -> None:
    with connection(MEMORY, 1) as con:
        con.execute("CREATE SCHEMA silver")
        con.execute("CREATE VIEW silver.orders AS SELECT 1 AS a")
        con.execute("CREATE TEMP TABLE _audited AS SELECT 1 AS a")
        con.execute("SET threads = 1")
    with connection(MEMORY, 1) as con:
        for name in ("silver.orders", "_audited"):
            with pytest.raises(duckdb.CatalogException, match=name.split(".")[-1]):
                con.execute(f"FROM {name}")


def test_two_at_once_are_apart() -> None:
    with connection(MEMORY, 1) as one, connection(MEMORY, 1) as other:
        one.execute("CREATE SCHEMA silver")
        one.execute("CREATE VIEW silver.orders AS SELECT 1 AS a")
        with pytest.raises(duckdb.CatalogException):
            other.execute("FROM silver.orders")


def test_one_that_failed_is_not_used_again() -> None:
    with pytest.raises(duckdb.CatalogException), connection(MEMORY, 3) as con:
        con.execute("CREATE SCHEMA silver; FROM silver.orders")
    with connection(MEMORY, 3) as con:
        con.execute("CREATE SCHEMA silver")


def test_it_keeps_its_limits_and_utc() -> None:
    for _ in range(2):
        with connection(300 * 1024**2, 1) as con:
            found = con.execute(
                "SELECT current_setting('memory_limit'), current_setting('threads'), "
                "current_setting('TimeZone'), "
                "CAST(to_utc_timestamp(TIMESTAMP '2013-07-01 12:00:00', 'America/New_York') AS DATE)"
            ).fetchall()
        assert found == [("300.0 MiB", 1, "UTC", dt.date(2013, 7, 1))]
