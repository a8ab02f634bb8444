"""Rules into SQL, numbers into verdicts.

Pure. A contract's rules compile to one pass: an array of violated rule ids on
every row that violates one, and aggregates that are computed while that pass is at
hand. What the numbers mean is decided here, in one place for every engine.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lakehouse.contract import FOREIGN_KEY, QUARANTINED_SHARE, Contract, Rule, Waiver
from lakehouse.contract.rules import columns_of

__all__ = [
    "KEPT",
    "OUTSIDE_PARTITION",
    "Measured",
    "Verdict",
    "absent",
    "aggregates",
    "blocking",
    "counts_absent",
    "duplicates",
    "hard",
    "judge",
    "violations",
]

#: Violation of a row that belongs to no partition, or to another one than the target's.
OUTSIDE_PARTITION = "outside_partition"
#: SQL that is TRUE for a row that nothing keeps out; NULL takes less room than an empty list.
KEPT = "coalesce(len(_violations), 0) = 0"


@dataclass(frozen=True)
class Measured:
    """The numbers of one rule over one target.

    Attributes:
        rows: Rows that the rule looked at.
        unexpected: Rows that violate it.
        missing: Rows with NULL in the rule's column.
        value: What a table rule observed.
    """

    rows: int
    unexpected: int = 0
    missing: int = 0
    value: float | int | str | None = None


@dataclass(frozen=True)
class Verdict:
    """What became of one rule at one target.

    Attributes:
        result: Never silently passed: ``not evaluated`` says why in ``detail``.
        blocks: Whether it keeps the target from being published.
    """

    rule: str
    expectation: str
    kwargs: Mapping[str, Any]
    mostly: float
    result: Literal["passed", "failed", "waived", "not evaluated"]
    detail: str
    measured: Measured
    blocks: bool = False


def violations(contract: Contract) -> tuple[tuple[str, str], ...]:
    """(rule id, SQL that is TRUE for a violating row) of each rule that quarantines.

    Of a relationship it is the column :func:`absent`.
    """
    return tuple((rule.id, _row_rule(rule)) for rule in contract.rules if hard(rule))


def hard(rule: Rule) -> bool:
    """Whether a row that violates it is kept out: its id is among the row's ``_violations``."""
    return rule.scope == "row" and _strict(rule)


def absent(rule: Rule) -> str:
    """The column that is TRUE where a row's key is not in the table that it refers to.

    An engine makes it: see :func:`lakehouse.engines.references.looked_up`.
    """
    return f"absent:{rule.id}"


def counts_absent(rule: Rule) -> bool:
    """Whether it is a relationship that only counts: no row lists its violations."""
    return rule.type == FOREIGN_KEY and not hard(rule)


def aggregates(contract: Contract, listed: bool = True) -> dict[str, str]:
    """Aggregate expressions by name, over ``_audited`` (each row with ``_violations``).

    A relationship that only counts wants its column :func:`absent` there, too.

    ``bad:<rule>`` and ``null:<rule>`` are over all rows, ``value:<rule>`` over published ones.

    Args:
        contract: The table's contract.
        listed: Whether ``bad:<rule>`` is wanted of rules whose violations the rows list, too.
    """
    found: dict[str, str] = {}
    for rule in contract.rules:
        if rule.scope == "row":
            if listed or not hard(rule):
                found[f"bad:{rule.id}"] = f"count(*) FILTER (WHERE {_told(rule)})"
            found[f"null:{rule.id}"] = _missing(rule)
        elif rule.type in _TABLE_VALUES:
            kept = f"FILTER (WHERE {KEPT})"
            found[f"value:{rule.id}"] = _TABLE_VALUES[rule.type](rule.kwargs).format(kept)
    return found


def _told(rule: Rule) -> str:
    # What a hard rule says stands in the rows already; few have anything at all.
    listed = f"len(_violations) > 0 AND list_contains(_violations, {literal(rule.id)})"
    return listed if hard(rule) else _row_rule(rule)


def duplicates(contract: Contract, by: str = "") -> dict[str, str]:
    """Rule id → query over ``_audited`` for each rule of uniqueness: (rows that share, looked at).

    It is about published rows. NULL equals NULL, as in Great Expectations: what is left
    out are rows without any of the columns, or as ``ignore_row_if`` says.

    Args:
        contract: The table's contract.
        by: A column, of whose values each gets a row of its own; it comes first.
    """
    found: dict[str, str] = {}
    head, tail = (f"{by}, ", f" GROUP BY {by}") if by else ("", "")
    for rule in contract.rules:
        if rule.type in _UNIQUE:
            keys = head + ", ".join(map(quote, columns_of(rule)))
            found[rule.id] = (
                f"SELECT {head}coalesce(sum(_alike) FILTER (WHERE _alike > 1), 0), "
                "coalesce(sum(_alike), 0) FROM "
                f"(SELECT {keys}, count(*) AS _alike FROM _audited WHERE {KEPT} "
                f"AND NOT ({_ignored(rule)}) GROUP BY {keys}){tail}"
            )
    return found


