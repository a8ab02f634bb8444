"""What is scored, once, and what is refused: real orders, predictions that anybody can check."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake.exceptions import CommitFailedError
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_shop import MODEL, TABLE, ScoredShop, amount_over_100, entities, key
from shop import contract

from lakehouse import ledger, maintenance, ops, scoring, transaction
from lakehouse.errors import CommitError, ModelError
from lakehouse.ledger import Ledger
from lakehouse.monitoring.job import Monitored, watch
from lakehouse.registry import ModelVersion
from lakehouse.scoring import stored as predictions
from lakehouse.snapshot import BuildId
from lakehouse.training.job import find

_INSTANT = pa.timestamp("us", "UTC")
FEB, MARCH = "2026-02-01", "2026-03-01"
MARCH_ORDERS = (("c1", "bob", 3, "2026-03-15"), ("c2", "ann", 70, "2026-03-20"))


@pytest.fixture
def unbuilt(tmp_path: Path) -> ScoredShop:
    """Orders of January, which a version has learnt from, of February and of March."""
    made = ScoredShop(tmp_path)
    made.shop.open_for_business()
    made.shop.orders("2026-03", *MARCH_ORDERS)
    return made


@pytest.fixture
def scored(unbuilt: ScoredShop) -> ScoredShop:
    """The same, built."""
    unbuilt.shop.build()
    return unbuilt


ALL = [(1, '["b1"]', 0.05), (1, '["b2"]', 0.07), (1, '["c1"]', 0.03), (1, '["c2"]', 0.7)]


class TestLandedFeatures:
    """Features that are landed as they are; their batches may be sealed."""

    name = "shop.bronze.features"

    def land(self, scored: ScoredShop, *numbers: int) -> None:
        for n in numbers:
            when = dt.datetime(2026, 2, 1 + n, tzinfo=dt.UTC)
            rows = {"order_id": [f"o{n}"], "ordered_at": [when], "customer": ["ann"], "large": [1]}
            made = pa.table({**rows, "amount": [n]})
            made = made.set_column(1, "ordered_at", made["ordered_at"].cast(_INSTANT))
            body = pa.BufferOutputStream()
            pq.write_table(made, body)
            scored.shop.land(f"features/{n}.parquet", body.getvalue().to_pybytes())
        scored.shop.build("bronze.features")

    def score(self, scored: ScoredShop) -> Any:
        definition = scored.shop.lake().domain("shop").table(self.name).definition
        version = scored.version(feature_definition_id=definition, inputs={self.name: 0})
        return scored.score(version).versions[0]

    def test_of_a_sealed_file_each_batch_is_scored_by_itself(self, tmp_path: Path) -> None:
        scored = ScoredShop(tmp_path)
        columns = {"order_id": "VARCHAR", "ordered_at": "TIMESTAMPTZ", "customer": "VARCHAR"}
        columns |= {"amount": "BIGINT", "large": "BIGINT"}
        source = "source: {path: 'features/*.parquet', format: parquet}"
        scored.shop.write("bronze/features.yaml", contract("bronze", "features", columns, source))
        scored.shop.edit(f"models/{MODEL}.yaml", "gold.features", "bronze.features")
        self.land(scored, *range(12))
        assert self.score(scored).rows == 12
        self.land(scored, *range(12, 20))
        builds = {str(p.build) for p in scored.shop.snapshot("bronze.features").parts}
        lake = scored.shop.lake()
        then = ledger.now() + dt.timedelta(days=31)
        todo = maintenance.plan(lake, lake.domain("shop"), ["bronze.features"], now=then)
        maintenance.maintain(lake, lake.domain("shop"), todo)
        (file,) = scored.shop.snapshot("bronze.features").files
        assert (len(file.members), file.rows) == (20, 20)
        assert self.score(scored).rows == 8
        found = scored.predictions("entity, feature_build")
        assert len(found) == 20 and {build for _, build in found} == builds
        assert self.score(scored).rows == 0


class TestWhatIsScored:
    def test_every_row_after_the_training_window(self, scored: ScoredShop) -> None:
        [done] = scored.score().versions
        assert (done.partitions, done.rows, done.known) == ((FEB, MARCH), 4, 0)
        assert scored.predictions() == ALL

    def test_each_row_says_what_it_was_made_from(self, scored: ScoredShop) -> None:
        run = scored.score().run
        table = scored.shop.lake().domain("shop").table(TABLE)
        builds = {f.partition: str(f.build) for f in scored.shop.snapshot(TABLE).files}
        found = scored.predictions(
            "entity, event_time, alias, partition, feature_build, feature_definition, "
            "feature_version, run"
        )
        assert found[0] == (
            '["b1"]',
            dt.datetime(2026, 2, 2, tzinfo=dt.UTC),
            *("champion", FEB, builds[FEB], table.definition, 1, run),
        )
        assert {len(name) for (name,) in scored.predictions("prediction")} == {32}
        assert len({name for (name,) in scored.predictions("prediction")}) == 4

    def test_a_window_that_ends_within_a_partition(self, scored: ScoredShop) -> None:
        scored.score(scored.version(until="2026-02-10"))
        assert scored.predictions("entity")[0] == ('["b2"]',)

    def test_the_window_ends_at_midnight_of_its_zone(self, scored: ScoredShop) -> None:
        # Midnight in New York is five hours after that in UTC, when the order was.
        scored.score(scored.version(until="2026-02-02", timezone="America/New_York"))
        assert [e for (e,) in scored.predictions("entity")] == entities(["b2", "c1", "c2"])

    def test_nothing_new_is_no_commit_and_no_run(self, scored: ScoredShop) -> None:
        scored.score()
        before = scored.stored().snapshot.version, scored.shop.rows("FROM ops.runs")
        [again] = scored.score().versions
        assert (again.rows, again.table_version, again.partitions) == (0, -1, ())
        assert (scored.stored().snapshot.version, scored.shop.rows("FROM ops.runs")) == before

    def test_the_run_is_in_the_ledger(self, scored: ScoredShop) -> None:
        scored.score()
        [(told,)] = scored.shop.rows(
            "SELECT parameters FROM ops.runs WHERE kind = 'score' AND result = 'done'"
        )
        assert json.loads(told) == {
            "model": MODEL,
            "reads": {TABLE: 1},
            "writes": {"ops.predictions": 1},
            "rows": {"1": 4},
            "partitions": {"1": 2},
        }

    def test_late_rows_are_added_and_no_prediction_is_changed(self, scored: ScoredShop) -> None:
        scored.score()
        # c2 was corrected; c3 is new; a0 is of the training window.
        late = (("c2", "ann", 99, "2026-03-20"), ("c3", "bob", 30, "2026-03-17"))
        scored.shop.orders("late", *late, ("a0", "bob", 30, "2026-01-17"))
        scored.shop.build()
        [done] = scored.score().versions
        assert (done.partitions, done.rows, done.known) == ((MARCH,), 1, 2)
        assert scored.predictions() == [*ALL, (1, '["c3"]', 0.3)]

    def test_a_partition_built_again_with_the_same_entities_is_looked_at_once(
        self, scored: ScoredShop
    ) -> None:
        scored.score()
        scored.shop.orders("late", ("c2", "ann", 99, "2026-03-20"))
        scored.shop.build()
        [done] = scored.score().versions
        assert (done.partitions, done.rows, done.table_version) == ((MARCH,), 0, 2)
        assert scored.score().versions[0].partitions == ()
        assert scored.predictions() == ALL

    def test_an_entity_that_moved_to_another_partition_is_not_predicted_again(
        self, scored: ScoredShop
    ) -> None:
        scored.score()
        scored.shop.orders("2026-02", ("b1", "ann", 5, "2026-02-02"))
        scored.shop.orders("2026-03-late", ("b2", "cid", 7, "2026-03-01"))
        scored.shop.build()
        done = scored.score().versions[0]
        assert (done.partitions, done.rows) == ((FEB, MARCH), 0)
        assert scored.predictions() == ALL

    def test_each_version_predicts_for_itself(self, scored: ScoredShop) -> None:
        scored.score()
        new = scored.version(2, until="2026-03-01")
        done = scored.score(scored.version(), new).versions
        assert [(one.version, one.alias, one.rows) for one in done] == [
            (1, "champion", 0),
            (2, "challenger", 2),
        ]
        assert scored.predictions() == [*ALL, (2, '["c1"]', 0.03), (2, '["c2"]', 0.7)]

    def test_partitions_before_a_date_are_left_out(self, scored: ScoredShop) -> None:
        done = scored.score(since=dt.date(2026, 3, 10)).versions[0]
        assert (done.partitions, done.rows) == ((MARCH,), 2)
        assert scored.score().versions[0].partitions == (FEB,)
        assert scored.predictions() == ALL

    def test_rows_without_a_label_too(self, scored: ScoredShop) -> None:
        scored.shop.orders("open", ("d1", "ann", None, "2026-04-01"))
        scored.shop.build()
        assert scored.shop.rows("SELECT large FROM gold.features WHERE order_id = 'd1'") == [
            (None,)
        ]
        scored.score(probabilities=lambda x: np.full(len(x), 0.5))
        assert ('["d1"]',) in scored.predictions("entity")

    def test_a_table_without_partitions(self, unbuilt: ScoredShop) -> None:
        partition = "{column: order_month, grain: month, event: ordered_at}"
        unbuilt.shop.edit("gold/features.yaml", f"    partition: {partition}\n", "")
        unbuilt.shop.build()
        assert unbuilt.score().versions[0].partitions == ("all rows",)
        assert unbuilt.predictions() == ALL
        unbuilt.shop.orders("late", ("c3", "bob", 30, "2026-03-17"))
        unbuilt.shop.build()
        assert unbuilt.score().versions[0].rows == 1

    def test_partitions_with_odd_names(self, tmp_path: Path) -> None:
        sold = ScoredShop(tmp_path, tables=("bronze.sales", "silver.sales"))
        sold.shop.sales("all", ("b1", "a/b c"), ("b2", "ä %2F=x"), ("c1", "a/b c"))
        monthly = "{column: order_month, grain: month, event: ordered_at}"
        sold.shop.edit("gold/features.yaml", monthly, "{column: area, grain: value}")
        dated = "{name: order_month, logicalType: date, physicalType: DATE}"
        named = "{name: area, logicalType: string, physicalType: VARCHAR}"
        sold.shop.edit("gold/features.yaml", dated, named)
        sold.shop.write(
            "gold/features.sql",
            "SELECT sale_id AS order_id, TIMESTAMPTZ '2026-02-02 00:00:00+00' AS ordered_at, "
            "area AS customer, 5 AS amount, FALSE AS large, area FROM silver.sales",
        )
        sold.shop.build()
        assert sold.score().versions[0].partitions == ("a/b c", "ä %2F=x")
        assert {e for (e,) in sold.predictions("entity")} == {*entities(["b1", "b2", "c1"])}
        assert {p for (p,) in sold.predictions("partition")} == {"a/b c", "ä %2F=x"}
        assert sold.score().versions[0].partitions == ()
        sold.shop.sales("more", ("d1", "ä %2F=x"))
        sold.shop.build()
        assert sold.score().versions[0].partitions == ("ä %2F=x",)
        assert len(maintained(sold)) == 1
        assert sold.score().versions[0].partitions == ()


class TestRefusals:
    def refused(self, scored: ScoredShop, *versions: Any, **options: Any) -> ModelError:
        done = scored.score(*versions, **options)
        [error] = done.refused
        assert isinstance(error, ModelError)
        assert error.remedy
        assert scored.shop.rows("SELECT result FROM ops.runs WHERE kind = 'score'") == [("failed",)]
        return error

    def test_a_champion_of_other_features_but_not_its_challenger(self, scored: ScoredShop) -> None:
        old = scored.version(feature_definition_id="0123456789-0123456789")
        error = self.refused(scored, old, scored.version(2))
        assert "it learnt from definition 0123456789-0123456789" in error.found
        assert error.remedy == f"train again: lake train {MODEL}"
        assert {v for (v,) in scored.predictions("version")} == {2}

    def test_a_replaced_definition_that_gave_the_same_rows_is_no_other(
        self, scored: ScoredShop
    ) -> None:
        old = scored.version()
        was = old.record.feature_definition_id  # type: ignore[union-attr]
        scored.shop.edit("gold/features.sql", "amount > 50", "NOT amount <= 50")
        scored.shop.edit(
            "gold/features.yaml", "engine: local", f"engine: local\n    accepts: ['{was}']"
        )
        assert scored.shop.plan().targets == ()
        scored.score(old)
        assert scored.predictions() == ALL

    def test_a_number_that_another_version_had_before(self, scored: ScoredShop) -> None:
        scored.score(scored.version(), scored.version(2))
        scored.shop.orders("late", ("c3", "bob", 30, "2026-03-17"))
        scored.shop.build()
        before = scored.predictions()
        registered = ledger.now() + dt.timedelta(hours=1)
        anew = dataclasses.replace(scored.version(), created=registered)
        [error] = scored.score(anew).refused
        assert "another version had it before" in error.found
        assert error.remedy.startswith("train until the number is above 2 (lake train")
        assert scored.predictions() == before
        done = self.watched(scored, anew)
        assert done.lacking == f"{error.found}; {error.remedy}"
        assert not done.looked.monitors
        # Clocks may be some minutes apart; and the next number is free.
        skewed = dataclasses.replace(anew, created=registered - dt.timedelta(minutes=58))
        free = scored.version(3)
        assert [one.rows for one in scored.score(skewed, free).versions] == [1, 5]
        done = self.watched(scored, free, anew)
        assert not done.lacking
        assert {row.version for row in done.looked.monitors} == {3}

    def watched(self, scored: ScoredShop, *versions: ModelVersion) -> Monitored:
        lake = scored.shop.lake()
        owner, declared = find(lake, MODEL)
        of = "{}"
        now = dt.datetime(2026, 4, 1, tzinfo=dt.UTC)
        return watch(lake, owner, declared, versions, lambda _: of, run=ledger.new_run(), now=now)

    def test_partitions_that_an_older_definition_built_wait(self, scored: ScoredShop) -> None:
        scored.shop.edit("gold/features.sql", "amount > 50", "amount > 60")
        new = scored.version()
        [done] = scored.score(new).versions
        assert (done.rows, done.waiting, done.table_version) == (0, (FEB, MARCH), -1)
        scored.shop.build()
        assert scored.score(new).versions[0].rows == 4

    @pytest.mark.parametrize(
        ("record", "found"),
        [
            ({"windows": {}}, "does not say where its training window ended"),
            ({"windows": {"train": ["2026-01-01", "soon"]}}, "training window ended"),
            ({"inputs": {"shop.gold.others": 1}}, "it learnt from shop.gold.others"),
            ({"features": ("customer", "amuont")}, "no column 'amuont'"),
            ({"features": ("customer", "order_month")}, "its type is date32"),
        ],
    )
    def test_a_record_that_does_not_fit(
        self, scored: ScoredShop, record: dict[str, Any], found: str
    ) -> None:
        assert found in self.refused(scored, scored.version(**record)).found
        assert scored.predictions() == []

    def test_a_version_without_a_record_or_an_end(self, scored: ScoredShop) -> None:
        whole = scored.version()
        for part in ({"record": None}, {"complete": False}):
            broken = dataclasses.replace(whole, **part)
            [error] = scored.score(broken).refused
            assert "what it learnt from is unknown" in error.found

    def test_an_entity_that_is_there_twice(self, scored: ScoredShop) -> None:
        # Unique in its month, as the audit sees it.
        scored.shop.orders("2026-04", ("c1", "bob", 3, "2026-04-15"))
        scored.shop.build()
        error = self.refused(scored)
        assert '1 entities are there more than once, ["c1"] 2 times' in error.found
        assert "primaryKey" in error.remedy
        assert scored.predictions() == []

    @pytest.mark.parametrize(
        ("column", "sql", "found"),
        [
            ("key: [order_id]", "nullif(order_id, 'b2') AS ref", "1 rows have no ref"),
            (
                "event_time: ordered_at",
                "CASE WHEN amount <> 3 THEN CAST(CAST(ordered AS TIMESTAMP) AS TIMESTAMPTZ) END AS ref",
                "1 rows have no ref",
            ),
        ],
    )
    def test_rows_without_a_key_or_a_time(
        self, scored: ScoredShop, column: str, sql: str, found: str
    ) -> None:
        timed = "event" in column
        kind = "timestamp, physicalType: TIMESTAMPTZ" if timed else "string, physicalType: VARCHAR"
        scored.shop.edit(
            "gold/features.yaml",
            "  - {name: customer,",
            f"  - {{name: ref, logicalType: {kind}}}\n  - {{name: customer,",
        )
        scored.shop.edit("gold/features.sql", "customer, amount,", f"{sql}, customer, amount,")
        replaced = column.replace("order_id", "ref").replace("ordered_at", "ref")
        scored.shop.edit(f"models/{MODEL}.yaml", column, replaced)
        scored.shop.build()
        assert found in self.refused(scored).found

    @pytest.mark.parametrize(
        ("wrong", "found"),
        [
            (lambda x: np.where(x["amount"] == 70, np.nan, 0.5), '1 of 2 values .* nan for ."c2"'),
            (lambda x: x["amount"].to_numpy() / 10, r'1 of 2 values .* 7.0 for ."c2"'),
            (lambda x: -x["amount"].to_numpy(), r"2 of 2 values are no probabilities: -[57].0"),
            (lambda x: np.zeros((len(x), 2)), r"shape \(2, 2\) for 2 rows"),
            (lambda x: np.zeros(1), r"shape \(1,\) for 2 rows"),
        ],
    )
    def test_what_is_no_probability(self, scored: ScoredShop, wrong: Any, found: str) -> None:
        error = self.refused(scored, probabilities=wrong)
        assert re.search(found, error.found), error.found
        assert scored.predictions() == []

    def test_no_version_at_all(self, scored: ScoredShop) -> None:
        with pytest.raises(scoring.NoVersion, match="registered: none") as raised:
            scoring.plan(scored.shop.lake(), MODEL)
        assert raised.value.remedy == f"lake train {MODEL}"


class TestExactlyOnce:
    def overtaken(self, scored: ScoredShop, first: Any) -> scoring.Scored:
        """A scorer that, while it predicts, is overtaken by another of the same version."""
        waiting = [first]

        def probabilities(x: pd.DataFrame) -> Any:
            if waiting:
                waiting.pop()()
            return amount_over_100(x) / 2

        return scored.score(probabilities=probabilities)

    def test_another_was_first_with_all_rows(self, scored: ScoredShop) -> None:
        [done] = self.overtaken(scored, scored.score).versions
        assert (done.rows, done.table_version) == (0, 1)
        assert scored.predictions() == ALL

    def test_another_was_first_with_some_rows(self, scored: ScoredShop) -> None:
        [done] = self.overtaken(scored, lambda: scored.score(since=dt.date(2026, 3, 1))).versions
        assert (done.rows, done.table_version) == (2, 2)
        halves = [(1, '["b1"]', 0.025), (1, '["b2"]', 0.035)]
        assert scored.predictions() == [*halves, *ALL[2:]]

    def test_another_was_first_with_some_rows_of_a_newer_build(self, scored: ScoredShop) -> None:
        """Both predict rows of March, from different builds of it."""
        old = scored.todo(scored.version())
        scored.shop.orders("late", ("c3", "bob", 30, "2026-03-17"))
        scored.shop.build()
        waiting = [1]

        def probabilities(x: pd.DataFrame) -> Any:
            if waiting:
                waiting.pop()
                scored.score(since=dt.date(2026, 3, 1))
            return amount_over_100(x)

        [done] = scored.score(todo=old, probabilities=probabilities).versions
        assert done.rows == 2
        assert scored.predictions() == [*ALL, (1, '["c3"]', 0.3)]
        assert scored.score().versions[0].rows == 0

    def test_another_version_is_no_rival(self, scored: ScoredShop) -> None:
        done = self.overtaken(scored, lambda: scored.score(scored.version(2)))
        assert done.rows == 4
        assert len(scored.predictions()) == 8

    def test_files_that_were_merged_meanwhile_count(self, scored: ScoredShop) -> None:
        def other() -> None:
            scored.score(since=dt.date(2026, 3, 1))
            scored.shop.orders("late", ("c3", "bob", 30, "2026-03-17"))
            scored.shop.build()
            scored.score(since=dt.date(2026, 3, 1))
            assert len(maintained(scored)) == 1

        [done] = self.overtaken(scored, other).versions
        assert done.rows == 2
        assert [e for (e,) in scored.predictions("entity")] == entities(
            ["b1", "b2", "c1", "c2", "c3"]
        )

    def test_a_lost_reply_is_a_success(
        self, scored: ScoredShop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = transaction.Transaction._write

        def lost(self: transaction.Transaction, *arguments: Any) -> None:
            write(self, *arguments)
            if self.name == "ops.predictions":
                raise CommitFailedError("Concurrent transaction failed")

        monkeypatch.setattr(transaction.Transaction, "_write", lost)
        assert scored.score().rows == 4
        assert scored.predictions() == ALL

    def test_a_commit_that_seemed_to_fail_and_came_later(
        self, scored: ScoredShop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        won = transaction.Transaction._won
        looks: list[int] = []

        def blind(self: transaction.Transaction, *arguments: Any) -> bool:
            found = won(self, *arguments)
            looks.append(1)
            return found and len(looks) > 1

        def lost(self: transaction.Transaction, *arguments: Any) -> None:
            write(self, *arguments)
            if self.name == "ops.predictions":
                raise CommitFailedError("Concurrent transaction failed")

        write = transaction.Transaction._write
        monkeypatch.setattr(transaction.Transaction, "_write", lost)
        monkeypatch.setattr(transaction.Transaction, "_won", blind)
        [done] = scored.score().versions
        assert (done.rows, done.table_version) == (4, 1)
        assert scored.predictions() == ALL

    def test_a_store_that_refuses_leaves_nothing_half(
        self, scored: ScoredShop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(self: transaction.Transaction, *arguments: Any) -> None:
            raise OSError("no space left on device")

        monkeypatch.setattr(transaction.Transaction, "_write", refuse)
        with pytest.raises(CommitError, match="no space left"):
            scored.score()
        monkeypatch.undo()
        assert scored.predictions() == []
        assert scored.score().rows == 4
        assert scored.predictions() == ALL

    def test_predictions_that_came_through_the_ledger_count(self, scored: ScoredShop) -> None:
        now = dt.datetime(2026, 2, 2, tzinfo=dt.UTC)
        row = ops.PredictionRow(
            *("p", "shop", MODEL, 1, "champion", '["b1"]', now, FEB, "b", "d", 0, 0.9, now, "r")
        )
        Ledger(scored.shop.lake().storage).append("predictions", [row], "r")
        [done] = scored.score().versions
        assert (done.rows, done.known) == (3, 1)
        assert scored.predictions() == [(1, '["b1"]', 0.9), *ALL[1:]]


def maintained(scored: ScoredShop) -> list[maintenance.Step]:
    """The merging of predictions, done."""
    lake = scored.shop.lake()
    domain = lake.domain("shop")
    todo = maintenance.plan(lake, domain, ["ops.predictions"])
    if todo.todo:
        maintenance.maintain(lake, domain, todo)
    return [step for step in todo.steps if step.act == maintenance.Act.compact]


class TestMaintenance:
    def test_what_was_scored_is_known_after_merging(self, scored: ScoredShop) -> None:
        for n in range(3):
            scored.shop.orders(f"late-{n}", (f"d{n}", "bob", n, "2026-03-17"))
            scored.shop.build()
            scored.score()
        before = scored.predictions("*")
        assert len(scored.stored().snapshot.files) == 4
        [step] = maintained(scored)
        assert step.files == 3
        files = scored.stored().snapshot.files
        assert [f.rows for f in files] == [2, 5]
        assert scored.predictions("*") == before
        # The newest build of March is the one that is known.
        live = {f.partition: f.build for f in scored.shop.snapshot(TABLE).files}
        assert [f.build for f in files] == [live[FEB], live[MARCH]]
        assert scored.score().versions[0].partitions == ()
        assert maintained(scored) == []

    def test_an_older_build_that_is_live_again_adds_nothing(self, scored: ScoredShop) -> None:
        scored.score()
        late = scored.shop.landing / "orders/late.csv"
        scored.shop.edit("bronze/orders.yaml", "source:", "on_gone: remove\n    source:")
        scored.shop.build()
        scored.score()
        scored.shop.orders("late", ("c3", "bob", 30, "2026-03-17"))
        scored.shop.build()
        scored.score()
        before = scored.predictions("*")
        assert len(maintained(scored)) == 1
        late.unlink()
        scored.shop.build()
        [done] = scored.score().versions
        assert (done.partitions, done.rows, done.known) == ((MARCH,), 0, 2)
        assert scored.predictions("*") == before
        assert scored.score().versions[0].partitions == ()

    def test_versions_are_not_merged_with_each_other(self, scored: ScoredShop) -> None:
        scored.score(scored.version(), scored.version(2))
        assert maintained(scored) == []


class TestNames:
    def test_an_entity_is_a_list_of_texts(self) -> None:
        sql = scoring.entity_sql(["a", 'b "quoted"', "t"])
        row = '1.50::DOUBLE AS a, \'x"\\y\' AS "b ""quoted""", TIMESTAMPTZ \'2026-02-02\' AS t'
        with duckdb.connect() as con:
            con.execute("SET TimeZone = 'UTC'")
            [(told,)] = con.execute(f"SELECT {sql} FROM (SELECT {row})").fetchall()
        assert json.loads(told) == ["1.5", 'x"\\y', "2026-02-02 00:00:00+00"]

    # No time limit on an example: a busy machine is no counterexample.
    @settings(deadline=None)
    @given(st.lists(st.tuples(st.text(), st.text()), unique=True, max_size=20))
    def test_different_keys_are_different_entities(self, keys: list[tuple[str, str]]) -> None:
        keys = [pair for pair in keys if "\0" not in "".join(pair)]
        rows = pd.DataFrame(keys, columns=["a", "b"], dtype=str)
        with duckdb.connect() as con:
            con.register("rows", rows)
            found = con.execute(f"SELECT {scoring.entity_sql(['a', 'b'])} FROM rows").fetchall()
        assert [tuple(json.loads(told)) for (told,) in found] == keys

    def test_a_part_is_found_by_its_directory(self) -> None:
        build = BuildId.parse("-".join(["0123456789"] * 4))
        path = predictions.new_path(key(3), scoring.Part("a/b", build))
        assert path.startswith(f"model=shop.{MODEL}/version=3/partition=a%2Fb/build={build}/part-")

    def test_predictions_of_a_model_as_a_view(self, scored: ScoredShop) -> None:
        scored.score(scored.version(), scored.version(2))
        with duckdb.connect() as con:
            scored.stored().mount(con, "shop", MODEL)
            assert con.execute("SELECT count(*) FROM predictions").fetchall() == [(8,)]
            scored.stored().mount(con, "shop", "others")
            assert con.execute("SELECT count(*) FROM predictions").fetchall() == [(0,)]
