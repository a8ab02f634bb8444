"""A builder killed by SIGKILL anywhere: the next build ends in the rows of one that never died."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from dying_build import POINTS
from shop import Shop

pytestmark = pytest.mark.crash

BAD = (("a9", "ann", 5000, "2026-01-09"), ("b9", "", 5, "2026-02-09"), ("x", "bob", 1, "no date"))


def open_shop(root: Path) -> Shop:
    """A shop with rows for every quarantine: too dear, without customer, without a month."""
    shop = Shop(root)
    shop.open_for_business()
    shop.orders("2026-02-late", ("a3", "cid", 30, "2026-01-31"), *BAD)
    return shop


def quarantined(shop: Shop) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for table in ("bronze.orders", "silver.orders"):
        found += shop.rows(f"SELECT order_id, _violations::VARCHAR FROM {table}__quarantine")
    return sorted(found, key=repr)


def killed_build(root: Path, point: str, count: int) -> int:
    """The exit code of a build that is to die at the ``count``-th passing of a point."""
    script = Path(__file__).with_name("dying_build.py")
    path = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(script), str(root), point, str(count)],
        check=False,
        env={"PYTHONPATH": f"{path}:{Path(__file__).parents[2]}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.fixture(scope="module")
def faultless(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, object]:
    shop = open_shop(tmp_path_factory.mktemp("faultless"))
    shop.build()
    return shop.everything(), quarantined(shop)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("count", [1, 3])
def test_the_next_build_goes_on_where_it_stopped(
    tmp_path: Path, faultless: tuple[object, object], point: str, count: int
) -> None:
    shop = open_shop(tmp_path)
    assert killed_build(tmp_path, point, count) == -signal.SIGKILL
    shop.build()
    assert (shop.everything(), quarantined(shop)) == faultless
    assert shop.plan().targets == ()


def test_killed_again_and_again(tmp_path: Path, faultless: tuple[object, object]) -> None:
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    shop = open_shop(tmp_path)
    history = []
    for _ in range(6):
        point, count = chance.choice(sorted(POINTS)), chance.randint(1, 4)
        history.append((point, count, killed_build(tmp_path, point, count)))
    shop.build()
    found = (shop.everything(), quarantined(shop))
    assert found == faultless, f"replay with seed {seed}: {history}"


def test_a_killed_landing_leaves_no_half_file(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    whole = (shop.landing / "orders/2026-01.csv").read_bytes()
    (shop.landing / "orders/2026-03.csv.part").write_bytes(whole[: len(whole) // 2])
    shop.build()
    assert "2026-03" not in str(shop.rows("SELECT DISTINCT _source_file FROM bronze.orders"))
