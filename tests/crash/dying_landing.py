"""Land a folder's files and die at one: ``python dying_landing.py SOURCE TARGET MOMENT``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dying_build import die, dying
from fsspec.implementations.local import LocalFileSystem

from lakehouse import sample
from lakehouse.storage import Storage

#: The file at which it dies, of five.
NTH = 3


@dataclass(frozen=True)
class Delivery:
    path: str
    content: bytes
    month: str | None = None


def deliveries(folder: Path) -> Iterator[Delivery]:
    for file in sorted(f for f in folder.rglob("*") if f.is_file()):
        yield Delivery(file.relative_to(folder).as_posix(), file.read_bytes())


def half(self: Any, path: str, value: bytes, **options: Any) -> None:
    """Write half of a file, as a process does that dies while it writes."""
    Path(path).write_bytes(value[: len(value) // 2])
    die()


if __name__ == "__main__":
    source, target, moment = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    if moment == "in the midst of a file":
        turn = iter(range(1, 100))
        whole = LocalFileSystem.pipe_file

        def pipe_file(self: Any, path: str, value: bytes, **options: Any) -> None:
            (half if next(turn) == NTH else whole)(self, path, value, **options)

        LocalFileSystem.pipe_file = pipe_file
    elif moment:
        dying(LocalFileSystem, "mv", NTH, after=moment == "after the move")
    sample.land(Storage(target.as_uri()), deliveries(source))
