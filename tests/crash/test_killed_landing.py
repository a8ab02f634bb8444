"""A landing killed by SIGKILL: no half file is read, and landing again completes it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from figures import FIGURES
from killing import command, open_shop
from shop import Shop

pytestmark = pytest.mark.crash


def rows(shop: Shop) -> dict[str, list[tuple[object, ...]]]:
    """What does not hold the time of landing."""
    return {t: r for t, r in shop.everything().items() if not t.startswith("bronze.")}


@pytest.mark.parametrize("moment", ["before the move", "after the move", "in the midst of a file"])
def test_a_killed_landing_is_completed_by_the_next(tmp_path: Path, moment: str) -> None:
    source = open_shop(tmp_path / "source")
    source.build()
    # The same declarations over an empty landing zone, into which the other's files are landed.
    shop = Shop(tmp_path / "target")
    with command("dying_landing.py", source.landing, shop.landing, moment) as lander:
        _, told = lander.communicate(timeout=60)
    assert lander.returncode == -signal.SIGKILL, told
    FIGURES[f"landings killed: {moment}"] += 1
    assert list(shop.landing.rglob("*.part")) or moment == "after the move"
    shop.build()
    published = shop.rows("SELECT DISTINCT _source_file FROM bronze.orders")
    assert not [name for (name,) in published if ".part" in name]
    with command("dying_landing.py", source.landing, shop.landing, "") as lander:
        _, told = lander.communicate(timeout=60)
    assert lander.returncode == 0, told
    assert not list(shop.landing.rglob("*.part"))
    shop.build()
    assert rows(shop) == rows(source)
