"""What an engine is given: the targets of a table, grouped into tasks that are plain data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakehouse import catalog, sql
from lakehouse.catalog import Table
from lakehouse.engines.base import Argument, Function, Input, InputFile, Output, Task
from lakehouse.engines.routing import cores
from lakehouse.planning import ReadFiles, Target

if TYPE_CHECKING:
    from lakehouse.build.session import Session

__all__ = ["grouped", "task_of"]

#: How much larger rows may be in memory than in their files, with what a window needs beside them.
_GROWTH = 64
#: Neighbours that one task builds even where each could have a slot of its own: two months that
#: each look back one read three together, four apart, and DuckDB has the idle slot's threads.
_TOGETHER = 2
#: Bytes of input for each core in a task that is spread: some minutes of work, after which what
#: is staged can be published.
_SPREAD = 512 * 1024**2


def grouped(
    session: Session,
    table: Table,
    targets: Sequence[Target],
    slots: int,
    *,
    spreads: bool = False,
) -> list[list[Target]]:
    """The targets of each task: those that one SELECT builds as each alone would be.

    Args:
        session: The run.
        table: The targets' table.
        targets: What is to be built of it.
        slots: How many tasks run side by side, or parts of one task.
        spreads: Whether the engine spreads one task over all slots: it gets as many targets at
            once as are some minutes of work. Elsewhere only neighbours that read the same files
            are one task: a year of months with a lookback of one reads eleven months once
            instead of twice.
    """
    timed = all(any(read.lower for read in t.reads) for t in targets)
    # Nothing is known of a function, and a key may be looked for in part of a table: each target
    # sees just what its partition reads.
    alone = table.code is not None or catalog.narrow_references(session.domain, table)
    if spreads and not alone and (timed or _carried(session, table)):
        return _together(targets, slots * _SPREAD)
    if spreads or alone or not timed or table.contract.lake.rows is not None:
        return [[target] for target in targets]
    longest = max(_TOGETHER, math.ceil(len(targets) / slots))
    largest = session.lake.settings.worker_memory / _GROWTH
    return _together(targets, largest, longest, neighbours=True)


def _together(
    targets: Sequence[Target],
    largest: float,
    longest: float = math.inf,
    *,
    neighbours: bool = False,
) -> list[list[Target]]:
    """Targets in order of their keys, in groups.

    Args:
        targets: They.
        largest: Bytes of the files that a group of several may read; a file counts once.
        longest: Targets in a group.
        neighbours: Whether each of a group must share a file with the one before.
    """
    groups: list[list[Target]] = []
    known: set[str] = set()
    before: set[str] = set()
    size = 0
    for target in sorted(targets, key=lambda t: t.key):
        files = {f"{r.table}/{file.path}": file.size for r in target.reads for file in r.files}
        more = sum(files[path] for path in files.keys() - known)
        full = size + more > largest or (groups and len(groups[-1]) == longest)
        if not groups or full or (neighbours and before.isdisjoint(files)):
            groups.append([])
            known, size, more = set(), 0, sum(files.values())
        groups[-1].append(target)
        known |= files.keys()
        before, size = set(files), size + more
    return groups


def _carried(session: Session, table: Table) -> bool:
    """Whether a row's partition is that of the input row which it is made of."""
    part = table.contract.lake.partition
    if part is None or table.query is None:
        return False
    inputs = catalog.sql_inputs(session.domain, table)
    sources = sql.lineage(table.query, inputs).get(part.column, frozenset())
    return bool(sources) and all(
        column == part.column and inputs[name].partition == column for name, column in sources
    )


def task_of(
    session: Session,
    table: Table,
    targets: Sequence[Target],
    beside: int,
    dialect: sql.Dialect = "duckdb",
) -> Task:
    """Everything that staging some targets of a table together needs.

    Args:
        session: The run.
        table: The targets' table.
        targets: What is to be built; one, where a batch is landed.
        beside: How many tasks run with it; alone, it may use every core.
        dialect: The engine's SQL.
    """
    lake, at_once = session.lake, cores(session.lake.settings)
    first = targets[0]
    return Task(
        table=table.name,
        outputs=tuple(Output(t.key, t.partition, t.wanted) for t in targets),
        contract=table.contract,
        storage=lake.place(table),
        sql=_select(session, table, dialect),
        function=_function(session, table),
        inputs=tuple(
            _input(session, reads) for reads in zip(*(t.reads for t in targets), strict=True)
        ),
        batch=first.batch,
        landing=lake.landing_of(session.domain.name) if first.batch else None,
        rows_from=table.contract.lake.rows.from_ if table.contract.lake.rows else None,
        reaches=any(r.lower is not None for r in first.reads if r.table in table.made_of),
        memory=int(lake.settings.worker_memory),
        threads=max(1, at_once // min(beside, at_once)),
    )


def _select(session: Session, table: Table, dialect: sql.Dialect) -> str:
    if table.query is None:
        return ""
    inputs = catalog.sql_inputs(session.domain, table)
    return sql.select(table.query, table.contract.types, dialect, inputs)


def _function(session: Session, table: Table) -> Function | None:
    if table.code is None:
        return None
    known = catalog.sql_inputs(session.domain, table)
    passed = tuple(
        Argument(name, read, tuple(filter(None, (*known[read].key, known[read].partition))))
        if known[read].key
        else Argument(name, read)
        for name, read in table.arguments.items()
    )
    return Function(table.code, passed)


def _input(session: Session, reads: Sequence[ReadFiles]) -> Input:
    """What several targets read of one table, together."""
    table = session.domain.tables[reads[0].table]
    part = table.contract.lake.partition
    # Lineage columns are bronze's; what silver carries of them says nothing about a row.
    types = {
        name: kind
        for name, kind in table.contract.types.items()
        if table.landed or not name.startswith("_")
    }
    files = (InputFile(f.path, f.partition, f.size) for read in reads for f in read.files)
    return Input(
        name=reads[0].table,
        storage=session.lake.place(table),
        types=types,
        partition_column=part.column if part else None,
        files=tuple(dict.fromkeys(files)),
        event=part.event if part else None,
        version=reads[0].version,
        lower=min((read.lower for read in reads if read.lower is not None), default=None),
    )
