"""Plan, build, plan again: what is stale and why, and what the rows are afterwards."""

from __future__ import annotations

import datetime as dt
import shutil

import pytest
from shop import FEBRUARY, JANUARY, MARCH, Shop

from lakehouse.build import table
from lakehouse.engines import kernel
from lakehouse.engines.base import Staged, Task
from lakehouse.errors import EngineError, PlanError
from lakehouse.planning import Action

JAN, FEB = "2026-01-01", "2026-02-01"
_UNREAD = "months unknown until a file is read"


@pytest.fixture
def built(shop: Shop) -> Shop:
    shop.open_for_business()
    shop.build()
    return shop


@pytest.fixture
def orders(shop: Shop) -> Shop:
    """Two months of orders, built, without what orders do not need."""
    shop.drop("silver.sales", "bronze.sales")
    shop.open_for_business()
    shop.build()
    return shop


class TestNothingToDo:
    def test_the_first_plan_names_what_landed_and_what_follows(self, shop: Shop) -> None:
        shop.open_for_business()
        assert shop.todo("silver.orders", "silver.customers") == {
            ("bronze.orders", "orders/2026-01.csv"): ["new data orders/2026-01.csv"],
            ("bronze.orders", "orders/2026-02.csv"): ["new data orders/2026-02.csv"],
            ("bronze.customers", "customers/all.csv"): ["new data customers/all.csv"],
            ("silver.orders", ""): [f"after bronze bronze.orders {_UNREAD}"],
            ("silver.customers", ""): ["missing", "upstream rebuilt bronze.customers"],
        }

    def test_a_build_publishes_rows_and_building_again_commits_nothing(self, built: Shop) -> None:
        assert built.rows("FROM gold.daily ORDER BY ordered") == [
            (dt.date(2026, 1, 5), 1, 10, dt.date(2026, 1, 1)),
            (dt.date(2026, 1, 30), 1, 20, dt.date(2026, 1, 1)),
            (dt.date(2026, 2, 2), 1, 25, dt.date(2026, 2, 1)),
            (dt.date(2026, 2, 20), 1, 7, dt.date(2026, 2, 1)),
        ]
        assert built.todo() == {}
        before, files = built.versions(), built.snapshot("silver.orders").files
        again = built.build()
        assert not again.changed and not again.blocked
        assert built.versions() == before
        assert built.snapshot("silver.orders").files == files

    @pytest.mark.parametrize(
        ("file", "old", "new"),
        [
            ("silver/orders.sql", "FROM typed", "  FROM\n\n typed -- a comment"),
            ("silver/orders.sql", "row_number()", "ROW_NUMBER()"),
            ("silver/orders.yaml", "orders of the shop", "what was ordered"),
            (
                "silver/orders.yaml",
                "max_value: 1000}}}\n  - {id: any",
                "max_value: 1000}}}\n  - {id: some",
            ),
            (
                "silver/orders.yaml",
                "kwargs: {max_value: 1000}}}\n\n",
                "kwargs: {max_value: 9}}}\n\n",
            ),
            ("silver/orders.yaml", "schema:", "team: {name: sales}\nschema:"),
            (
                "silver/orders.yaml",
                "customProperties:\n- property",
                "slaProperties: [{property: age, value: 4, unit: d}]\ncustomProperties:\n- property",
            ),
            ("bronze/orders.yaml", "orders of the shop", "as landed"),
        ],
        ids=["layout", "case", "words", "rule-name", "table-rule", "owner", "sla", "bronze-words"],
    )
    def test_what_only_describes_makes_nothing_stale(
        self, orders: Shop, file: str, old: str, new: str
    ) -> None:
        orders.edit(file, old, new)
        assert orders.todo() == {}


