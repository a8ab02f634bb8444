"""What a file held: the rows to publish and the records rejected, whatever its format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.contract import LANDED_COLUMNS, ColumnPolicy, Contract
from lakehouse.landing.listing import LandedFile
from lakehouse.types import arrow

if TYPE_CHECKING:
    from typing import TypeAlias

    Array: TypeAlias = pa.Array[Any]
    Column: TypeAlias = pa.ChunkedArray[Any]

__all__ = ["RAW_LENGTH", "REJECTS", "Landed", "Records", "RefusedError", "Reject", "Shape"]
__all__ += ["land", "landed_columns", "refuse", "some", "too_large"]

#: The longest ``_raw`` (characters).
RAW_LENGTH = 10_000

_REJECTS: list[Any] = [
    ("_source_file", pa.string()),
    ("_row", pa.int64()),
    ("_raw", pa.string()),
    ("_violations", pa.list_(pa.string())),
]

#: The columns of rejected records. ``_row`` is NULL where the whole file is refused.
REJECTS = pa.schema(_REJECTS)


@dataclass(frozen=True)
class Landed:
    """What was read of one file. Always ``records == rows.num_rows + rejects.num_rows``.

    Attributes:
        rows: The landed columns and ``_batch``, ``_source_file``, ``_row``, ``_landed_at``.
        rejects: One row per rejected record, with :data:`REJECTS`; of a refused file one.
        records: Records in the file; 1 for a refused file.
        refused: Why the whole file was refused.
        warnings: What was odd but no reason to reject anything.
    """

    rows: pa.Table
    rejects: pa.Table
    records: int
    refused: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reject:
    """One record that is not published: where it is, its text, and the rules it breaks."""

    row: int | None
    raw: str
    violations: tuple[str, ...]


class RefusedError(Exception):
    """The whole file cannot be read."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(rule, reason)
        self.rule, self.reason = rule, reason


@dataclass
class Records:
    """A file's records before they have the contract's types.

    Attributes:
        table: The wanted columns: text, or the file's own types.
        rows: The record number of each row of ``table`` (int64).
        raw: The text of the record behind a row of ``table``.
        rejects: The records already rejected.
        quarantine: A rule that the file breaks as a whole: every record is rejected.
    """

    table: pa.Table
    rows: Array
    raw: Callable[[int], str]
    rejects: list[Reject] = field(default_factory=list)
    quarantine: str | None = None
    warnings: list[str] = field(default_factory=list)


class Shape:
    """A file's columns held against the contract's.

    Attributes:
        wanted: The contract's columns that the file has, in the contract's order.
        quarantine: ``extra_column`` when the contract sends such files to quarantine.
        warnings: Columns ignored or filled with NULL.
    """

    def __init__(self, found: Sequence[str], columns: Sequence[str], policy: ColumnPolicy) -> None:
        missing = [c for c in columns if c not in found]
        extra = [c for c in found if c not in columns]
        twice = sorted({c for c in columns if list(found).count(c) > 1})
        self.wanted = [c for c in columns if c in found]
        self.quarantine: str | None = None
        self.warnings: list[str] = []
        if twice:
            raise RefusedError("duplicate_column", f"column {some(twice)} is there twice")
        if missing and (policy.missing == "refuse_file" or not self.wanted):
            lacks = f"column {some(missing)} is missing; the file has {some(found)}"
            raise RefusedError("missing_column", lacks)
        if missing:
            self.warnings.append(f"column {some(missing)} is missing: NULL")
        if extra:
            self._extra(f"column {some(extra)} is not in the contract", policy)

    def _extra(self, reason: str, policy: ColumnPolicy) -> None:
        if policy.extra == "refuse_file":
            raise RefusedError("extra_column", reason)
        if policy.extra == "quarantine_file":
            self.quarantine = "extra_column"
            reason += ": every record is quarantined"
        else:
            reason += ": ignored"
        self.warnings.append(reason)


def landed_columns(contract: Contract) -> dict[str, str]:
    """The columns a file must have, with their types: those that nobody computes."""
    partition = contract.lake.partition
    computed = {partition.column} if partition and partition.expression else set()
    return {
        name: kind
        for name, kind in contract.types.items()
        if name not in LANDED_COLUMNS and name not in computed
    }


