"""Nested JSON: where records and columns are, and what becomes of what is not there."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.contract import parse
from lakehouse.contract.jsonpath import EACH, column, levels, steps
from lakehouse.errors import ContractError
from lakehouse.landing import Landed, files, read

FS = LocalFileSystem()


def contract(
    kind: str, columns: dict[str, str], policy: str = "quarantine_file", **source: Any
) -> Any:
    properties = [
        {"name": n, "physicalName": p, "logicalType": "string", "physicalType": "VARCHAR"}
        for n, p in columns.items()
    ]
    lake = {
        "source": {"path": "**", "format": kind, **source},
        "columns": {"extra": policy, "missing": "null"},
    }
    written = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "d.bronze.t",
        "name": "t",
        "version": "1.0.0",
        "status": "active",
        "schema": [{"name": "t", "properties": properties}],
        "customProperties": [{"property": "lakehouse", "value": lake}],
    }
    return parse(json.dumps(written), "t.yaml")


def landed(root: Path, data: bytes, declared: Any) -> Landed:
    (root / "in").write_bytes(data)
    (file,) = files(FS, str(root), declared.lake.source)
    got = read(FS, str(root), file, declared, "0123456789")
    assert got.records == got.rows.num_rows + got.rejects.num_rows
    return got


def values(got: Landed, *names: str) -> list[tuple[Any, ...]]:
    return list(zip(*(got.rows[name].to_pylist() for name in names), strict=True))


ORDER = {
    "id": 7,
    "buyer": {"id": "b1"},
    "lines": [{"sku": "x", "n": 1.10}, {"sku": "y", "n": None}],
}


def test_paths_into_objects_of_a_line(tmp_path: Path) -> None:
    declared = contract("jsonl", {"id": "id", "buyer": "$.buyer.id", "lines": "lines"})
    lines = [json.dumps(ORDER), '{"id": 8}', '{"id": 9, "buyer": "none"}']
    got = landed(tmp_path, "\n".join(lines).encode(), declared)
    assert values(got, "id", "buyer", "_row") == [("7", "b1", 1), ("8", None, 2), ("9", None, 3)]
    assert got.rows["lines"][0].as_py() == '[{"sku":"x","n":1.1},{"sku":"y","n":null}]'


def test_the_elements_of_a_list_are_the_records(tmp_path: Path) -> None:
    columns = {"sku": "sku", "n": "$.lines[*].n", "order_id": "$.id", "buyer": "$.buyer.id"}
    declared = contract("jsonl", columns, records="$.lines[*]")
    text = f'{json.dumps(ORDER)}\n{{"id": 8, "lines": []}}\n{json.dumps(ORDER)}\n'
    got = landed(tmp_path, gzip.compress(text.encode()), declared)
    first = [("x", "1.1", "7", "b1"), ("y", None, "7", "b1")]
    assert values(got, "sku", "n", "order_id", "buyer") == first * 2
    # Each record has a number of its own: a line may hold several.
    assert got.rows["_row"].to_pylist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('{"id": 1}', "no_list"),
        ('{"id": 1, "lines": null}', "no_list"),
        ('{"id": 1, "lines": {"sku": 1}}', "no_list"),
        ('{"id": 1, "lines": [3]}', "not_an_object"),
        ('{"id": 1, "lines": [{"other": 1}]}', "no_known_key"),
        ('{"id": 1, "lines": [{"sku": 1}', "broken_json"),
        ('{"id": 1, "id": 2, "lines": [{"sku": 1}]}', "duplicate_key"),
        ('{"id": 1, "lines": [{"sku": "\\u0000"}]}', "nul_byte"),
        ('{"id": 1, "lines": [{"sku": "\\ud800"}]}', "bad_encoding"),
    ],
)
def test_what_cannot_be_a_record_is_rejected(line: str, rule: str, tmp_path: Path) -> None:
    declared = contract("jsonl", {"sku": "sku", "id": "$.id"}, records="$.lines[*]")
    got = landed(tmp_path, f'{line}\n{{"id": 2, "lines": [{{"sku": "a"}}]}}\n'.encode(), declared)
    assert values(got, "sku", "id", "_row") == [("a", "2", 2)]
    assert got.rejects["_violations"].to_pylist() == [[rule]]
    assert got.rejects["_row"].to_pylist() == [1] and got.rejects["_raw"][0].as_py()


def test_one_document_a_file(tmp_path: Path) -> None:
    declared = contract("json", {"id": "id", "at": "$.exported"}, records="$.data.items[*]")
    document = {"exported": "2026", "data": {"items": [{"id": 1}, {"id": 2}]}}
    got = landed(tmp_path, json.dumps(document, indent=2).encode("utf-8-sig"), declared)
    assert values(got, "id", "at", "_row") == [("1", "2026", 1), ("2", "2026", 2)]


def test_lists_in_lists_keep_their_branch(tmp_path: Path) -> None:
    columns = {"sku": "sku", "order": "$.orders[*].id", "at": "$.at"}
    declared = contract("json", columns, records="$.orders[*].lines[*]")
    orders = [{"id": i, "lines": [{"sku": f"{i}{n}"} for n in range(i)]} for i in (2, 0, 1)]
    got = landed(tmp_path, json.dumps({"at": 5, "orders": orders}).encode(), declared)
    assert values(got, "sku", "order", "at") == [
        ("20", "2", "5"),
        ("21", "2", "5"),
        ("10", "1", "5"),
    ]


def test_lists_of_plain_values(tmp_path: Path) -> None:
    declared = contract("jsonl", {"tag": "$.tags[*]", "id": "$.id"}, records="$.tags[*]")
    got = landed(tmp_path, b'{"id": 1, "tags": ["a", 2, null]}', declared)
    assert values(got, "tag", "id") == [("a", "1"), ("2", "1"), (None, "1")]


@pytest.mark.parametrize("data", [b"[1, 2", b'{"a": 1} x', b"\xff\xfe\x00", b"[" * 100_000])
def test_a_broken_document_is_refused(data: bytes, tmp_path: Path) -> None:
    got = landed(tmp_path, data, contract("json", {"id": "id"}, records="$[*]"))
    assert got.refused and got.rows.num_rows == 0


def test_an_empty_document_is_no_record(tmp_path: Path) -> None:
    got = landed(tmp_path, b" \n", contract("json", {"id": "id"}))
    assert (got.records, got.refused) == (0, None)


def test_other_keys_follow_the_contract_s_policy(tmp_path: Path) -> None:
    data = b'{"lines": [{"sku": "a", "new": 1}]}'
    for policy, count in (("ignore", 1), ("quarantine_file", 0)):
        declared = contract("jsonl", {"sku": "sku"}, policy, records="$.lines[*]")
        got = landed(tmp_path, data, declared)
        assert got.rows.num_rows == count and "'new'" in got.warnings[0]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_column_has_another_name_in_the_files(kind: str, tmp_path: Path) -> None:
    data = {"csv": "Price (€),,b\n1,2,3\n", "jsonl": '{"Price (€)": 1, "": 2, "b": 3}\n'}[kind]
    declared = contract(kind, {"price": "Price (€)", "second": "", "b": "b"})
    got = landed(tmp_path, data.encode(), declared)
    assert values(got, "price", "second", "b") == [("1", "2", "3")]


def test_columns_may_swap_their_names(tmp_path: Path) -> None:
    got = landed(tmp_path, b"a,b\n1,2\n", contract("csv", {"a": "b", "b": "a"}))
    assert values(got, "a", "b") == [("2", "1")]


def test_the_reading_decides_the_table_s_id(tmp_path: Path) -> None:
    from lakehouse.catalog import Table

    made = [
        Table("d", "bronze", contract("jsonl", {"x": path}, records=records), None).definition
        for path, records in (("x", None), ("$.x", None), ("$.y.x", None), ("x", "$.l[*]"))
    ]
    assert len(set(made)) == 4


@pytest.mark.parametrize(
    ("columns", "source", "found"),
    [
        ({"a": "$.b..c"}, {}, "is no path"),
        ({"a": "$.b["}, {}, "is no path"),
        ({"a": "$.lines[*].sku"}, {}, "leads into a list other than the records'"),
        ({"a": "b", "c": "b"}, {}, "two columns are 'b' in the files"),
        ({"a": "a"}, {"records": "$.lines"}, "leads to no list"),
        ({"a": "a"}, {"records": "lines[*]"}, "is no path"),
        ({"a": "a"}, {"records": "$[*]", "format": "csv"}, "'records' with format csv"),
    ],
)
def test_wrong_places_are_told_with_their_line(
    columns: dict[str, str], source: dict[str, str], found: str
) -> None:
    with pytest.raises(ContractError, match=found.replace("$", "[$]")) as refused:
        contract(source.pop("format", "jsonl"), columns, **source)
    assert refused.value.file == "t.yaml:1" and refused.value.remedy


def test_steps_of_a_path() -> None:
    assert steps("$.a['b.c'][3].d[*]") == ("a", "b.c", 3, "d", EACH)
    assert steps("$['it\\'s']") == ("it's",)
    assert steps("$") == ()


@given(
    st.lists(
        st.text(st.characters(exclude_characters="'\\", exclude_categories=["Cs"]), min_size=1)
    )
)
def test_any_key_can_be_written(keys: list[str]) -> None:
    path = "$" + "".join(f"['{key}']" for key in keys)
    assert steps(path) == tuple(keys)
    assert column(path, levels(None)) == (0, tuple(keys))


@given(st.text())
def test_any_text_is_a_path_or_told(text: str) -> None:
    for read_as in (steps, levels):
        told = "; "
        try:
            read_as(f"${text}")
        except ValueError as error:
            told = str(error)
        assert "; " in told
