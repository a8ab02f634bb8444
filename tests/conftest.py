"""What many tests share: a small shop, and an S3 server when one is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from shop import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop in which nothing has landed."""
    return Shop(tmp_path)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The embedded S3 server: the environment by which it is reached."""
    from lakehouse import stack

    state = tmp_path_factory.mktemp("stack") / ".lake"
    try:
        stack.up(state, ["s3"])
        yield stack.environment(state)
    finally:
        stack.down(state)
