"""Each rule by what it refuses and the form it names instead, which must pass."""

from __future__ import annotations

import datetime as dt

import pytest
from generated import COLUMNS

from lakehouse.sql import Finding, Input, lint, parse

T = Input(
    {"id": "VARCHAR", **COLUMNS, "month": "DATE", "_row": "BIGINT"},
    key=("id",),
    partition="month",
)
DIM = Input({"code": "VARCHAR", "name": "VARCHAR"}, key=("code",))
LANDED = Input(
    {"id": "VARCHAR", "n": "VARCHAR", "_source_file": "VARCHAR", "_row": "BIGINT"}
    | {"_landed_at": "TIMESTAMPTZ", "month": "DATE"},
    key=("_source_file", "_row"),
    partition="month",
)
WIDE = Input(T.columns, T.key, T.partition, widened=True)
DAY, NONE = dt.timedelta(days=1), dt.timedelta(0)
BACK = Input(T.columns, T.key, T.partition, True, 28 * DAY, NONE)
AHEAD = Input(T.columns, T.key, T.partition, True, NONE, 2 * DAY)
INPUTS = {
    "silver.t": T,
    "silver.dim": DIM,
    "bronze.t": LANDED,
    "silver.wide": WIDE,
    "silver.back": BACK,
    "silver.ahead": AHEAD,
}


def findings(
    text: str, kind: str | dict[str, str] = "", *, partition: str | None = None, layer: str = "gold"
) -> tuple[Finding, ...]:
    """Findings for a SELECT, or for one expression over silver.t that is column ``v``."""
    if not text.lstrip().startswith(("SELECT", "WITH")):
        text = f"SELECT {text} AS v\nFROM silver.t"
    query = parse(text, "q.sql")
    output = kind if isinstance(kind, dict) else {"v": kind or "VARCHAR"}
    return lint(query, inputs=INPUTS, output=output, partition=partition, layer=layer)


def codes(*args: object, **kwargs: object) -> set[str]:
    return {finding.code for finding in findings(*args, **kwargs)}  # type: ignore[arg-type]


