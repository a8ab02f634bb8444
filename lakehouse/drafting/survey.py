"""What some files hold: columns with their likely types, NULLs, ranges, keys and times."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lakehouse import landing, sql
from lakehouse.audit import quote
from lakehouse.contract import Column, ColumnPolicy, Contract, Properties, Source
from lakehouse.drafting import keys, sniffing
from lakehouse.drafting.columns import UTC, Seen, measured, text, typed
from lakehouse.errors import LakehouseError
from lakehouse.interval import time_zone
from lakehouse.landing.records import RefusedError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["LIMIT", "Progress", "Survey", "survey"]

#: Files are looked at up to this many bytes in all.
LIMIT = 512 << 20


@dataclass(frozen=True)
class Progress:
    """How far a survey is.

    Attributes:
        doing: ``reading`` files, in bytes; ``understanding`` what columns mean; ``measuring`` their
            values.
        done: Bytes or columns that are done.
        total: Of so many.
        detail: The file or column at work, or done last.
    """

    doing: Literal["reading", "understanding", "measuring"]
    done: int
    total: int
    detail: str = ""


_OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Survey:
    """What was seen of some files.

    Attributes:
        source: How they can be read.
        files: Those looked at.
        skipped: Those passed over, with the reason.
        rows: Records that can be read.
        rejected: Records that cannot, by rule.
        repeated: Records that are equal to another in every column.
        columns: In the files' order.
        key: The proposed key; empty where none was found.
        keyed: Records after the key's repetitions are superseded.
        time: The column to partition by; None where there is none to propose.
        timezone: Whose clock shows the times without a zone, and begins the partitions.
        ignores: Whether the files have columns that are left out.
        doubts: What to check of how the files are read.
    """

    source: Source
    files: tuple[str, ...]
    skipped: Mapping[str, str]
    rows: int
    rejected: Mapping[str, int]
    repeated: int
    columns: tuple[Seen, ...]
    key: tuple[str, ...] = ()
    keyed: int = 0
    time: str | None = None
    timezone: str = UTC
    ignores: bool = False
    doubts: tuple[str, ...] = ()

    def column(self, name: str) -> Seen:
        """A column by its name."""
        return next(c for c in self.columns if c.name == name)


@dataclass
class _Read:
    """Files read so far."""

    source: Source
    names: dict[str, str]
    types: dict[str, str]
    naive: frozenset[str] = frozenset()
    left_out: dict[str, str] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    tables: list[pa.Table] = field(default_factory=list)
    rejected: dict[str, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def survey(
    files: Sequence[Path],
    given: Mapping[str, Any],
    *,
    key: Sequence[str] = (),
    time: str | None = None,
    timezone: str | None = None,
    on_progress: _OnProgress = lambda progress: None,
) -> Survey:
    """Look at files through the reader that will land them.

    Args:
        files: On this machine.
        given: Options of the source that the user knows; the others are guessed.
        key: The key, where the user knows it.
        time: The column to partition by, where the user knows it.
        timezone: Whose clock shows the times without a zone and begins the partitions, where the
            user knows it.
        on_progress: Told before and after each file, and after each column.

    Raises:
        LakehouseError: None of them can be read, a named column is not there or is no key, or
            there is no such zone.
    """
    import duckdb
    import pyarrow as pa

    _check_zone(timezone)
    read = _read(files, given, on_progress)
    with duckdb.connect() as con:
        for statement in (*sql.MACROS, "SET enable_progress_bar = false", "SET TimeZone = 'UTC'"):
            con.execute(statement)
        con.register("_landed", pa.concat_tables(read.tables))
        con.execute("CREATE TEMP TABLE landed AS SELECT * FROM _landed")
        source, meant = _columns(con, read, timezone, on_progress)
        select = ", ".join(f"{c.expression} AS {quote(c.name)}" for c in meant)
        con.execute(f"CREATE TEMP TABLE typed AS SELECT {select} FROM landed")
        on_column = _told("measuring", len(meant), on_progress)
        columns = []
        for column in meant:
            columns.append(measured(con, column))
            on_column(column.name)
        rows, different = columns[0].rows, keys.different(con, [c.name for c in columns])
        given_key = _named(key, columns)
        _tell_apart(con, [c for c in columns if c.name in given_key])
        found = given_key or keys.key(con, columns, different)
        moment = _named([time], columns)[0] if time else keys.time(columns, rows)
        keyed = keys.different(con, found) if found else rows
    return Survey(
        source,
        tuple(read.files),
        {**read.left_out, **read.skipped},
        rows,
        read.rejected,
        rows - different,
        tuple(columns),
        found,
        keyed,
        moment,
        timezone or UTC,
        bool(read.left_out),
        read.doubts if "header" not in given else (),
    )


def _check_zone(timezone: str | None) -> None:
    try:
        time_zone(timezone or UTC)
    except ValueError as error:
        found, _, remedy = str(error).partition("; ")
        raise LakehouseError(f"cut partitions by {timezone!r}", found, remedy) from None


def _columns(
    con: duckdb.DuckDBPyConnection, read: _Read, timezone: str | None, on_progress: _OnProgress
) -> tuple[Source, list[Seen]]:
    if read.source.format == "parquet":
        return read.source, typed(read.names, read.types, read.naive, timezone)
    on_column = _told("understanding", len(read.names), on_progress)
    words, found = text(con, read.names, timezone, on_column)
    return read.source.model_copy(update={"null_values": ("", *words)}), found


def _told(
    doing: Literal["understanding", "measuring"], total: int, on_progress: _OnProgress
) -> Callable[[str], None]:
    """A function that takes each column that is done."""
    done = itertools.count(1)
    on_progress(Progress(doing, 0, total))
    return lambda name: on_progress(Progress(doing, next(done), total, name))


def _named(names: Sequence[str], columns: Sequence[Seen]) -> tuple[str, ...]:
    known = {alias: c.name for c in columns for alias in (c.landed, c.name)}
    for name in names:
        if name not in known:
            raise LakehouseError(
                f"use the column {name!r}",
                f"there are {', '.join(c.name for c in columns)}",
                "name one of them",
            )
    return tuple(known[name] for name in names)


def _tell_apart(con: duckdb.DuckDBPyConnection, columns: Sequence[Seen]) -> None:
    """Refuse a key of numbers to which different texts are equal: rows would supersede others."""
    for column in columns:
        if column.type != "DOUBLE" or not column.is_typed:
            continue
        text, value = f"trim({quote(column.name)})", column.expression
        ((texts, values),) = con.execute(
            f"SELECT count(DISTINCT {text}), count(DISTINCT {value}) FROM landed "
            f"WHERE {value} IS NOT NULL"
        ).fetchall()
        if texts > values:
            raise LakehouseError(
                f"use the column {column.name!r} as a key",
                f"its {texts:,} different texts are {values:,} different numbers: "
                "records would supersede others that are not theirs",
                "name other columns with --key, or write the column in one way in the files",
            )


# --- reading ----------------------------------------------------------------------------------


def _read(files: Sequence[Path], given: Mapping[str, Any], on_progress: _OnProgress) -> _Read:
    read: _Read | None = None
    size, skipped = 0, {}
    total = min(LIMIT, sum(file.stat().st_size for file in files if file.exists()))
    for file in files:
        on_progress(Progress("reading", size, total, file.name))
        try:
            data = file.read_bytes() if file.stat().st_size <= LIMIT - size else None
        except OSError as error:
            raise LakehouseError(
                f"read {file}", error.strerror or str(error), "name files on this machine"
            ) from error
        if data is None:
            skipped[file.name] = f"more than {LIMIT >> 20} MB in all"
            continue
        size += len(data)
        if not data.strip():
            skipped[file.name] = "empty"
            continue
        if read is None:
            read = _first(file, data, given)
        _one(read, file)
        on_progress(Progress("reading", size, total, file.name))
    if read is None or not read.tables:
        told = "; ".join(
            f"{name}: {why}" for name, why in {**skipped, **(read.skipped if read else {})}.items()
        )
        raise LakehouseError(
            "draft from the files",
            f"none has records that can be read ({told or 'no files'})",
            _WAYS[read.source.format if read else "csv"],
        )
    read.skipped |= skipped
    return read


#: What helps where nothing can be read.
_WAYS = {
    "csv": "say how they are written: --format, --delimiter, --encoding, --header/--no-header; a "
    "sample of a large file will do",
    "json": "say how they are written: --format, --encoding, --records",
    "jsonl": "say how they are written: --format, --encoding, --records",
    "parquet": "write the files anew, with what does not fit as another type or left out",
}


def _first(file: Path, data: bytes, given: Mapping[str, Any]) -> _Read:
    source = sniffing.sniff(data, str(file), given)
    landed = sniffing.names(data, source)
    if twice := sniffing.repeated(landed):
        raise LakehouseError(
            f"draft from {file}",
            f"two columns are named {twice[0]!r}",
            "rename one in the file, or give --no-header where the first line is data",
        )
    if not landed:
        raise LakehouseError(f"draft from {file}", "no columns", "say how it is written: --format")
    names = _clean(landed)
    types = dict.fromkeys(names, "VARCHAR")
    if source.format == "parquet":
        types, dropped = _parquet_types(data, names)
        names = {name: old for name, old in names.items() if name in types}
        if not names:
            told = "; ".join(f"{column}: {why}" for column, why in dropped.items())
            raise LakehouseError(f"draft from {file}", f"no column: {told}", _WAYS["parquet"])
        return _Read(source, names, types, _naive(data, names), dropped)
    return _Read(source, names, types, doubts=sniffing.doubts(data, source))


def _one(read: _Read, file: Path) -> None:
    from fsspec.implementations.local import LocalFileSystem

    from lakehouse.landing.listing import describe

    fs, path = LocalFileSystem(), file.resolve()
    listed = describe(path.name, fs.info(str(path)))
    landed = landing.read(fs, str(path.parent), listed, _contract(read), "", limit=8 * LIMIT)
    for rules in landed.rejects["_violations"].to_pylist():
        for rule in (rules or []) if landed.refused is None else []:
            read.rejected[rule] = read.rejected.get(rule, 0) + 1
    if landed.refused is not None:
        read.skipped[file.name] = landed.refused
        return
    read.files.append(file.name)
    read.tables.append(landed.rows.select(list(read.names)))


def _contract(read: _Read) -> Contract:
    columns = tuple(
        Column(name, read.types[name], physical_name=None if old == name else old)
        for name, old in read.names.items()
    )
    lake = Properties(source=read.source, columns=ColumnPolicy(extra="ignore", missing="null"))
    return Contract("draft", "1.0.0", "draft", None, columns, (), lake)


def _parquet_types(data: bytes, names: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The contract's types for a file's columns, and the columns that have none."""
    schema = sniffing.parquet_schema(data)
    kinds = {name: _contract_type(schema.field(old).type) for name, old in names.items()}
    found = {name: kind for name, kind in kinds.items() if kind}
    dropped = {
        f"column {old}": f"{schema.field(old).type} has no place in a table"
        for name, old in names.items()
        if name not in found
    }
    suspects = dict(found) if _unfit(data, {names[n]: kind for n, kind in found.items()}) else {}
    for name, kind in suspects.items():
        old = names[name]
        if not (why := _unfit(data, {old: kind})):
            continue
        if str(schema.field(old).type) == "uint64":
            found[name] = "VARCHAR"  # its digits: such numbers are ids
        else:
            del found[name]
            dropped[f"column {old}"] = why
    return found, dropped


