"""Requests to S3, counted at a proxy: they follow what is touched, not what is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from counting import Requests, counted

pytestmark = pytest.mark.s3

#: Of the months, in turn.
TOUCHED = (1, 3)


@pytest.fixture
def server(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, s3[name])
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    return s3


def built(root: Path, server: dict[str, str], months: int) -> tuple[list[Requests], list[Requests]]:
    """Of builds of some touched months in turn, and of builds with nothing to do after each."""
    builds, idle = [], []
    with counted(root, server, months) as there:
        there.shop.build()
        for turn, touched in enumerate(TOUCHED, 1):
            there.touch(touched, turn)
            there.sum_up()
            with there.counting() as build:
                done = there.shop.build()
            # The month in bronze, silver and gold, and in gold the month after it.
            assert [table.partitions for table in done.changed] == [touched, touched, 2 * touched]
            there.sum_up()
            with there.counting() as nothing:
                assert not there.shop.build().changed
            builds.append(build)
            idle.append(nothing)
    return builds, idle


def of(found: Sequence[Requests], *kinds: str) -> list[int]:
    return [requests.of(*kinds) for requests in found]


def test_requests_follow_what_is_touched(tmp_path: Path, server: dict[str, str]) -> None:
    builds, idle = built(tmp_path / "9", server, 9)
    one, three = of(builds, "data")
    # A line through nothing: no data file is asked for but those of touched partitions.
    assert three == 3 * one > 0
    # One listing, and the same for each file.
    one, three = (n - 1 for n in of(builds, "landing"))
    assert three == 3 * one > 0
    # What a build asks of logs does not follow what is touched.
    logs = of(builds, "log")
    assert max(logs) - min(logs) <= 0.1 * max(logs)
    assert of(idle, "data", "ledger", "probe") == [0, 0]
    assert len(set(of(idle))) == 1
    more, idle_too = built(tmp_path / "15", server, 15)
    assert of(more, "data", "landing") == of(builds, "data", "landing")
    assert of(idle_too) == of(idle)
    for few, many in zip(of(builds), of(more), strict=True):
        assert abs(many - few) <= 0.05 * few
