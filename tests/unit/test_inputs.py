"""Views over just the files of an input: DuckDB's reader and pyarrow's say the same."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.engines import inputs
from lakehouse.engines.base import Input, InputFile
from lakehouse.storage import Storage
from lakehouse.types import ARROW_TYPES

TYPES = {"id": "VARCHAR", "n": "BIGINT", "seen_at": "TIMESTAMPTZ", "x": "DOUBLE", "month": "DATE"}
ROWS = {
    "2026-01-01": [("a", 1, dt.datetime(2026, 1, 5, tzinfo=dt.UTC), float("nan"))],
    "2026-02-01": [("b", None, dt.datetime(2026, 2, 5, 1, 2, 3, 4, tzinfo=dt.UTC), 0.1)],
    "2026-03-01": [("c", 2**62, None, float("inf")), (None, 3, dt.datetime.max, None)],
    None: [("ü'\"", 4, dt.datetime(1, 1, 1), -0.0)],
}


def given(root: Path, left_out: dict[str | None, str] | None = None, **more: Any) -> Input:
    """A table of one file a partition; ``left_out`` says which has a column less."""
    files = []
    for partition, rows in ROWS.items():
        names = list(TYPES)[:4]
        columns = {
            name: pa.array([row[i] for row in rows], ARROW_TYPES[TYPES[name]], from_pandas=False)
            for i, name in enumerate(names)
            if (left_out or {}).get(partition) != name
        }
        path = root / f"month={partition}" / "build=abc" / "part-1.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)
        files.append(InputFile(str(path.relative_to(root)), partition))
    return Input("silver.t", Storage(root.as_uri()), TYPES, "month", tuple(files), **more)


def read(one: Input, where: str = "TRUE") -> list[str]:
    """The rows as text, in the order of the files."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    inputs.mount(con, one)
    asked = ", ".join(f"CAST({name} AS VARCHAR) AS {name}" for name in TYPES)
    return [str(r) for r in con.execute(f"SELECT {asked} FROM silver.t WHERE {where}").fetchall()]


def by_pyarrow(one: Input, monkeypatch: pytest.MonkeyPatch, where: str = "TRUE") -> list[str]:
    with monkeypatch.context() as only:
        only.setattr(inputs, "_plain", lambda one: False)
        return read(one, where)


def test_each_row_has_the_partition_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = given(tmp_path)
    found = read(one)
    assert [row.rsplit(", ", 1)[1] for row in found] == [
        "'2026-01-01')",
        "'2026-02-01')",
        "'2026-03-01')",
        "'2026-03-01')",
        "None)",
    ]
    assert found == by_pyarrow(one, monkeypatch)


@pytest.mark.parametrize("where", ["month = DATE '2026-02-01'", "month IS NULL", "n > 2"])
def test_conditions(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = given(tmp_path)
    found = read(one, where)
    assert found
    assert found == by_pyarrow(one, monkeypatch, where)


def test_rows_before_the_lookback_are_left_out_but_those_without_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = given(tmp_path, event="seen_at", lower=dt.datetime(2026, 2, 1, tzinfo=dt.UTC))
    found = read(one)
    assert [row.split(",")[0] for row in found] == ["('b'", "('c'", "(None"]
    assert found == by_pyarrow(one, monkeypatch)


@pytest.mark.parametrize(
    "left_out",
    [
        {"2026-01-01": "n"},
        {"2026-03-01": "x", "2026-01-01": "n"},
        dict.fromkeys(ROWS, "x"),
    ],
    ids=["first", "two", "all"],
)
def test_a_column_that_some_files_lack_is_null_there(
    left_out: dict[str | None, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = given(tmp_path, left_out)
    assert read(one) == by_pyarrow(one, monkeypatch)


@pytest.mark.parametrize("name", ["a [1] * ?", "50%", "it's", "~", "ü", "a%20b"])
def test_names_are_taken_as_they_are(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    assert len(read(given(tmp_path / name))) == 5


def test_no_files_are_no_rows(tmp_path: Path) -> None:
    assert read(Input("silver.t", Storage(tmp_path.as_uri()), TYPES, "month", ())) == []


def test_one_partition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = given(tmp_path)
    one = Input("silver.t", whole.storage, TYPES, "month", whole.files[2:3])
    assert len(read(one)) == 2
    assert read(one) == by_pyarrow(one, monkeypatch)
