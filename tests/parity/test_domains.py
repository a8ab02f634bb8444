"""Every engine makes of two months of a domain's sample the same rows, quarantine and audit.

For every table of every domain in jobs/.
"""

from __future__ import annotations

from typing import Any

import pytest
from flights_lake import JOBS, SampleLake, differences, tables

from lakehouse.snapshot import open_table

MONTHS = ("2013-01", "2013-02")
TABLES = tables(JOBS, "bronze", "silver", "gold")


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SampleLake]:
    """Engine → a lake that it built from the same landing files."""
    local = SampleLake(tmp_path_factory.mktemp("local"))
    local.land(MONTHS)
    dask = SampleLake(tmp_path_factory.mktemp("dask"), landing=local.settings.landing)
    for engine, lake in (("local", local), ("dask", dask)):
        built = [table for done in lake.build_all(engine=engine) for table in done.tables]
        assert {table.engine for table in built} == {engine}
    return {"local": local, "dask": dask}


def ledger(lake: SampleLake, ops: str, table: str, without: str) -> list[dict[str, Any]]:
    """What was recorded of a table, without what tells one run from another."""
    found = lake.arrow(f"""SELECT * EXCLUDE ({without}) FROM ops.{ops} WHERE "table" = '{table}'""")
    return sorted(found.to_pylist(), key=repr)


@pytest.mark.parametrize("name", TABLES)
def test_engines_make_the_same(name: str, engines: dict[str, SampleLake]) -> None:
    local, dask = engines["local"], engines["dask"]
    one, other = (lake.arrow(f"FROM {name}") for lake in (local, dask))
    assert one.num_rows
    assert one.schema == other.schema
    assert differences(one, other) == []
    files = [
        {(f.partition, f.batch, str(f.build), f.rows) for f in e.snapshot(name).files}
        for e in (local, dask)
    ]
    assert files[0] == files[1]
    schemas = [open_table(e.lake.place(e.table(name))).schema() for e in (local, dask)]
    assert schemas[0] == schemas[1]
    assert [c.name for c in schemas[0].fields] == list(local.table(name).contract.types)


@pytest.mark.parametrize("name", TABLES)
def test_engines_keep_out_the_same(name: str, engines: dict[str, SampleLake]) -> None:
    one, other = (lake.arrow(f"FROM {name}__quarantine") for lake in engines.values())
    assert differences(one, other) == []


@pytest.mark.parametrize("name", TABLES)
def test_engines_count_the_same(name: str, engines: dict[str, SampleLake]) -> None:
    one, other = (
        ledger(lake, "builds", name, "run, engine, started, seconds, bytes")
        for lake in engines.values()
    )
    assert one
    assert one == other


@pytest.mark.parametrize("name", TABLES)
def test_engines_judge_the_same(name: str, engines: dict[str, SampleLake]) -> None:
    one, other = (ledger(lake, "audits", name, "run") for lake in engines.values())
    assert one == other
    rules = {rule.id for rule in engines["local"].table(name).contract.rules}
    assert rules <= {row["rule"] for row in one}
