"""The audit's own SQL on both engines: verdicts of every row, aggregates, duplicates, limits."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from both_engines import Both, differences, same
from generated import COLUMNS, frame, write
from shop import contract, rule

from lakehouse.audit import aggregates, duplicates, literal, quote, violations
from lakehouse.contract import ROW_RULES, TABLE_RULES, Contract, Partition, parse
from lakehouse.engines.limits import beyond, held, unfit, unheld
from lakehouse.sql import Input, expression

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

TYPES = {**COLUMNS, "n": "BIGINT", "Mixed Case": "INTEGER", "later": "TIMESTAMPTZ"}
KNOWN = {"ds": "INTEGER", **TYPES}
_BUT_B = [(name, kind) for name, kind in KNOWN.items() if name != "b"]
_FIVE = {"VARCHAR": "'5'", "DATE": "2005-05-05", "TIMESTAMPTZ": "2005-05-05T05:05:05Z"}
#: (rule, arguments)
RULES = (
    *(("column_values_to_not_be_null", f"column: {c}") for c in COLUMNS),
    ("column_values_to_be_null", "column: s"),
    ("column_values_to_be_between", "column: i, min_value: -7, max_value: 100"),
    ("column_values_to_be_between", "column: i, min_value: 0, strict_min: true"),
    ("column_values_to_be_between", "column: x, min_value: -1.5, max_value: 2.5e3"),
    ("column_values_to_be_between", "column: x, max_value: 1.0e-5, strict_max: true"),
    ("column_values_to_be_between", "column: n, max_value: 9223372036854775806"),
    ("column_values_to_be_between", "column: s, min_value: a, max_value: n"),
    ("column_values_to_be_between", "column: d, min_value: 2013-03-05, max_value: '2013-03-20'"),
    ("column_values_to_be_between", "column: ts, min_value: 2013-03-05T12:00:00+05:30"),
    ("column_values_to_be_between", "column: ts, max_value: '2013-03-05T12:00:00Z'"),
    ("column_values_to_be_between", "column: ts, min_value: 2013-03-05"),
    (
        "column_values_to_be_in_set",
        "column: s, value_set: [a, \"it's\", 'a\\b', '\U0001f642', null]",
    ),
    ("column_values_to_be_in_set", "column: i, value_set: [0, 1, 7]"),
    ("column_values_to_be_in_set", "column: b, value_set: [true]"),
    ("column_values_to_be_in_set", "column: x, value_set: [0.5, 1.5, 0]"),
    ("column_values_to_be_in_set", "column: d, value_set: [2013-03-05, 0001-01-01]"),
    ("column_values_to_not_be_in_set", "column: s, value_set: ['', straße, null]"),
    ("column_values_to_not_be_in_set", 'column: "Mixed Case", value_set: [1]'),
    ("column_values_to_match_regex", "column: s, regex: '^[A-Za-z0-9]+$'"),
    ("column_values_to_match_regex", "column: s, regex: 'a.b|^\\d+$|[\"'']'"),
    ("column_values_to_not_match_regex", "column: s, regex: '[^ -~]'"),
    ("column_value_lengths_to_be_between", "column: s, min_value: 1, max_value: 5"),
    ("column_value_lengths_to_be_between", "column: s, max_value: 3, strict_max: true"),
    ("column_pair_values_a_to_be_greater_than_b", "column_A: i, column_B: j"),
    ("column_pair_values_a_to_be_greater_than_b", "column_A: x, column_B: i, or_equal: true"),
    (
        "column_pair_values_a_to_be_greater_than_b",
        "column_A: ts, column_B: later, ignore_row_if: either_value_is_missing",
    ),
    ("column_pair_values_to_be_equal", "column_A: g, column_B: j, ignore_row_if: neither"),
    ("column_pair_values_to_be_equal", "column_A: ts, column_B: later"),
    ("column_values_to_be_unique", "column: s"),
    ("column_values_to_be_unique", "column: x"),
    ("column_values_to_be_unique", "column: ts"),
    ("compound_columns_to_be_unique", "column_list: [ds, d]"),
    (
        "compound_columns_to_be_unique",
        "column_list: [g, b, zone], ignore_row_if: any_value_is_missing",
    ),
    ("compound_columns_to_be_unique", "column_list: [g, s], ignore_row_if: never"),
    ("table_row_count_to_be_between", "max_value: 5"),
    *(
        ("column_mean_to_be_between", f"column: {c}, max_value: 5")
        for c in ("i", "x", "Mixed Case")
    ),
    *(
        ("column_min_to_be_between", f"column: {c}, max_value: {_FIVE.get(k, 5)}")
        for c, k in _BUT_B
    ),
    *(
        ("column_max_to_be_between", f"column: {c}, max_value: {_FIVE.get(k, 5)}")
        for c, k in _BUT_B
    ),
    *(("column_sum_to_be_between", f"column: {c}, max_value: 5") for c in ("i", "x", "Mixed Case")),
)


@pytest.fixture(scope="module")
def declared() -> Contract:
    rules = []
    for number, (kind, kwargs) in enumerate(RULES):
        mostly = (
            ", mostly: 0.5" if number % 2 and "column_val" in kind and "unique" not in kind else ""
        )
        quoted = kwargs.replace("Mixed Case", '"Mixed Case"').replace('""', '"')
        rules.append(rule(f"r{number}", kind, quoted + mostly))
    return parse(contract("silver", "t", KNOWN, "", "".join(rules)), "t.yaml")


@pytest.fixture(scope="module")
def both(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder: Path = tmp_path_factory.mktemp("rules")
    made = Both.over(spark, {"silver.t": (write(rows(), folder / "t"), Input(KNOWN))})
    yield made
    made.close()


def rows() -> pa.Table:
    """The generated rows with NaN, large numbers, and times that no calendar of Python's holds."""
    source = random.Random(7)
    table = frame(seed=11)
    size = table.num_rows
    doubles = [float("nan") if source.random() < 0.05 else x for x in table["x"].to_pylist()]
    whole = [source.choice((None, 2**63 - 1, -(2**63), 0, 5)) for _ in range(size)]
    mixed = [source.choice((None, 0, 1, 2)) for _ in range(size)]
    later = [source.choice((t, None, 0, 10**15)) for t in table["ts"].cast(pa.int64()).to_pylist()]
    beyond_dates = (2_932_897, 5_000_000, -719_163, -800_000, -5_000_000, 2**31 - 1, -(2**31) + 1)
    dates = [
        source.choice(beyond_dates) if source.random() < 0.1 else d
        for d in table["d"].cast(pa.int32()).to_pylist()
    ]
    # 2100-06-15 is free; a key stays one.
    beyond_times = (253402300800_000000, -62135596800_000001, 2**63 - 1, -(2**63) + 1, 10**18 + 5)
    times = [
        source.choice(beyond_times) if source.random() < 0.1 else t
        for t in table["ts"].cast(pa.int64()).to_pylist()
    ]
    moment = pa.timestamp("us", "UTC")
    for name, values, kind in (
        ("x", doubles, pa.float64()),
        ("d", dates, pa.date32()),
        ("ts", times, moment),
        ("n", whole, pa.int64()),
        ("Mixed Case", mixed, pa.int32()),
        ("later", later, moment),
    ):
        numbers = pa.int32() if pa.types.is_date(kind) else pa.int64()
        raw = pa.array(values, numbers if kind in (moment, pa.date32()) else kind)
        column = raw.cast(kind)
        at = table.column_names.index(name) if name in table.column_names else -1
        field = pa.field(name, kind)
        table = (
            table.set_column(at, field, column) if at >= 0 else table.append_column(field, column)
        )
    return table.append_column("id", pa.array(range(size), pa.int32()))