def judge(
    contract: Contract,
    numbers: Mapping[str, Any],
    *,
    rows: int,
    quarantined: int,
    today: dt.date,
) -> tuple[Verdict, ...]:
    """Turn a target's numbers into verdicts.

    Args:
        contract: The table's contract.
        numbers: What :func:`aggregates` named, the rows of the pass as ``rows``, and of
            :func:`duplicates` ``unique:<rule>`` and ``looked:<rule>``.
        rows: Rows of the SELECT (bronze: records of the batch).
        quarantined: Rows of it that a row rule keeps out.
        today: For waivers, which end.
    """
    waivers = {w.rule: w for w in contract.lake.waivers if w.until >= today}
    verdicts = [_judge(r, numbers, rows, rows - quarantined) for r in contract.rules]
    # A refused file is all rejected and still publishes its marker, unless the contract says more.
    if contract.lake.source is None or "max_quarantined" in contract.lake.model_fields_set:
        verdicts.append(_share(contract, rows, quarantined))
    return tuple(_waive(v, waivers.get(v.rule)) for v in verdicts)


def blocking(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """The verdicts that keep a target from being published."""
    return tuple(v for v in verdicts if v.blocks)


def _judge(rule: Rule, numbers: Mapping[str, Any], rows: int, published: int) -> Verdict:
    make = functools.partial(Verdict, rule.id, rule.type, rule.kwargs, rule.mostly)
    if rule.scope == "unsupported":
        why = f"no engine of ours evaluates {rule.type}"
        return make("not evaluated", why, Measured(rows))
    if f"value:{rule.id}" in numbers:
        return _between(rule, numbers[f"value:{rule.id}"], published, make)
    if rule.scope == "row":
        bad, missing = int(numbers[f"bad:{rule.id}"] or 0), int(numbers[f"null:{rule.id}"] or 0)
        measured = Measured(int(numbers.get("rows", rows)), bad, missing)
        if _strict(rule):
            return make("passed", f"{bad:,} quarantined" if bad else "", measured)
        what = "rows"
    else:
        bad = int(numbers[f"unique:{rule.id}"] or 0)
        measured = Measured(published, bad, published - int(numbers[f"looked:{rule.id}"]))
        if _strict(rule):
            detail = f"{bad:,} rows share a key" if bad else ""
            return make("failed" if bad else "passed", detail, measured, blocks=bool(bad))
        what = "rows with a key of their own"
    looked = measured.rows - measured.missing
    share = (looked - bad) / looked if looked else 1.0
    good = share >= rule.mostly
    detail = f"{share:.4f} of {looked:,} {what}, at least {rule.mostly} expected"
    return make("passed" if good else "failed", detail, measured, blocks=not good)


def _between(rule: Rule, value: Any, published: int, make: Callable[..., Verdict]) -> Verdict:
    if value is None:
        return make("not evaluated", "no value: no rows, or all NULL", Measured(published))
    low, high = (_like(value, rule.kwargs.get(k)) for k in ("min_value", "max_value"))
    over_strictly, under_strictly = rule.kwargs.get("strict_min"), rule.kwargs.get("strict_max")
    good = (low is None or (value > low if over_strictly else value >= low)) and (
        high is None or (value < high if under_strictly else value <= high)
    )
    opening, closing = "(" if over_strictly else "[", ")" if under_strictly else "]"
    detail = f"{value} is {'in' if good else 'outside'} {opening}{low}, {high}{closing}"
    measured = Measured(published, value=value if isinstance(value, int | float) else str(value))
    return make("passed" if good else "failed", detail, measured, blocks=not good)


def _like(value: Any, bound: Any) -> Any:
    """A bound as YAML or JSON wrote it, in the type of the value that it bounds."""
    if bound is None or isinstance(value, int | float):
        return bound
    if isinstance(value, dt.datetime):
        moment = dt.datetime.fromisoformat(str(bound))
        return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    if isinstance(value, dt.date):
        return dt.datetime.fromisoformat(str(bound)).date()
    return str(bound)


def _share(contract: Contract, rows: int, quarantined: int) -> Verdict:
    limit = contract.lake.max_quarantined
    share = quarantined / rows if rows else 0.0
    good = share <= limit
    return Verdict(
        QUARANTINED_SHARE,
        "quarantined share",
        {"max_value": limit},
        1.0,
        "passed" if good else "failed",
        f"{quarantined:,} of {rows:,} rows, at most {limit:.0%}",
        Measured(rows, quarantined, value=share),
        blocks=not good,
    )


def _waive(verdict: Verdict, waiver: Waiver | None) -> Verdict:
    if waiver is None or verdict.result != "failed":
        return verdict
    why = f"waived until {waiver.until} by {waiver.by} because {waiver.because}; {verdict.detail}"
    return Verdict(
        verdict.rule,
        verdict.expectation,
        verdict.kwargs,
        verdict.mostly,
        "waived",
        why,
        verdict.measured,
    )


def _strict(rule: Rule) -> bool:
    return rule.mostly >= 1


def quote(name: str) -> str:
    """An identifier as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """A value as SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, dt.datetime):
        return f"TIMESTAMPTZ '{value.isoformat()}'"
    if isinstance(value, dt.date):
        return f"DATE '{value.isoformat()}'"
    return "'" + str(value).replace("'", "''") + "'"


