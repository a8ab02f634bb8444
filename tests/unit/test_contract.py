"""Contracts: read strictly, every complaint with its line; what decides the id and what does not."""

from __future__ import annotations

import datetime as dt

import pytest
from shop import FILES, contract, rule

from lakehouse.contract import LANDED_COLUMNS, Contract, digest, parse
from lakehouse.errors import ContractError

SILVER, BRONZE = FILES["silver/orders.yaml"], FILES["bronze/orders.yaml"]


def edited(old: str, new: str, text: str = SILVER) -> Contract:
    assert old in text
    return parse(text.replace(old, new), "t.yaml")


def refused(old: str, new: str, text: str = SILVER) -> ContractError:
    with pytest.raises(ContractError) as raised:
        edited(old, new, text)
    assert raised.value.remedy
    return raised.value


class TestRead:
    def test_columns_key_rules_and_our_part(self) -> None:
        found = parse(SILVER, "t.yaml")
        assert (found.name, found.key, found.types["order_month"]) == (
            "orders",
            ("order_id",),
            "DATE",
        )
        assert {r.id: r.scope for r in found.rules} == {
            "order_id_required": "row",
            "customer_required": "row",
            "primary_key": "table",
            "amount_plausible": "row",
            "any_orders": "table",
        }
        assert found.lake.partition is not None
        assert found.lake.rows is not None
        assert (found.lake.partition.event, found.lake.rows.from_) == ("ordered", "bronze.orders")

    def test_bronze_has_the_partition_and_what_the_reader_adds(self) -> None:
        found = parse(BRONZE, "t.yaml")
        assert list(found.types)[-5:] == ["order_month", *LANDED_COLUMNS]
        assert found.types["order_month"] == "DATE"

    def test_windows_are_durations(self) -> None:
        found = parse(FILES["gold/daily.yaml"], "t.yaml")
        assert found.lake.reads["silver.orders"].lookback == dt.timedelta(days=6)

    def test_metrics_of_the_standard_are_rules_too(self) -> None:
        more = (
            "  - {id: some, metric: rowCount, mustBeGreaterThan: 0}\n"
            "  - {id: pairs, metric: duplicateValues, mustBe: 0, arguments: {properties: [customer, ordered]}}\n"
        )
        found = parse(
            contract("silver", "t", {"customer": "VARCHAR", "ordered": "DATE"}, "", more), "t"
        )
        assert {r.id: dict(r.kwargs) for r in found.rules} == {
            "some": {"min_value": 1},
            "pairs": {"column_list": ["customer", "ordered"]},
        }

    def test_a_rule_that_nobody_evaluates_is_kept_as_such(self) -> None:
        more = rule("odd", "column_kl_divergence_to_be_less_than", "column: a")
        (found,) = parse(contract("silver", "t", {"a": "VARCHAR"}, "", more), "t").rules
        assert found.scope == "unsupported"