# refused, its code, accepted instead, the accepted one's type
EXPRESSIONS = [
    # 1. Time
    ("ts AT TIME ZONE 'UTC'", "not-portable", "from_utc_timestamp(ts, zone)", "TIMESTAMPTZ"),
    ("timezone(zone, ts)", "not-portable", "to_utc_timestamp(ts, zone)", "TIMESTAMPTZ"),
    (
        "from_utc_timestamp(ts, 'EST')",
        "time-zone",
        "from_utc_timestamp(ts, 'America/New_York')",
        "TIMESTAMPTZ",
    ),
    (
        "to_utc_timestamp(ts, '+05:30')",
        "time-zone",
        "to_utc_timestamp(ts, 'Asia/Kolkata')",
        "TIMESTAMPTZ",
    ),
    (
        "to_utc_timestamp(ts, 'america/new_york')",
        "time-zone",
        "to_utc_timestamp(ts, 'UTC')",
        "TIMESTAMPTZ",
    ),
    ("date_diff('month', d, d)", "not-portable", "date_diff('day', d, d)", "BIGINT"),
    ("date_diff('day', ts, ts)", "date-arithmetic", "unix_seconds(ts) // 86400", "BIGINT"),
    ("d + INTERVAL '1' DAY", "date-arithmetic", "CAST(d + INTERVAL '1' DAY AS DATE)", "DATE"),
    ("d - 2 * INTERVAL '1' DAY", "date-arithmetic", "d - 2", "DATE"),
    ("d - d", "date-arithmetic", "date_diff('day', d, d)", "BIGINT"),
    ("ts - ts", "date-arithmetic", "unix_seconds(ts) - unix_seconds(ts)", "BIGINT"),
    ("dayofweek(d)", "not-portable", "isodow(d)", "BIGINT"),
    ("weekday(d)", "not-portable", "isodow(d)", "BIGINT"),
    ("extract(dow FROM d)", "not-portable", "isodow(d)", "BIGINT"),
    ("extract(epoch FROM ts)", "not-portable", "unix_seconds(ts)", "BIGINT"),
    ("epoch_ms(ts)", "not-portable", "unix_micros(ts)", "BIGINT"),
    ("week(d)", "not-portable", "weekofyear(d)", "BIGINT"),
    ("monthname(d)", "not-portable", "month(d)", "BIGINT"),
    ("strftime(d, '%j')", "time-format", "dayofyear(d)", "BIGINT"),
    ("strftime(ts, s)", "time-format", "strftime(ts, '%Y-%m')", "VARCHAR"),
    ("time_bucket(INTERVAL '15 minutes', ts)", "not-portable", "date_trunc('hour', ts)", ""),
    ("age(ts, ts)", "not-portable", "date_diff('day', d, d)", "BIGINT"),
    ("date_sub('day', d, d)", "not-portable", "date_diff('day', d, d)", "BIGINT"),
    ("ts + INTERVAL (i) MINUTE", "interval", "ts + i * INTERVAL '1' MINUTE", "TIMESTAMPTZ"),
    ("ts + x * INTERVAL '1' HOUR", "interval", "ts + i * INTERVAL '1' SECOND", "TIMESTAMPTZ"),
    ("ts + INTERVAL '1 day 2 hours'", "interval", "ts + INTERVAL '26' HOUR", "TIMESTAMPTZ"),
    ("now()", "not-portable", "ts", "TIMESTAMPTZ"),
    ("current_date", "not-portable", "d", "DATE"),
    ("random()", "not-portable", "md5(id)", "VARCHAR"),
    ("uuid()", "not-portable", "md5(id)", "VARCHAR"),
    # 2. Numbers
    ("i / j", "divisor", "i / nullif(j, 0)", "DOUBLE"),
    ("i // (j - 1)", "divisor", "i // nullif(j - 1, 0)", "INTEGER"),
    ("i % j", "divisor", "i % 60", "INTEGER"),
    ("i / 0", "divisor", "i / 7", "DOUBLE"),
    ("x // 2", "float-to-int", "floor(x / 2)", "DOUBLE"),
    ("CAST(x AS INTEGER)", "float-to-int", "CAST(floor(x) AS INTEGER)", "INTEGER"),
    ("i * 0.5", "decimal", "i * 0.5e0", "DOUBLE"),
    ("1 / 3.0", "decimal", "1 / 3.0e0", "DOUBLE"),
    ("coalesce(i, 0.0)", "decimal", "coalesce(x, 0.0e0)", "DOUBLE"),
    ("x > 0.5 AND i * 2.5 > 1", "decimal", "x * 2.5 > 0.5", "BOOLEAN"),
    ("CAST(x AS DECIMAL(10, 2))", "not-portable", "CAST(floor(x * 100) AS BIGINT)", "BIGINT"),
    ("round(x * 2)", "rounding", "round(x)", "DOUBLE"),
    ("round(x, 2)", "not-portable", "floor(x * 100)", "DOUBLE"),
    ("trunc(x)", "not-portable", "floor(x)", "DOUBLE"),
    ("log(i)", "not-portable", "ln(i)", "DOUBLE"),
    ("isnan(x)", "not-portable", "x IS NULL", "BOOLEAN"),
    # 3. Text
    ("regexp_replace(s, 'a', 'b')", "regex", "regexp_replace(s, 'a', 'b', 'g')", "VARCHAR"),
    ("regexp_replace(s, '(a)', '\\1', 'g')", "regex", "regexp_extract(s, '(a)', 1)", "VARCHAR"),
    ("regexp_matches(s, '[[:alpha:]]')", "regex", "regexp_matches(s, '[A-Za-z]')", "BOOLEAN"),
    ("regexp_matches(s, id)", "regex", "contains(s, id)", "BOOLEAN"),
    ("regexp_matches(s, '\\w+')", "regex", "regexp_matches(s, '[A-Za-z0-9_]+')", "BOOLEAN"),
    ("regexp_matches(s, '\\v')", "regex", "regexp_matches(s, '\\d[.]\\t')", "BOOLEAN"),
    ("regexp_matches(s, '[a[b]')", "regex", "regexp_matches(s, '[a\\[b]')", "BOOLEAN"),
    ("regexp_matches(s, 'a{,2}')", "regex", "regexp_matches(s, 'a{0,2}?')", "BOOLEAN"),
    ("regexp_matches(s, '(?i)a')", "regex", "regexp_matches(lower(s), 'a')", "BOOLEAN"),
    ("regexp_matches(s, 'a++')", "regex", "regexp_matches(s, 'a+|b*')", "BOOLEAN"),
    ("regexp_replace(s, 'a*', '', 'g')", "regex", "regexp_replace(s, 'a+', '', 'g')", "VARCHAR"),
    ("reverse(s)", "not-portable", "right(s, 1)", "VARCHAR"),
    ("substr(s, 0, 2)", "position", "substr(s, 1, 2)", "VARCHAR"),
    ("substr(s, i)", "position", "substr(s, greatest(i, 1))", "VARCHAR"),
    ("substr(s, 2, -1)", "position", "substr(s, -2, 1)", "VARCHAR"),
    ("left(s, length(s) - 1)", "position", "left(s, greatest(length(s) - 1, 0))", "VARCHAR"),
    ("right(s, -1)", "position", "right(s, 0)", "VARCHAR"),
    ("split_part(s, '', 1)", "position", "split_part(s, ',', -1)", "VARCHAR"),
    ("split_part(s, ',', i)", "position", "split_part(s, ',', 2)", "VARCHAR"),
    ("lpad(s, 3, id)", "position", "lpad(s, 3, '0')", "VARCHAR"),
    (
        *("strptime(s, '%Y-%m-%d')", "text-cast"),
        *("strptime(nullif(regexp_extract(s, '^[0-9-]+$'), ''), '%Y-%m-%d')", "TIMESTAMPTZ"),
    ),
    ("s SIMILAR TO 'a.*'", "not-portable", "regexp_matches(s, '^a.*$')", "BOOLEAN"),
    ("s LIKE id", "regex", "s LIKE 'n%'", "BOOLEAN"),
    ("format('{}', s)", "not-portable", "concat_ws('-', s, id)", "VARCHAR"),
    ("s[1]", "not-portable", "left(s, 1)", "VARCHAR"),
    ("trim(s, 'x')", "not-portable", "trim(s)", "VARCHAR"),
    ("CAST(x AS VARCHAR)", "text-cast", "CAST(i AS VARCHAR)", "VARCHAR"),
    ("CAST(ts AS VARCHAR)", "text-cast", "strftime(ts, '%Y-%m-%d %H:%M:%S')", "VARCHAR"),
    ("s || x", "text-cast", "s || i", "VARCHAR"),
    ("concat_ws('-', s, ts)", "text-cast", "concat_ws('-', s, d)", "VARCHAR"),
    (
        *("TRY_CAST(s AS INTEGER)", "text-cast"),
        *("TRY_CAST(regexp_extract(s, '^-?[0-9]+$') AS INTEGER)", "INTEGER"),
    ),
    (
        *("TRY_CAST(regexp_extract(s, '[0-9]+') AS DOUBLE)", "text-cast"),
        *("TRY_CAST(nullif(regexp_extract(s, '^[0-9]+$'), '0') AS DOUBLE)", "DOUBLE"),
    ),
    (
        *("s::DATE", "text-cast"),
        *("TRY_CAST(regexp_extract(s, '^[0-9]{4}-[0-9]{2}-[0-9]{2}$') AS DATE)", "DATE"),
    ),
    (
        *("TRY_CAST(regexp_extract(s, '^-?[0-9.]+$') AS INTEGER)", "text-cast"),
        *("TRY_CAST(floor(TRY_CAST(regexp_extract(s, '^-?[0-9.]+$') AS DOUBLE)) AS INTEGER)",),
        "INTEGER",
    ),
    (
        *("TRY_CAST(regexp_extract(s, '^(.*)$', 1) AS DATE)", "text-cast"),
        *("TRY_CAST(regexp_extract(s, '^at ([0-9]{4}-[0-9]{2}-[0-9]{2})$', 1) AS DATE)", "DATE"),
    ),
    (
        *("TRY_CAST(regexp_extract(s, '^[0-9-]{10} [0-9:]{8}$') AS TIMESTAMP)", "text-cast"),
        (
            "TRY_CAST(regexp_extract(s, '^[0-9]{4}-[0-9]{2}-[0-9]{2} "
            "([01][0-9]|2[0-3])(:[0-9]{2}){2}$') AS TIMESTAMP)"
        ),
        "TIMESTAMPTZ",
    ),
    ("hash(s)", "not-portable", "md5(s)", "VARCHAR"),
    ("TRY(CAST(s AS VARCHAR))", "not-portable", "CAST(s AS VARCHAR)", "VARCHAR"),
    # Types beside each other
    ("s > i", "mixed-types", "i > j", "BOOLEAN"),
    ("b = 1", "mixed-types", "b IS TRUE", "BOOLEAN"),
    ("i = '7'", "mixed-types", "d >= '2013-01-01'", "BOOLEAN"),
    ("CASE WHEN b THEN i ELSE s END", "mixed-types", "CASE WHEN b THEN i ELSE x END", "DOUBLE"),
    ("coalesce(s, i)", "mixed-types", "coalesce(s, CAST(i AS VARCHAR))", "VARCHAR"),
    # What DuckDB's binder knows
    ("b + 1", "binder", "CAST(b AS INTEGER) + 1", "INTEGER"),
    ("length(i)", "binder", "length(CAST(i AS VARCHAR))", "BIGINT"),
    ("count(DISTINCT i, j)", "binder", "count(DISTINCT i)", "BIGINT"),
    ("string_agg(s, s ORDER BY s)", "binder", "string_agg(s, ',' ORDER BY s)", "VARCHAR"),
    # Comparisons of comparisons
    ("b = i BETWEEN 1 AND 3", "not-portable", "b = (i BETWEEN 1 AND 3)", "BOOLEAN"),
    ("b = b IN (true)", "not-portable", "b = (b IN (true))", "BOOLEAN"),
    ("s NOT LIKE 'a%' = b", "not-portable", "(s NOT LIKE 'a%') = b", "BOOLEAN"),
    (
        *("i IN (SELECT j FROM silver.t)", "not-portable"),
        *("CASE WHEN i IN (SELECT j FROM silver.t) THEN true ELSE false END", "BOOLEAN"),
    ),
    # 4. Aggregates
    (
        *("string_agg(s, ',' ORDER BY i)", "aggregate-order"),
        *("string_agg(s, ',' ORDER BY i, id)", "VARCHAR"),
    ),
    (
        *("string_agg(upper(s), ',' ORDER BY i)", "aggregate-order"),
        *("string_agg(upper(s), ',' ORDER BY i, s)", "VARCHAR"),
    ),
    ("count_if(b)", "not-portable", "count(*) FILTER (WHERE b)", "BIGINT"),
    ("array_agg(i ORDER BY j)", "not-portable", "string_agg(s, ',' ORDER BY s)", "VARCHAR"),
    ("string_agg(s, ',')", "aggregate-order", "string_agg(s, ',' ORDER BY s)", "VARCHAR"),
    ("arg_max(s, j)", "not-portable", "max(s)", "VARCHAR"),
    ("any_value(s)", "not-portable", "min(s)", "VARCHAR"),
    ("first(s)", "not-portable", "min(s)", "VARCHAR"),
    ("quantile_cont(i, 0.5)", "not-portable", "median(i)", "DOUBLE"),
    ("approx_count_distinct(s)", "not-portable", "count(DISTINCT s)", "BIGINT"),
    ("corr(i, j)", "not-portable", "stddev_samp(i)", "DOUBLE"),
    ("sum(b)", "mixed-types", "sum(CASE WHEN b THEN 1 ELSE 0 END)", "BIGINT"),
    ("median(d)", "mixed-types", "median(i)", "DOUBLE"),
    # 6. Windows
    ("row_number() OVER ()", "window-order", "row_number() OVER (ORDER BY id)", "BIGINT"),
    ("rank() OVER ()", "window-order", "rank() OVER (ORDER BY i)", "BIGINT"),
    (
        *("lag(i) OVER (PARTITION BY s ORDER BY ts)", "window-order"),
        *("lag(i) OVER (PARTITION BY s ORDER BY ts, id)", "INTEGER"),
    ),
    (
        *("sum(i) OVER (ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)", "window-order"),
        *("sum(i) OVER (ORDER BY j RANGE BETWEEN 2 PRECEDING AND CURRENT ROW)", "BIGINT"),
    ),
    (
        (
            "sum(i) OVER (ORDER BY ts RANGE BETWEEN INTERVAL 2 DAY PRECEDING AND"
            " INTERVAL 1 HOUR PRECEDING)"
        ),
        "window-frame",
        (
            "sum(i) OVER (ORDER BY ts RANGE BETWEEN INTERVAL 48 HOUR PRECEDING AND"
            " INTERVAL 1 HOUR PRECEDING)"
        ),
        "BIGINT",
    ),
    ("count(DISTINCT s) OVER ()", "not-portable", "count(s) OVER ()", "BIGINT"),
    (
        *("sum(i) OVER (ORDER BY d GROUPS 1 PRECEDING)", "not-portable"),
        *("sum(i) OVER (ORDER BY d)", "BIGINT"),
    ),
]


