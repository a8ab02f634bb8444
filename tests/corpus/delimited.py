"""Delimited text."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import lzma

from corpus.case import TYPED, Case, mended, parquet, refused, zipped, zstd

__all__ = ["CASES"]

GOOD = b"a,b\n1,2\n3,4\n"
GOOD_ROWS = [("1", "2"), ("3", "4")]
ESCAPED = {"escape": "\\", "null_values": ["", "\\N"]}

CASES = {
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
    "zstd": Case(zstd(GOOD), GOOD_ROWS),
    "truncated zstd": refused(zstd(GOOD)[:-3], "broken_archive"),
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
    "backslash escapes": Case(
        mended(rb'"a \"b\" \\",y', rb"x\,y,z"),
        [("1", "2"), ('a "b" \\', "y"), ("x,y", "z"), ("3", "4")],
        declared=ESCAPED,
    ),
    "backslash before anything else": Case(
        mended(rb"\N,C:\new"), [("1", "2"), (None, "C:\\new"), ("3", "4")], declared=ESCAPED
    ),
    "doubled quotes beside escapes": Case(
        mended(rb'"a ""b"" \"c",\"d'),
        [("1", "2"), ('a "b" "c', '"d'), ("3", "4")],
        declared=ESCAPED,
    ),
    "an escaped last quote": Case(
        mended(rb'"x\",y'), GOOD_ROWS, [(3, ["unclosed_quote"])], ESCAPED
    ),
    "a backslash at the line's end": Case(
        mended(b"x,y\\"), [("1", "2"), ("x", "y\\"), ("3", "4")], declared=ESCAPED
    ),
    "ragged by an escape": Case(mended(rb"x\,y"), GOOD_ROWS, [(3, ["ragged_line"])], ESCAPED),
    "escapes without quotes": Case(
        mended(rb'"x\,y,z"'),
        [("1", "2"), ('"x,y', 'z"'), ("3", "4")],
        declared={"escape": "\\", "quote": ""},
    ),
    "comments": Case(
        b"# made by hand\na,b\n1,2\n#3,4\n#\n3,4#\n",
        [("1", "2"), ("3", "4#")],
        declared={"comment": "#"},
    ),
    "a comment in a quoted field": Case(
        mended(b'"x\n#y",z', b"#no,record"),
        [("1", "2"), ("x\n#y", "z"), ("3", "4")],
        declared={"comment": "#"},
    ),
    "an undeclared comment": Case(mended(b"# a comment"), GOOD_ROWS, [(3, ["ragged_line"])]),
    "a quoted mark is no comment": Case(
        mended(b'"#x",y'), [("1", "2"), ("#x", "y"), ("3", "4")], declared={"comment": "#"}
    ),
    "lines before the header": Case(
        b'report "of\n\na,b\n1\n3,4\n', [("3", "4")], [(4, ["ragged_line"])], {"skip_lines": 2}
    ),
    "fewer lines than are to be skipped": Case(b"report\n", [], declared={"skip_lines": 2}),
    "undeclared lines before the header": refused(b"report\n\n" + GOOD, "missing_column"),
    "skipped lines without a header": Case(
        b"report\n1,2\n3,4\n", GOOD_ROWS, declared={"skip_lines": 1, "header": False}
    ),
    "European": Case(
        "a;b\n1,5;Zürich\n".encode("cp1252"),
        [("1,5", "Zürich")],
        declared={"delimiter": ";", "encoding": "cp1252"},
    ),
    "Shift JIS": Case(
        "a,b\n1,表\n".encode("shift_jis"), [("1", "表")], declared={"encoding": "shift_jis"}
    ),
    "UTF-7 undeclared": Case(mended(b"+AOk,x"), [("1", "2"), ("+AOk", "x"), ("3", "4")]),
    "UTF-32 with BOM": Case("a,b\n1,é\n".encode("utf-32"), [("1", "é")]),
    "EBCDIC undeclared": refused("a,b\n1,2\n".encode("cp500"), "broken_header"),
    "two zstd frames": Case(zstd(GOOD[:8]) + zstd(GOOD[8:]), GOOD_ROWS),
    "zstd after a frame to skip": Case(b"\x50\x2a\x4d\x18\x02\0\0\0ab" + zstd(GOOD), GOOD_ROWS),
    "zstd with garbage after it": refused(zstd(GOOD) + b"garbage", "broken_archive"),
    "not the declared zstd": refused(gzip.compress(GOOD), "broken_archive", compression="zstd"),
    "declared gzip, in UTF-16": Case(
        gzip.compress("a,b\n1,é\n".encode("utf-16")), [("1", "é")], declared={"encoding": "utf-16"}
    ),
    "bzip2": refused(bz2.compress(GOOD), "wrong_format"),
    "xz": refused(lzma.compress(GOOD), "wrong_format"),
    "larger than allowed": refused(b"a,b\n" + b"1,2\n" * 100, "too_large", max_bytes=200),
    "an archive larger than allowed": refused(
        gzip.compress(b"a,b\n" + b"1,2\n" * 100), "too_large", max_bytes=200
    ),
    "a zstd archive larger than allowed": refused(
        zstd(b"a,b\n" + b"1,2\n" * 100), "too_large", max_bytes=200
    ),
    "HTML instead": refused(b"<!DOCTYPE html>\n<title>404</title>\n", "missing_column"),
    "an error text instead": refused(b'{"error": "not found"}\n', "missing_column"),
    "half a line": Case(GOOD + b"5", GOOD_ROWS, [(4, ["ragged_line"])]),
    "header twice": Case(GOOD + b"a,b\n", [*GOOD_ROWS, ("a", "b")]),
    "header in quotes": Case(b'"a","b"\n1,2\n3,4\n', GOOD_ROWS),
    "header with spaces": refused(b"a, b\n1, 2\n", "missing_column"),
    "spaces are kept": Case(b"a,b\n 1 ,\t2\n", [(" 1 ", "\t2")]),
    "a very long field": Case(
        b"a,b\n" + b"x" * 1_000_000 + b",1\n3,4\n", [("x" * 1_000_000, "1"), ("3", "4")]
    ),
    "a very long bad line": Case(
        b"a,b\n" + b"x" * 1_000_000 + b"\n3,4\n", [("3", "4")], [(2, ["ragged_line"])]
    ),
    "10,000 columns too many": Case(
        b",".join(b"c%d" % n for n in range(10_000)) + b",a,b\n" + b"0," * 10_000 + b"1,2\n",
        [],
        [(2, ["extra_column"])],
    ),
    "10,000 columns ignored": Case(
        b",".join(b"c%d" % n for n in range(10_000)) + b",a,b\n" + b"0," * 10_000 + b"1,2\n",
        [("1", "2")],
        declared={"policy": {"extra": "ignore"}},
    ),
    "control characters": Case(
        mended(b"\x1b[2J,\x07\x7f"), [("1", "2"), ("\x1b[2J", "\x07\x7f"), ("3", "4")]
    ),
    "text that would be SQL": Case(
        mended(b'\'; DROP TABLE t; --,""""'),
        [("1", "2"), ("'; DROP TABLE t; --", '"'), ("3", "4")],
    ),
    "direction marks and emoji": Case(
        mended("\u202eabc,👩\u200d🚀".encode()),
        [("1", "2"), ("\u202eabc", "👩\u200d🚀"), ("3", "4")],
    ),
    "numbers at the edges": Case(
        b"n,x\n9223372036854775807,1e308\n-9223372036854775808,-1e-320\n9223372036854775808,1\n1,1e999\n",
        [(2**63 - 1, 1e308), (-(2**63), -1e-320), (1, float("inf"))],
        [(4, ["n_type"])],
        {"columns": ("n BIGINT", "x DOUBLE")},
    ),
    "times at the edges": Case(
        b"d,t\n0001-01-01,0001-01-01T00:00:00Z\n9999-12-31,9999-12-31T23:59:59.999999Z\n"
        b"10000-01-01,2013-01-01T00:00:00Z\n2013-01-01,10000-01-01T00:00:00Z\n"
        b"2013-02-29,2013-01-01T25:00:00Z\n",
        [
            (dt.date.min, dt.datetime(1, 1, 1, tzinfo=dt.UTC)),
            (dt.date.max, dt.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC)),
        ],
        [(4, ["d_type"]), (5, ["t_type"]), (6, ["d_type", "t_type"])],
        {"columns": ("d DATE", "t TIMESTAMPTZ")},
    ),
    "truth": Case(
        b"f,s\ntrue,x\nFALSE,y\n1,z\nyes,w\n",
        [(True, "x"), (False, "y"), (True, "z")],
        [(5, ["f_type"])],
        {"columns": ("f BOOLEAN", "s VARCHAR")},
    ),
}