def _outside(value: str, kwargs: Mapping[str, Any], low: str, high: str) -> str:
    strict_low, strict_high = kwargs.get("strict_min"), kwargs.get("strict_max")
    parts = []
    if kwargs.get(low) is not None:
        parts.append(f"{value} {'<=' if strict_low else '<'} {literal(kwargs[low])}")
    if kwargs.get(high) is not None:
        parts.append(f"{value} {'>=' if strict_high else '>'} {literal(kwargs[high])}")
    return "(" + (" OR ".join(parts) or "FALSE") + ")"


def _among(column: str, values: Sequence[object]) -> str:
    known = [literal(v) for v in values if v is not None]
    return f"{column} IN ({', '.join(known)})" if known else "FALSE"


def _ignored(rule: Rule) -> str:
    """SQL that is TRUE for a row without the values that the rule speaks of."""
    if rule.type.endswith("_be_null"):
        return "FALSE"
    missing = [f"{quote(name)} IS NULL" for name in columns_of(rule)]
    if rule.type == FOREIGN_KEY:
        return " OR ".join(missing)
    match rule.kwargs.get("ignore_row_if"):
        case "neither" | "never":
            return "FALSE"
        case "either_value_is_missing" | "any_value_is_missing":
            return " OR ".join(missing)
    return " AND ".join(missing)


def _missing(rule: Rule) -> str:
    """SQL that counts the rows without the values that the rule speaks of."""
    ignored, columns = _ignored(rule), columns_of(rule)
    if len(columns) == 1 and ignored == f"{quote(columns[0])} IS NULL":
        return f"count(*) - count({quote(columns[0])})"
    return "0" if ignored == "FALSE" else f"count(*) FILTER (WHERE {ignored})"


def _row_rule(rule: Rule) -> str:
    """SQL that is TRUE for a violating row, and NULL or FALSE for one that is ignored."""
    k = rule.kwargs
    if rule.type == FOREIGN_KEY:
        return quote(absent(rule))
    column = quote(k["column"]) if "column" in k else ""
    match rule.type.removeprefix("expect_"):
        case "column_values_to_not_be_null":
            return f"{column} IS NULL"
        case "column_values_to_be_null":
            return f"{column} IS NOT NULL"
        case "column_values_to_be_between":
            return _outside(column, k, "min_value", "max_value")
        case "column_values_to_be_in_set":
            return f"{column} IS NOT NULL AND NOT {_among(column, k['value_set'])}"
        case "column_values_to_not_be_in_set":
            return _among(column, k["value_set"])
        case "column_values_to_match_regex":
            return f"NOT regexp_matches({column}, {literal(k['regex'])})"
        case "column_values_to_not_match_regex":
            return f"regexp_matches({column}, {literal(k['regex'])})"
        case "column_value_lengths_to_be_between":
            return _outside(f"length({column})", k, "min_value", "max_value")
        case "column_pair_values_a_to_be_greater_than_b":
            return _unpaired(rule, ">=" if k.get("or_equal") else ">")
        case "column_pair_values_to_be_equal":
            return _unpaired(rule, "=")
    raise AssertionError(rule.type)


def _unpaired(rule: Rule, operator: str) -> str:
    a, b = map(quote, columns_of(rule))
    return f"NOT coalesce({a} {operator} {b}, FALSE) AND NOT ({_ignored(rule)})"


_UNIQUE = {"expect_column_values_to_be_unique", "expect_compound_columns_to_be_unique"}
_TABLE_VALUES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "expect_table_row_count_to_be_between": lambda k: "count(*) {}",
    "expect_column_mean_to_be_between": lambda k: f"avg({quote(k['column'])}) {{}}",
    "expect_column_min_to_be_between": lambda k: f"min({quote(k['column'])}) {{}}",
    "expect_column_max_to_be_between": lambda k: f"max({quote(k['column'])}) {{}}",
    "expect_column_sum_to_be_between": lambda k: f"sum({quote(k['column'])}) {{}}",
}