def land(records: Records, file: LandedFile, contract: Contract, batch: str) -> Landed:
    """Give records the contract's types; what cannot have them is rejected."""
    rejects = list(records.rejects)
    table, rows = records.table, records.rows
    if records.quarantine:
        rule = (records.quarantine,)
        rejects += [Reject(n, records.raw(i), rule) for i, n in enumerate(rows.to_pylist())]
        table, rows = table.slice(0, 0), rows.slice(0, 0)
    table, rows = _typed(table, rows, records.raw, landed_columns(contract), rejects)
    warnings = list(records.warnings)
    if not table.num_rows and not rejects:
        warnings.append("the file holds no records")
    return Landed(
        _complete(table, rows, file, contract, batch),
        _reject_table(rejects, file),
        table.num_rows + len(rejects),
        None,
        tuple(warnings),
    )


def refuse(refused: RefusedError, file: LandedFile, contract: Contract, batch: str) -> Landed:
    """A file of which nothing is published: one record, rejected with the reason."""
    table = pa.table({"_": pa.array([], pa.string())})
    rows = _complete(table, pa.array([], pa.int64()), file, contract, batch)
    raw = refused.reason[:RAW_LENGTH]
    reject = Reject(None, raw, ("file_refused", refused.rule))
    return Landed(rows, _reject_table([reject], file), 1, refused.reason)


def too_large(found: str, limit: int) -> RefusedError:
    """The refusal of a file that is larger than the contract allows."""
    reason = f"{found}, more than the {limit:,} of 'max_bytes' under 'source' in the contract"
    return RefusedError("too_large", reason)


def some(names: Sequence[str]) -> str:
    """The first few names, for a message."""
    shown = ", ".join(repr(n[:60]) for n in names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown


def _typed(
    table: pa.Table,
    rows: Array,
    raw: Callable[[int], str],
    types: dict[str, str],
    rejects: list[Reject],
) -> tuple[pa.Table, Array]:
    bad: dict[int, list[str]] = {}
    done: dict[str, Any] = {}
    for name in table.column_names:
        column, faults = _cast(table[name], arrow(types[name]))
        done[name] = column
        for i in faults:
            bad.setdefault(i, []).append(f"{name}_type")
    if not bad:
        return pa.table(done) if done else table, rows
    numbers = rows.to_pylist()
    rejects += [Reject(numbers[i], raw(i), tuple(names)) for i, names in bad.items()]
    keep = pa.array([i not in bad for i in range(table.num_rows)], pa.bool_())
    return pa.table(done).filter(keep), rows.filter(keep)


def _cast(column: Column, kind: Any) -> tuple[Column, list[int]]:
    """The column in its type, and the rows whose text is none of that type (NULL there)."""
    faults: list[int] = []
    if column.type != kind:
        parts = _cast_part(column.combine_chunks(), kind, 0, faults)
        column = pa.chunked_array(parts, type=kind)
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    return column, faults


def _cast_part(part: Array, kind: Any, at: int, faults: list[int]) -> list[Array]:
    try:
        return [part.cast(kind)]
    except pa.ArrowInvalid:
        if len(part) == 1:
            faults.append(at)
            return [pa.nulls(1, kind)]
    half = len(part) // 2
    left = _cast_part(part.slice(0, half), kind, at, faults)
    return left + _cast_part(part.slice(half), kind, at + half, faults)


def _complete(
    table: pa.Table, rows: Array, file: LandedFile, contract: Contract, batch: str
) -> pa.Table:
    n = len(rows)
    added: dict[str, Any] = {
        "_batch": pa.repeat(pa.scalar(batch, pa.string()), n),
        "_source_file": pa.repeat(pa.scalar(file.path, pa.string()), n),
        "_row": rows,
        "_landed_at": pa.repeat(pa.scalar(file.modified, pa.timestamp("us", "UTC")), n),
    }
    wanted = {**landed_columns(contract), **LANDED_COLUMNS}
    columns: dict[str, Any] = {}
    for name, kind in wanted.items():
        if name in added:
            columns[name] = added[name]
        elif name in table.column_names:
            columns[name] = table[name]
        else:
            missing: Any = arrow(kind)
            columns[name] = pa.nulls(n, missing)
    return pa.table(columns)


def _reject_table(rejects: list[Reject], file: LandedFile) -> pa.Table:
    ordered = sorted(rejects, key=lambda r: r.row or 0)
    return pa.Table.from_pydict(
        {
            "_source_file": [file.path] * len(ordered),
            "_row": [r.row for r in ordered],
            "_raw": [r.raw for r in ordered],
            "_violations": [list(r.violations) for r in ordered],
        },
        schema=REJECTS,
    )
