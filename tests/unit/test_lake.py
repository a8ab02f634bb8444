"""Which domain a command is about: by its name, by the tables named, or the only one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from shop import Shop

from lakehouse.build import Lake
from lakehouse.errors import CatalogError


@pytest.fixture
def lake(shop: Shop) -> Lake:
    """The domains ``shop`` and ``market``, which has silver.sales alone in common with it."""
    market = shop.domain.with_name("market")
    for name in ("bronze/sales.yaml", "silver/sales.yaml", "silver/sales.sql"):
        copy = market / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shop.domain / name, copy)
    for file in market.glob("*/*.yaml"):
        file.write_text(file.read_text("utf-8").replace("shop", "market"), "utf-8")
    return shop.lake()


def test_the_only_domain_needs_no_name(tmp_path: Path) -> None:
    lake = Shop(tmp_path).lake()
    assert lake.domain(None).name == "shop"
    assert lake.domain(None, ["anything"]).name == "shop"


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (["market.silver.sales"], "market"),
        (["shop.silver.sales", "gold.daily"], "shop"),
        (["gold.daily"], "shop"),
        (["daily"], "shop"),
    ],
)
def test_tables_tell_their_domain(lake: Lake, tables: list[str], expected: str) -> None:
    assert lake.domain(None, tables).name == expected


def test_a_name_wins(lake: Lake) -> None:
    assert lake.domain("market", ["silver.sales"]).name == "market"


@pytest.mark.parametrize(
    ("name", "tables", "expected"),
    [
        (None, [], "there are market, shop(.|\n)*--domain NAME"),
        (None, ["silver.sales"], "2 tables: (.|\n)*write the full name"),
        (None, ["gold.dayly"], "did you mean 'gold.daily'"),
        (None, ["gold.daily", "market.silver.sales"], "the tables are of shop, market"),
        ("markt", [], "there are market, shop(.|\n)*did you mean 'market'"),
    ],
)
def test_what_does_not_tell_is_refused(
    lake: Lake, name: str | None, tables: list[str], expected: str
) -> None:
    with pytest.raises(CatalogError, match=expected):
        lake.domain(name, tables)
