"""What maintenance decides, from values."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scattered import stats_of

from lakehouse import sealed
from lakehouse.contract import Retention
from lakehouse.errors import StorageError
from lakehouse.maintenance.compaction import merges, seals, unmerged
from lakehouse.maintenance.files import Stored
from lakehouse.maintenance.log import Log
from lakehouse.maintenance.pins import of_versions
from lakehouse.maintenance.place import Place
from lakehouse.maintenance.plan import Act, Seen, plan_table
from lakehouse.registry import ModelRecord, ModelVersion
from lakehouse.rewriting import Statistics, merged
from lakehouse.sealed import Member
from lakehouse.snapshot import File, Snapshot, build_of
from lakehouse.storage import Storage

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
OLD, YOUNG = NOW - dt.timedelta(days=30), NOW - dt.timedelta(hours=1)
ONE, TWO = (f"{n:010}-{n:010}-{n:010}-{n:010}" for n in (1, 2))


def file(path: str, size: int = 10, rows: int = 1, batch: str | None = None) -> File:
    month = path.split("/", 1)[0].removeprefix("month=")
    return File(path, size, rows, month, build_of(path), batch, int(OLD.timestamp() * 1000))


def snapshot(*files: File) -> Snapshot:
    return Snapshot("shop.silver.orders", 3, files)


def names(found: Any) -> list[list[str]]:
    return [[f.path.rpartition("/")[2] for f in merge.files] for merge in found]


class TestMerges:
    def test_files_of_one_build_in_the_order_of_their_names(self) -> None:
        files = [file(f"month=1/build={ONE}/part-{n}") for n in (2, 0, 1)]
        assert names(merges(snapshot(*files), "table")) == [["part-0", "part-1", "part-2"]]

    def test_not_across_builds_partitions_or_batches(self) -> None:
        files = [
            file(f"month=1/build={ONE}/a"),
            file(f"month=1/build={TWO}/b"),
            file(f"month=2/build={ONE}/c"),
            file(f"month=3/batch=0000000001/build={ONE}/d", batch="0000000001"),
            file(f"month=3/batch=0000000002/build={ONE}/e", batch="0000000002"),
        ]
        assert merges(snapshot(*files), "table") == ()

    def test_up_to_the_target_and_large_files_stay(self) -> None:
        sizes = [40, 40, 40, 51, 40, 40]
        files = [file(f"month=1/build={ONE}/{n}", size) for n, size in enumerate(sizes)]
        assert names(merges(snapshot(*files), "table", target=100)) == [["0", "1"], ["4", "5"]]

    def test_foreign_files_are_left_alone(self) -> None:
        assert merges(snapshot(file("month=1/a"), file("month=1/b")), "table") == ()

    def test_the_ledger_is_merged_when_it_has_many_files(self) -> None:
        files = [file(f"run={n:02}/part") for n in range(20)]
        assert merges(snapshot(*files[:19]), "ops") == ()
        assert len(merges(snapshot(*files), "ops")[0].files) == 20

    def test_many_tiny_batches_are_told_of(self) -> None:
        files = [file(f"month=1/batch={n:010}/build={ONE}/a", batch=f"{n:010}") for n in range(101)]
        assert unmerged(snapshot(*files[:100])) == ()
        assert "101 batches of 10 B each" in unmerged(snapshot(*files))[0]


class TestSeals:
    before = int(NOW.timestamp() * 1000)

    def batch(self, n: int, size: int = 10, of: str = ONE, month: int = 1, **given: Any) -> File:
        path = f"month={month}/batch={n:010}/build={of}/a"
        return replace(file(path, size, batch=f"{n:010}"), **given)

    def sealed(self, count: int, size: int) -> File:
        members = tuple(
            Member(f"{n:010}", ONE, 1, 7) for n in range(size * 100, size * 100 + count)
        )
        path = f"month=1/{sealed.folder(members)}/b"
        return replace(file(path, size, count), build=None, members=members)

    def found(self, *files: File, target: int = 10_000) -> list[tuple[int, int]]:
        """Of each merge: its files, its batches."""
        made = seals(snapshot(*files), self.before, target)
        return [(len(merge.files), len(merge.members)) for merge in made]

    def test_where_there_are_many_of_one_partition_and_definition(self) -> None:
        files = [self.batch(n) for n in range(20)]
        assert self.found(*files) == [(20, 20)]
        assert self.found(*files[:19]) == []
        assert self.found(*files[:19], self.batch(19, month=2)) == []
        other = f"{2:010}-{1:010}-{1:010}-{1:010}"
        assert self.found(*files[:19], self.batch(19, of=other)) == []
        assert self.found(
            *files[:19], self.batch(19, of=TWO.replace(f"{2:010}", f"{1:010}", 2))
        ) == [(20, 20)]

    def test_the_young_the_large_and_the_uncounted_stay(self) -> None:
        files = [self.batch(n) for n in range(19)]
        assert self.found(*files, self.batch(19, added=self.before)) == []
        assert self.found(*files, self.batch(19, size=5001)) == []
        assert self.found(*files, self.batch(19, rows=-1)) == []
        assert self.found(*files, self.batch(19, rows=0)) == [(20, 20)]

    def test_up_to_the_target(self) -> None:
        assert self.found(*(self.batch(n) for n in range(55)), target=250) == [(25, 25), (25, 25)]

    def test_a_batch_of_several_files_is_there_once(self) -> None:
        files = [self.batch(n) for n in range(19)]
        twice = replace(files[0], path=f"{files[0].path}2", rows=3, added=files[0].added + 5)
        (merge,) = seals(snapshot(*files, twice), self.before)
        assert len(merge.members) == 19
        assert merge.members[0] == Member("0000000000", ONE, 4, files[0].added + 5)
        assert merge.folder("table") == f"month=1/{sealed.folder(merge.members)}"

    def test_what_is_sealed_is_sealed_again_when_it_doubles(self) -> None:
        files = [self.batch(n) for n in range(19)]
        assert self.found(*files, self.sealed(30, 190)) == [(20, 49)]
        assert self.found(*files, self.sealed(30, 191)) == []
        assert self.found(*files, self.batch(19), self.sealed(30, 201)) == [(20, 20)]
        both = (self.sealed(30, 100), self.sealed(40, 290))
        assert self.found(*files, *both) == [(21, 89)]

    def test_other_tables_are_not_sealed(self) -> None:
        files = snapshot(*(self.batch(n) for n in range(20)))
        assert steps(seen("table", snapshot=files)) == {}
        old = replace(seen("table", snapshot=files), place=place(seal="29 days"))
        assert steps(old) == {"seal": 20}
        for kind in ("quarantine", "predictions", "ops"):
            assert "seal" not in steps(replace(old, place=replace(old.place, kind=kind)))

    def test_files_that_are_sealed_are_not_merged_beside_it(self) -> None:
        files = [self.batch(n, added=0) for n in range(20)]
        young = [replace(self.batch(30), path=f"{self.batch(30).path}{n}") for n in range(2)]
        second = replace(files[0], path=f"{files[0].path}2")
        found = seen("table", snapshot=snapshot(*files, second, *young))
        assert steps(found) == {"seal": 21, "compact": 2}


def test_a_sealed_file_lists_its_batches(tmp_path: Path) -> None:
    members = tuple(Member(f"{n:010}", ONE, n, n) for n in range(3))
    path = f"month=1/{sealed.folder(members)}/part-0.parquet"
    (tmp_path / path).parent.mkdir(parents=True)
    rows = pa.table({"_batch": ["0000000001"]})
    pq.write_table(rows.replace_schema_metadata(sealed.footer(members)), tmp_path / path)
    store = Storage(tmp_path.as_uri())
    assert sealed.members(store, path) == members
    other = f"month=1/{sealed.folder(members[1:])}/part-0.parquet"
    (tmp_path / other).parent.mkdir(parents=True)
    shutil.copy(tmp_path / path, tmp_path / other)
    with pytest.raises(StorageError, match="lists other batches"):
        sealed.members(store, other)
    assert sealed.seals(path) and not sealed.seals(f"sealed=0123456789/build={ONE}/part-0.parquet")


def told(rows: pa.Table, columns: list[str]) -> Statistics:
    found = stats_of(rows, columns, columns)
    low, high = found.get("minValues", {}), found.get("maxValues", {})
    return Statistics(rows.num_rows, low, high, found.get("nullCount", {}))


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.none() | st.integers(-5, 5), st.none() | st.text(max_size=3)), max_size=12
    ),
    st.lists(st.integers(0, 12), max_size=3),
)
def test_statistics_of_parts_together_are_those_of_the_whole(
    values: list[tuple[Any, Any]], cuts: list[int]
) -> None:
    rows = pa.table(
        {
            "number": pa.array([n for n, _ in values], pa.int64()),
            "text": pa.array([t for _, t in values], pa.string()),
        }
    )
    columns = ["number", "text"]
    ends = [0, *sorted(cuts), max([rows.num_rows, *cuts])]
    parts = [rows.slice(a, b - a) for a, b in itertools.pairwise(ends)]
    assert json.loads(merged([told(part, columns) for part in parts])) == stats_of(
        rows, columns, columns
    )


def test_a_bound_that_one_file_lacks_is_left_out() -> None:
    whole = Statistics(2, {"a": 1}, {"a": 2}, {"a": 0})
    lacking = Statistics(2, {}, {}, {"a": 1})
    found = json.loads(merged([whole, lacking]))
    assert found == {"numRecords": 4, "minValues": {}, "maxValues": {}, "nullCount": {"a": 1}}


def test_bounds_stand_as_the_log_writes_them() -> None:
    when = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
    day, endless = dt.date(2026, 1, 1), float("inf")
    low = {"t": when, "d": day, "f": -endless}
    found = json.loads(merged([Statistics(1, low, low, dict.fromkeys(low, 0))]))
    assert found["minValues"] == {"t": "2026-01-01T12:00:00.000000Z", "d": "2026-01-01"}


def stored(name: str, modified: dt.datetime = OLD) -> Stored:
    return Stored(name, 1, modified)


def log(*versions: int, checkpoints: tuple[str, ...] = (), late: int = 999) -> Log:
    """A log whose versions from ``late`` on are young."""
    entries = [
        stored(f"_delta_log/{v:020}.json", YOUNG if v >= late else OLD + dt.timedelta(seconds=v))
        for v in versions
    ]
    parts = [stored(f"_delta_log/{name}") for name in checkpoints]
    return Log.of([*entries, *parts, stored("_delta_log/_last_checkpoint"), stored("a.parquet")])


def checkpoint(version: int) -> str:
    return f"{version:020}.checkpoint.parquet"


class TestLog:
    def test_a_whole_log_is_readable_from_its_first_version(self) -> None:
        assert (log(0, 1, 2).earliest, log(0, 1, 2).latest, log().latest) == (0, 2, -1)

    def test_a_cleaned_log_is_readable_from_its_first_checkpoint(self) -> None:
        assert log(3, 4, 5, checkpoints=(checkpoint(4),)).earliest == 4
        assert log(3, 4, 5, checkpoints=(checkpoint(2),)).earliest == 2

    def test_a_checkpoint_counts_when_all_its_parts_are_there(self) -> None:
        first, second = (f"{1:020}.checkpoint.{n:010}.{2:010}.parquet" for n in (1, 2))
        assert log(0, 1, 2, checkpoints=(first,)).checkpoints == ()
        assert log(0, 1, 2, checkpoints=(first, second)).checkpoints == (1,)

    def test_the_version_of_a_moment(self) -> None:
        assert log(0, 1, 2, 3, late=2).current_at(NOW - dt.timedelta(days=1)) == 1
        assert log(0, 1, 2, 3, late=0).current_at(NOW - dt.timedelta(days=1)) == 0
        assert log(0, 1, 2, 3).current_at(NOW) == 3
        cleaned = log(2, 3, checkpoints=(checkpoint(2),), late=2)
        assert cleaned.current_at(OLD) == 2

    def test_an_entry_goes_only_below_the_checkpoint_of_the_oldest_version(self) -> None:
        found = log(0, 1, 2, 3, 4, checkpoints=(checkpoint(1), checkpoint(3)))
        assert [f.path[-26:] for f in found.expired(2)] == [f.path[-26:] for f in found.expired(1)]
        assert {int(f.path[11:31]) for f in found.expired(2)} == {0}
        assert {int(f.path[11:31]) for f in found.expired(4)} == {0, 1, 2}
        assert log(0, 1, 2).expired(2) == ()


@pytest.mark.parametrize(
    ("kind", "path", "owned"),
    [
        ("table", f"month=1/build={ONE}/part-0.parquet", True),
        ("table", f"month=1/batch=0000000001/build={ONE}/part-0.parquet", True),
        ("table", f"build={ONE[:32]}/part-0.parquet", True),
        ("table", f"staging/run-1/month=1/build={ONE}/rejected=false/part-0.parquet", True),
        ("table", "staging/run-1/_delta_log/00000000000000000000.json", True),
        ("table", "_delta_log/00000000000000000000.json", False),
        ("table", "_delta_log/00000000000000000010.checkpoint.parquet", False),
        ("table", f"_change_data/build={ONE}/a.parquet", False),
        ("table", "month=1/part-0.parquet", False),
        ("table", f"month=1/build={ONE}/notes.txt", False),
        ("table", "month=1/sealed=0123456789/part-0.parquet", True),
        ("table", "sealed=0123456789/part-0.parquet", True),
        ("table", "sealed=0123456789/month=1/part-0.parquet", False),
        ("table", "staging/README", False),
        ("table", "run=1/part-0.parquet", False),
        ("ops", "run=20260101T000000-abcdef/part-0.parquet", True),
        ("ops", "compacted/part-0.parquet", True),
        ("ops", f"build={ONE}/part-0.parquet", False),
    ],
)
def test_only_what_the_writers_make_is_owned(kind: Any, path: str, owned: bool) -> None:
    assert Place("t", kind, Storage("file:///lake/t")).owns(path) is owned


class TestPins:
    def version(self, number: int, *aliases: str, complete: bool = True, **gates: str) -> Any:
        record = ModelRecord("f", "d", "e", ("a",), {"shop.gold.f": number}, {}, gates)
        return ModelVersion("m", number, "r", NOW, aliases, complete, record)

    def held(self, *versions: Any) -> dict[int, str]:
        return {pin.version: pin.holder for pin in of_versions(versions)}

    def test_aliases_unfinished_versions_and_the_last_champions(self) -> None:
        made = [self.version(n, good="passed") for n in range(1, 7)]
        made[0] = self.version(1, "challenger", good="failed")
        made[3] = self.version(4, good="failed")
        made.append(self.version(7, "champion", good="passed"))
        made.append(self.version(8, complete=False, good="failed"))
        assert set(self.held(*made)) == {1, 3, 5, 6, 7, 8}
        assert self.held(*made)[8] == "model m 8 (not complete)"
        assert self.held(*made)[3] == "model m 3 (to roll back to)"

    def test_former_champions_on_a_persons_word_may_be_rolled_back_to(self) -> None:
        made = [self.version(n, good="failed") for n in range(1, 4)]
        made.append(self.version(4, "champion", good="passed"))
        assert {pin.version for pin in of_versions(made, champions=[2])} == {2, 4}

    def test_what_others_registered_holds_nothing(self) -> None:
        assert self.held(ModelVersion("m", 1, "r", NOW, ("champion",), True, None)) == {}


def place(kind: Any = "table", **retention: Any) -> Place:
    return Place("shop.silver.orders", kind, Storage("file:///lake/t"), Retention(**retention))


def seen(kind: Any = "table", **given: Any) -> Seen:
    defaults: dict[str, Any] = {
        "snapshot": snapshot(),
        "log": log(0, 1),
        "stored": (),
        "oldest": 0,
        "kept": frozenset(),
        "committed": frozenset(),
    }
    return Seen(place(kind), **(defaults | given))


def steps(found: Seen) -> dict[str, int]:
    return {str(step.act): step.files for step in plan_table(found, NOW).steps}


class TestPlan:
    live, dead, orphan = (f"month=1/build={ONE}/{name}.parquet" for name in "abc")

    def test_garbage_is_what_no_kept_version_reads(self) -> None:
        files = tuple(stored(path) for path in (self.live, self.dead, self.orphan, "notes.txt"))
        kept = frozenset({f"/lake/t/{self.live}"})
        found = seen(stored=files, kept=kept, committed=kept | {f"/lake/t/{self.dead}"})
        assert steps(found) == {"vacuum": 1, "remove orphans": 1}

    def test_young_files_may_be_about_to_be_published(self) -> None:
        assert steps(seen(stored=(stored(self.orphan, YOUNG),))) == {}

    def test_quarantined_rows_go_with_their_builds(self) -> None:
        one, two = file(f"build={ONE}/a"), file(f"build={TWO}/b")
        given: dict[str, Any] = {"snapshot": snapshot(one, two), "builds": frozenset({one.build})}
        assert steps(seen("quarantine", **given)) == {"drop quarantine": 1}
        assert steps(seen("table", **given)) == {}

    def test_a_checkpoint_when_the_last_is_far(self) -> None:
        assert steps(seen(log=log(*range(20)))) == {}
        assert steps(seen(log=log(*range(21)))) == {"checkpoint": 1}
        near = log(*range(21), checkpoints=(checkpoint(19),))
        assert steps(seen(log=near)) == {}

    def test_the_words_of_its_lines(self) -> None:
        found = plan_table(seen(stored=(stored(self.orphan),)), NOW).steps[0]
        assert (found.act, found.because) == (Act.orphans, "never committed, older than 7 days")


def test_no_history_is_shorter_than_the_longest_build() -> None:
    hour = dt.timedelta(hours=1)
    assert Retention(history="1 hour", longest_build="2 hours").kept_for == 2 * hour
    with pytest.raises(ValueError, match="greater than or equal"):
        Retention(longest_build="5 minutes")
