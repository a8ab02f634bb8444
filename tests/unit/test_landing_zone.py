"""Files put into the landing zone are there whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse import sample
from lakehouse.errors import StorageError
from lakehouse.storage import Storage

#: As on a full disk, no file of this process grows beyond its first hundred bytes.
FULL = """\
import resource, signal, sys
from lakehouse import sample
from lakehouse.errors import StorageError
from lakehouse.storage import Storage
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    sample.put(Storage(sys.argv[1]), "orders/new.csv", b"x" * 10_000)
except StorageError as error:
    print(error.remedy)
"""


def left(root: Path) -> list[str]:
    return sorted(str(f.relative_to(root)) for f in root.rglob("*") if f.is_file())


def test_the_same_bytes_are_written_once(tmp_path: Path) -> None:
    zone = Storage(tmp_path.as_uri())
    assert [sample.put(zone, "orders/a.csv", b) for b in (b"1", b"1", b"2")] == [True, False, True]
    assert left(tmp_path) == ["orders/a.csv"]
    assert (tmp_path / "orders" / "a.csv").read_bytes() == b"2"


def test_a_full_disk_leaves_nothing_of_a_file_and_says_so(tmp_path: Path) -> None:
    sample.put(Storage(tmp_path.as_uri()), "orders/old.csv", b"old")
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path.as_uri()], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("make room for its 10,000 bytes"), done.stderr
    assert left(tmp_path) == ["orders/old.csv"]


def test_what_was_there_stays_when_it_cannot_be_replaced(tmp_path: Path) -> None:
    zone = Storage(tmp_path.as_uri())
    sample.put(zone, "orders/new.csv", b"old")
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path.as_uri()], capture_output=True, text=True, check=True
    )
    assert "make room" in done.stdout
    assert (tmp_path / "orders" / "new.csv").read_bytes() == b"old"
    assert left(tmp_path) == ["orders/new.csv"]


def test_a_place_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "orders").write_text("no folder")
    with pytest.raises(StorageError) as raised:
        sample.put(Storage(tmp_path.as_uri()), "orders/a.csv", b"1")
    assert raised.value.asked.startswith("land orders/a.csv in file://")
