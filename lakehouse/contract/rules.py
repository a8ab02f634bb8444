"""A contract's quality entries as expectations: Great Expectations' names, and the standard's."""

from __future__ import annotations

import datetime as dt
import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from lakehouse.contract.expectations import EXPECTATIONS
from lakehouse.contract.model import Rule
from lakehouse.strictyaml import did_you_mean

__all__ = [
    "ROW_RULES",
    "TABLE_RULES",
    "columns_of",
    "implied",
    "primary_key",
    "rule",
    "wrong_arguments",
    "wrong_entry",
    "wrong_values",
]

_BOUNDS = frozenset({"min_value", "max_value"})
_STRICT = frozenset({"strict_min", "strict_max"})
_RANGE = frozenset(
    f"mustBe{name}" for name in ("GreaterThan", "GreaterOrEqualTo", "LessThan", "LessOrEqualTo")
)
_PAIR = frozenset({"column_A", "column_B"})
_COLUMN = frozenset({"column"})

#: Row rule → (arguments it needs, arguments of which it needs one, arguments it may have).
_ROW: Mapping[str, tuple[frozenset[str], frozenset[str], frozenset[str]]] = {
    "column_values_to_not_be_null": (_COLUMN, frozenset(), frozenset()),
    "column_values_to_be_null": (_COLUMN, frozenset(), frozenset()),
    "column_values_to_be_between": (_COLUMN, _BOUNDS, _STRICT),
    "column_values_to_be_in_set": (_COLUMN | {"value_set"}, frozenset(), frozenset()),
    "column_values_to_not_be_in_set": (_COLUMN | {"value_set"}, frozenset(), frozenset()),
    "column_values_to_match_regex": (_COLUMN | {"regex"}, frozenset(), frozenset()),
    "column_values_to_not_match_regex": (_COLUMN | {"regex"}, frozenset(), frozenset()),
    "column_value_lengths_to_be_between": (_COLUMN, _BOUNDS, _STRICT),
    "column_pair_values_a_to_be_greater_than_b": (
        _PAIR,
        frozenset(),
        frozenset({"or_equal", "ignore_row_if"}),
    ),
    "column_pair_values_to_be_equal": (_PAIR, frozenset(), frozenset({"ignore_row_if"})),
}
#: Table rule → the same.
_TABLE: Mapping[str, tuple[frozenset[str], frozenset[str], frozenset[str]]] = {
    "column_values_to_be_unique": (_COLUMN, frozenset(), frozenset()),
    "compound_columns_to_be_unique": (
        frozenset({"column_list"}),
        frozenset(),
        frozenset({"ignore_row_if"}),
    ),
    "table_row_count_to_be_between": (frozenset(), _BOUNDS, frozenset()),
    "column_mean_to_be_between": (_COLUMN, _BOUNDS, _STRICT),
    "column_min_to_be_between": (_COLUMN, _BOUNDS, _STRICT),
    "column_max_to_be_between": (_COLUMN, _BOUNDS, _STRICT),
    "column_sum_to_be_between": (_COLUMN, _BOUNDS, _STRICT),
}

#: Expectations about single rows: a violating row is quarantined.
ROW_RULES = frozenset(f"expect_{name}" for name in _ROW)
#: Expectations about a whole target: it is blocked.
TABLE_RULES = frozenset(f"expect_{name}" for name in _TABLE)


def columns_of(one: Rule) -> list[str]:
    """The columns that a rule names."""
    named = [one.kwargs[key] for key in ("column", "column_A", "column_B") if key in one.kwargs]
    return [*named, *one.kwargs.get("column_list", [])]


def implied(prop: Mapping[str, Any]) -> Iterator[Rule]:
    """The rules that a column's own keys say: ``required``, ``unique``, part of the key."""
    name = prop["name"]
    if prop.get("required") or prop.get("primaryKey"):
        kind = "expect_column_values_to_not_be_null"
        yield Rule(f"{name}_required", kind, {"column": name}, 1.0, "row")
    if prop.get("unique"):
        kind = "expect_column_values_to_be_unique"
        yield Rule(f"{name}_unique", kind, {"column": name}, 1.0, "table")


def primary_key(columns: Sequence[str]) -> Rule:
    """That no two published rows of a target share a key."""
    if len(columns) == 1:
        kind = "expect_column_values_to_be_unique"
        return Rule("primary_key", kind, {"column": columns[0]}, 1.0, "table")
    kind = "expect_compound_columns_to_be_unique"
    return Rule("primary_key", kind, {"column_list": list(columns)}, 1.0, "table")


