"""What is looked up in another table, on every engine: the same rows, quarantine and numbers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from both_engines import Both, differences
from generated import write
from related import land, parted, related
from shop import Shop

from lakehouse.contract import FOREIGN_KEY, Rule
from lakehouse.engines.references import looked_up
from lakehouse.ledger import Ledger
from lakehouse.sql import Input
from lakehouse.types import arrow

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("spark"), pytest.mark.timeout(900)]

ENGINES = ("local", "dask", "spark")
REFERRING = (
    *("bronze.orders", "bronze.customers", "bronze.sales"),
    *("silver.orders", "silver.customers", "silver.sales"),
)
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def told(shop: Shop, tables: Sequence[str]) -> Mapping[str, Any]:
    """Rows, rows kept out, and the audits."""
    found: dict[str, Any] = {}
    for table in tables:
        found[table] = sorted(shop.rows(f"FROM {table}"), key=repr)
        kept = shop.rows(f"SELECT * EXCLUDE (_build) FROM {table}__quarantine")
        found[f"{table} quarantine"] = sorted(kept, key=repr)
    numbers = ("table", "key", "rule", "result", "detail", "rows", "unexpected", "missing")
    audits = Ledger(shop.lake().storage).rows("audits")
    found["audits"] = sorted(tuple(str(row[n]) for n in numbers) for row in audits)
    return found


def test_a_shop_whose_tables_refer_to_each_other(tmp_path: Path) -> None:
    seen = {}
    for engine in ENGINES:
        shop = Shop(tmp_path / engine, REFERRING)
        related(shop)
        land(shop)
        assert not shop.build(engine=engine).blocked
        seen[engine] = told(shop, (*REFERRING[3:], "silver.visits"))
        assert shop.todo() == {}
        shop.customers("late", ("eve", "NO"), ("zoe", "NO"))
        shop.build("silver.orders", engine=engine)
        seen[engine] |= {f"{k} later": v for k, v in told(shop, ("silver.orders",)).items()}
        for name in ("all", "again", "late"):
            shop.customers(name)
        blocked = shop.build("silver.visits", engine=engine).blocked
        assert [(b.table, b.rule) for b in blocked] == [("shop.silver.visits", "quarantined_share")]
        seen[engine]["empty"] = [b.detail for b in blocked]
    assert seen["local"] == seen["dask"] == seen["spark"]
    rules = [rule for row in seen["spark"]["silver.visits quarantine"] for rule in row[5]]
    assert rules == ["home", "home"]
    assert len(seen["spark"]["silver.orders"]) + 1 < len(seen["spark"]["silver.orders later"])


def test_a_part_of_a_table(tmp_path: Path) -> None:
    """Targets that could be built by one SELECT see no more than each alone would."""
    seen = {}
    for engine in ENGINES:
        shop = Shop(tmp_path / engine, python=True)
        parted(shop)
        shop.orders("2026-01", ("a1", "a1", 1, "2026-01-05"), ("a2", "ann", 1, "2026-01-06"))
        shop.orders("2026-02", ("b1", "a2", 1, "2026-02-05"), ("b2", "b1", 1, "2026-02-06"))
        shop.orders("2026-03", ("c1", "b1", 1, "2026-03-05"), ("c2", "c2", 1, "2026-03-06"))
        shop.customers("all", ("ann", "NO"))
        shop.sales("all", ("s1", "north"))
        shop.build(engine=engine)
        seen[engine] = told(shop, ("silver.orders", "gold.fading"))
    assert seen["local"] == seen["dask"] == seen["spark"]
    published = [row[0] for row in seen["local"]["silver.orders"]]
    # a2 is February's, which January looks at; nobody refers to b2 or c1 where they look.
    assert published == ["a1", "a2", "b1", "c2"]


#: Column → type, values here, values there.
KINDS: Mapping[str, tuple[str, Sequence[Any], Sequence[Any]]] = {
    "text": (
        "VARCHAR",
        ["a", "A", "", " a", "e\u0301", "\u00e9", "a ", None],
        ["a", "", "\u00e9", None, "a"],
    ),
    "number": ("DOUBLE", [0.0, -0.0, 0.1, 0.1 + 0.2, 1e300, None], [-0.0, 0.1, 0.3, 0.1]),
    "whole": ("BIGINT", [2**53 + 1, 1, -1, 2**63 - 1, None], [2**53, 1, 2**63 - 1, None]),
    "narrow": ("INTEGER", [1, 2, None], [2]),
    "day": ("DATE", [dt.date(2026, 1, 1), dt.date.min, dt.date.max, None], [dt.date.max]),
    "flag": ("BOOLEAN", [True, False, None], [True, True]),
    "moment": ("TIMESTAMPTZ", [NOON, NOON + dt.timedelta(microseconds=1), None], [NOON]),
}


def test_equal_values_of_every_type(spark: SparkSession, tmp_path: Path) -> None:
    tables = {}
    for side, name in ((1, "silver.here"), (2, "silver.there")):
        size = max(len(kind[side]) for kind in KINDS.values())
        columns = {
            column: pa.array([*kind[side], *[None] * (size - len(kind[side]))], arrow(kind[0]))
            for column, kind in KINDS.items()
        }
        rows = pa.table({"i": pa.array(range(size), pa.int32()), **columns})
        tables[name] = (write(rows, tmp_path / name), Input({}))
    one = [
        Rule(c, FOREIGN_KEY, {"column": c, "to": f"silver.there.{c}"}, 1.0, "row") for c in KINDS
    ]
    pair = {"column_list": ["text", "whole"], "to": ["silver.there.text", "silver.there.whole"]}
    rules = [*one, Rule("pair", FOREIGN_KEY, pair, 1.0, "row")]
    both = Both.over(spark, tables)
    duck = f"FROM {looked_up(rules, 'silver.here')}"
    other = f"SELECT * FROM {looked_up(rules, 'silver.here', '`{}`'.format, str)}"
    found = both.run(duck, other)
    both.close()
    assert differences(*found) == []
    rows = {row["i"]: row for row in found[0].to_pylist()}
    assert len(rows) == found[0].num_rows == 8
    absent = {r.id: [i for i in sorted(rows) if rows[i][f"absent:{r.id}"]] for r in rules}
    assert absent == {
        "text": [1, 3, 4, 6],
        "number": [3, 4],
        "whole": [0, 2],
        "narrow": [0],
        "day": [0, 1],
        "flag": [1],
        "moment": [1],
        "pair": [0, 1, 2, 3],
    }
