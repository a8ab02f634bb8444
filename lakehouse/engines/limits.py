"""Values that DuckDB holds and others cannot: times beyond their calendar, too long partitions."""

from __future__ import annotations

from collections.abc import Mapping

from lakehouse.audit import literal, quote
from lakehouse.contract import LANDED_COLUMNS, Contract, Partition
from lakehouse.interval import Grain

__all__ = ["beyond", "held", "unfit", "unheld"]

_CALENDAR: Mapping[str, str] = {
    "DATE": "DATE '0001-01-01' AND DATE '9999-12-31'",
    "TIMESTAMPTZ": "TIMESTAMPTZ '0001-01-01 00:00:00+00' "
    "AND TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'",
}
#: The most characters of a partition's directory, ``column=value``: file systems allow 255.
_LONGEST_NAME = 250


def beyond(contract: Contract) -> dict[str, tuple[str, str]]:
    """Column → (rule, SQL that is TRUE for a time that Delta's and Python's calendars lack)."""
    return {
        name: (f"{name}_range", f"({quote(name)} NOT BETWEEN {_CALENDAR[kind]})")
        for name, kind in contract.types.items()
        if kind in _CALENDAR and name not in LANDED_COLUMNS
    }


def unfit(part: Partition) -> str:
    """SQL that is TRUE for a value of bronze that can be no directory, or no span of time."""
    column = quote(part.column)
    if part.grain is Grain.value:
        longest = _LONGEST_NAME - len(part.column)
        return f"length(url_encode(CAST({column} AS VARCHAR))) > {longest}"
    # The first and the last year have no span beside them to look back to or ahead.
    return f"{column} NOT BETWEEN DATE '0002-01-01' AND DATE '9998-12-31'"


def held(contract: Contract) -> str:
    """The columns of quarantined rows, without the times that nobody could read."""
    times = beyond(contract)
    return ", ".join(
        f"CASE WHEN NOT {times[name][1]} THEN {quote(name)} END AS {quote(name)}"
        if name in times
        else quote(name)
        for name in contract.types
    )


def unheld(contract: Contract) -> str:
    """Those times as text: ``ordered=infinity``; NULL where there are none."""
    shown = [
        f"CASE WHEN {bad} THEN {literal(name + '=')} || CAST({quote(name)} AS VARCHAR) END"
        for name, (_, bad) in beyond(contract).items()
    ]
    return f"nullif(concat_ws(', ', {', '.join(shown)}), '')" if shown else "CAST(NULL AS VARCHAR)"