def wrong_entry(quality: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(found, remedy) where an entry says that it is Great Expectations', and is none of its."""
    engine = quality.get("engine")
    if engine != "greatExpectations":
        if difflib.get_close_matches(str(engine), ["greatExpectations"], cutoff=0.8):
            yield f"engine {engine!r}", "write 'engine: greatExpectations'"
        return
    made = quality.get("implementation")
    if not isinstance(made, dict) or "type" not in made:
        yield "no implementation.type", "write 'implementation: {type: expect_…, kwargs: {…}}'"
        return
    kind, kwargs = made["type"], made.get("kwargs") or {}
    if kind not in EXPECTATIONS:
        close = difflib.get_close_matches(str(kind), sorted(EXPECTATIONS), n=1)
        hint = f"did you mean {close[0]!r}?" if close else "see 'Rules' in the contract's reference"
        yield f"Great Expectations has no {kind!r}", hint
    for key in sorted(set(map(str, made)) - {"type", "kwargs"}):
        yield f"unknown key {key!r} in implementation", did_you_mean(key, {"type", "kwargs"})
    if not isinstance(kwargs, dict):
        yield f"kwargs {kwargs!r}", "write 'kwargs: {column: …}'"
    elif _number(kwargs.get("mostly", 1.0)) is None:
        yield f"mostly {kwargs['mostly']!r}", "write a share above 0 and at most 1"


def wrong_values(one: Rule, types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(found, remedy) where a bound or a value cannot be compared with what it is about.

    Args:
        one: A rule whose arguments and columns are known.
        types: The type of each column.
    """
    if one.scope == "unsupported":
        return
    kind = types[one.kwargs["column"]] if "column" in one.kwargs else "BIGINT"
    told = f"column {one.kwargs.get('column')} is {kind}"
    what = one.type.removeprefix("expect_").removeprefix("column_").partition("_")[0]
    if what in ("mean", "sum") and kind == "VARCHAR":
        yield f"the {what} of text: {told}", "name a column of numbers"
    if (what == "value" or "regex" in one.kwargs) and kind != "VARCHAR":
        yield f"about text, but {told}", "name a column of type VARCHAR"
    if what in ("mean", "sum", "table", "value"):
        kind, told = "DOUBLE", "it bounds a number"
    for key in ("min_value", "max_value"):
        if not _fits(one.kwargs.get(key), kind, one.scope):
            yield f"{key} {_shown(one.kwargs[key])}, but {told}", _WRITE[kind]
    for value in one.kwargs.get("value_set") or ():
        if not _fits(value, kind, one.scope):
            yield f"{_shown(value)} in value_set, but {told}", _WRITE[kind]


_WRITE = {
    **dict.fromkeys(("INTEGER", "BIGINT", "DOUBLE"), "write a number, without quotes: 25, 2.5e+3"),
    "BOOLEAN": "write true or false",
    "VARCHAR": "write a text: put it in quotes",
    "DATE": "write a date: 2013-03-05",
    "TIMESTAMPTZ": "write a time with its zone: 2013-03-05T12:00:00Z",
}


def _shown(value: object) -> str:
    return str(value) if isinstance(value, dt.date) else repr(value)


def _fits(value: object, kind: str, scope: str) -> bool:
    if value is None:
        return True
    if kind == "VARCHAR":
        return isinstance(value, str)
    if kind == "BOOLEAN":
        return isinstance(value, int)
    if kind in ("DATE", "TIMESTAMPTZ"):
        return isinstance(value, dt.date) or (isinstance(value, str) and _moment(value))
    if isinstance(value, str) and scope == "row":
        # YAML reads 2.5e3 as a text, and the engines read it as a number.
        return re.fullmatch(r"[-+]?[0-9]+([.][0-9]+)?([eE][-+]?[0-9]+)?", value) is not None
    return _number(value) is not None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _moment(text: str) -> bool:
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def wrong_arguments(one: Rule) -> Iterator[tuple[str, str]]:
    """(found, remedy) where a supported rule's arguments would make it check nothing."""
    name = one.type.removeprefix("expect_")
    if name not in _ROW and name not in _TABLE:
        return
    needed, some, optional = _ROW.get(name) or _TABLE[name]
    for key in sorted(set(one.kwargs) - needed - some - optional):
        yield f"unknown argument {key!r}", did_you_mean(key, needed | some | optional)
    for key in sorted(needed - set(one.kwargs)):
        yield f"argument {key!r} is missing", f"add '{key}:' to its kwargs"
    if some and all(one.kwargs.get(key) is None for key in some):
        yield "no bound, so it can never fail", f"add {' or '.join(sorted(some))}"
    if not 0 < one.mostly <= 1:
        yield f"mostly {one.mostly:g}", "write a share above 0 and at most 1"
    for key in {"value_set", "column_list"} & set(one.kwargs):
        if not isinstance(one.kwargs[key], list):
            yield f"{key} {one.kwargs[key]!r}", f"write a list: {key}: [a, b]"
    if one.kwargs.get("value_set") == []:
        yield "an empty value_set", "list the values"
    if "regex" in one.kwargs:
        try:
            re.compile(str(one.kwargs["regex"]))
        except re.error as error:
            yield f"regex {one.kwargs['regex']!r}: {error}", "correct the pattern"


def rule(quality: Mapping[str, Any], column: str | None) -> Rule:
    """One quality entry that has an id.

    Args:
        quality: As written.
        column: The column it stands at, None for the table.
    """
    made = _expectation(quality, column)
    if isinstance(made, str):
        return Rule(quality["id"], made, {}, 1.0, "unsupported")
    kind, kwargs = made
    kwargs = {**({"column": column} if column else {}), **kwargs}
    mostly = float(kwargs.pop("mostly", 1.0))
    scope: Literal["row", "table", "unsupported"] = (
        "row" if kind in ROW_RULES else "table" if kind in TABLE_RULES else "unsupported"
    )
    return Rule(quality["id"], kind, kwargs, mostly, scope)


def _expectation(
    quality: Mapping[str, Any], column: str | None
) -> tuple[str, dict[str, Any]] | str:
    """A quality entry as (expectation, kwargs), or the name of what is not supported."""
    if quality.get("engine") == "greatExpectations":
        made = quality.get("implementation")
        if isinstance(made, dict) and "type" in made:
            return made["type"], dict(made.get("kwargs") or {})
        return "greatExpectations without implementation.type"
    metric = quality.get("metric") or quality.get("rule")
    arguments = quality.get("arguments") or {}
    zero = quality.get("mustBe") == 0 or quality.get("mustBeLessOrEqualTo") == 0
    bounds = _bounds(quality)
    several = [key for key in quality if key.startswith("mustBe")]
    if len(several) > 1 and not _RANGE.issuperset(several):
        return f"{metric} with {' and '.join(several)}"
    if arguments.get("validValues") and arguments.get("pattern"):
        return f"{metric} with validValues and pattern at once"
    match metric:
        case "rowCount" if bounds:
            return "expect_table_row_count_to_be_between", bounds
        case "nullValues" if zero and column:
            return "expect_column_values_to_not_be_null", {}
        case "duplicateValues" if zero and column:
            return "expect_column_values_to_be_unique", {}
        case "duplicateValues" if zero and arguments.get("properties"):
            columns = list(arguments["properties"])
            return "expect_compound_columns_to_be_unique", {"column_list": columns}
        case "invalidValues" if zero and arguments.get("validValues"):
            values = list(arguments["validValues"])
            return "expect_column_values_to_be_in_set", {"value_set": values}
        case "invalidValues" if zero and arguments.get("pattern"):
            return "expect_column_values_to_match_regex", {"regex": arguments["pattern"]}
    return f"{quality.get('type', 'library')} {metric or quality.get('engine') or ''}".strip()


def _bounds(quality: Mapping[str, Any]) -> dict[str, Any]:
    if "mustBe" in quality:
        return {"min_value": quality["mustBe"], "max_value": quality["mustBe"]}
    if "mustBeBetween" in quality:
        low, high = quality["mustBeBetween"]
        return {"min_value": low, "max_value": high}
    found: dict[str, Any] = {}
    if "mustBeGreaterOrEqualTo" in quality:
        found["min_value"] = quality["mustBeGreaterOrEqualTo"]
    if "mustBeGreaterThan" in quality:
        found["min_value"] = quality["mustBeGreaterThan"] + 1
    if "mustBeLessOrEqualTo" in quality:
        found["max_value"] = quality["mustBeLessOrEqualTo"]
    if "mustBeLessThan" in quality:
        found["max_value"] = quality["mustBeLessThan"] - 1
    return found