@pytest.mark.parametrize(("refused", "code", "accepted", "kind"), EXPRESSIONS)
def test_expression(refused: str, code: str, accepted: str, kind: str) -> None:
    assert code in codes(refused, kind)
    assert findings(accepted, kind or "TIMESTAMPTZ") == ()


def test_duckdb_s_own_words_and_place() -> None:
    (found,) = findings(
        "WITH a AS (SELECT b FROM silver.t) -- éé€\nSELECT\n  upper(b) AS v\nFROM a"
    )
    assert (found.line, found.column, found.code) == (3, 3, "binder")
    assert "upper(BOOLEAN)" in found.message


V = {"v": "VARCHAR"}
# refused, its code, accepted instead (None: nothing replaces it)
SELECTS = [
    ("SELECT * REPLACE (id AS s) FROM silver.t", "not-portable", "SELECT id AS v FROM silver.t"),
    ("SELECT COLUMNS('i|j') AS v FROM silver.t", "not-portable", None),
    ("SELECT id AS v FROM silver.t LIMIT 5", "not-portable", None),
    ("SELECT id AS v FROM silver.t USING SAMPLE 10%", "not-portable", None),
    ("SELECT id AS v FROM silver.t WHERE i = $1", "not-portable", None),
    (
        "SELECT a.id AS v FROM silver.t AS a ASOF JOIN silver.t AS c ON a.i = c.i AND a.ts >= c.ts",
        "not-portable",
        "SELECT a.id AS v FROM silver.t AS a JOIN silver.t AS c ON a.i = c.i AND a.ts >= c.ts",
    ),
    (
        "SELECT a.id AS v FROM silver.t AS a POSITIONAL JOIN silver.t AS c",
        "not-portable",
        "SELECT a.id AS v FROM silver.t AS a CROSS JOIN silver.dim AS c",
    ),
    (
        "SELECT a.id AS v FROM silver.t AS a NATURAL JOIN silver.dim AS c",
        "not-portable",
        "SELECT a.id AS v FROM silver.t AS a JOIN silver.dim AS c ON c.code = a.s",
    ),
    (
        "SELECT a.id AS v FROM silver.t AS a, silver.dim AS c",
        "not-portable",
        "SELECT a.id AS v FROM silver.t AS a SEMI JOIN silver.dim AS c ON c.code = a.s",
    ),
    (
        "WITH RECURSIVE r AS (SELECT '1' AS v UNION ALL SELECT v || '1' FROM r) SELECT v FROM r",
        "not-portable",
        "WITH r AS (SELECT id AS v FROM silver.t UNION ALL SELECT s FROM silver.t) SELECT v FROM r",
    ),
    (
        (
            "WITH r AS (SELECT * FROM silver.dim UNION ALL SELECT s, id FROM silver.t)"
            " SELECT code AS v FROM r"
        ),
        "star",
        (
            "WITH r AS (SELECT code, name FROM silver.dim UNION ALL SELECT s, id FROM silver.t)"
            " SELECT code AS v FROM r"
        ),
    ),
    ("SELECT code AS v FROM silver.dim UNION ALL BY NAME SELECT s AS v FROM silver.t", None, None),
    (
        "WITH a AS (WITH a AS (SELECT s FROM silver.t) SELECT s FROM a) SELECT s AS v FROM a",
        "not-portable",
        "WITH a AS (WITH b AS (SELECT s FROM silver.t) SELECT s FROM b) SELECT s AS v FROM a",
    ),
    ("SELECT s AS v FROM silver.t GROUP BY ROLLUP (s)", "not-portable", None),
    (
        "SELECT DISTINCT ON (s) s AS v FROM silver.t",
        "window-order",
        "SELECT DISTINCT ON (s) s AS v FROM silver.t ORDER BY s, id",
    ),
    (
        "SELECT DISTINCT ON (s) id AS v FROM silver.t ORDER BY s, i",
        "window-order",
        "SELECT DISTINCT ON (s) id AS v FROM silver.t ORDER BY s, i, id",
    ),
    (
        "SELECT DISTINCT s AS v FROM silver.t QUALIFY row_number() OVER (ORDER BY id) < 3",
        "not-portable",
        (
            "SELECT DISTINCT s AS v FROM (SELECT s FROM silver.t"
            " QUALIFY row_number() OVER (ORDER BY id) < 3)"
        ),
    ),
    (
        "SELECT s AS v FROM silver.t QUALIFY i > 1 AND row_number() OVER (ORDER BY id) < 3",
        "not-portable",
        (
            "SELECT s AS v FROM (SELECT s, i FROM silver.t"
            " QUALIFY row_number() OVER (ORDER BY id) < 3) WHERE i > 1"
        ),
    ),
    (
        "SELECT s AS v FROM silver.t WHERE (i IN (SELECT j FROM silver.t)) IS NULL",
        "not-portable",
        "SELECT s AS v FROM silver.t WHERE NOT (i IN (SELECT j FROM silver.t) OR b)",
    ),
    ("SELECT silver.t.id AS v FROM silver.t", "not-portable", "SELECT t.id AS v FROM silver.t"),
    # The outermost SELECT says what the table holds.
    ("SELECT * FROM (SELECT id AS v FROM silver.t)", "star", "SELECT id AS v FROM silver.t"),
    ("SELECT upper(id) FROM silver.t", "unnamed", "SELECT upper(id) AS v FROM silver.t"),
    ("SELECT id AS v, s AS V FROM silver.t", "unnamed", "SELECT s AS V FROM silver.t"),
    ("SELECT id AS w FROM silver.t", "missing-column", None),
    ("SELECT id AS v, s FROM silver.t", "extra-column", None),
    ("SELECT x AS v FROM silver.t", "silent-cast", None),
    # Names that exist
    ("SELECT nope AS v FROM silver.t", "unknown-column", None),
    ("SELECT a.nope AS v FROM silver.t AS a", "unknown-column", None),
    ("SELECT z.id AS v FROM silver.t AS a", "unknown-column", None),
    ("SELECT id AS v FROM silver.nope", "unknown-column", None),
    ("SELECT i AS v FROM silver.t AS a JOIN silver.t AS c ON a.i = c.i", "unknown-column", None),
    ("SELECT CAST(_row AS VARCHAR) AS v FROM silver.t", "unknown-column", None),
]


