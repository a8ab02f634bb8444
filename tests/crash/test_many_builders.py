"""Many builders of one table: no acknowledged commit is lost, and each of them finishes."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
from figures import FIGURES, ROUNDS, SEED
from killing import command
from shop import Shop

pytestmark = pytest.mark.crash

TABLES = ["bronze.orders", "silver.orders"]
#: (processes, builds of each): 4 × 5 every day, 8 × 25 in the long set.
SIZE = (8, 25) if ROUNDS > 1 else (4, 5)
MONTHS = range(1, 4)


def raced(root: Path, options: dict[str, Any]) -> list[dict[str, Any]]:
    """Builders that start together; what each says in the end."""
    processes, builds = SIZE
    given = json.dumps({"tables": TABLES, **options})
    builders = [
        command("racing_builder.py", root, f"p{n}", builds, SEED, given) for n in range(processes)
    ]
    said = []
    try:
        for one in builders:
            assert one.stdout is not None
            if one.stdout.readline() != "ready\n":
                raise AssertionError(one.communicate(timeout=60)[1][-3000:])
        for one in builders:
            assert one.stdin is not None
            one.stdin.write("\n")
            one.stdin.flush()
        for one in builders:
            told, error = one.communicate(timeout=1500)
            assert one.returncode == 0, f"{error[-3000:]}\nreplay: LAKE_CRASH_SEED={SEED}"
            said.append(json.loads(told))
    finally:
        for one in builders:
            one.kill()
            one.communicate()
    return said


def commits(shop: Shop, table: str) -> dict[int, str]:
    """Version → the run that made it, from the log itself."""
    from deltalake import DeltaTable

    lake = shop.lake()
    place = lake.place(lake.domain("shop").tables[table])
    log = DeltaTable(place.delta_uri(), storage_options=place.delta_options()).history()
    return {one["version"]: json.loads(one.get("lakehouse", "{}")).get("run", "") for one in log}


def check(shop: Shop, said: list[dict[str, Any]], where: str) -> None:
    acknowledged = [(t, v, run) for one in said for t, v, run in one["versions"]]
    logs = {table: commits(shop, table) for table in TABLES}
    assert [(t, v) for t, v, run in acknowledged if logs[t].get(v) != run] == []
    # What one left to another, since its inputs had moved on, is there or is planned.
    shop.build()
    orders = sorted(f"first-{m}" for m in MONTHS) + sorted(o for one in said for o in one["orders"])
    for table in TABLES:
        found = [order for (order,) in shop.rows(f"SELECT order_id FROM {table}")]
        assert sorted(found) == sorted(orders)
    assert len(shop.snapshot("silver.orders").files) == len(MONTHS)
    attempts = [n for one in said for n in one["attempts"]]
    FIGURES[f"builders racing on {where}"] += len(said)
    FIGURES[f"builds of racing builders on {where}"] += SIZE[0] * SIZE[1]
    FIGURES[f"commits acknowledged on {where}, all found in the log"] += len(acknowledged)
    FIGURES[f"attempts at the log on {where}"] += sum(attempts)
    FIGURES[f"most attempts that one commit on {where} took"] = max(attempts)


def opened(root: Path, **options: object) -> Shop:
    shop = Shop(root, TABLES, **options)
    for month in MONTHS:
        shop.orders(f"first-{month}", (f"first-{month}", "ann", 1, f"2026-{month:02}-01"))
    shop.build()
    return shop


@pytest.mark.timeout(1800)
def test_many_builders_on_files(tmp_path: Path) -> None:
    shop = opened(tmp_path)
    check(shop, raced(tmp_path, {}), "files")


@pytest.mark.s3
@pytest.mark.timeout(1800)
def test_many_builders_on_s3(
    tmp_path: Path, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, s3[name])
    place = f"s3://{urlparse(s3['LAKE_URI']).netloc}/{uuid.uuid4().hex}"
    options = {"uri": place, "s3_endpoint": s3["LAKE_S3_ENDPOINT"]}
    shop = opened(tmp_path, **options)
    check(shop, raced(tmp_path, options), "S3")