class TestRefused:
    @pytest.mark.parametrize(
        ("old", "new", "line", "hint"),
        [
            (
                "logicalType: string, physicalType: VARCHAR, primaryKey",
                "logicalTyp: string, physicalType: VARCHAR, primaryKey",
                11,
                "logicalType",
            ),
            ("rows: {from", "row: {from", None, "rows"),
            ("grain: month", "grane: month", None, "grain"),
            ("column: amount,", "column: amout,", None, "amount"),
            ("physicalType: INTEGER", "physicalType: INT", 13, "INTEGER"),
            ("apiVersion: v3.1.0", "apiVersion: v2.0.0", 1, "v3.1.0"),
            ("{name: customer,", "{name: ORDER_ID,", 12, "once"),
            ("grain: month", "grain: fortnight", None, "correct"),
            ("event: ordered", "event: odered", None, "did you mean"),
            ("grain: month", "grain: month, timezone: Europe/Olso", None, "mean 'Europe/Oslo'"),
            ("grain: month", "grain: month, timezone: Europe", None, "did you mean"),
            ("grain: month", "grain: month, timezone: '/x'", None, "'Europe/Oslo' or 'UTC'"),
            ("{id: any_orders,", "{id: amount_plausible,", None, "own id"),
            ("{id: any_orders, ", "{", None, "id"),
            ("rows: {from", "lookback: 3\n    rows: {from", None, "known"),
            ("version: 1.0.0", "version: [1", None, "mend line"),
        ],
    )
    def test_with_the_line_and_the_remedy(
        self, old: str, new: str, line: int | None, hint: str
    ) -> None:
        error = refused(old, new)
        assert hint in error.remedy
        assert error.file is not None
        path, _, at = error.file.rpartition(":")
        assert path == "t.yaml"
        assert line in (None, int(at))

    @pytest.mark.parametrize(
        ("kind", "kwargs", "found", "hint"),
        [
            (
                "column_value_to_be_between",
                "column: n, min_value: 1",
                "no 'expect_column_value_to_be_between'",
                "did you mean 'expect_column_values_to_be_between'?",
            ),
            ("nothing_like_it_at_all_zz", "column: n", "Great Expectations has no", "Rules"),
            ("column_values_to_be_between", "column: n, min_value: zero", "n is INTEGER", "number"),
            ("column_max_to_be_between", "column: n, max_value: 2e3", "'2e3', but", "e+3"),
            ("column_values_to_be_between", "column: n, max_value: true", "True, but", "number"),
            ("column_values_to_be_between", "column: n, max_value: .inf", "inf, but", "number"),
            ("column_values_to_be_between", "column: s, min_value: 1", "s is VARCHAR", "quotes"),
            ("column_values_to_be_between", "column: s, min_value: 2024-01-01", "2024-01-01", "in"),
            ("column_max_to_be_between", "column: d, max_value: 5", "d is DATE", "2013-03-05"),
            ("column_min_to_be_between", "column: ts, max_value: soon", "'soon'", "zone"),
            ("column_mean_to_be_between", "column: n, max_value: low", "a number", "number"),
            ("column_mean_to_be_between", "column: s, max_value: 1", "mean of text", "numbers"),
            ("table_row_count_to_be_between", "min_value: many", "'many'", "number"),
            ("column_value_lengths_to_be_between", "column: s, max_value: a", "'a'", "number"),
            ("column_value_lengths_to_be_between", "column: n, max_value: 1", "text", "VARCHAR"),
            ("column_values_to_match_regex", "column: n, regex: '1'", "text", "VARCHAR"),
            ("column_values_to_be_in_set", "column: s, value_set: [NO]", "False in", "quotes"),
            ("column_values_to_be_in_set", "column: n, value_set: [1, a]", "'a' in", "number"),
            ("column_values_to_be_in_set", "column: s, value_set: abc", "'abc'", "a list"),
            ("compound_columns_to_be_unique", "column_list: n", "'n'", "a list"),
            ("column_values_to_be_null", "column: n, mostly: most", "'most'", "share"),
        ],
    )
    def test_a_rule_that_could_not_be_evaluated(
        self, kind: str, kwargs: str, found: str, hint: str
    ) -> None:
        columns = {"n": "INTEGER", "s": "VARCHAR", "d": "DATE", "ts": "TIMESTAMPTZ"}
        with pytest.raises(ContractError) as raised:
            parse(contract("silver", "t", columns, "", rule("mine", kind, kwargs)), "t.yaml")
        assert "rule mine" in raised.value.found
        assert found in raised.value.found
        assert hint in raised.value.remedy
        assert raised.value.file == "t.yaml:16"

    @pytest.mark.parametrize(
        ("kind", "kwargs"),
        [
            ("column_values_to_be_between", "column: n, min_value: -1, max_value: 2.5"),
            ("column_values_to_be_between", "column: n, min_value: 2e3"),
            ("column_values_to_be_between", "column: s, min_value: '2024-01-01'"),
            ("column_values_to_be_between", "column: d, min_value: 2024-01-01, max_value: null"),
            ("column_max_to_be_between", "column: ts, max_value: '2024-01-01T00:00:00Z'"),
            ("column_max_to_be_between", "column: ts, max_value: 2024-01-01"),
            ("column_values_to_be_in_set", "column: s, value_set: ['NO', null]"),
            ("column_value_lengths_to_be_between", "column: s, max_value: 2"),
        ],
    )
    def test_but_not_one_that_can_be(self, kind: str, kwargs: str) -> None:
        columns = {"n": "INTEGER", "s": "VARCHAR", "d": "DATE", "ts": "TIMESTAMPTZ"}
        (made,) = parse(
            contract("silver", "t", columns, "", rule("mine", kind, kwargs)), "t.yaml"
        ).rules
        assert made.scope != "unsupported"

    @pytest.mark.parametrize(
        ("old", "new", "hint"),
        [
            ("{type: expect_table", "{tpye: expect_table", "implementation: {type"),
            ("engine: greatExpectations", "engine: great_expectations", "greatExpectations"),
            (", kwargs: {max_value", ", kwarg: {max_value", "did you mean 'kwargs'?"),
        ],
    )
    def test_an_entry_that_would_never_be_evaluated(self, old: str, new: str, hint: str) -> None:
        error = refused(old, new)
        assert hint in error.remedy

    def test_waivers_need_a_rule_a_date_a_name_and_a_reason(self) -> None:
        waiver = "waivers: [{rule: %s, until: 2026-12-31, by: me@example.org, because: known}]\n    rows:"
        assert edited("rows:", waiver % "any_orders").lake.waivers[0].until == dt.date(2026, 12, 31)
        assert edited("rows:", waiver % "quarantined_share").lake.waivers
        assert "any_orders" in refused("rows:", waiver % "any_order").remedy
        assert refused(
            "rows:", "waivers: [{rule: any_orders, until: 2026-12-31, by: me}]\n    rows:"
        )

    def test_bronze(self) -> None:
        assert (
            "another name"
            in refused(
                "column: order_month",
                "column: ordered",
                BRONZE.replace(
                    "{name: ordered, logicalType: string, physicalType: VARCHAR}",
                    "{name: ordered, logicalType: date, physicalType: DATE}",
                ),
            ).remedy
        )
        assert "added by the reader" in refused("{name: customer,", "{name: _row,", BRONZE).found

    def test_the_case_of_a_partition_column_does_not_matter(self) -> None:
        assert (
            list(edited("column: order_month", "column: Order_Month", BRONZE).types)[4]
            == "Order_Month"
        )
        wrong = BRONZE.replace("{name: ordered,", "{name: order_month,").replace(
            "ordered, '", "order_month, '"
        )
        assert "did you mean" in refused("column: order_month", "column: Order_Month", wrong).remedy


