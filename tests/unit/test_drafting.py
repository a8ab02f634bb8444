"""Drafts: what is guessed from files, and that every draft builds as it is."""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import gzip
import io
import json
import os
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse import build as building
from lakehouse import catalog, query, sample
from lakehouse.build import Lake, Session
from lakehouse.cli import main
from lakehouse.drafting import Progress, Survey, draft, survey
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from lakehouse.sql import WORDS


def put(root: Path, name: str, data: bytes | str) -> Path:
    file = root / name
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    return file


def rows(header: list[str], *lines: list[str], delimiter: str = ",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows([header, *lines])
    return text.getvalue()


def column(*values: str) -> str:
    """A file in which a column of these values stands beside a number."""
    return rows(["n", "v"], *([str(i), value] for i, value in enumerate(values)))


def declare(seen: Survey, root: Path, table: str = "t", path: str | None = None) -> Path:
    folder = root / "jobs" / "d"
    for name, text in draft(seen, "d", table, path).files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def built(root: Path, *files: Path) -> Lake:
    """A lake in which the drafted table is built from the files."""
    own = Settings(
        _env_file=None,
        uri=(root / "lake").as_uri(),
        domains=root / "jobs",
        state=root / "state",
        threads=1,
    )
    lake = building.open_lake(own)
    for file in files:
        sample.put(lake.landing_of("d"), f"t/{file.name}", file.read_bytes())
    done = building.build(Session(lake, lake.domain("d"), engine="local"))
    assert not done.blocked
    return lake


# --- what values mean -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind", "least", "note"),
    [
        (["1", "-2", "30"], "INTEGER", "-2", None),
        (["1", "3000000000"], "BIGINT", "1", None),
        (["1", "2.5", "1e3", ".5"], "DOUBLE", "0.5", None),
        (["1", "99999999999999999999999"], "VARCHAR", "1", "would lose digits"),
        (["9007199254740993", "9223372036854775807"], "BIGINT", "9007199254740993", None),
        (["9007199254740993", "0.5"], "VARCHAR", "0.5", "would lose digits"),
        (["9007199254740991", "0.5", "1e300"], "DOUBLE", "0.5", None),
        (["9,007,199,254,740,993", "12"], "VARCHAR", "12", "would lose digits"),
        (["x" * 40, "9" * 400], "VARCHAR", None, None),
        (["1,234.50", "12"], "DOUBLE", "12.0", "one thousand"),
        (["1.234,50", "12"], "DOUBLE", "12.0", "one thousand"),
        (["12,5", "1,25"], "DOUBLE", "1.25", "one thousand"),
        (["12,500", "1234,567"], "DOUBLE", "12.5", "1.234,5 is read"),
        (["0,500", "12,250"], "DOUBLE", "0.5", "1.234,5 is read"),
        (["12,5", "12.5"], "VARCHAR", "12,5", None),
        (["$12.50", "$1,000"], "DOUBLE", "12.5", "unit"),
        (["12 %", "7.5%"], "DOUBLE", "7.5", "unit"),
        (["007", "120"], "VARCHAR", "007", "leading zeros"),
        (["yes", "NO", "yes"], "BOOLEAN", "false", None),
        (["true", "False"], "BOOLEAN", "false", None),
        (["0", "1"], "INTEGER", "0", None),
        (["2026-01-31", "2026-2-1"], "DATE", "2026-01-31", None),
        (["2026/01/31"], "DATE", "2026-01-31", None),
        (["31.01.2026", "1.2.2026"], "DATE", "2026-01-31", None),
        (["1/31/2026", "2/1/2026"], "DATE", "2026-01-31", "other way round"),
        (["31/1/2026", "1/2/2026"], "DATE", "2026-01-31", "other way round"),
        (["Jan 31 2026", "February 1 2026"], "DATE", "2026-01-31", None),
        (["31 Jan 2026"], "DATE", "2026-01-31", None),
        (["31-Jan-2026"], "DATE", "2026-01-31", None),
        (["2026-02-30", "2026-13-01"], "VARCHAR", "2026-02-30", None),
        (["2026-01-31T10:00:00Z"], "TIMESTAMPTZ", "2026-01-31 10:00:00+00", None),
        (["2026-01-31 10:00:00.5+02:00"], "TIMESTAMPTZ", "2026-01-31 08:00:00.5+00", None),
        (["2026-01-31 10:00", "2026-01-31 10:00:30"], "TIMESTAMPTZ", None, "which zone"),
        (["31.01.2026 10:00"], "TIMESTAMPTZ", "2026-01-31 10:00:00+00", "which zone"),
        (["a", "b"], "VARCHAR", "a", None),
        (["", ""], "VARCHAR", None, "nothing but NULL"),
        ([" a", "a"], "VARCHAR", "a", "blanks"),
        (['{"a": 1}', "[2]"], "VARCHAR", None, "JSON"),
        (["a@b.org", "c@d.org"], "VARCHAR", None, "restricted"),
    ],
)
def test_values_have_a_type(
    values: list[str], kind: str, least: str | None, note: str | None, tmp_path: Path
) -> None:
    found = survey([put(tmp_path, "f.csv", column(*values))], {})
    seen = found.column("v")
    assert not catalog.lint(declare(found, tmp_path))
    assert seen.type == kind
    assert least is None or seen.least == least
    assert note is None or note in "; ".join(seen.notes)


