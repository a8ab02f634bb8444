"""JSON, one document a line."""

from __future__ import annotations

import gzip

from corpus.case import TYPED, Case, refused, zstd

__all__ = ["CASES"]

GOOD_ROWS = [("1", "2"), ("3", "4")]

CASES = {
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
    "deep, but not too deep for Python": Case(
        b'{"a":' + b"[" * 600 + b"]" * 600 + b',"b":1}\n{"a":"1","b":"2"}\n',
        [("1", "2")],
        [(1, ["broken_json"])],
    ),
    "as deep as is allowed": Case(
        b'{"a":' + b"[" * 100 + b"]" * 100 + b',"b":1}\n', [("[" * 100 + "]" * 100, "1")]
    ),
    "numbers beyond any type": Case(
        b'{"a":1' + b"0" * 5000 + b',"b":1e999999}\n', [("1" + "0" * 5000, "1e999999")]
    ),
    "half a line": Case(b'{"a":"1","b":"2"}\n{"a":"3","b', [("1", "2")], [(2, ["broken_json"])]),
    "CSV instead": Case(b"a,b\n1,2\n", [], [(1, ["broken_json"]), (2, ["broken_json"])]),
    "HTML instead": Case(b"<html>\n</html>\n", [], [(n, ["broken_json"]) for n in (1, 2)]),
    "a document over several lines": Case(
        b'{\n"a":1\n}\n', [], [(n, ["broken_json"]) for n in (1, 2, 3)]
    ),
    "keys in capitals": Case(b'{"A":1,"B":2}\n', [], [(1, ["no_known_key"])]),
    "gzip": Case(gzip.compress(b'{"a":"1","b":"2"}\n'), [("1", "2")]),
    "zstd": Case(zstd(b'{"a":"1","b":"2"}\n'), [("1", "2")]),
    "larger than allowed": refused(
        gzip.compress(b'{"a":"1","b":"2"}\n' * 20), "too_large", max_bytes=200
    ),
    "nested keys": Case(
        b'{"o":{"id":1,"to":{"city":"Oslo"}}}\n{"o":{"id":2,"to":null}}\n{"o":3}\n{"o":{"id":[4]}}\n',
        [("1", "Oslo"), ("2", None), (None, None), ("[4]", None)],
        declared={
            "columns": ("i VARCHAR $.o.id", "c VARCHAR $.o.to.city"),
            "sound": b'{"o":{"id":0}}\n',
        },
    ),
    "records in a line": Case(
        b'{"id":1,"l":[{"p":"x"},{"p":"y"}]}\n{"id":2,"l":[]}\n{"id":3}\n{"id":4,"l":[7,{"p":"z"}]}\n',
        [("1", "x"), ("1", "y"), ("4", "z")],
        [(3, ["no_list"]), (4, ["not_an_object"])],
        {
            "columns": ("i VARCHAR $.id", "p VARCHAR"),
            "records": "$.l[*]",
            "sound": b'{"id":0,"l":[{"p":"x"}]}\n',
        },
    ),
}