def on_spark(text: str) -> str:
    return expression(text, KNOWN)


def test_every_supported_rule_is_here() -> None:
    assert {f"expect_{kind}" for kind, _ in RULES} == ROW_RULES | TABLE_RULES


def test_rules_give_the_same_verdicts(declared: Contract, both: Both) -> None:
    """Of each row its violations; of each data set and of all rows the aggregates."""
    hard = violations(declared)
    # Few rules keep rows out here, else no row were published.
    kept = [(r, bad) for r, bad in hard if r in ("r3", "r9", "r21", "r23")] or hard[:3]
    flags = ", ".join(f"CASE WHEN {bad} THEN {literal(r)} END" for r, bad in hard)
    few = ", ".join(f"CASE WHEN {bad} THEN {literal(r)} END" for r, bad in kept)
    every = f"list_filter([{flags}], lambda rule: rule IS NOT NULL)"
    some = f"list_filter([{few}], lambda rule: rule IS NOT NULL)"
    of_duck = f"SELECT *, {some} AS _violations FROM silver.t"
    of_spark = f"SELECT *, {on_spark(some)} AS _violations FROM silver.t"
    both.duck.execute(f"CREATE OR REPLACE TEMP TABLE _audited AS {of_duck}")
    both.spark.sql(of_spark).createOrReplaceTempView("_audited")
    one, other = both.run(
        f"SELECT id, array_to_string({every}, ' ') AS v FROM silver.t",
        f"SELECT id, array_join({on_spark(every)}, ' ') AS v FROM silver.t",
    )
    assert differences(one, other) == []
    told = set(" ".join(one["v"].to_pylist()).split())
    assert told == {r for r, _ in hard}, "a rule that nothing violates"
    _aggregates(declared, both)
    for r, query in duplicates(declared).items():
        one, other = both.run(query, on_spark(query))
        assert differences(_whole(one), _whole(other)) == [], r
        assert one.column(1)[0].as_py() > 0