@pytest.mark.parametrize("word", ["NA", "-", "null", "N/A", "\\N", "?"])
def test_words_for_null_among_numbers(word: str, tmp_path: Path) -> None:
    seen = survey([put(tmp_path, "f.csv", column("1", word, "3"))], {})
    assert word in seen.source.null_values
    assert (seen.column("v").type, seen.column("v").nulls) == ("INTEGER", 1)


def test_a_word_among_words_is_no_null(tmp_path: Path) -> None:
    seen = survey([put(tmp_path, "f.csv", column("NA", "EU", "AS"))], {})
    assert seen.source.null_values == ("",) and seen.column("v").nulls == 0


def test_a_few_wrong_values_do_not_hide_a_type(tmp_path: Path) -> None:
    values = [str(n) for n in range(98)] + ["oops", "12x"]
    seen = survey([put(tmp_path, "f.csv", column(*values))], {})
    assert seen.column("v").type == "INTEGER"
    assert (seen.column("v").unreadable, seen.column("v").examples) == (2, ("12x", "oops"))
    declare(seen, tmp_path)
    lake = built(tmp_path, tmp_path / "f.csv")
    (kept,) = query.run(lake, "SELECT count(*) AS n FROM silver.t").to_pylist()
    assert kept["n"] == 98


def test_a_rare_word_among_texts_is_no_null(tmp_path: Path) -> None:
    names = ["NULL", *(f"CHARACTER {n}" for n in range(2000))]
    seen = survey([put(tmp_path, "f.csv", column(*names))], {})
    assert seen.source.null_values == ("",)
    assert (seen.column("v").nulls, seen.column("v").distinct) == (0, 2001)
    assert seen.column("v").notes == (
        "'NULL' (1) is kept as text: where it is no value, add it to null_values",
    )
    seen = survey([put(tmp_path, "g.csv", column(*["NULL"] * 3, *names[1:]))], {})
    assert (seen.source.null_values, seen.column("v").nulls) == (("", "NULL"), 3)
    assert seen.column("v").notes == ("'NULL' (3) is taken for no value",)


def test_each_of_many_columns_is_seen_by_itself(tmp_path: Path) -> None:
    kinds = {
        "INTEGER": ["1", "NA"],
        "DOUBLE": ["1,5", "2,25"],
        "VARCHAR": ["a ", "b"],
        "DATE": ["31.1.2026", "1.2.2026"],
        "BOOLEAN": ["yes", "no"],
    }
    columns = [kinds[kind] for kind in kinds] * 25
    header = [f"c{n}" for n in range(len(columns))]
    file = put(tmp_path, "f.csv", rows(header, *map(list, zip(*columns, strict=True))))
    seen = survey([file], {})
    assert [c.type for c in seen.columns] == [*kinds] * 25
    assert [c.nulls for c in seen.columns] == [1, 0, 0, 0, 0] * 25


def test_more_values_than_are_looked_at_first(tmp_path: Path) -> None:
    # Nearly all records have one value, and the few others fill the sample.
    odd = [[str(n), f"x{n}"] for n in range(10_100)]
    lines = [[str(n), "7"] for n in range(10_100, 250_000)]
    seen = survey([put(tmp_path, "f.csv", rows(["n", "v"], *odd, *lines))], {})
    assert (seen.column("n").type, seen.column("n").distinct) == ("INTEGER", 250_000)
    assert (seen.column("v").type, seen.column("v").unreadable) == ("INTEGER", 10_100)
    assert seen.rows == 250_000


def test_blanks_alone_are_no_value(tmp_path: Path) -> None:
    seen = survey([put(tmp_path, "f.csv", column("  ", *["1 "] * 30))], {}).column("v")
    assert (seen.type, seen.nulls + seen.unreadable) == ("INTEGER", 1)


