"""The files below a table's root: listed with their age, and removed."""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse.errors import StorageError
from lakehouse.storage import Storage

if TYPE_CHECKING:
    import fsspec

__all__ = ["Stored", "listed", "remove"]

_AT_ONCE = 8


@dataclass(frozen=True)
class Stored:
    """One stored file.

    Attributes:
        path: Relative to its table.
        size: Bytes.
        modified: By the store's clock, UTC.
    """

    path: str
    size: int
    modified: dt.datetime


def listed(storage: Storage) -> tuple[Stored, ...]:
    """Every file below a place, in the order of their paths; none where it does not exist.

    Raises:
        StorageError: The store does not answer.
    """
    with storage.reaching(f"list {storage.uri}"):
        filesystem = storage.fsspec()
        found = filesystem.find(storage.root, detail=True)
    prefix = f"{storage.root}/"
    files = (
        Stored(name.removeprefix(prefix), int(info["size"]), _moment(info))
        for name, info in found.items()
        if name.startswith(prefix)
    )
    return tuple(sorted(files, key=lambda f: f.path))


def _moment(info: dict[str, object]) -> dt.datetime:
    told = info.get("LastModified") or info.get("mtime")
    if isinstance(told, dt.datetime):
        return told.astimezone(dt.UTC)
    return dt.datetime.fromtimestamp(float(str(told)), dt.UTC)


def remove(
    storage: Storage, files: Sequence[Stored], progress: Callable[[int], None] = lambda n: None
) -> int:
    """Remove some files in their order, as far as several at once can; returns their number.

    Files that are gone already are as they should be.

    Raises:
        StorageError: The store refused.
    """
    filesystem = storage.fsspec()

    def one(file: Stored) -> None:
        if ".." in file.path.split("/"):
            raise StorageError(
                f"remove {file.path}", f"it is outside {storage.uri}", "remove it by hand"
            )
        _discard(filesystem, f"{storage.root}/{file.path}")

    with (
        storage.reaching(f"remove files of {storage.uri}"),
        concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool,
    ):
        for done, _ in enumerate(pool.map(one, files), 1):
            progress(done)
    return len(files)


def _discard(filesystem: fsspec.AbstractFileSystem, path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        filesystem.rm_file(path)