class TestReasons:
    def test_a_late_row_makes_its_month_and_the_months_that_read_it_stale(
        self, orders: Shop
    ) -> None:
        orders.orders("2026-03", *MARCH)
        orders.build()
        orders.orders("late", ("b9", "ann", 4, "2026-02-28"), ("d1", "ann", 1, "2026-04-01"))
        orders.build("bronze.orders")
        assert orders.todo() == {
            ("silver.orders", FEB): ["late data bronze.orders orders/late.csv"],
            ("silver.orders", "2026-04-01"): ["missing"],
            ("gold.countries", FEB): ["upstream rebuilt silver.orders 2026-02-01"],
            ("gold.countries", "2026-04-01"): [
                "missing",
                "upstream rebuilt silver.orders 2026-04-01",
            ],
            ("gold.daily", FEB): ["upstream rebuilt silver.orders 2026-02-01"],
            ("gold.daily", "2026-03-01"): ["upstream rebuilt silver.orders 2026-02-01"],
            ("gold.daily", "2026-04-01"): [
                "missing",
                "upstream rebuilt silver.orders 2026-04-01",
            ],
        }
        done = {t.table: t.keys for t in orders.build().changed}
        assert done == {
            "shop.silver.orders": (FEB, "2026-04-01"),
            "shop.gold.countries": (FEB, "2026-04-01"),
            "shop.gold.daily": (FEB, "2026-03-01", "2026-04-01"),
        }
        assert ("b9", 4) in orders.rows("SELECT order_id, amount FROM silver.orders")

    def test_a_changed_query_names_its_file(self, orders: Shop) -> None:
        orders.edit("gold/countries.sql", "'?'", "'unknown'")
        file = str(orders.domain / "gold/countries.sql")
        assert orders.todo() == {
            ("gold.countries", JAN): [f"SQL changed {file}"],
            ("gold.countries", FEB): [f"SQL changed {file}"],
        }

    def test_a_changed_rule_admits_rows_again(self, orders: Shop) -> None:
        orders.orders("2026-01", *JANUARY, ("a9", "ann", 5000, "2026-01-09"))
        orders.build()
        assert orders.rows("SELECT count(*) FROM silver.orders__quarantine") == [(1,)]
        orders.edit(
            "silver/orders.yaml",
            "column: amount, max_value: 1000",
            "column: amount, max_value: 9000",
        )
        file = str(orders.domain / "silver/orders.yaml")
        todo = orders.todo()
        assert todo["silver.orders", JAN] == [f"contract changed {file}"]
        assert todo["gold.daily", JAN] == ["upstream rebuilt silver.orders 2026-01-01"]
        orders.build()
        assert orders.rows("SELECT amount FROM silver.orders WHERE order_id = 'a9'") == [(5000,)]
        assert orders.rows("SELECT count(*) FROM silver.orders__quarantine") == [(0,)]
        # February's rows are the same under the new rule: nothing downstream of it is built.
        last = {b["key"] for b in orders.builds() if b["table"] == "shop.gold.daily"}
        assert last == {JAN, FEB}
        assert [b["key"] for b in orders.builds() if b["table"] == "shop.gold.daily"].count(
            FEB
        ) == 2

    def test_a_file_landed_again_replaces_its_rows(self, orders: Shop) -> None:
        orders.orders("2026-01", ("a1", "ann", 11, "2026-01-05"))
        assert orders.todo()["bronze.orders", "orders/2026-01.csv"] == [
            "new data orders/2026-01.csv landed again"
        ]
        orders.build()
        assert orders.rows("SELECT order_id, amount FROM silver.orders ORDER BY 1") == [
            ("a1", 11),
            ("b1", 5),
            ("b2", 7),
        ]
        assert orders.todo() == {}

    def test_the_same_dimension_again_rebuilds_nothing_downstream(self, orders: Shop) -> None:
        orders.customers("all", *(("cid", "NO"), ("bob", "SE"), ("ann", "NO")))
        uncertain = {(t.table, t.key) for t in orders.plan().targets if not t.certain}
        assert uncertain == {
            ("silver.customers", ""),
            ("gold.countries", JAN),
            ("gold.countries", FEB),
        }
        assert [t.table for t in orders.build().changed] == [
            "shop.bronze.customers",
            "shop.silver.customers",
        ]
        assert orders.todo() == {}

    def test_without_the_ledger_the_same_is_built(self, orders: Shop) -> None:
        shutil.rmtree(orders.root / "lake" / "ops")
        assert orders.todo() == {}
        orders.orders("late", ("a9", "ann", 4, "2026-01-06"))
        orders.build("bronze.orders")
        shutil.rmtree(orders.root / "lake" / "ops")
        assert set(orders.todo()) == {
            ("silver.orders", JAN),
            *(("gold.daily", month) for month in (JAN, FEB)),
            ("gold.countries", JAN),
        }


