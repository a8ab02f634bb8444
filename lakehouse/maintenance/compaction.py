"""Which small files of one build are worth merging into one; pure.

What a build directory holds is merged within it only. Batches of a bronze
partition are not merged with each other: the snapshot knows a batch by its
directory, and a file that lands again replaces its batch and no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lakehouse.snapshot import File, Snapshot
from lakehouse.units import size

__all__ = ["Merge", "merges", "unmerged"]

#: What a merged file grows to; a file of half of it is left as it is.
TARGET_BYTES = 128 * 1024**2
#: The ledger gets a file with each run: so many are worth a commit.
_OPS_FILES = 20
#: Batches of one bronze partition that a person is told of, and up to which size.
_MANY, _TINY = 100, 1024**2


@dataclass(frozen=True)
class Merge:
    """Live files of one build that become one file, in this order."""

    files: tuple[File, ...]

    @property
    def bytes(self) -> int:
        """Bytes that are read and written."""
        return sum(file.size for file in self.files)


def merges(snapshot: Snapshot, kind: str, target: int = TARGET_BYTES) -> tuple[Merge, ...]:
    """What is worth merging in a snapshot.

    Args:
        snapshot: What is live.
        kind: As :attr:`Place.kind`; the ledger's files are one group.
        target: Bytes that a merged file grows to.
    """
    groups: dict[object, list[File]] = {}
    for file in snapshot.files:
        if kind == "ops" or file.build is not None:
            key = None if kind == "ops" else (file.partition, file.batch, file.build)
            groups.setdefault(key, []).append(file)
    least = _OPS_FILES if kind == "ops" else 2
    found = (run for files in groups.values() for run in _runs(files, target))
    return tuple(Merge(tuple(run)) for run in found if len(run) >= least)


def _runs(files: Iterable[File], target: int) -> Iterator[list[File]]:
    """Neighbours, in the order in which an engine wrote them, up to the target together."""
    run: list[File] = []
    for file in sorted(files, key=lambda f: f.path):
        large = file.size > target // 2
        if run and (large or sum(f.size for f in run) + file.size > target):
            yield run
            run = []
        if not large:
            run.append(file)
    if run:
        yield run


def unmerged(snapshot: Snapshot) -> tuple[str, ...]:
    """Bronze partitions of many tiny batches, in words: another declaration would help them."""
    found = []
    for value, files in snapshot.partitions.items():
        batches = {f.batch for f in files if f.batch}
        if len(batches) > _MANY and sum(f.size for f in files) / len(files) < _TINY:
            average = size(sum(f.size for f in files) // len(files))
            found.append(
                f"{snapshot.table} {value or ''}: {len(batches)} batches of {average} each, which "
                "are not merged; 'batch: day' in its source makes one of a day's files"
            )
    return tuple(found[:3])