@pytest.mark.parametrize(("refused", "code", "accepted"), SELECTS)
def test_shape(refused: str, code: str | None, accepted: str | None) -> None:
    found = codes(refused, V)
    assert found if code is None else code in found
    if accepted is not None:
        assert findings(accepted, V) == ()


@pytest.mark.parametrize(
    ("inner", "kind"),
    [
        *(("x", "INTEGER"), ("x", "VARCHAR"), ("s", "INTEGER"), ("s", "DOUBLE"), ("s", "DATE")),
        *(("ts", "DATE"), ("ts", "VARCHAR"), ("i", "BOOLEAN"), ("i", "DATE")),
    ],
)
def test_the_final_cast_must_not_change_values(inner: str, kind: str) -> None:
    assert codes(inner, kind) == {"silent-cast"}


@pytest.mark.parametrize(
    ("inner", "kind"),
    [
        *(("i", "BIGINT"), ("i", "DOUBLE"), ("count(*)", "INTEGER"), ("d", "TIMESTAMPTZ")),
        *(("NULL", "DATE"), ("b", "INTEGER"), ("from_utc_timestamp(ts, zone)", "TIMESTAMPTZ")),
    ],
)
def test_the_final_cast_may_widen(inner: str, kind: str) -> None:
    assert findings(inner, kind) == ()