def _unfit(data: bytes, types: Mapping[str, str]) -> str | None:
    """Why values of some of the columns do not fit their types; None where all do."""
    from lakehouse.landing import parquet

    try:
        parquet.parse(data, types, ColumnPolicy(extra="ignore"), 8 * LIMIT)
    except RefusedError as refused:
        # A file that cannot be read at all is told as such where it is landed.
        return refused.reason if refused.rule == "wrong_type" else None
    return None


def _naive(data: bytes, names: Mapping[str, str]) -> frozenset[str]:
    """The columns with times that do not say their zone."""
    from pyarrow import types

    schema = sniffing.parquet_schema(data)
    kinds = {name: schema.field(old).type for name, old in names.items()}
    return frozenset(n for n, kind in kinds.items() if types.is_timestamp(kind) and not kind.tz)


def _contract_type(kind: Any) -> str | None:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _contract_type(kind.value_type)
    if types.is_boolean(kind):
        return "BOOLEAN"
    if types.is_integer(kind):
        return "INTEGER" if kind.bit_width < 32 or str(kind) == "int32" else "BIGINT"
    if types.is_decimal(kind) and kind.scale <= 0:
        return "BIGINT"  # a DOUBLE would lose the last digits of ids
    if types.is_floating(kind) or types.is_decimal(kind):
        return "DOUBLE"
    if types.is_date(kind):
        return "DATE"
    if types.is_timestamp(kind):
        return "TIMESTAMPTZ"
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind)
    return "VARCHAR" if text or types.is_binary(kind) or types.is_string_view(kind) else None


