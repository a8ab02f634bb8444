"""Generated data sets for the table ``t`` that the probes read, packed into one frame with an id.

Every data set is small and odd: ties, NULLs, NaN that ingest made NULL, texts in several scripts,
the first and last day of the calendar, hours that exist twice or not at all.
"""

from __future__ import annotations

import datetime as dt
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.types import arrow

__all__ = ["COLUMNS", "SETS", "frame", "write"]

#: How many data sets are packed.
SETS = 240
COLUMNS = {
    "g": "INTEGER",
    "i": "INTEGER",
    "j": "INTEGER",
    "x": "DOUBLE",
    "s": "VARCHAR",
    "d": "DATE",
    "ts": "TIMESTAMPTZ",
    "b": "BOOLEAN",
    "zone": "VARCHAR",
}
ZONES = (
    *("America/New_York", "Europe/London", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"),
    *("Asia/Kathmandu", "America/St_Johns", "America/Sao_Paulo", "Antarctica/Troll"),
)
WORDS = (
    *("", " ", "a", "b", "ab", "N1a-x", " Ab ", "a-b-c", "-", "--", "\\N", "%", "_", "a%b", "NaN"),
    *("0", "7", "-7", "007", "12.5", "0.1", "1e3", "1_000", "99999999999", "9" * 25, "5.", ".5"),
    *("2013-02-28", "2013-02-30", "2013-1-5", "0001-01-01", "9999-12-31", "2013-01-05 04:03:02"),
    *("true", "Zürich", "ÅNGSTRÖM", "straße", "ΣΊΣΥΦΟΣ", "İstanbul", "ﬁn", "naïve", "北京市"),
    *("🙂", "👩‍👩‍👧", "e\u0301te\u0301", "\u00a0a\u00a0", "a\u2003", "١٢", "a\nb", "b\n", "a\rb"),
    *(
        "\ta\t",
        "'quoted'",
        '"',
        "a'b",
        "$1",
        "a\\b",
        "x\u2028y",
        "\x0b",
        "abba",
        "\u0000"[:0] + "nul",
        "abcdefghij",
    ),
)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST, _LAST = dt.date(1, 1, 1), dt.date(9999, 12, 31)
_DATES = (
    *(_FIRST, _LAST, dt.date(1582, 10, 4), dt.date(1582, 10, 15), dt.date(1970, 1, 1)),
    *(dt.date(1900, 2, 28), dt.date(2000, 2, 29), dt.date(2024, 2, 29), dt.date(2012, 12, 31)),
    *(dt.date(2013, 1, 31), dt.date(2020, 12, 31), dt.date(2021, 1, 3), dt.date(1969, 12, 31)),
)


def frame(seed: int = 5) -> pa.Table:
    """Rows of :data:`SETS` data sets: ``ds`` and the columns of ``t``; in a set ``d`` is a key."""
    source = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for number in range(SETS):
        rows += ({"ds": number} | row for row in _data_set(source))
    schema = pa.schema([("ds", pa.int32()), *((c, arrow(t)) for c, t in COLUMNS.items())])
    return pa.Table.from_pylist(rows, schema=schema)


def _data_set(source: random.Random) -> list[dict[str, Any]]:
    # Some are empty, some are one row; few values in the others make ties.
    size = source.choice((0, 1, 2, 5, 8, 12, 16))
    few = source.random() < 0.5
    # Large numbers of both signs cancel out, and what is left depends on the order of adding.
    sign = source.choice((1, -1))
    dates = _distinct_dates(source, size)
    moments = [_moment(source) for _ in range(2 if few else size)] or [None]
    words = source.sample(WORDS, 3 if few else 16)
    empty = {c for c in ("g", "i", "j", "x", "s", "ts", "b", "zone") if source.random() < 0.05}
    rows = []
    for date in dates:
        row = {
            "g": _some(source, (1, 1, 2, 3)),
            "i": _whole(source, few),
            "j": _whole(source, few),
            "x": _double(source, sign),
            "s": _some(source, words),
            "d": date,
            "ts": _some(source, moments),
            "b": _some(source, (True, False)),
            "zone": _some(source, ZONES),
        }
        rows.append({c: None if c in empty else value for c, value in row.items()})
    return rows


def _some(source: random.Random, values: Sequence[Any]) -> Any:
    return None if source.random() < 0.12 else source.choice(values)


def _whole(source: random.Random, few: bool) -> int | None:
    if few:
        return _some(source, (0, 1, 2, 7, -7))
    return _some(source, (0, 1, -1, 7, 100, source.randint(-40_000, 40_000)))


def _double(source: random.Random, sign: int) -> float | None:
    odd = (0.0, -0.0, 0.5, -0.5, 1.5, 2.5, 3.5, -2.5, 5e-324, 0.49999999999999994)
    big = (sign * b for b in (9007199254740993.0, 4503599627370495.5, 9.3e18, 1e300))
    value = _some(source, (*odd, *big, math.nan, source.uniform(-1e6, 1e6), source.gauss(0, 1)))
    # What ingest does.
    return None if value is None or math.isnan(value) else value


def _distinct_dates(source: random.Random, size: int) -> list[dt.date]:
    near = dt.date(2013, 3, 1)
    pool = {near + dt.timedelta(days=n) for n in source.sample(range(40), 20)}
    pool |= {dt.date.fromordinal(source.randint(1, _LAST.toordinal())) for _ in range(4)}
    pool |= set(source.sample(_DATES, 4))
    return source.sample(sorted(pool), size)


def _moment(source: random.Random) -> dt.datetime:
    kind = source.randrange(4)
    if kind == 0:
        # Around a change of daylight saving time, as the local clock shows it.
        zone = ZoneInfo(source.choice(ZONES))
        day = source.choice(((2013, 3, 10), (2013, 11, 3), (2013, 3, 31), (2013, 10, 27)))
        local = dt.datetime(*day, source.randrange(4), source.choice((0, 30, 59)), tzinfo=zone)
        moment = local.astimezone(dt.UTC)
    elif kind == 1:
        moment = source.choice(
            (
                dt.datetime(1, 1, 1, tzinfo=dt.UTC),
                dt.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC),
                dt.datetime(1965, 12, 30, 23, 59, 59, 999_999, tzinfo=dt.UTC),
                dt.datetime(1582, 10, 10, 12, tzinfo=dt.UTC),
                dt.datetime(1883, 11, 18, 17, 3, 58, tzinfo=dt.UTC),
                dt.datetime(2262, 4, 11, 23, 47, 16, 854_776, tzinfo=dt.UTC),
            )
        )
    elif kind == 2:
        moment = _EPOCH + dt.timedelta(microseconds=source.randint(-(10**15), 10**16))
    else:
        moment = dt.datetime(2013, 3, 1, tzinfo=dt.UTC)
        moment += dt.timedelta(minutes=15 * source.randrange(3000))
    return moment


def write(rows: pa.Table, folder: Path, files: int = 12) -> Path:
    """The frame as many Parquet files, some of them without a row."""
    folder.mkdir(parents=True)
    step = -(-rows.num_rows // (files - 2))
    for number in range(files):
        part = rows.slice(number * step, step)
        pq.write_table(part, folder / f"part-{number:02}.parquet")
    return folder
