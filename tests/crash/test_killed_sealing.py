"""Killed while batches are sealed, or while one is taken out again: rows and plan are as meant."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from dying_sealing import BUILDING, SEALING, seal
from figures import FIGURES
from killing import command
from racing_builder import OpenShop
from shop import Shop

pytestmark = pytest.mark.crash

TABLES = ("bronze.orders", "silver.orders")
BATCHES = 24


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("batches")
    shop = Shop(root, TABLES)
    for n in range(BATCHES):
        shop.orders(
            f"n{n:02}", (f"a{n}", "ann", n, "2026-01-05"), (f"b{n}", "bob", n, "2026-02-05")
        )
    shop.build()
    return root


@pytest.fixture
def shop(tmp_path: Path, template: Path) -> OpenShop:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    shop = OpenShop(tmp_path)
    shop.ticks = 1000
    return shop


def killed(shop: Shop, point: str) -> None:
    with command("dying_sealing.py", shop.root, point) as one:
        _, told = one.communicate(timeout=240)
    assert one.returncode == -signal.SIGKILL, told[-3000:]
    FIGURES[f"killed: {point}"] += 1


def members(shop: Shop) -> list[int]:
    return [len(file.members) for file in shop.snapshot("bronze.orders").files]


@pytest.mark.parametrize("point", SEALING)
def test_in_the_midst_of_sealing(shop: OpenShop, point: str) -> None:
    before = shop.everything()
    killed(shop, point)
    assert (shop.everything(), shop.plan().targets) == (before, ())
    seal(shop)
    assert (shop.everything(), shop.plan().targets) == (before, ())
    assert members(shop) == [BATCHES, BATCHES]
    # What was left of the first attempt goes with what was sealed.
    seal(shop)
    left = list((shop.root / "lake/shop/bronze/orders").rglob("part-*.parquet"))
    assert len(left) == 2
    assert (shop.everything(), shop.plan().targets) == (before, ())


@pytest.mark.parametrize("point", BUILDING)
def test_in_the_midst_of_a_build_that_takes_one_out(shop: OpenShop, point: str) -> None:
    seal(shop)
    before = shop.everything()
    shop.orders("n07", ("a7", "cid", 7, "2026-01-05"))
    killed(shop, point)
    done = point == "after the commit of what stays"
    assert [n for _, n in shop.live("bronze.orders")] == [23, 23, 1] if done else [24, 24]
    if not done:
        assert shop.everything() == before
    shop.build()
    assert shop.plan().targets == ()
    assert sorted(members(shop)) == [0, BATCHES - 1, BATCHES - 1]
    told = shop.rows("SELECT order_id, customer FROM silver.orders WHERE order_id LIKE '%7'")
    assert set(told) == {("a7", "cid"), ("a17", "ann"), ("b17", "bob")}
    assert shop.rows("SELECT count(*) FROM silver.orders") == [(2 * BATCHES - 1,)]
