"""Bad input: what each kind of fault costs, and that everything else goes on."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from lakehouse.contract import Contract, parse
from lakehouse.errors import ContractError, StorageError
from lakehouse.landing import REJECTS, Landed, files, landed_columns, read

FS = LocalFileSystem()


def contract(
    kind: str = "csv",
    columns: tuple[str, ...] = ("a VARCHAR", "b VARCHAR"),
    policy: dict[str, str] | None = None,
    partition: dict[str, str] | None = None,
    **source: Any,
) -> Contract:
    properties = [
        {"name": c.split()[0], "logicalType": "string", "physicalType": c.split()[1]}
        for c in columns
    ]
    lake: dict[str, Any] = {"source": {"path": "**", "format": kind, **source}}
    lake |= {"columns": policy} if policy else {}
    lake |= {"partition": partition} if partition else {}
    written = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "test.bronze.t",
        "name": "t",
        "version": "1.0.0",
        "status": "active",
        "schema": [{"name": "t", "properties": properties}],
        "customProperties": [{"property": "lakehouse", "value": lake}],
    }
    return parse(json.dumps(written), "t.yaml")


def landed(root: Path, data: bytes, declared: Contract, *, limit: int | None = None) -> Landed:
    (root / "in").write_bytes(data)
    source = declared.lake.source
    assert source is not None
    (file,) = files(FS, str(root), source)
    limits = {} if limit is None else {"limit": limit}
    return read(FS, str(root), file, declared, "0123456789", **limits)


def values(read: Landed, declared: Contract) -> list[tuple[Any, ...]]:
    columns = [read.rows[name].to_pylist() for name in landed_columns(declared)]
    return list(zip(*columns, strict=True))


def rejects(read: Landed) -> list[tuple[int | None, list[str]]]:
    return list(
        zip(read.rejects["_row"].to_pylist(), read.rejects["_violations"].to_pylist(), strict=True)
    )


def parquet(**columns: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("in.csv", data)
    return out.getvalue()


ZSTD = pa.Codec("zstd")
GOOD = b"a,b\n1,2\n3,4\n"
GOOD_ROWS = [("1", "2"), ("3", "4")]
TYPED = ("n BIGINT", "s VARCHAR")


@dataclass(frozen=True)
class Case:
    """One file, how it is declared, and what must come of it."""

    data: bytes
    rows: list[tuple[Any, ...]]
    rejects: list[tuple[int | None, list[str]]] = field(default_factory=list)
    declared: dict[str, Any] = field(default_factory=dict)


def refused(data: bytes, rule: str, **declared: Any) -> Case:
    return Case(data, [], [(None, ["file_refused", rule])], declared)


def mended(*bad: bytes) -> bytes:
    """A good file with bad lines in the middle, from line 3 on."""
    return b"a,b\n1,2\n" + b"".join(line + b"\n" for line in bad) + b"3,4\n"


CSV = {
    "good": Case(GOOD, GOOD_ROWS),
    "no newline at the end": Case(GOOD[:-1], GOOD_ROWS),
    "CRLF": Case(GOOD.replace(b"\n", b"\r\n"), GOOD_ROWS),
    "CR alone": Case(GOOD.replace(b"\n", b"\r"), GOOD_ROWS),
    "mixed line ends": Case(b"a,b\r\n1,2\n3,4\r", GOOD_ROWS),
    "UTF-8 BOM": Case(b"\xef\xbb\xbf" + GOOD, GOOD_ROWS),
    "BOM before a quoted header": Case(b'\xef\xbb\xbf"a","b"\n1,2\n3,4\n', GOOD_ROWS),
    "UTF-16 with BOM": Case("a,b\n1,é\n".encode("utf-16"), [("1", "é")]),
    "UTF-16 BE with BOM": Case(b"\xfe\xff" + "a,b\n1,é\n".encode("utf-16-be"), [("1", "é")]),
    "UTF-16 declared": Case(
        "a,b\n1,é\n".encode("utf-16"), [("1", "é")], declared={"encoding": "utf-16"}
    ),
    "UTF-16 LE declared, BOM": Case(
        "a,b\n1,é\n".encode("utf-16"), [("1", "é")], declared={"encoding": "utf-16-le"}
    ),
    "UTF-16 without BOM": refused("a,b\n1,2\n".encode("utf-16-le"), "broken_header"),
    "half a UTF-16 character": Case(
        "a,b\n1,2\n3,4".encode("utf-16") + b"\xd8",
        [("1", "2")],
        [(3, ["bad_encoding"])],
    ),
    "latin-1 declared": Case(
        "a,b\n1,é\n".encode("latin-1"), [("1", "é")], declared={"encoding": "latin-1"}
    ),
    "latin-1 undeclared": Case(mended("é,x".encode("latin-1")), GOOD_ROWS, [(3, ["bad_encoding"])]),
    "overlong UTF-8": Case(mended(b"\xc0\xaf,x"), GOOD_ROWS, [(3, ["bad_encoding"])]),
    "surrogate in UTF-8": Case(mended(b"\xed\xa0\x80,x"), GOOD_ROWS, [(3, ["bad_encoding"])]),
    "byte unknown to cp1252": Case(
        mended(b"\x81,x"), GOOD_ROWS, [(3, ["bad_encoding"])], {"encoding": "cp1252"}
    ),
    "accent in declared ASCII": Case(
        mended("é,x".encode()), GOOD_ROWS, [(3, ["bad_encoding"])], {"encoding": "ascii"}
    ),
    "bad UTF-8 in the header": refused(b"a,\xff\n1,2\n", "broken_header"),
    "NUL byte": Case(mended(b"x\0,y"), GOOD_ROWS, [(3, ["nul_byte"])]),
    "NUL alone": Case(mended(b"\0"), GOOD_ROWS, [(3, ["nul_byte", "ragged_line"])]),
    "too few fields": Case(mended(b"x"), GOOD_ROWS, [(3, ["ragged_line"])]),
    "too many fields": Case(mended(b"x,y,z"), GOOD_ROWS, [(3, ["ragged_line"])]),
    "ragged quoted line": Case(mended(b'"x","y","z"'), GOOD_ROWS, [(3, ["ragged_line"])]),
    "two faults": Case(
        mended(b"\xff,\0,z"), GOOD_ROWS, [(3, ["bad_encoding", "nul_byte", "ragged_line"])]
    ),
    "three bad lines": Case(
        mended(b"x", b"x,y", b"\0,y"),
        [("1", "2"), ("x", "y"), ("3", "4")],
        [(3, ["ragged_line"]), (5, ["nul_byte"])],
    ),
    "unclosed quote": Case(mended(b'"x,y'), GOOD_ROWS, [(3, ["unclosed_quote"])]),
    "unclosed quote in the last field": Case(mended(b'x,"y'), GOOD_ROWS, [(3, ["unclosed_quote"])]),
    "unclosed quote at the end": Case(GOOD + b'5,"6', GOOD_ROWS, [(4, ["unclosed_quote"])]),
    "unclosed before a quoted line": Case(
        mended(b'"x,y', b'"p","q"'),
        [("1", "2"), ("p", "q"), ("3", "4")],
        [(3, ["unclosed_quote"])],
    ),
    "closing would be ragged": Case(
        mended(b'"x', b'y",z,z'),
        GOOD_ROWS,
        [(3, ["unclosed_quote"]), (4, ["ragged_line"])],
    ),
    "quote open for too long": Case(
        b'a,b\n"x\n' + b"1,2\n" * 100 + b'",y\n',
        [("1", "2")] * 100,
        [(2, ["unclosed_quote"]), (103, ["unclosed_quote"])],
    ),
    "a long quoted value": Case(
        b'a,b\n"x\n' + b"\n" * 97 + b'",y\n3,4\n', [("x\n" + "\n" * 97, "y"), ("3", "4")]
    ),
    "text after a quote": Case(mended(b'"x"y,z'), GOOD_ROWS, [(3, ["text_after_quote"])]),
    "quote within a field": Case(mended(b'5" pipe,y'), [("1", "2"), ('5" pipe', "y"), ("3", "4")]),
    "doubled quote": Case(mended(b'"a ""b""",y'), [("1", "2"), ('a "b"', "y"), ("3", "4")]),
    "only doubled quotes": Case(mended(b'"""",""""""'), [("1", "2"), ('"', '""'), ("3", "4")]),
    "newline in quotes": Case(mended(b'"x\ny",z'), [("1", "2"), ("x\ny", "z"), ("3", "4")]),
    "CRLF in quotes": Case(mended(b'"x\r\ny",z'), [("1", "2"), ("x\r\ny", "z"), ("3", "4")]),
    "delimiter in quotes": Case(mended(b'"x,y",z'), [("1", "2"), ("x,y", "z"), ("3", "4")]),
    "NUL in a record of two lines": Case(mended(b'"x\n\0",z'), GOOD_ROWS, [(3, ["nul_byte"])]),
    "quoting off": Case(
        mended(b'"x,y"'), [("1", "2"), ('"x', 'y"'), ("3", "4")], declared={"quote": ""}
    ),
    "another quote": Case(
        mended(b"'x,''y',\"z"), [("1", "2"), ("x,'y", '"z'), ("3", "4")], declared={"quote": "'"}
    ),
    "tabs": Case(b"a\tb\n1\t2,5\n", [("1", "2,5")], declared={"delimiter": "\t"}),
    "caret": Case(b'a^b\n1^"2^5"\n', [("1", "2^5")], declared={"delimiter": "^"}),
    "delimiter beyond ASCII": Case(
        'a¦b\n1¦"2¦5"\n'.encode(), [("1", "2¦5")], declared={"delimiter": "¦"}
    ),
    "blank lines": Case(b"\n\na,b\n\n1,2\n\n\n3,4\n\n", GOOD_ROWS),
    "line of spaces": Case(mended(b"  "), GOOD_ROWS, [(3, ["ragged_line"])]),
    "only delimiters": Case(mended(b","), [("1", "2"), (None, None), ("3", "4")]),
    "NULL texts": Case(
        b'a,b\nNA,""\n"NA",na\n', [(None, None), (None, "na")], declared={"null_values": ["", "NA"]}
    ),
    "no NULL texts": Case(b'a,b\n,""\n', [("", "")], declared={"null_values": []}),
    "BOM within the file": Case(
        mended("\ufeffx,y".encode()), [("1", "2"), ("\ufeffx", "y"), ("3", "4")]
    ),
    "columns in another order": Case(b"b,a\n2,1\n4,3\n", GOOD_ROWS),
    "empty file": Case(b"", []),
    "BOM alone": Case(b"\xef\xbb\xbf", []),
    "newlines alone": Case(b"\n\r\n\n", []),
    "header alone": Case(b"a,b\n", []),
    "no header": Case(b"1,2\n3,4\n", GOOD_ROWS, declared={"header": False}),
    "header missing": refused(b"1,2\n3,4\n", "missing_column"),
    "wrong header": refused(b"x,y\n1,2\n", "missing_column"),
    "header in capitals": refused(b"A,B\n1,2\n", "missing_column"),
    "missing column": refused(b"a\n1\n", "missing_column"),
    "missing column is NULL": Case(
        b"a\n1\n", [("1", None)], declared={"policy": {"missing": "null"}}
    ),
    "all columns missing": refused(b"x\n1\n", "missing_column", policy={"missing": "null"}),
    "column twice": refused(b"a,b,a\n1,2,3\n", "duplicate_column"),
    "extra column": Case(b"a,b,c\n1,2,3\n4,5\n", [], [(2, ["extra_column"]), (3, ["ragged_line"])]),
    "extra column refused": refused(
        b"a,b,c\n1,2,3\n", "extra_column", policy={"extra": "refuse_file"}
    ),
    "extra column ignored": Case(
        b"c,a,b\n0,1,2\n0,3,4\n", GOOD_ROWS, declared={"policy": {"extra": "ignore"}}
    ),
    "nameless columns ignored": Case(
        b"a,b,,\n1,2,,\n3,4,,\n", GOOD_ROWS, declared={"policy": {"extra": "ignore"}}
    ),
    "unclosed quote in the header": refused(b'a,"b\n1,2\n', "broken_header"),
    "gzip": Case(gzip.compress(GOOD), GOOD_ROWS),
    "two gzip members": Case(gzip.compress(GOOD[:8]) + gzip.compress(GOOD[8:]), GOOD_ROWS),
    "empty gzip": Case(gzip.compress(b""), []),
    "truncated gzip": refused(gzip.compress(GOOD)[:-5], "broken_archive"),
    "gzip of a header": refused(gzip.compress(GOOD)[:10], "broken_archive"),
    "gzip with a wrong checksum": refused(
        gzip.compress(GOOD)[:-8] + b"\0\0\0\0" + gzip.compress(GOOD)[-4:], "broken_archive"
    ),
    "gzip with garbage after it": refused(gzip.compress(GOOD) + b"garbage", "broken_archive"),
    "not the declared gzip": refused(GOOD, "broken_archive", compression="gzip"),
    "gzip declared as none": refused(gzip.compress(GOOD), "wrong_format", compression="none"),
    "zstd": Case(ZSTD.compress(GOOD, asbytes=True), GOOD_ROWS),
    "truncated zstd": refused(ZSTD.compress(GOOD, asbytes=True)[:-3], "broken_archive"),
    "gzipped twice": refused(gzip.compress(gzip.compress(GOOD)), "wrong_format"),
    "a ZIP archive": refused(zipped(GOOD), "wrong_format"),
    "a Parquet file": refused(parquet(a=["1"], b=["2"]), "wrong_format"),
    "typed columns": Case(
        b"n,s\n1,x\n1.5,y\n,z\n99999999999999999999,w\n",
        [(1, "x"), (None, "z")],
        [(3, ["n_type"]), (5, ["n_type"])],
        {"columns": TYPED},
    ),
    "two wrong types": Case(
        b"d,t\n2013-02-30,noon\n2013-02-28,2013-02-28T12:00:00Z\n",
        [(dt.date(2013, 2, 28), dt.datetime(2013, 2, 28, 12, tzinfo=dt.UTC))],
        [(2, ["d_type", "t_type"])],
        {"columns": ("d DATE", "t TIMESTAMPTZ")},
    ),
    "NaN": Case(
        b"x,y\nNaN,1\n2.5,2\n",
        [(None, 1.0), (2.5, 2.0)],
        declared={"columns": ("x DOUBLE", "y DOUBLE")},
    ),
}

