"""What Spark is given: the library's own SQL in its words."""

from __future__ import annotations

import pytest

from lakehouse.sql import Input, expression, parse, select
from lakehouse.sql.letters import lower, swaps
from lakehouse.sql.regex import java, matches_nothing, problem

COLUMNS = {"i": "INTEGER", "x": "DOUBLE", "s": "VARCHAR", "Mixed": "INTEGER"}


@pytest.mark.parametrize(
    ("duck", "spark"),
    [
        ("len(_violations) = 0", "SIZE(`_violations`) = 0"),
        ("count(*) FILTER (WHERE i > 1)", "COUNT(*) FILTER(WHERE `i` > 1)"),
        ("s IS DISTINCT FROM 'a'", "`s` IS DISTINCT FROM 'a'"),
        ("floor(i)", "FLOOR(`i`)"),
        ("median(i)", "PERCENTILE(`i`, 0.5)"),
        ("regexp_matches(s, '^a.$')", r"`s` RLIKE '^a[^\\n]\\z'"),
        ("length(s) > 2", "LENGTH(`s`) > 2"),
        ("concat(s, i)", "CONCAT(COALESCE(`s`, ''), COALESCE(CAST(`i` AS STRING), ''))"),
        ('"Mixed" + 1', "`mixed` + 1"),
        ("CAST([] AS VARCHAR[])", "CAST(ARRAY() AS ARRAY<STRING>)"),
        (
            "list_filter([CASE WHEN i > 1 THEN 'a' END], lambda rule: rule IS NOT NULL)",
            "FILTER(ARRAY(CASE WHEN `i` > 1 THEN 'a' END), `rule` -> NOT `rule` IS NULL)",
        ),
    ],
)
def test_an_expression(duck: str, spark: str) -> None:
    assert expression(duck, COLUMNS) == spark
    assert expression(duck, COLUMNS, "duckdb") == duck


def test_a_double_is_not_cut_to_a_whole_number() -> None:
    assert expression("floor(x)", COLUMNS).startswith("CASE WHEN ABS(`x`) < 9007199254740992 ")


def test_what_stands_inside_is_rewritten_too() -> None:
    text = expression("isodow(TRY_CAST(regexp_extract(s, '^a$') AS DATE))", COLUMNS)
    assert r"\\z" in text
    assert text.startswith("(WEEKDAY(")


def test_a_query_of_the_audit_reads_the_same_table() -> None:
    text = expression("SELECT count(*) FROM _audited WHERE len(_violations) = 0", COLUMNS)
    assert "FROM `_audited`" in text
    assert "SIZE(`_audited`.`_violations`) = 0" in text


def test_a_column_that_is_not_known_may_be_read() -> None:
    assert expression("unknown > 1", COLUMNS) == "`unknown` > 1"


def test_nan_becomes_null_on_both_engines() -> None:
    query = parse("SELECT x FROM silver.t", "t.sql")
    inputs = {"silver.t": Input({"x": "DOUBLE"})}
    assert "NULLIF" in select(query, {"x": "DOUBLE"}, "spark", inputs)


@pytest.mark.parametrize("pattern", ["^[0-9]{4}-[0-9]{1,2}$", "[]a]", "[a-]", r"\.\d\t", "(a|b)+?"])
def test_a_pattern_of_every_engine(pattern: str) -> None:
    assert problem(pattern) is None


@pytest.mark.parametrize(
    "pattern",
    ["(?i)a", r"\w", r"[\w]", "[[:alpha:]]", "a{,2}", "a{", "a*+", "a{2}+", "(", "[a&&b]"],
)
def test_a_pattern_that_reads_differently(pattern: str) -> None:
    assert problem(pattern)


def test_java_gets_its_own_words() -> None:
    assert java(r"^.$|[.$]\.\$") == r"^[^\n]\z|[.$]\.\$"
    assert matches_nothing("a*") and not matches_nothing("a+")


def test_letters_change_one_by_one() -> None:
    assert lower("ΣΊΣΥΦΟΣ İ") == "σίσυφοσ i"
    from_, meanwhile, to = swaps(upper=True)
    changed = dict(zip(from_, to, strict=True))
    assert (changed["ß"], changed["ﬁ"], changed["ᾀ"]) == ("ẞ", "ﬁ", "ᾈ")
    assert len(from_) == len(set(from_)) == len(set(meanwhile))
