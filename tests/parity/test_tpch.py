"""The 22 queries of TPC-H in the portable subset, on both engines.

Money is DOUBLE and rows are cut by a window, because tables have neither DECIMAL nor LIMIT. The
parameters are the validation ones, but for query 18's quantity (250 for 300), which no order of so
small a scale reaches often.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from both_engines import Both, differences, output

from lakehouse.sql import Input, Query, lint, parse

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

KEYS = {
    "customer": ("c_custkey",),
    "lineitem": ("l_orderkey", "l_linenumber"),
    "nation": ("n_nationkey",),
    "orders": ("o_orderkey",),
    "part": ("p_partkey",),
    "partsupp": ("ps_partkey", "ps_suppkey"),
    "region": ("r_regionkey",),
    "supplier": ("s_suppkey",),
}
TYPES = {"int32": "INTEGER", "int64": "BIGINT", "double": "DOUBLE", "date32[day]": "DATE"}
QUERIES = sorted(Path(__file__).with_name("tpch").glob("*.sql"))


@pytest.fixture(scope="module")
def both(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("tpch")
    beside = Path(sys.executable).with_name("tpchgen-cli")
    generator = str(beside) if beside.exists() else shutil.which("tpchgen-cli")
    if generator is None:
        pytest.skip("tpchgen-cli is not installed: it is in the extra 'test'")
    command = [generator, "parquet", "--scale-factor", "0.01", "--output-dir", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    tables = {}
    for name, key in KEYS.items():
        rows = as_published(pq.read_table(folder / f"{name}.parquet"))
        place = folder / name
        place.mkdir()
        for part in range(2):
            half = rows.slice(part * (rows.num_rows // 2), None if part else rows.num_rows // 2)
            pq.write_table(half, place / f"part-{part}.parquet")
        columns = {f.name: TYPES.get(str(f.type), "VARCHAR") for f in rows.schema}
        tables[f"silver.{name}"] = (place, Input(columns, key=key))
    made = Both.over(spark, tables)
    yield made
    made.close()


def as_published(table: pa.Table) -> pa.Table:
    fields = [
        pa.field(f.name, pa.float64() if pa.types.is_decimal(f.type) else _plain(f.type))
        for f in table.schema
    ]
    return table.cast(pa.schema(fields))


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind if pa.types.is_integer(kind) or pa.types.is_date(kind) else pa.string()


def read(file: Path) -> Query:
    return parse(file.read_text(encoding="utf-8"), file.name)


def test_all_are_here() -> None:
    assert [file.stem for file in QUERIES] == [f"q{n:02}" for n in range(1, 23)]


@pytest.mark.parametrize("file", QUERIES, ids=lambda file: file.stem)
def test_a_query_gives_the_same_rows(file: Path, both: Both) -> None:
    query = read(file)
    told = lint(
        query,
        inputs=both.inputs,
        output=output(query, both.inputs),
        partition=None,
        layer="gold",
    )
    assert told == ()
    one, other = both.answers(query)
    assert one.num_rows
    assert differences(one, other) == []
