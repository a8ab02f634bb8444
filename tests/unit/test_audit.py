"""Rules as SQL, and numbers as verdicts."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest
from shop import contract, rule

from lakehouse.audit import Verdict, aggregates, blocking, duplicates, judge, violations
from lakehouse.contract import Contract, parse

COLUMNS = {"n": "INTEGER", "m": "INTEGER", "s": "VARCHAR"}
TODAY = dt.date(2026, 1, 1)


def made(*rules: str, lake: str = "") -> Contract:
    return parse(contract("silver", "t", COLUMNS, lake, "".join(rules)), "t.yaml")


def violating(kind: str, kwargs: str, *values: str) -> list[bool]:
    """Which of some rows (``n, m, s`` as SQL) violate a rule."""
    ((_, bad),) = violations(made(rule("r", kind, kwargs)))
    con = duckdb.connect()
    rows = ", ".join(f"({i}, {v})" for i, v in enumerate(values))
    found = con.execute(
        f"SELECT coalesce({bad}, FALSE) FROM (VALUES {rows}) AS t(i, n, m, s) ORDER BY i"
    )
    return [bool(b) for (b,) in found.fetchall()]


class TestRowRules:
    @pytest.mark.parametrize(
        ("kind", "kwargs", "rows", "bad"),
        [
            (
                "column_values_to_not_be_null",
                "column: n",
                ["1, 1, ''", "NULL, 1, ''"],
                [False, True],
            ),
            ("column_values_to_be_null", "column: n", ["1, 1, ''", "NULL, 1, ''"], [True, False]),
            (
                "column_values_to_be_between",
                "column: n, min_value: 1, max_value: 3",
                ["0, 0, ''", "1, 0, ''", "3, 0, ''", "4, 0, ''", "NULL, 0, ''"],
                [True, False, False, True, False],
            ),
            (
                "column_values_to_be_between",
                "column: n, min_value: 1, strict_min: true",
                ["1, 0, ''", "2, 0, ''"],
                [True, False],
            ),
            (
                "column_values_to_be_in_set",
                'column: s, value_set: [a, "it\'s"]',
                ["0, 0, 'a'", "0, 0, 'it''s'", "0, 0, 'b'", "0, 0, NULL"],
                [False, False, True, False],
            ),
            (
                "column_values_to_not_be_in_set",
                "column: n, value_set: [1]",
                ["1, 0, ''", "2, 0, ''", "NULL, 0, ''"],
                [True, False, False],
            ),
            (
                "column_values_to_match_regex",
                "column: s, regex: '^[A-Z]{2}$'",
                ["0, 0, 'NO'", "0, 0, 'NOR'", "0, 0, NULL"],
                [False, True, False],
            ),
            (
                "column_values_to_not_match_regex",
                "column: s, regex: '[0-9]'",
                ["0, 0, 'a1'", "0, 0, 'a'"],
                [True, False],
            ),
            (
                "column_value_lengths_to_be_between",
                "column: s, max_value: 2",
                ["0, 0, 'abc'", "0, 0, 'åå'"],
                [True, False],
            ),
            (
                "column_pair_values_a_to_be_greater_than_b",
                "column_A: n, column_B: m",
                ["2, 1, ''", "1, 1, ''"],
                [False, True],
            ),
            (
                "column_pair_values_a_to_be_greater_than_b",
                "column_A: n, column_B: m, or_equal: true",
                ["1, 1, ''", "0, 1, ''"],
                [False, True],
            ),
            (
                "column_pair_values_to_be_equal",
                "column_A: n, column_B: m",
                ["1, 1, ''", "1, 2, ''"],
                [False, True],
            ),
        ],
    )
    def test_which_rows_violate(
        self, kind: str, kwargs: str, rows: list[str], bad: list[bool]
    ) -> None:
        assert violating(kind, kwargs, *rows) == bad

    def test_a_rule_with_a_tolerance_counts_and_never_quarantines(self) -> None:
        tolerant = made(rule("r", "column_values_to_not_be_null", "column: n, mostly: 0.9"))
        assert violations(tolerant) == ()
        assert "bad:r" in aggregates(tolerant)


def test_a_key_may_have_any_name() -> None:
    keyed = parse(contract("silver", "t", {"n": "INTEGER, primaryKey: true"}, ""), "t.yaml")
    con = duckdb.connect()
    con.execute("CREATE TABLE _audited AS SELECT n, [] AS _violations FROM range(5) AS t(n)")
    assert con.execute(duplicates(keyed)["primary_key"]).fetchall() == [(0, 5)]
    con.execute("INSERT INTO _audited VALUES (4, [])")
    assert con.execute(duplicates(keyed)["primary_key"]).fetchall() == [(2, 6)]


def verdict(
    found: Contract, numbers: dict[str, object], rows: int = 100, quarantined: int = 0
) -> Verdict:
    given = {"rows": rows, **numbers}
    return judge(found, given, rows=rows, quarantined=quarantined, today=TODAY)[0]


class TestVerdicts:
    def test_a_share_below_what_is_expected_blocks(self) -> None:
        tolerant = made(rule("r", "column_values_to_not_be_null", "column: n, mostly: 0.9"))
        good = verdict(tolerant, {"bad:r": 10, "null:r": 0})
        bad = verdict(tolerant, {"bad:r": 11, "null:r": 0})
        assert (good.result, good.blocks, bad.result, bad.blocks) == (
            "passed",
            False,
            "failed",
            True,
        )

    def test_table_rules(self) -> None:
        counted = made(rule("r", "table_row_count_to_be_between", "min_value: 5, max_value: 9"))
        assert [verdict(counted, {"value:r": n}).result for n in (4, 5, 9, 10)] == [
            "failed",
            "passed",
            "passed",
            "failed",
        ]
        assert verdict(counted, {"value:r": None}).result == "not evaluated"

    def test_what_no_engine_evaluates_is_never_passed(self) -> None:
        odd = made(rule("r", "column_kl_divergence_to_be_less_than", "column: n"))
        found = verdict(odd, {})
        assert (found.result, found.blocks) == ("not evaluated", False)
        assert "kl_divergence" in found.detail

    @pytest.mark.parametrize(
        ("until", "result"), [("2026-01-01", "waived"), ("2025-12-31", "failed")]
    )
    def test_a_waiver_ends(self, until: str, result: str) -> None:
        waiver = f"waivers: [{{rule: r, until: {until}, by: me@example.org, because: known gap}}]"
        waived = made(rule("r", "table_row_count_to_be_between", "min_value: 5"), lake=waiver)
        found = verdict(waived, {"value:r": 1})
        assert (found.result, found.blocks) == (result, result == "failed")
        if result == "waived":
            assert "me@example.org because known gap" in found.detail

    def test_too_many_quarantined_rows_block(self) -> None:
        found = made(lake="max_quarantined: 0.1")
        shares = [judge(found, {}, rows=100, quarantined=n, today=TODAY) for n in (10, 11)]
        assert [bool(blocking(s)) for s in shares] == [False, True]
        assert not blocking(judge(found, {}, rows=0, quarantined=0, today=TODAY))
