"""JSON lines: one object a line, read without changing how a value was written.

Numbers keep their digits (``1.10`` stays ``1.10``), nested values stay JSON text,
a key that is not there is NULL. ``NaN`` is NULL. ``_row`` is the physical line.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from lakehouse.contract import ColumnPolicy, Source
from lakehouse.landing.archive import Text
from lakehouse.landing.records import Records, Reject, Shape

__all__ = ["parse"]


class _Written(str):
    """A number or constant as it was written."""

    __slots__ = ()


class _DuplicateKeyError(ValueError):
    """An object has one key twice: which value is meant is not known."""


def parse(text: Text, source: Source, columns: Sequence[str], policy: ColumnPolicy) -> Records:
    """Read a file's records.

    Args:
        text: The whole file.
        source: Its ``null_values`` are NULL here too.
        columns: The columns to find, in the contract's order.
        policy: What to do with a file that has other keys; missing keys are NULL.

    Raises:
        RefusedError: There are other keys and the contract refuses such files.
    """
    nulls = set(source.null_values)
    known = dict.fromkeys(columns)
    keys: dict[str, None] = {}
    values: list[list[str | None]] = []
    rows: list[int] = []
    spans: list[tuple[int, int]] = []
    rejects: list[Reject] = []
    at, line = 0, 1
    while at < len(text.data):
        end = text.data.find(b"\n", at)
        end = end if end >= 0 else len(text.data)
        body = text.data[at:end]
        if body.strip(b" \t\r"):
            read = _record(body, columns, nulls, known)
            if isinstance(read, str):
                rejects.append(Reject(line, text.show(body.rstrip(b"\r")), (read,)))
            else:
                values.append(read[0])
                keys.update(read[1])
                rows.append(line)
                spans.append((at, end))
        at, line = end + 1, line + 1
    shape = Shape([*columns, *keys], columns, policy)
    return Records(
        _table(values, columns),
        pa.array(rows, pa.int64()),
        lambda i: text.show(text.data[slice(*spans[i])].rstrip(b"\r")),
        rejects,
        shape.quarantine,
        shape.warnings,
    )


def _table(values: list[list[str | None]], columns: Sequence[str]) -> pa.Table:
    by_column = list(zip(*values, strict=True)) or [() for _ in columns]
    return pa.table({name: pa.array(by_column[i], pa.string()) for i, name in enumerate(columns)})


def _record(
    body: bytes, columns: Sequence[str], nulls: set[str], known: dict[str, None]
) -> tuple[list[str | None], dict[str, None]] | str:
    """The values of one line with its unknown keys, or the rule it breaks."""
    if b"\0" in body:
        return "nul_byte"
    try:
        found = _DECODER.decode(body.decode())
        if not isinstance(found, dict):
            return "not_an_object"
        values = [_text(found.get(name)) for name in columns]
    except UnicodeDecodeError:
        return "bad_encoding"
    except _DuplicateKeyError:
        return "duplicate_key"
    except (ValueError, RecursionError):
        return "broken_json"
    other = {key: None for key in found if key not in known}
    if len(other) == len(found):
        return "no_known_key"
    whole = "".join(value for value in values if value)
    if "\0" in whole:
        return "nul_byte"
    if not whole.isascii() and any("\ud800" <= c <= "\udfff" for c in whole):
        return "bad_encoding"
    return [None if value in nulls else value for value in values], other


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return _nested(value)


def _nested(value: Any) -> str:
    if isinstance(value, _Written):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_nested(k)}:{_nested(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_nested, value)) + "]"
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
