"""The planner as a pure function: made-up snapshots in, targets out."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from shop import Shop, contract

from lakehouse import sql
from lakehouse.catalog import Table, load
from lakehouse.contract import Partition, Read, parse
from lakehouse.errors import PlanError
from lakehouse.interval import Grain
from lakehouse.landing import Batch, LandedFile
from lakehouse.planning import Action, Pending, Record, Target, plan_table
from lakehouse.planning.source import Source
from lakehouse.snapshot import BuildId, File, Snapshot

A, B, C, D = (letter * 10 for letter in "abcd")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Table]:
    shop = Shop(tmp_path_factory.mktemp("shop"))
    return dict(load(shop.domain).tables)


def file(
    partition: str | None,
    build: BuildId | None,
    *,
    rows: int = 1,
    batch: str | None = None,
    added: int = 0,
) -> File:
    return File(f"{partition}/{build}/part", 10, rows, partition, build, batch, added)


def bronze(*files: tuple[str | None, str, str], rows: int = 1, added: int = 0) -> Snapshot:
    """(partition, batch, content) → a bronze table."""
    made = (file(p, BuildId(A, B, b, c), batch=b, rows=rows, added=added) for p, b, c in files)
    return Snapshot("shop.bronze.orders", 1, tuple(made))


def built(
    table: Table, targets: tuple[Target, ...], content: str = D, *, added: int = 5
) -> Snapshot:
    """What the table holds after some targets were built."""
    files = (
        file(t.partition, BuildId.parse(f"{t.wanted}-{content}"), added=added) for t in targets
    )
    return Snapshot(table.name, 1, tuple(files))


def plan(
    tables: dict[str, Table],
    name: str,
    inputs: dict[str, Snapshot],
    actual: Snapshot | None = None,
    **more: object,
) -> tuple[Target, ...]:
    table = tables[name]
    given = {n: (tables[n], s) for n, s in inputs.items()}
    return plan_table(table, given, actual or Snapshot(table.name, -1, ()), **more)  # type: ignore[arg-type]


def reasons(targets: tuple[Target, ...]) -> dict[str, list[str]]:
    return {t.key: [r.code for r in t.reasons] for t in targets}


class TestPartitions:
    def test_what_is_built_is_not_planned(self, tables: dict[str, Table]) -> None:
        inputs = {"bronze.orders": bronze(("2026-01-01", A, A), ("2026-02-01", B, B))}
        first = plan(tables, "silver.orders", inputs)
        assert reasons(first) == {"2026-01-01": ["missing"], "2026-02-01": ["missing"]}
        assert plan(tables, "silver.orders", inputs, built(tables["silver.orders"], first)) == ()

    def test_an_input_with_the_same_content_changes_nothing(self, tables: dict[str, Table]) -> None:
        table = tables["silver.orders"]
        before = bronze(("2026-01-01", A, C))
        actual = built(table, plan(tables, table.short, {"bronze.orders": before}))
        again = bronze(("2026-01-01", B, C))
        assert plan(tables, table.short, {"bronze.orders": again}, actual) == ()

    def test_empty_files_change_nothing(self, tables: dict[str, Table]) -> None:
        table = tables["silver.orders"]
        before = bronze(("2026-01-01", A, C))
        actual = built(table, plan(tables, table.short, {"bronze.orders": before}))
        marker = bronze((None, B, "0" * 10), rows=0)
        both = Snapshot(before.table, 2, (*before.files, *marker.files))
        assert plan(tables, table.short, {"bronze.orders": both}, actual) == ()

    def test_compaction_changes_nothing(self, tables: dict[str, Table]) -> None:
        table = tables["silver.orders"]
        before = bronze(("2026-01-01", A, C))
        actual = built(table, plan(tables, table.short, {"bronze.orders": before}))
        split = Snapshot(before.table, 2, before.files * 2)
        assert plan(tables, table.short, {"bronze.orders": split}, actual) == ()

    def test_a_partition_whose_input_is_gone_is_removed(self, tables: dict[str, Table]) -> None:
        table = tables["silver.orders"]
        before = bronze(("2026-01-01", A, A), ("2026-02-01", B, B))
        actual = built(table, plan(tables, table.short, {"bronze.orders": before}))
        (gone,) = plan(tables, table.short, {"bronze.orders": bronze(("2026-01-01", A, A))}, actual)
        assert (gone.action, gone.key) == (Action.remove, "2026-02-01")

    def test_late_data_is_named_by_its_file(self, tables: dict[str, Table]) -> None:
        table = tables["silver.orders"]
        before = bronze(("2026-01-01", A, A))
        actual = built(table, plan(tables, table.short, {"bronze.orders": before}), added=5)
        late = bronze(("2026-01-01", B, B), added=9)
        now = Snapshot(before.table, 2, (*before.files, *late.files))
        (target,) = plan(tables, table.short, {"bronze.orders": now}, actual, labels={B: "f.csv"})
        (reason,) = target.reasons
        assert (reason.code, reason.input, reason.detail) == ("late data", "bronze.orders", "f.csv")
        assert target.certain

    def test_below_what_will_be_rebuilt_nothing_is_certain(self, tables: dict[str, Table]) -> None:
        silver = Snapshot("s", 1, (file("2026-01-01", BuildId(A, B, C, D)),))
        inputs = {"silver.orders": silver}
        actual = built(tables["gold.daily"], plan(tables, "gold.daily", inputs))
        pending = {"silver.orders": Pending(rebuilt=frozenset(["2026-01-01"]))}
        found = plan(tables, "gold.daily", inputs, actual, pending=pending)
        assert [(t.certain, t.wanted) for t in found] == [(False, "")]
        assert reasons(found) == {"2026-01-01": ["upstream rebuilt"]}
        # A changed definition is built whatever the input's content turns out to be.
        other = Snapshot(actual.table, 1, (file("2026-01-01", BuildId(D, D, D, D)),))
        found = plan(tables, "gold.daily", inputs, other, pending=pending)
        assert [t.certain for t in found] == [True]

    def test_unread_landing_files_stand_for_months_that_nobody_knows(
        self, tables: dict[str, Table]
    ) -> None:
        (found,) = plan(
            tables,
            "silver.orders",
            {"bronze.orders": bronze()},
            pending={"bronze.orders": Pending(unknown=True)},
        )
        assert (found.reasons[0].code, found.partition, found.certain) == (
            "after bronze",
            None,
            False,
        )
        assert found.label == "not known yet"

    def test_a_bronze_table_that_is_made_anew_removes_nothing_for_certain(
        self, tables: dict[str, Table]
    ) -> None:
        table = tables["silver.orders"]
        actual = built(
            table, plan(tables, table.short, {"bronze.orders": bronze(("2026-01-01", A, A))})
        )
        anew = Snapshot("b", -1, ())
        found = plan(
            tables,
            table.short,
            {"bronze.orders": anew},
            actual,
            pending={"bronze.orders": Pending(unknown=True)},
        )
        assert [t for t in found if t.action is Action.remove and t.certain] == []

    def test_what_was_never_published_is_waited_for(self, tables: dict[str, Table]) -> None:
        (found,) = plan(tables, "silver.orders", {"bronze.orders": Snapshot("b", -1, ())})
        assert (found.action, found.reasons[0].code) == (Action.wait, "waits for")

    def test_a_month_that_is_absent_upstream_is_waited_for_by_those_that_reach_it(
        self, tables: dict[str, Table]
    ) -> None:
        silver = Snapshot("s", 1, (file("2026-02-01", BuildId(A, B, C, D)),))
        absent = Pending(absent=frozenset(["2026-01-01"]))
        (found,) = plan(
            tables, "gold.daily", {"silver.orders": silver}, pending={"silver.orders": absent}
        )
        assert (found.key, found.action) == ("2026-02-01", Action.wait)
        # What was built before is built from the last good input.
        actual = Snapshot("g", 1, (file("2026-02-01", BuildId(A, B, C, D)),))
        (found,) = plan(
            tables,
            "gold.daily",
            {"silver.orders": silver},
            actual,
            pending={"silver.orders": absent},
        )
        assert found.action is Action.build

    def test_a_blocked_id_stays_blocked_until_its_gates_change_or_it_is_forced(
        self, tables: dict[str, Table]
    ) -> None:
        inputs = {"bronze.orders": bronze(("2026-01-01", A, A))}
        (target,) = plan(tables, "silver.orders", inputs)
        gates = tables["silver.orders"].contract.gates
        record = Record(blocked={(target.wanted, gates): "any_orders"})
        (found,) = plan(tables, "silver.orders", inputs, records={"2026-01-01": record})
        assert (found.action, found.reasons[0].detail) == (Action.blocked, "any_orders")
        (found,) = plan(tables, "silver.orders", inputs, records={"2026-01-01": record}, force=True)
        assert found.action is Action.build
        other = Record(blocked={(target.wanted, "other"): "any_orders"})
        (found,) = plan(tables, "silver.orders", inputs, records={"2026-01-01": other})
        assert found.action is Action.build

    def test_foreign_files_are_refused(self, tables: dict[str, Table]) -> None:
        actual = Snapshot("s", 1, (file("2026-01-01", None),))
        with pytest.raises(PlanError, match="foreign files"):
            plan(tables, "silver.orders", {"bronze.orders": bronze()}, actual)

    def test_ten_thousand_partitions(self) -> None:
        days = [(dt.date(1999, 1, 1) + dt.timedelta(days=n)).isoformat() for n in range(10_000)]
        columns = {"day": "DATE", "n": "BIGINT"}

        def make(layer: str, name: str, lake: str, query: str) -> Table:
            declared = parse(contract(layer, name, columns, lake), name)
            return Table("big", layer, declared, sql.parse(query, name))

        partition = "partition: {column: day, grain: day, event: day}"
        source = make("silver", "a", partition, "SELECT day, n FROM bronze.a")
        table = make(
            "gold",
            "b",
            f"{partition}\nreads:\n  silver.a: {{lookback: 7 days}}",
            "SELECT day, n FROM silver.a",
        )
        before = Snapshot(
            "a",
            1,
            tuple(file(d, BuildId(A, B, f"{n:010x}", f"{n:010x}")) for n, d in enumerate(days)),
        )
        inputs = {"silver.a": (source, before)}
        first = plan_table(table, inputs, Snapshot("b", -1, ()))
        assert [t.partition for t in first] == days
        assert {len(t.reads[0].files) for t in first} == {1, 2, 3, 4, 5, 6, 7, 8}
        actual = built(table, first)
        assert plan_table(table, inputs, actual) == ()
        files = list(before.files)
        files[5000] = file(days[5000], BuildId(A, B, C, D))
        changed = Snapshot("a", 2, tuple(files))
        stale = plan_table(table, {"silver.a": (source, changed)}, actual)
        assert [t.partition for t in stale] == days[5000:5008]


def batch(label: str, content: str = "x") -> Batch:
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    landed = LandedFile(label, 1, content, moment)
    return Batch(f"{sum(label.encode()):010x}", label, (landed,), f"{sum(content.encode()):010x}")


class TestBatches:
    def plan(
        self, table: Table, batches: list[Batch], actual: Snapshot, **more: object
    ) -> tuple[Target, ...]:
        return plan_table(table, {}, actual, batches=batches, **more)  # type: ignore[arg-type]

    def live(self, table: Table, targets: tuple[Target, ...]) -> Snapshot:
        files = (
            file("2026-01-01", BuildId.parse(f"{t.wanted}-{D}"), batch=t.batch_id) for t in targets
        )
        return Snapshot(table.name, 1, tuple(files))

    def test_only_what_is_new_or_other_is_read(self, tables: dict[str, Table]) -> None:
        table = tables["bronze.orders"]
        first = self.plan(table, [batch("a"), batch("b")], Snapshot("x", -1, ()))
        actual = self.live(table, first)
        assert self.plan(table, [batch("a"), batch("b")], actual) == ()
        found = self.plan(table, [batch("a"), batch("b", "y"), batch("c")], actual)
        assert [t.reasons[0].detail for t in found] == ["b landed again", "c"]

    def test_another_path_pattern_reads_nothing_again(
        self, tables: dict[str, Table], tmp_path: Path
    ) -> None:
        shop = Shop(tmp_path)
        shop.edit("bronze/orders.yaml", "orders/*.csv", "orders/**/*.csv")
        other = load(shop.domain).tables["bronze.orders"]
        assert other.definition == tables["bronze.orders"].definition
        shop.edit("bronze/orders.yaml", "format: csv", "format: csv, delimiter: ';'")
        assert load(shop.domain).tables["bronze.orders"].definition != other.definition


class TestSource:
    def source(self, ours: Partition, theirs: str, values: list[str], **read: object) -> Source:
        lake = f"partition: {{column: {theirs}, event: at}}"
        columns = {"at": "DATE", theirs.split(",", maxsplit=1)[0]: "DATE"}
        table = Table("x", "silver", parse(contract("silver", "a", columns, lake), "a"), None)
        files = tuple(file(v, BuildId(A, B, v.replace("-", "") + "00", None)) for v in values)
        return Source(
            "silver.a", table, Read.model_validate(read), Snapshot("a", 1, files), Pending(), ours
        )

    def test_days_are_read_by_the_month_that_holds_them(self) -> None:
        ours = Partition(column="m", grain=Grain.month)
        source = self.source(
            ours, "d, grain: day", ["2026-01-31", "2026-02-01", "2026-02-28", "2026-03-01"]
        )
        assert source.select("2026-02-01") == ("2026-02-01", "2026-02-28")
        assert source.covers() == {"2026-01-01", "2026-02-01", "2026-03-01"}

    def test_months_are_read_by_each_day_of_them(self) -> None:
        ours = Partition(column="d", grain=Grain.day)
        source = self.source(ours, "m, grain: month", ["2026-01-01", "2026-02-01"])
        assert source.select("2026-01-31") == ("2026-01-01",)
        assert source.select("2026-02-01") == ("2026-02-01",)
        assert len(source.covers()) == 31 + 28

    def test_lookback_and_lookahead_reach_over_the_edges(self) -> None:
        ours = Partition(column="m", grain=Grain.month)
        source = self.source(
            ours,
            "m, grain: month",
            ["2025-12-01", "2026-01-01", "2026-02-01", "2026-03-01"],
            lookback="32 days",
            lookahead="1 hour",
        )
        assert source.select("2026-02-01") == (
            "2025-12-01",
            "2026-01-01",
            "2026-02-01",
            "2026-03-01",
        )

    def test_zones_decide_which_days_a_local_month_reads(self) -> None:
        ours = Partition(column="m", grain=Grain.month, timezone="America/New_York")
        source = self.source(
            ours, "d, grain: day", ["2026-01-31", "2026-02-01", "2026-02-28", "2026-03-01"]
        )
        assert source.select("2026-02-01") == ("2026-02-01", "2026-02-28", "2026-03-01")

    def test_the_slice_is_what_a_look_at_each_would_find(self) -> None:
        values = [(dt.date(2026, 1, 1) + dt.timedelta(weeks=n)).isoformat() for n in range(20)]
        ours = Partition(column="m", grain=Grain.month, timezone="Asia/Kolkata")
        source = self.source(ours, "w, grain: week", values, lookback="3 days")
        for month in sorted(source.covers()):
            assert list(source.select(month)) == [v for v in values if source.matters(v, month)]