def test_a_finding_says_where_and_what_to_write() -> None:
    text = "SELECT\n  id AS v,\n  i / j AS w\nFROM silver.t"
    (finding,) = findings(text, {"v": "VARCHAR", "w": "DOUBLE"})
    assert (finding.line, finding.column, finding.code) == (3, 3, "divisor")
    assert finding.remedy == "write nullif(j, 0)"


def test_a_misspelled_name_is_answered_by_the_right_one() -> None:
    (finding,) = findings("SELECT\n  zoen AS v\nFROM silver.t", V)
    assert (finding.line, finding.remedy) == (2, "did you mean 'zone'?")
    (finding,) = findings("SELECT code AS v FROM silver.dmi", V)
    assert finding.remedy == "did you mean 'silver.dim'?"


def test_bookkeeping_is_read_from_bronze_only() -> None:
    text = "SELECT id AS v, _source_file, _row FROM bronze.t"
    output = {"v": "VARCHAR", "_source_file": "VARCHAR", "_row": "BIGINT"}
    assert findings(text, output, layer="silver") == ()
    assert codes(text, output, layer="gold") == {"hidden-column"}


WINDOW = "sum(i) OVER (PARTITION BY {}s ORDER BY j)"


def test_a_window_stays_in_the_partition_or_a_lookback_is_declared() -> None:
    output = {"v": "BIGINT", "month": "DATE"}
    text = f"SELECT {WINDOW} AS v, month FROM silver.t"
    assert codes(text.format(""), output, partition="month") == {"window-partition"}
    assert findings(text.format("month, "), output, partition="month") == ()
    assert (
        findings(text.format("").replace("silver.t", "silver.wide"), output, partition="month")
        == ()
    )
    assert findings(text.format(""), output) == ()


