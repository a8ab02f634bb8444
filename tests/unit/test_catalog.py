"""The folder as the catalog."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from shop import Shop, rule

from lakehouse import catalog
from lakehouse.errors import CatalogError, ContractError, LakehouseError, SqlError


def test_inputs_come_before_what_reads_them(shop: Shop) -> None:
    domain = catalog.load(shop.domain)
    order = [t.short for t in domain.order]
    assert sorted(order) == sorted(domain.tables)
    for table in domain.order:
        assert all(order.index(name) < order.index(table.short) for name in table.reads)


def test_a_table_is_found_by_each_of_its_names(shop: Shop) -> None:
    domain = catalog.load(shop.domain)
    assert domain.table("shop.gold.daily") is domain.table("gold.daily") is domain.table("daily")
    with pytest.raises(CatalogError, match="2 tables") as several:
        domain.table("customers")
    assert "full name" in several.value.remedy
    with pytest.raises(CatalogError) as none:
        domain.table("gold.dayly")
    assert none.value.remedy == "did you mean 'gold.daily'?"


def test_upstream_is_everything_a_table_is_made_from(shop: Shop) -> None:
    assert catalog.load(shop.domain).upstream(["gold.daily"]) == {
        "gold.daily",
        "silver.orders",
        "bronze.orders",
    }


def test_a_folder_without_domains_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no folder with bronze/") as raised:
        catalog.load_all(tmp_path)
    assert "LAKE_DOMAINS" in raised.value.remedy


@pytest.mark.parametrize(
    ("breaks", "found", "file"),
    [
        (
            lambda s: (s.domain / "silver/orders.yaml").unlink(),
            "SQL without a contract",
            "orders.sql",
        ),
        (lambda s: (s.domain / "silver/orders.sql").unlink(), "neither a source", "orders.yaml"),
        (
            lambda s: s.edit("gold/daily.yaml", "- name: daily", "- name: dayly"),
            "schema name 'dayly'",
            "daily.yaml",
        ),
        (lambda s: s.write("bronze/orders.sql", "SELECT 1"), "beside SQL", "orders.yaml"),
        (
            lambda s: s.edit("gold/daily.sql", "silver.orders", "silver.order"),
            "reads silver.order",
            "daily.sql",
        ),
        (
            lambda s: s.edit("gold/daily.yaml", "silver.orders", "silver.sales"),
            "does not read it",
            "daily.yaml",
        ),
        (
            lambda s: s.edit(
                "silver/customers.sql", "FROM bronze.customers", "FROM silver.customers"
            ),
            "does not read it",
            "customers.yaml",
        ),
        (
            lambda s: s.edit("gold/daily.sql", "count(*)", "count(nothing)"),
            "unknown-column",
            "daily.sql:2",
        ),
        (
            lambda s: s.edit(
                "silver/orders.yaml", "grain: month", "grain: month, timezone: Europe/Oslo"
            ),
            "order_month begin in Europe/Oslo, those of bronze.orders in UTC",
            "orders.yaml",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_file(
    shop: Shop, breaks: Callable[[Shop], object], found: str, file: str
) -> None:
    breaks(shop)
    problems = catalog.lint(shop.domain)
    assert [p for p in problems if found in p.found and file in (p.file or "")], problems
    assert all(p.remedy for p in problems)
    with pytest.raises(LakehouseError):
        catalog.load(shop.domain)


def test_a_table_that_reads_itself_is_told_the_alternatives(shop: Shop) -> None:
    shop.edit("gold/daily.sql", "FROM silver.orders", "FROM gold.daily")
    shop.edit("gold/daily.yaml", "silver.orders", "gold.daily")
    with pytest.raises(CatalogError, match=r"a circle: gold\.daily → gold\.daily") as raised:
        catalog.load(shop.domain)
    assert "lookback" in raised.value.remedy


def test_a_lookback_shorter_than_the_window_is_refused(shop: Shop) -> None:
    shop.edit("gold/daily.yaml", "lookback: 6 days", "lookback: 5 days")
    with pytest.raises(SqlError, match="window-reach: this window looks 6 days before") as raised:
        catalog.load(shop.domain)
    assert raised.value.remedy == "declare reads: silver.orders: {lookback: 6 days}"
    shop.edit("gold/daily.yaml", "lookback: 5 days", "lookahead: 5 days")
    with pytest.raises(SqlError, match=r"but silver\.orders is not read before the partition"):
        catalog.load(shop.domain)


def test_rules_that_nobody_evaluates_are_listed(shop: Shop) -> None:
    assert catalog.unevaluated(shop.domain) == []
    shop.edit(
        "silver/orders.yaml",
        "expect_table_row_count_to_be_between",
        "expect_table_row_count_to_equal_other_table",
    )
    assert catalog.lint(shop.domain) == []
    ((table, rule),) = catalog.unevaluated(shop.domain)
    assert (table.short, rule.id) == ("silver.orders", "any_orders")


def test_every_complaint_is_collected(shop: Shop) -> None:
    shop.edit("gold/daily.sql", "count(*)", "count(nothing)")
    shop.edit("gold/countries.sql", "count(*)", "count(nobody)")
    found = catalog.lint(shop.domain)
    assert len(found) >= 2
    assert all(isinstance(p, SqlError) for p in found)


def test_a_pattern_that_engines_read_differently(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.edit(
        "silver/customers.yaml",
        "customProperties:",
        "  quality:\n"
        + rule("word", "column_values_to_match_regex", r"column: customer, regex: '^\w+$'")
        + "customProperties:",
    )
    with pytest.raises(ContractError, match=r"rule word: \\w reads differently") as raised:
        shop.lake()
    assert "[0-9A-Za-z_]" in raised.value.remedy
