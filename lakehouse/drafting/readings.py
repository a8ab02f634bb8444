"""The ways in which a landed text may be meant, as portable SQL (pure).

Each reading gives NULL for what it cannot read, so that how well it fits is the
share of values for which it gives something.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

__all__ = ["BOOLEANS", "NULL_WORDS", "Reading", "best", "local", "readings"]

#: Texts by which files say that there is no value.
NULL_WORDS = (
    *("NA", "N/A", "n/a", "#N/A", "NULL", "null", "None", "nan", "NaN", "<NA>", "\\N"),
    *("-", "--", "?", ".", "missing", "unknown"),
)

BOOLEANS = (("true", "false"), ("yes", "no"), ("t", "f"), ("y", "n"), ("on", "off"))

_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
_DATE = "'^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}$'"
_CLOCK = "([01]?[0-9]|2[0-3]):[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?"
#: Up to this every whole number has a DOUBLE of its own.
_EXACT = 2**53 - 1
_INTEGER = "'^-?[0-9]+$'"
_FLOAT = "'^[-+]?[0-9]*[.]?[0-9]*([eE][-+]?[0-9]+)?$'"
#: Groups of three digits, or none: 12,5 and 1234,567 have no comma for thousands.
_GROUPED = "'^[-+]?([1-9][0-9]{0,2}(,[0-9]{3})+|[0-9]*)([.][0-9]*)?([eE][-+]?[0-9]+)?$'"
_COMMA = "'^[-+]?([1-9][0-9]{0,2}([.][0-9]{3})+|[0-9]*)(,[0-9]*)?([eE][-+]?[0-9]+)?$'"
_UNITLESS = "regexp_replace({c}, '[$€£% ]', '', 'g')"


@dataclass(frozen=True)
class Reading:
    """One way to read a text.

    Attributes:
        name: What the text holds, in words.
        type: The DuckDB type that comes of it.
        sql: The expression over ``{c}``, in the portable subset.
        sign: A pattern that at least one value must match for this reading to be meant.
        note: What a reader of the draft should check.
        clock: Of a time: the expression over ``{c}`` for what the clock of the zone shows.
        is_local: Whether the text says a time, and not in which zone.
    """

    name: str
    type: str
    sql: str
    sign: str = ""
    note: str = ""
    clock: str = ""
    is_local: bool = False

    def of(self, column: str) -> str:
        """The expression over a column."""
        return self.sql.replace("{c}", column)

    def day_of(self, column: str) -> str:
        """The date or local time by which a value belongs to a period."""
        return (self.clock or self.sql).replace("{c}", column)

    def loses(self, column: str) -> str:
        """Whether a value loses digits: from 2^53 on a DOUBLE does not hold every whole number.

        Written with an exponent it was never meant to be exact.
        """
        value = self.of(column)
        return f"abs({value}) > {_EXACT} AND NOT regexp_matches({column}, '[eE]')"

    def means(self, values: list[str]) -> bool:
        """Whether one of the values shows the reading's sign."""
        return not self.sign or any(re.search(self.sign, value) for value in values)


def _boolean(yes: str, no: str) -> Reading:
    sql = f"CASE lower({{c}}) WHEN '{yes}' THEN true WHEN '{no}' THEN false END"
    return Reading(f"{yes} or {no}", "BOOLEAN", sql)


def _number(name: str, kind: str, text: str, sign: str = "", note: str = "") -> Reading:
    return Reading(name, kind, f"TRY_CAST({text} AS {kind})", sign, note)


def local(timezone: str) -> Reading:
    """A typed time that does not say its zone, which the reader lands as if it were UTC."""
    read = f"to_utc_timestamp({{c}}, '{timezone}')"
    return Reading("time without a zone", "TIMESTAMPTZ", read, clock="{c}", is_local=True)


def _extract(pattern: str, of: str = "{c}") -> str:
    return f"regexp_extract({of}, {pattern})"


def _parts(separator: str, order: str, of: str = "{c}") -> str:
    """A date's parts as ``year-month-day``; ``order`` is of y, m, d and n (a month's name)."""
    found = {}
    for i, part in enumerate(order, 1):
        text = f"split_part({of}, '{separator}', {i})"
        if part == "n":
            text = f"CAST((strpos('{_MONTHS}', left({text}, 3)) + 2) // 3 AS VARCHAR)"
        found["m" if part == "n" else part] = text
    return f"{found['y']} || '-' || {found['m']} || '-' || {found['d']}"


