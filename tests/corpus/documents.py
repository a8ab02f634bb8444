"""JSON, one document a file."""

from __future__ import annotations

import gzip
from typing import Any

from corpus.case import Case, refused

__all__ = ["CASES"]

LIST: dict[str, Any] = {"records": "$[*]", "sound": b'[{"a":"0","b":"0"}]'}
ITEMS: dict[str, Any] = {
    "columns": ("day VARCHAR $.meta.day", "a VARCHAR", "tag VARCHAR $.data.items[*].tags[0]"),
    "records": "$.data.items[*]",
    "sound": b'{"meta":{"day":"0"},"data":{"items":[{"a":"0","tags":[]}]}}',
}
ORDERS: dict[str, Any] = {
    "columns": ("id VARCHAR $.orders[*].id", "p VARCHAR"),
    "records": "$.orders[*].lines[*]",
    "sound": b'{"orders":[{"id":"0","lines":[{"p":"0"}]}]}',
}

CASES = {
    "one object": Case(b'{\n "a": "1",\n "b": 2.50\n}', [("1", "2.50")]),
    "an object that is a list": Case(b'[{"a":"1","b":"2"}]', [], [(1, ["not_an_object"])]),
    "a list": Case(
        b'[{"a":"1","b":"2"},\n{"b":"4","a":"3"}]', [("1", "2"), ("3", "4")], declared=LIST
    ),
    "an empty list": Case(b"[]", [], declared=LIST),
    "a list that is an object": Case(b'{"a":"1"}', [], [(1, ["no_list"])], LIST),
    "odd elements": Case(
        b'[{"a":"1","b":"2"},null,7,[],{},{"a":"3","b":"4"}]',
        [("1", "2"), ("3", "4")],
        [
            (2, ["not_an_object"]),
            (3, ["not_an_object"]),
            (4, ["not_an_object"]),
            (5, ["no_known_key"]),
        ],
        LIST,
    ),
    "cut off": refused(b'[{"a":"1","b":"2"},{"a":', "broken_json", **LIST),
    "text after it": refused(b"[] []", "broken_json", **LIST),
    "JSON lines instead": refused(b'{"a":"1","b":"2"}\n{"a":"3","b":"4"}\n', "broken_json"),
    "key twice": refused(b'[{"a":"1","a":"2"}]', "duplicate_key", **LIST),
    "bad UTF-8": refused(b'[{"a":"\xff"}]', "bad_encoding", **LIST),
    "NUL byte": refused(b'[{"a":"\0"}]', "nul_byte", **LIST),
    "escaped NUL": Case(
        b'[{"a":"\\u0000"},{"a":"1","b":"2"}]', [("1", "2")], [(1, ["nul_byte"])], LIST
    ),
    "half a surrogate pair": Case(
        b'[{"a":"\\ud800"},{"a":"1","b":"2"}]', [("1", "2")], [(1, ["bad_encoding"])], LIST
    ),
    "too deep": refused(b"[" * 100_000, "broken_json", **LIST),
    "deep, but not too deep for Python": Case(
        b'[{"a":' + b"[" * 500 + b"]" * 500 + b'},{"a":"1","b":"2"}]',
        [("1", "2")],
        [(1, ["broken_json"])],
        LIST,
    ),
    "empty file": Case(b"", [], declared=LIST),
    "white space": Case(b" \n\t\n", [], declared=LIST),
    "BOM": Case(b'\xef\xbb\xbf[{"a":"1","b":"2"}]', [("1", "2")], declared=LIST),
    "UTF-16": Case('[{"a":"1","b":"é"}]'.encode("utf-16"), [("1", "é")], declared=LIST),
    "gzip": Case(gzip.compress(b'[{"a":"1","b":"2"}]'), [("1", "2")], declared=LIST),
    "truncated gzip": refused(gzip.compress(b"[]")[:-5], "broken_archive", **LIST),
    "extra key": Case(
        b'[{"a":"1","b":"2"},{"a":"1","c":"2"}]',
        [],
        [(1, ["extra_column"]), (2, ["extra_column"])],
        LIST,
    ),
    "nested": Case(
        b'{"meta":{"day":"d"},"data":{"items":[{"a":{"x":1.0},"tags":["t","u"]},{"a":[],"tags":[]},{"a":1}]}}',
        [("d", '{"x":1.0}', "t"), ("d", "[]", None), ("d", "1", None)],
        declared=ITEMS,
    ),
    "nothing where the records should be": Case(
        b'{"meta":{"day":"d"}}', [], [(1, ["no_list"])], ITEMS
    ),
    "something else where the records should be": Case(
        b'{"meta":1,"data":{"items":{"a":1}}}', [], [(1, ["no_list"])], ITEMS
    ),
    "another document": Case(b'{"error":"not found"}', [], [(1, ["no_list"])], ITEMS),
    "what surrounds the records is missing": Case(
        b'{"data":{"items":[{"a":"1"}]}}', [(None, "1", None)], declared=ITEMS
    ),
    "lists in lists": Case(
        b'{"orders":[{"id":1,"lines":[{"p":"x"},{"p":"y"}]},{"id":2,"lines":[]},{"id":3},'
        b'{"id":4,"lines":[{"p":"z"}]}]}',
        [("1", "x"), ("1", "y"), ("4", "z")],
        [(3, ["no_list"])],
        ORDERS,
    ),
}
