"""Which small files are worth merging into one; pure.

What a build directory holds is merged within it only, but for old batches of one
bronze partition: they are sealed into one file that lists them. Of predictions,
what a version made of several builds of one partition becomes one file in the
newest build's directory, which says that this build was scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lakehouse import sealed
from lakehouse.sealed import Member
from lakehouse.snapshot import File, Snapshot
from lakehouse.units import size

__all__ = ["Merge", "merges", "seals", "unmerged"]

#: What a merged file grows to; a file of half of it is left as it is.
TARGET_BYTES = 128 * 1024**2
#: The ledger gets a file with each run: so many are worth a commit.
_OPS_FILES = 20
#: Files of old batches of one bronze partition: so many are worth sealing.
_SEALED_FILES = 20
#: Batches of one bronze partition that a person is told of, and up to which size.
_MANY, _TINY = 100, 1024**2


@dataclass(frozen=True)
class Merge:
    """Live files of one partition that become one file, in this order.

    Attributes:
        files: Of one build, or those that are sealed.
        members: The batches that are sealed; none where a build's own files are merged.
    """

    files: tuple[File, ...]
    members: tuple[Member, ...] = ()

    @property
    def bytes(self) -> int:
        """Bytes that are read and written."""
        return sum(file.size for file in self.files)

    def folder(self, kind: str) -> str:
        """Where the merged file is put."""
        if self.members:
            first = self.files[0]
            # Beside the directory of a sealed file, or of a batch and its build.
            above = first.path.split("/")[: -2 if first.members else -3]
            return "/".join([*above, sealed.folder(self.members)])
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
        # In the order in which an engine wrote them.
        for run in _runs(sorted(files, key=lambda f: f.path), target)
        if len(run) >= (_OPS_FILES if part is None else 2)
    )


def seals(snapshot: Snapshot, before: int, target: int = TARGET_BYTES) -> tuple[Merge, ...]:
    """What is worth sealing: many small files of batches of one partition and one definition.

    Args:
        snapshot: What is live in a bronze table.
        before: Only what was committed before this instant (milliseconds).
        target: Bytes that a sealed file grows to.
    """
    groups: dict[object, list[File]] = {}
    for file in snapshot.files:
        build, batch = file.parts[0].build, file.parts[0].batch
        if build and batch and file.rows >= 0 and file.added < before and file.size <= target // 2:
            groups.setdefault((file.partition, build.sql, build.contract), []).append(file)
    return tuple(
        Merge(tuple(run), _members(run))
        for files in groups.values()
        for run in _runs(sorted(_worth(files), key=lambda f: (f.added, f.path)), target)
        if len(run) >= _SEALED_FILES
    )


def _worth(files: Sequence[File]) -> Iterator[File]:
    """Files of batches, and sealed ones that no more than double by them.

    So a row is written again only so often as its file doubles, however seldom batches come.
    """
    joined = 0
    for file in sorted(files, key=lambda f: (bool(f.members), f.size, f.path)):
        if not file.members or file.size <= joined:
            joined += file.size
            yield file


def _members(files: Iterable[File]) -> tuple[Member, ...]:
    """The batches of some files; one may lie in several."""
    found: dict[tuple[str, str], Member] = {}
    for part in (part for file in files for part in file.parts):
        key = (str(part.batch), str(part.build))
        known = found.get(key, Member(*key, 0, 0))
        found[key] = Member(*key, known.rows + part.rows, max(known.added, part.added))
    return tuple(found.values())


def _runs(files: Iterable[File], target: int) -> Iterator[list[File]]:
    """Neighbours, up to the target together."""
    run: list[File] = []
    for file in files:
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
        young = [f for f in files if f.batch]
        batches = {f.batch for f in young}
        if len(batches) > _MANY and sum(f.size for f in young) / len(young) < _TINY:
            average = size(sum(f.size for f in young) // len(young))
            found.append(
                f"{snapshot.table} {value or ''}: {len(batches)} batches of {average} each, which "
                "are merged only once they are old; 'batch: day' in its source makes one of a "
                "day's files"
            )
    return tuple(found[:3])
