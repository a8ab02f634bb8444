"""JSON: one document a line, or one a file, read without changing how a value was written.

Numbers keep their digits (``1.10`` stays ``1.10``), nested values stay JSON text,
a key that is not there is NULL. ``NaN`` is NULL. ``_row`` is the physical line where
each line is a record; else it counts the records of the file from 1.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from lakehouse.contract import ColumnPolicy, Source
from lakehouse.landing.archive import Text
from lakehouse.landing.nested import Layout, Record
from lakehouse.landing.records import RAW_LENGTH, Records, RefusedError, Reject, Shape

__all__ = ["MAX_DEPTH", "parse", "parse_document"]

#: The most levels of a nested value: the same on a deep stack as on a shallow one.
MAX_DEPTH = 100
_CHUNK = 10_000
_TOO_DEEP = f"(nested more than {MAX_DEPTH} levels deep)"


class _Written(str):
    """A number or constant as it was written."""

    __slots__ = ()


class _TooDeepError(ValueError):
    """A value is nested more deeply than any stack surely allows."""


class _DuplicateKeyError(ValueError):
    """An object has one key twice: which value is meant is not known."""


def parse(text: Text, source: Source, columns: Sequence[str], policy: ColumnPolicy) -> Records:
    """Read a file of one JSON document a line.

    Args:
        text: The whole file.
        source: Where the records are in a line; its ``null_values`` are NULL here too.
        columns: The columns to find, in the contract's order: keys, or paths.
        policy: What to do with a file that has other keys; missing keys are NULL.

    Raises:
        RefusedError: There are other keys and the contract refuses such files.
    """
    reading = _Reading(source, columns)
    data, at, line = text.data, 0, 1
    while at < len(data):
        end = data.find(b"\n", at)
        end = end if end >= 0 else len(data)
        body = data[at:end]
        if body.strip(b" \t\r"):
            reading.line(body, line, _Raw(text, at, end))
        at, line = end + 1, line + 1
    return reading.records(policy)


def parse_document(
    text: Text, source: Source, columns: Sequence[str], policy: ColumnPolicy
) -> Records:
    """Read a file that is one JSON document.

    Args:
        text: The whole file.
        source: Where the records are in it; its ``null_values`` are NULL here too.
        columns: The columns to find, in the contract's order: keys, or paths.
        policy: What to do with a file that has other keys; missing keys are NULL.

    Raises:
        RefusedError: It is no JSON, which no part of it survives, or it has other keys and
            the contract refuses such files.
    """
    reading = _Reading(source, columns)
    if text.data.strip(b" \t\r\n"):
        document = _decoded(text.data)
        if isinstance(document, _Fault):
            raise RefusedError(document.rule, f"the file is no JSON document: {document.found}")
        for number, record in enumerate(reading.layout.records(document), 1):
            reading.add(record, number, _value_raw(record.value))
    return reading.records(policy)


class _Fault:
    """Why a text is no JSON document."""

    def __init__(self, rule: str, found: object) -> None:
        self.rule, self.found = rule, " ".join(str(found).split())[:200]


class _Raw:
    """A physical line, shown only where it is asked for."""

    __slots__ = ("end", "start", "text")

    def __init__(self, text: Text, start: int, end: int) -> None:
        self.text, self.start, self.end = text, start, end

    @property
    def body(self) -> bytes:
        """The line as it is stored."""
        return self.text.data[self.start : self.end]

    def __call__(self) -> str:
        return self.text.show(self.body.rstrip(b"\r"))


class _Reading:
    """What was read so far of one file."""

    def __init__(self, source: Source, columns: Sequence[str]) -> None:
        self.layout = Layout(source.records, columns)
        self.columns, self.nulls = columns, set(source.null_values)
        self.by_line = source.records is None
        self.tables: list[pa.Table] = []
        self.values: list[list[str | None]] = []
        self.rows: list[int] = []
        self.raws: list[Callable[[], str]] = []
        self.rejects: list[Reject] = []
        self.other: dict[str, None] = {}
        self.count = 0

    def line(self, body: bytes, line: int, raw: _Raw) -> None:
        """Take the records of one physical line."""
        for i, record in enumerate(self._of_line(body)):
            self.count += 1
            if self.by_line:
                self.add(record, line, raw)
            else:
                self.add(record, self.count, raw if record.fault else self._element(raw, i))

    def _element(self, raw: _Raw, i: int) -> Callable[[], str]:
        # Decoded once more where it is asked for: kept values would take most of the memory.
        def show() -> str:
            record = next(itertools.islice(self._of_line(raw.body), i, None))
            return _value_raw(record.value)()

        return show

    def _of_line(self, body: bytes) -> Iterator[Record]:
        document = _decoded(body)
        if isinstance(document, _Fault):
            yield Record(None, fault=document.rule)
        else:
            yield from self.layout.records(document)

    def add(self, record: Record, row: int, raw: Callable[[], str]) -> None:
        """Take one record, or reject it."""
        values, fault = _texts(record.values)
        fault = record.fault or fault or _unfit(values)
        if fault:
            self.rejects.append(Reject(row, raw(), (fault,)))
            return
        self.values.append([None if value in self.nulls else value for value in values])
        if len(self.values) == _CHUNK:
            self._pack()
        self.rows.append(row)
        self.raws.append(raw)
        self.other.update(dict.fromkeys(record.other))

    def _pack(self) -> None:
        # Arrow takes a tenth of the memory of Python's own texts.
        self.tables.append(_table(self.values, self.columns))
        self.values = []

    def records(self, policy: ColumnPolicy) -> Records:
        """All of it, held against the contract's columns."""
        self._pack()
        shape = Shape([*self.columns, *self.other], self.columns, policy)
        return Records(
            pa.concat_tables(self.tables),
            pa.array(self.rows, pa.int64()),
            lambda i: self.raws[i](),
            self.rejects,
            shape.quarantine,
            shape.warnings,
        )