class TestId:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("max_value: 1000}", "max_value: 1001}"),
            ("physicalType: INTEGER", "physicalType: BIGINT"),
            ("{name: customer,", "{name: buyer,"),
            (", required: true", ""),
            ("grain: month", "grain: year"),
            ("rows: {from: bronze.orders}", "rows: {from: bronze.sales}"),
        ],
    )
    def test_what_could_change_rows_changes_it(self, old: str, new: str) -> None:
        assert edited(old, new).id != parse(SILVER, "t.yaml").id

    @pytest.mark.parametrize(
        ("old", "new", "gates"),
        [
            ("orders of the shop", "other words", True),
            ("version: 1.0.0", "version: 1.2.0", True),
            (
                "any_orders, type: custom, engine: greatExpectations, implementation: {type: expect_table_row_count_to_be_between, kwargs: {max_value: 1000",
                "any_orders, type: custom, engine: greatExpectations, implementation: {type: expect_table_row_count_to_be_between, kwargs: {max_value: 9",
                False,
            ),
            ("rows:", "max_quarantined: 0.1\n    rows:", False),
            ("rows:", "engine: local\n    rows:", True),
            ("rows:", "accepts: [0123456789-0123456789]\n    rows:", True),
        ],
    )
    def test_what_only_describes_or_gates_does_not(self, old: str, new: str, gates: bool) -> None:
        before, after = parse(SILVER, "t.yaml"), edited(old, new)
        assert after.id == before.id
        assert (after.gates == before.gates) is gates

    def test_a_digest_is_ten_digits_of_its_parts(self) -> None:
        assert len(digest("a", 1)) == 10
        assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1}) != digest({"a": 2})
