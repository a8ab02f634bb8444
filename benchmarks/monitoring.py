"""Drift of twenty features in four windows of five million rows, against a pass written in numpy.

    python -m benchmarks.monitoring [--rows 5000000] [--rounds 5]

Both read the same Parquet files, from which a partition's feature rows would be read, count the
rows of each window in the bins of each feature, fifteen numbers and five texts, and compare them
with the reference. The peer is what one writes by hand: ``np.searchsorted`` and ``np.bincount`` for
each column of each file.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import common

if TYPE_CHECKING:
    from lakehouse.interval import Interval
    from lakehouse.monitoring.counting import WindowCounts
    from lakehouse.monitoring.reference import FeatureBins, Reference

_MODULE = "benchmarks.monitoring"
_ROLES = ("monitoring", "numpy")
_FILES, _WINDOWS, _LEARNT = 8, 4, 200_000
_NUMBERS = {f"number_{i:02}": i for i in range(15)}
_TEXTS = {f"text_{i}": 8 + 12 * i for i in range(5)}
_START = dt.datetime(2013, 1, 7, tzinfo=dt.UTC)

_NUMBER = (
    "CASE WHEN hash(i + {n}) % 50 > 0 THEN "
    "CAST(hash(i + {n}) % {values} AS DOUBLE) / 1000 "
    "+ sqrt(CAST(hash(i * 3 + {n}) % 9973 AS DOUBLE)) "
    "END AS {name}"
)
_TEXT = "'value ' || CAST(hash(i + {n}) % {values} AS VARCHAR) AS {name}"


def prepare(folder: Path, rows: int) -> None:
    """Write the rows to learn from, and those of four weeks."""
    (folder / "rows").mkdir()
    con: Any = common.connect(folder / "spill", "4GB")
    for part in range(_FILES + 1):
        of_part = rows // _FILES if part else _LEARNT
        file = folder / "learnt.parquet" if not part else folder / "rows" / f"{part:02}.parquet"
        con.execute(_generated(part, of_part, file))
    con.close()


def _generated(part: int, rows: int, file: Path) -> str:
    columns = [
        # Some numbers are of a few values, most are of many.
        _NUMBER.format(name=name, n=n * 7919, values=100_000 if n % 5 else 12)
        for name, n in _NUMBERS.items()
    ]
    columns += [
        _TEXT.format(name=c, n=n * 104_729, values=v) for n, (c, v) in enumerate(_TEXTS.items())
    ]
    seconds = _WINDOWS * 7 * 86_400
    when = f"TIMESTAMPTZ '{_START.isoformat()}' + to_seconds(hash(i) % {seconds}) AS visited"
    source = f"(SELECT CAST({part} AS BIGINT) * 100000000 + range AS i FROM range({rows}))"
    query = f"SELECT i AS visit, {when}, {', '.join(columns)} FROM {source}"
    return f"COPY ({query}) TO '{file}' (FORMAT parquet, COMPRESSION zstd)"


def _windows() -> list[Interval]:
    from lakehouse.monitoring.windows import whole

    until = _START + dt.timedelta(weeks=_WINDOWS)
    return list(whole(_START, until, dt.timedelta(weeks=1), "UTC"))


def _reference(folder: Path) -> Reference:
    import pyarrow.parquet as pq

    from lakehouse.monitoring.reference import Reference
    from lakehouse.training.dataset import matrix

    table = pq.read_table(folder / "learnt.parquet")
    return Reference.of(matrix(table, [*_NUMBERS, *_TEXTS]))


def _told(reference: Reference, found: Sequence[WindowCounts]) -> dict[str, float]:
    from lakehouse.monitoring.drift import compare, weighted_effect

    effects = [weighted_effect(compare(reference, one.features, {})) for one in found]
    counts = str([sorted((name, c) for name, c in one.features.items()) for one in found])
    return {
        "rows": sum(one.rows for one in found),
        "effect": round(sum(effects), 9),
        "digest": zlib.crc32(counts.encode()),
    }


def monitored(folder: Path) -> None:
    """As the library does it, from the files' names to the effect sizes."""
    import scipy.stats  # noqa: F401  # start-up, as in the peer

    from lakehouse import settings
    from lakehouse.engines.base import Input, InputFile
    from lakehouse.engines.connection import connection
    from lakehouse.engines.inputs import mount
    from lakehouse.monitoring.counting import count_windows
    from lakehouse.storage import connect

    common.warm()
    reference, windows = _reference(folder), _windows()
    place = connect(settings.load(state=folder / "state"), (folder / "rows").as_uri())
    files = tuple(InputFile(f.name, None) for f in sorted((folder / "rows").glob("*.parquet")))
    types = {"visited": "TIMESTAMPTZ", **dict.fromkeys(_NUMBERS, "DOUBLE")}
    types |= dict.fromkeys(_TEXTS, "VARCHAR")
    one = Input("watched.features", place, types, None, files)

    def work() -> dict[str, float]:
        with connection(2 * 1024**3, os.cpu_count() or 1) as con:
            mount(con, one)
            found = count_windows(con, one.name, "visited", reference, windows)
        return _told(reference, found)

    common.measure(work)


