"""Maintenance killed anywhere, and beside builders: rows, plan and held versions are as before."""

from __future__ import annotations

import json
import shutil
import signal
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
from dying_maintenance import POINTS, maintain
from figures import FIGURES
from killing import command, open_shop, state
from racing_builder import OpenShop
from scattered import age, rows_at, scatter
from shop import Shop
from test_many_builders import TABLES, check, opened, raced

from lakehouse import maintenance

pytestmark = pytest.mark.crash

PINNED = 2
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "NO_PROXY", "no_proxy")


def neglected(root: Path, **options: object) -> Shop:
    """A shop with something to do for every step of maintenance."""
    shop = open_shop(root, **options)
    shop.build()
    for turn in range(21):
        shop.build("silver.orders", force=True, partitions=["2026-01-01"])
        if turn == 10:
            scatter(shop, "silver.orders", 2)
    for name in ("bronze.orders", "silver.orders", "silver.customers"):
        scatter(shop, name, 2)
    return shop


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("neglected")
    neglected(root)
    return root


def killed(root: Path, point: str, options: dict[str, Any]) -> int:
    """The exit code of maintenance that is to die at a point."""
    with command("dying_maintenance.py", root, point, PINNED, json.dumps(options)) as one:
        _, told = one.communicate(timeout=240)
    assert one.returncode in (0, -signal.SIGKILL), told[-3000:]
    FIGURES[f"maintenance killed: {point}" if one.returncode else "maintenance not killed"] += 1
    return one.returncode


def same(shop: Shop, before: object, held: object) -> None:
    assert state(shop) == before
    assert rows_at(shop, "silver.orders", PINNED) == held


@pytest.mark.parametrize("point", POINTS)
def test_what_was_there_stays_and_the_next_run_ends_it(
    tmp_path: Path, template: Path, point: str
) -> None:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    shop = OpenShop(tmp_path)
    before, held = state(shop), rows_at(shop, "silver.orders", PINNED)
    assert killed(tmp_path, point, {}) == -signal.SIGKILL
    same(shop, before, held)
    maintain(shop, PINNED)
    same(shop, before, held)
    live = shop.snapshot("silver.orders").files
    assert len(live) == len({f.build for f in live})
    shop.orders("late", ("z1", "ann", 1, "2026-01-31"))
    shop.build()
    assert ("z1",) in shop.rows("SELECT order_id FROM silver.orders")


@pytest.mark.s3
def test_killed_again_and_again_on_s3(
    tmp_path: Path, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in _KEYS:
        monkeypatch.setenv(name, s3[name])
    options = {
        "uri": f"s3://{urlparse(s3['LAKE_URI']).netloc}/{uuid.uuid4().hex}",
        "landing": (tmp_path / "landing").as_uri(),
        "s3_endpoint": s3["LAKE_S3_ENDPOINT"],
    }
    shop = neglected(tmp_path, **options)
    before, held = state(shop), rows_at(shop, "silver.orders", PINNED)
    dead = 0
    for point in POINTS:
        dead += killed(tmp_path, point, options) != 0
        same(shop, before, held)
    assert dead > 3
    maintain(OpenShop(tmp_path, **options), PINNED)
    same(shop, before, held)


def maintained_beside(root: Path, options: dict[str, Any], where: str) -> None:
    shop = opened(root, **options)
    for _ in range(3):
        shop.build("silver.orders", force=True)
    if where == "files":
        age(root / "lake", 8)
        # It remembers those builds as young ones, which hold their versions.
        shutil.rmtree(root / "lake" / "ops")
    with command("racing_maintainer.py", root, json.dumps({"tables": TABLES, **options})) as one:
        assert one.stdout is not None
        try:
            if one.stdout.readline() != "ready\n":
                raise AssertionError(one.communicate(timeout=60)[1][-3000:])
            said = raced(root, options)
            out, error = one.communicate("", timeout=300)
        finally:
            one.kill()
    assert one.returncode == 0, error[-3000:]
    told = json.loads(out)
    assert told["files"]["compact"] > 0
    if where == "files":
        assert told["files"]["vacuum"] > 0
    FIGURES[f"rounds of maintenance beside builders on {where}"] += told["rounds"]
    lake = shop.lake()
    domain = lake.domain("shop")
    maintenance.maintain(lake, domain, maintenance.plan(lake, domain))
    check(shop, said, where)
    assert shop.plan().targets == ()


@pytest.mark.timeout(1800)
def test_beside_builders_on_files(tmp_path: Path) -> None:
    maintained_beside(tmp_path, {}, "files")


@pytest.mark.s3
@pytest.mark.timeout(1800)
def test_beside_builders_on_s3(
    tmp_path: Path, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in _KEYS:
        monkeypatch.setenv(name, s3[name])
    place = f"s3://{urlparse(s3['LAKE_URI']).netloc}/{uuid.uuid4().hex}"
    maintained_beside(tmp_path, {"uri": place, "s3_endpoint": s3["LAKE_S3_ENDPOINT"]}, "S3")
