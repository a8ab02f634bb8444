"""Maintenance of real tables: rows, plans and kept versions are as before, whatever it removes."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scattered import age, place_of, rows_at, scatter, versions_of
from shop import FEBRUARY, JANUARY, Shop

from lakehouse import ledger, maintenance, ops
from lakehouse import snapshot as snapshots
from lakehouse.cli import main
from lakehouse.errors import CatalogError, CommitError, StorageError
from lakehouse.ledger import Ledger
from lakehouse.maintenance import Done, Plan
from lakehouse.maintenance.act import apply_table
from lakehouse.maintenance.compaction import Merge
from lakehouse.maintenance.look import look
from lakehouse.maintenance.pins import Pin
from lakehouse.maintenance.place import places
from lakehouse.maintenance.plan import TablePlan, plan_table
from lakehouse.rewriting import statistics

NAMES = ("bronze.orders", "silver.orders")


@pytest.fixture
def orders(shop: Shop) -> Shop:
    return small(shop)


def small(shop: Shop) -> Shop:
    """Orders of two months, with one that is kept out."""
    shop.drop(
        *("silver.sales", "bronze.sales", "gold.daily", "gold.countries"),
        *("silver.customers", "bronze.customers"),
    )
    shop.orders("2026-01", *JANUARY, ("a9", "ann", 5000, "2026-01-09"))
    shop.orders("2026-02", *FEBRUARY, *[(f"c{n}", "bob", n, "2026-02-11") for n in range(5)])
    shop.build()
    return shop


def later(days: float) -> dt.datetime:
    return ledger.now() + dt.timedelta(days=days)


def planned(shop: Shop, *tables: str, days: float = 0) -> Plan:
    lake = shop.lake()
    return maintenance.plan(lake, lake.domain("shop"), tables, now=later(days))


def maintained(shop: Shop, *tables: str, days: float = 0) -> Done:
    lake = shop.lake()
    return maintenance.maintain(lake, lake.domain("shop"), planned(shop, *tables, days=days))


def todo(found: Plan) -> dict[str, dict[str, int]]:
    return {
        t.place.name.removeprefix("shop."): {str(s.act): s.files for s in t.steps}
        for t in found.todo
    }


def one_table(shop: Shop, name: str, pins: Sequence[Pin] = (), days: float = 0) -> TablePlan:
    lake = shop.lake()
    (group,) = places(lake, lake.domain("shop"), [name])
    return plan_table(look(group, pins, later(days))[0], later(days))


def everything(shop: Shop) -> tuple[object, ...]:
    held = {n: sorted(shop.rows(f"FROM {n}__quarantine"), key=repr) for n in NAMES}
    return shop.everything(), held, shop.plan().targets


def tree(shop: Shop) -> dict[str, tuple[int, float]]:
    root = Path(shop.lake().storage.root)
    files = (f for f in root.rglob("*") if f.is_file())
    return {str(f.relative_to(root)): (f.stat().st_size, f.stat().st_mtime) for f in files}


class TestCompaction:
    def test_files_of_one_build_become_one_and_nothing_is_stale(self, orders: Shop) -> None:
        before, place = everything(orders), place_of(orders, "silver.orders")
        whole = {f.build: f for f in snapshots.read(place, "s").files}
        stats = {
            f.build: statistics(place, [f.path])[f.path] for f in snapshots.read(place, "s").files
        }
        scatter(orders, "silver.orders")
        scatter(orders, "bronze.orders")
        assert everything(orders) == before
        files = len(orders.snapshot("silver.orders").files)
        assert todo(planned(orders, *NAMES)) == {
            "bronze.orders": {"compact": len(orders.snapshot("bronze.orders").files)},
            "silver.orders": {"compact": files},
        }
        maintained(orders)
        assert everything(orders) == before
        now = snapshots.read(place, "s").files
        assert {f.build: (f.rows, f.partition, f.added) for f in now} == {
            b: (f.rows, f.partition, f.added) for b, f in whole.items()
        }
        assert {f.build: statistics(place, [f.path])[f.path] for f in now} == stats
        assert todo(planned(orders)) == {}
        assert len({str(rows) for rows in versions_of(orders, "silver.orders", 1).values()}) == 1

    def test_rows_keep_their_order(self, orders: Shop) -> None:
        import pyarrow.parquet as pq

        place = place_of(orders, "silver.orders")

        def read() -> dict[Any, list[Any]]:
            return {
                f.build: pq.read_table(f"{place.root}/{f.path}", partitioning=None).to_pylist()
                for f in snapshots.read(place, "s").files
            }

        before = read()
        scatter(orders, "silver.orders", 4)
        maintained(orders, "silver.orders")
        assert read() == before

    def test_the_log_says_that_no_row_changed(self, orders: Shop) -> None:
        scatter(orders, "silver.orders")
        maintained(orders, "silver.orders")
        place = place_of(orders, "silver.orders")
        version = snapshots.read(place, "s").version
        entry = Path(place.root, "_delta_log", f"{version:020}.json").read_text()
        actions = [json.loads(line) for line in entry.splitlines()]
        changes = [a[k]["dataChange"] for a in actions for k in ("add", "remove") if k in a]
        assert changes == [False] * len(changes) and len(changes) > 4

    def test_a_build_goes_on_from_it_and_tells_of_late_data(self, orders: Shop) -> None:
        scatter(orders, "silver.orders")
        scatter(orders, "bronze.orders")
        maintained(orders)
        orders.orders("late", ("z1", "ann", 1, "2026-01-31"))
        assert list(orders.todo("bronze.orders").values()) == [["new data orders/late.csv"]]
        orders.build("bronze.orders")
        assert orders.todo("silver.orders") == {
            ("silver.orders", "2026-01-01"): ["late data bronze.orders orders/late.csv"]
        }
        orders.build()
        assert ("z1",) in orders.rows("SELECT order_id FROM silver.orders")
        assert orders.plan().targets == ()

    def test_a_merge_whose_files_a_build_replaced_is_left_out(self, orders: Shop) -> None:
        scatter(orders, "silver.orders")
        found = planned(orders, "silver.orders")
        orders.build("silver.orders", force=True, partitions=["2026-01-01"])
        lake = orders.lake()
        done = maintenance.maintain(lake, lake.domain("shop"), found)
        step = done.steps["shop.silver.orders"][0]
        assert step.because == "became 1; 1 others were replaced by a build meanwhile"
        assert len(orders.snapshot("silver.orders").files) == 2
        assert orders.plan().targets == ()

    def test_files_that_lack_rows_are_not_merged(self, orders: Shop) -> None:
        scatter(orders, "silver.orders")
        table = planned(orders, "silver.orders").todo[0]
        files = table.merges[0].files
        lacking = Merge((files[0], *(replace(f, rows=9) for f in files[1:])))
        wrong = TablePlan(table.place, table.version, 0, {}, merges=(lacking,))
        before = orders.snapshot("silver.orders")
        with pytest.raises(CommitError, match="in the log") as raised:
            apply_table(wrong, "run")
        assert "--force" in raised.value.remedy
        assert orders.snapshot("silver.orders") == before

    def test_the_ledger_becomes_one_file(self, orders: Shop) -> None:
        for _ in range(20):
            orders.build("silver.orders", force=True, partitions=["2026-02-01"])
        rows = {n: sorted(Ledger(orders.lake().storage).rows(n), key=repr) for n in ops.ROWS}
        assert todo(planned(orders, "ops.builds")) == {"ops.builds": {"compact": 21}}
        maintained(orders, "ops.builds", "ops.audits")
        assert len(snapshots.read(place_of(orders, "ops.builds"), "b").files) == 1
        now = {n: sorted(Ledger(orders.lake().storage).rows(n), key=repr) for n in ops.ROWS}
        assert (now["builds"], now["audits"]) == (rows["builds"], rows["audits"])
        assert {r["kind"] for r in now["runs"]} == {"build", "maintain"}


class TestVacuum:
    def test_nothing_of_the_last_days_goes(self, orders: Shop) -> None:
        orders.build("silver.orders", force=True)
        assert todo(planned(orders, days=6.9)) == {}

    def test_files_of_old_versions_go_and_their_quarantine(self, orders: Shop) -> None:
        orders.edit("silver/orders.yaml", "max_value: 1000}", "max_value: 900}")
        orders.build("silver.orders")
        before = everything(orders)
        found = planned(orders, *NAMES, days=8)
        assert todo(found) == {
            "silver.orders": {"vacuum": 2},
            "silver.orders__quarantine": {"drop quarantine": 1},
        }
        maintained(orders, days=8)
        assert everything(orders) == before
        assert todo(planned(orders, *NAMES, days=8)) == {"silver.orders__quarantine": {"vacuum": 1}}
        maintained(orders, days=8)
        assert everything(orders) == before
        assert todo(planned(orders, days=8)) == {}

    def test_a_version_that_somebody_holds_stays(self, orders: Shop) -> None:
        held = versions_of(orders, "silver.orders", 1)
        orders.build("silver.orders", force=True)
        orders.build("silver.orders", force=True)
        pin = Pin("shop.silver.orders", 1, "model m 1 (champion)")
        found = one_table(orders, "silver.orders", [pin], days=8)
        assert (found.oldest, found.held) == (1, {1: ("model m 1 (champion)",)})
        assert len(found.dead) == 2
        apply_table(found, "run")
        assert rows_at(orders, "silver.orders", 1) == held[1]
        assert rows_at(orders, "silver.orders", 3) == held[1]

    def test_a_recorded_run_holds_what_it_read_while_it_is_young(self, orders: Shop) -> None:
        orders.build("silver.orders", force=True)
        age(Path(orders.lake().storage.root) / "shop", 8)
        # What an old version is read by now: a training of a pinned version, for one.
        row = ledger.finish(
            *("20260101T000000-abcdef", "train", "shop", ledger.now()),
            parameters={"model": "", "reads": {"shop.silver.orders": 1}},
            result="done",
            folder=orders.domain,
        )
        Ledger(orders.lake().storage).record(row)
        assert "silver.orders" not in todo(planned(orders, *NAMES))
        kept = next(t for t in planned(orders).tables if t.place.name == "shop.silver.orders")
        assert set(kept.held) == {1}
        assert "run 20260101T000000-abcdef" in kept.held[1]
        assert todo(planned(orders, *NAMES, days=8))["silver.orders"] == {"vacuum": 2}

    def test_files_never_committed_go_when_no_build_can_be_as_old(self, orders: Shop) -> None:
        place = place_of(orders, "silver.orders")
        live = orders.snapshot("silver.orders").files[0]
        ours = Path(place.root, live.path).with_name("part-left.parquet")
        staged = Path(place.root, "staging/run-1/_delta_log/00000000000000000000.json")
        others = [Path(place.root, name) for name in ("notes.txt", "month=1/theirs.parquet")]
        for file in (ours, staged, *others):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"1234")
        assert todo(planned(orders, "silver.orders", days=6)) == {}
        found = planned(orders, "silver.orders", days=8)
        assert todo(found) == {"silver.orders": {"remove orphans": 2}}
        assert found.steps[0].bytes == 8
        maintained(orders, days=8)
        assert not ours.exists() and not staged.exists() and all(f.exists() for f in others)

    def test_a_file_that_is_committed_after_the_plan_stays(self, orders: Shop) -> None:
        found = one_table(orders, "silver.orders", days=8)
        live = orders.snapshot("silver.orders").files[0]
        stored = next(s for s in look_at(orders, "silver.orders") if s.path == live.path)
        late = TablePlan(found.place, found.version, found.oldest, {}, orphans=(stored,))
        assert apply_table(late, "run")[0].files == 0
        assert orders.rows("SELECT count(*) FROM silver.orders") == [(9,)]

    def test_a_live_file_that_is_not_listed_stops_it(self, orders: Shop) -> None:
        Path(
            place_of(orders, "silver.orders").root, orders.snapshot("silver.orders").files[0].path
        ).unlink()
        with pytest.raises(StorageError, match="1 live files are not there") as raised:
            planned(orders, days=8)
        assert "'lake build shop.silver.orders --force'" in raised.value.remedy

    def test_a_place_that_is_written_another_way(self, tmp_path: Path) -> None:
        shop = small(Shop(tmp_path, uri=f"file://{tmp_path}//x/../lake"))
        shop.build("silver.orders", force=True)
        before = everything(shop)
        with contextlib.suppress(StorageError):
            maintained(shop, days=8)
        assert everything(shop) == before

    def test_the_contract_says_how_long(self, orders: Shop) -> None:
        orders.edit(
            "silver/orders.yaml",
            "rows: {from: bronze.orders}",
            "rows: {from: bronze.orders}\n    retention: {history: 30 days, longest_build: 1 day}",
        )
        assert orders.plan().targets == ()
        orders.build("silver.orders", force=True)
        assert todo(planned(orders, "silver.orders", days=29)) == {}
        assert todo(planned(orders, "silver.orders", days=31))["silver.orders"] == {"vacuum": 2}

    def test_partition_values_that_paths_escape(self, shop: Shop) -> None:
        names = ("Łódź/ö", "50 %", "a b")
        shop.sales("all", *[(f"s{n}", region) for n, region in enumerate(names)])
        shop.build("silver.sales")
        shop.build("silver.sales", force=True)
        scatter(shop, "bronze.sales")
        maintained(shop, days=8)
        found = shop.rows("SELECT area, count(*) FROM silver.sales GROUP BY 1 ORDER BY 1")
        assert found == [(name, 1) for name in sorted(names)]
        assert shop.plan("silver.sales").targets == ()


def look_at(shop: Shop, name: str) -> Sequence[Any]:
    from lakehouse.maintenance.files import listed

    return listed(place_of(shop, name))


class TestLog:
    def test_entries_below_what_is_kept_go_and_all_above_can_be_read(self, orders: Shop) -> None:
        for _ in range(24):
            orders.build("silver.orders", force=True, partitions=["2026-01-01"])
        before, rows = everything(orders), versions_of(orders, "silver.orders", 20)
        pin = Pin("shop.silver.orders", 21, "model m 1 (champion)")
        found = one_table(orders, "silver.orders", [pin], days=8)
        assert found.oldest == 21 and len(found.log) == 19
        apply_table(found, "run")
        assert everything(orders) == before
        log = sorted(
            p.name for p in Path(place_of(orders, "silver.orders").root, "_delta_log").iterdir()
        )
        assert log[0] == f"{19:020}.checkpoint.parquet" and len(log) == 9
        for version in (21, 25):
            assert rows_at(orders, "silver.orders", version) == rows[version]
        orders.build("silver.orders", force=True)
        assert orders.plan().targets == ()
        # Without the pin more may go, from a log that is cleaned already.
        assert len(one_table(orders, "silver.orders", days=8).dead) > 0
        maintained(orders, days=8)
        assert everything(orders) == before

    def test_a_version_whose_entries_are_gone_is_told_of(self, orders: Shop) -> None:
        for _ in range(21):
            orders.build("silver.orders", force=True, partitions=["2026-01-01"])
        maintained(orders, "silver.orders", days=8)
        pin = Pin("shop.silver.orders", 3, "model m 1 (champion)")
        found = one_table(orders, "silver.orders", [pin], days=8)
        assert found.held == {}
        assert found.warnings == (
            "shop.silver.orders: version 3, held by model m 1 (champion), is gone already",
        )

    def test_a_gap_among_young_entries_stops_it(self, orders: Shop) -> None:
        for _ in range(21):
            orders.build("silver.orders", force=True, partitions=["2026-01-01"])
        folder = Path(place_of(orders, "silver.orders").root, "_delta_log")
        (folder / f"{10:020}.json").unlink()
        with pytest.raises(StorageError, match="missing above version 0"):
            planned(orders, "silver.orders")

    def test_a_missing_checkpoint_is_made(self, orders: Shop) -> None:
        for _ in range(21):
            orders.build("silver.orders", force=True, partitions=["2026-01-01"])
        folder = Path(place_of(orders, "silver.orders").root, "_delta_log")
        for file in (*folder.glob("*.checkpoint.parquet"), folder / "_last_checkpoint"):
            file.unlink()
        assert todo(planned(orders, "silver.orders")) == {"silver.orders": {"checkpoint": 1}}
        maintained(orders, "silver.orders")
        assert [f.name for f in folder.glob("*.checkpoint.parquet")] == [
            f"{22:020}.checkpoint.parquet"
        ]
        assert todo(planned(orders, "silver.orders")) == {}


class TestAnyOrder:
    """Builds, landings and maintenance in any order."""

    @settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        acts=st.lists(
            st.sampled_from(["land", "replace", "force", "scatter", "maintain"]),
            min_size=3,
            max_size=8,
        ),
        held=st.integers(1, 4),
    )
    def test_rows_and_held_versions_stay(
        self, tmp_path_factory: pytest.TempPathFactory, acts: list[str], held: int
    ) -> None:
        shop = small(Shop(tmp_path_factory.mktemp("any")))
        rows: dict[int, Any] = {}
        pin = [Pin("shop.silver.orders", held, "somebody")]
        for turn, act in enumerate([*acts, "maintain"]):
            if act == "land":
                shop.orders(f"l{turn}", (f"l{turn}", "ann", turn, f"2026-0{turn % 3 + 1}-01"))
                shop.build()
            elif act == "replace":
                shop.orders("2026-01", ("a1", "ann", 10 + turn, "2026-01-05"))
                shop.build()
            elif act == "force":
                shop.build(force=True)
            elif act == "scatter":
                scatter(shop, "silver.orders", 2)
            else:
                before, version = everything(shop), shop.snapshot("silver.orders").version
                rows = {v: rows[v] for v in rows if v == held or v >= version}
                for name in NAMES:
                    apply_table(one_table(shop, name, pin, days=8), "run")
                assert everything(shop) == before
                assert before[2] == ()
                for v, known in rows.items():
                    assert rows_at(shop, "silver.orders", v) == known
            rows |= versions_of(shop, "silver.orders", shop.snapshot("silver.orders").version)


class TestCommand:
    @pytest.fixture
    def lake(self, orders: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
        given = {"URI": orders.settings.uri, "LANDING": orders.settings.landing}
        given |= {"DOMAINS": str(orders.settings.domains), "STATE": str(orders.settings.state)}
        for name, value in given.items():
            monkeypatch.setenv(f"LAKE_{name}", value)
        monkeypatch.chdir(orders.domain)
        scatter(orders, "silver.orders")
        return orders

    def run(self, capsys: pytest.CaptureFixture[str], *words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["maintain", *words])
        assert ended.value.code == 0
        return capsys.readouterr().out

    def test_it_shows_and_changes_nothing(
        self, lake: Shop, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = tree(lake)
        out = self.run(capsys)
        assert "shop.silver.orders  compact" in out and "become 2" in out
        assert "nothing was changed" in out
        assert tree(lake) == before

    def test_it_does_it_and_records_the_run(
        self, lake: Shop, capsys: pytest.CaptureFixture[str]
    ) -> None:
        told = json.loads(self.run(capsys, "--apply", "--json", "silver.orders"))
        assert told["applied"] is True
        (step,) = told["tables"][0]["steps"]
        assert (step["do"], step["because"]) == ("compact", "became 2")
        ((kind, result, text),) = lake.rows(
            f"SELECT kind, result, parameters FROM ops.runs WHERE run = '{told['run']}'"
        )
        assert (kind, result) == ("maintain", "done")
        assert json.loads(text)["tables"]["shop.silver.orders"][0]["files"] == step["files"]
        assert "nothing to do: 2 tables looked at" in self.run(capsys, "silver.orders", "--apply")

    def test_a_table_that_is_not_there(self, lake: Shop) -> None:
        with pytest.raises(CatalogError, match="no such ops table"):
            planned(lake, "ops.run")


class TestModels:
    """Against a real registry."""

    @pytest.fixture
    def trained(self, orders: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        row = ledger.finish(
            *("20200101T000000-abcdef", "train", "shop", later(-100)),
            parameters={"model": "large", "reads": {}},
            result="done",
            folder=orders.domain,
        )
        Ledger(orders.lake().storage).record(row)
        orders.build("silver.orders", force=True)
        orders.build("silver.orders", force=True)
        return orders

    def test_the_version_that_a_champion_learnt_from_stays(self, trained: Shop) -> None:
        from lakehouse.registry import prepare_process

        prepare_process()
        from mlflow import MlflowClient

        trained.settings.state.mkdir(exist_ok=True)
        client = MlflowClient(f"sqlite:///{trained.settings.state.resolve() / 'mlflow.db'}")
        record = {"fingerprint": "f", "definition_id": "d", "feature_definition_id": "e"}
        record |= {"features": ["a"], "inputs": {"shop.silver.orders": 1}}  # type: ignore[dict-item]
        client.create_registered_model("large")
        tags = {"lakehouse.record": json.dumps(record), "lakehouse.alias": "champion"}
        client.create_model_version("large", "file:///nowhere", tags=tags)
        client.set_registered_model_alias("large", "champion", "1")
        before = rows_at(trained, "silver.orders", 1)
        found = planned(trained, "silver.orders", days=8)
        assert found.tables[0].held == {1: ("model large 1 (champion)",)}
        assert todo(found)["silver.orders"] == {"vacuum": 2}
        maintained(trained, days=8)
        assert rows_at(trained, "silver.orders", 1) == before

    def test_when_the_registry_does_not_answer_nothing_goes(
        self, trained: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        with pytest.raises(StorageError, match="list the versions of large"):
            planned(trained, days=8)


@pytest.mark.prefect
def test_the_flow_as_a_script(orders: Shop) -> None:
    scatter(orders, "silver.orders")
    given = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    given |= {"LAKE_URI": orders.settings.uri, "LAKE_LANDING": orders.settings.landing}
    given |= {"LAKE_DOMAINS": str(orders.settings.domains)}
    given |= {"LAKE_STATE": str(orders.settings.state), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    home = Path(__file__).parents[2]
    files = len(orders.snapshot("silver.orders").files)
    for words, expected in (
        ((), f"Completed: {files} files, "),
        (("--apply",), f"Completed: {files} files, "),
    ):
        done = subprocess.run(
            [sys.executable, "-W", "error", "flows/maintain.py", *words, "shop"],
            cwd=home,
            env=given,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert f"\n{expected}" in f"\n{done.stdout}"
        assert ("nothing was changed" in done.stdout) is (not words)
    assert len(orders.snapshot("silver.orders").files) == 2


@pytest.mark.s3
def test_the_same_on_s3(
    tmp_path: Path, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, s3[name])
    place = f"s3://{urlparse(s3['LAKE_URI']).netloc}/{uuid.uuid4().hex}"
    landing = (tmp_path / "landing").as_uri()
    shop = small(Shop(tmp_path, uri=place, landing=landing, s3_endpoint=s3["LAKE_S3_ENDPOINT"]))
    for _ in range(20):
        shop.build("silver.orders", force=True, partitions=["2026-01-01"])
    scatter(shop, "silver.orders")
    before = everything(shop)
    held = versions_of(shop, "silver.orders", 20)
    found = todo(planned(shop, *NAMES, days=8))["silver.orders"]
    assert found == {"compact": 5, "vacuum": 22, "clean log": 19}
    pin = Pin("shop.silver.orders", 20, "model m 1 (champion)")
    apply_table(one_table(shop, "silver.orders", [pin], days=8), "run")
    assert everything(shop) == before
    assert rows_at(shop, "silver.orders", 22) == held[20]
    maintained(shop, days=8)
    assert everything(shop) == before
    assert todo(planned(shop, "silver.orders", days=8)).keys() <= {"silver.orders"}