JSONL = {
    "good": Case(b'{"a":"1","b":"2"}\n{"b":"4","a":"3"}\n', GOOD_ROWS),
    "no newline at the end": Case(b'{"a":"1","b":"2"}', [("1", "2")]),
    "numbers as written": Case(
        b'{"a":1.10,"b":123456789012345678901234567890}\n{"a":1e3,"b":-0}\n',
        [("1.10", "123456789012345678901234567890"), ("1e3", "-0")],
    ),
    "constants": Case(
        b'{"a":true,"b":false}\n{"a":NaN,"b":Infinity}\n',
        [("true", "false"), (None, "Infinity")],
    ),
    "nested": Case(
        b'{"a":{"x":1.10, "y":["\xc3\xa9",null,true]},"b":[]}\n',
        [('{"x":1.10,"y":["é",null,true]}', "[]")],
    ),
    "NULL and missing": Case(b'{"a":null}\n{"b":""}\n', [(None, None), (None, None)]),
    "broken line": Case(
        b'{"a":"1","b":"2"}\n{"a":\n{"a":"3","b":"4"}\n', GOOD_ROWS, [(2, ["broken_json"])]
    ),
    "two objects on a line": Case(b'{"a":1}{"a":2}\n', [], [(1, ["broken_json"])]),
    "text before": Case(b'x{"a":1}\n', [], [(1, ["broken_json"])]),
    "single quotes": Case(b"{'a':1}\n", [], [(1, ["broken_json"])]),
    "trailing comma": Case(b'{"a":1,}\n', [], [(1, ["broken_json"])]),
    "raw tab in a text": Case(b'{"a":"x\ty"}\n', [], [(1, ["broken_json"])]),
    "an array": Case(b'[{"a":1}]\n', [], [(1, ["not_an_object"])]),
    "a scalar": Case(b'1\nnull\n"x"\n', [], [(n, ["not_an_object"]) for n in (1, 2, 3)]),
    "key twice": Case(b'{"a":1,"a":2}\n', [], [(1, ["duplicate_key"])]),
    "nested key twice": Case(b'{"a":{"x":1,"x":2}}\n', [], [(1, ["duplicate_key"])]),
    "empty object": Case(b"{}\n", [], [(1, ["no_known_key"])]),
    "NUL byte": Case(b'{"a":"\0"}\n{"a":"1","b":"2"}\n', [("1", "2")], [(1, ["nul_byte"])]),
    "escaped NUL": Case(b'{"a":"\\u0000"}\n', [], [(1, ["nul_byte"])]),
    "bad UTF-8": Case(b'{"a":"\xff"}\n', [], [(1, ["bad_encoding"])]),
    "half a surrogate pair": Case(b'{"a":"\\ud83d"}\n', [], [(1, ["bad_encoding"])]),
    "too deep": Case(b'{"a":' + b"[" * 100_000 + b"\n", [], [(1, ["broken_json"])]),
    "blank lines": Case(b'\n \r\n{"a":"1","b":"2"}\r\n\n', [("1", "2")]),
    "BOM": Case(b'\xef\xbb\xbf{"a":"1","b":"2"}\n', [("1", "2")]),
    "UTF-16": Case('{"a":"1","b":"é"}\n'.encode("utf-16"), [("1", "é")]),
    "line separator in a text": Case('{"a":"x\u2028y","b":"2"}\n'.encode(), [("x\u2028y", "2")]),
    "empty file": Case(b"", []),
    "extra key": Case(
        b'{"a":1,"b":2}\n{"a":1,"c":2}\n', [], [(1, ["extra_column"]), (2, ["extra_column"])]
    ),
    "extra key ignored": Case(
        b'{"a":"1","b":"2","c":0}\n', [("1", "2")], declared={"policy": {"extra": "ignore"}}
    ),
    "extra key refused": refused(
        b'{"a":1,"b":2}\n{"c":2,"a":1}\n', "extra_column", policy={"extra": "refuse_file"}
    ),
    "truncated gzip": refused(gzip.compress(b'{"a":1}\n')[:-5], "broken_archive"),
    "typed": Case(
        b'{"n":1,"s":"x"}\n{"n":1.5}\n{"n":"2"}\n',
        [(1, "x"), (2, None)],
        [(2, ["n_type"])],
        {"columns": TYPED},
    ),
}