def by_hand(folder: Path) -> None:
    """The same counts, a column at a time."""
    import numpy as np
    import pyarrow.parquet as pq
    import scipy.stats  # noqa: F401

    from lakehouse.monitoring.counting import WindowCounts
    from lakehouse.monitoring.reference import Counts

    common.warm()
    reference, windows = _reference(folder), _windows()
    edges = np.array([np.datetime64(w.start.replace(tzinfo=None), "us") for w in windows[1:]])

    def work() -> dict[str, float]:
        counted: dict[str, Any] = {}
        rows = np.zeros(len(windows), dtype=np.int64)
        for file in sorted((folder / "rows").glob("*.parquet")):
            table = pq.read_table(file, columns=["visited", *_NUMBERS, *_TEXTS])
            when = table["visited"].to_numpy().astype("datetime64[us]")
            at = np.searchsorted(edges, when, side="right")
            rows += np.bincount(at, minlength=len(windows))
            for one in reference.features:
                bins = len(one.counts) + 1
                place = _place(one, table[one.feature])
                found = np.bincount(at * bins + place, minlength=bins * len(windows))
                counted[one.feature] = counted.get(one.feature, 0) + found
        made = []
        for i, window in enumerate(windows):
            features = {}
            for one in reference.features:
                own = counted[one.feature].reshape(len(windows), -1)[i].tolist()
                features[one.feature] = Counts(tuple(own[:-1]), own[-1])
            made.append(WindowCounts(window, int(rows[i]), features))
        return _told(reference, made)

    common.measure(work)


def _place(one: FeatureBins, column: Any) -> Any:
    """The bin of each row of a column; NULL is the last."""
    import numpy as np

    if one.kind == "numeric":
        values = column.to_numpy()
        found = np.searchsorted(one.edges, values, side="left")
        found[np.isnan(values)] = len(one.counts)
        return found
    encoded = column.combine_chunks().dictionary_encode()
    known: Mapping[str, int] = {value: i for i, value in enumerate(one.values)}
    codes = [known.get(value, len(one.values)) for value in encoded.dictionary.to_pylist()]
    return np.array([*codes, len(one.counts)])[encoded.indices.fill_null(len(codes)).to_numpy()]


def main() -> None:
    """Alternate the two on the same files."""
    parser = common.parser(__doc__, _ROLES, rounds=5)
    parser.add_argument("--rows", type=int, default=5_000_000)
    asked = parser.parse_args()
    match asked.run:
        case "monitoring":
            monitored(asked.folder)
        case "numpy":
            by_hand(asked.folder)
        case _:
            with common.scratch(asked) as folder:
                prepare(Path(folder), asked.rows)
                _compare(Path(folder), asked)


def _compare(folder: Path, asked: argparse.Namespace) -> None:
    found = common.alternate(_MODULE, _ROLES, folder, asked.rounds)
    size = f"{asked.rows:,} rows × {len(_NUMBERS) + len(_TEXTS)} features"
    common.compare("monitoring", size, *found.values(), 1.3)


if __name__ == "__main__":
    main()
