"""The allow-list: SQL that was seen to give the same rows on DuckDB and on Spark.

It is a list of probes, and what stands in a probe is allowed: a function, a keyword, an option of
either. Parity tests run every probe, so nothing is allowed that was not run. To allow more, add
the probe that shows it.

Probes read a table ``t`` of integers ``g, i, j``, a double ``x``, texts ``s, zone``, a date ``d``,
a timestamp ``ts`` and a boolean ``b``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import sqlglot
from sqlglot import exp

__all__ = ["AGGREGATES", "EXPRESSIONS", "SELECTS", "allowed", "forms", "probes"]

#: One value a row.
EXPRESSIONS: tuple[str, ...] = (
    *("i + j", "i - j", "-i", "(i * j)", "i % nullif(j, 0)", "i / nullif(j, 0)"),
    *("i // nullif(j, 0)", "i // 100", "abs(i)", "sign(i)", "greatest(i, j)", "least(i, NULL, j)"),
    *("floor(x)", "ceil(x)", "round(x)", "CAST(floor(i / 7) AS INTEGER)", "CAST(i AS BIGINT)"),
    *(
        "CAST(i AS DOUBLE)",
        "CAST('1e3' AS DOUBLE)",
        "x * 0.5",
        "1.5e0 / 3",
        "x > 0.5",
        "sqrt(abs(x))",
    ),
    *("ln(abs(j) + 1)", "exp(j)", "pow(j, 2)", "j ** 2", "pi()", "i & j", "xor(i, j)"),
    *("i = j", "i <> j", "i < j", "i <= j", "i > j", "i >= j", "i BETWEEN 1 AND 6", "NOT b"),
    *("i IN (7, NULL)", "i NOT IN (7, 8)", "i IS NULL", "i IS NOT NULL", "b IS NOT TRUE"),
    *("i IS NOT DISTINCT FROM j", "b AND i > 1", "b OR i > 1", "coalesce(i, j, 0)", "ifnull(i, 0)"),
    *("CASE WHEN b THEN 1 ELSE 0 END", "CASE i WHEN 7 THEN 'x' END", "if(i > 1, 'a', 'b')"),
    *("upper(s)", "lower(s)", "length(s)", "trim(s)", "s || 'z'", "concat(s, 'z')"),
    *("concat_ws('-', s, 'z')", "substr(s, 2, 2)", "substr(s, -2)", "substring(s, 2)", "md5(s)"),
    *("left(s, 2)", "right(s, 2)", "split_part(s, '-', 1)", "replace(s, 'b', 'c')", "ascii(s)"),
    *("lpad(s, 8, '0')", "contains(s, 'b')", "starts_with(s, 'N')", "strpos(s, 'a')"),
    *("s LIKE 'n%'", "s NOT LIKE 'n%'", "s ILIKE '%A%'", "regexp_matches(s, '[0-9]')"),
    *("regexp_extract(s, '[0-9]')", "regexp_extract(s, '([a-z])', 1)"),
    *("regexp_replace(s, '[a-z]', '_', 'g')", "CAST(i AS VARCHAR)", "CAST(d AS VARCHAR)"),
    *("CAST(b AS VARCHAR)", "CAST(b AS INTEGER)", "CAST(i = 7 AS BOOLEAN)", "nullif(s, '\\N')"),
    *("date_trunc('year', ts)", "date_trunc('quarter', ts)", "date_trunc('month', ts)"),
    *("date_trunc('week', ts)", "date_trunc('day', ts)", "date_trunc('hour', ts)"),
    *("date_trunc('minute', ts)", "CAST(date_trunc('month', d) AS DATE)", "CAST(ts AS DATE)"),
    *("extract(year FROM ts)", "extract(quarter FROM ts)", "extract(month FROM d)"),
    *("extract(week FROM d)", "extract(day FROM d)", "extract(hour FROM ts)"),
    *("extract(minute FROM ts)", "year(d)", "month(d)", "day(d)", "hour(ts)", "minute(ts)"),
    *("isodow(d)", "weekofyear(d)", "quarter(d)", "dayofyear(d)", "last_day(d)", "d + 1", "d - 1"),
    *("CAST(d + INTERVAL '1' MONTH AS DATE)", "CAST(d AS TIMESTAMP) + INTERVAL '5' MINUTE"),
    *("ts + INTERVAL 5 MINUTE", "ts - INTERVAL '1' HOUR", "ts + INTERVAL '2' DAY"),
    *("CAST(d + INTERVAL '1' YEAR AS DATE)", "ts - i * INTERVAL '1' MONTH"),
    *("ts + i * INTERVAL '1' MINUTE", "ts + INTERVAL '30' SECOND", "ts - INTERVAL '1' WEEK"),
    *("date_diff('day', DATE '2013-01-01', d)", "unix_seconds(ts)", "unix_micros(ts)"),
    *("unix_seconds(d)", "unix_micros(d)"),
    *("make_date(2013, 2, i % 10 + 15)", "make_timestamp(2013, 1, 1, 5, 15, 7.25)"),
    *("strptime('2013-01-05 04:03', '%Y-%m-%d %H:%M')", "strptime('5/1/2013', '%d/%m/%Y')"),
    *("strftime(ts, '%Y-%m-%d %H:%M:%S')", "strftime(d, '%Y%m%d')"),
    "TIMESTAMPTZ '2013-01-01 00:00:00+00'",
    "CAST(ts AS TIMESTAMPTZ)",
    "TRY_CAST(regexp_extract(s, '^[0-9]+$') AS BIGINT)",
    "TRY_CAST(regexp_extract(s, '^[0-9]+([.][0-9]+)?$') AS DOUBLE)",
    "TRY_CAST(floor(TRY_CAST(regexp_extract(s, '^[0-9]+([.][0-9]+)?$') AS DOUBLE)) AS INTEGER)",
    "TRY_CAST(regexp_extract(s, '^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}$') AS DATE)",
    (
        "TRY_CAST(regexp_extract("
        "s, '^[0-9]{4}(-[0-9]{2}){2} ([01][0-9]|2[0-3])(:[0-9]{2}){2}$') AS TIMESTAMP)"
    ),
    "CAST(d AS TIMESTAMP) + i // 100 * INTERVAL '1' HOUR + i % 100 * INTERVAL '1' MINUTE",
    "to_utc_timestamp(CAST(d AS TIMESTAMP), zone)",
    "from_utc_timestamp(ts, zone)",
)

#: One value a group.
AGGREGATES: tuple[str, ...] = (
    *(
        "count(*)",
        "count(i)",
        "count(DISTINCT s)",
        "sum(i)",
        "sum(x)",
        "avg(i)",
        "min(d)",
        "max(s)",
    ),
    *("median(i)", "stddev_samp(i)", "stddev(i)", "var_pop(j)", "bool_or(b)", "bool_and(b)"),
    *("string_agg(s, ',' ORDER BY s)", "count(*) FILTER (WHERE b)", "bit_or(j)"),
    "sum(CASE WHEN b THEN 1 ELSE 0 END)",
    "CAST(sum(i) AS DOUBLE) / nullif(count(i), 0)",
)

#: Whole statements: windows, joins and other shapes.
SELECTS: tuple[str, ...] = (
    "SELECT d, row_number() OVER (PARTITION BY g ORDER BY i DESC NULLS LAST, d) AS v FROM t",
    "SELECT d, lag(d) OVER (ORDER BY i NULLS FIRST, d) AS v FROM t",
    "SELECT d, rank() OVER (ORDER BY g) AS v, dense_rank() OVER (ORDER BY g) AS w FROM t",
    "SELECT d, percent_rank() OVER (ORDER BY d) AS v, ntile(2) OVER (ORDER BY d) AS w FROM t",
    "SELECT d, lag(i) OVER (PARTITION BY g ORDER BY d) AS v FROM t",
    "SELECT d, lag(i, 2) OVER (ORDER BY d) AS v, lead(i) OVER (ORDER BY d) AS w FROM t",
    "SELECT d, lag(i IGNORE NULLS) OVER (ORDER BY d) AS v FROM t",
    "SELECT d, first_value(i) OVER (ORDER BY d) AS v, last_value(i) OVER (ORDER BY d) AS w FROM t",
    (
        "SELECT d, last_value(i IGNORE NULLS) OVER"
        " (ORDER BY d ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS v FROM t"
    ),
    (
        "SELECT d, sum(i) OVER (PARTITION BY g ORDER BY ts RANGE BETWEEN"
        " INTERVAL 28 DAYS PRECEDING AND INTERVAL '1' DAY PRECEDING) AS v FROM t"
    ),
    (
        "SELECT d, sum(i) OVER (PARTITION BY g ORDER BY unix_micros(ts)"
        " RANGE BETWEEN 7200000000 PRECEDING AND 1 PRECEDING) AS v FROM t"
    ),
    (
        "SELECT d, max(i) OVER (ORDER BY ts RANGE BETWEEN"
        " INTERVAL '2' HOUR PRECEDING AND INTERVAL '1' HOUR FOLLOWING) AS v FROM t"
    ),
    "SELECT d, sum(i) OVER (ORDER BY j RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) AS v FROM t",
    "SELECT d, max(i) OVER (ORDER BY j RANGE BETWEEN CURRENT ROW AND 1 FOLLOWING) AS v FROM t",
    "SELECT d, avg(j) OVER (ORDER BY d ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING) AS v FROM t",
    (
        "SELECT d, max(j) OVER"
        " (ORDER BY d ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS v FROM t"
    ),
    "SELECT d, count(*) OVER (PARTITION BY g) AS v, median(i) OVER (PARTITION BY g) AS w FROM t",
    "SELECT d, count(i) FILTER (WHERE b) OVER (PARTITION BY g) AS v FROM t",
    "SELECT d, sum(j) OVER w AS v FROM t WINDOW w AS (PARTITION BY g ORDER BY d)",
    "SELECT d, i FROM t QUALIFY row_number() OVER (PARTITION BY g ORDER BY d) = 1",
    "WITH a AS (SELECT * FROM t), c AS (SELECT * EXCLUDE (x) FROM a) SELECT c.d, c.i FROM c",
    "SELECT q.d FROM (SELECT a.* FROM t AS a) AS q",
    "FROM t SELECT d",
    "SELECT DISTINCT g, b FROM t",
    "SELECT DISTINCT ON (g) g, d FROM t ORDER BY g, d",
    "SELECT g, sum(j) AS v FROM t GROUP BY ALL",
    "SELECT g AS q, count(*) AS n FROM t GROUP BY g HAVING count(*) > 1",
    "SELECT a.d, c.i FROM t AS a JOIN t AS c ON a.g = c.j AND a.i > c.i",
    "SELECT a.d, c.i FROM t AS a INNER JOIN t AS c ON a.g = c.j",
    "SELECT a.d, c.i FROM t AS a LEFT JOIN t AS c ON a.g = c.j",
    "SELECT a.d, c.i FROM t AS a LEFT OUTER JOIN t AS c ON a.g = c.j",
    "SELECT a.d, c.i FROM t AS a RIGHT JOIN t AS c ON a.g = c.j",
    "SELECT a.d, c.i FROM t AS a FULL JOIN t AS c ON a.g = c.j",
    "SELECT a.d, c.i FROM t AS a CROSS JOIN t AS c",
    "SELECT a.d FROM t AS a SEMI JOIN t AS c USING (g)",
    "SELECT a.d FROM t AS a ANTI JOIN t AS c ON a.i = c.j",
    "SELECT a.i FROM t AS a JOIN t AS c ON a.i IS NOT DISTINCT FROM c.i",
    "SELECT d, u.v FROM t CROSS JOIN unnest([1, 2]) AS u(v)",
    "SELECT d, u.v FROM t CROSS JOIN (SELECT unnest([1, 2]) AS v) AS u",
    "SELECT g, i FROM t UNION SELECT 1, 7",
    "SELECT g, i FROM t UNION ALL SELECT 1, 7",
    "SELECT g, i FROM t EXCEPT SELECT 1, 7",
    "SELECT g, i FROM t INTERSECT SELECT 1, 7",
    "SELECT d FROM t WHERE i IN (SELECT j FROM t)",
    "SELECT d FROM t WHERE EXISTS (SELECT 1 FROM t AS c WHERE c.j = t.g)",
    "SELECT d, (SELECT max(c.j) FROM t AS c WHERE c.g = t.g) AS m FROM t",
    "SELECT count(*) FILTER (WHERE false) AS n, sum(i) AS v FROM t WHERE false",
)

# Classes whose text is the author's own word, not a keyword.
_WORDS = (exp.Identifier, exp.Literal)
# What the parser fills in by itself, or what is only a name.
_SILENT = frozenset({"alias", "nested", "big_int", "safe", "coalesce", "quoted", "is_string", "db"})


@functools.cache
def allowed() -> frozenset[str]:
    """Every form that stands in a probe."""
    return frozenset(f for q in probes() for n in parsed(q).walk() for f in forms(n))


def probes() -> tuple[str, ...]:
    """All probes as statements."""
    rows = (f"SELECT d, {e} AS v FROM t" for e in EXPRESSIONS)
    groups = (f"SELECT g, {e} AS v FROM t GROUP BY g" for e in AGGREGATES)
    return (*rows, *groups, *SELECTS)


def parsed(text: str) -> exp.Expr:
    """A probe's tree."""
    return sqlglot.parse_one(text, read="duckdb")


def forms(node: exp.Expr) -> Iterator[str]:
    """What must be allowed for one node: itself, and each option it is written with."""
    name = type(node).__name__
    if isinstance(node, exp.Anonymous):
        yield f"{node.name.lower()}()"
        return
    if isinstance(node, exp.DataType):
        yield f"type {node.sql('duckdb')}"
        return
    if isinstance(node, exp.Var):
        unit = node.name.upper()
        yield f"{type(node.parent).__name__} {unit.rstrip('S') if len(unit) > 2 else unit}"
        return
    yield name
    if isinstance(node, _WORDS):
        return
    for option, value in node.args.items():
        if option in _SILENT or value is None or value is False or value == []:
            continue
        word = f"={value.upper()}" if isinstance(value, str) else ""
        yield f"{name}.{option}{word}"