# --- how files are written --------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_delimiters_and_encodings(delimiter: str, encoding: str, tmp_path: Path) -> None:
    text = rows(["Größe", "Straße, Nr"], ["1", "a, b; c"], ["2", "ü"], delimiter=delimiter)
    seen = survey([put(tmp_path, "f.csv", text.encode(encoding))], {})
    assert seen.source.delimiter == delimiter
    assert [c.landed for c in seen.columns] == ["Größe", "Straße, Nr"]
    assert [c.name for c in seen.columns] == ["grosse", "strasse_nr"]
    assert seen.rows == 2


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("a,b\n1,2\n", True),
        ("1,2\n3,4\n5,6\n", False),
        ("x,2026-01-01\ny,2026-01-02\n", False),
        ("country,2013,2014,2015\nNO,1,2,3\nSE,1,2,3\n", True),
        ("name,city\nann,oslo\n", True),
        ("a,a\nb,c\n", False),
    ],
)
def test_whether_there_is_a_header(text: str, header: bool, tmp_path: Path) -> None:
    seen = survey([put(tmp_path, "f.csv", text)], {})
    assert seen.source.header is header
    assert header or seen.columns[0].name == "column_1"


@pytest.mark.parametrize(
    ("header", "told"),
    [("id,name,name,ID,,select", "are 'name';"), ("id,,,x,y,z", "are blank;")],
)
def test_why_there_is_no_header_is_told(header: str, told: str, tmp_path: Path) -> None:
    file = put(tmp_path, "f.csv", f"{header}\n1,a,b,2,c,d\n3,a,b,4,c,d\n")
    seen = survey([file], {})
    assert told in seen.doubts[0] and seen.columns[0].name == "column_1"
    assert told in draft(seen, "d", "t").files["bronze/t.yaml"]
    assert not survey([file], {"header": False}).doubts
    assert not survey([put(tmp_path, "g.csv", "1,1\n2,2\n")], {}).doubts
    with pytest.raises(LakehouseError, match="two columns are named"):
        survey([file], {"header": True})


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("f.json", "[1, 2, 3]", "a list with elements that are no objects (1)"),
        ("f", '[{"a": 1}, "x"]', 'a list with elements that are no objects ("x")'),
        ("f.json", "42", "a value that is no object (42)"),
        ("f.json", '"a,b"', "a value that is no object"),
        ("f.json", "a,b\n1,2\n", "no JSON document"),
        ("f.jsonl", "a,b\n1,2\n", "no JSON document"),
        ("f.json", "[]", "without elements"),
        ("f.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, "no text"),
        ("f", b"\x00\x01\x02\x03,\x00\n", "no text"),
        ("f.csv", "a,b\n1,2\n".encode("utf-16-le"), "no text"),
    ],
)
def test_what_is_no_table_is_refused(
    name: str, text: str | bytes, found: str, tmp_path: Path
) -> None:
    with pytest.raises(LakehouseError) as refused:
        survey([put(tmp_path, name, text)], {})
    assert found in refused.value.found and refused.value.remedy


def test_text_may_have_a_few_control_characters(tmp_path: Path) -> None:
    lines = [f"{n},value {n}" for n in range(50)]
    file = put(tmp_path, "f.csv", "\n".join(["a,b", *lines, "50,\x00bad"]))
    assert survey([file], {}).rejected == {"nul_byte": 1}
    file = put(tmp_path, "g.csv", "a\x01b\n1\x012\n")
    assert survey([file], {"delimiter": "\x01"}).rows == 1


def test_what_is_known_is_not_guessed(tmp_path: Path) -> None:
    file = put(tmp_path, "f.txt", "1|2\n3|4\n")
    seen = survey([file], {"delimiter": "|", "header": True})
    assert [c.name for c in seen.columns] == ["c_1", "c_2"] and seen.rows == 1


def test_names_become_names_of_sql(tmp_path: Path) -> None:
    header = ["Order", "select", "unitPrice (€)", "", "2013", "a b", "A-B", "_row", "unreadable"]
    seen = survey([put(tmp_path, "f.csv", rows(header, list("abcdefghi")))], {})
    names = [c.name for c in seen.columns]
    assert names[:2] == ["order_", "select_"] and len(set(names)) == len(header)
    assert names[2:5] == ["unit_price", "column_4", "c_2013"]
    assert not catalog.lint(declare(seen, tmp_path))
    built(tmp_path, tmp_path / "f.csv")


def test_words_of_sql_that_may_name_a_column_do(tmp_path: Path) -> None:
    import duckdb

    found = duckdb.execute(
        "SELECT DISTINCT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"
    ).fetchall()
    # The others get another name; these keep theirs.
    words = sorted({word for (word,) in found} - WORDS)
    file = put(tmp_path, "f.csv", rows(words, [str(n) for n in range(len(words))]))
    seen = survey([file], {})
    assert [c.name for c in seen.columns] == words
    assert not catalog.lint(declare(seen, tmp_path))


