"""Builders of one table on Spark and on Dask at once: no acknowledged commit is lost."""

from __future__ import annotations

import random
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
from figures import FIGURES, ROUNDS, SEED
from racing_builder import land
from shop import Shop
from spark_builder import SparkBuilder
from test_many_builders import MONTHS, TABLES, commits

pytestmark = [pytest.mark.crash, pytest.mark.spark, pytest.mark.timeout(900)]

#: Builds on Spark, each beside as many on Dask as there is time for.
TURNS = 10 if ROUNDS > 1 else 1
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "NO_PROXY", "no_proxy")


class Race:
    """What was landed, and the commits that builders were told of."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.chance = shop, random.Random(SEED)
        self.orders: list[str] = []
        self.told: list[tuple[str, str, int, str]] = []

    def land(self, name: str, month: int) -> None:
        self.orders.append(land(self.shop, name, len(self.orders), month))

    def on_dask(self, until: Future[dict[str, Any]]) -> None:
        """Build new orders of two months, and the third month anew, while the other builds."""
        while not until.done():
            if self.chance.random() < 0.3:
                month = f"2026-{MONTHS[-1]:02}-01"
                done = self.shop.build(
                    "silver.orders", engine="dask", force=True, partitions=[month]
                )
            else:
                self.land("dask", self.chance.choice(MONTHS[:-1]))
                done = self.shop.build("silver.orders", engine="dask")
            self.told += [(t.engine, t.table, t.version, done.run) for t in done.changed]

    def on_spark(self, told: dict[str, Any]) -> None:
        self.told += [(e, name, v, told["run"]) for name, (e, v) in told["changed"].items()]

    def check(self, where: str) -> None:
        """Each version is of the run that was told of it; in the end each order is there once."""
        logs = {f"shop.{table}": commits(self.shop, table) for table in TABLES}
        assert [one for one in self.told if logs[one[1]].get(one[2]) != one[3]] == []
        assert {engine for engine, *_ in self.told} == {"dask", "spark"}
        self.shop.build()
        for table in TABLES:
            found = [order for (order,) in self.shop.rows(f"SELECT order_id FROM {table}")]
            assert sorted(found) == sorted(self.orders)
        assert self.shop.plan().targets == ()
        for engine in ("dask", "spark"):
            n = sum(one[0] == engine for one in self.told)
            FIGURES[f"commits on {engine} beside the other engine on {where}"] += n


def raced(root: Path, where: str, keys: dict[str, str], **options: object) -> None:
    race = Race(Shop(root, TABLES, **options))
    for month in MONTHS:
        race.land("first", month)
    given = {**options, "state": str(root / "spark state")}
    with SparkBuilder(root, given, keys) as spark, ThreadPoolExecutor(1) as pool:
        race.on_spark(spark.build("silver.orders"))
        for _ in range(TURNS):
            race.land("spark", race.chance.choice(MONTHS))
            spark.ask(tables=["silver.orders"], force=True)
            answer = pool.submit(spark.answer)
            race.on_dask(answer)
            race.on_spark(answer.result())
    race.check(where)


def test_spark_beside_dask_on_files(tmp_path: Path) -> None:
    raced(tmp_path, "files", {})


@pytest.mark.s3
@pytest.mark.skipif(ROUNDS < 2, reason="in the long set (make test-crash)")
def test_spark_beside_dask_on_s3(
    tmp_path: Path, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in _KEYS:
        monkeypatch.setenv(name, s3[name])
    place = f"s3://{urlparse(s3['LAKE_URI']).netloc}/{uuid.uuid4().hex}"
    keys = {name: s3[name] for name in _KEYS}
    raced(tmp_path, "S3", keys, uri=place, s3_endpoint=s3["LAKE_S3_ENDPOINT"])
