"""What benchmarks declare passes the lint, so that they do not rot between two measurements."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse import catalog

DOMAINS = Path(__file__).parents[2] / "benchmarks" / "domains"


@pytest.mark.parametrize("folder", sorted(DOMAINS.iterdir()), ids=lambda folder: folder.name)
def test_a_domain_of_the_benchmarks_is_right(folder: Path) -> None:
    assert catalog.load(folder).order
