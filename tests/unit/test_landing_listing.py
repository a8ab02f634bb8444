"""Which files are landed, and which batches they form."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from lakehouse.contract import Source
from lakehouse.errors import StorageError
from lakehouse.landing import LandedFile, batches, files
from lakehouse.landing.listing import describe

FS = LocalFileSystem()


def source(path: str = "flights/*.csv*", batch: Any = "file") -> Source:
    return Source(path=path, format="csv", batch=batch)


def land(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def listed(root: Path, pattern: str) -> list[str]:
    return [f.path for f in files(FS, str(root), source(pattern))]


def test_files_are_sorted_and_relative_to_the_root(tmp_path: Path) -> None:
    root = tmp_path / "a landing [1]"
    land(root, "flights/b.csv.gz", "flights/a.csv", "flights/c.txt", "other/a.csv", "a.csv")
    assert listed(root, "flights/*.csv*") == ["flights/a.csv", "flights/b.csv.gz"]


def test_hidden_and_unfinished_files_are_passed_over(tmp_path: Path) -> None:
    skipped = (".a.csv", "_a.csv", "a.csv.tmp", "a.csv.part", ".a.csv.crc", "_temporary/0/a.csv")
    land(tmp_path, *(f"flights/{name}" for name in ("a.csv", "é %20.csv", *skipped)))
    assert listed(tmp_path, "flights/*.csv*") == ["flights/a.csv", "flights/é %20.csv"]
    assert listed(tmp_path, "**") == ["flights/a.csv", "flights/é %20.csv"]
    assert listed(tmp_path, "flights/_a.csv") == ["flights/_a.csv"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["a.csv"]),
        ("**", ["a.csv", "x/a.csv", "x/b1.csv", "x/y/a.csv"]),
        ("**/a.csv", ["a.csv", "x/a.csv", "x/y/a.csv"]),
        ("x/**", ["x/a.csv", "x/b1.csv", "x/y/a.csv"]),
        ("x/**/*.csv", ["x/a.csv", "x/b1.csv", "x/y/a.csv"]),
        ("*/a.csv", ["x/a.csv"]),
        ("x/?.csv", ["x/a.csv"]),
        ("x/b[0-9].csv", ["x/b1.csv"]),
        ("x/[!b]*.csv", ["x/a.csv"]),
        ("x/a.csv", ["x/a.csv"]),
        ("x/a+csv", []),
        ("x", []),
    ],
)
def test_patterns(pattern: str, expected: list[str], tmp_path: Path) -> None:
    land(tmp_path, "a.csv", "x/a.csv", "x/b1.csv", "x/y/a.csv")
    assert listed(tmp_path, pattern) == expected


def test_links_to_files_are_files(tmp_path: Path) -> None:
    land(tmp_path, "elsewhere/a.csv")
    (tmp_path / "flights").mkdir()
    (tmp_path / "flights/a.csv").symlink_to(tmp_path / "elsewhere/a.csv")
    (tmp_path / "flights/b.csv").symlink_to(tmp_path / "gone")
    (tmp_path / "flights/c.csv").symlink_to(tmp_path / "elsewhere")
    (file,) = files(FS, str(tmp_path), source())
    assert (file.path, file.size) == ("flights/a.csv", len("elsewhere/a.csv"))


def test_nothing_landed_is_no_error(tmp_path: Path) -> None:
    assert files(FS, str(tmp_path / "none"), source()) == []


def test_a_listing_is_always_fresh(tmp_path: Path) -> None:
    land(tmp_path, "flights/a.csv")
    (before,) = files(FS, str(tmp_path), source())
    assert files(FS, str(tmp_path), source()) == [before]
    (tmp_path / "flights/a.csv").write_text("other")
    os.utime(tmp_path / "flights/a.csv", ns=(0, 1_234_567_891))
    (after,) = files(FS, str(tmp_path), source())
    assert after == LandedFile(
        "flights/a.csv",
        5,
        "1234567891-5",
        dt.datetime(1970, 1, 1, 0, 0, 1, 234_567, tzinfo=dt.UTC),
    )


def test_other_filesystems() -> None:
    fs = MemoryFileSystem()
    fs.pipe_file("/in memory/flights/a.csv", b"abc")
    (file,) = files(fs, "/in memory/", source())
    assert (file.path, file.size, file.modified.tzinfo) == ("flights/a.csv", 3, dt.UTC)


def test_the_stores_etag_and_time_are_taken() -> None:
    moment = dt.datetime(2013, 1, 1, 5, tzinfo=dt.timezone(dt.timedelta(hours=-5)))
    info = {"name": "b/a", "size": 1, "type": "file", "ETag": '"abc"', "LastModified": moment}
    assert describe("a", info) == LandedFile(
        "a", 1, "abc", dt.datetime(2013, 1, 1, 10, tzinfo=dt.UTC)
    )


def test_an_unreadable_landing_area_is_an_error(tmp_path: Path) -> None:
    class Denied(LocalFileSystem):  # type: ignore[misc]
        def find(self, path: str, **_: Any) -> Any:
            raise PermissionError(13, "Permission denied", path)

    with pytest.raises(StorageError, match="lake doctor"):
        files(Denied(), str(tmp_path), source())


def at(path: str, *moment: int) -> LandedFile:
    return LandedFile(path, 1, path, dt.datetime(2013, 1, *moment, tzinfo=dt.UTC))


LANDED = [at("b", 1, 5, 59), at("a", 1, 6), at("c", 2, 0)]


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ("file", {"a": "a", "b": "b", "c": "c"}),
        ("hour", {"2013-01-01T05": "b", "2013-01-01T06": "a", "2013-01-02T00": "c"}),
        ("day", {"2013-01-01": "ab", "2013-01-02": "c"}),
    ],
)
def test_batches(batch: str, expected: dict[str, str]) -> None:
    made = batches(LANDED, source(batch=batch))
    assert {b.label: "".join(f.path for f in b.files) for b in made} == expected
    assert [b.label for b in made] == sorted(expected)
    assert len({b.id for b in made}) == len(made)
    assert all(len(b.id) == len(b.inputs) == 10 for b in made)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"modified": LANDED[2].modified}, True),
        ({"size": 2}, False),
        ({"etag": "x"}, False),
    ],
)
def test_inputs_change_with_the_file(change: dict[str, Any], same: bool) -> None:
    (before,) = batches([LANDED[0]], source())
    (after,) = batches([replace(LANDED[0], **change)], source())
    assert after.id == before.id
    assert (after.inputs == before.inputs) is same
