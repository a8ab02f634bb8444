"""Relationships: how they are written, refused, planned, and what becomes of rows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from related import land, relate, related
from shop import FILES, Shop

from lakehouse import catalog
from lakehouse.cli.looking import show
from lakehouse.contract import Contract, Reference, parse, reference
from lakehouse.engines.references import looked_up
from lakehouse.errors import CatalogError, ContractError
from lakehouse.ledger import Ledger

SILVER = FILES["silver/orders.yaml"]
KNOWN = "{id: customer_known, to: silver.customers.customer}"


def at_column(entry: str, text: str = SILVER) -> Contract:
    old = "physicalType: VARCHAR, required: true}"
    assert old in text
    return parse(text.replace(old, f"{old[:-1]}, relationships: [{entry}]}}"), "t.yaml")


def at_table(entry: str) -> Contract:
    return parse(
        SILVER.replace("  quality:\n", f"  relationships: [{entry}]\n  quality:\n"), "t.yaml"
    )


class TestWritten:
    def test_at_a_column(self) -> None:
        one = next(r for r in at_column(KNOWN).rules if r.id == "customer_known")
        assert (one.type, one.scope, one.mostly) == ("foreignKey", "row", 1.0)
        assert reference(one) == Reference("silver.customers", ("customer",))
        assert at_column(KNOWN).id != parse(SILVER, "t.yaml").id

    def test_at_the_table_by_several_columns(self) -> None:
        entry = (
            "{id: pair, from: [orders.customer, orders.ordered], "
            "to: [gold.days.who, gold.days.day], "
            "customProperties: [{property: mostly, value: 0.9}]}"
        )
        one = next(r for r in at_table(entry).rules if r.id == "pair")
        assert (one.kwargs["column_list"], one.mostly) == (["customer", "ordered"], 0.9)
        assert reference(one) == Reference("gold.days", ("who", "day"))

    @pytest.mark.parametrize(
        ("entry", "found", "remedy"),
        [
            ("{to: silver.customers.customer}", "without an id", "add 'id:"),
            ("{id: a}", "no relationship in the standard's form", "to: <layer>.<table>.<column>"),
            ("{id: a, to: customer}", "no relationship", "to: <layer>.<table>.<column>"),
            ("{id: a, to: customers.customer}", "'customers.customer'", "<layer>.<table>.<column>"),
            ("{id: a, to: schema/c/properties/c}", "'schema/c/properties/c'", "<layer>"),
            ("{id: a, to: [silver.customers.customer]}", "several columns", "at the table"),
            (
                "{id: a, from: orders.customer, to: silver.customers.customer}",
                "no relationship",
                "at the column",
            ),
            ("{id: a, too: silver.customers.customer}", "unknown key 'too'", "'to'"),
            ("{id: a, type: foreign, to: silver.customers.customer}", "no relationship", "write"),
            ("{id: primary_key, to: silver.customers.customer}", "twice", "its own id"),
            (
                (
                    "{id: a, to: silver.customers.customer, "
                    "customProperties: [{property: mosly, value: 0.9}]}"
                ),
                "unknown property 'mosly'",
                "did you mean 'mostly'?",
            ),
            *(
                (
                    (
                        "{id: a, to: silver.customers.customer, "
                        f"customProperties: [{{property: mostly, value: {value}}}]}}"
                    ),
                    "mostly",
                    "a share above 0",
                )
                for value in ("most", "0", "1.5", "true", ".nan")
            ),
        ],
    )
    def test_wrongly_at_a_column(self, entry: str, found: str, remedy: str) -> None:
        with pytest.raises(ContractError) as raised:
            at_column(entry)
        assert found in raised.value.found
        assert remedy in raised.value.remedy
        assert raised.value.file in ("t.yaml:12", "t.yaml:9")

    @pytest.mark.parametrize(
        ("entry", "found", "remedy"),
        [
            (
                "{id: a, from: orders.customer, to: silver.customers.customer}",
                "of one column",
                "at the column customer",
            ),
            (
                "{id: a, from: [orders.customer], to: [silver.customers.customer]}",
                "of one column",
                "at the column customer",
            ),
            ("{id: a, to: [silver.a.b, silver.a.c]}", "no relationship", "from: ["),
            ("{id: a, from: [customer, x], to: [silver.a.b, silver.a.c]}", "no relat", "from: ["),
            (
                "{id: a, from: [x.customer, orders.amount], to: [silver.a.b, silver.a.c]}",
                "'x.customer'",
                "orders.customer",
            ),
            (
                "{id: a, from: [orders.customer, orders.amount], to: [silver.a.b, silver.b.c]}",
                "several tables",
                "one table",
            ),
            (
                "{id: a, from: [orders.customer, orders.amount], to: [silver.a.b]}",
                "2 columns in 'from' and 1 in 'to'",
                "each column",
            ),
            (
                "{id: a, from: [orders.customer, orders.customer], to: [silver.a.b, silver.a.c]}",
                "twice in 'from'",
                "once",
            ),
            (
                "{id: a, from: [orders.customer, orders.amout], to: [silver.a.b, silver.a.c]}",
                "names column 'amout'",
                "did you mean 'amount'?",
            ),
        ],
    )
    def test_wrongly_at_the_table(self, entry: str, found: str, remedy: str) -> None:
        with pytest.raises(ContractError) as raised:
            at_table(entry)
        assert found in raised.value.found
        assert remedy in raised.value.remedy

    def test_a_bronze_table_is_as_landed(self) -> None:
        text = FILES["bronze/customers.yaml"].replace(
            "name: customer, logicalType: string, physicalType: VARCHAR",
            f"name: customer, logicalType: string, physicalType: VARCHAR, relationships: [{KNOWN}]",
        )
        with pytest.raises(ContractError, match="a relationship of a bronze table") as raised:
            parse(text, "t.yaml")
        assert "silver" in raised.value.remedy


class TestLinted:
    @pytest.mark.parametrize(
        ("table", "column", "to", "found", "remedy"),
        [
            (
                "silver.orders",
                "customer",
                "silver.customer.customer",
                "has not",
                "'silver.customers'",
            ),
            (
                "silver.orders",
                "customer",
                "silver.customers.custom",
                "no column 'custom'",
                "'customer'",
            ),
            ("silver.orders", "customer", "silver.customers._source_file", "no column", "known"),
            (
                "silver.orders",
                "customer",
                "bronze.customers._row",
                "customer is VARCHAR",
                "one type",
            ),
            ("silver.orders", "customer", "silver.orders.order_id", "itself", "another"),
            ("silver.orders", "customer", "bronze.orders.customer", "partitioned too", "lookback"),
        ],
    )
    def test_what_cannot_be_looked_up(
        self, shop: Shop, table: str, column: str, to: str, found: str, remedy: str
    ) -> None:
        relate(shop, table, column, f"{{id: mine, to: {to}}}")
        with pytest.raises(ContractError, match="rule mine") as raised:
            catalog.load(shop.domain)
        assert found in raised.value.found
        assert remedy in raised.value.remedy
        assert str(raised.value.file).endswith("orders.yaml")

    def test_whole_numbers_of_two_widths_are_alike(self, shop: Shop) -> None:
        old = "{name: amount, logicalType: integer, physicalType: INTEGER}"
        new = f"{old[:-1]}, relationships: [{{id: a, to: bronze.customers._row}}]}}"
        shop.edit("silver/orders.yaml", old, new)
        table = catalog.load(shop.domain).table("silver.orders")
        assert list(table.reads) == ["bronze.customers", "bronze.orders"]
        assert list(table.made_of) == ["bronze.orders"]

    def test_a_circle(self, shop: Shop) -> None:
        relate(shop, "silver.orders", "customer", KNOWN)
        relate(shop, "silver.customers", "customer", "{id: buys, to: silver.orders.customer}")
        with pytest.raises(CatalogError, match="a circle") as raised:
            catalog.load(shop.domain)
        assert "silver.orders → silver.customers" in raised.value.found

    def test_rows_come_from_what_they_are_made_of(self, shop: Shop) -> None:
        relate(shop, "silver.orders", "customer", KNOWN)
        shop.edit(
            "silver/orders.yaml", "rows: {from: bronze.orders}", "rows: {from: silver.customers}"
        )
        with pytest.raises(CatalogError, match=r"declares a read of silver\.customers") as raised:
            catalog.load(shop.domain)
        assert "reads bronze.orders" in raised.value.remedy

    def test_a_partitioned_table_is_no_source_of_partitions(self, shop: Shop) -> None:
        """What a relationship alone refers to does not say which partitions there are."""
        relate(shop, "silver.customers", "customer", "{id: buys, to: silver.orders.customer}")
        part = "partition: {column: country, grain: value}\n    rows:"
        shop.edit("silver/customers.yaml", "rows:", part)
        with pytest.raises(CatalogError, match="no input is partitioned") as raised:
            catalog.load(shop.domain)
        assert "bronze.customers" in raised.value.remedy


def kept_out(shop: Shop, table: str, key: str) -> dict[str, list[str]]:
    rows = shop.rows(f"SELECT {key}, _violations FROM {table}__quarantine")
    return {row[0]: sorted(row[1]) for row in rows}


def audited(shop: Shop, rule: str) -> dict[str, Any]:
    """The newest audit of a rule."""
    rows = [r for r in Ledger(shop.lake().storage).rows("audits") if r["rule"] == rule]
    return max(rows, key=lambda r: r["run"])


@pytest.fixture
def shop_(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    related(shop)
    land(shop)
    return shop


class TestRows:
    def test_those_without_a_key_there_are_kept_out(self, shop_: Shop) -> None:
        done = shop_.build()
        assert not done.blocked
        assert kept_out(shop_, "silver.orders", "order_id") == {
            "a2": ["customer_known"],
            "b3": ["customer_known"],
            "b4": ["customer_required"],
        }
        assert sorted(shop_.rows("SELECT order_id FROM silver.orders")) == [
            ("a1",),
            ("b1",),
            ("b2",),
        ]
        # A value that is missing in either column refers to nothing; keys there are twice.
        assert kept_out(shop_, "silver.visits", "visit") == {"v2": ["home"], "v6": ["home"]}
        assert len(shop_.rows("FROM silver.visits")) == 4
        told = audited(shop_, "home")
        assert (told["rows"], told["unexpected"], told["missing"]) == (6, 2, 2)
        assert (told["expectation"], told["result"]) == ("foreignKey", "passed")
        assert json.loads(told["kwargs"])["column_list"] == ["customer", "country"]
        (built,) = [b for b in shop_.builds() if b["table"] == "shop.silver.visits"]
        assert (built["rows_in"], built["published"], built["quarantined"]) == (6, 4, 2)

    def test_mostly_counts(self, shop_: Shop) -> None:
        shop_.build()
        assert sorted(shop_.rows("SELECT sale_id FROM silver.sales")) == [
            ("a1",),
            ("b1",),
            ("nil",),
        ]
        told = [r for r in Ledger(shop_.lake().storage).rows("audits") if r["rule"] == "sold"]
        assert sorted((r["key"], r["unexpected"], r["result"]) for r in told) == [
            ("north", 1, "passed"),
            ("south", 0, "passed"),
        ]
        shop_.sales("more", ("nul", "north"))
        (blocked,) = shop_.build().blocked
        assert (blocked.partition, blocked.rule) == ("north", "sold")
        assert "0.3333 of 3 rows" in blocked.detail

    def test_nothing_to_refer_to_blocks(self, tmp_path: Path) -> None:
        shop = Shop(tmp_path)
        related(shop)
        land(shop)
        for name in ("all", "again"):
            shop.customers(name)
        done = shop.build()
        assert shop.rows("SELECT count(*) FROM silver.customers") == [(0,)]
        assert {b.rule for b in done.blocked} == {"quarantined_share"}
        assert {b.table for b in done.blocked} == {"shop.silver.orders", "shop.silver.visits"}

    def test_a_table_that_refers_waits_for_the_first_publication(self, tmp_path: Path) -> None:
        shop = Shop(tmp_path)
        related(shop)
        land(shop)
        for name in ("all", "again"):
            (shop.landing / f"customers/{name}.csv").unlink()
        shop.build()
        assert shop.todo("silver.orders")[("silver.orders", "")] == [
            "waits for silver.customers nothing published yet"
        ]
        shop.customers("late", ("ann", "NO"), ("cid", "NO"))
        shop.build()
        assert len(shop.rows("FROM silver.orders")) == 3

    def test_a_python_table(self, tmp_path: Path) -> None:
        shop = Shop(tmp_path, python=True)
        shop.open_for_business()
        old = "{name: ordered, logicalType: date, physicalType: DATE, primaryKey: true}"
        there = "{id: a_day, to: gold.daily.ordered}"
        shop.edit("gold/fading.yaml", old, f"{old[:-1]}, relationships: [{there}]}}")
        with pytest.raises(ContractError, match="partitioned too"):
            shop.build()
        shop.edit(
            "gold/fading.yaml", "silver.customers: {}", "silver.customers: {}\n      gold.daily: {}"
        )
        shop.edit("gold/daily.sql", "FROM days", "FROM days\nWHERE ordered <> DATE '2026-02-20'")
        shop.build()
        assert list(catalog.load(shop.domain).table("gold.fading").made_of) == [
            "silver.customers",
            "silver.orders",
        ]
        kept = shop.rows("SELECT ordered, _violations FROM gold.fading__quarantine")
        assert [(str(day), rules) for day, rules in kept] == [("2026-02-20", ["a_day"])]
        assert len(shop.rows("FROM gold.fading")) == 3


def test_show_says_what_a_table_refers_to(shop_: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop_.build()
    for name in ("uri", "landing", "domains", "state"):
        monkeypatch.setenv(f"LAKE_{name.upper()}", str(getattr(shop_.settings, name)))
    shown = CliRunner().invoke(show, ["silver.orders"], catch_exceptions=False).output
    assert re.search("reads bronze.orders, silver.customers$", shown, re.MULTILINE)
    assert re.search("^customer +bronze.orders: customer$", shown, re.MULTILINE)
    assert re.search("^customer +silver.customers.customer$", shown, re.MULTILINE)
    assert re.search("^customer_known +passed +2 +2 +foreignKey$", shown, re.MULTILINE)
    columns = json.loads(CliRunner().invoke(show, ["silver.visits", "--json"]).output)["columns"]
    assert {c["name"]: c["refers_to"] for c in columns if c["refers_to"]} == {
        "customer": ["silver.customers.customer"],
        "country": ["silver.customers.country"],
    }


class TestPlanned:
    def test_a_late_row_there_readmits_by_itself(self, shop_: Shop) -> None:
        shop_.build()
        assert shop_.todo() == {}
        shop_.customers("late", ("eve", "NO"))
        todo = shop_.todo()
        assert todo[("silver.orders", "2026-02-01")] == ["upstream rebuilt silver.customers"]
        shop_.build()
        assert ("b3",) in shop_.rows("SELECT order_id FROM silver.orders")
        assert "b3" not in kept_out(shop_, "silver.orders", "order_id")
        assert "eve" not in [
            row[0] for row in shop_.rows("SELECT customer FROM silver.orders__quarantine")
        ]
        assert shop_.todo() == {}

    def test_told_by_the_ledger_when_the_inputs_are_built(self, shop_: Shop) -> None:
        shop_.build()
        shop_.customers("late", ("eve", "NO"))
        shop_.build("silver.customers")
        assert shop_.todo("silver.orders") == {
            ("silver.orders", month): ["upstream rebuilt silver.customers"]
            for month in ("2026-01-01", "2026-02-01")
        }

    def test_the_same_rows_there_make_nothing_stale(self, shop_: Shop) -> None:
        shop_.build()
        shop_.customers("third", ("ann", "NO"))
        changed = {t.table for t in shop_.build().changed}
        assert not changed & {"shop.silver.orders", "shop.silver.visits"}

    @pytest.mark.parametrize("mode", ["ignore", "new_partitions"])
    def test_when_changed_tames_it(self, shop_: Shop, mode: str) -> None:
        lines = f"reads:\n      silver.customers: {{when_changed: {mode}}}\n    rows:"
        shop_.edit("silver/orders.yaml", "rows:", lines)
        shop_.build()
        shop_.customers("late", ("eve", "NO"))
        changed = {t.table for t in shop_.build().changed}
        assert "shop.silver.orders" not in changed
        shop_.orders("2026-03", ("c1", "eve", 1, "2026-03-05"))
        shop_.build()
        assert ("c1",) in shop_.rows("SELECT order_id FROM silver.orders")

    def test_an_edited_relationship_is_a_changed_contract(self, shop_: Shop) -> None:
        shop_.build()
        shop_.edit(
            "silver/orders.yaml", "to: silver.customers.customer", "to: bronze.customers.customer"
        )
        assert {code[0].partition(" /")[0] for code in shop_.todo("silver.orders").values()} == {
            "contract changed"
        }


class TestPartOfATable:
    """Between two tables by month, the rules of reads decide which keys are looked at."""

    def shop(self, tmp_path: Path, read: str) -> Shop:
        shop = Shop(tmp_path)
        relate(shop, "silver.orders", "customer", "{id: before, to: bronze.orders.order_id}")
        shop.edit("silver/orders.yaml", "rows:", f"{read}\n    rows:" if read else "rows:")
        shop.edit("silver/orders.yaml", "rows: {from: bronze.orders}", "max_quarantined: 1")
        shop.orders("2026-01", ("a1", "a1", 1, "2026-01-05"), ("a2", "c1", 1, "2026-01-06"))
        shop.orders("2026-02", ("b1", "a1", 1, "2026-02-05"), ("b2", "b1", 1, "2026-02-06"))
        shop.orders("2026-03", ("c1", "a1", 1, "2026-03-05"), ("c2", "b2", 1, "2026-03-06"))
        return shop

    @pytest.mark.parametrize(
        ("read", "published"),
        [
            ("reads: {bronze.orders: {}}", ["a1", "b2"]),
            ("reads: {bronze.orders: {lookback: 20 days}}", ["a1", "b1", "b2", "c2"]),
            ("reads: {bronze.orders: {lookback: 50 days}}", ["a1", "b1", "b2", "c1", "c2"]),
            ("reads: {bronze.orders: {lookahead: 50 days}}", ["a1", "a2", "b2"]),
        ],
    )
    @pytest.mark.parametrize("threads", [1, 2])
    def test_how_far_it_looks(
        self, tmp_path: Path, read: str, published: list[str], threads: int
    ) -> None:
        shop = self.shop(tmp_path, read)
        shop.build(engine="dask" if threads > 1 else "local")
        assert (
            sorted(row[0] for row in shop.rows("SELECT order_id FROM silver.orders")) == published
        )
        assert set(shop.rows("SELECT unnest(_violations) FROM silver.orders__quarantine")) == {
            ("before",)
        }
        shop.build(force=True)
        assert (
            sorted(row[0] for row in shop.rows("SELECT order_id FROM silver.orders")) == published
        )

    def test_a_row_of_another_partition_is_kept_out_however_far_it_looks(
        self, tmp_path: Path
    ) -> None:
        """What a relationship alone reads beyond the partition makes no rows beyond it."""
        shop = Shop(tmp_path)
        text = (
            FILES["silver/orders.yaml"].replace("orders\n", "moved\n").replace("orders}", "moved}")
        )
        text = text.replace("name: orders", "name: moved").replace("rows: {from: bronze.moved}", "")
        shop.write("silver/moved.yaml", text)
        shop.edit(
            "silver/moved.yaml",
            "partition:",
            "reads: {silver.orders: {lookback: 40 days}}\n    partition:",
        )
        relate(shop, "silver.moved", "order_id", "{id: ordered_once, to: silver.orders.order_id}")
        sql = FILES["silver/orders.sql"].replace(
            "_row, order_month\nFROM typed", "_row, DATE '2026-01-01' AS order_month\nFROM typed"
        )
        shop.write("silver/moved.sql", sql)
        shop.open_for_business()
        (blocked,) = shop.build().blocked
        assert (blocked.partition, blocked.rule) == ("2026-02-01", "quarantined_share")
        assert sorted(shop.rows("SELECT order_id FROM silver.moved")) == [("a1",), ("a2",)]

    def test_partitions_as_part_of_the_key_are_meant(self, tmp_path: Path) -> None:
        shop = self.shop(tmp_path, "")
        there = "[bronze.orders.order_id, bronze.orders.order_month]"
        entry = f"{{id: same, from: [orders.customer, orders.order_month], to: {there}}}"
        shop.edit("silver/orders.yaml", "{id: before, to: bronze.orders.order_id}", "")
        shop.edit("silver/orders.yaml", "  quality:\n", f"  relationships: [{entry}]\n  quality:\n")
        shop.build()
        assert sorted(shop.rows("SELECT order_id FROM silver.orders")) == [("a1",), ("b2",)]


def test_a_relation_without_relationships_stays_as_it_is() -> None:
    assert looked_up(parse(SILVER, "t.yaml").rules, "t") == "t"


def test_names_are_quoted_for_the_engine() -> None:
    text = looked_up(at_column(KNOWN).rules, "t", "`{}`".format, "_{}".format)
    assert "FROM _silver.customers)" in text
    assert "`absent:customer_known`" in text