class TestAccepts:
    def test_an_accepted_definition_rebuilds_nothing(self, orders: Shop) -> None:
        old = orders.lake().domain("shop").table("gold.countries").definition
        orders.edit("gold/countries.sql", "count(*)", "sum(1)")
        orders.edit("gold/countries.sql", "sum(1)", "CAST(sum(1) AS BIGINT)")
        assert len(orders.todo()) == 2
        orders.edit("gold/countries.yaml", "reads:", f"accepts: [{old}]\n    reads:")
        assert orders.todo() == {}
        # New data is built by the new definition, the other month stays as it is.
        orders.orders("late", ("b9", "bob", 4, "2026-02-06"))
        orders.build()
        definitions = {
            f.partition: f"{f.build.sql}-{f.build.contract}"
            for f in orders.snapshot("gold.countries").files
            if f.build
        }
        assert definitions[JAN] == old != definitions[FEB]


class TestForce:
    def test_force_rebuilds_the_named_partitions_only(self, orders: Shop) -> None:
        before = orders.snapshot("silver.orders").partitions
        done = orders.build("silver.orders", force=True, partitions=[JAN])
        assert [(t.table, t.keys) for t in done.changed] == [("shop.silver.orders", (JAN,))]
        after = orders.snapshot("silver.orders").partitions
        assert after[FEB] == before[FEB]
        assert after[JAN][0].path != before[JAN][0].path
        assert orders.builds()[-1]["reasons"].count("forced") == 1
        # The same rows: nothing downstream is stale.
        assert orders.todo() == {}

    def test_force_takes_a_landing_file_by_its_path(self, orders: Shop) -> None:
        done = orders.build("bronze.orders", force=True, partitions=["orders/2026-02.csv"])
        assert [t.partitions for t in done.changed] == [1]
        assert orders.todo() == {}


class TestGone:
    def test_files_that_vanish_are_kept_by_default(self, orders: Shop) -> None:
        (orders.landing / "orders/2026-01.csv").unlink()
        assert orders.todo() == {}

    def test_files_that_vanish_take_their_rows_where_the_contract_says_so(
        self, orders: Shop
    ) -> None:
        orders.edit("bronze/orders.yaml", "source:", "on_gone: remove\n    source:")
        (orders.landing / "orders/2026-01.csv").unlink()
        (target,) = orders.plan("bronze.orders").targets
        assert (target.action, target.reasons[0].code) == (Action.remove, "gone from source")
        orders.build()
        assert orders.rows("SELECT DISTINCT order_month FROM bronze.orders") == [
            (dt.date(2026, 2, 1),)
        ]
        assert orders.rows("SELECT count(*) FROM silver.orders") == [(2,)]
        assert orders.rows("SELECT week_amount FROM gold.daily ORDER BY ordered") == [(5,), (7,)]
        assert orders.todo() == {}

    def test_an_empty_landing_zone_is_no_reason_to_remove_everything(self, orders: Shop) -> None:
        orders.edit("bronze/orders.yaml", "source:", "on_gone: remove\n    source:")
        shutil.rmtree(orders.landing)
        with pytest.raises(PlanError, match="nothing is listed") as raised:
            orders.plan()
        assert "LAKE_LANDING" in raised.value.remedy
        assert orders.rows("SELECT count(*) FROM bronze.orders") == [(4,)]