_RANGE = "sum(i) OVER (PARTITION BY s ORDER BY {} RANGE BETWEEN {} AND {})"
_28 = "INTERVAL 28 DAYS PRECEDING"


@pytest.mark.parametrize(
    ("table", "window", "remedy"),
    [
        ("back", _RANGE.format("d", _28, "CURRENT ROW"), None),
        ("back", _RANGE.format("d", "INTERVAL '4' WEEK PRECEDING", "CURRENT ROW"), None),
        ("back", _RANGE.format("d", "INTERVAL 29 DAYS PRECEDING", "CURRENT ROW"), "29 days"),
        ("back", _RANGE.format("ts", "INTERVAL 673 HOURS PRECEDING", "CURRENT ROW"), "673 hours"),
        ("back", _RANGE.format("d", "INTERVAL 1 MONTH PRECEDING", "CURRENT ROW"), "31 days"),
        ("back", _RANGE.format("d", "INTERVAL 1 YEAR PRECEDING", "CURRENT ROW"), "366 days"),
        ("back", _RANGE.format("j", "99 PRECEDING", "1 PRECEDING"), None),
        ("back", _RANGE.format("d", "UNBOUNDED PRECEDING", "CURRENT ROW"), None),
        ("back", _RANGE.format("d", _28, "INTERVAL 1 DAY FOLLOWING"), "lookahead: 1 day}"),
        ("back", _RANGE.format("d", "CURRENT ROW", "UNBOUNDED FOLLOWING"), "lookahead: …"),
        ("back", _RANGE.format("d DESC", "CURRENT ROW", "INTERVAL 9 DAYS FOLLOWING"), None),
        ("back", "lag(i) OVER (PARTITION BY s ORDER BY d, id)", None),
        ("back", "lead(i) OVER (PARTITION BY s ORDER BY d DESC, id)", None),
        ("back", "lead(i) OVER (PARTITION BY s, month ORDER BY d, id)", None),
        ("back", "lead(i) OVER (PARTITION BY s ORDER BY d, id)", "lookahead: …"),
        ("back", "lead(i) OVER w", "lookahead: …"),
        ("ahead", "lead(i) OVER (PARTITION BY s ORDER BY d, id)", None),
        ("ahead", "lag(i) OVER (PARTITION BY s ORDER BY d, id)", "lookback: …"),
        ("ahead", _RANGE.format("d", "CURRENT ROW", "INTERVAL 2 DAYS FOLLOWING"), None),
        ("ahead", _RANGE.format("d", "CURRENT ROW", "INTERVAL 3 DAYS FOLLOWING"), "3 days"),
        ("ahead", _RANGE.format("d", _28, "CURRENT ROW"), "lookback: 28 days}"),
        # In no order a window looks at all there is: how far is not written.
        ("back", "sum(i) OVER (PARTITION BY s)", None),
    ],
)
def test_a_window_looks_no_farther_than_its_inputs_are_read(
    table: str, window: str, remedy: str | None
) -> None:
    named = " WINDOW w AS (PARTITION BY s ORDER BY d, id)" if "OVER w" in window else ""
    text = f"WITH one AS (SELECT * FROM silver.{table}) SELECT {window} AS v, month FROM one{named}"
    found = findings(text, {"v": "BIGINT", "month": "DATE"}, partition="month")
    assert {f.code for f in found} == ({"window-reach"} if remedy else set())
    assert all(remedy and remedy in f.remedy and f"silver.{table}" in f.message for f in found)


