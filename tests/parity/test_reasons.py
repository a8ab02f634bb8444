"""Why the lint refuses what it refuses: the two engines really differ, or one of them refuses it.

The forms are run as they are, past the lint.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest
from both_engines import Both, same
from generated import COLUMNS, frame, write

import lakehouse.sql
from lakehouse.sql import Finding, Input, lint, parse, select
from lakehouse.sql.resolve import resolve
from lakehouse.sql.spark import rewrite

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

KNOWN = {"ds": "INTEGER", **COLUMNS}
INPUTS = {"silver.t": Input(KNOWN, key=("ds", "d"))}

#: (code, form): some row has another value, or a value of another type.
DIFFERENT = (
    ("not-portable", "dayofweek(d)"),
    ("not-portable", "weekday(d)"),
    ("not-portable", "monthname(d)"),
    ("not-portable", "date_diff('month', DATE '2013-01-31', d)"),
    ("not-portable", "log(abs(i) + 1)"),
    ("not-portable", "isnan(x)"),
    ("not-portable", "format('{}', s)"),
    ("not-portable", "reverse(s)"),
    ("not-portable", "hash(s)"),
    ("not-portable", "uuid()"),
    ("not-portable", "random()"),
    ("not-portable", "now()"),
    ("decimal", "(i % 7) / 3.0"),
    ("rounding", "CAST(round(pow(abs(i % 300) * 0.37e0, 1.7e0) * 1e13) AS BIGINT)"),
    ("float-to-int", "CAST(i / 4 AS INTEGER)"),
    ("date-arithmetic", "d - DATE '2013-01-01'"),
    ("date-arithmetic", "d + INTERVAL '1' DAY"),
    ("date-arithmetic", "date_diff('day', ts, ts + INTERVAL '1' HOUR)"),
    ("text-cast", "CAST(x AS VARCHAR)"),
    ("text-cast", "CAST(ts AS VARCHAR)"),
    ("text-cast", "s || x"),
    ("text-cast", "TRY_CAST(s AS INTEGER)"),
    ("text-cast", "TRY_CAST(regexp_extract(s, '^[0-9.]+$') AS INTEGER)"),
    ("text-cast", "TRY_CAST(regexp_extract(s, '^[0-9_]+$') AS DOUBLE)"),
    ("text-cast", "TRY_CAST(regexp_extract(left(CAST(d AS VARCHAR), 7), '^[-0-9]+$') AS DATE)"),
    (
        "text-cast",
        (
            "TRY_CAST(regexp_extract(CAST(d AS VARCHAR) || ' 24:00:00', '^[-0-9]{10} [:0-9]{8}$')"
            " AS TIMESTAMP)"
        ),
    ),
    ("not-portable", "b = b IN (true, false)"),
    ("not-portable", "i IN (SELECT j FROM silver.t)"),
    ("time-format", "strftime(d, '%j')"),
    ("regex", "regexp_replace(s, 'b', '_')"),
    ("regex", "regexp_replace(s, 'b*', '_', 'g')"),
    ("regex", "regexp_replace(s, '(a)', '\\1', 'g')"),
    ("regex", "regexp_matches(s, '[[:alpha:]]')"),
    ("regex", "regexp_matches(s, '\\v')"),
    ("regex", "regexp_matches(s, '^\\s+$')"),
    ("regex", "s LIKE '%\\%'"),
    ("position", "substr(s, 0, 2)"),
    ("position", "substr(s, 2, -1)"),
    ("position", "left(s, i)"),
    ("position", "right(s, -1)"),
    ("position", "split_part(s, '', 1)"),
    ("window-order", "lag(i) OVER (PARTITION BY s ORDER BY g)"),
    ("window-order", "sum(i) OVER (ORDER BY g ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)"),
)
#: The same of groups.
AGGREGATES = (
    ("not-portable", "count_if(b)"),
    ("not-portable", "array_agg(i ORDER BY j)"),
    ("not-portable", "arg_max(s, j)"),
    ("not-portable", "approx_count_distinct(s)"),
    ("aggregate-order", "string_agg(s, ',')"),
    ("aggregate-order", "string_agg(s, ',' ORDER BY i)"),
)
#: One engine refuses, the other does not.
REFUSED = (
    ("binder", "length(i)"),
    ("binder", "count(DISTINCT i, j)"),
    ("divisor", "i / j"),
    ("interval", "ts + INTERVAL (i) MINUTE"),
    ("time-zone", "from_utc_timestamp(ts, 'america/new_york')"),
    ("time-zone", "from_utc_timestamp(ts, '+05:30')"),
    ("mixed-types", "b = 1"),
    ("mixed-types", "sum(b) OVER ()"),
    ("float-to-int", "x // 2"),
    ("text-cast", "strptime(' 2013-01-0' || CAST(abs(i) % 5 + 1 AS VARCHAR), '%Y-%m-%d')"),
    ("regex", "regexp_matches(s, '[a[b]')"),
    ("regex", "regexp_matches(s, 'a{,2}')"),
    ("regex", "regexp_matches(s, 'a++')"),
    ("regex", "s LIKE s"),
    ("position", "lpad(s, 3, '')"),
    ("position", "split_part(s, '-', 0)"),
    ("window-order", "row_number() OVER ()"),
    (
        "window-frame",
        "sum(i) OVER (ORDER BY ts RANGE BETWEEN INTERVAL 2 DAY PRECEDING AND INTERVAL 1 HOUR PRECEDING)",
    ),
    ("not-portable", "i IN (1, 7) = b"),
    ("not-portable", "b = i BETWEEN 1 AND 3"),
    ("not-portable", "b = EXISTS (SELECT 1 FROM silver.t)"),
    ("not-portable", "timezone(zone, ts)"),
    ("not-portable", "extract(epoch FROM ts)"),
    ("not-portable", "week(d)"),
    ("not-portable", "age(ts, ts)"),
    ("not-portable", "time_bucket(INTERVAL '15 minutes', ts)"),
    ("not-portable", "trunc(x)"),
    ("not-portable", "s[1]"),
    ("not-portable", "s SIMILAR TO 'a.*'"),
    ("not-portable", "count(DISTINCT s) OVER ()"),
    ("not-portable", "sum(i) OVER (ORDER BY d GROUPS 1 PRECEDING)"),
    ("not-portable", "corr(1, 1) OVER ()"),
)
#: Which row comes first is anybody's: mostly another one, now and then the same.
UNORDERED = (("not-portable", "first(s)"),)
#: What is refused for another reason: the contract's columns, what a partition can see.
OF_THE_CONTRACT = {
    *("star", "unnamed", "missing-column", "extra-column", "hidden-column", "unknown-column"),
    *("window-partition", "window-reach"),
}


@pytest.fixture(scope="module")
def both(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder: Path = tmp_path_factory.mktemp("reasons")
    made = Both.over(spark, {"silver.t": (write(frame(seed=3), folder / "t"), INPUTS["silver.t"])})
    yield made
    made.close()


def as_spark(text: str) -> str:
    return rewrite(resolve(parse(text, "forbidden.sql"), INPUTS)).sql("spark")


def linted(text: str, output: dict[str, str]) -> tuple[Finding, ...]:
    query = parse(text, "forbidden.sql")
    return lint(query, inputs=INPUTS, output=output, partition=None, layer="silver")


def found(form: str) -> set[str]:
    return {f.code for f in linted(f"SELECT {form} AS v FROM silver.t", {"v": "VARCHAR"})}


@pytest.mark.parametrize(("code", "form"), [*DIFFERENT, *AGGREGATES, *REFUSED, *UNORDERED])
def test_the_lint_refuses_it(code: str, form: str) -> None:
    assert code in found(form)


def test_every_code_has_a_reason() -> None:
    codes = {"unknown-column"}
    for file in Path(inspect.getfile(lakehouse.sql)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Yield):
                # A problem, or a finding with its place.
                value = node.value
                told = value.elts[1:2] if isinstance(value, ast.Tuple) else []
                told += value.args[2:3] if isinstance(value, ast.Call) else []
                codes |= {str(one.value) for one in told if isinstance(one, ast.Constant)}
    shown = {code for code, _ in (*DIFFERENT, *AGGREGATES, *REFUSED)} | {"silent-cast"}
    assert codes - OF_THE_CONTRACT == shown


def differ(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    if pa.types.is_temporal(one.type) and one.type != other.type:
        return True
    return not all(map(same, values(one), values(other)))


def values(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.int64()).to_pylist()
    return (
        column.cast(pa.int32()).to_pylist() if pa.types.is_date(column.type) else column.to_pylist()
    )


@pytest.mark.parametrize("forms", [DIFFERENT, AGGREGATES], ids=["rows", "groups"])
def test_it_gives_other_rows(forms: tuple[tuple[str, str], ...], both: Both) -> None:
    columns = ", ".join(f"{form} AS v{at}" for at, (_, form) in enumerate(forms))
    text = (
        f"SELECT ds, d, {columns} FROM silver.t"
        if forms is DIFFERENT
        else f"SELECT ds, {columns} FROM silver.t GROUP BY ds"
    )
    order = [("ds", "ascending"), ("d", "ascending")][: 2 if forms is DIFFERENT else 1]
    one, other = (t.sort_by(order) for t in both.run(text, as_spark(text)))
    assert one.num_rows == other.num_rows > 100
    alike = [f for at, (_, f) in enumerate(forms) if not differ(one[f"v{at}"], other[f"v{at}"])]
    assert not alike, alike


def test_the_final_cast_rounds_here_and_cuts_there(both: Both) -> None:
    query = parse("SELECT ds, d, i / 4 AS v FROM silver.t", "forbidden.sql")
    output = {"ds": "INTEGER", "d": "DATE", "v": "INTEGER"}
    assert [
        f.code for f in lint(query, inputs=INPUTS, output=output, partition=None, layer="gold")
    ] == ["silent-cast"]
    tables = both.run(select(query, output), select(query, output, "spark", INPUTS))
    one, other = (t.sort_by([("ds", "ascending"), ("d", "ascending")])["v"] for t in tables)
    assert differ(one, other)


FIRST_OF_G = "row_number() OVER (PARTITION BY ds, g ORDER BY d)"


def test_distinct_is_before_qualify_there(both: Both) -> None:
    text = f"SELECT DISTINCT ds, g FROM silver.t QUALIFY {FIRST_OF_G} <= 2"
    assert "not-portable" in {f.code for f in linted(text, {"ds": "INTEGER", "g": "INTEGER"})}
    one, other = both.run(text, as_spark(text))
    assert one.num_rows < other.num_rows


def test_ctes_share_one_level_there(both: Both) -> None:
    from pyspark.errors import PySparkException

    inner = "(WITH a AS (SELECT ds FROM silver.t) SELECT ds FROM a)"
    text = f"SELECT q.ds FROM {inner} AS q JOIN {inner} AS r ON q.ds = r.ds"
    assert {f.code for f in linted(text, {"ds": "INTEGER"})} == {"not-portable"}
    assert both.duck.sql(text).limit(1).fetchall()
    with pytest.raises(PySparkException, match="DUPLICATED_CTE_NAMES"):
        both.spark.sql(as_spark(text)).toArrow()


def test_qualify_knows_windows_only_there(both: Both) -> None:
    from pyspark.errors import PySparkException

    text = f"SELECT ds, g FROM silver.t QUALIFY i > 1 AND {FIRST_OF_G} = 1"
    assert {f.code for f in linted(text, {"ds": "INTEGER", "g": "INTEGER"})} == {"not-portable"}
    assert both.duck.sql(text).fetchall()
    with pytest.raises(PySparkException, match="cannot be resolved"):
        both.spark.sql(as_spark(text)).toArrow()


@pytest.mark.parametrize(("code", "form"), REFUSED)
def test_one_engine_refuses_it(code: str, form: str, both: Both) -> None:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    text = f"SELECT {form} AS v FROM silver.t"
    refusals = []
    for run, errors in (
        (lambda: both.duck.sql(text).fetchall(), duckdb.Error),
        (lambda: both.spark.sql(as_spark(text)).toArrow(), (PySparkException, Py4JError)),
    ):
        try:
            run()
        except errors as error:
            refusals.append(str(error)[:80])
    assert len(refusals) == 1