class TestDailyBatches:
    """Batches of several files, named by the day (UTC) on which the files landed."""

    @pytest.fixture
    def daily(self, shop: Shop) -> Shop:
        shop.edit("bronze/orders.yaml", "format: csv", "format: csv, batch: day")
        shop.orders("a", JANUARY[0])
        shop.orders("b", JANUARY[1])
        shop.build("silver.orders")
        return shop

    def tomorrow(self, shop: Shop) -> None:
        shop.ticks += 86_400

    def ids(self, shop: Shop) -> list[str]:
        return [o for (o,) in shop.rows("SELECT order_id FROM bronze.orders ORDER BY 1")]

    def test_a_file_that_lands_again_on_another_day_is_there_once(self, daily: Shop) -> None:
        assert len(daily.snapshot("bronze.orders").batches) == 1
        self.tomorrow(daily)
        daily.orders("a", ("a1", "ann", 99, "2026-01-05"))
        daily.build("silver.orders")
        assert self.ids(daily) == ["a1", "a2"]
        assert len(daily.snapshot("bronze.orders").batches) == 2
        assert daily.todo("silver.orders") == {}

    def test_a_day_whose_files_all_land_again_is_replaced(self, daily: Shop) -> None:
        self.tomorrow(daily)
        daily.orders("a", ("a1", "ann", 99, "2026-01-05"))
        daily.orders("b", JANUARY[1])
        assert [t.action for t in daily.plan("bronze.orders").targets] == [
            Action.build,
            Action.remove,
        ]
        daily.build("silver.orders")
        assert self.ids(daily) == ["a1", "a2"]
        assert daily.rows("SELECT sum(amount) FROM silver.orders") == [(119,)]
        assert daily.todo("silver.orders") == {}

    def test_files_that_are_gone_are_kept(self, daily: Shop) -> None:
        (daily.landing / "orders/b.csv").unlink()
        assert daily.todo("silver.orders") == {}
        (daily.landing / "orders/a.csv").unlink()
        assert daily.todo("silver.orders") == {}
        assert self.ids(daily) == ["a1", "a2"]

    def test_a_day_that_is_partly_gone_and_partly_other_is_refused(self, daily: Shop) -> None:
        (daily.landing / "orders/b.csv").unlink()
        daily.orders("a", ("a1", "ann", 99, "2026-01-05"))
        with pytest.raises(PlanError, match=r"orders/b\.csv, gone") as raised:
            daily.plan("bronze.orders")
        assert "on_gone: remove" in raised.value.remedy
        self.tomorrow(daily)
        daily.orders("a", ("a1", "ann", 99, "2026-01-05"))
        with pytest.raises(PlanError, match=r"orders/b\.csv, gone"):
            daily.plan("bronze.orders")
        daily.edit("bronze/orders.yaml", "source:", "on_gone: remove\n    source:")
        daily.build("silver.orders")
        assert self.ids(daily) == ["a1"]


class TestMarkers:
    @pytest.mark.parametrize(
        ("data", "quarantined"),
        [
            (b"", 0),
            (b"order_id,customer,amount,ordered\n", 0),
            (b"some,other,header\n1,2,3\n", 1),
            (b"order_id,customer,amount,ordered\nx1,ann,5,no date\n", 1),
        ],
        ids=["empty", "header-only", "refused", "rejected"],
    )
    def test_a_file_without_good_rows_is_planned_once(
        self, orders: Shop, data: bytes, quarantined: int
    ) -> None:
        orders.land("orders/odd.csv", data)
        (done,) = orders.build().changed
        assert (done.table, done.rows_out, done.quarantined) == (
            "shop.bronze.orders",
            0,
            quarantined,
        )
        assert orders.todo() == {}
        bad = orders.rows("SELECT count(*) FROM bronze.orders__quarantine")
        assert bad == [(quarantined,)]
        assert sorted(f.rows for f in orders.snapshot("bronze.orders").files) == [0, 2, 2]

    def test_a_month_whose_rows_are_all_quarantined_is_planned_once(self, orders: Shop) -> None:
        orders.edit("silver/orders.yaml", "rows:", "max_quarantined: 1\n    rows:")
        orders.orders("2026-03", ("c1", "ann", 9999, "2026-03-01"))
        orders.build()
        assert ("2026-03-01", 0) in orders.live("silver.orders")
        assert orders.todo() == {}


