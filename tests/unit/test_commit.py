"""The committer's rules, each against a real log."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError
from shop import JANUARY, MARCH, Shop

from lakehouse import commit, transaction
from lakehouse import snapshot as snapshots
from lakehouse.build import Session
from lakehouse.build.table import stage_targets, still_wanted
from lakehouse.catalog import Table
from lakehouse.engines.base import Staged
from lakehouse.engines.writer import quarantine_of
from lakehouse.errors import CommitConflict, CommitError, PlanError, SchemaChangeError
from lakehouse.planning import Action

JAN, FEB = "2026-01-01", "2026-02-01"


@pytest.fixture
def orders(shop: Shop) -> Shop:
    shop.drop("silver.sales", "bronze.sales", "gold.daily", "gold.countries")
    shop.orders("2026-01", *JANUARY)
    shop.orders("2026-02", ("b1", "ann", 5, "2026-02-02"))
    return shop


class Builder:
    """One builder that has staged a table's targets and not yet committed them."""

    def __init__(self, shop: Shop, name: str, **options: object) -> None:
        self.session: Session = shop.session(**options)
        if options.get("force"):
            self.session.forced_tables = frozenset([name])
        self.table: Table = self.session.domain.tables[name]
        seen = self.session.read([*self.table.reads, name])
        self.planned = seen[name].version
        targets = self.session.targets(self.table, {}, seen)
        build = [t for t in targets if t.action is Action.build]
        self.remove = [t.key for t in targets if t.action is Action.remove]
        self.staged: list[Staged] = [
            one.staged for one in stage_targets(self.session, self.table, build, "local")
        ]

    def commit(self, keys: list[str] | None = None) -> commit.Commit:
        return commit.publish(
            self.table,
            self.session.lake.place(self.table),
            [s for s in self.staged if keys is None or s.key in keys],
            run=self.session.run,
            engine="local",
            remove=self.remove,
            planned=self.planned,
            still_wanted=lambda: still_wanted(self.session, self.table),
        )


def ids(shop: Shop) -> list[tuple[object, ...]]:
    return shop.rows("SELECT order_id, amount FROM silver.orders ORDER BY 1, 2")


