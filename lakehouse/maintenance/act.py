"""Do what a plan says: each step leaves every kept version as it was, wherever it is stopped."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from lakehouse import snapshot as snapshots
from lakehouse.build.results import Event
from lakehouse.engines.base import StagedFile
from lakehouse.errors import StorageError
from lakehouse.maintenance.compaction import Merge
from lakehouse.maintenance.files import Stored, remove
from lakehouse.maintenance.place import Place
from lakehouse.maintenance.plan import Act, Step, TablePlan
from lakehouse.rewriting import Statistics, rewrite, statistics
from lakehouse.snapshot import Snapshot
from lakehouse.transaction import MAX_ACTIONS, Change, Transaction

__all__ = ["apply_table"]

#: Merges that are rewritten side by side: each holds a row group or two.
_AT_ONCE = 4

_Done = Sequence[tuple[Merge, StagedFile]]


@dataclass(frozen=True)
class _Acting:
    """One table at work."""

    plan: TablePlan
    run: str
    on_event: Callable[[Event], None]

    @property
    def place(self) -> Place:
        return self.plan.place

    def tell(self, total: int, act: Act, done: int) -> None:
        self.on_event(Event(str(act), self.place.name, done, total, str(act)))


def apply_table(
    plan: TablePlan, run: str, on_event: Callable[[Event], None] = lambda event: None
) -> tuple[Step, ...]:
    """Do one table's steps; returns those that were done, with what they came to.

    Args:
        plan: The table's plan.
        run: The run's id, for the history.
        on_event: Told of progress: files done, of how many.

    Raises:
        CommitError: A commit failed; what was done before it stays.
        StorageError: The store does not answer.
    """
    acting = _Acting(plan, run, on_event)
    acts: dict[Act, Callable[[_Acting, Step], Step]] = {
        Act.seal: partial(_merge, merges=plan.seals),
        Act.compact: partial(_merge, merges=plan.merges),
        Act.drop: _drop,
        Act.checkpoint: _checkpoint,
        Act.vacuum: partial(_remove, files=plan.dead),
        Act.orphans: partial(_remove, files=plan.orphans),
        Act.log: _clean,
    }
    return tuple(acts[step.act](acting, step) for step in plan.steps)


def _merge(acting: _Acting, step: Step, merges: Sequence[Merge]) -> Step:
    """Merge files; where another writer has replaced one meanwhile, its merge is left out."""
    paths = (file.path for merge in merges for file in merge.files)
    told = statistics(acting.place.storage, paths)
    made: list[tuple[Merge, StagedFile]] = []
    finished = 0
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        written = pool.map(partial(_rewritten, acting.place, told), merges)
        for merge, new in zip(merges, written, strict=True):
            made.append((merge, new))
            finished += len(merge.files)
            acting.tell(step.files, step.act, finished)
    held = [merge for part in _portions(made) for merge in _replace(acting, part)]
    files = [file for merge in held for file in merge.files]
    because = f"became {len(held)}"
    if len(held) < len(merges):
        because += f"; {len(merges) - len(held)} others were replaced by a build meanwhile"
    return Step(step.act, len(files), sum(f.size for f in files), because)


def _rewritten(place: Place, told: Mapping[str, Statistics], merge: Merge) -> StagedFile:
    return rewrite(
        place.storage,
        place.name,
        merge.files,
        merge.folder(place.kind),
        told,
        types=place.types,
        members=merge.members,
    )


def _replace(acting: _Acting, made: _Done) -> list[Merge]:
    """Commit merged files in the place of those that they were made of."""
    held: list[Merge] = []

    def change(now: Snapshot) -> Change:
        live = {file.path for file in now.files}
        kept = [one for one in made if all(f.path in live for f in one[0].files)]
        held[:] = [merge for merge, _ in kept]
        return Change(
            [new for _, new in kept],
            [old for merge, _ in kept for old in merge.files],
            data_change=False,
            modified={new.path: max(f.added for f in merge.files) for merge, new in kept},
        )

    _transaction(acting).commit(change)
    return held


def _transaction(acting: _Acting) -> Transaction:
    return Transaction(acting.place.name, acting.place.storage, None, acting.run, "maintenance")


def _portions(made: _Done) -> Iterator[_Done]:
    portion: list[tuple[Merge, StagedFile]] = []
    actions = 0
    for one in made:
        if portion and actions + len(one[0].files) + 1 > MAX_ACTIONS:
            yield portion
            portion, actions = [], 0
        portion.append(one)
        actions += len(one[0].files) + 1
    if portion:
        yield portion


def _drop(acting: _Acting, step: Step) -> Step:
    """Take quarantined rows of dead builds out of the newest version."""
    for start in range(0, step.files, MAX_ACTIONS):
        some = {file.path for file in acting.plan.dropped[start : start + MAX_ACTIONS]}
        _transaction(acting).commit(partial(_without, some))
    acting.tell(step.files, Act.drop, step.files)
    return step


def _without(paths: Collection[str], now: Snapshot) -> Change:
    return Change([], [file for file in now.files if file.path in paths])


def _checkpoint(acting: _Acting, step: Step) -> Step:
    storage = acting.place.storage
    with storage.reaching(f"write a checkpoint of {acting.place.name}"):
        table = snapshots.open_table(storage)
        if table is not None:
            table.create_checkpoint()
    acting.tell(1, Act.checkpoint, 1)
    return step


def _remove(acting: _Acting, step: Step, files: Sequence[Stored]) -> Step:
    """Remove files, but for those that were committed since the plan was made."""
    live = {f.path for f in snapshots.read(acting.place.storage, acting.place.name).files}
    gone = [file for file in files if file.path not in live]
    return _removed(acting, step, gone)


def _clean(acting: _Acting, step: Step) -> Step:
    """Remove log entries, once the checkpoint that stands for them has been read."""
    storage, name = acting.place.storage, acting.place.name
    oldest = acting.plan.oldest
    if snapshots.read(storage, name, oldest).version != oldest:
        raise StorageError(
            f"clean the log of {name}",
            f"version {oldest} cannot be read",
            "nothing was removed from the log; run 'lake maintain' again",
        )
    return _removed(acting, step, acting.plan.log)


def _removed(acting: _Acting, step: Step, files: Sequence[Stored]) -> Step:
    remove(acting.place.storage, files, partial(acting.tell, len(files), step.act))
    return replace(step, files=len(files), bytes=sum(file.size for file in files))
