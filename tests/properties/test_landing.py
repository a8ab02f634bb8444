"""Whatever the bytes, nothing raises and no record is lost; the two ways of reading agree."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakehouse.contract import Column, ColumnPolicy, Contract, Properties, Source
from lakehouse.landing import Landed, delimited, files, landed_columns, read, vector

#: No time limit on an example: a busy machine is no counterexample.
unhurried = settings(deadline=None)

COLUMNS = (Column("a", "VARCHAR"), Column("b", "VARCHAR"))


def contract(policy: ColumnPolicy | None = None, **source: object) -> Contract:
    lake = Properties.model_validate(
        {"source": {"path": "*", **source}, "columns": policy or ColumnPolicy()}
    )
    return Contract("t", "1", "t.yaml", None, COLUMNS, (), lake)


def landed(data: bytes, declared: Contract) -> Landed:
    fs = MemoryFileSystem()
    fs.pipe_file("/landing/in", data)
    source = declared.lake.source
    assert source is not None
    (file,) = files(fs, "/landing", source)
    return read(fs, "/landing", file, declared, "b")


def lawful(got: Landed) -> None:
    assert got.records == got.rows.num_rows + got.rejects.num_rows
    assert (got.refused is None) or (got.records == 1 and got.rejects.num_rows == 1)
    got.rows.validate(full=True)
    got.rejects.validate(full=True)
    assert all(got.rejects["_violations"].to_pylist())
    numbers = got.rows["_row"].to_pylist() + got.rejects["_row"].to_pylist()
    assert len(set(numbers)) == len(numbers)


PIECES = [b",", b'"', b"\n", b"\r", b"\r\n", b'""', b"\n\n", b"x", b"1", "é".encode(), b"\xff"]
PIECES += [b"\\", b"#", b"\0", b" ", b"\xef\xbb\xbf", b'x,y\n"p","q"\n', b"a,b\n", b'"x\ny",z\n']
noise = st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)
encodings = st.sampled_from(["utf-8", "latin-1", "utf-16", "cp1252", "shift_jis", "gb18030"])


@unhurried
@given(st.binary(max_size=200) | noise, st.booleans(), encodings)
def test_csv_of_any_bytes(data: bytes, header: bool, encoding: str) -> None:
    declared = contract(format="csv", header=header, encoding=encoding)
    lawful(landed(data, declared))
    lawful(landed(b"a,b\n" + data, declared))


json_noise = st.lists(
    st.sampled_from([b"{", b"}", b'"a"', b":", b",", b"1", b"[", b"]", b"\n", b"\xff", b'{"b":1}'])
).map(b"".join)


@unhurried
@given(st.binary(max_size=200) | json_noise, encodings)
def test_json_lines_of_any_bytes(data: bytes, encoding: str) -> None:
    lawful(landed(data, contract(format="jsonl", encoding=encoding)))
    lawful(landed(data, contract(format="json", encoding=encoding)))
    lawful(landed(b"[" + data + b"]", contract(format="json", records="$[*]")))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "c", "l"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@unhurried
@given(json_values, st.sampled_from([None, "$[*]", "$.l[*]", "$.l[*].l[*]", "$[0][*]"]))
def test_any_json_document_is_read(document: object, records: str | None) -> None:
    data = json.dumps(document).encode()
    lawful(landed(data, contract(format="json", records=records)))
    lawful(landed(data + b"\n" + data, contract(format="jsonl", records=records)))


@unhurried
@given(st.binary(max_size=200), st.sampled_from([b"", b"PAR1"]))
def test_parquet_of_any_bytes(data: bytes, magic: bytes) -> None:
    lawful(landed(magic + data + magic, contract(format="parquet")))


@st.composite
def damaged_parquet(draw: st.DrawFn) -> bytes:
    """A file with some other bytes in it, or cut off."""
    out = pa.BufferOutputStream()
    codec = draw(st.sampled_from(["none", "snappy", "zstd"]))
    table = pa.table({"a": [str(n % 7) for n in range(50)], "b": ["é", None] * 25})
    pq.write_table(table, out, compression=codec, row_group_size=20)
    data = bytearray(out.getvalue().to_pybytes())
    for at, byte in draw(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)))):
        data[at] = byte
    return bytes(data[: draw(st.integers(len(data) // 2, len(data)))])


@unhurried
@given(damaged_parquet())
def test_a_damaged_parquet_file_is_refused_or_read(data: bytes) -> None:
    lawful(landed(data, contract(format="parquet")))


marks = st.sampled_from(
    [('"', "", ""), ("'", "", ""), ("", "", ""), ('"', "\\", ""), ('"', "", "#")]
)
marks |= st.sampled_from([("", "\\", "#"), ("'", "\\", "#")])
PLAIN = ('"', "", "")


@unhurried
@given(noise, st.integers(1, 64), st.booleans(), marks)
@example(b'x","y\n', 8, False, PLAIN)
@example(b"\xef\xbb\xbfx,y\n", 1, False, PLAIN)
@example(b'"x\n' + b"1,2\n" * 99 + b'",y\n', 1000, False, PLAIN)
@example(b'1,2\n#"\n3,"4"\n', 1, False, ('"', "", "#"))
def test_fast_and_careful_reading_agree(
    data: bytes, chunk: int, extra: bool, marks: tuple[str, str, str]
) -> None:
    quote, escape, comment = marks
    policy = ColumnPolicy(extra="ignore" if extra else "quarantine_file")
    data = (b"b,c,a\n" if extra else b"b,a\n") + data
    declared = contract(
        policy, format="csv", quote=quote, escape=escape, comment=comment, null_values=("", "1")
    )
    with pytest.MonkeyPatch.context() as patch:
        whole = landed(data, declared)
        patch.setattr(delimited, "_LARGEST", chunk * 4)
        patch.setattr(delimited, "_SMALLEST", chunk)
        chunked = landed(data, declared)
        patch.setattr(vector, "block", lambda *_: None)
        careful = landed(data, declared)
    assert same(whole) == same(chunked) == same(careful)


def same(got: Landed) -> tuple[object, ...]:
    rows = got.rows.drop_columns("_landed_at").to_pylist()
    return rows, got.rejects.to_pylist(), got.records, got.refused, got.warnings


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@unhurried
@given(st.lists(st.tuples(texts, texts)), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
def test_written_csv_is_read_as_it_was(rows: list[tuple[str, str]], quoting: int) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, quoting=quoting).writerows([("a", "b"), *rows])
    got = landed(out.getvalue().encode(), contract(format="csv", null_values=()))
    assert pairs(got) == rows
    assert got.rejects.num_rows == 0


@unhurried
@given(st.lists(st.tuples(texts, texts)), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
def test_csv_written_with_escapes_is_read_as_it_was(
    rows: list[tuple[str, str]], quoting: int
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=quoting, escapechar="\\", doublequote=False)
    writer.writerows([("a", "b"), *rows])
    got = landed(out.getvalue().encode(), contract(format="csv", escape="\\", null_values=()))
    assert pairs(got) == rows
    assert got.rejects.num_rows == 0


@unhurried
@given(st.lists(st.tuples(texts, texts | st.none())))
def test_written_json_is_read_as_it_was(rows: list[tuple[str, str | None]]) -> None:
    lines = [json.dumps({"a": a, "b": b}) for a, b in rows]
    got = landed("\n".join(lines).encode(), contract(format="jsonl", null_values=()))
    assert pairs(got) == rows
    assert got.rejects.num_rows == 0


@unhurried
@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=2)))
def test_json_numbers_keep_their_digits(numbers: list[object]) -> None:
    data = "".join(f'{{"a":{n},"b":[{n}]}}\n' for n in numbers)
    got = landed(data.encode(), contract(format="jsonl"))
    assert pairs(got) == [(str(n), f"[{n}]") for n in numbers]


def pairs(got: Landed) -> list[tuple[object, ...]]:
    return list(zip(got.rows["a"].to_pylist(), got.rows["b"].to_pylist(), strict=True))


good = st.lists(st.sampled_from([b"1,2", b'"x","y"', b'"p\nq",r', b","]), max_size=6)
bad = st.sampled_from([b"x", b"x,y,z", b"\0,y", b"\xff,y", b'x,"y"z', b'"x,y', b'x,"y'])


@unhurried
@given(good, bad, good)
def test_a_bad_line_costs_itself_alone(
    before: list[bytes], line: bytes, after: list[bytes]
) -> None:
    declared = contract(format="csv")
    clean = landed(b"\n".join([b"a,b", *before, *after]) + b"\n", declared)
    # What follows decides where a quote closes: a line without one keeps that out of this test.
    parts = [b"a,b", *before, line, *(a for a in after if b'"' not in a)]
    got = landed(b"\n".join(parts) + b"\n", declared)
    if not any(b'"' in a for a in after):
        assert pairs(got) == pairs(clean)
    assert got.rejects.num_rows == 1


@unhurried
@given(st.lists(st.integers() | st.none()))
def test_parquet_numbers_fit_or_the_file_is_refused(numbers: list[int | None]) -> None:
    kept = [n for n in numbers if n is None or abs(n) < 2**63]
    out = pa.BufferOutputStream()
    pq.write_table(pa.table({"n": pa.array(kept, pa.int64())}), out)
    declared = replace(contract(format="parquet"), columns=(Column("n", "INTEGER"),))
    got = landed(out.getvalue().to_pybytes(), declared)
    lawful(got)
    fits = all(n is None or -(2**31) <= n < 2**31 for n in kept)
    assert (got.refused is None) == fits
    assert got.rows["n"].to_pylist() == (kept if fits else [])
    assert list(landed_columns(declared)) == ["n"]


def test_the_memory_filesystem_tells_a_moment() -> None:
    got = landed(b"a,b\n1,2\n", contract(format="csv"))
    assert got.rows["_landed_at"].to_pylist()[0].utcoffset() == dt.timedelta(0)
    assert isinstance(contract(format="csv").lake.source, Source)