def test_nested_json(tmp_path: Path) -> None:
    order = {"id": "o1", "day": "2026-01-01", "who": {"id": 1, "geo": {"lat": 1.5}}, "tags": ["a"]}
    other = {"id": "o2", "day": "2026-01-02", "who": None, "extra key": True}
    file = put(tmp_path, "f.jsonl", f"{json.dumps(order)}\n{json.dumps(other)}\nbroken\n")
    seen = survey([file], {})
    landed = {c.name: (c.landed, c.type) for c in seen.columns}
    assert landed["who_geo_lat"] == ("$.who.geo.lat", "DOUBLE")
    assert landed["extra_key"] == ("extra key", "BOOLEAN")
    assert "--records" in seen.column("tags").notes[0]
    assert seen.rejected == {"broken_json": 1}
    assert not catalog.lint(declare(seen, tmp_path))
    lake = built(tmp_path, file)
    found = query.run(lake, "SELECT id, who_geo_lat FROM silver.t ORDER BY id").to_pylist()
    assert found == [{"id": "o1", "who_geo_lat": 1.5}, {"id": "o2", "who_geo_lat": None}]


@pytest.mark.parametrize(
    ("document", "records"),
    [
        ([{"a": 1}, {"a": 2}], "$[*]"),
        ({"data": {"items": [{"a": 1}, {"a": 2}]}, "more": [1]}, "$.data.items[*]"),
        ({"a": 1}, None),
    ],
)
def test_the_records_of_a_document(document: Any, records: str | None, tmp_path: Path) -> None:
    file = put(tmp_path, "f.json", json.dumps(document, indent=1))
    seen = survey([file], {})
    assert (seen.source.format, seen.source.records) == ("json", records)
    assert seen.columns[0].name == "a" and seen.columns[0].type == "INTEGER"


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("keys", [["3040051", "3040052"], [f"w{n}" for n in range(300)]])
def test_a_map_of_records_is_told(keys: list[str], indent: int | None, tmp_path: Path) -> None:
    records = {key: {"a": 1, "lines": [{"b": 2}]} for key in keys}
    file = put(tmp_path, "f.json", json.dumps(records, indent=indent))
    with pytest.raises(LakehouseError, match="a map of records") as refused:
        survey([file], {})
    assert "write a record a line" in refused.value.remedy
    lines = "".join(json.dumps({"key": k} | v) + "\n" for k, v in records.items())
    assert survey([put(tmp_path, "f.jsonl", lines)], {}).rows == len(keys)


STATIONS = {str(n): {"name": f"s{n}", "obs": [{"t": 1}, {"t": 2}]} for n in range(3)}


@pytest.mark.parametrize(
    ("document", "where", "way"),
    [
        ({"made": "today", "stations": STATIONS}, "$.stations", '.["stations"]'),
        ({"a": {"b c": STATIONS}}, "$.a.b c", '.["a"]["b c"]'),
        ({"days": {"2024-01-01": {"v": 1}, "2024-01-02": {"v": 2}}}, "$.days", '.["days"]'),
        ({"by": {f"K{n}": {"v": n} for n in range(20)}}, "$.by", '.["by"]'),
    ],
)
def test_a_map_of_records_below_the_top_is_told(
    document: Any, where: str, way: str, tmp_path: Path
) -> None:
    with pytest.raises(LakehouseError) as refused:
        survey([put(tmp_path, "f.json", json.dumps(document, indent=1))], {})
    assert refused.value.found.startswith(f"{where} is a map of records")
    assert f"jq -c '{way} | to_entries[]" in refused.value.remedy


def test_a_map_of_records_on_one_line_is_told(tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match="a map of records"):
        survey([put(tmp_path, "f.json", json.dumps({"made": 1, "stations": STATIONS}))], {})


@pytest.mark.parametrize(
    "document",
    [
        {"rows": [{"a": 1}, {"a": 2}], "index": {"1": {"at": 0}, "2": {"at": 1}}},
        {"rows": [{"a": 1, "home": {"city": "x"}, "work": {"city": "y"}}]},
        {"a": 1, "sizes": {"1": 2, "2": 3}},
    ],
)
def test_other_objects_are_no_maps_of_records(document: Any, tmp_path: Path) -> None:
    assert survey([put(tmp_path, "f.json", json.dumps(document, indent=1))], {}).column("a").rows


