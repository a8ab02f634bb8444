"""SQL over the lake: which tables it sees, in which version, and what it cannot reach."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop import Shop

from lakehouse import query
from lakehouse.errors import CatalogError
from lakehouse.query import Cut


@pytest.fixture
def orders(shop: Shop) -> Shop:
    shop.open_for_business()
    shop.build("gold.countries")
    return shop


def test_tables_by_two_parts_and_by_three(orders: Shop) -> None:
    assert orders.rows("SELECT count(*) FROM silver.orders") == [(4,)]
    assert orders.rows("SELECT count(*) FROM shop.silver.orders") == [(4,)]
    joined = "SELECT count(*) FROM silver.orders JOIN shop.silver.customers USING (customer)"
    assert orders.rows(joined) == [(4,)]


def test_a_cut_reads_older_versions(orders: Shop) -> None:
    orders.orders("late", ("z", "ann", 1, "2026-01-09"))
    orders.build("silver.orders")
    sql = "SELECT count(*) FROM silver.orders"
    assert orders.rows(sql) == [(5,)]
    old = query.run(orders.lake(), sql, Cut({"shop.silver.orders": 1}))
    assert old.to_pydict() == {"count_star()": [4]}
    with pytest.raises(CatalogError, match="no such run") as raised:
        query.of_run(orders.lake(), "nothing")
    assert "ops.builds" in raised.value.remedy


def test_a_table_that_is_not_built_has_no_rows(orders: Shop) -> None:
    assert orders.rows("FROM gold.daily") == []


@pytest.mark.parametrize(
    ("sql", "remedy"),
    [
        ("FROM silver.order", "silver.orders"),
        ("FROM ops.run", "ops.runs"),
        ("SELECT nothing FROM silver.orders", "lake show"),
        ("SELEC 1", "correct"),
    ],
)
def test_what_is_wrong_has_a_remedy(orders: Shop, sql: str, remedy: str) -> None:
    with pytest.raises(CatalogError) as raised:
        orders.rows(sql)
    assert remedy in f"{raised.value.found} {raised.value.remedy}"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('{file}')",
        "COPY (SELECT 1) TO '{file}'",
        "FROM '{file}'",
        "ATTACH '{file}' AS other",
        "SET enable_external_access = true",
    ],
)
def test_a_query_is_no_way_to_files(orders: Shop, tmp_path: Path, sql: str) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("a\n1\n")
    with pytest.raises(CatalogError):
        orders.rows(sql.format(file=file))
    assert file.read_text() == "a\n1\n"
