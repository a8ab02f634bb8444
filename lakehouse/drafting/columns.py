"""One column of some files: what its values mean, and what was seen of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lakehouse.audit import literal, quote
from lakehouse.drafting.readings import NULL_WORDS, Reading, best, local, readings

if TYPE_CHECKING:
    import duckdb

__all__ = ["EMAIL", "UTC", "Seen", "text", "typed"]

#: The note of a column that names people.
EMAIL = "e-mail addresses, so it is classified as restricted"

#: The zone of times that do not say theirs, where nobody names another.
UTC = "UTC"

#: The share of values that must be readable for a type to be proposed.
_READABLE = 0.95
_SAMPLE = 10_000
#: Words that nobody writes for anything else.
_SURE_NULLS = frozenset(["#N/A", "NULL", "null", "<NA>", "\\N"])


@dataclass(frozen=True)
class Seen:
    """One column as it was seen.

    Attributes:
        name: In the contract.
        landed: In the files.
        type: The proposed DuckDB type.
        reading: How text becomes that type; None where it stays as it is.
        expression: The same as SQL over the bronze column.
        day: By which date or local time a value belongs to a period, as SQL over the bronze column.
        rows: Records looked at.
        nulls: Of them without a value.
        distinct: Different values.
        least: The smallest, as text.
        greatest: The greatest, as text.
        common: The most frequent values with their counts.
        unreadable: Values that the reading cannot read.
        examples: Some of those.
        notes: What to check.
    """

    name: str
    landed: str
    type: str
    reading: Reading | None
    expression: str
    day: str
    rows: int
    nulls: int = 0
    distinct: int = 0
    least: str | None = None
    greatest: str | None = None
    common: tuple[tuple[str, int], ...] = ()
    unreadable: int = 0
    examples: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def null_share(self) -> float:
        """NULLs among all records."""
        return self.nulls / self.rows if self.rows else 0.0

    @property
    def is_typed(self) -> bool:
        """Whether the silver SQL turns text into something else."""
        return self.reading is not None


def typed(
    con: duckdb.DuckDBPyConnection,
    names: Mapping[str, str],
    types: Mapping[str, str],
    naive: Collection[str] = (),
    timezone: str | None = None,
    on_column: Callable[[str], None] = lambda name: None,
) -> list[Seen]:
    """The columns of files that have types of their own.

    Args:
        con: With the table ``landed``.
        names: The contract's names → the files'.
        types: The contract's names → DuckDB types.
        naive: Those with times that do not say their zone.
        timezone: Whose clock shows them, and by which partitions are cut; None where nobody named
            it.
        on_column: Told each column that is done.
    """
    found = []
    for name, old in names.items():
        kind, day = types[name], name
        if name in naive:
            reading = local(timezone or UTC)
            column = Seen(name, old, kind, reading, reading.of(name), reading.day_of(name), 0)
        else:
            if kind == "TIMESTAMPTZ":
                day = f"from_utc_timestamp({name}, '{timezone or UTC}')"
            column = Seen(name, old, kind, None, name, day, 0)
        found.append(_measured(con, _zone_told(column, timezone)))
        on_column(name)
    return found


def text(
    con: duckdb.DuckDBPyConnection,
    names: Mapping[str, str],
    timezone: str | None = None,
    on_column: Callable[[str], None] = lambda name: None,
) -> tuple[list[str], list[Seen]]:
    """The words that stand for NULL, and the columns with the types that their text has.

    Args:
        con: With the table ``landed``, in which those words become NULL.
        names: The contract's names → the files'.
        timezone: Whose clock shows the times that have no zone, and by which partitions are cut;
            None where nobody named it.
        on_column: Told each column that is done.
    """
    ways = readings(timezone or UTC)
    words = _null_words(con, names, ways)
    for name in names if words else ():
        listed = ", ".join(map(literal, words))
        con.execute(f"UPDATE landed SET {quote(name)} = NULL WHERE {quote(name)} IN ({listed})")
    found = []
    for name, old in names.items():
        column = _meant(con, name, old, ways)
        found.append(_measured(con, _zone_told(column, timezone)))
        on_column(name)
    return words, found


def _zone_told(column: Seen, timezone: str | None) -> Seen:
    if timezone is not None or column.reading is None or not column.reading.is_local:
        return column
    guess = f"which zone's clock? {UTC!r} is a guess: name it with --timezone"
    return replace(column, notes=(*column.notes, guess))


def _null_words(
    con: duckdb.DuckDBPyConnection, names: Mapping[str, str], ways: Sequence[Reading]
) -> list[str]:
    """Words that stand for NULL: they have no other use, or stand among numbers or dates."""
    found: set[str] = set()
    listed = ", ".join(map(literal, NULL_WORDS))
    for name in names:
        column = quote(name)
        rows = con.execute(
            f"SELECT DISTINCT {column} FROM landed WHERE {column} IN ({listed})"
        ).fetchall()
        words = [word for (word,) in rows]
        is_typed = bool(words) and _fits(con, name, ways, words) is not None
        found.update(word for word in words if is_typed or word in _SURE_NULLS)
    return [word for word in NULL_WORDS if word in found]


def _fits(
    con: duckdb.DuckDBPyConnection, name: str, ways: Sequence[Reading], without: Sequence[str] = ()
) -> tuple[Reading, int] | None:
    """The reading of a column that is not just text, with how many values it reads."""
    column = quote(name)
    base = _base(con, name)
    skip = f" AND {column} NOT IN ({', '.join(map(literal, without))})" if without else ""
    where = f"FROM landed WHERE {column} IS NOT NULL{skip}"
    values = [
        v for (v,) in con.execute(f"SELECT DISTINCT {base} {where} LIMIT {_SAMPLE}").fetchall()
    ]
    few = _candidates(con, ways, base, where)
    counts = ", ".join(f"count({reading.of(base)})" for reading in few)
    total, *numbers = con.execute(f"SELECT count(*), {counts or 'NULL'} {where}").fetchall()[0]
    fits = dict(zip(few, numbers, strict=False))
    meant = best(fits, values, max(1, _READABLE * total))
    return (meant, total - fits[meant]) if meant else None


def _candidates(
    con: duckdb.DuckDBPyConnection, ways: Sequence[Reading], base: str, where: str
) -> list[Reading]:
    """The readings that some value of a sample has: most are out at the first look."""
    counts = ", ".join(f"count({reading.of('v')})" for reading in ways)
    sample = f"SELECT {base} AS v {where} LIMIT {_SAMPLE}"
    numbers = con.execute(f"SELECT {counts} FROM ({sample})").fetchall()[0]
    return [reading for reading, count in zip(ways, numbers, strict=True) if count]


def _base(con: duckdb.DuckDBPyConnection, name: str) -> str:
    column = quote(name)
    (spaced,) = con.execute(
        f"SELECT count(*) FROM landed WHERE {column} <> trim({column})"
    ).fetchall()[0]
    return f"nullif(trim({name}), '')" if spaced else name


def _meant(con: duckdb.DuckDBPyConnection, name: str, old: str, ways: Sequence[Reading]) -> Seen:
    base = _base(con, name)
    notes = ["blanks around it are cut off"] if base != name else []
    fit = _fits(con, name, ways)
    if fit is not None and (long := _too_long(con, fit[0], name, base)):
        notes.append(f"kept as text: as a number {long} and the like would lose digits")
        fit = None
    if fit is None:
        reading = Reading("text", "VARCHAR", "{c}") if base != name else None
        notes += _text_notes(con, name)
        return Seen(name, old, "VARCHAR", reading, base, base, 0, notes=tuple(notes))
    reading, unreadable = fit
    expression = reading.of(base)
    wrong: tuple[str, ...] = ()
    if unreadable:
        found = con.execute(
            f"SELECT DISTINCT {quote(name)} FROM landed WHERE {quote(name)} IS NOT NULL "
            f"AND ({expression}) IS NULL ORDER BY 1 LIMIT 3"
        ).fetchall()
        wrong = tuple(v for (v,) in found)
    notes += [reading.note] if reading.note else []
    return Seen(
        name,
        old,
        reading.type,
        reading,
        expression,
        reading.day_of(base),
        0,
        unreadable=unreadable,
        examples=wrong,
        notes=tuple(notes),
    )


def _too_long(con: duckdb.DuckDBPyConnection, reading: Reading, name: str, base: str) -> str | None:
    """A value whose digits the reading would not keep, if there is one."""
    ((found,),) = con.execute(
        f"SELECT min({quote(name)}) FROM landed WHERE {reading.loses(base)}"
    ).fetchall()
    return None if found is None else str(found).strip()[:40]


def _text_notes(con: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    column = quote(name)
    ((total, lists, emails, codes, cases),) = con.execute(
        f"SELECT count({column}), count(*) FILTER (WHERE regexp_matches({column}, '^[[{{]')), "
        f"count(*) FILTER (WHERE regexp_matches({column}, '^[^@ ]+@[^@ ]+[.][A-Za-z]+$')), "
        f"count(*) FILTER (WHERE regexp_matches({column}, '^0[0-9]+$')), "
        f"count(DISTINCT {column}) - count(DISTINCT lower(trim({column}))) FROM landed"
    ).fetchall()
    notes = []
    if not total:
        notes.append("nothing but NULL was seen, so text is a guess")
    elif lists == total:
        notes.append("JSON text; a list gets a table of its own with --records")
    elif emails * 2 > total:
        notes.append(EMAIL)
    if codes:
        notes.append("kept as text for its leading zeros")
    if cases:
        notes.append(f"{cases:,} values differ from another only in case or blanks")
    return notes


def _measured(con: duckdb.DuckDBPyConnection, column: Seen) -> Seen:
    """A column with its counts and range."""
    value = f"(SELECT {column.expression} AS v FROM landed)"
    ((rows, known, distinct, least, greatest),) = con.execute(
        "SELECT count(*), count(v), count(DISTINCT v), min(v)::VARCHAR, max(v)::VARCHAR "
        f"FROM {value}"
    ).fetchall()
    common = con.execute(
        f"SELECT v::VARCHAR, count(*) AS n FROM {value} WHERE v IS NOT NULL "
        "GROUP BY 1 ORDER BY n DESC, 1 LIMIT 12"
    ).fetchall()
    measured = replace(
        column,
        rows=rows,
        nulls=rows - known - column.unreadable,
        distinct=distinct,
        least=least,
        greatest=greatest,
        common=tuple(common),
    )
    return replace(measured, notes=(*column.notes, *_number_notes(measured)))


def _number_notes(column: Seen) -> list[str]:
    timely = re.search(r"time|date|epoch|_at$|^ts$|created|updated", column.name)
    if column.type != "BIGINT" or not timely or not column.least or not column.greatest:
        return []
    digits = {len(column.least), len(column.greatest)}
    unit = "seconds" if digits == {10} else "milliseconds" if digits == {13} else None
    return [f"looks like {unit} since 1970"] if unit else []
