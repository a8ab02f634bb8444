"""What the lint says, and the remedies it names for what is refused."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Finding", "remedy"]


@dataclass(frozen=True, order=True)
class Finding:
    """One place in a table's SQL that must be changed.

    Attributes:
        line: Line in the file, from 1.
        column: Column in the line, from 1.
        code: The rule, in lower case with hyphens.
        message: What stands there and why it is refused.
        remedy: What to write.
    """

    line: int
    column: int
    code: str
    message: str
    remedy: str


_ZONES = "write from_utc_timestamp(ts, zone) or to_utc_timestamp(local, zone)"
_WEEKDAY = "write isodow(d): Monday is 1, Sunday 7"
_SECONDS = "write unix_seconds(ts) or unix_micros(ts), which count from 1970"
_BETWEEN = "write date_diff('day', a, b) of dates, or unix_seconds(b) - unix_seconds(a)"
_CLOCK = "no clock in a table: take a time from the data, or _landed_at in silver"
_RANDOM = "no randomness in a table: md5 of the key gives the same for the same row"
_PICK = "write QUALIFY row_number() OVER (PARTITION BY … ORDER BY …, <key>) = 1"
_QUANTILE = "write median(x), or count rows with FILTER"
_LIST = "write string_agg(s, ',' ORDER BY s), or one row each"
_REGEX = "write regexp_matches(s, '…')"
_PLAIN = "write left, right, substr or split_part"
_CUT = "what a table keeps must not depend on how many rows there are: filter by a column"
_JOIN = "write CROSS JOIN unnest([…]) for reach, then keep one by QUALIFY row_number()"
_FRAME = "write ROWS or RANGE"
_ROWS = "write count(*) FILTER (WHERE …) or sum(CASE … END), one for each column"

# A form, as portable.forms gives it, or the beginning of one → what to write instead.
_REMEDIES = {
    "AtTimeZone": _ZONES,
    "timezone()": _ZONES,
    **dict.fromkeys(("DayOfWeek", "weekday()", "Extract DOW", "Extract ISODOW"), _WEEKDAY),
    **dict.fromkeys(("Extract EPOCH", "TimeToUnix", "UnixToTime", "epoch"), _SECONDS),
    **dict.fromkeys(("date_sub()", "age()", "DateDiff", "DateSub"), _BETWEEN),
    **dict.fromkeys(("Week", "week()", "Extract DOY"), "write weekofyear(d) or dayofyear(d)"),
    **dict.fromkeys(("Monthname", "monthname()"), "write month(d)"),
    **dict.fromkeys(("Dayname", "dayname()"), _WEEKDAY),
    "DateBin": "write date_trunc, or unix_seconds(ts) // 900",
    "Extract SECOND": _SECONDS,
    **dict.fromkeys(("Current", "Localtime", "now()", "today()", "get_current"), _CLOCK),
    "transaction_timestamp()": _CLOCK,
    **dict.fromkeys(("Rand", "Uuid", "gen_random", "TableSample", "setseed()"), _RANDOM),
    "CountIf": "write count(*) FILTER (WHERE …): over no rows it is 0 everywhere",
    **dict.fromkeys(("ArgM", "First", "Last", "AnyValue", "Mode", "Max.expressions"), _PICK),
    **dict.fromkeys(("Quantile", "Percentile", "ApproxQuantile", "WithinGroup"), _QUANTILE),
    **dict.fromkeys(("ArrayAgg", "Lambda", "ArrayFilter", "list_", "Map", "Struct"), _LIST),
    "ApproxDistinct": "write count(DISTINCT x)",
    "Trunc": "write floor(x), or -floor(-x) for what is below zero",
    "Log": "write ln(x)",
    "IsNan": "published doubles hold no NaN: leave it out",
    **dict.fromkeys(("Format", "printf()"), "write concat_ws or ||"),
    **dict.fromkeys(("Bracket", "Slice"), _PLAIN),
    **dict.fromkeys(("SimilarTo", "Glob", "RegexpFullMatch"), _REGEX),
    "Reverse": "characters with accents of their own are turned apart there: cut with left, right",
    "hash()": "write md5(concat_ws('|', …))",
    "Try": "write TRY_CAST",
    "type DECIMAL": "use DOUBLE, or whole numbers of the smallest unit in BIGINT",
    "type": "use one of the contract's types",
    "Star.": "name the columns; only EXCLUDE is the same everywhere",
    **dict.fromkeys(("Columns", "Pivot", "Table.pivots", "Select.pivots"), _ROWS),
    **dict.fromkeys(("Join.method=ASOF", "Lateral"), _JOIN),
    **dict.fromkeys(("Join.method", "Join.kind"), "write JOIN … ON …"),
    **dict.fromkeys(("Union.by_name", "Except.by_name"), "name the columns in the same order"),
    **dict.fromkeys(("Limit", "Offset", "Fetch", "Select.limit", "Select.offset"), _CUT),
    **dict.fromkeys(("Select.sample", "Union.limit", "Table.sample"), _CUT),
    "With.recursive": "write a join or a window; a table of distances can be its own table",
    **dict.fromkeys(("WindowSpec.kind", "WindowSpec.exclude"), _FRAME),
    **dict.fromkeys(("Placeholder", "Parameter"), "a table has no parameters: write the value"),
    **dict.fromkeys(("Rollup", "Cube", "Grouping", "Group."), "one grain a table: GROUP BY it"),
    "Interval": "write n * INTERVAL '1' MINUTE",
}

_DEFAULT = (
    "write it with what stands in lakehouse/sql/portable.py; what is equal on every engine "
    "can be added there with its probe"
)


def remedy(form: str) -> str:
    """What to write instead of a form that is not allowed: the longest entry that begins it."""
    begun = [key for key in _REMEDIES if form.startswith(key)]
    return _REMEDIES[max(begun, key=len)] if begun else _DEFAULT
