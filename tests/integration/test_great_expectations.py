"""Great Expectations runs the same rules on the same rows and must come to the same numbers."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import warnings
from collections.abc import Iterator
from typing import Any, Literal

import duckdb
import pytest

from lakehouse import audit
from lakehouse.audit import Verdict
from lakehouse.contract import FOREIGN_KEY, Contract, Rule, parse
from lakehouse.contract.expectations import EXPECTATIONS
from lakehouse.contract.rules import ROW_RULES, TABLE_RULES
from lakehouse.engines.references import looked_up

#: Expectation, arguments: each violated by _ROWS, in the ways in which two readers could differ.
_RULES: list[tuple[str, dict[str, Any]]] = [
    ("expect_column_values_to_not_be_null", {"column": "amount"}),
    ("expect_column_values_to_not_be_null", {"column": "amount", "mostly": 0.8}),
    ("expect_column_values_to_not_be_null", {"column": "amount", "mostly": 0.95}),
    ("expect_column_values_to_be_null", {"column": "note"}),
    ("expect_column_values_to_be_null", {"column": "note", "mostly": 0.5}),
    ("expect_column_values_to_be_between", {"column": "amount", "min_value": 0, "max_value": 10}),
    (
        "expect_column_values_to_be_between",
        {"column": "amount", "min_value": 0, "max_value": 10, "mostly": 0.7},
    ),
    (
        "expect_column_values_to_be_between",
        {
            "column": "amount",
            "min_value": 0,
            "max_value": 10,
            "strict_min": True,
            "strict_max": True,
        },
    ),
    ("expect_column_values_to_be_between", {"column": "amount", "min_value": 1}),
    ("expect_column_values_to_be_in_set", {"column": "code", "value_set": ["A1", "B2"]}),
    ("expect_column_values_to_be_in_set", {"column": "code", "value_set": ["A1", None]}),
    ("expect_column_values_to_not_be_in_set", {"column": "code", "value_set": ["A1", "zz"]}),
    ("expect_column_values_to_match_regex", {"column": "code", "regex": "^[A-Z][0-9]$"}),
    ("expect_column_values_to_match_regex", {"column": "code", "regex": "[0-9]", "mostly": 0.5}),
    ("expect_column_values_to_not_match_regex", {"column": "code", "regex": "z"}),
    ("expect_column_value_lengths_to_be_between", {"column": "code", "min_value": 2}),
    (
        "expect_column_value_lengths_to_be_between",
        {"column": "code", "min_value": 1, "max_value": 3, "strict_min": True, "strict_max": True},
    ),
    *(
        ("expect_column_pair_values_a_to_be_greater_than_b", {**pair, **equal, **ignored})
        for pair in [{"column_A": "a", "column_B": "b"}]
        for equal in ({}, {"or_equal": True})
        for ignored in (
            {},
            {"ignore_row_if": "both_values_are_missing"},
            {"ignore_row_if": "either_value_is_missing"},
            {"ignore_row_if": "neither"},
            {"ignore_row_if": "either_value_is_missing", "mostly": 0.5},
            {"mostly": 0.5},
        )
    ),
    ("expect_column_pair_values_to_be_equal", {"column_A": "a", "column_B": "b"}),
    (
        "expect_column_pair_values_to_be_equal",
        {"column_A": "a", "column_B": "b", "ignore_row_if": "either_value_is_missing"},
    ),
    (
        "expect_column_pair_values_to_be_equal",
        {"column_A": "a", "column_B": "b", "ignore_row_if": "neither"},
    ),
    ("expect_column_values_to_be_unique", {"column": "code"}),
    ("expect_column_values_to_be_unique", {"column": "code", "mostly": 0.2}),
    ("expect_column_values_to_be_unique", {"column": "id"}),
    ("expect_compound_columns_to_be_unique", {"column_list": ["a", "b"]}),
    (
        "expect_compound_columns_to_be_unique",
        {"column_list": ["a", "b"], "ignore_row_if": "any_value_is_missing"},
    ),
    (
        "expect_compound_columns_to_be_unique",
        {"column_list": ["a", "b"], "ignore_row_if": "never"},
    ),
    ("expect_compound_columns_to_be_unique", {"column_list": ["a", "b"], "mostly": 0.3}),
    ("expect_table_row_count_to_be_between", {"min_value": 1, "max_value": 5}),
    ("expect_table_row_count_to_be_between", {"min_value": 11, "max_value": 11}),
    ("expect_column_mean_to_be_between", {"column": "amount", "min_value": 0, "max_value": 2}),
    ("expect_column_mean_to_be_between", {"column": "amount", "min_value": 0, "max_value": 100}),
    ("expect_column_min_to_be_between", {"column": "amount", "min_value": 0}),
    ("expect_column_min_to_be_between", {"column": "amount", "min_value": -3}),
    ("expect_column_min_to_be_between", {"column": "amount", "min_value": -3, "strict_min": True}),
    ("expect_column_max_to_be_between", {"column": "amount", "max_value": 40, "strict_max": True}),
    ("expect_column_max_to_be_between", {"column": "amount", "max_value": 40}),
    ("expect_column_max_to_be_between", {"column": "day", "max_value": dt.datetime(2013, 1, 5)}),
    ("expect_column_min_to_be_between", {"column": "day", "min_value": dt.datetime(2013, 1, 1)}),
    ("expect_column_sum_to_be_between", {"column": "amount", "min_value": 0, "max_value": 10}),
    ("expect_column_sum_to_be_between", {"column": "amount", "min_value": 0, "max_value": 1000}),
]
_COLUMNS = {
    "id": "BIGINT",
    "amount": "DOUBLE",
    "code": "VARCHAR",
    "note": "VARCHAR",
    "a": "INTEGER",
    "b": "INTEGER",
    "day": "DATE",
}
_ROWS = [
    (1, 0.0, "A1", None, 1, 1, "2013-01-01"),
    (2, 10.0, "A1", "x", 2, 1, "2013-01-02"),
    (3, -3.0, "zz", None, 1, 2, "2013-01-03"),
    (4, 40.0, "B2", "y", None, 1, "2013-01-04"),
    (5, None, None, None, 1, None, None),
    (6, 5.5, None, "z", None, None, "2013-01-06"),
    (7, 0.1, "ä🙂", None, None, None, "2013-01-07"),
    (8, 9.9, "", None, 1, 1, "2013-01-08"),
    (9, None, "A1zzz", None, None, 1, "2013-01-09"),
    (10, 3.0, "é", None, 5, 1, "2013-01-09"),
    (11, 3.0, "Z9", "w", 7, None, "2013-01-09"),
]


def _contract(expectation: str, kwargs: dict[str, Any]) -> Contract:
    document = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "shop.silver.orders",
        "name": "orders",
        "version": "1.0.0",
        "status": "active",
        "schema": [
            {
                "name": "orders",
                "properties": [
                    {"name": name, "logicalType": _logical(kind), "physicalType": kind}
                    for name, kind in _COLUMNS.items()
                ],
            }
        ],
    }
    arguments = {name: value for name, value in kwargs.items() if name != "mostly"}
    scope: Literal["row", "table"] = "row" if expectation in ROW_RULES else "table"
    rule = Rule("rule", expectation, arguments, kwargs.get("mostly", 1.0), scope)
    return dataclasses.replace(parse(json.dumps(document), "orders.yaml"), rules=(rule,))


def _logical(kind: str) -> str:
    known = {"VARCHAR": "string", "DATE": "date", "DOUBLE": "number"}
    return known.get(kind, "integer")


@pytest.fixture(scope="module")
def rows() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
        con.execute(f"CREATE TABLE _rows ({columns})")
        con.executemany(f"INSERT INTO _rows VALUES ({', '.join('?' * len(_COLUMNS))})", _ROWS)
        yield con


def _ours(con: duckdb.DuckDBPyConnection, contract: Contract) -> Verdict:
    """What the audit says, as the kernel asks it; every row counts as published."""
    flags = [f"CASE WHEN {bad} THEN '{rule}' END" for rule, bad in audit.violations(contract)]
    con.execute(
        "CREATE OR REPLACE TEMP TABLE _audited AS SELECT *, list_filter("
        f"CAST([{', '.join(flags)}] AS VARCHAR[]), lambda v: v IS NOT NULL) AS _violations "
        f"FROM {looked_up(contract.rules, '_rows')}"
    )
    numbers: dict[str, Any] = {}
    for name, expression in audit.aggregates(contract).items():
        numbers[name] = con.execute(f"SELECT {expression} FROM _audited").fetchall()[0][0]
    for rule, query in audit.duplicates(contract).items():
        shared, looked = con.execute(query).fetchall()[0]
        numbers[f"unique:{rule}"], numbers[f"looked:{rule}"] = int(shared), int(looked)
    verdicts = audit.judge(
        contract, numbers, rows=len(_ROWS), quarantined=0, today=dt.date(2013, 1, 1)
    )
    return next(v for v in verdicts if v.rule == "rule")


@pytest.fixture(scope="module")
def batch(rows: duckdb.DuckDBPyConnection) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import great_expectations as gx

        frame = rows.execute("SELECT * FROM _rows").fetchdf()
        # As float64: Great Expectations compares pairs by truth, which pandas' NA has not.
        frame = frame.astype({"a": "float64", "b": "float64"})
        context = gx.get_context(mode="ephemeral")
        asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
        whole = asset.add_batch_definition_whole_dataframe("all")
        return whole.get_batch({"dataframe": frame})


def _theirs(batch: Any, expectation: str, kwargs: dict[str, Any]) -> Any:
    from great_expectations.expectations.expectation_configuration import (
        ExpectationConfiguration,
    )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made = ExpectationConfiguration(type=expectation, kwargs=dict(kwargs)).to_domain_obj()
        result = batch.validate(made)
    assert result.result, result.exception_info
    return result


def test_every_rule_that_we_evaluate_is_compared() -> None:
    """But relationships, which it has not: their numbers are compared with an anti join below."""
    assert {name for name, _ in _RULES} == ROW_RULES | TABLE_RULES
    assert FOREIGN_KEY not in EXPECTATIONS


@pytest.mark.parametrize(
    ("expectation", "kwargs"),
    _RULES,
    ids=[f"{name.removeprefix('expect_')}-{i}" for i, (name, _) in enumerate(_RULES)],
)
def test_same_verdict_and_numbers(
    rows: duckdb.DuckDBPyConnection, batch: Any, expectation: str, kwargs: dict[str, Any]
) -> None:
    contract = _contract(expectation, kwargs)
    ours, theirs = _ours(rows, contract), _theirs(batch, expectation, kwargs)
    hard_row_rule = contract.rules[0].scope == "row" and contract.rules[0].mostly >= 1
    # What a hard row rule finds goes to quarantine, and what is published passes it.
    passed = ours.measured.unexpected == 0 if hard_row_rule else ours.result == "passed"
    assert passed == theirs.success, (ours, theirs.result)
    assert (ours.result == "passed") == (not ours.blocks)
    if "unexpected_count" in theirs.result:
        counted = ours.measured
        assert counted.unexpected == theirs.result["unexpected_count"]
        assert counted.rows == theirs.result["element_count"]
        looked = counted.rows - counted.missing
        expected = 100 * counted.unexpected / looked if looked else 0
        assert theirs.result["unexpected_percent"] == pytest.approx(expected)
    else:
        seen = theirs.result["observed_value"]
        if isinstance(seen, dt.datetime):
            assert ours.measured.value == str(seen.date())
        else:
            assert ours.measured.value == pytest.approx(seen)


@pytest.mark.parametrize("mostly", [1.0, 0.4, 0.9])
@pytest.mark.parametrize(
    ("own", "to"), [(["code"], ["code"]), (["a", "b"], ["x", "y"]), (["code", "a"], ["code", "x"])]
)
def test_a_relationship_is_an_anti_join(
    rows: duckdb.DuckDBPyConnection, own: list[str], to: list[str], mostly: float
) -> None:
    rows.execute("CREATE SCHEMA IF NOT EXISTS silver")
    rows.execute(
        "CREATE OR REPLACE TABLE silver.codes AS FROM (VALUES ('A1', 1, 1), ('A1', 1, 1), "
        "('', 5, 1), ('zz', 2, 2), (NULL, NULL, 1), (NULL, 1, NULL)) AS t(code, x, y)"
    )
    there = [f"silver.codes.{name}" for name in to]
    kwargs = (
        {"column": own[0], "to": there[0]} if len(own) == 1 else {"column_list": own, "to": there}
    )
    rule = Rule("rule", FOREIGN_KEY, kwargs, mostly, "row")
    contract = dataclasses.replace(_contract("expect_x", {}), rules=(rule,))
    ours = _ours(rows, contract).measured
    here = " AND ".join(f"o.{a} IS NOT NULL" for a in own)
    same = " AND ".join(f"o.{a} = c.{b}" for a, b in zip(own, to, strict=True))
    looked, absent = (
        rows.execute(f"SELECT count(*) FROM _rows AS o {join} WHERE {here}").fetchall()[0][0]
        for join in ("", f"ANTI JOIN silver.codes AS c ON {same}")
    )
    assert (ours.rows, ours.rows - ours.missing, ours.unexpected) == (len(_ROWS), looked, absent)
    assert 0 < absent < looked < len(_ROWS)


@pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")
def test_the_names_that_a_contract_may_use_are_those_that_are_registered() -> None:
    import great_expectations.expectations  # noqa: F401
    from great_expectations.expectations import registry

    # Our own is registered as soon as another test has published Data Docs in this process.
    theirs = {*registry.list_registered_expectation_implementations()} - {"lakehouse_rule"}
    assert sorted(EXPECTATIONS) == sorted(theirs)
    assert EXPECTATIONS > ROW_RULES | TABLE_RULES