def _dates() -> list[Reading]:
    either = "day and month could be the other way round"
    written = [
        ("year/month/day", "/", "ymd", ""),
        ("day.month.year", ".", "dmy", ""),
        ("month/day/year", "/", "mdy", either),
        ("day/month/year", "/", "dmy", either),
        ("day-month-year", "-", "dmy", either),
        ("month day year", " ", "ndy", ""),
        ("day month year", " ", "dny", ""),
        ("day-month-year with the month's name", "-", "dny", ""),
    ]
    plain = Reading("year-month-day", "DATE", f"TRY_CAST(regexp_extract({{c}}, {_DATE}) AS DATE)")
    return [plain] + [
        Reading(
            name,
            "DATE",
            f"TRY_CAST(regexp_extract({_parts(by, order)}, {_DATE}) AS DATE)",
            "",
            note,
        )
        for name, by, order, note in written
    ]


def _times(timezone: str) -> list[Reading]:
    day = "^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
    plain = "replace({c}, 'T', ' ')"
    zoned = f"'{day} {_CLOCK}(Z|[-+](0[0-9]|1[0-4]):?[0-5][0-9])$'"
    instant = f"TRY_CAST(regexp_extract({plain}, {zoned}) AS TIMESTAMPTZ)"
    clock = f"from_utc_timestamp({instant}, '{timezone}')"
    made = [Reading("time with its zone", "TIMESTAMPTZ", instant, clock=clock)]
    before, after = "split_part({c}, ' ', 1)", "split_part({c}, ' ', 2)"
    written = [
        ("time without a zone", plain),
        ("year/month/day time", f"{_parts('/', 'ymd', before)} || ' ' || {after}"),
        ("day.month.year time", f"{_parts('.', 'dmy', before)} || ' ' || {after}"),
        ("month/day/year time", f"{_parts('/', 'mdy', before)} || ' ' || {after}"),
        ("day/month/year time", f"{_parts('/', 'dmy', before)} || ' ' || {after}"),
    ]
    for name, text in written:
        read = f"TRY_CAST(regexp_extract({text}, '{day} {_CLOCK}$') AS TIMESTAMP)"
        instant = f"to_utc_timestamp({read}, '{timezone}')"
        made.append(Reading(name, "TIMESTAMPTZ", instant, clock=read, is_local=True))
    return made


_READINGS = (
    *(_boolean(yes, no) for yes, no in BOOLEANS),
    _number("whole number", "INTEGER", _extract(_INTEGER)),
    _number("whole number", "BIGINT", _extract(_INTEGER)),
    _number("number", "DOUBLE", _extract(_FLOAT)),
    _number(
        "number with , for thousands",
        "DOUBLE",
        _extract(_FLOAT, f"replace({_extract(_GROUPED)}, ',', '')"),
        r"^-?[0-9]{1,3}(,[0-9]{3})+([.][0-9]+)?$",
        "1,234 is read as one thousand",
    ),
    _number(
        "number with a decimal comma",
        "DOUBLE",
        _extract(_FLOAT, f"replace(replace({_extract(_COMMA)}, '.', ''), ',', '.')"),
        r"^-?[0-9.]*,[0-9]+$",
        "1.234,5 is read as one thousand",
    ),
    _number(
        "number with a sign of its unit",
        "DOUBLE",
        _extract(_FLOAT, f"replace({_extract(_GROUPED, _UNITLESS)}, ',', '')"),
        r"^[-+]?[$€£] ?[0-9]|[0-9] ?[$€£%]$",
        "the unit is cut off: name it in the contract",
    ),
    *_dates(),
)


@functools.cache
def readings(timezone: str) -> tuple[Reading, ...]:
    """In the order in which they are preferred where they fit equally well.

    Args:
        timezone: Whose clock is meant where a time has no zone, and by which partitions are cut.
    """
    return (*_READINGS, *_times(timezone))


#: Codes such as 007 are no numbers, though they read as such.
_CODE = re.compile(r"-?0[0-9]+")


def best(fits: dict[Reading, int], values: list[str], least: float) -> Reading | None:
    """The reading that is meant, if any.

    Args:
        fits: For each reading, how many values it can read.
        values: Some values, to look for signs.
        least: The number of values that a reading must be able to read.
    """
    codes = any(_CODE.fullmatch(value) for value in values)
    allowed = [
        (count, reading)
        for reading, count in fits.items()
        if count >= least
        and count > 0
        and reading.means(values)
        and not (codes and reading.type in ("INTEGER", "BIGINT", "DOUBLE"))
    ]
    most = max((count for count, _ in allowed), default=0)
    return next((reading for count, reading in allowed if count == most), None)
