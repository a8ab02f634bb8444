"""One column of some files: what its values mean, and what was seen of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lakehouse.audit import literal, quote
from lakehouse.drafting.readings import NULL_WORDS, Reading, best, local, readings

if TYPE_CHECKING:
    import duckdb

__all__ = ["EMAIL", "UTC", "Seen", "measured", "text", "typed"]

#: The note of a column that names people.
EMAIL = "e-mail addresses, so it is classified as restricted"

#: The zone of times that do not say theirs, where nobody names another.
UTC = "UTC"

#: The share of values that must be readable for a type to be proposed.
_READABLE = 0.95
_SAMPLE = 10_000
#: Columns that are looked at by one query.
_TOGETHER = 50
#: Words that nobody writes for anything else.
_SURE_NULLS = frozenset(["#N/A", "NULL", "null", "<NA>", "\\N"])
#: Such a word in fewer of a column's values may be one of them.
_RARE = 0.001


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
    names: Mapping[str, str],
    types: Mapping[str, str],
    naive: Collection[str] = (),
    timezone: str | None = None,
) -> list[Seen]:
    """The columns of files that have types of their own, not measured yet.

    Args:
        names: The contract's names → the files'.
        types: The contract's names → DuckDB types.
        naive: Those with times that do not say their zone.
        timezone: Whose clock shows them, and by which partitions are cut; None where nobody named
            it.
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
        found.append(_zone_told(column, timezone))
    return found


def text(
    con: duckdb.DuckDBPyConnection,
    names: Mapping[str, str],
    timezone: str | None = None,
    on_column: Callable[[str], None] = lambda name: None,
) -> tuple[list[str], list[Seen]]:
    """The words that stand for NULL, and the columns with the types that their text has.

    The columns are not measured yet.

    Args:
        con: With the table ``landed``, in which those words become NULL.
        names: The contract's names → the files'.
        timezone: Whose clock shows the times that have no zone, and by which partitions are cut;
            None where nobody named it.
        on_column: Told each column that is done.
    """
    ways = readings(timezone or UTC)
    spaced = _counts(con, names, "count(*) FILTER (WHERE {c} <> trim({c}))")
    bases = {name: f"nullif(trim({name}), '')" if spaced[name] else name for name in names}
    words, notes = _null_words(con, bases, ways)
    found = []
    for name, fit in _fits(con, bases, ways):
        column = _meant(con, Seen(name, names[name], "VARCHAR", None, bases[name], "", 0), fit)
        column = replace(column, notes=(*column.notes, *notes.get(name, ())))
        found.append(_zone_told(column, timezone))
        on_column(name)
    return words, found


def measured(con: duckdb.DuckDBPyConnection, column: Seen) -> Seen:
    """A column with its counts and range.

    Args:
        con: With the table ``typed``, which has its values.
        column: It.
    """
    value = f"(SELECT {quote(column.name)} AS v FROM typed)"
    ((rows, known, distinct, least, greatest),) = con.execute(
        "SELECT count(*), count(v), count(DISTINCT v), min(v)::VARCHAR, max(v)::VARCHAR "
        f"FROM {value}"
    ).fetchall()
    common = con.execute(
        f"SELECT v::VARCHAR, count(*) AS n FROM {value} WHERE v IS NOT NULL "
        "GROUP BY 1 ORDER BY n DESC, 1 LIMIT 12"
    ).fetchall()
    found = replace(
        column,
        rows=rows,
        nulls=rows - known - column.unreadable,
        distinct=distinct,
        least=least,
        greatest=greatest,
        common=tuple(common),
    )
    return replace(found, notes=(*column.notes, *_number_notes(found)))


def _zone_told(column: Seen, timezone: str | None) -> Seen:
    if timezone is not None or column.reading is None or not column.reading.is_local:
        return column
    guess = f"which zone's clock? {UTC!r} is a guess: name it with --timezone"
    return replace(column, notes=(*column.notes, guess))


def _counts(
    con: duckdb.DuckDBPyConnection, names: Collection[str], aggregate: str
) -> dict[str, int]:
    """An aggregate over each column ``{c}``."""
    found: dict[str, int] = {}
    for some in _portions(list(names)):
        each = ", ".join(aggregate.replace("{c}", quote(name)) for name in some)
        (numbers,) = con.execute(f"SELECT {each} FROM landed").fetchall()
        found |= dict(zip(some, numbers, strict=True))
    return found


def _portions(names: Sequence[str]) -> Iterator[Sequence[str]]:
    # One query for many columns: to make sense of its expressions is most of its cost.
    for at in range(0, len(names), _TOGETHER):
        yield names[at : at + _TOGETHER]


def _null_words(
    con: duckdb.DuckDBPyConnection, bases: Mapping[str, str], ways: Sequence[Reading]
) -> tuple[list[str], dict[str, list[str]]]:
    """Words that stand for NULL, from now on NULL in ``landed``, and what to check of columns.

    They have no other use and are not rare, or stand among numbers or dates.
    """
    listed = ", ".join(map(literal, NULL_WORDS))
    holding = _counts(con, bases, f"count(*) FILTER (WHERE {{c}} IN ({listed}))")
    there = {name: _standing(con, name, listed) for name in bases if holding[name]}
    values = _counts(con, there, "count({c})")
    fits = dict(_fits(con, {name: bases[name] for name in there}, ways, there))
    # Of a column of text alone: among very many values the word may be one of them, a name.
    sure = {
        name: {word: n for word, n in words.items() if word in _SURE_NULLS}
        for name, words in there.items()
        if fits[name] is None
    }
    found = {word for name in there if fits[name] is not None for word in there[name]}
    for name, told in sure.items():
        found |= {word for word, n in told.items() if n >= values[name] * _RARE}
    words = [word for word in NULL_WORDS if word in found]
    listed = ", ".join(map(literal, words))
    for name in there if words else ():
        con.execute(f"UPDATE landed SET {quote(name)} = NULL WHERE {quote(name)} IN ({listed})")
    notes = {
        name: [_word_told(word, n, word in found) for word, n in told.items()]
        for name, told in sure.items()
    }
    return words, notes


