"""The lake of the real flights and one Spark session, each made once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from flights_lake import SampleLake, year

from lakehouse.settings import Settings
from lakehouse.storage import connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_JARS = Path(os.environ.get("LAKE_SPARK_JARS") or Path(__file__).parents[2] / ".lake" / "jars")


@pytest.fixture(scope="session")
def flights(tmp_path_factory: pytest.TempPathFactory) -> SampleLake:
    """A year of flights, built; not to be changed: take a copy."""
    return year(tmp_path_factory.getbasetemp() / "year")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The project's own session, of two threads; what a build starts is this one too."""
    from lakehouse.engines.spark import session

    here = tmp_path_factory.mktemp("spark")
    settings = Settings(
        _env_file=None,
        uri=here.as_uri(),
        state=here / "state",
        spark_master="local[2]",
        spark_jars=_JARS,
    )
    started = session.start(settings, connect(settings, settings.uri))
    yield started
    started.stop()