def test_a_map_inside_a_record_stays_one_column_of_json(tmp_path: Path) -> None:
    days = [{f"2024-01-{d:02}": {"v": d} for d in range(n, n + 2)} for n in (1, 5)]
    rows = [{"id": i, "days": one, "at": {"x": 1}} for i, one in enumerate(days)]
    seen = survey([put(tmp_path, "f.json", json.dumps({"rows": rows}, indent=1))], {})
    assert [c.landed for c in seen.columns] == ["id", "days", "$.rows[*].at.x"]
    lines = "".join(json.dumps(one) + "\n" for one in rows)
    seen = survey([put(tmp_path, "f.jsonl", lines)], {})
    assert [c.landed for c in seen.columns] == ["id", "days", "$.at.x"]


def test_progress_is_told_in_bytes_and_in_columns(tmp_path: Path) -> None:
    files = [put(tmp_path, f"{n}.csv", "a,b\n1,2\n") for n in "xy"]
    told: list[Progress] = []
    survey(files, {}, on_progress=told.append)
    assert [(p.doing, p.done, p.total, p.detail) for p in told] == [
        ("reading", 0, 16, "x.csv"),
        ("reading", 8, 16, "x.csv"),
        ("reading", 8, 16, "y.csv"),
        ("reading", 16, 16, "y.csv"),
        ("understanding", 0, 2, ""),
        ("understanding", 1, 2, "a"),
        ("understanding", 2, 2, "b"),
        ("measuring", 0, 2, ""),
        ("measuring", 1, 2, "a"),
        ("measuring", 2, 2, "b"),
    ]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    table = pa.table(
        {
            "Id": pa.array([1, 2], pa.int64()),
            "small": pa.array([1, 2], pa.int8()),
            "exact": pa.array([2**53 + 1, 2**53 + 2]).cast(pa.decimal128(38, 0)),
            "x": [1.5, None],
            "moment": pa.array([0, 1000], pa.timestamp("ns")),
            "s": pa.array(["a", "b"]).dictionary_encode(),
            "list": [[1], [2]],
        }
    )
    pq.write_table(table, tmp_path / "f.parquet")
    seen = survey([tmp_path / "f.parquet"], {})
    kinds = {c.name: c.type for c in seen.columns}
    assert kinds == {
        "id": "BIGINT",
        "small": "INTEGER",
        "exact": "BIGINT",
        "x": "DOUBLE",
        "moment": "TIMESTAMPTZ",
        "s": "VARCHAR",
    }
    assert "column list" in seen.skipped and seen.key == ("id",)
    assert seen.column("exact").distinct == 2


def test_columns_of_parquet_that_fit_no_type(tmp_path: Path) -> None:
    table = pa.table(
        {
            "k": [1, 2],
            "hash": pa.array([1, 2**64 - 1], pa.uint64()),
            "small": pa.array([1, 2], pa.uint64()),
            "huge": pa.array([decimal.Decimal(10**30), None], pa.decimal128(38, 0)),
            "list": [[1], [2]],
        }
    )
    pq.write_table(table, tmp_path / "f.parquet")
    seen = survey([tmp_path / "f.parquet"], {}, key=["k"])
    kinds = {c.name: c.type for c in seen.columns}
    assert kinds == {"k": "BIGINT", "hash": "VARCHAR", "small": "BIGINT"}
    assert "does not fit BIGINT" in seen.skipped["column huge"] and "column list" in seen.skipped
    assert not catalog.lint(declare(seen, tmp_path))
    lake = built(tmp_path, tmp_path / "f.parquet")
    found = query.run(lake, "SELECT k, hash, small FROM silver.t ORDER BY k").to_pylist()
    assert found == [
        {"k": 1, "hash": "1", "small": 1},
        {"k": 2, "hash": str(2**64 - 1), "small": 2},
    ]


def test_parquet_without_a_column_for_a_table(tmp_path: Path) -> None:
    pq.write_table(pa.table({"list": [[1], [2]]}), tmp_path / "f.parquet")
    with pytest.raises(LakehouseError, match="list<element: int64> has no place") as refused:
        survey([tmp_path / "f.parquet"], {})
    assert "--" not in refused.value.remedy


# --- keys, times, partitions ------------------------------------------------------------------


def orders(count: int, **more: str) -> list[list[str]]:
    return [[f"o{n}", f"2026-{1 + n % 6:02d}-{1 + n % 28:02d}", str(n % 7)] for n in range(count)]