def _aggregates(declared: Contract, both: Both) -> None:
    named = {"rows": "count(*)", "published": "count(*) FILTER (WHERE len(_violations) = 0)"}
    named |= aggregates(declared)
    for group in ("ds", "0"):
        columns = [f"{group} AS ds", *(f"{e} AS {quote(n)}" for n, e in named.items())]
        duck = f"SELECT {', '.join(columns)} FROM _audited GROUP BY ALL"
        columns = [f"{group} AS ds", *(f"{on_spark(e)} AS `{n}`" for n, e in named.items())]
        spark = f"SELECT {', '.join(columns)} FROM _audited GROUP BY ALL"
        one, other = (_whole(t.sort_by("ds")) for t in both.run(duck, spark))
        assert one.num_rows == other.num_rows
        for name in named:
            pairs = zip(_python(one[name]), _python(other[name]), strict=True)
            assert [p for p in pairs if not same(*p)][:5] == [], name


def _python(column: pa.ChunkedArray) -> list[Any]:
    kind = column.type
    if pa.types.is_temporal(kind):
        column = column.cast(pa.int32() if pa.types.is_date(kind) else pa.int64())
    return column.to_pylist()


def _whole(table: pa.Table) -> pa.Table:
    """Sums of whole numbers as BIGINT: DuckDB's are wider, in Arrow's terms DECIMAL or DOUBLE."""
    for at, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type):
            table = table.set_column(at, field.name, table.column(at).cast(pa.int64()))
    return table


def test_limits_are_the_same(declared: Contract, both: Both) -> None:
    rules = {name: bad for name, (_, bad) in beyond(declared).items()}
    texts = {"raw": unheld(declared)}
    for name in ("s", "g", "d", "ts", "zone"):
        texts[f"text_{name}"] = f"CAST({quote(name)} AS VARCHAR)"
        texts[f"unfit_{name}"] = unfit(Partition(column=name, grain="value")).replace("> ", "> -")
        texts[f"url_{name}"] = f"url_encode(CAST({quote(name)} AS VARCHAR))"
    texts["unfit_day"] = unfit(Partition(column="d", grain="day"))
    texts |= {f"beyond_{name}": bad for name, bad in rules.items()}
    duck = ", ".join(f"{e} AS {n}" for n, e in texts.items())
    spark = ", ".join(f"{on_spark(e)} AS {n}" for n, e in texts.items())
    one, other = both.run(f"SELECT id, {duck} FROM silver.t", f"SELECT id, {spark} FROM silver.t")
    for name in texts:
        mine, theirs = (t.sort_by("id")[name].to_pylist() for t in (one, other))
        assert [p for p in zip(mine, theirs, strict=True) if not same(*p)][:5] == [], name
    raw = [text for text in one["raw"].to_pylist() if text]
    for sign in ("=infinity", "=-infinity", "(BC)", "=10000-01-01"):
        assert any(sign in text for text in raw), sign


def test_held_columns_are_the_same(declared: Contract, both: Both) -> None:
    duck = held(declared)
    # Each item stands by itself: commas inside CASE do not occur.
    spark = ", ".join(on_spark(item) for item in duck.split(", "))
    one, other = both.run(f"SELECT id, {duck} FROM silver.t", f"SELECT id, {spark} FROM silver.t")
    assert differences(one, other) == []
    assert one["d"].null_count > 0


EXPRESSIONS = (
    "CAST(date_trunc('month', TRY_CAST(regexp_extract(s, '^[0-9]{4}-[0-9]{2}-[0-9]{2}$') AS DATE)) AS DATE)",
    "TRY_CAST(regexp_extract(s, '^([0-9]{4}-[0-9]{2})-', 1) || '-01' AS DATE)",
    "TRY_CAST(regexp_extract(CAST(year(d) AS VARCHAR), '^(19|20)[0-9]{2}$') || '-' || CAST(g AS VARCHAR) || '-1' AS DATE)",
    "s",
    "upper(left(s, 2))",
)


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_partition_expressions_are_the_same(text: str, both: Both) -> None:
    one, other = both.run(
        f"SELECT id, {text} AS v FROM silver.t", f"SELECT id, {on_spark(text)} AS v FROM silver.t"
    )
    assert differences(one, other) == []
    assert one.num_rows > pc.count(one["v"]).as_py() > 0
