"""Parquet files."""

from __future__ import annotations

import datetime as dt
import decimal
import gzip
import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.case import Case, parquet, refused

__all__ = ["CASES"]

NS = pa.array([1_000], pa.timestamp("ns", "UTC"))
WEIRD = pa.StringArray.from_buffers(
    1, pa.array([0, 1], pa.int32()).buffers()[1], pa.py_buffer(b"\xff")
)
NAN = float("nan")
TIME = ("t TIMESTAMPTZ",)
MICROSECOND = dt.datetime(1970, 1, 1, microsecond=1, tzinfo=dt.UTC)


def named(names: list[str], *columns: list[Any]) -> bytes:
    """A file whose column names need not differ."""
    out = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array(c) for c in columns], names=names), out)
    return out.getvalue()


def damaged() -> bytes:
    """A compressed page with other bytes in it."""
    data = bytearray(parquet(n=list(range(1000)), s=[str(n) for n in range(1000)]))
    data[60:400] = b"\xff" * 340
    return bytes(data)


CASES = {
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
    "a time beyond the calendar in an extra column": Case(
        parquet(n=[1], s=["x"], z=pa.array([2**62], pa.timestamp("us", "UTC"))),
        [],
        [(1, ["extra_column"])],
    ),
    "the same within something nested": Case(
        parquet(n=[1], s=["x"], z=pa.array([[2**31 - 1]], pa.list_(pa.date32()))),
        [],
        [(1, ["extra_column"])],
    ),
    "an extra column twice": Case(
        named(["n", "s", "z", "z"], [1], ["x"], [1], [2]), [], [(1, ["extra_column"])]
    ),
    "a column twice": refused(named(["n", "s", "s"], [1], ["x"], ["y"]), "duplicate_column"),
    "one long text many times": refused(
        parquet(n=[1] * 2000, s=pa.DictionaryArray.from_arrays([0] * 2000, ["x" * 1_000_000])),
        "too_large",
    ),
    "many rows of nothing": refused(
        parquet(n=pa.nulls(1_000_000, pa.int64()), s=pa.nulls(1_000_000, pa.string())),
        "too_large",
        max_bytes=1_000_000,
    ),
    "text that repeats": Case(parquet(n=[1, 2], s=["x", "x"]), [(1, "x"), (2, "x")]),
    "decimals": Case(parquet(n=[decimal.Decimal(7)], s=["x"]), [(7, "x")]),
    "a decimal that does not fit": refused(
        parquet(n=[decimal.Decimal(10) ** 30], s=["x"]), "wrong_type"
    ),
    "infinity for a whole number": refused(parquet(n=[float("inf")], s=["x"]), "wrong_type"),
    "encrypted": refused(parquet(n=[1], s=["x"])[:-4] + b"PARE", "not_parquet"),
    "a damaged page": refused(damaged(), "not_parquet"),
    "half a file": refused(parquet(n=[1], s=["x"])[:200], "not_parquet"),
    "times at the edges": Case(
        parquet(
            d=[dt.date.min, dt.date.max],
            t=[
                dt.datetime(1, 1, 1, tzinfo=dt.UTC),
                dt.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC),
            ],
        ),
        [
            (dt.date.min, dt.datetime(1, 1, 1, tzinfo=dt.UTC)),
            (dt.date.max, dt.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC)),
        ],
        declared={"columns": ("d DATE", "t TIMESTAMPTZ")},
    ),
}
