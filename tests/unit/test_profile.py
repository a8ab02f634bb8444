"""Profiles of real tables: exact counts, values in their own form, nothing of a sensitive column."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shop import FILES, Shop

from lakehouse import profile
from lakehouse.cli.looking import show
from lakehouse.cli.profiling import profile as command
from lakehouse.contract import Column, parse
from lakehouse.errors import CatalogError
from lakehouse.profile.measure import _grid

CLASSIFIED = "name: customer, logicalType: string, physicalType: VARCHAR, classification: pii,"


def _table(shop: Shop, name: str) -> profile.Profile:
    lake = shop.lake()
    return profile.measure(lake, lake.domain("shop").table(name))


def _column(made: profile.Profile, name: str) -> profile.ColumnProfile:
    return next(c for c in made.columns if c.column.name == name)


@pytest.fixture
def orders(shop: Shop) -> Shop:
    shop.open_for_business()
    shop.build("silver.orders")
    return shop


def test_counts_are_those_of_the_table(orders: Shop) -> None:
    made = _table(orders, "silver.orders")
    assert (made.rows, made.partitions) == (4, {"2026-01-01": 2, "2026-02-01": 2})
    amount = _column(made, "amount")
    assert (amount.nulls, amount.distinct, amount.least, amount.greatest) == (0, 4, 5, 20)
    assert amount.mean == pytest.approx(10.5)
    assert sum(bar.rows for bar in amount.bins) == 4
    assert [r.id for r in amount.rules] == ["amount_plausible"]
    customer = _column(made, "customer")
    assert [(b.low, b.rows) for b in customer.top] == [("ann", 2), ("bob", 1), ("cid", 1)]
    ordered = _column(made, "ordered")
    assert (ordered.least, ordered.greatest) == ("2026-01-05", "2026-02-20")
    assert {row["order_id"] for row in made.examples} == {"a1", "a2", "b1", "b2"}


def test_a_version_is_profiled_as_it_was(orders: Shop) -> None:
    orders.orders("late", ("z", "ann", 1, "2026-01-09"))
    orders.build("silver.orders")
    lake = orders.lake()
    table = lake.domain("shop").table("silver.orders")
    assert profile.measure(lake, table).rows == 5
    old = profile.measure(lake, table, 1)
    assert (old.rows, old.version) == (4, 1)
    pages = [profile.write(lake, made) for made in (old, profile.measure(lake, table))]
    assert profile.latest(lake.settings.state, table) == pages[1]


def test_nothing_of_a_sensitive_column_is_shown(orders: Shop) -> None:
    plain = "name: customer, logicalType: string, physicalType: VARCHAR,"
    before = parse((orders.domain / "silver/orders.yaml").read_text(), "x").id
    orders.edit("silver/orders.yaml", plain, CLASSIFIED)
    assert parse((orders.domain / "silver/orders.yaml").read_text(), "x").id == before
    assert orders.todo("silver.orders") == {}
    made = _table(orders, "silver.orders")
    customer = _column(made, "customer")
    assert (customer.nulls, customer.distinct) == (0, 3)
    assert (customer.least, customer.mean, customer.top, customer.bins) == (None, None, (), ())
    text = profile.page(made)
    assert "values not shown: pii" in text
    for name in ("ann", "bob", "cid"):
        assert f">{name}<" not in text
        assert name not in json.dumps([dict(row) for row in made.examples])


@pytest.mark.parametrize(
    ("written", "hidden"),
    [
        (None, False),
        *(("public", False), ("Internal ", False)),
        *(("pii", True), ("restricted", True), ("confidential", True), ("anything", True)),
    ],
)
def test_only_public_and_internal_values_are_shown(written: str | None, hidden: bool) -> None:
    assert Column("a", "VARCHAR", classification=written).sensitive is hidden


def test_a_sensitive_partition_column_is_not_charted(shop: Shop) -> None:
    shop.open_for_business()
    old = "name: area, logicalType: string, physicalType: VARCHAR"
    shop.edit("silver/sales.yaml", old, f"{old}, classification: restricted")
    shop.build("silver.sales")
    made = _table(shop, "silver.sales")
    assert made.partitions == {}
    assert "north" not in profile.page(made)


def test_values_of_a_table_cannot_become_markup(shop: Shop) -> None:
    shop.drop("silver.orders", "gold.daily", "gold.countries")
    evil = "<script>alert(1)</script>"
    shop.customers("all", (evil, evil), ("b", evil), ("c", '"><img src=x onerror=y>'))
    shop.build("silver.customers")
    text = profile.page(_table(shop, "silver.customers"))
    assert "<script" not in text and "<img" not in text
    assert "&lt;script&gt;" in text


class _Tags(html.parser.HTMLParser):
    """Every start tag is closed, and nothing is fetched."""

    VOID = ("meta", "path", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_stands_alone(orders: Shop) -> None:
    page = _Tags()
    text = profile.page(_table(orders, "silver.orders"))
    page.feed(text)
    assert page.open == []
    assert all(link.startswith("#") for link in page.fetched)
    assert "url(" not in text and "@import" not in text


def test_empty_and_constant_columns(shop: Shop) -> None:
    shop.orders("2026-01", ("a", "ann", "", "2026-01-05"), ("b", "ann", "", "2026-01-05"))
    shop.customers("all", ("ann", "NO"))
    shop.build("silver.orders")
    made = _table(shop, "silver.orders")
    amount, ordered = _column(made, "amount"), _column(made, "ordered")
    assert (amount.nulls, amount.bins, amount.least) == (2, (), None)
    assert [bar.rows for bar in ordered.bins] == [2]
    assert "no values" in profile.page(made)


def test_a_table_that_is_not_built_has_no_profile(shop: Shop) -> None:
    with pytest.raises(CatalogError, match="nothing of it is built") as raised:
        _table(shop, "silver.orders")
    assert "lake build silver.orders" in raised.value.remedy


@given(
    kind=st.sampled_from(["INTEGER", "DOUBLE", "DATE", "TIMESTAMPTZ"]),
    ends=st.tuples(st.floats(-1e15, 1e15), st.floats(0, 1e15)),
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_bins_cover_every_value_once(kind: str, ends: tuple[float, float]) -> None:
    low, high = ends[0], ends[0] + ends[1]
    if kind != "DOUBLE":
        step = 86_400 if kind == "DATE" else 1
        low, high = float(low // step * step), float(high // step * step)
    start, width, bins = _grid(Column("a", kind), low, high)
    assert start == low and width > 0 and 1 <= bins <= 24
    # The last bin takes its end; rounding may leave that a hair short of the largest value.
    assert start + bins * width >= high - abs(high) * 1e-9 - 1e-9


def test_the_command_writes_a_page_and_show_names_it(
    orders: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = orders.settings
    for name in ("uri", "landing", "domains", "state"):
        monkeypatch.setenv(f"LAKE_{name.upper()}", str(getattr(made, name)))
    done = CliRunner().invoke(command, ["silver.orders"], catch_exceptions=False)
    page = Path(done.output.splitlines()[-1].removeprefix("file://"))
    assert page == made.state / "docs/profile/shop/silver/orders/version-1.html"
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    told = CliRunner().invoke(command, ["silver.orders", "--json"], catch_exceptions=False)
    assert json.loads(told.output)["columns"][0]["column"]["name"] == "order_id"
    shown = CliRunner().invoke(show, ["silver.orders"], catch_exceptions=False).output
    assert str(page) in shown
    assert re.search("^amount +bronze.orders: amount$", shown, re.MULTILINE)
    document = json.loads(CliRunner().invoke(show, ["silver.orders", "--json"]).output)
    sources = {c["name"]: c["from"] for c in document["columns"]}
    assert sources["ordered"] == ["bronze.orders.ordered"]


def test_every_table_of_the_shop_has_a_profile(shop: Shop) -> None:
    shop.open_for_business()
    shop.build()
    for name in (n.replace("/", ".").removesuffix(".yaml") for n in FILES if n.endswith(".yaml")):
        made = _table(shop, name)
        assert all(sum(b.rows for b in c.bins) in (0, made.rows - c.nulls) for c in made.columns)
        assert profile.page(made)
