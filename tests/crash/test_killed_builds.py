"""A builder killed by SIGKILL anywhere: the next build ends in the rows of one that never died."""

from __future__ import annotations

import random
import signal
import uuid
from pathlib import Path
from urllib.parse import urlparse

import pytest
from dying_build import POINTS
from figures import FIGURES, ROUNDS, SEED
from killing import killed_at_random, killed_build, open_shop, state

pytestmark = pytest.mark.crash

#: In one round.
KILLS = 6 if ROUNDS > 1 else 2


@pytest.fixture(scope="module")
def faultless(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    shop = open_shop(tmp_path_factory.mktemp("faultless"))
    shop.build()
    return state(shop)


@pytest.mark.parametrize("point", POINTS)
def test_the_next_build_goes_on_where_it_stopped(
    tmp_path: Path, faultless: tuple[object, ...], point: str
) -> None:
    shop = open_shop(tmp_path)
    # The third passing is in the midst of several tables; the first of the ledger is its first.
    count = 1 if "ledger" in point else 3
    assert killed_build(tmp_path, point, count) == -signal.SIGKILL
    shop.build()
    assert state(shop) == faultless


def killed_again_and_again(
    root: Path, faultless: tuple[object, ...], seed: int, where: str, **options: object
) -> None:
    chance = random.Random(f"{where}-{seed}")
    shop = open_shop(root, **options)
    history: list[tuple[str, int, int]] = []
    for _ in range(KILLS):
        point, count = chance.choice(["", *sorted(POINTS)]), chance.randint(1, 4)
        # Each target a commit of its own, or all of a table one.
        how = {**options, "portion": chance.choice([0.0, 3600.0])}
        code = (
            killed_build(root, point, count, how) if point else killed_at_random(root, chance, how)
        )
        history.append((point, count, code))
    shop.build()
    replay = f"LAKE_CRASH_SEED={seed} LAKE_CRASH_ROUNDS=1 pytest tests/crash -k again_and_again"
    assert state(shop) == faultless, f"{history}; replay: {replay}"
    FIGURES[f"rounds of killed builders on {where}"] += 1


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_killed_again_and_again(tmp_path: Path, faultless: tuple[object, ...], seed: int) -> None:
    killed_again_and_again(tmp_path, faultless, seed, "files")


@pytest.mark.s3
@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_killed_again_and_again_on_s3(
    tmp_path: Path,
    faultless: tuple[object, ...],
    seed: int,
    s3: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, s3[name])
    place = f"s3://{urlparse(s3['LAKE_URI']).netloc}/{uuid.uuid4().hex}"
    options = {
        "uri": place,
        "landing": (tmp_path / "landing").as_uri(),
        "s3_endpoint": s3["LAKE_S3_ENDPOINT"],
    }
    killed_again_and_again(tmp_path, faultless, seed, "S3", **options)