def _clean(landed: Sequence[str]) -> dict[str, str]:
    """Column names for the contract → those of the files: lower case, ASCII, no SQL words."""
    found: dict[str, str] = {}
    for i, old in enumerate(landed, 1):
        inner = re.sub(r"^\$\.?|\[\*\]|\['|'\]", " ", old) if old.startswith("$") else old
        plain = (
            unicodedata.normalize("NFKD", inner.translate(_LETTERS))
            .encode("ascii", "ignore")
            .decode()
        )
        plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", plain)
        name = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_") or f"column_{i}"
        if old.startswith("$") and "[*]" in old:
            name = (
                re.sub(r"[^a-z0-9]+", "_", old.rpartition("[*]")[2].lower()).strip("_") or "value"
            )
        if not name[0].isalpha():
            name = f"c_{name}"
        if name in sql.WORDS or name in _OWN:
            name += "_"
        while name in found:
            name = _next(name)
        found[name] = old
    return found


#: Letters that have no accent to lose.
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "Ae", "œ": "oe", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d"}
)


def _next(name: str) -> str:
    base, _, number = name.rpartition("_")
    return f"{base}_{int(number) + 1}" if base and number.isdigit() else f"{name}_2"


#: Names that the draft itself uses.
_OWN = frozenset(["typed", "latest", "unreadable"])
