"""Which small files of one build are worth merging into one; pure.

What a build directory holds is merged within it only. Batches of a bronze
partition are not merged with each other: the snapshot knows a batch by its
directory, and a file that lands again replaces its batch and no other. Of
predictions, what a version made of several builds of one partition becomes one
file in the newest build's directory, which says that this build was scored.
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

    def folder(self, kind: str) -> str:
        """Where the merged file is put."""
        newest = max(self.files, key=lambda f: (f.added, f.path))
        build = newest.path.rpartition("/")[0]
        return "compacted" if _of_ledger(newest, kind) else build


def _of_ledger(file: File, kind: str) -> bool:
    """Whether a file is one of the ledger's, whose directory says nothing."""
    return kind == "ops" or (kind == "predictions" and file.build is None)


def merges(snapshot: Snapshot, kind: str, target: int = TARGET_BYTES) -> tuple[Merge, ...]:
    """What is worth merging in a snapshot.

    Args:
        snapshot: What is live.
        kind: As :attr:`Place.kind`; the ledger's files are one group, predictions are grouped
            by version and partition.
        target: Bytes that a merged file grows to.
    """
    groups: dict[object, list[File]] = {}
    for file in snapshot.files:
        if _of_ledger(file, kind):
            groups.setdefault(None, []).append(file)
        elif file.build is not None:
            of_part = file.path.partition("/build=")[0]
            part = of_part if kind == "predictions" else (file.partition, file.batch, file.build)
            groups.setdefault(part, []).append(file)
    return tuple(
        Merge(tuple(run))
        for part, files in groups.items()
        for run in _runs(files, target)
        if len(run) >= (_OPS_FILES if part is None else 2)
    )


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
