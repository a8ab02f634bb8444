"""One bad (or good) file: its bytes, how it is declared, and what must come of it."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["TYPED", "Case", "contract", "good", "mended", "parquet", "refused", "zipped", "zstd"]

#: Columns that are not all text.
TYPED = ("n BIGINT", "s VARCHAR")
_UNTYPED = ("a VARCHAR", "b VARCHAR")
_GOOD: Mapping[str, Any] = {
    "VARCHAR": "good",
    "INTEGER": 7,
    "BIGINT": 8,
    "DOUBLE": 0.5,
    "BOOLEAN": True,
    "DATE": dt.date(2013, 1, 2),
    "TIMESTAMPTZ": dt.datetime(2013, 1, 2, 3, tzinfo=dt.UTC),
}


@dataclass(frozen=True)
class Case:
    """One file, how it is declared, and what must come of it.

    Attributes:
        data: The file.
        rows: The rows published, with the declared columns.
        rejects: ``_row`` (None for the whole file) and the rules broken, of each rejected record.
        declared: Arguments of :func:`contract`.
    """

    data: bytes
    rows: list[tuple[Any, ...]]
    rejects: list[tuple[int | None, list[str]]] = field(default_factory=list)
    declared: dict[str, Any] = field(default_factory=dict)


def refused(data: bytes, rule: str, **declared: Any) -> Case:
    """A file of which nothing is published."""
    return Case(data, [], [(None, ["file_refused", rule])], declared)


def mended(*bad: bytes) -> bytes:
    """A good file with bad lines in the middle, from line 3 on."""
    return b"a,b\n1,2\n" + b"".join(line + b"\n" for line in bad) + b"3,4\n"


def parquet(**columns: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("in.csv", data)
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    """One frame."""
    packed: bytes = pa.Codec("zstd").compress(data, asbytes=True)
    return packed


def contract(
    kind: str = "csv",
    columns: tuple[str, ...] = _UNTYPED,
    policy: Mapping[str, str] | None = None,
    partition: Mapping[str, str] | None = None,
    *,
    name: str = "t",
    lake: Mapping[str, Any] | None = None,
    sound: bytes = b"",
    **source: Any,
) -> str:
    """A contract's text.

    Args:
        kind: The format of the files.
        columns: ``name TYPE``, or ``name TYPE path`` where the files call it otherwise.
        policy: ``columns`` of the library's part.
        partition: ``partition`` of the library's part.
        name: Of the table.
        lake: The library's own part, where there is no source.
        sound: Of no matter here: see :func:`good`.
        source: Further keys of ``source``.
    """
    if lake is None:
        lake = {"source": {"path": "**", "format": kind, **source}}
        lake |= {"columns": policy} if policy else {}
        lake |= {"partition": partition} if partition else {}
    written = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": f"test.bronze.{name}",
        "name": name,
        "version": "1.0.0",
        "status": "active",
        "schema": [{"name": name, "properties": [_property(*c.split(" ", 2)) for c in columns]}],
        "customProperties": [{"property": "lakehouse", "value": lake}],
    }
    return json.dumps(written, ensure_ascii=False)


def good(
    kind: str = "csv",
    columns: tuple[str, ...] = _UNTYPED,
    *,
    header: bool = True,
    delimiter: str = ",",
    encoding: str = "utf-8",
    compression: str = "auto",
    skip_lines: int = 0,
    sound: bytes = b"",
    **_: Any,
) -> bytes:
    """A file of one good row as declared (``sound`` where it is not that simple)."""
    if sound:
        return sound
    types = dict(c.split(" ", 2)[:2] for c in columns)
    values = {name: _GOOD[kind] for name, kind in types.items()}
    if kind == "parquet":
        return parquet(**{name: [value] for name, value in values.items()})
    if kind in ("json", "jsonl"):
        plain = {name: v if isinstance(v, int | float) else str(v) for name, v in values.items()}
        text = json.dumps(plain) + "\n"
    else:
        head = [delimiter.join(values)] if header else []
        lines = ["preamble"] * skip_lines + head
        text = "\n".join([*lines, delimiter.join(map(_written, values.values())), ""])
    data = text.encode(encoding)
    packers = {"gzip": gzip.compress, "zstd": zstd}
    return packers[compression](data) if compression in packers else data


def _property(name: str, kind: str, physical: str | None = None) -> dict[str, str]:
    found = {"name": name, "logicalType": "string", "physicalType": kind}
    return found | ({"physicalName": physical} if physical else {})


def _written(value: Any) -> str:
    return value.isoformat() if isinstance(value, dt.date) else str(value)