def test_a_key_a_time_and_repeated_records(tmp_path: Path) -> None:
    lines = orders(900)
    first = put(tmp_path, "a.csv", rows(["order_id", "day", "n"], *lines))
    second = put(
        tmp_path, "b.csv.gz", gzip.compress(rows(["order_id", "day", "n"], *lines[:40]).encode())
    )
    seen = survey([first, second], {})
    assert (seen.key, seen.time, seen.repeated, seen.keyed) == (("order_id",), "day", 40, 900)
    declare(seen, tmp_path)
    lake = built(tmp_path, first, second)
    (kept,) = query.run(
        lake, "SELECT count(*) AS n, count(DISTINCT day_month) AS m FROM silver.t"
    ).to_pylist()
    assert kept == {"n": 900, "m": 6}
    assert catalog.load(tmp_path / "jobs" / "d").table("silver.t").contract.key == ("order_id",)


def test_a_key_of_two_columns(tmp_path: Path) -> None:
    lines = [[f"s{n % 3}", f"2026-01-{1 + n // 3:02d}", str(n % 2)] for n in range(60)]
    seen = survey([put(tmp_path, "f.csv", rows(["station", "day", "v"], *lines))], {})
    assert seen.key == ("station", "day") and seen.time is None


# --- whose midnight ---------------------------------------------------------------------------

#: Minutes around the midnights at which months begin, in and out of daylight saving time.
CLOCKS = [
    dt.datetime(2026, month, 1) + dt.timedelta(minutes=minutes)
    for month in range(1, 13)
    for minutes in (-61, -1, 0, 1, 61, 300)
]


def clocks(zone: str, form: str) -> list[str]:
    return [
        f"{clock.replace(tzinfo=ZoneInfo(zone)):{form}}"
        if "%z" not in form
        else clock.replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC).strftime(form)
        for clock in CLOCKS
    ]


def months(lake: Lake) -> dict[int, tuple[str, str, str]]:
    """Row → its month in bronze and in silver, and the instant."""
    found = query.run(
        lake,
        "SELECT s.n AS n, CAST(b.seen_month AS VARCHAR) AS b, CAST(s.seen_month AS VARCHAR) AS s, "
        "CAST(s.seen AS VARCHAR) AS at FROM silver.t AS s JOIN bronze.t AS b "
        "ON CAST(b.n AS INTEGER) = s.n",
    ).to_pylist()
    return {one["n"]: (one["b"], one["s"], one["at"]) for one in found}


def expected(zone: str) -> dict[int, tuple[str, str, str]]:
    found = {}
    for n, clock in enumerate(CLOCKS):
        month = f"{clock:%Y-%m}-01"
        instant = clock.replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)
        found[n] = (month, month, f"{instant:%Y-%m-%d %H:%M:%S}+00")
    return found


