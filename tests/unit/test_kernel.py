"""What a task writes: files, statistics, content ids, quarantine; and when it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from shop import FEBRUARY, JANUARY, MARCH, Shop

from lakehouse.build.tasks import grouped, task_of
from lakehouse.engines import kernel
from lakehouse.engines.base import Staged, Task
from lakehouse.errors import EngineError
from lakehouse.planning import NO_ROWS
from lakehouse.snapshot import build_of
from lakehouse.types import arrow


def tasks(shop: Shop, name: str) -> list[Task]:
    session = shop.session()
    table = session.domain.tables[name]
    seen = session.read([*table.reads, name])
    targets = session.targets(table, {}, seen)
    return [task_of(session, table, [t], len(targets)) for t in targets]


def stage(shop: Shop, name: str) -> list[Staged]:
    return [one for task in tasks(shop, name) for one in kernel.stage(task)]


def data(shop: Shop, name: str) -> Path:
    return shop.root / "lake" / "shop" / Path(*name.split("."))


@pytest.fixture
def orders(shop: Shop) -> Shop:
    shop.orders("2026-01", *JANUARY, ("a8", "ann", 2000, "2026-01-08"))
    shop.build("bronze.orders")
    return shop


def test_a_staged_target_says_what_it_holds(orders: Shop) -> None:
    (staged,) = stage(orders, "silver.orders")
    (file,) = staged.files
    assert (staged.rows_in, staged.selected, staged.published, staged.quarantined) == (3, 3, 2, 1)
    assert staged.reasons == {"amount_plausible": 1}
    assert file.path.startswith("order_month=2026-01-01/build=")
    written = data(orders, "silver.orders") / file.path
    assert (written.stat().st_size, pq.read_metadata(written).num_rows) == (file.size, file.rows)
    # Types are those of the contract, and the partition stands in the log only.
    types = tasks(orders, "silver.orders")[0].contract.types
    schema = pq.read_schema(written)
    assert {n: schema.field(n).type for n in schema.names} == {
        n: arrow(t) for n, t in types.items() if n != "order_month"
    }


def test_nothing_is_in_the_log_before_the_commit(orders: Shop) -> None:
    stage(orders, "silver.orders")
    assert not orders.snapshot("silver.orders").exists


def test_statistics_count_published_rows_and_bound_keys_and_times(orders: Shop) -> None:
    (staged,) = stage(orders, "silver.orders")
    stats = json.loads(staged.files[0].stats)
    assert stats == {
        "numRecords": 2,
        "minValues": {"order_id": "a1", "ordered": "2026-01-05"},
        "maxValues": {"order_id": "a2", "ordered": "2026-01-30"},
        "nullCount": {"order_id": 0, "ordered": 0},
    }
    orders.orders("2026-01", ("x" * 100, "ann", 1, "2026-01-05"))
    orders.build("bronze.orders")
    (staged,) = stage(orders, "silver.orders")
    # A bound that would have to be cut is left out.
    assert "order_id" not in json.loads(staged.files[0].stats)["maxValues"]


def test_times_are_bounded_in_the_form_of_the_log(orders: Shop) -> None:
    orders.orders("2026-02", ("b1", "ann", 1, "2026-02-05"))
    stats = [json.loads(f.stats) for s in stage(orders, "bronze.orders") for f in s.files]
    assert stats[0]["minValues"] == {"_landed_at": "2026-05-28T20:26:42.000000Z"}


class TestContent:
    def content(self, shop: Shop, name: str) -> list[str | None]:
        builds = (build_of(f.path) for s in stage(shop, name) for f in s.files)
        return [b.content if b else None for b in builds]

    def test_the_order_of_rows_does_not_matter(self, shop: Shop) -> None:
        shop.customers("all", ("ann", "NO"), ("bob", "SE"))
        shop.build("bronze.customers")
        first = self.content(shop, "silver.customers")
        shop.customers("all", ("bob", "SE"), ("ann", "NO"))
        shop.build("bronze.customers")
        assert self.content(shop, "silver.customers") == first

    @pytest.mark.parametrize(
        "rows", [[("ann", "SE")], [("ann", "NO"), ("ann2", "NO")], [("NO", "ann")], [("ann", "")]]
    )
    def test_other_rows_are_other_content(self, shop: Shop, rows: list[tuple[str, str]]) -> None:
        shop.customers("all", ("ann", "NO"))
        shop.build("bronze.customers")
        first = self.content(shop, "silver.customers")
        shop.customers("all", *rows)
        shop.build("bronze.customers")
        assert self.content(shop, "silver.customers") != first

    def test_two_equal_rows_do_not_cancel(self, shop: Shop) -> None:
        shop.edit("silver/sales.yaml", "rows: {from: bronze.sales}", "max_quarantined: 0.9")
        contents = []
        for rows in ([("s", "n")], [("s", "n")] * 2, [("s", "n")] * 3):
            shop.sales("all", *rows)
            shop.build("bronze.sales")
            contents += self.content(shop, "silver.sales")
        assert len(set(contents)) == 3

    def test_no_rows_have_one_content_whatever_the_table(self, shop: Shop) -> None:
        shop.edit("silver/orders.yaml", "rows:", "max_quarantined: 1\n    rows:")
        shop.orders("2026-01", ("a8", "ann", 2000, "2026-01-08"))
        shop.build("bronze.orders")
        assert self.content(shop, "silver.orders") == [NO_ROWS]


class TestRefused:
    def test_a_join_that_multiplies(self, orders: Shop) -> None:
        (task,) = tasks(orders, "silver.orders")
        doubled = replace(task, sql=f"{task.sql} CROSS JOIN (SELECT unnest([1, 2])) AS u")
        with pytest.raises(EngineError, match="3 rows in, 6 selected") as raised:
            kernel.stage(doubled)
        assert "unique" in raised.value.remedy

    def test_sql_that_fails_names_the_table_and_its_file(self, orders: Shop) -> None:
        (task,) = tasks(orders, "silver.orders")
        with pytest.raises(EngineError, match=r"stage shop\.silver\.orders 2026-01-01") as raised:
            kernel.stage(replace(task, sql="SELECT error('no')"))
        assert "orders.sql" in raised.value.remedy

    def test_too_little_memory_names_the_setting(self, orders: Shop) -> None:
        (task,) = tasks(orders, "silver.orders")
        large = "(SELECT array_agg(i) FROM range(50000000) AS r(i))"
        with pytest.raises(EngineError) as raised:
            kernel.stage(
                replace(task, sql=f"{task.sql} WHERE len({large}) > 0", memory=30 * 1024**2)
            )
        assert "LAKE_WORKER_MEMORY" in raised.value.remedy


def test_superseded_rows_are_counted_and_sampled(orders: Shop) -> None:
    orders.orders("again", ("a1", "ann", 12, "2026-01-05"))
    orders.build("bronze.orders")
    (staged,) = stage(orders, "silver.orders")
    assert (staged.rows_in, staged.superseded) == (4, 1)
    assert staged.samples == (("orders/2026-01.csv", 2),)


def test_rows_outside_the_partition_are_quarantined(orders: Shop) -> None:
    orders.edit(
        "silver/orders.sql",
        "_landed_at, order_month",
        "_landed_at, CAST(order_month + INTERVAL '1' MONTH AS DATE) AS order_month",
    )
    (staged,) = stage(orders, "silver.orders")
    assert (staged.published, staged.reasons["outside_partition"]) == (0, 3)


class TestNeighbours:
    """Months of a table with a lookback, which read each other's days."""

    @pytest.fixture
    def daily(self, shop: Shop) -> Shop:
        shop.orders("all", *JANUARY, *FEBRUARY, *MARCH)
        shop.orders("later", ("z1", "ann", 3, "2026-06-02"))
        shop.build("silver.orders")
        return shop

    def groups(
        self, shop: Shop, slots: int, *, spreads: bool = False, **settings: object
    ) -> list[list[str]]:
        session = shop.session()
        session.lake = replace(
            session.lake, settings=session.lake.settings.model_copy(update=settings)
        )
        table = session.domain.tables["gold.daily"]
        seen = session.read([*table.reads, table.short])
        targets = session.targets(table, {}, seen)
        groups = grouped(session, table, targets, slots, spreads=spreads)
        return [[t.key for t in group] for group in groups]

    def test_those_that_share_files_are_one_task(self, daily: Shop) -> None:
        months = ["2026-01-01", "2026-02-01", "2026-03-01"]
        assert self.groups(daily, 1) == [months, ["2026-06-01"]]
        assert self.groups(daily, 2) == [months[:2], months[2:], ["2026-06-01"]]
        assert self.groups(daily, 8) == [months[:2], months[2:], ["2026-06-01"]]
        assert self.groups(daily, 1, worker_memory=1000) == [[m] for m in (*months, "2026-06-01")]

    def test_an_engine_that_spreads_a_task_gets_some_minutes_of_work_at_once(
        self, daily: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        months = ["2026-01-01", "2026-02-01", "2026-03-01", "2026-06-01"]
        assert self.groups(daily, 2, spreads=True) == [months]
        silver = sum(file.size for file in daily.snapshot("silver.orders").files)
        # A file that several months read counts once.
        monkeypatch.setattr("lakehouse.build.tasks._SPREAD", silver)
        assert self.groups(daily, 1, spreads=True) == [months]
        monkeypatch.setattr("lakehouse.build.tasks._SPREAD", silver - 1)
        assert self.groups(daily, 1, spreads=True) == [months[:3], months[3:]]
        assert self.groups(daily, 2, spreads=True) == [months]

    def test_together_they_are_what_each_is_alone(self, daily: Shop) -> None:
        session = daily.session()
        table = session.domain.tables["gold.daily"]
        seen = session.read([*table.reads, table.short])
        targets = session.targets(table, {}, seen)
        alone = [s for t in targets for s in kernel.stage(task_of(session, table, [t], 1))]
        together = kernel.stage(task_of(session, table, targets, 1))
        told = [
            [
                (s.key, [str(build_of(f.path)) for f in s.files], s.rows_in, s.published, s.numbers)
                for s in made
            ]
            for made in (alone, together)
        ]
        assert told[0] == told[1]
        assert len(told[0]) == 4