NS = pa.array([1_000], pa.timestamp("ns", "UTC"))
WEIRD = pa.StringArray.from_buffers(
    1, pa.array([0, 1], pa.int32()).buffers()[1], pa.py_buffer(b"\xff")
)
NAN = float("nan")
TIME = ("t TIMESTAMPTZ",)
MICROSECOND = dt.datetime(1970, 1, 1, microsecond=1, tzinfo=dt.UTC)

PARQUET = {
    "good": Case(parquet(n=[1, None], s=["x", None]), [(1, "x"), (None, None)]),
    "int32 widens": Case(parquet(n=pa.array([1], pa.int32()), s=["x"]), [(1, "x")]),
    "whole floats": Case(parquet(n=[1.0, NAN], s=["x", "y"]), [(1, "x"), (None, "y")]),
    "fraction": refused(parquet(n=[1.5], s=["x"]), "wrong_type"),
    "uint64 too large": refused(
        parquet(n=pa.array([2**64 - 1], pa.uint64()), s=["x"]), "wrong_type"
    ),
    "BIGINT in INTEGER": refused(parquet(n=[2**40]), "wrong_type", columns=("n INTEGER",)),
    "text for a number": refused(parquet(n=["1"], s=["x"]), "wrong_type"),
    "number for a text": refused(parquet(n=[1], s=[1]), "wrong_type"),
    "nested": refused(parquet(n=[1], s=[["x"]]), "wrong_type"),
    "nothing but NULL": Case(parquet(n=pa.nulls(1), s=pa.nulls(1)), [(None, None)]),
    "dictionary": Case(parquet(n=[1], s=pa.array(["x"]).dictionary_encode()), [(1, "x")]),
    "large and binary text": Case(
        parquet(n=[1], s=pa.array([b"x"], pa.large_binary())), [(1, "x")]
    ),
    "binary that is no text": refused(parquet(n=[1], s=[b"\xff"]), "wrong_type"),
    "bad UTF-8": refused(parquet(n=[1], s=WEIRD), "not_parquet"),
    "NUL in a text": Case(
        parquet(n=[1, 2, 3], s=["x", "\0", None]), [(1, "x"), (3, None)], [(2, ["nul_byte"])]
    ),
    "NaN": Case(parquet(x=[NAN, 1.0]), [(None,), (1.0,)], declared={"columns": ("x DOUBLE",)}),
    "ns to µs": Case(parquet(t=NS), [(MICROSECOND,)], declared={"columns": TIME}),
    "ns that are lost": refused(
        parquet(t=pa.array([1], pa.timestamp("ns", "UTC"))), "wrong_type", columns=TIME
    ),
    "naive time": Case(
        parquet(t=pa.array([1], pa.timestamp("us"))), [(MICROSECOND,)], declared={"columns": TIME}
    ),
    "another zone": Case(
        parquet(t=pa.array([1], pa.timestamp("us", "America/New_York"))),
        [(MICROSECOND,)],
        declared={"columns": TIME},
    ),
    "number for a BOOLEAN": refused(parquet(f=[1]), "wrong_type", columns=("f BOOLEAN",)),
    "time for a DATE": refused(parquet(d=NS), "wrong_type", columns=("d DATE",)),
    "zero rows": Case(parquet(n=pa.array([], pa.int64()), s=pa.array([], pa.string())), []),
    "empty file": Case(b"", []),
    "CSV": refused(b"n,s\n1,2\n", "not_parquet"),
    "magic alone": refused(b"PAR1PAR1", "not_parquet"),
    "truncated": refused(parquet(n=[1], s=["x"])[:-20], "not_parquet"),
    "damaged footer": refused(parquet(n=[1], s=["x"])[:-30] + b"\xff" * 30, "not_parquet"),
    "gzipped": refused(gzip.compress(parquet(n=[1], s=["x"])), "not_parquet"),
    "missing column": refused(parquet(n=[1]), "missing_column"),
    "missing column is NULL": Case(
        parquet(n=[1]), [(1, None)], declared={"policy": {"missing": "null"}}
    ),
    "extra column": Case(parquet(n=[1], s=["x"], z=[2]), [], [(1, ["extra_column"])]),
    "extra column ignored": Case(
        parquet(z=[2], s=["x"], n=[1]), [(1, "x")], declared={"policy": {"extra": "ignore"}}
    ),
}