class TestWaitsAndBlocks:
    def test_nothing_published_upstream_is_waited_for(self, shop: Shop) -> None:
        shop.orders("2026-01", *JANUARY)
        done = {t.table: t for t in shop.build().tables}
        assert done["shop.silver.customers"].waiting == (
            "silver.customers waits for bronze.customers",
        )
        assert done["shop.silver.customers"].version == -1
        assert done["shop.gold.countries"].waiting == ("gold.countries waits for silver.customers",)
        assert done["shop.gold.daily"].partitions == 1

    def test_a_blocked_month_is_reported_once_and_not_tried_again(self, orders: Shop) -> None:
        orders.orders("2026-03", *[(f"c{i}", "ann", 9999, "2026-03-01") for i in range(3)], *MARCH)
        done = orders.build()
        assert [(b.table, b.partition, b.rule) for b in done.blocked] == [
            ("shop.silver.orders", "2026-03-01", "quarantined_share")
        ]
        daily = next(t for t in done.tables if t.table == "shop.gold.daily")
        assert daily.partitions == 0
        assert orders.rows("SELECT count(*) FROM silver.orders") == [(4,)]
        blocked = orders.plan().targets[0]
        assert (blocked.action, blocked.key) == (Action.blocked, "2026-03-01")
        assert blocked.reasons[0].detail == "quarantined_share"
        before = orders.versions()
        again = orders.build()
        assert [b.detail for b in again.blocked] == ["blocked before, nothing has changed"]
        assert orders.versions() == before

    @pytest.mark.parametrize("way", ["contract", "waiver", "data", "force"])
    def test_a_blocked_month_is_tried_again(self, orders: Shop, way: str) -> None:
        bad = [(f"c{i}", "ann", 9999, "2026-03-01") for i in range(3)]
        orders.orders("2026-03", *bad, *MARCH)
        orders.build()
        waiver = (
            "waivers: [{rule: quarantined_share, until: 2999-01-01, by: me@example.org, "
            "because: known}]\n    rows:"
        )
        match way:
            case "contract":
                orders.edit("silver/orders.yaml", "rows:", "max_quarantined: 0.9\n    rows:")
            case "waiver":
                orders.edit("silver/orders.yaml", "rows:", waiver)
            case "data":
                orders.orders("2026-03", *MARCH)
        if way == "force":
            assert orders.build("silver.orders", force=True).blocked
            return
        assert orders.build().blocked == ()
        assert orders.rows(
            "SELECT order_id FROM silver.orders WHERE order_month > '2026-02-02'"
        ) == [("c1",)]
        assert orders.todo() == {}

    def test_downstream_of_a_blocked_rebuild_the_last_good_rows_are_used(
        self, orders: Shop
    ) -> None:
        orders.orders("late", *[(f"x{i}", "ann", 9999, "2026-02-03") for i in range(4)])
        done = orders.build()
        assert [b.partition for b in done.blocked] == [FEB]
        assert orders.rows("SELECT count(*) FROM silver.orders") == [(4,)]
        daily = next(t for t in done.tables if t.table == "shop.gold.daily")
        assert (daily.waiting, daily.partitions) == ((), 0)
        orders.edit("gold/daily.sql", "count(*)", "count(order_id)")
        assert next(t for t in orders.build().changed).table == "shop.gold.daily"

    def test_of_twelve_months_eleven_are_published(self, shop: Shop) -> None:
        rows = [(f"o{m}", "ann", 9999 if m == 7 else m, f"2026-{m:02}-01") for m in range(1, 13)]
        shop.orders("all", *rows)
        done = shop.build("silver.orders")
        assert [b.partition for b in done.blocked] == ["2026-07-01"]
        months = {f.partition for f in shop.snapshot("silver.orders").files}
        assert len(months) == 11 and "2026-07-01" not in months
        assert shop.rows("SELECT count(*) FROM silver.orders__quarantine") == [(0,)]


