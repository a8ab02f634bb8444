"""Every engine makes of two months of a domain's sample the same rows, quarantine and audit.

For every table of every domain in jobs/.
"""

from __future__ import annotations

from typing import Any

import pytest
from flights_lake import JOBS, SampleLake, differences, tables

from lakehouse.snapshot import open_table

pytestmark = pytest.mark.timeout(900)

MONTHS = ("2013-01", "2013-02")
TABLES = tables(JOBS, "bronze", "silver", "gold")
#: What tells one run from another.
RUN = "run, engine, started, seconds, bytes"
#: Spark does not know the content of what it writes, and writes as many files as it sees fit.
SPARKS_OWN = f"{RUN}, files, build, wanted, inputs"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> SampleLake:
    """A lake that was built in this process."""
    made = SampleLake(tmp_path_factory.mktemp("local"))
    made.land(MONTHS)
    built(made, "local")
    return made


@pytest.fixture(scope="module", params=["dask", pytest.param("spark", marks=pytest.mark.spark)])
def other(
    request: pytest.FixtureRequest, local: SampleLake, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, SampleLake]:
    """Another engine, and a lake that it built from the same landing files."""
    if request.param == "spark":
        request.getfixturevalue("spark")
    made = SampleLake(tmp_path_factory.mktemp(request.param), landing=local.settings.landing)
    built(made, request.param)
    return request.param, made


def built(lake: SampleLake, engine: str) -> None:
    tables = [table for done in lake.build_all(engine=engine) for table in done.tables]
    assert {table.engine for table in tables} == {engine}


def ledger(lake: SampleLake, ops: str, table: str, without: str) -> list[dict[str, Any]]:
    """What was recorded of a table; sums of floats depend on the order in which they are taken."""
    found = lake.arrow(f"""SELECT * EXCLUDE ({without}) FROM ops.{ops} WHERE "table" = '{table}'""")
    rows = [
        {k: round(v, 9) if isinstance(v, float) else v for k, v in row.items()}
        for row in found.to_pylist()
    ]
    return sorted(rows, key=repr)


@pytest.mark.parametrize("name", TABLES)
def test_engines_make_the_same(name: str, local: SampleLake, other: tuple[str, SampleLake]) -> None:
    engine, lake = other
    both = (local, lake)
    mine, theirs = (one.arrow(f"FROM {name}") for one in both)
    assert mine.num_rows
    assert mine.schema == theirs.schema
    assert differences(mine, theirs) == []
    files = [one.snapshot(name).partitions.items() for one in both]
    rows = [{value: sum(f.rows for f in found) for value, found in each} for each in files]
    assert rows[0] == rows[1]
    if engine != "spark":
        ids = [
            {(f.path.partition("/part-")[0], f.rows) for _, found in e for f in found}
            for e in files
        ]
        assert ids[0] == ids[1]
    schemas = [open_table(one.lake.place(one.table(name))).schema() for one in both]
    assert schemas[0] == schemas[1]
    assert [c.name for c in schemas[0].fields] == list(local.table(name).contract.types)


@pytest.mark.parametrize("name", TABLES)
def test_engines_keep_out_the_same(
    name: str, local: SampleLake, other: tuple[str, SampleLake]
) -> None:
    engine, lake = other
    own = "EXCLUDE (_build)" if engine == "spark" else ""
    mine, theirs = (one.arrow(f"SELECT * {own} FROM {name}__quarantine") for one in (local, lake))
    assert differences(mine, theirs) == []


@pytest.mark.parametrize("name", TABLES)
def test_engines_count_the_same(
    name: str, local: SampleLake, other: tuple[str, SampleLake]
) -> None:
    engine, lake = other
    without = SPARKS_OWN if engine == "spark" else RUN
    mine, theirs = (ledger(one, "builds", name, without) for one in (local, lake))
    assert mine
    assert mine == theirs


@pytest.mark.parametrize("name", TABLES)
def test_engines_judge_the_same(
    name: str, local: SampleLake, other: tuple[str, SampleLake]
) -> None:
    engine, lake = other
    without = "run, wanted" if engine == "spark" else "run"
    mine, theirs = (ledger(one, "audits", name, without) for one in (local, lake))
    assert mine == theirs
    rules = {rule.id for rule in local.table(name).contract.rules}
    assert rules <= {row["rule"] for row in mine}


def test_nothing_is_left_to_do(other: tuple[str, SampleLake]) -> None:
    assert other[1].todo() == {}