@pytest.mark.parametrize("zone", ["Europe/Oslo", "America/New_York"])
@pytest.mark.parametrize("form", ["%d.%m.%Y %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])
@pytest.mark.parametrize("by_hand", [False, True])
def test_months_begin_at_the_local_midnight(
    zone: str, form: str, by_hand: bool, tmp_path: Path
) -> None:
    lines = [[str(n), at] for n, at in enumerate(clocks(zone, form))]
    file = put(tmp_path, "f.csv", rows(["n", "seen"], *lines))
    folder = declare(
        survey([file], {}, key=["n"], time="seen", timezone=None if by_hand else zone), tmp_path
    )
    # Whoever corrects the guess afterwards writes the zone wherever UTC stands.
    for declared in folder.rglob("*.*") if by_hand else ():
        text = declared.read_text().replace("'UTC'", f"'{zone}'")
        declared.write_text(text.replace("timezone: UTC", f"timezone: {zone}"))
    assert not catalog.lint(folder)
    assert months(built(tmp_path, file)) == expected(zone)


@pytest.mark.parametrize("tz", [None, "UTC"])
def test_months_of_parquet_begin_at_the_local_midnight(tz: str | None, tmp_path: Path) -> None:
    zone = "America/New_York"
    at = [c if tz is None else c.replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC) for c in CLOCKS]
    kept = pa.table({"n": list(range(len(at))), "seen": pa.array(at, pa.timestamp("us", tz=tz))})
    pq.write_table(kept, tmp_path / "f.parquet")
    seen = survey([tmp_path / "f.parquet"], {}, key=["n"], time="seen", timezone=zone)
    assert not catalog.lint(declare(seen, tmp_path))
    assert months(built(tmp_path, tmp_path / "f.parquet")) == expected(zone)


def test_a_zone_that_is_guessed_is_told(tmp_path: Path) -> None:
    file = put(tmp_path, "f.csv", column("2026-01-01 00:00"))
    assert "--timezone" in "".join(survey([file], {}).column("v").notes)
    assert survey([file], {}, timezone="UTC").column("v").notes == ()
    with pytest.raises(LakehouseError, match="no time zone is named 'Europe/Olso'") as refused:
        survey([file], {}, timezone="Europe/Olso")
    assert refused.value.remedy == "did you mean 'Europe/Oslo'?"


def test_measurements_are_no_key(tmp_path: Path) -> None:
    lines = [[str(n * 1.5), str(n * 7 % 50), "ab"[n % 2]] for n in range(50)]
    assert survey([put(tmp_path, "f.csv", rows(["x", "n", "g"], *lines))], {}).key == ()


def test_key_and_time_may_be_known(tmp_path: Path) -> None:
    file = put(tmp_path, "f.csv", rows(["order_id", "day", "n"], *orders(20)))
    seen = survey([file], {}, key=["n", "day"], time="day")
    assert (seen.key, seen.time) == (("n", "day"), "day")
    assert not catalog.lint(declare(seen, tmp_path))
    with pytest.raises(LakehouseError, match="there are order_id, day, n"):
        survey([file], {}, key=["nope"])


def test_long_ids_keep_their_rows(tmp_path: Path) -> None:
    lines = [[str(10**19 + n), str(n)] for n in range(300)]
    file = put(tmp_path, "f.csv", rows(["k", "n"], *lines))
    declare(survey([file], {}, key=["k"]), tmp_path)
    lake = built(tmp_path, file)
    (kept,) = query.run(lake, "SELECT count(DISTINCT k) AS n FROM silver.t").to_pylist()
    assert kept["n"] == 300


def test_numbers_that_are_written_in_several_ways_are_no_key(tmp_path: Path) -> None:
    file = put(tmp_path, "f.csv", rows(["k", "v"], ["1", "a"], ["1.0", "b"], ["2.5", "c"]))
    with pytest.raises(LakehouseError, match="3 different texts are 2 different numbers"):
        survey([file], {}, key=["k"])
    other = put(tmp_path, "g.csv", rows(["k", "v"], ["1.5", "a"], ["1.5", "b"], ["2.5", "c"]))
    assert survey([other], {}, key=["k"]).keyed == 2


@pytest.mark.parametrize(
    ("key", "purpose"),
    [(["n"], "One row per n and month."), (["n", "day"], "One row per n, day.")],
)
def test_a_key_within_a_month_is_told(key: list[str], purpose: str, tmp_path: Path) -> None:
    file = put(tmp_path, "f.csv", rows(["order_id", "day", "n"], *orders(20)))
    seen = survey([file], {}, key=key, time="day")
    made = catalog.load(declare(seen, tmp_path)).table("silver.t").contract
    assert made.description == purpose


def test_values_that_name_people_are_not_written_down(tmp_path: Path) -> None:
    lines = [[f"p{n}@example.org", f"Person {n}", "ab"[n % 2]] for n in range(30)]
    seen = survey([put(tmp_path, "f.csv", rows(["mail", "name", "group"], *lines))], {})
    texts = "".join(draft(seen, "d", "t").files.values())
    assert "example.org" not in texts and "Person 1" not in texts
    assert texts.count("classification: restricted") == 2


# --- whatever the files are -------------------------------------------------------------------


def drafted_or_told(root: Path, name: str, data: bytes, options: dict[str, Any]) -> None:
    """Either the draft passes the lint, or the error says what to do."""
    told: list[object] = []
    try:
        seen = survey([put(root, name, data)], options)
        told = catalog.lint(declare(seen, root, f"t_{name[-1]}"))
    except LakehouseError as error:
        told = [] if error.remedy else [error]
    assert not told


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"PK\x03\x04zip",
        b"PAR1broken",
        gzip.compress(b"a,b\n1,2\n", mtime=0)[:-6],
        b"\x00\x01\x02",
        b"[1, 2",
        b"{}",
        b"[]",
    ],
)
def test_what_cannot_be_read_is_told(data: bytes, tmp_path: Path) -> None:
    drafted_or_told(tmp_path, "f", data, {})


def test_a_file_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    good = put(tmp_path, "a.csv", "a,b\n1,2\n")
    other = put(tmp_path, "b.csv", "x,y\n1,2\n")
    empty = put(tmp_path, "c.csv", "")
    seen = survey([good, other, empty], {})
    assert seen.files == ("a.csv",) and set(seen.skipped) == {"b.csv", "c.csv"}