CASES = [
    pytest.param(kind, case, id=f"{kind}: {name}")
    for kind, cases in (("csv", CSV), ("jsonl", JSONL), ("parquet", PARQUET))
    for name, case in cases.items()
]


@pytest.mark.parametrize(("kind", "case"), CASES)
def test_each_input_has_its_verdict(kind: str, case: Case, tmp_path: Path) -> None:
    typed = {"columns": TYPED} if kind == "parquet" else {}
    declared = contract(kind, **(typed | case.declared))
    got = landed(tmp_path, case.data, declared)
    assert values(got, declared) == case.rows
    assert rejects(got) == case.rejects
    assert got.records == got.rows.num_rows + got.rejects.num_rows
    assert (got.refused is not None) == any(row is None for row, _ in case.rejects)
    assert got.rejects.schema == REJECTS
    got.rows.validate(full=True)
    got.rejects.validate(full=True)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_an_empty_file_is_accepted_and_reported(kind: str, tmp_path: Path) -> None:
    got = landed(tmp_path, b"", contract(kind))
    assert (got.records, got.refused, got.warnings) == (0, None, ("the file holds no records",))


def test_rows_say_where_they_come_from(tmp_path: Path) -> None:
    declared = contract(columns=("a VARCHAR", "n BIGINT"))
    got = landed(tmp_path, b'n,a\n1,x\n\n2,"y\ny"\n3,z\n', declared)
    assert got.rows.column_names == ["a", "n", "_batch", "_source_file", "_row", "_landed_at"]
    assert got.rows["_row"].to_pylist() == [2, 4, 6]
    assert set(got.rows["_batch"].to_pylist()) == {"0123456789"}
    assert set(got.rows["_source_file"].to_pylist()) == {"in"}
    assert got.rows.schema.field("_landed_at").type == pa.timestamp("us", "UTC")
    (moment,) = set(got.rows["_landed_at"].to_pylist())
    assert moment.timestamp() == pytest.approx((tmp_path / "in").stat().st_mtime, abs=1e-5)


