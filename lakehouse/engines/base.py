"""What every engine takes and gives: tasks in, staged files out.

An engine turns targets into Parquet files below the table's directory that no
log knows yet. It publishes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lakehouse.code import Code
from lakehouse.contract import Contract
from lakehouse.errors import EngineError
from lakehouse.landing import Batch
from lakehouse.sql import Dialect
from lakehouse.storage import Storage

__all__ = [
    "Argument",
    "Engine",
    "FileWarning",
    "Function",
    "Input",
    "InputFile",
    "Output",
    "Staged",
    "StagedFile",
    "Task",
    "check_row_law",
]


@dataclass(frozen=True)
class InputFile:
    """One data file of an input, with what stands in the log only.

    Attributes:
        path: Relative to the table, as it stands on disk.
        partition: The partition value as text; None for none or NULL.
        size: Bytes of the file, for a task of Spark: it splits files without looking at them.
            0 where nobody is told.
    """

    path: str
    partition: str | None
    size: int = 0


@dataclass(frozen=True)
class Input:
    """What a task reads of one table.

    Attributes:
        name: As it stands in the SQL: ``silver.flights``.
        storage: The input table's place.
        types: Column → DuckDB type.
        partition_column: The column that is not in the files.
        version: The version that the plan has seen; its files are these and others.
        event: The column to which ``lower`` applies; None reads whole files.
        lower: First instant that can matter, in the reading table's time zone.
    """

    name: str
    storage: Storage
    types: Mapping[str, str]
    partition_column: str | None
    files: tuple[InputFile, ...]
    version: int = -1
    event: str | None = None
    lower: dt.datetime | None = None


@dataclass(frozen=True)
class Output:
    """One target of a task.

    Attributes:
        key: The target's name inside its table.
        partition: Its partition value as text.
        wanted: ``<sql>-<contract>-<inputs>``.
    """

    key: str
    partition: str | None
    wanted: str


@dataclass(frozen=True)
class Argument:
    """An input that a Python table's function is passed.

    Attributes:
        name: The parameter.
        read: The input: ``silver.flights``.
        order: The columns by which its rows come; all when empty.
    """

    name: str
    read: str
    order: tuple[str, ...] = ()


@dataclass(frozen=True)
class Function:
    """The function of a Python table, with what it is passed."""

    code: Code
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Task:
    """Everything that staging some targets of one table needs, as plain data.

    Attributes:
        outputs: The targets. Several only where the inputs hold what matters for each.
        sql: The contract's projection over the table's SELECT; empty for the others.
        function: Of a Python table, whose tasks have one output each.
        batch: Bronze: what to read.
        rows_from: The input whose rows must all be accounted for.
        reaches: Some input is read beyond the partition, so that the output must be cut.
    """

    table: str
    outputs: tuple[Output, ...]
    contract: Contract
    storage: Storage
    sql: str = ""
    function: Function | None = None
    inputs: tuple[Input, ...] = ()
    batch: Batch | None = None
    landing: Storage | None = None
    rows_from: str | None = None
    reaches: bool = False
    memory: int = 2 * 1024**3
    threads: int = 1

    @property
    def definition_file(self) -> str:
        """The file that says how its rows are made."""
        if self.function is not None:
            return self.function.code.path
        return f"{self.contract.path.removesuffix('.yaml')}.sql"

    @property
    def in_one_place(self) -> bool:
        """Whether each target is staged by one worker, whatever the engine: by Python or DuckDB."""
        return self.batch is not None or self.function is not None

    @property
    def name(self) -> str:
        """The targets in words: ``flights.silver.flights 2013-01-01 … 2013-06-01``."""
        ends = dict.fromkeys((self.outputs[0].key, self.outputs[-1].key))
        return f"{self.table} {' … '.join(ends)}".strip()


@dataclass(frozen=True)
class StagedFile:
    """A Parquet file that is not in the log.

    Attributes:
        path: Relative to its table.
        partition: Its partition value as text.
        stats: Delta statistics: key and time columns only.
    """

    path: str
    size: int
    rows: int
    partition: str | None
    stats: str


@dataclass(frozen=True)
class FileWarning:
    """What a person should know of one landed file.

    Attributes:
        file: Its path below the landing zone of its domain.
        text: What is odd.
        refused: Whether nothing of the file is published.
    """

    file: str
    text: str
    refused: bool = False


@dataclass(frozen=True)
class Staged:
    """One staged target with the numbers that its audit needs.

    Attributes:
        build: The full build id per partition written.
        files: To be published.
        quarantine: To be published beside it, first.
        rows_in: Records of the batch, or rows of ``rows_from``, or rows of the SELECT.
        selected: Rows of the SELECT that belong to the target.
        published: Rows in ``files``.
        quarantined: Rows in ``quarantine``.
        superseded: Input rows that a later row of the same key replaces.
        numbers: What ``audit.aggregates`` named.
        reasons: Violation → rows.
        samples: Superseded rows, as (source file, row).
        warnings: Of the landed files that were read.
    """

    key: str
    partition: str | None
    wanted: str
    files: tuple[StagedFile, ...]
    quarantine: tuple[StagedFile, ...]
    rows_in: int
    selected: int
    published: int
    quarantined: int
    superseded: int
    numbers: Mapping[str, Any]
    reasons: Mapping[str, int]
    samples: tuple[tuple[str, int], ...] = ()
    warnings: tuple[FileWarning, ...] = ()
    seconds: float = 0.0

    @property
    def bytes(self) -> int:
        """Bytes staged for publication."""
        return sum(file.size for file in self.files)


def check_row_law(staged: Staged, task: Task) -> None:
    """Account for every row: rows in = published + quarantined + superseded.

    Raises:
        EngineError: A row is lost, or is there twice.
    """
    accounted = staged.published + staged.quarantined
    if accounted == staged.selected and staged.rows_in == accounted + staged.superseded:
        return
    raise EngineError(
        f"account for every row of {task.table} {staged.key}",
        f"{staged.rows_in:,} rows in, {staged.selected:,} selected; {staged.published:,} published "
        f"+ {staged.quarantined:,} quarantined + {staged.superseded:,} superseded",
        f"{task.definition_file} multiplies or drops rows of "
        f"{task.rows_from or 'its input'}: join on a key that is unique",
    )


class Engine(Protocol):
    """Stages targets and hands each over when it is ready.

    Attributes:
        name: In settings, contracts and the ledger.
        dialect: The SQL that its tasks hold.
        spreads: Whether each task is spread over all slots; else each has one.
    """

    name: str
    dialect: Dialect
    spreads: bool

    @property
    def slots(self) -> int:
        """How many tasks run side by side, or parts of one."""
        ...

    def stage(self, tasks: Sequence[Task]) -> Iterator[Staged]:
        """Stage every task.

        Raises:
            EngineError: A task failed; what was staged before stays unpublished.
        """
        ...

    def close(self) -> None:
        """Release workers."""
        ...