def _table(values: list[list[str | None]], columns: Sequence[str]) -> pa.Table:
    by_column = list(zip(*values, strict=True)) or [() for _ in columns]
    return pa.table({name: pa.array(by_column[i], pa.string()) for i, name in enumerate(columns)})


def _value_raw(value: Any) -> Callable[[], str]:
    def raw() -> str:
        (text,), fault = _texts([value])
        shown = str(text)[:RAW_LENGTH].replace("\0", "\\x00")
        return _TOO_DEEP if fault else shown.encode(errors="backslashreplace").decode()

    return raw


def _decoded(body: bytes) -> Any:
    if b"\0" in body:
        return _Fault("nul_byte", "it holds a NUL")
    try:
        return _DECODER.decode(body.decode())
    except UnicodeDecodeError as error:
        return _Fault("bad_encoding", error)
    except _DuplicateKeyError:
        return _Fault("duplicate_key", "an object has one key twice")
    except (ValueError, RecursionError) as error:
        return _Fault("broken_json", error)


def _unfit(values: Sequence[str | None]) -> str | None:
    """The rule that a record breaks whose text no table can hold."""
    whole = "".join(value for value in values if value)
    if "\0" in whole:
        return "nul_byte"
    if not whole.isascii() and any("\ud800" <= c <= "\udfff" for c in whole):
        return "bad_encoding"
    return None


def _texts(values: Sequence[Any]) -> tuple[list[str | None], str | None]:
    """Values as text, and the rule that they break."""
    try:
        return [v if v is None or isinstance(v, str) else _nested(v, 0) for v in values], None
    except _TooDeepError:
        return [None] * len(values), "broken_json"


def _nested(value: Any, depth: int) -> str:
    if isinstance(value, _Written):
        return str(value)
    if isinstance(value, dict | list) and depth == MAX_DEPTH:
        raise _TooDeepError
    if isinstance(value, dict):
        inner = (f"{_nested(k, depth)}:{_nested(v, depth + 1)}" for k, v in value.items())
        return "{" + ",".join(inner) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_nested(v, depth + 1) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _DuplicateKeyError
    return made


def _constant(name: str) -> _Written | None:
    return None if name == "NaN" else _Written(name)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_Written, parse_int=_Written, parse_constant=_constant
)
