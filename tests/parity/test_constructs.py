"""Every probe of the allow-list on DuckDB and on Spark, over many generated data sets at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from both_engines import Both, differences, output, packed, plain, same
from generated import COLUMNS, SETS, ZONES, frame, write
from lifted import lifted

from lakehouse.sql import Input, parse, select
from lakehouse.sql.portable import AGGREGATES, EXPRESSIONS, SELECTS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

ONE = {"silver.t": Input(COLUMNS, key=("d",))}
_COLUMNS = ", ".join(f"{e} AS v{at}" for at, e in enumerate(AGGREGATES))
GROUPED = f"SELECT g, {_COLUMNS} FROM t GROUP BY g"
#: Further arguments of what the probes allow.
VARIATIONS = (
    *("substr(s, -5, 3)", "substr(s, -2, 1)", "substr(s, 1, 0)", "left(s, 0)", "right(s, 0)"),
    *(
        "left(s, greatest(i, 0))",
        "substr(s, greatest(i, 1))",
        "lpad(s, 0, '0')",
        "lpad(s, 6, 'xyz')",
    ),
    *("split_part(s, '-', 2)", "split_part(s, '-', -1)", "split_part(s, 'a', 9)", "strpos(s, '')"),
    *("replace(s, '', 'x')", "contains(s, '')", "upper(concat(s, 'ßŉ'))", "lower(concat(s, 'ΑΣ'))"),
    *("regexp_matches(s, 'a.b')", "regexp_matches(s, '[]a]')", "regexp_matches(s, '[a-]')"),
    *("regexp_matches(s, 'a{1,2}')", "regexp_matches(s, '\\d')", "regexp_matches(s, '[\\-\\.]')"),
    *("regexp_matches(s, '[ä-ü]')", "regexp_matches(s, '^$')", "regexp_matches(s, '[$.]')"),
    *(
        "regexp_extract(s, '(x)?(a)', 1)",
        "regexp_extract(s, '(a|ab)(b?)')",
        "regexp_extract(s, 'a*?b')",
    ),
    *("s LIKE 'a_b'", "s LIKE ''", "s ILIKE 'Σ%σ'", "s ILIKE '%ß%'", "s ILIKE '%İ%'", "s > 'a'"),
    *("sqrt(x)", "ln(x)", "exp(x)", "pow(x, 0.5)", "pow(i, -1)", "x / nullif(x, 0)", "x * 1e300"),
    *(
        "x * 1e300 - x * 1e300",
        "-x",
        "sign(x)",
        "greatest(x, i)",
        "floor(i)",
        "CAST(floor(j) AS BIGINT)",
    ),
    *("i / 3", "i // -7", "i % -7", "concat(s, i, d, b)", "concat_ws('-', s, i, b)", "s || i"),
    *("strptime(strftime(d, '%d/%m/%Y'), '%d/%m/%Y')", "strptime(strftime(d, '%Y%m%d'), '%Y%m%d')"),
    *("strptime(CAST(d AS VARCHAR), '%Y-%m-%d')", "strftime(ts, '%-d.%-m.%Y')", "d + i", "d - i"),
    *("ts >= TIMESTAMPTZ '2013-01-01 00:00:00+05:30'", "make_date(year(d), 1, 1)"),
    *(
        "ts + INTERVAL '1' MONTH",
        "ts + i * INTERVAL '1' MONTH",
        "date_diff('day', CAST(ts AS DATE), d)",
    ),
    *("hour(from_utc_timestamp(ts, zone))", "to_utc_timestamp(from_utc_timestamp(ts, zone), zone)"),
    "to_utc_timestamp(CAST(d AS TIMESTAMP) + INTERVAL '150' MINUTE, zone)",
    "TRY_CAST(regexp_extract(s, '^-?[0-9]+$') AS INTEGER)",
    "TRY_CAST(regexp_extract(s, '^[0-9]+[.]?[0-9]*$') AS DOUBLE)",
    "TRY_CAST(regexp_extract(s, '^(true|false)$') AS BOOLEAN)",
    "isodow(CAST(concat(regexp_extract(CAST(d AS VARCHAR), '^....-..-..$'), '') AS DATE))",
)
ROWS = (*EXPRESSIONS, *VARIATIONS)
INTERPRETED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
#: Fewer expressions a statement than Java's limit for one generated method.
WIDTH = 70


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    return frame()


@pytest.fixture(scope="module")
def both(
    spark: SparkSession, rows: pa.Table, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("generated")
    sets: Path = folder / "sets"
    sets.mkdir()
    pq.write_table(pa.table({"ds": pa.array(range(SETS), pa.int32())}), sets / "part.parquet")
    known = Input({"ds": "INTEGER", **COLUMNS}, key=("ds", "d"))
    made = Both.over(
        spark,
        {
            "silver.t": (write(rows, folder / "t"), known),
            "silver.sets": (sets, Input({"ds": "INTEGER"}, key=("ds",))),
        },
    )
    yield made
    made.close()


def over(probe: str) -> str:
    """The probe over a table that a query may read."""
    return re.sub(r"\b(FROM|JOIN) t\b", r"\1 silver.t", probe)


def test_the_data_sets_hold_what_can_go_wrong(rows: pa.Table) -> None:
    sizes = dict(rows.group_by("ds").aggregate([("d", "count")]).to_pydict().items())
    counts = sizes["d_count"]
    assert SETS >= 200
    assert len(counts) < SETS, "none is empty"
    assert 1 in counts and max(counts) >= 12
    for column in COLUMNS:
        values = rows[column].drop_null()
        if column != "d":
            assert 0 < rows[column].null_count < rows.num_rows / 3
        assert len(values) > len(values.unique()), f"no ties in {column}"
    ties = rows.group_by(["ds", "ts"]).aggregate([("d", "count")])["d_count"]
    assert pc.max(ties).as_py() > 2
    assert not pc.any(pc.is_nan(rows["x"])).as_py()
    days = plain(rows["d"])
    assert min(days) == -719162 and max(days) == 2932896
    assert set(ZONES) == set(rows["zone"].drop_null().to_pylist())
    texts = set(rows["s"].drop_null().to_pylist())
    assert {"", "straße", "a\nb", "\u00a0a\u00a0", "007"} <= texts
    # The hour that New York's clocks show twice.
    twice = [m for m in plain(rows["ts"]) if m and 1383454800_000000 <= m < 1383462000_000000]
    assert twice


@pytest.mark.parametrize("first", range(0, len(ROWS), WIDTH))
def test_expressions_are_the_same_for_every_row(first: int, both: Both) -> None:
    chosen = ROWS[first : first + WIDTH]
    columns = ", ".join(f"{e} AS v{at}" for at, e in enumerate(chosen))
    query = parse(f"SELECT ds, d, {columns} FROM silver.t", "expressions.sql")
    one, other = (t.sort_by([("ds", "ascending"), ("d", "ascending")]) for t in both.answers(query))
    assert one.num_rows == other.num_rows > 1000
    for at, expression in enumerate(chosen):
        pairs = zip(plain(one[f"v{at}"]), plain(other[f"v{at}"]), strict=True)
        assert [pair for pair in pairs if not same(*pair)][:5] == [], expression
        assert one[f"v{at}"].null_count < one.num_rows, expression


def test_aggregates_are_the_same_for_every_group(both: Both) -> None:
    query = parse(lifted(over(GROUPED), ONE, "silver.sets"), "aggregates.sql")
    one, other = (t.sort_by([("ds", "ascending"), ("g", "ascending")]) for t in both.answers(query))
    assert one.num_rows == other.num_rows > SETS
    assert one.select(["ds", "g"]) == other.select(["ds", "g"])
    for at, aggregate in enumerate(AGGREGATES):
        pairs = zip(plain(one[f"v{at}"]), plain(other[f"v{at}"]), strict=True)
        assert [pair for pair in pairs if not same(*pair)][:5] == [], aggregate
        assert len(one[f"v{at}"].unique()) > 1, aggregate


@pytest.mark.parametrize("group", ["windows", "other"])
def test_statements_are_the_same_for_every_data_set(group: str, both: Both) -> None:
    windows = tuple(s for s in SELECTS if " OVER " in s)
    probes = {
        "windows": windows,
        "other": tuple(s for s in SELECTS if s not in windows),
    }[group]
    queries = [parse(lifted(over(p), ONE, "silver.sets"), p) for p in probes]
    one, other = packed(both, queries)
    for number, probe in enumerate(probes):
        mine, theirs = (t.filter(pc.equal(t["probe"], number)) for t in (one, other))
        assert differences(mine, theirs) == [], probe
        if "WHERE false" not in probe:
            assert len(mine["ds"].unique()) > SETS / 4, probe


def test_a_statement_for_all_data_sets_is_that_of_each(both: Both) -> None:
    for probe in (GROUPED, *SELECTS):
        query = parse(lifted(over(probe), ONE, "silver.sets"), probe)
        every = both.duck.sql(both.text(query)[0]).to_arrow_table()
        both.duck.execute("CREATE SCHEMA IF NOT EXISTS one")
        for number in range(8):
            both.duck.execute(
                "CREATE OR REPLACE TABLE one.t AS SELECT * EXCLUDE (ds) FROM silver.t "
                f"WHERE ds = {number}"
            )
            alone = parse(over(probe).replace("silver.t", "one.t"), probe)
            columns = output(alone, {"one.t": ONE["silver.t"]})
            mine = both.duck.sql(select(alone, columns)).to_arrow_table()
            if "WHERE false" in probe and "GROUP BY" not in probe:
                continue
            theirs = every.filter(pc.equal(every["ds"], number)).drop_columns(["ds"])
            assert differences(mine, theirs) == [], probe


def test_statements_are_the_same_of_one_data_set(
    both: Both, rows: pa.Table, tmp_path: Path
) -> None:
    """As they stand, without the packing, and without generated code."""
    sizes = rows.group_by("ds").aggregate([("d", "count")]).sort_by([("d_count", "descending")])
    few = rows.filter(pc.is_in(rows["ds"], sizes["ds"].slice(0, 1))).drop_columns(["ds"])
    probes = (GROUPED, *SELECTS)
    alone = Both.over(
        both.spark, {"single.t": (write(few, tmp_path / "t", files=4), ONE["silver.t"])}
    )
    for setting, value in INTERPRETED.items():
        both.spark.conf.set(setting, value)
    queries = [
        parse(f"SELECT 0 AS ds, q.* FROM ({over(p).replace('silver.t', 'single.t')}) AS q", p)
        for p in probes
    ]
    one, other = packed(alone, queries)
    alone.close()
    for setting in INTERPRETED:
        both.spark.conf.unset(setting)
    for number, probe in enumerate(probes):
        mine, theirs = (t.filter(pc.equal(t["probe"], number)) for t in (one, other))
        assert differences(mine, theirs) == [], probe