def test_a_window_over_a_whole_dimension_needs_no_lookback() -> None:
    text = """
      WITH one AS (SELECT name, code FROM silver.dim
        QUALIFY row_number() OVER (PARTITION BY name ORDER BY code) = 1)
      SELECT o.code AS v, t.month FROM silver.t AS t JOIN one AS o ON o.name = t.s"""
    assert findings(text, {"v": "VARCHAR", "month": "DATE"}, partition="month") == ()


TOTAL = "SELECT row_number() OVER (ORDER BY {}) AS v FROM {}"


@pytest.mark.parametrize(
    ("order", "source", "total"),
    [
        ("id", "silver.t", True),
        ("s", "silver.t", False),
        ("q.k", "(SELECT id AS k, s FROM silver.t) AS q", True),
        ("q.s", "(SELECT id AS k, s FROM silver.t) AS q", False),
        ("_row", "bronze.t", False),
        ("_source_file, _row", "bronze.t", True),
        ("s, d", "(SELECT s, d, count(*) AS n FROM silver.t GROUP BY s, d) AS q", True),
        ("s", "(SELECT s, d, count(*) AS n FROM silver.t GROUP BY s, d) AS q", False),
        ("s, d", "(SELECT DISTINCT s, d FROM silver.t) AS q", True),
        ("s, d", "(SELECT s, d FROM silver.t UNION SELECT s, d FROM silver.t) AS q", True),
        ("s, d", "(SELECT s, d FROM silver.t UNION ALL SELECT s, d FROM silver.t) AS q", False),
        (
            "k, id",
            "(SELECT 1 AS k, id FROM silver.t UNION ALL SELECT 2, id FROM silver.t) AS q",
            True,
        ),
        (
            "k, id",
            "(SELECT 1 AS k, id FROM silver.t UNION ALL SELECT 1, id FROM silver.t) AS q",
            False,
        ),
        ("t.id", "silver.t AS t LEFT JOIN silver.dim AS c ON c.code = t.s", True),
        ("t.id", "silver.t AS t LEFT JOIN silver.dim AS c ON c.name = t.s", False),
        ("t.id, c.code", "silver.t AS t LEFT JOIN silver.dim AS c ON c.name = t.s", True),
        ("t.id", "silver.t AS t SEMI JOIN silver.dim AS c ON c.name = t.s", True),
        ("t.id", "silver.t AS t CROSS JOIN unnest([0, 1]) AS u(h)", False),
        ("t.id, u.h", "silver.t AS t CROSS JOIN unnest([0, 1]) AS u(h)", True),
        ("t.id", "silver.t AS t CROSS JOIN (SELECT unnest([0, 1]) AS h) AS u", False),
        ("t.id, u.h", "silver.t AS t CROSS JOIN (SELECT unnest([0, 1]) AS h) AS u", True),
        (
            "q.s",
            "(SELECT s FROM silver.t QUALIFY row_number() OVER (PARTITION BY s ORDER BY id) = 1) AS q",
            True,
        ),
    ],
)
def test_an_order_is_total_when_it_holds_a_key_of_the_rows(
    order: str, source: str, total: bool
) -> None:
    expected = set() if total else {"window-order"}
    assert codes(TOTAL.format(order, source), {"v": "BIGINT"}) == expected


def test_windows_by_name_are_looked_up() -> None:
    text = "SELECT lag(i) OVER w AS v FROM silver.t WINDOW w AS (PARTITION BY s ORDER BY {})"
    assert findings(text.format("ts, id"), {"v": "INTEGER"}) == ()
    assert codes(text.format("ts"), {"v": "INTEGER"}) == {"window-order"}