def _standing(con: duckdb.DuckDBPyConnection, name: str, listed: str) -> dict[str, int]:
    rows = con.execute(
        f"SELECT {quote(name)}, count(*) FROM landed WHERE {quote(name)} IN ({listed}) "
        "GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return dict(rows)


def _word_told(word: str, count: int, is_null: bool) -> str:
    if is_null:
        return f"{word!r} ({count:,}) is taken for no value"
    return f"{word!r} ({count:,}) is kept as text: where it is no value, add it to null_values"


def _fits(
    con: duckdb.DuckDBPyConnection,
    bases: Mapping[str, str],
    ways: Sequence[Reading],
    without: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> Iterator[tuple[str, tuple[Reading, int] | None]]:
    """Each column with the reading that is not just text, and how many values it cannot read."""
    counts = ", ".join(
        f"coalesce(sum(n) FILTER (WHERE ({way.of('v')}) IS NOT NULL), 0)" for way in ways
    )
    for some in _portions(list(bases)):
        con.execute("CREATE OR REPLACE TEMP TABLE sample (name VARCHAR, v VARCHAR, n BIGINT)")
        where = {name: _texts(name, without.get(name, ())) for name in some}
        large = {name for name in some if _sampled(con, name, bases[name], where[name])}
        rows = con.execute(
            "SELECT name, list(v) FILTER (WHERE v IS NOT NULL), sum(n), "
            f"{counts} FROM sample GROUP BY name"
        ).fetchall()
        seen: dict[str, list[Any]] = {name: found for name, *found in rows}
        for name in some:
            values, total, *numbers = seen.get(name, [None, 0, *[0] * len(ways)])
            fits = {way: count for way, count in zip(ways, numbers, strict=True) if count}
            if name in large:
                total, fits = _counted(con, bases[name], where[name], list(fits))
            meant = best(fits, values or [], max(1, _READABLE * total))
            yield name, ((meant, total - fits[meant]) if meant else None)


def _texts(name: str, without: Collection[str]) -> str:
    column = quote(name)
    skip = f" AND {column} NOT IN ({', '.join(map(literal, without))})" if without else ""
    return f"FROM landed WHERE {column} IS NOT NULL{skip}"


def _sampled(con: duckdb.DuckDBPyConnection, name: str, base: str, where: str) -> bool:
    """Put a column's different values into ``sample``; true where there are more."""
    head = f"INSERT INTO sample SELECT {literal(name)}, {base}"
    ((kept,),) = con.execute(f"{head}, count(*) {where} GROUP BY 2 LIMIT {_SAMPLE + 1}").fetchall()
    if kept <= _SAMPLE:
        return False
    # The value that most records have may be none of those.
    con.execute(f"{head}, 1 {where} LIMIT {_SAMPLE}")
    return True


def _counted(
    con: duckdb.DuckDBPyConnection, base: str, where: str, few: Sequence[Reading]
) -> tuple[int, dict[Reading, int]]:
    """How many values there are, and how many of them each reading reads."""
    counts = "".join(f", count({reading.of(base)})" for reading in few)
    ((total, *numbers),) = con.execute(f"SELECT count(*){counts} {where}").fetchall()
    return total, dict(zip(few, numbers, strict=True))


def _meant(con: duckdb.DuckDBPyConnection, column: Seen, fit: tuple[Reading, int] | None) -> Seen:
    """A column of text with the type that its values have."""
    name, base = column.name, column.expression
    notes = ["blanks around it are cut off"] if base != name else []
    if fit is not None and (long := _too_long(con, fit[0], name, base)):
        notes.append(f"kept as text: as a number {long} and the like would lose digits")
        fit = None
    if fit is None:
        reading = Reading("text", "VARCHAR", "{c}") if base != name else None
        notes += _text_notes(con, name)
        return replace(column, reading=reading, day=base, notes=tuple(notes))
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
    return replace(
        column,
        type=reading.type,
        reading=reading,
        expression=expression,
        day=reading.day_of(base),
        unreadable=unreadable,
        examples=wrong,
        notes=tuple(notes),
    )


def _too_long(con: duckdb.DuckDBPyConnection, reading: Reading, name: str, base: str) -> str | None:
    """A value whose digits the reading would not keep, if there is one."""
    if reading.type != "DOUBLE":
        return None
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


def _number_notes(column: Seen) -> list[str]:
    timely = re.search(r"time|date|epoch|_at$|^ts$|created|updated", column.name)
    if column.type != "BIGINT" or not timely or not column.least or not column.greatest:
        return []
    digits = {len(column.least), len(column.greatest)}
    unit = "seconds" if digits == {10} else "milliseconds" if digits == {13} else None
    return [f"looks like {unit} since 1970"] if unit else []
