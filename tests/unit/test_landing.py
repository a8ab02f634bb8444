"""Bad input: what each kind of fault costs, and that everything else goes on."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import corpus
import pyarrow as pa
import pytest
from corpus.case import TYPED, mended, parquet, zstd
from fsspec.implementations.local import LocalFileSystem

from lakehouse.contract import Contract, parse
from lakehouse.errors import ContractError, StorageError
from lakehouse.landing import REJECTS, Landed, files, landed_columns, read

FS = LocalFileSystem()


def contract(*args: Any, **declared: Any) -> Contract:
    return parse(corpus.contract(*args, **declared), "t.yaml")


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


GOOD = b"a,b\n1,2\n3,4\n"
TIME = ("t TIMESTAMPTZ",)


@pytest.mark.parametrize("at", corpus.CASES, ids=": ".join)
def test_each_input_has_its_verdict(at: tuple[str, str], tmp_path: Path) -> None:
    case = corpus.CASES[at]
    declared = contract(**corpus.arguments(at[0], case))
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
        ("csv", gzip.compress(b"a,b\n" + b"1,2\n" * 1000, mtime=0)),
        ("csv", zstd(b"a,b\n" + b"1,2\n" * 1000)),
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


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"delimiter": '"'}, "one character for two purposes"),
        ({"escape": "#", "comment": "#"}, "one character for two purposes"),
        ({"delimiter": "\n"}, "separates lines"),
        ({"comment": "\0"}, "separates lines"),
        ({"kind": "jsonl", "delimiter": ";"}, "'delimiter' with format jsonl"),
        ({"kind": "parquet", "skip_lines": 1}, "'skip_lines' with format parquet"),
        ({"kind": "csv", "records": "$[*]"}, "'records' with format csv"),
        ({"skip_lines": -1}, "skip_lines"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"escape": "ab"}, "escape"),
        ({"skip_line": 1}, "unknown key 'skip_line'"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], found: str) -> None:
    with pytest.raises(ContractError) as raised:
        contract(**options)
    assert found in raised.value.found


def test_rows_keep_their_line_among_lines_that_are_no_records(tmp_path: Path) -> None:
    declared = contract(skip_lines=1, comment="#")
    got = landed(tmp_path, b"report\n# one\n\na,b\n#\n1,2\n\n# x\n3,4\n", declared)
    assert got.rows["_row"].to_pylist() == [6, 9]
    assert got.records == 2


def test_comments_in_a_long_file_slow_nothing_else(tmp_path: Path) -> None:
    lines = [b"a,b"] + [b'%d,"#"' % n for n in range(200_000)]
    lines[150_000:150_000] = [b"# comment", b"#"]
    got = landed(tmp_path, b"\n".join(lines), contract(comment="#"))
    assert got.rejects.num_rows == 0
    assert got.rows["a"].to_pylist() == [str(n) for n in range(200_000)]
    assert got.rows["_row"].to_pylist()[149_998:150_000] == [150_000, 150_003]


def test_the_raw_record_of_a_quarantined_parquet_file_shows_any_value(tmp_path: Path) -> None:
    times = pa.array([2**62], pa.timestamp("us", "UTC"))
    data = parquet(n=[1], s=["x"], z=times)
    got = landed(tmp_path, data, contract("parquet", columns=TYPED))
    assert "4611686018427387904" in got.rejects["_raw"].to_pylist()[0]


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_rejects_of_nested_records_hold_the_record_alone(kind: str, tmp_path: Path) -> None:
    declared = contract(kind, ("p BIGINT",), records="$.l[*]")
    got = landed(tmp_path, b'{"l":[{"p":1},{"p":"x", "q":[1.0]},{"p":2}]}', declared)
    assert got.refused is None
    assert got.rejects["_raw"].to_pylist() == ['{"p":1}', '{"p":"x","q":[1.0]}', '{"p":2}']
    only = contract(kind, ("p BIGINT",), {"extra": "ignore"}, records="$.l[*]")
    got = landed(tmp_path, b'{"l":[{"p":1},{"p":"x", "q":[1.0]},{"p":2}]}', only)
    assert rejects(got) == [(2, ["p_type"])]
    assert got.rejects["_raw"].to_pylist() == ['{"p":"x","q":[1.0]}']
    assert got.rows["p"].to_pylist() == [1, 2]


def test_many_json_records_are_read_in_order(tmp_path: Path) -> None:
    lines = b"".join(b'{"a":%d,"b":"x"}\n' % n for n in range(25_000))
    got = landed(tmp_path, lines.replace(b'{"a":12345,', b'{"a":12345;'), contract("jsonl"))
    assert rejects(got) == [(12_346, ["broken_json"])]
    assert got.rows["a"].to_pylist() == [str(n) for n in range(25_000) if n != 12_345]