class TestTwoBuilders:
    def test_of_the_same_targets_one_wins_and_the_rows_are_there_once(self, orders: Shop) -> None:
        orders.build("bronze.orders")
        first, second = Builder(orders, "silver.orders"), Builder(orders, "silver.orders")
        assert first.commit().published == (JAN, FEB)
        lost = second.commit()
        assert (lost.published, lost.superseded) == ((), (FEB, JAN)[::-1])
        assert lost.version == 1
        assert ids(orders) == [("a1", 10), ("a2", 20), ("b1", 5)]

    def test_a_commit_that_comes_between_reading_and_writing_the_log(
        self, orders: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        orders.build("bronze.orders")
        # The table is there and empty: both builders only add, which Delta itself would allow.
        first, second = Builder(orders, "silver.orders"), Builder(orders, "silver.orders")
        write, waiting = transaction.Transaction._write, [first]

        def overtaken(self: object, *arguments: object) -> None:
            if waiting:
                assert waiting.pop().commit().published == (JAN, FEB)
            write(self, *arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(transaction.Transaction, "_write", overtaken)
        done = second.commit()
        assert (done.published, done.superseded, done.attempts) == ((), (JAN, FEB), 2)
        assert ids(orders) == [("a1", 10), ("a2", 20), ("b1", 5)]

    def test_of_different_targets_both_are_published(self, orders: Shop) -> None:
        orders.build("silver.orders")
        first, second = (
            Builder(orders, "silver.orders", force=True),
            Builder(orders, "silver.orders", force=True),
        )
        assert first.commit([JAN]).version == 2
        assert second.commit([FEB]).version == 3
        live = {f.path for f in orders.snapshot("silver.orders").files}
        mine = {
            f.path
            for s, key in ((first, JAN), (second, FEB))
            for o in s.staged
            if o.key == key
            for f in o.files
        }
        assert live == mine

    def test_a_builder_whose_inputs_moved_on_overwrites_nothing(self, orders: Shop) -> None:
        orders.build("bronze.orders")
        old = Builder(orders, "silver.orders")
        orders.orders("2026-01", ("a1", "ann", 99, "2026-01-05"))
        orders.build("silver.orders")
        lost = old.commit()
        assert lost.superseded == (JAN, FEB)
        assert ids(orders) == [("a1", 99), ("b1", 5)]

    def test_the_loser_publishes_what_still_holds(self, orders: Shop) -> None:
        orders.build("bronze.orders")
        long = Builder(orders, "silver.orders")
        short = Builder(orders, "silver.orders")
        short.commit([FEB])
        done = long.commit()
        assert (done.published, done.superseded) == ((JAN,), (FEB,))
        assert ids(orders) == [("a1", 10), ("a2", 20), ("b1", 5)]

    def test_an_older_listing_does_not_win_over_a_newer_file(self, orders: Shop) -> None:
        old = Builder(orders, "bronze.orders")
        orders.orders("2026-01", ("a1", "ann", 99, "2026-01-05"))
        orders.build("bronze.orders")
        lost = old.commit()
        assert lost.published == ()
        assert orders.todo("bronze.orders") == {}
        assert orders.rows("SELECT amount FROM bronze.orders ORDER BY 1") == [("5",), ("99",)]

    def test_a_removal_that_others_made_needless_removes_nothing(self, orders: Shop) -> None:
        orders.edit("bronze/orders.yaml", "source:", "on_gone: remove\n    source:")
        orders.build("bronze.orders")
        file = orders.landing / "orders/2026-01.csv"
        data = file.read_bytes()
        file.unlink()
        remover = Builder(orders, "bronze.orders")
        assert len(remover.remove) == 1
        orders.land("orders/2026-01.csv", data)
        orders.build("bronze.orders")
        assert remover.commit().removed == ()
        assert orders.rows("SELECT count(*) FROM bronze.orders") == [(3,)]

    def test_a_column_that_both_add_is_added_once(self, orders: Shop) -> None:
        orders.build("silver.orders")
        orders.edit(
            "silver/orders.yaml",
            "  - {name: order_month",
            "  - {name: note, logicalType: string, physicalType: VARCHAR}\n  - {name: order_month",
        )
        orders.edit(
            "silver/orders.sql", "_row, order_month\nFROM", "_row, 'n' AS note, order_month\nFROM"
        )
        first, second = Builder(orders, "silver.orders"), Builder(orders, "silver.orders")
        stale = second.session.read(["silver.orders"])
        assert stale["silver.orders"].version == 1
        first.commit([JAN])
        second.commit([FEB])
        assert orders.rows("SELECT count(*) FROM silver.orders WHERE note = 'n'") == [(3,)]


class TestAnswers:
    def test_a_lost_reply_is_a_success(self, orders: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        orders.build("bronze.orders")
        builder, write = Builder(orders, "silver.orders"), transaction.Transaction._write

        def lost(self: object, *arguments: object) -> None:
            write(self, *arguments)  # type: ignore[arg-type]
            raise CommitFailedError("Concurrent transaction failed")

        monkeypatch.setattr(transaction.Transaction, "_write", lost)
        done = builder.commit()
        assert (done.version, done.published, done.attempts) == (1, (JAN, FEB), 1)
        assert ids(orders) == [("a1", 10), ("a2", 20), ("b1", 5)]

    def test_publishing_again_what_is_live_commits_nothing(self, orders: Shop) -> None:
        orders.build("bronze.orders")
        builder = Builder(orders, "silver.orders")
        builder.commit()
        builder.planned = 1
        assert builder.commit().version == 1

    def test_when_others_always_win_it_says_so(
        self, orders: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise CommitFailedError("Concurrent transaction failed")

        monkeypatch.setattr(transaction.Transaction, "_write", refuse)
        monkeypatch.setattr(transaction, "_ATTEMPTS", 3)
        with pytest.raises(CommitConflict, match="won 3 times"):
            orders.build("bronze.orders")

    def test_a_store_that_fails_is_reported_and_the_next_build_goes_on(
        self, orders: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError("no space left on device")

        with monkeypatch.context() as broken:
            broken.setattr(transaction.Transaction, "_write", refuse)
            with pytest.raises(CommitError, match="no space left"):
                orders.build("silver.orders")
        orders.build("silver.orders")
        assert ids(orders) == [("a1", 10), ("a2", 20), ("b1", 5)]

    def test_a_long_backfill_goes_in_chunks(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shop.orders("all", *[(f"o{m}", "ann", m, f"2026-{m:02}-01") for m in range(1, 13)])
        monkeypatch.setattr(commit, "MAX_ACTIONS", 6)
        shop.build("silver.orders")
        assert shop.snapshot("silver.orders").version == 4
        assert [amount for _, amount in ids(shop)] == [1, 10, 11, 12, 2, 3, 4, 5, 6, 7, 8, 9]


class TestCrash:
    def test_between_quarantine_and_table_nothing_is_seen_and_nothing_doubles(
        self, orders: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        orders.orders("bad", ("a9", "ann", 2000, "2026-01-09"))
        orders.build("bronze.orders")

        class Killed(BaseException):
            pass

        def die(*_: object, **__: object) -> None:
            raise Killed

        builder = Builder(orders, "silver.orders")
        with monkeypatch.context() as broken:
            broken.setattr(commit, "_publish_targets", die)
            with pytest.raises(Killed):
                builder.commit()
        bad = "SELECT order_id FROM silver.orders__quarantine"
        assert orders.rows(bad) == []
        orders.build("silver.orders")
        assert orders.rows(bad) == [("a9",)]
        assert ids(orders) == [("a1", 10), ("a2", 20), ("b1", 5)]
        table = orders.lake().domain("shop").table("silver.orders")
        place = quarantine_of(orders.lake().place(table))
        assert [f.rows for f in snapshots.read(place, "q").files] == [1]


class TestSchema:
    @pytest.fixture
    def built(self, orders: Shop) -> Iterator[Shop]:
        orders.build("silver.orders")
        yield orders
        place = orders.lake().storage.at("shop", "silver", "orders")
        table = DeltaTable(place.delta_uri())
        wanted = orders.lake().domain("shop").table("silver.orders").contract.types
        assert {f.name for f in table.schema().fields} == set(wanted)

    def note(self, shop: Shop) -> None:
        shop.edit(
            "silver/orders.yaml",
            "  - {name: order_month",
            "  - {name: note, logicalType: string, physicalType: VARCHAR}\n  - {name: order_month",
        )
        shop.edit(
            "silver/orders.sql", "_row, order_month\nFROM", "_row, 'n' AS note, order_month\nFROM"
        )

    def test_an_added_column(self, built: Shop) -> None:
        self.note(built)
        built.build("silver.orders")
        assert built.rows("SELECT DISTINCT note FROM silver.orders") == [("n",)]
        assert built.todo("silver.orders") == {}

    def test_an_added_column_beside_a_blocked_partition(self, built: Shop) -> None:
        built.orders("2026-02", *[(f"x{i}", "ann", 9999, "2026-02-03") for i in range(4)])
        self.note(built)
        assert built.build("silver.orders").blocked
        assert built.rows("SELECT order_id, note FROM silver.orders ORDER BY 1") == [
            ("a1", "n"),
            ("a2", "n"),
            ("b1", None),
        ]

    def test_a_renamed_column(self, built: Shop) -> None:
        built.edit("silver/orders.yaml", "{name: amount,", "{name: paid,")
        built.edit("silver/orders.yaml", "column: amount", "column: paid")
        built.edit(
            "silver/orders.sql",
            "SELECT order_id, customer, amount",
            "SELECT order_id, customer, amount AS paid",
        )
        built.build("silver.orders")
        assert built.rows("SELECT order_id, paid FROM silver.orders ORDER BY 1") == [
            ("a1", 10),
            ("a2", 20),
            ("b1", 5),
        ]
        assert built.snapshot("silver.orders").version == 2

    def test_another_type(self, built: Shop) -> None:
        built.edit(
            "silver/orders.yaml",
            "{name: amount, logicalType: integer, physicalType: INTEGER}",
            "{name: amount, logicalType: number, physicalType: DOUBLE}",
        )
        built.edit(
            "silver/orders.sql",
            "SELECT order_id, customer, amount",
            "SELECT order_id, customer, CAST(amount AS DOUBLE) AS amount",
        )
        built.build("silver.orders")
        assert built.rows("SELECT typeof(amount), sum(amount) FROM silver.orders GROUP BY 1") == [
            ("DOUBLE", 35.0)
        ]

    def test_a_dropped_column_of_a_table_with_a_partition_gone(self, built: Shop) -> None:
        built.edit("bronze/orders.yaml", "source:", "on_gone: remove\n    source:")
        (built.landing / "orders/2026-02.csv").unlink()
        built.edit(
            "silver/orders.yaml",
            "  - {name: customer, logicalType: string, physicalType: VARCHAR, required: true}\n",
            "",
        )
        built.edit(
            "silver/orders.sql", "SELECT order_id, customer, amount", "SELECT order_id, amount"
        )
        built.build("silver.orders")
        assert ids(built) == [("a1", 10), ("a2", 20)]

    def test_a_renamed_column_and_a_partition_that_cannot_be_rebuilt(self, orders: Shop) -> None:
        orders.build("silver.orders")
        orders.orders("2026-02", *[(f"x{i}", "ann", 9999, "2026-02-03") for i in range(4)])
        orders.edit("silver/orders.yaml", "{name: amount,", "{name: paid,")
        orders.edit("silver/orders.yaml", "column: amount", "column: paid")
        orders.edit(
            "silver/orders.sql",
            "SELECT order_id, customer, amount",
            "SELECT order_id, customer, amount AS paid",
        )
        before = orders.snapshot("silver.orders")
        with pytest.raises(SchemaChangeError, match="1 files would keep the old form"):
            orders.build("silver.orders")
        assert orders.snapshot("silver.orders") == before

    def test_another_partition_column(self, orders: Shop) -> None:
        orders.build("silver.orders")
        orders.edit("silver/orders.yaml", "order_month", "order_week")
        orders.edit("silver/orders.yaml", "grain: month", "grain: week")
        orders.edit(
            "silver/orders.sql",
            "_row, order_month\nFROM",
            "_row, CAST(date_trunc('week', ordered) AS DATE) AS order_week\nFROM",
        )
        orders.edit(
            "silver/orders.sql",
            "PARTITION BY order_month, order_id",
            "PARTITION BY CAST(date_trunc('week', ordered) AS DATE), order_id",
        )
        orders.edit(
            "silver/orders.yaml",
            "    rows: {from: bronze.orders}",
            "    reads:\n      bronze.orders: {lookback: 31 days, lookahead: 31 days}",
        )
        orders.edit("silver/orders.yaml", "\n\n", "\n")
        with pytest.raises(SchemaChangeError, match="partitioned by order_month") as raised:
            orders.build("silver.orders")
        assert "remove the folder" in raised.value.remedy


def test_foreign_files_stop_the_plan(orders: Shop) -> None:
    orders.build("silver.orders")
    place = orders.lake().storage.at("shop", "bronze", "orders")
    schema = DeltaTable(place.delta_uri()).schema().to_arrow()
    rows = pa.Table.from_pylist([{"order_id": "z"}], schema=pa.schema(schema))
    write_deltalake(place.delta_uri(), rows, mode="append")
    with pytest.raises(PlanError, match="1 foreign files") as raised:
        orders.plan("silver.orders")
    assert "restore" in raised.value.remedy
    assert MARCH[0][0] == "c1"