class TestPortions:
    """What is ready is published while others are still staged."""

    @pytest.fixture(autouse=True)
    def at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(table, "_PORTION_S", 0.0)

    def test_each_target_is_a_commit_and_the_run_is_told_as_one(self, shop: Shop) -> None:
        shop.open_for_business()
        done = {t.table: t for t in shop.build("silver.orders").tables}["shop.silver.orders"]
        assert (done.version, done.partitions, done.rows_out) == (2, 2, 4)
        assert [(b["key"], b["version"], b["result"]) for b in of(shop, "silver.orders")] == [
            (JAN, 1, "published"),
            (FEB, 2, "published"),
        ]
        assert shop.todo("silver.orders") == {}

    def test_what_blocks_keeps_only_itself(self, shop: Shop) -> None:
        bad = [(f"a{i}", "ann", 9999, "2026-01-09") for i in range(3)]
        shop.orders("all", *JANUARY, *bad, *FEBRUARY, *MARCH)
        done = shop.build("silver.orders")
        assert [b.partition for b in done.blocked] == [JAN]
        months = [f.partition for f in shop.snapshot("silver.orders").files]
        assert months == [FEB, "2026-03-01"]

    def test_a_target_that_fails_keeps_only_what_comes_after(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(table, "_PORTION_S", 3600.0)
        shop.open_for_business()
        shop.build("bronze.orders")
        real = kernel.stage

        def stage(task: Task) -> tuple[Staged, ...]:
            if task.outputs[0].key == FEB:
                raise EngineError("stage", "no memory", "more of it")
            return real(task)

        monkeypatch.setattr(kernel, "stage", stage)
        with pytest.raises(EngineError, match="no memory"):
            shop.build("silver.orders")
        assert [f.partition for f in shop.snapshot("silver.orders").files] == [JAN]
        assert [(b["key"], b["result"]) for b in of(shop, "silver.orders")] == [(JAN, "published")]
        monkeypatch.setattr(kernel, "stage", real)
        assert set(shop.todo("silver.orders")) == {("silver.orders", FEB)}
        shop.build("silver.orders")
        assert shop.rows("SELECT count(*) FROM silver.orders") == [(4,)]

    def test_files_of_other_columns_are_replaced_together(self, orders: Shop) -> None:
        before = orders.snapshot("silver.orders").version
        orders.drop("gold.daily")
        orders.edit("silver/orders.yaml", "{name: amount,", "{name: paid,")
        orders.edit("silver/orders.yaml", "column: amount", "column: paid")
        orders.edit("silver/orders.sql", "customer, amount,", "customer, amount AS paid,")
        orders.build("silver.orders")
        assert orders.snapshot("silver.orders").version == before + 1
        assert orders.rows("SELECT count(paid) FROM silver.orders") == [(4,)]


def of(shop: Shop, name: str) -> list[dict[str, object]]:
    return [row for row in shop.builds() if row["table"] == f"shop.{name}"]


class TestWhenChanged:
    def reads(self, shop: Shop, mode: str) -> None:
        shop.edit("gold/countries.yaml", "when_changed: rebuild", f"when_changed: {mode}")

    def test_ignore(self, orders: Shop) -> None:
        self.reads(orders, "ignore")
        orders.build()
        orders.customers("all", ("ann", "DK"))
        changed = [t.table for t in orders.build().changed]
        assert changed == ["shop.bronze.customers", "shop.silver.customers"]
        assert orders.todo() == {}
        # A month that is built for another reason reads the dimension as it is now.
        orders.orders("late", ("b9", "ann", 4, "2026-02-06"))
        orders.build()
        assert ("DK", 2) in orders.rows("SELECT country, orders FROM gold.countries")

    def test_new_partitions(self, orders: Shop) -> None:
        self.reads(orders, "new_partitions")
        orders.build()
        orders.customers("all", ("ann", "DK"))
        assert "shop.gold.countries" not in [t.table for t in orders.build().changed]
        assert orders.todo() == {}


class TestRowLaw:
    def test_a_join_that_multiplies_rows_is_refused(self, orders: Shop) -> None:
        orders.edit(
            "silver/orders.sql", "FROM bronze.orders", "FROM bronze.orders CROSS JOIN twice"
        )
        orders.edit(
            "silver/orders.sql",
            "WITH typed",
            "WITH twice AS (\n SELECT 1 AS n UNION ALL SELECT 2\n), typed",
        )
        orders.edit(
            "silver/orders.sql",
            "PARTITION BY order_month, order_id ORDER",
            "PARTITION BY order_month, order_id, n ORDER",
        )
        orders.edit(
            "silver/orders.sql",
            "    _source_file, _row, _landed_at",
            "    n, _source_file, _row, _landed_at",
        )
        before = orders.everything()
        with pytest.raises(EngineError, match="account for every row") as raised:
            orders.build()
        assert "2 rows in, 4 selected" in raised.value.found
        assert orders.everything() == before
        assert orders.rows("SELECT result FROM ops.runs ORDER BY ended DESC LIMIT 1") == [
            ("failed",)
        ]

    def test_a_filter_that_drops_rows_is_counted_as_superseded(self, orders: Shop) -> None:
        orders.orders("again", ("a1", "ann", 15, "2026-01-05"), ("a1", "ann", 16, "2026-01-05"))
        done = {t.table: t for t in orders.build().changed}["shop.silver.orders"]
        assert (done.rows_in, done.rows_out, done.superseded) == (4, 2, 2)
        assert orders.rows("SELECT amount FROM silver.orders WHERE order_id = 'a1'") == [(16,)]


class TestQuarantine:
    def test_readers_see_the_rows_of_live_builds_only(self, orders: Shop) -> None:
        orders.orders("2026-01", *JANUARY, ("a8", "ann", 2000, "2026-01-08"))
        orders.build()
        bad = "SELECT order_id, _violations FROM silver.orders__quarantine ORDER BY 1"
        assert orders.rows(bad) == [("a8", ["amount_plausible"])]
        orders.orders("2026-01", *JANUARY, ("a9", None, 3000, "2026-01-08"))
        orders.build()
        assert orders.rows(bad) == [("a9", ["customer_required", "amount_plausible"])]
        orders.orders("2026-01", *JANUARY)
        orders.build()
        assert orders.rows(bad) == []


class TestValuePartitions:
    AREAS = ("A B", "50%", "é/ü", "x=y", "a%20b", "#?&", "__HIVE_DEFAULT_PARTITION__x", "'q'")

    def test_odd_values_are_built_twice_without_doubling(self, shop: Shop) -> None:
        shop.sales("all", *[(f"s{i}", area) for i, area in enumerate(self.AREAS)])
        shop.build("silver.sales")
        rows = shop.rows("SELECT sale_id, area FROM silver.sales ORDER BY 1")
        assert rows == [(f"s{i}", area) for i, area in enumerate(self.AREAS)]
        assert shop.todo("silver.sales") == {}
        shop.build("bronze.sales", "silver.sales", force=True)
        assert shop.rows("SELECT sale_id, area FROM silver.sales ORDER BY 1") == rows
        assert shop.rows("SELECT count(*) FROM bronze.sales") == [(len(self.AREAS),)]
        shop.sales("more", ("t1", "A B"))
        shop.build("silver.sales")
        assert shop.rows("SELECT sale_id FROM silver.sales WHERE area = 'A B' ORDER BY 1") == [
            ("s0",),
            ("t1",),
        ]

    def test_rows_of_no_partition_are_quarantined_not_lost(self, shop: Shop) -> None:
        shop.edit("bronze/sales.yaml", "format: csv", "format: csv, null_values: [NA]")
        shop.sales("all", ("s1", "north"), ("s2", "NA"), ("s3", ""))
        (bronze, silver) = shop.build("silver.sales").changed
        assert (bronze.rows_in, bronze.rows_out, bronze.quarantined) == (3, 1, 2)
        assert silver.rows_in == 1
        assert shop.rows(
            "SELECT sale_id, _violations FROM bronze.sales__quarantine ORDER BY 1"
        ) == [
            ("s2", ["outside_partition"]),
            ("s3", ["outside_partition"]),
        ]


class TestCut:
    def test_a_run_can_be_read_as_it_was(self, orders: Shop) -> None:
        from lakehouse import query

        orders.orders("2026-01", ("a1", "ann", 1, "2026-01-05"))
        second = orders.build().run
        orders.orders("2026-01", ("a1", "ann", 2, "2026-01-05"))
        orders.build()
        sql = "SELECT amount FROM silver.orders WHERE order_id = 'a1'"
        lake = orders.lake()
        assert query.run(lake, sql, query.of_run(lake, second)).to_pylist() == [{"amount": 1}]
        assert orders.rows(sql) == [(2,)]


def test_what_was_planned_is_what_is_built(orders: Shop) -> None:
    orders.edit("gold/daily.sql", "count(*)", "count(ordered)")
    session = orders.session()
    planned = session.plan_table("gold.daily")
    assert [t.key for t in planned.todo] == [JAN, FEB]
    assert (planned.engine, planned.because) == ("local", "asked for")
    orders.orders("late", ("a9", "ann", 4, "2026-01-06"))
    orders.build("silver.orders")
    done = session.build_table("gold.daily", planned)
    session.close()
    # As the inputs were: the next plan sees that they have changed since.
    assert done.keys == (JAN, FEB)
    assert {key for table, key in orders.todo() if table == "gold.daily"} == {JAN, FEB}
    assert session.plan_table("bronze.orders").engine == ""


def test_engines_see_only_the_files_they_need(orders: Shop) -> None:
    february = next(t for t in orders.session().domain.order if t.short == "gold.daily")
    assert february.reads["silver.orders"].lookback == dt.timedelta(days=6)
    orders.edit("gold/daily.sql", "count(*)", "count(ordered)")
    reads = {t.key: t.reads[0].partitions for t in orders.plan("gold.daily").targets}
    assert reads == {JAN: 1, FEB: 2}
    assert FEBRUARY[0][3] == "2026-02-02"