def test_a_computed_partition_is_not_looked_for_in_the_file(tmp_path: Path) -> None:
    month = {"column": "m", "grain": "month", "expression": "TRY_CAST(a AS DATE)"}
    declared = contract(partition=month)
    got = landed(tmp_path, GOOD, declared)
    assert "m" in declared.types
    assert list(landed_columns(declared)) == ["a", "b"]
    assert "m" not in got.rows.column_names


def test_a_refusal_says_what_is_missing_and_what_is_there(tmp_path: Path) -> None:
    got = landed(tmp_path, b"x,b\n1,2\n", contract())
    assert got.refused == "column 'a' is missing; the file has 'x', 'b'"
    assert got.rejects["_raw"].to_pylist() == [got.refused]


@pytest.mark.parametrize(
    ("data", "raw"),
    [
        (mended(b"x\xff"), "x\\xff"),
        (mended(b"x\0"), "x\\x00"),
        (mended(b'"x,y'), '"x,y'),
        (mended(b"x" * 20_000), "x" * 10_000),
        (mended("é".encode() * 20_000), "é" * 10_000),
        ("a,b\nx\n".encode("utf-16"), "x"),
        ("a,b\n3".encode("utf-16") + b"\xd8", "3\\xd8"),
        (("a,b\n" + "é" * 20_000).encode("utf-16"), "é" * 10_000),
    ],
)
def test_rejects_hold_the_raw_record(data: bytes, raw: str, tmp_path: Path) -> None:
    assert landed(tmp_path, data, contract()).rejects["_raw"].to_pylist() == [raw]


