"""Lakes over the domains in jobs/, built from their samples; and how to compare rows.

Who changes a lake works on a copy of it: see :meth:`SampleLake.copy`.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse import build as building
from lakehouse import query, sample
from lakehouse.build import BuildResult, Lake, Session
from lakehouse.build.tasks import task_of
from lakehouse.catalog import LAYERS, Domain, Table
from lakehouse.comparison import differences
from lakehouse.engines import kernel
from lakehouse.engines.base import Task
from lakehouse.planning import Plan, ReadFiles, Target
from lakehouse.settings import Settings
from lakehouse.snapshot import Snapshot
from lakehouse.snapshot import read as read_snapshot
from lakehouse.storage import connect

__all__ = [
    "JOBS",
    "SampleLake",
    "by_partition",
    "copy_sampled",
    "differences",
    "said",
    "tables",
    "whole",
    "year",
]

JOBS = Path(__file__).parents[1] / "jobs"

_NO_ID = "-".join(["0" * 10] * 3)


def tables(jobs: Path, *layers: str) -> list[str]:
    """``flights.silver.weather`` for each table of some layers, of every domain with a sample."""
    found = [file.parent for file in jobs.glob("*/sample.py")]
    files = [file for path in found for layer in layers for file in path.glob(f"{layer}/*.yaml")]
    return sorted(f"{f.parents[1].name}.{f.parent.name}.{f.stem}" for f in files)


def copy_sampled(jobs: Path, to: Path) -> None:
    """Copy the declarations without the domains that have no sample: nothing lands in those."""
    with_layers = {f.parents[0] for f in jobs.glob("*/*") if f.is_dir() and f.name in LAYERS}
    others = [path.name for path in with_layers if not (path / "sample.py").exists()]

    def left_out(folder: str, names: list[str]) -> list[str]:
        here = others if Path(folder) == jobs else []
        return [name for name in names if name == "__pycache__" or name in here]

    shutil.copytree(jobs, to, ignore=left_out)


class SampleLake:
    """One lake on local files with a copy of the declarations in jobs/.

    Args:
        root: An empty folder, or one that another lake was copied to.
        settings: Instead of the usual ones.
    """

    def __init__(self, root: Path, **settings: Any) -> None:
        self.root, self.jobs = root, root / "jobs"
        if not self.jobs.exists():
            copy_sampled(JOBS, self.jobs)
        defaults: dict[str, Any] = {
            "uri": (root / "lake").as_uri(),
            "landing": (root / "landing").as_uri(),
            "domains": self.jobs,
            "state": root / "state",
            "worker_memory": 1024**3,
            "threads": 2,
        }
        self.settings = Settings(_env_file=None, **(defaults | settings))
        self._opened: Lake | None = None

    def copy(self, root: Path, **settings: Any) -> SampleLake:
        """The same lake in another folder."""
        shutil.copytree(self.root, root)
        return SampleLake(root, **settings)

    @property
    def lake(self) -> Lake:
        """As the declarations were at first use or at the last :meth:`edit`."""
        self._opened = self._opened or building.open_lake(self.settings)
        return self._opened

    def domain(self, name: str = "flights") -> Domain:
        """A domain."""
        return self.lake.domain(name)

    def table(self, name: str) -> Table:
        """A table by its full name."""
        return self.domain(name.split(".", maxsplit=1)[0]).table(name)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace something in a declaration that is there: ``flights/gold/route_daily.sql``."""
        text = (self.jobs / name).read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {name}"
        (self.jobs / name).write_text(text.replace(old, new), encoding="utf-8")
        self._opened = None

    def land(self, months: Sequence[str] = ()) -> None:
        """Land the sample of every domain: these months, or all of it."""
        for domain in self.lake.domains:
            sample.land(
                self.lake.landing_of(domain.name), sample.deliveries(domain.path), months=months
            )

    def session(self, domain: str = "flights", **options: Any) -> Session:
        """A new run."""
        return Session(self.lake, self.domain(domain), **options)

    def build(self, *tables: str, **options: Any) -> BuildResult:
        """Build, as ``lake build`` does."""
        return building.build(self.session(**options), tables)

    def build_all(self, **options: Any) -> list[BuildResult]:
        """Build every domain."""
        return [building.build(self.session(d.name, **options)) for d in self.lake.domains]

    def plan(self, *tables: str) -> Plan:
        """Plan, as ``lake plan`` does."""
        return building.plan(self.session(), tables)[0]

    def todo(self, *tables: str) -> dict[tuple[str, str], list[str]]:
        """(table, key) → its reasons in short."""
        return {
            (t.table, t.batch.label if t.batch else t.key): said(t)
            for t in self.plan(*tables).targets
        }

    def arrow(self, sql: str) -> pa.Table:
        """The result of a query over the lake."""
        return query.run(self.lake, sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Its rows."""
        return [tuple(row.values()) for row in self.arrow(sql).to_pylist()]

    def snapshot(self, name: str) -> Snapshot:
        """A table's newest version."""
        table = self.table(name)
        return read_snapshot(self.lake.place(table), table.name)


def said(target: Target) -> list[str]:
    """A target's reasons in short."""
    return [" ".join(filter(None, (r.code, r.input, r.detail))) for r in target.reasons]


@functools.cache
def year(root: Path) -> SampleLake:
    """The whole sample of every domain, landed and built; once for each folder."""
    made = SampleLake(root)
    made.land()
    made.build_all()
    return made


# --- rows of one table, by partition and all at once ------------------------------------------


def whole(
    lake: Lake, table: Table, folder: Path, last: str | None = None
) -> tuple[pa.Table, pa.Table]:
    """What the table's SELECT makes of all rows of its inputs at once: (published, quarantined).

    Args:
        lake: A built lake.
        table: One of its tables with SQL.
        folder: Where to stage; an empty one.
        last: The last partition of its inputs that is read; all are when it is None.
    """
    session = Session(lake, lake.domain(table.domain))
    seen = session.read(table.reads)
    reads = [
        ReadFiles(
            name,
            tuple(f for f in snapshot.files if None in (last, f.partition) or f.partition <= last),
        )
        for name, snapshot in seen.items()
    ]
    target = Target(table.short, None, None, (), reads=tuple(reads), wanted=_NO_ID)
    uncut = table.contract.lake.model_copy(update={"partition": None})
    task = task_of(session, table, [target], 1)
    task = replace(task, contract=replace(table.contract, lake=uncut), reaches=False)
    return _staged(lake, task, folder)


def by_partition(
    lake: Lake, table: Table, partitions: Sequence[str], folder: Path
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """What a build would make of some partitions as they are declared now; nothing is published."""
    session = Session(lake, lake.domain(table.domain))
    session.select([table.short], force=True, partitions=partitions)
    seen = session.read([*table.reads, table.short])
    targets = [t for t in session.targets(table, {}, seen) if t.partition in partitions]
    assert len(targets) == len(partitions)
    for target in targets:
        yield _staged(lake, task_of(session, table, [target], 1), folder / str(target.partition))


def _staged(lake: Lake, task: Task, folder: Path) -> tuple[pa.Table, pa.Table]:
    place = connect(lake.settings, folder.as_uri())
    (staged,) = kernel.stage(replace(task, storage=place))
    part = task.contract.lake.partition
    found = []
    for root, files in ((folder, staged.files), (Path(f"{folder}__quarantine"), staged.quarantine)):
        read = [pq.read_table(pa.BufferReader((root / f.path).read_bytes())) for f in files]
        found.append(pa.concat_tables(read) if read else pa.table({}))
    if part is not None:
        value = pa.scalar(task.outputs[0].partition).cast(
            pa.date32() if task.contract.types[part.column] == "DATE" else pa.string()
        )
        found[0] = found[0].append_column(part.column, pa.repeat(value, found[0].num_rows))
    return found[0], found[1]
