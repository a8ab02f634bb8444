"""A bad network in front of S3: no row doubled, none lost, no hanging, and each error has a name."""

from __future__ import annotations

import contextlib
import itertools
import random
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import pytest
from faults import FAULTS, FaultProxy, Rule
from figures import FIGURES, ROUNDS, SEED
from shop import Shop

from lakehouse import storage
from lakehouse.errors import LakehouseError

pytestmark = pytest.mark.s3

TABLES = ["bronze.orders", "silver.orders"]
#: What a request is for: (method, path).
KINDS = {
    "landing": ("GET|HEAD", r"/landing/shop/.*csv"),
    "log": ("GET|HEAD", r"silver/orders/_delta_log/|list-type=2.*silver"),
    "read": ("GET|HEAD", r"bronze/orders/.*\.parquet"),
    "write": ("PUT|POST", r"silver/orders/.*\.parquet"),
    "commit": ("PUT|POST", r"silver/orders/_delta_log/"),
    "ledger": ("PUT|POST", r"/ops/runs/"),
}
ALL = list(itertools.product(KINDS, FAULTS))
#: In every day's tests each kind and each fault at least once, but for silence: it takes long.
FEW = [
    *(("landing", "500"), ("landing", "truncated"), ("log", "503"), ("log", "reset")),
    *(("read", "truncated"), ("read", "500"), ("write", "503"), ("write", "cut")),
    *(("write", "lost"), ("commit", "500"), ("commit", "lost"), ("commit", "reset")),
    *(("commit", "cut"), ("commit", "stall"), ("commit", "slow"), ("ledger", "lost")),
]
#: A stalled server is asked three times, and then again by the committer, to see who has won.
SILENCE_S = 3


@dataclass
class Lake:
    """One lake, reached directly and through the proxy."""

    direct: Shop
    through: Shop
    proxy: FaultProxy


@pytest.fixture(scope="module")
def proxy(s3: dict[str, str]) -> Iterator[FaultProxy]:
    port = urlparse(s3["LAKE_S3_ENDPOINT"]).port
    assert port is not None
    with FaultProxy(port, seed=SEED) as made:
        yield made


@pytest.fixture
def lake(
    tmp_path: Path, proxy: FaultProxy, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Lake:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, s3[name])
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    bucket = urlparse(s3["LAKE_URI"]).netloc
    place = f"s3://{bucket}/{uuid.uuid4().hex}"
    there = {"uri": place, "landing": f"{place}/landing"}
    direct = Shop(tmp_path, TABLES, s3_endpoint=s3["LAKE_S3_ENDPOINT"], **there)
    direct.open_for_business()
    landing = storage.connect(direct.settings, there["landing"])
    landing.fsspec().put(str(direct.landing), f"{landing.root}/shop", recursive=True)
    # What the probe left: it is not what is tested here, and takes long.
    landing.fsspec().pipe_file(f"{direct.lake().storage.root}/ops/probe/conditional-put", b"")
    shutil.rmtree(direct.landing)
    return Lake(direct, Shop(tmp_path, TABLES, s3_endpoint=proxy.url, **there), proxy)


def built_once(shop: Shop) -> None:
    """Every order is there, once; nothing is left to do."""
    for table in TABLES:
        rows = shop.rows(f"SELECT order_id FROM {table} ORDER BY 1")
        assert rows == [("a1",), ("a2",), ("b1",), ("b2",)]
    snapshot = shop.snapshot("silver.orders")
    assert len(snapshot.files) == 2
    assert shop.plan().targets == ()


@pytest.mark.parametrize(("kind", "fault"), ALL if ROUNDS > 1 else FEW)
def test_a_fault_that_passes(
    lake: Lake, kind: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "SILENCE_S", SILENCE_S)
    rule = Rule(fault, *KINDS[kind], times=1)
    with lake.proxy.under(rule):
        lake.through.build()
    assert len(rule.struck) == 1
    FIGURES[f"faults that passed: {fault}"] += 1
    built_once(lake.through)


@pytest.mark.parametrize(("kind", "fault"), ALL if ROUNDS > 1 else FEW[::2])
def test_a_fault_that_stays(
    lake: Lake, kind: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "SILENCE_S", SILENCE_S)
    rule = Rule(fault, *KINDS[kind], seconds=0.1)
    with lake.proxy.under(rule), contextlib.suppress(LakehouseError):
        lake.through.build()
        # A reply lost each time is looked for in the log; what is slow is waited for.
        assert (kind, fault) in {
            *((kind, "slow") for kind in KINDS),
            *(("commit", "lost"), ("commit", "truncated")),
            *(("ledger", "lost"), ("ledger", "truncated")),
        }
    assert rule.struck
    FIGURES[f"faults that stayed: {fault}"] += 1
    lake.direct.build()
    built_once(lake.direct)


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_faults_of_all_kinds_at_once(lake: Lake, seed: int) -> None:
    lake.proxy.chance = random.Random(seed)
    rules = [
        Rule(fault, chance=0.03, seconds=0.2)
        for fault in ("500", "503", "slow", "reset", "truncated", "cut", "lost")
    ]
    failed = []
    with lake.proxy.under(*rules):
        for _ in range(20):
            try:
                lake.through.build()
            except LakehouseError as error:
                failed.append(str(error))
            else:
                break
    FIGURES["requests struck at random"] += sum(len(r.struck) for r in rules)
    FIGURES["builds ended by a named error"] += len(failed)
    replay = f"LAKE_CRASH_SEED={seed} LAKE_CRASH_ROUNDS=1 pytest tests/integration/test_faults.py"
    assert len(failed) < 20, f"{failed[-1]}\nreplay: {replay}"
    built_once(lake.direct)
