"""Scorers killed by SIGKILL, and scorers that race: each prediction exactly once, none lost."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import uuid
from pathlib import Path
from urllib.parse import urlparse

import pytest
from dying_scorer import POINTS
from figures import FIGURES, ROUNDS, SEED
from killing import command
from scored_shop import ScoredShop

pytestmark = pytest.mark.crash

MONTHS = range(1, 5)
#: Times that racing scorers start together.
TURNS = 25 if ROUNDS > 1 else 4
KILLS = 8 if ROUNDS > 1 else 2


def opened(root: Path, **options: object) -> ScoredShop:
    """Three months of orders to be scored, after one that was learnt from."""
    scored = ScoredShop(root, **options)
    for month in MONTHS:
        land(scored, month, 0)
    scored.shop.build()
    return scored


def land(scored: ScoredShop, month: int, turn: int) -> None:
    """One more file with ten orders of a month."""
    rows = [(f"{month}-{turn}-{n}", "ann", n, f"2026-{month:02}-05") for n in range(10)]
    scored.shop.orders(f"{month}-{turn}", *rows)


def killed(root: Path, point: str, count: int, options: dict[str, object]) -> int:
    """The exit code of a scorer that is to die at the ``count``-th passing of a point."""
    with command("dying_scorer.py", root, point, count, json.dumps(options)) as scorer:
        _, told = scorer.communicate(timeout=120)
    assert scorer.returncode in (0, -signal.SIGKILL), told
    FIGURES[f"scorers killed: {point}" if scorer.returncode else "scorers done before"] += 1
    return scorer.returncode


def check(scored: ScoredShop) -> None:
    """Each order after January is predicted once."""
    due = scored.shop.rows("SELECT order_id FROM gold.features WHERE ordered_at >= '2026-02-01'")
    found = [entity for _, entity, _ in scored.predictions()]
    assert sorted(found) == sorted(f'["{order}"]' for (order,) in due)


@pytest.mark.parametrize("point", POINTS)
def test_the_next_scorer_goes_on_where_one_was_killed(tmp_path: Path, point: str) -> None:
    scored = opened(tmp_path)
    assert killed(tmp_path, point, 1, {}) == -signal.SIGKILL
    published = point.endswith("after the commit")
    assert len(scored.predictions()) == (30 if published else 0)
    assert scored.score().rows == (0 if published else 30)
    check(scored)
    assert scored.score().rows == 0


def killed_again_and_again(root: Path, where: str, seed: int, **options: object) -> None:
    chance, scored = random.Random(f"{where}-{seed}"), opened(root, **options)
    history: list[tuple[str, int]] = []
    for turn in range(1, KILLS + 1):
        point, count = chance.choice(sorted(POINTS)), chance.randint(1, 3)
        killed(root, point, count, options)
        history.append((point, count))
        land(scored, chance.choice(MONTHS), turn)
        scored.shop.build()
    scored.score()
    try:
        check(scored)
    except AssertionError as error:
        replay = f"LAKE_CRASH_SEED={seed} LAKE_CRASH_ROUNDS=1 pytest tests/crash -k scorers"
        raise AssertionError(f"{history}; replay: {replay}") from error
    FIGURES[f"rounds of killed scorers on {where}"] += 1


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_scorers_killed_again_and_again(tmp_path: Path, seed: int) -> None:
    killed_again_and_again(tmp_path, "files", seed)


def raced(root: Path, where: str, **options: object) -> None:
    """Two scorers of one version start together, again and again, after new orders."""
    chance, scored = random.Random(f"{where}-{SEED}"), opened(root, **options)
    given = json.dumps(options)
    scorers = [command("racing_scorer.py", root, share, given) for share in (0.25, 0.75)]
    added = [0, 0]
    try:
        for one in scorers:
            _line(one, "ready")
        for turn in range(1, TURNS + 1):
            for one in scorers:
                assert one.stdin is not None
                one.stdin.write("go\n")
                one.stdin.flush()
            for n, one in enumerate(scorers):
                added[n] += json.loads(_line(one))["rows"]
            check(scored)
            if turn < TURNS:
                for month in chance.sample(MONTHS, 2):
                    land(scored, month, turn)
                scored.shop.build()
    finally:
        for one in scorers:
            one.kill()
            one.communicate()
    found = [share for _, _, share in scored.predictions()]
    assert [found.count(0.25), found.count(0.75)] == added
    FIGURES[f"turns of two racing scorers on {where}"] += TURNS
    FIGURES[f"predictions of racing scorers on {where}, each once"] += len(found)


def _line(scorer: subprocess.Popen[str], wanted: str = "") -> str:
    assert scorer.stdout is not None
    said = scorer.stdout.readline().strip()
    if not said or (wanted and said != wanted):
        raise AssertionError(scorer.communicate(timeout=60)[1][-3000:])
    return said


def test_scorers_that_race(tmp_path: Path) -> None:
    raced(tmp_path, "files")


@pytest.fixture
def on_s3(s3: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Settings of a lake of its own on the embedded server."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, s3[name])
    return {
        "uri": f"s3://{urlparse(s3['LAKE_URI']).netloc}/{uuid.uuid4().hex}",
        "landing": (tmp_path / "landing").as_uri(),
        "s3_endpoint": s3["LAKE_S3_ENDPOINT"],
    }


@pytest.mark.s3
def test_scorers_that_race_on_s3(tmp_path: Path, on_s3: dict[str, object]) -> None:
    raced(tmp_path, "S3", **on_s3)


@pytest.mark.s3
@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_scorers_killed_again_and_again_on_s3(
    tmp_path: Path, on_s3: dict[str, object], seed: int
) -> None:
    killed_again_and_again(tmp_path, "S3", seed, **on_s3)