def test_rejects_of_typed_columns_hold_the_raw_record(tmp_path: Path) -> None:
    declared = contract(columns=TYPED)
    assert landed(tmp_path, b"s,n\nx,1\ny,z\n", declared).rejects["_raw"].to_pylist() == ["y,z"]
    got = landed(tmp_path, parquet(n=[1], s=["\0"]), contract("parquet", columns=TYPED))
    assert got.rejects["_raw"].to_pylist() == ['{"n": 1, "s": "\\u0000"}']


@pytest.mark.parametrize("policy", ["quarantine_file", "ignore"])
def test_extra_columns_are_named_in_a_warning(policy: str, tmp_path: Path) -> None:
    got = landed(tmp_path, b"a,b,c\n1,2,3\n", contract(policy={"extra": policy}))
    (warning,) = got.warnings
    assert "'c' is not in the contract" in warning
    assert got.refused is None


def test_times_without_a_zone_are_read_with_a_warning(tmp_path: Path) -> None:
    data = parquet(t=pa.array([1], pa.timestamp("us")))
    got = landed(tmp_path, data, contract("parquet", columns=TIME))
    assert got.warnings == ("column 't' holds times without a zone: read as UTC",)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("csv", b"a,b\n" + b"1,2\n" * 1000),
        ("csv", gzip.compress(b"a,b\n" + b"1,2\n" * 1000)),
        ("csv", ZSTD.compress(b"a,b\n" + b"1,2\n" * 1000, asbytes=True)),
        ("parquet", parquet(a=[str(n) for n in range(1000)], b=["x"] * 1000)),
    ],
)
def test_a_file_beyond_the_limit_is_refused(kind: str, data: bytes, tmp_path: Path) -> None:
    got = landed(tmp_path, data, contract(kind), limit=1000)
    assert rejects(got) == [(None, ["file_refused", "too_large"])]
    assert landed(tmp_path, data, contract(kind), limit=100_000).refused is None


