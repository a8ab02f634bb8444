"""Old batches of bronze in one file: nothing is stale, and each stays replaceable by itself."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import json
import os
import shutil
import threading
import uuid
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlparse

import pytest
from scattered import place_of, rows_at, scatter, versions_of
from shop import JANUARY, Shop, said

from lakehouse import ledger, maintenance, rewriting, sealed
from lakehouse import snapshot as snapshots
from lakehouse.errors import PlanError, SchemaChangeError, StorageError
from lakehouse.maintenance import Done, Plan, compaction
from lakehouse.maintenance.act import apply_table
from lakehouse.planning.source import _print
from lakehouse.snapshot import File

#: Landing files of one month, some of another, and some without rows.
FILES, OTHERS, EMPTY = 150, 25, 22


def name(n: int) -> str:
    return f"n{n:03}"


def rows_of(n: int) -> list[tuple[object, ...]]:
    """An order or two; of every tenth file one is kept out in silver."""
    day = f"2026-01-{n % 28 + 1:02}"
    amount = 5000 if n % 10 == 0 else n
    return [(f"o{n}", "ann", amount, day), *([(f"p{n}", "bob", n, day)] if n % 3 else [])]


TABLES = ("bronze.orders", "silver.orders", "gold.daily")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop that is built, and one whose batches are sealed."""
    root = tmp_path_factory.mktemp("sealing")
    shop = Shop(root / "built", TABLES)
    for n in range(FILES):
        shop.orders(name(n), *rows_of(n))
    for n in range(OTHERS):
        shop.orders(f"other{n:03}", (f"f{n}", "cid", n, "2026-02-03"))
    for n in range(EMPTY - 1):
        shop.orders(f"empty{n:03}")
    # Refused: no lines of a table.
    shop.land("orders/refused.csv", b"\x00\xff\x00")
    shop.build()
    shutil.copytree(root / "built", root / "sealed")
    maintained(Shop(root / "sealed", TABLES))
    return root


@pytest.fixture
def orders(tmp_path: Path, template: Path) -> Shop:
    shutil.copytree(template / "built", tmp_path, dirs_exist_ok=True)
    return Shop(tmp_path, TABLES)


def planned(shop: Shop, days: float = 31) -> Plan:
    lake = shop.lake()
    now = ledger.now() + dt.timedelta(days=days)
    return maintenance.plan(lake, lake.domain("shop"), ["bronze.orders"], now=now)


def maintained(shop: Shop, days: float = 31) -> Done:
    lake = shop.lake()
    return maintenance.maintain(lake, lake.domain("shop"), planned(shop, days))


def sealed_files(shop: Shop) -> tuple[File, ...]:
    return tuple(file for file in shop.snapshot("bronze.orders").files if file.members)


def everything(shop: Shop) -> tuple[object, ...]:
    """Rows with their ``_`` columns, what is kept out, the plan, and what those downstream see."""
    tables = ("bronze.orders", "silver.orders")
    held = {n: sorted(shop.rows(f"FROM {n}__quarantine"), key=repr) for n in tables}
    prints = {v: _print(f) for v, f in shop.snapshot("bronze.orders").partitions.items()}
    return shop.everything(), held, prints, shop.plan().targets


def parts(shop: Shop) -> dict[tuple[str | None, str | None], tuple[object, ...]]:
    return {(p.partition, p.batch): (p.build, p.rows) for p in shop.snapshot("bronze.orders").parts}


def as_built_anew(shop: Shop, root: Path) -> None:
    """The same declarations and landing files, built from nothing, have the same rows."""
    fresh = Shop(root, landing=shop.settings.landing, domains=shop.settings.domains)
    fresh.build()
    assert shop.everything() == fresh.everything()
    assert {k: str(b) for k, (b, _) in parts(shop).items()} == {
        k: str(b) for k, (b, _) in parts(fresh).items()
    }


