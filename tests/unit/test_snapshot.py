"""What is live in a table, read back from its log."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st
from shop import Shop

from lakehouse import snapshot as snapshots
from lakehouse.errors import PlanError, StorageError
from lakehouse.snapshot import BuildId, File, Snapshot, build_of
from lakehouse.storage import Storage


def test_the_bounds_of_a_column_by_the_log(tmp_path: Path) -> None:
    def rows(times: list[dt.datetime | None]) -> pa.Table:
        return pa.table({"at": pa.array(times, pa.timestamp("us", "UTC")), "n": [1] * len(times)})

    place = Storage(tmp_path.as_uri())
    first, last = (dt.datetime(2026, 1, day, 1, 2, 3, tzinfo=dt.UTC) for day in (1, 9))
    write_deltalake(str(tmp_path), rows([last, None]))
    write_deltalake(str(tmp_path), rows([first]), mode="append")
    write_deltalake(str(tmp_path), rows([]), mode="append")
    assert snapshots.bounds(place, 2, "at") == (first, last)
    assert snapshots.bounds(place, 0, "at") == (last, last)
    for column in ("n", "none"):
        assert snapshots.bounds(place, 2, column) is None
    write_deltalake(str(tmp_path), rows([None]), mode="append")
    assert snapshots.bounds(place, 3, "at") is None
    assert snapshots.bounds(Storage((tmp_path / "empty").as_uri()), 0, "at") is None


part = st.text("0123456789abcdef", min_size=10, max_size=10)


@settings(deadline=None)
@given(part, part, part, st.none() | part)
def test_a_build_id_is_what_its_directory_says(
    sql: str, contract: str, inputs: str, content: str | None
) -> None:
    made = BuildId(sql, contract, inputs, content)
    assert BuildId.parse(str(made)) == made
    assert build_of(f"month=2026-01-01/batch=0123456789/build={made}/part-0.parquet") == made
    assert made.effect == (content or str(made))


@pytest.mark.parametrize(
    "path",
    [
        "part-0.parquet",
        "build=x/part",
        "build=0123456789/part",
        "rebuild=" + "-".join(["0" * 10] * 3),
    ],
)
def test_other_paths_name_no_build(path: str) -> None:
    assert build_of(path) is None


def test_a_table_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    found = snapshots.read(Storage(tmp_path.as_uri()), "t")
    assert (found.version, found.exists, found.files) == (-1, False, ())


def test_paths_come_back_as_they_stand_on_disk(shop: Shop) -> None:
    shop.sales("all", ("s1", "A B"), ("s2", "50%"), ("s3", "é/ü"), ("s4", "x=y"))
    shop.build("silver.sales")
    found = shop.snapshot("silver.sales")
    assert list(found.partitions) == ["50%", "A B", "x=y", "é/ü"]
    place = shop.root / "lake/shop/silver/sales"
    assert all((place / f.path).stat().st_size == f.size for f in found.files)
    assert all(f.build and f.rows == 1 for f in found.files)
    assert found.owned() is found


def test_older_versions_can_be_read(shop: Shop) -> None:
    shop.open_for_business()
    shop.build("bronze.orders")
    shop.orders("late", ("x", "ann", 1, "2026-01-09"))
    shop.build("bronze.orders")
    lake = shop.lake()
    table = lake.domain("shop").table("bronze.orders")
    rows = [sum(f.rows for f in snapshots.read(lake.place(table), "t", v).files) for v in (0, 1, 2)]
    assert rows == [0, 4, 5]
    with pytest.raises(StorageError, match="at version 9") as raised:
        snapshots.read(lake.place(table), "t", 9)
    assert raised.value.found == "it is not made yet; there are versions 0 to 2"


def test_tables_that_would_be_read_wrongly_are_refused(tmp_path: Path) -> None:
    place = tmp_path / "t"
    write_deltalake(
        str(place), pa.table({"a": [1]}), configuration={"delta.enableDeletionVectors": "true"}
    )
    with pytest.raises(StorageError, match="deletionVectors"):
        snapshots.read(Storage(place.as_uri()), "t")


def test_files_are_live_through_a_checkpoint(shop: Shop) -> None:
    shop.open_for_business()
    shop.build("bronze.orders")
    before = shop.snapshot("bronze.orders").files
    place = shop.root / "lake/shop/bronze/orders"
    DeltaTable(str(place)).create_checkpoint()
    (place / "_delta_log" / f"{0:020}.json").unlink()
    assert shop.snapshot("bronze.orders").files == before


def test_foreign_files_are_named() -> None:
    found = Snapshot("t", 3, (File("x.parquet", 1, 1, None, None, None, 0),))
    with pytest.raises(PlanError, match=r"x\.parquet") as raised:
        found.owned()
    assert "before 3" in raised.value.remedy


def test_a_version_that_was_cleaned_away_is_no_empty_table(shop: Shop) -> None:
    shop.customers("all", ("ann", "NO"))
    shop.build("bronze.customers")
    shop.customers("all", ("bob", "SE"))
    shop.build("bronze.customers")
    table = shop.lake().domain("shop").tables["bronze.customers"]
    place = shop.lake().place(table)
    opened = snapshots.open_table(place)
    assert opened is not None
    opened.create_checkpoint()
    for entry in range(opened.version()):
        (Path(place.root) / "_delta_log" / f"{entry:020}.json").unlink()
    for version, why in ((0, "it was cleaned away"), (99, "it is not made yet")):
        with pytest.raises(StorageError, match=f"at version {version}") as raised:
            snapshots.read(place, table.name, version)
        assert raised.value.found == f"{why}; only version 2 is there"
        assert ("retention" in raised.value.remedy) is (version == 0)
