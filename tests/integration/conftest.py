"""The lake of the real flights, built once."""

from __future__ import annotations

import pytest
from flights_lake import SampleLake, year


@pytest.fixture(scope="session")
def flights(tmp_path_factory: pytest.TempPathFactory) -> SampleLake:
    """A year of flights, built; not to be changed: take a copy."""
    return year(tmp_path_factory.getbasetemp() / "year")