class TestSealing:
    def test_old_batches_become_one_file_and_nothing_is_stale(self, orders: Shop) -> None:
        before, known, versions = everything(orders), parts(orders), orders.versions()
        held = versions_of(orders, "bronze.orders", 1)
        assert planned(orders, days=29).steps == ()
        (step,) = planned(orders).steps
        assert (str(step.act), step.files) == ("seal", FILES + OTHERS + EMPTY)
        assert step.because == "become 3: of batches older than 30 days"
        assert maintained(orders).steps["shop.bronze.orders"] == (
            type(step)(step.act, step.files, step.bytes, "became 3"),
        )
        assert everything(orders) == before
        assert parts(orders) == known
        files = orders.snapshot("bronze.orders").files
        assert [(f.partition, f.rows, len(f.members)) for f in files] == [
            ("2026-01-01", 2 * FILES - FILES // 3, FILES),
            ("2026-02-01", OTHERS, OTHERS),
            (None, 0, EMPTY),
        ]
        assert orders.build().changed == ()
        now = orders.versions()
        assert {n for n in now if now[n] != versions[n]} == {"bronze.orders", "ops.runs"}
        assert {v: rows_at(orders, "bronze.orders", v) for v in held} == held
        # What was sealed goes once no kept version reads it; what was kept out stays.
        assert {str(s.act) for s in planned(orders).steps} == {"vacuum"}
        maintained(orders)
        maintained(orders)
        assert everything(orders) == before
        assert planned(orders).steps == ()

    def test_the_log_says_that_no_row_changed_and_keeps_statistics(self, orders: Shop) -> None:
        place = place_of(orders, "bronze.orders")
        before = (
            rewriting.statistics(place, [f.path for f in orders.snapshot("b.orders").files])
            if False
            else None
        )
        assert before is None
        maintained(orders)
        version = snapshots.read(place, "b").version
        entry = Path(place.root, "_delta_log", f"{version:020}.json").read_text()
        actions = [json.loads(line) for line in entry.splitlines()]
        changes = [a[k]["dataChange"] for a in actions for k in ("add", "remove") if k in a]
        assert changes == [False] * (FILES + OTHERS + EMPTY + 3)

    def test_what_comes_later_is_sealed_with_it(self, orders: Shop) -> None:
        maintained(orders)
        for n in range(18):
            orders.orders(f"later{n:02}", (f"l{n}", "ann", n, "2026-01-03"))
        orders.build()
        # One file short of being worth it.
        maintained(orders)
        assert len(orders.snapshot("bronze.orders").files) == 3 + 18
        orders.orders("later18", ("l18", "ann", 1, "2026-01-03"), ("m18", "ann", 1, "2026-02-03"))
        orders.build()
        before = everything(orders)
        maintained(orders)
        assert everything(orders) == before
        files = orders.snapshot("bronze.orders").files
        assert [len(f.members) for f in files] == [FILES + 19, 0, OTHERS, EMPTY]

    def test_a_batch_of_several_files_is_one_member(self, orders: Shop) -> None:
        scatter(orders, "bronze.orders", 2)
        before, known = everything(orders), {k: b for k, (b, _) in parts(orders).items()}
        maintained(orders)
        assert everything(orders) == before
        assert {k: b for k, (b, _) in parts(orders).items()} == known
        assert sum(len(f.members) for f in sealed_files(orders)) == FILES + OTHERS + EMPTY


class TestUnsealing:
    @pytest.fixture
    def shop(self, tmp_path: Path, template: Path) -> Shop:
        shutil.copytree(template / "sealed", tmp_path, dirs_exist_ok=True)
        shop = Shop(tmp_path, TABLES)
        # The next landing is younger than all before.
        shop.ticks = 1000
        return shop

    def test_a_file_that_lands_again_replaces_its_batch_alone(
        self, shop: Shop, tmp_path: Path
    ) -> None:
        known, (february,) = (
            parts(shop),
            [f for f in sealed_files(shop) if f.partition == "2026-02-01"],
        )
        shop.orders(name(7), ("o7", "cid", 77, "2026-01-08"))
        assert list(shop.todo("bronze.orders").values()) == [
            [f"new data orders/{name(7)}.csv landed again"]
        ]
        done = shop.build()
        assert done.changed[0].partitions == 1
        now = parts(shop)
        changed = {key for key in now.keys() | known.keys() if now.get(key) != known.get(key)}
        assert len(changed) == 1
        sizes = [(f.partition, len(f.members)) for f in sealed_files(shop)]
        assert sizes == [("2026-01-01", FILES - 1), ("2026-02-01", OTHERS), (None, EMPTY)]
        assert february in sealed_files(shop)
        assert shop.plan().targets == ()
        as_built_anew(shop, tmp_path / "fresh")
        # One batch is not worth another sealing.
        assert {str(step.act) for step in planned(shop).steps} == {"vacuum"}

    def test_what_stays_has_the_statistics_of_its_rows(self, tmp_path: Path) -> None:
        shop = Shop(tmp_path, ["bronze.orders"])
        shop.edit(
            "bronze/orders.yaml", "order_id, logicalType", "order_id, primaryKey: true, logicalType"
        )
        for n in range(30):
            shop.orders(name(n), (f"o{n:03}", "ann", n, "2026-01-03"))
        shop.build()
        maintained(shop)
        place, low = (
            place_of(shop, "bronze.orders"),
            shop.rows("SELECT min(_landed_at) FROM bronze.orders"),
        )
        (file,) = sealed_files(shop)
        told = rewriting.statistics(place, [file.path])[file.path]
        assert (told.low["order_id"], told.high["order_id"]) == ("o000", "o029")
        assert [(told.low["_landed_at"],)] == low
        shop.orders(name(29))
        shop.orders(name(0))
        shop.build()
        (file,) = sealed_files(shop)
        told = rewriting.statistics(place, [file.path])[file.path]
        assert (told.low["order_id"], told.high["order_id"]) == ("o001", "o028")
        ends = shop.rows("SELECT min(_landed_at), max(_landed_at) FROM bronze.orders")
        assert [(told.low["_landed_at"], told.high["_landed_at"])] == ends
        assert (told.rows, set(told.nulls.values())) == (28, {0})

    def test_another_definition_rebuilds_them_all(self, shop: Shop, tmp_path: Path) -> None:
        shop.edit("bronze/orders.yaml", "format: csv", "format: csv, null_values: ['', '-']")
        assert len(shop.todo("bronze.orders")) == FILES + OTHERS + EMPTY
        shop.build()
        assert sealed_files(shop) == ()
        assert shop.plan().targets == ()
        as_built_anew(shop, tmp_path / "fresh")

    def test_forced(self, shop: Shop) -> None:
        before = everything(shop)
        label = f"orders/{name(3)}.csv"
        assert (
            shop.build("bronze.orders", force=True, partitions=[label]).changed[0].partitions == 1
        )
        assert everything(shop) == before
        shop.build("bronze.orders", force=True)
        assert everything(shop) == before
        assert sealed_files(shop) == ()

    def test_a_file_that_is_gone_is_kept(self, shop: Shop) -> None:
        before = everything(shop)
        for n in range(5):
            (shop.landing / f"orders/{name(n)}.csv").unlink()
        assert everything(shop) == before

    def test_nothing_can_give_another_form_to_what_is_gone(self, shop: Shop) -> None:
        shop.drop("silver.orders", "gold.daily")
        before = shop.everything()
        for n in range(5):
            (shop.landing / f"orders/{name(n)}.csv").unlink()
        shop.edit("bronze/orders.yaml", "name: amount, logicalType", "name: money, logicalType")
        with pytest.raises(SchemaChangeError, match="1 files would keep the old form"):
            shop.build("bronze.orders")
        shop.edit("bronze/orders.yaml", "name: money, logicalType", "name: amount, logicalType")
        assert shop.everything() == before
        assert shop.plan().targets == ()

    def test_kept_beside_another_definition(self, shop: Shop) -> None:
        for n in range(5):
            (shop.landing / f"orders/{name(n)}.csv").unlink()
        rows = shop.everything()["bronze.orders"]
        shop.edit("bronze/orders.yaml", "format: csv", "format: csv, null_values: ['', '-']")
        shop.build("bronze.orders")
        assert [len(f.members) for f in sealed_files(shop)] == [5]
        assert shop.everything()["bronze.orders"] == rows
        assert shop.plan("bronze.orders").targets == ()

    def test_a_column_that_is_new(self, shop: Shop) -> None:
        for n in range(5):
            (shop.landing / f"orders/{name(n)}.csv").unlink()
        shop.edit(
            "bronze/orders.yaml",
            "  - {name: ordered,",
            "  - {name: note, logicalType: string, physicalType: VARCHAR}\n  - {name: ordered,",
        )
        shop.edit(
            "bronze/orders.yaml", "format: csv", "format: csv, missing_columns: null_fill"
        ) if False else None
        shop.build("bronze.orders")
        assert shop.rows("SELECT count(*) FROM bronze.orders WHERE note IS NOT NULL") == [(0,)]

    def test_a_file_that_is_gone_goes(self, shop: Shop, tmp_path: Path) -> None:
        shop.edit("bronze/orders.yaml", "source:", "on_gone: remove\n    source:")
        for n in range(5):
            (shop.landing / f"orders/{name(n)}.csv").unlink()
        for n in range(OTHERS):
            (shop.landing / f"orders/other{n:03}.csv").unlink()
        assert {r for t in shop.plan("bronze.orders").targets for r in said(t)} == {
            "gone from source"
        }
        shop.build()
        assert [len(f.members) for f in sealed_files(shop)] == [FILES - 5, EMPTY]
        assert shop.plan().targets == ()
        as_built_anew(shop, tmp_path / "fresh")

    def test_a_file_that_was_refused_is_mended(self, shop: Shop, tmp_path: Path) -> None:
        shop.orders("refused", ("r1", "ann", 1, "2026-01-31"))
        shop.build()
        assert [len(f.members) for f in sealed_files(shop)] == [FILES, OTHERS, EMPTY - 1]
        assert ("r1",) in shop.rows("SELECT order_id FROM silver.orders")
        as_built_anew(shop, tmp_path / "fresh")

    def test_late_data_is_told_by_its_file(self, shop: Shop) -> None:
        shop.orders("late", ("z1", "ann", 1, "2026-01-31"))
        shop.build("bronze.orders")
        assert shop.todo("silver.orders") == {
            ("silver.orders", "2026-01-01"): ["late data bronze.orders orders/late.csv"]
        }

    def test_what_is_kept_out_of_a_sealed_batch_is_still_read(self, shop: Shop) -> None:
        held = sorted(shop.rows("FROM bronze.orders__quarantine"), key=repr)
        maintained(shop, days=45)
        maintained(shop, days=90)
        assert held and sorted(shop.rows("FROM bronze.orders__quarantine"), key=repr) == held

    def test_a_footer_that_was_changed_is_not_believed(self, shop: Shop) -> None:
        import pyarrow.parquet as pq

        path = f"{place_of(shop, 'bronze.orders').root}/{sealed_files(shop)[0].path}"
        rows = pq.read_table(path, partitioning=None)
        pq.write_table(rows.replace_schema_metadata({}), path)
        sealed.members.cache_clear()
        with pytest.raises(StorageError, match="lists other batches than its directory names"):
            shop.plan()

    def test_batches_of_a_day(self, tmp_path: Path) -> None:
        shop = Shop(tmp_path, ["bronze.orders"])
        shop.edit("bronze/orders.yaml", "format: csv", "format: csv, batch: day")
        for n in range(60):
            shop.orders(name(n), (f"o{n}", "ann", n, "2026-01-03"))
            when = 1_780_000_000 + (n // 2) * 86400
            os.utime(shop.landing / f"orders/{name(n)}.csv", (when, when))
        shop.build()
        before = shop.everything()
        maintained(shop)
        assert [len(f.members) for f in sealed_files(shop)] == [30]
        # Half of a day's files are gone: kept; and torn once the other half lands again.
        (shop.landing / f"orders/{name(0)}.csv").unlink()
        assert shop.plan().targets == ()
        shop.orders(name(1), ("o1", "bob", 1, "2026-01-03"))
        os.utime(shop.landing / f"orders/{name(1)}.csv", (1_780_000_007, 1_780_000_007))
        with pytest.raises(PlanError, match=f"they hold rows of orders/{name(0)}.csv"):
            shop.plan()
        assert shop.everything() == before


def test_a_merge_that_a_build_was_faster_than_is_left_out(orders: Shop) -> None:
    found = planned(orders)
    orders.orders(name(7), ("o7", "cid", 77, "2026-01-08"))
    orders.build()
    before, lake = everything(orders), orders.lake()
    done = maintenance.maintain(lake, lake.domain("shop"), found)
    (step,) = done.steps["shop.bronze.orders"]
    assert step.because == "became 2; 1 others were replaced by a build meanwhile"
    assert everything(orders) == before


def test_a_build_that_was_planned_before_the_sealing(
    orders: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakehouse import commit

    publish, lake, found = commit.publish, orders.lake(), planned(orders)
    orders.orders(name(7), ("o7", "cid", 77, "2026-01-08"))

    def late(*args: object, **kwargs: object) -> object:
        monkeypatch.setattr(commit, "publish", publish)
        maintenance.maintain(lake, lake.domain("shop"), found)
        return publish(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(commit, "publish", late)
    orders.build()
    assert [len(f.members) for f in sealed_files(orders)] == [FILES - 1, OTHERS, EMPTY]
    assert orders.plan().targets == ()
    as_built_anew(orders, tmp_path / "fresh")


def test_beside_a_builder(orders: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "_SEALED_FILES", 2)
    ended = threading.Event()
    orders.ticks = 1000

    def sealing() -> int:
        done = 0
        while not ended.is_set():
            # By a clock that is a month fast, what a builder stages at this moment is an orphan.
            for table in planned(orders).tables:
                apply_table(replace(table, dead=(), orphans=(), log=()), "sealing")
                done += len(table.seals)
        return done

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        beside = pool.submit(sealing)
        try:
            for turn in range(12):
                for n in range(turn, FILES, 29):
                    orders.orders(name(n), (f"o{n}", "cid", turn, f"2026-0{turn % 2 + 1}-05"))
                orders.build("bronze.orders")
        finally:
            ended.set()
        assert beside.result() > 3
    assert any(file.members for file in orders.snapshot("bronze.orders").files)
    orders.build()
    assert orders.plan().targets == ()
    as_built_anew(orders, tmp_path / "fresh")


@pytest.mark.s3
def test_the_same_on_s3(
    tmp_path: Path, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(key, s3[key])
    place = f"s3://{urlparse(s3['LAKE_URI']).netloc}/{uuid.uuid4().hex}"
    landing = (tmp_path / "landing").as_uri()
    shop = Shop(tmp_path, uri=place, landing=landing, s3_endpoint=s3["LAKE_S3_ENDPOINT"])
    shop.open_for_business()
    for n in range(20):
        shop.orders(name(n), *rows_of(n))
    shop.build()
    before = everything(shop)
    maintained(shop)
    sealed.members.cache_clear()
    assert everything(shop) == before
    assert [len(f.members) for f in sealed_files(shop)] == [21]
    shop.orders("2026-01", *JANUARY[:1])
    shop.build()
    sealed.members.cache_clear()
    assert [len(f.members) for f in sealed_files(shop)] == [20]
    assert shop.plan().targets == ()
    assert ("a2",) not in shop.rows("SELECT order_id FROM silver.orders")