@settings(max_examples=20, deadline=None)
@given(data=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_drafted_or_told(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    drafted_or_told(tmp_path_factory.mktemp("any"), "f", data, {})


VALUES = st.one_of(
    st.sampled_from(
        ["", "NA", "1", "-1.5", "007", "yes", "2026-01-31", "31.1.2026", "1,5", "'", '"']
    ),
    st.sampled_from(["2026-01-01T00:00:00Z", "#{}", "- a: b", "%", "\\", "…", "a: #b", "$1"]),
    st.text(max_size=8),
)


@settings(max_examples=8, deadline=None)
@given(
    header=st.lists(st.text(max_size=12), min_size=1, max_size=4, unique=True),
    lines=st.lists(st.lists(VALUES, min_size=4, max_size=4), min_size=1, max_size=6),
)
def test_every_draft_passes_the_lint(
    header: list[str], lines: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("any")
    records = [dict(zip(header, line, strict=False)) for line in lines]
    text = "\n".join(json.dumps(record) for record in records)
    table = rows(header, *(line[: len(header)] for line in lines))
    drafted_or_told(root, "a.csv", table.encode("utf-8", "replace"), {"format": "csv"})
    drafted_or_told(root, "b.jsonl", text.encode(), {"format": "jsonl"})


# --- the command ------------------------------------------------------------------------------


class TestCommand:
    @pytest.fixture(autouse=True)
    def _environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        for name in [n for n in os.environ if n.startswith("LAKE_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("LAKE_DOMAINS", str(tmp_path / "jobs"))

    def lake(self, *words: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        return int(str(ended.value.code or 0))

    def test_it_shows_what_it_saw_and_never_overwrites(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        put(tmp_path, "f.csv", rows(["order_id", "day", "n"], *orders(700)))
        assert self.lake("import", "d", "t", "f.csv") == 0
        said = capsys.readouterr().out
        assert "700 records in 1 file(s)" in said and "order_id (key)" in said
        assert "to correct first" not in said and "lake land d t f.csv" in said
        before = {f: f.read_bytes() for f in (tmp_path / "jobs").rglob("*.*")}
        assert len(before) == 3
        assert self.lake("import", "d", "t", "f.csv") == 1
        assert "never overwritten" in capsys.readouterr().err
        assert {f: f.read_bytes() for f in before} == before

    def test_it_notes_a_key_within_a_month_and_how_to_land_files_of_one_name(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for month in ("2024-03", "2024-04"):
            (tmp_path / month).mkdir()
            put(tmp_path, f"{month}/t.csv", rows(["k", "day"], ["1", f"{month}-01"]))
        words = ("2024-03/t.csv", "2024-04/t.csv", "--key", "k")
        assert self.lake("import", "d", "t", *words, "--time", "day") == 0
        said = capsys.readouterr().out
        assert "note: one row per k and month" in said
        assert "lake land d t 2024-04/t.csv --as 2024-04_t.csv\n" in said
        assert self.lake("import", "d", "u", *words) == 0
        assert "one row per" not in capsys.readouterr().out

    def test_the_zone_is_written_in_all_places(self, tmp_path: Path) -> None:
        put(tmp_path, "f.csv", rows(["k", "seen"], ["1", "01.01.2026 00:00"]))
        words = ("import", "d", "t", "f.csv", "--time", "seen", "--timezone", "Europe/Oslo")
        assert self.lake(*words) == 0
        folder = tmp_path / "jobs" / "d"
        texts = {f.relative_to(folder).as_posix(): f.read_text() for f in folder.rglob("t.*")}
        assert 'timezone: "Europe/Oslo"' in texts["bronze/t.yaml"]
        assert 'timezone: "Europe/Oslo"' in texts["silver/t.yaml"]
        assert "to_utc_timestamp(" in texts["silver/t.sql"]
        assert "'Europe/Oslo') AS seen_value" in texts["silver/t.sql"]
        assert "UTC" not in "".join(texts.values())

    def test_json(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        put(tmp_path, "f.csv", "a;b\n1;x\n")
        assert self.lake("import", "d", "t", "f.csv", "--json", "--delimiter", ";") == 0
        told = json.loads(capsys.readouterr().out)
        assert told["schema"] == 1 and told["problems"] == [] and len(told["written"]) == 3
        assert [c["type"] for c in told["columns"]] == ["INTEGER", "VARCHAR"]

    @pytest.mark.parametrize(
        "words",
        [
            ("Bad Domain", "t", "f.csv"),
            ("d", "select", "f.csv"),
            ("d", "t", "empty.csv"),
            ("d", "t", "f.csv", "--records", "nope"),
            ("d", "t", "f.csv", "--encoding", "no-such"),
            ("d", "t", "f.csv", "--delimiter", "ab"),
            ("d", "t", "f.csv", "--format", "parquet"),
            ("d", "t", "f.csv", "--timezone", "Europe/Olso"),
        ],
    )
    def test_what_is_wrong_is_told(
        self, words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        put(tmp_path, "f.csv", "a,b\n1,2\n")
        put(tmp_path, "empty.csv", "")
        assert self.lake("import", *words) == 1
        assert "remedy:" in capsys.readouterr().err
        assert not (tmp_path / "jobs").exists()