def test_one_fault_in_a_long_file_costs_one_line(tmp_path: Path) -> None:
    lines = [b"a,b"] + [b'%d,"x"' % n for n in range(200_000)]
    lines[150_000] = b'150000,"x'
    got = landed(tmp_path, b"\n".join(lines), contract())
    assert rejects(got) == [(150_001, ["unclosed_quote"])]
    assert got.rows.num_rows == 199_999
    assert got.rows["_row"].to_pylist() == [n for n in range(2, 200_002) if n != 150_001]
    assert got.rows["a"].to_pylist() == [str(n) for n in range(200_000) if n != 149_999]


def test_a_file_replaced_after_it_was_listed_is_not_read(tmp_path: Path) -> None:
    declared = contract()
    (tmp_path / "in").write_bytes(GOOD)
    assert declared.lake.source is not None
    (file,) = files(FS, str(tmp_path), declared.lake.source)
    (tmp_path / "in").write_bytes(GOOD * 2)
    with pytest.raises(StorageError, match="replaced after it was listed"):
        read(FS, str(tmp_path), file, declared, "b")
    (tmp_path / "in").unlink()
    with pytest.raises(StorageError, match="plan again"):
        read(FS, str(tmp_path), file, declared, "b")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    declared = contract()
    (tmp_path / "in").write_bytes(GOOD)
    assert declared.lake.source is not None
    (file,) = files(FS, str(tmp_path), declared.lake.source)
    (tmp_path / "in").unlink()
    (tmp_path / "in").mkdir()
    got = read(FS, str(tmp_path), file, declared, "b")
    assert rejects(got) == [(None, ["file_refused", "not_a_file"])]


def test_an_unknown_encoding_is_the_contracts_fault(tmp_path: Path) -> None:
    for encoding in ("utf-9", "hex"):
        with pytest.raises(ContractError, match="no such encoding"):
            landed(tmp_path, GOOD, contract(encoding=encoding))
