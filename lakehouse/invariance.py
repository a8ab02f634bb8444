"""Whether a table's partitions, each built alone, make the rows of its SELECT over everything.

They do not where a lookback or lookahead is shorter than what the SELECT looks at, or where it
ranks, numbers or sums beyond the rows that a partition reads. Nothing is published.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.audit import literal, quote
from lakehouse.build import Lake, Session
from lakehouse.build.tasks import task_of
from lakehouse.catalog import Table
from lakehouse.comparison import differences
from lakehouse.contract import Partition
from lakehouse.engines import kernel
from lakehouse.engines.base import Input, InputFile, Staged, Task
from lakehouse.engines.inputs import mount
from lakehouse.engines.writer import QUARANTINE_COLUMNS, quarantine_of
from lakehouse.errors import CatalogError
from lakehouse.planning import Action, ReadFiles, Target
from lakehouse.snapshot import File
from lakehouse.storage import Storage

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["Checked", "check"]

_NO_ID = "-".join(["0" * 10] * 3)
#: What a quarantined row says of the build that kept it out.
_OF_BUILD = ("_build", "_raw")


@dataclass(frozen=True)
class Checked:
    """One partition, built alone and with all others.

    Attributes:
        partition: Its value.
        rows: What it has alone, published and quarantined.
        columns: Of the rows that differ.
        differing: Rows that only one of the two has; none where they are the same.
    """

    partition: str
    rows: int
    columns: tuple[str, ...]
    differing: tuple[tuple[Any, ...], ...]


def check(
    lake: Lake, table: Table, partitions: Sequence[str] = (), until: str | None = None
) -> Iterator[Checked]:
    """Compare partitions of a table with the same rows of its SELECT over all its inputs.

    Args:
        lake: A lake in which the table's inputs are built.
        table: A partitioned one above bronze.
        partitions: Those to compare; all when empty.
        until: The last partition of its inputs that is read; everything when not said.

    Raises:
        CatalogError: There is nothing to compare, or a partition is not known.
        EngineError: A SELECT failed, or memory did not suffice for everything at once.
    """
    _comparable(table, until)
    with tempfile.TemporaryDirectory(prefix="lake-check-", dir=_spacious(lake)) as folder:
        session = Session(lake, lake.domain(table.domain))
        targets = _targets(session, table, partitions, until)
        whole = _whole(session, table, until)
        together = Storage((Path(folder) / "whole").as_uri())
        (all_rows,) = kernel.stage(replace(whole, storage=together))
        for number, target in enumerate(targets):
            place = Storage((Path(folder) / str(number)).as_uri())
            task = replace(task_of(session, table, [target], 1), storage=place)
            (alone,) = kernel.stage(task)
            value = str(target.partition)
            one = _rows(table, place, alone, value, cut=True)
            other = _rows(table, together, all_rows, value, cut=False)
            yield _compared(value, one, other)


def _spacious(lake: Lake) -> Path:
    """The state's folder: a table may be more than the system's temporary folder holds."""
    lake.settings.state.mkdir(parents=True, exist_ok=True)
    return lake.settings.state.resolve()


def _comparable(table: Table, until: str | None) -> None:
    why = None
    if table.landed:
        why = "it is bronze: each file is read alone, and no row depends on another"
    elif table.contract.lake.partition is None:
        why = "it has no partitions: it is built at once as it is"
    elif until and any(read.lookahead for read in table.reads.values()):
        why = "it reads ahead, so that its last partition needs what comes after it"
    if why:
        remedy = "leave --until out" if until else "name a partitioned table above bronze"
        raise CatalogError(f"check the partitions of {table.name}", why, remedy)


def _targets(
    session: Session, table: Table, partitions: Sequence[str], until: str | None
) -> list[Target]:
    session.select([table.short], force=True)
    seen = session.read([*table.reads, table.short])
    known = {t.partition: t for t in session.targets(table, {}, seen) if t.partition}
    known = {p: t for p, t in sorted(known.items()) if until is None or p <= until}
    unknown = [p for p in partitions if p not in known]
    if unknown or not known:
        raise CatalogError(
            f"check the partitions of {table.name}",
            f"its inputs have no {unknown[0]!r}" if unknown else "its inputs have none",
            f"there are {', '.join(list(known)[:12])}"
            if known
            else f"lake build --domain {table.domain} {table.short}",
        )
    return [known[p] for p in partitions or known]


def _whole(session: Session, table: Table, until: str | None) -> Task:
    """The table as if it had no partitions."""
    reads = tuple(
        ReadFiles(name, _up_to(session, table, name, snapshot.files, until))
        for name, snapshot in session.read(table.reads).items()
    )
    target = Target(table.short, None, Action.build, (), reads=reads, wanted=_NO_ID)
    uncut = table.contract.lake.model_copy(update={"partition": None})
    task = task_of(session, table, [target], 1)
    return replace(task, contract=replace(table.contract, lake=uncut), reaches=False)


def _up_to(
    session: Session, table: Table, name: str, files: tuple[File, ...], until: str | None
) -> tuple[File, ...]:
    """Files of an input up to a partition; all where its partitions are other ones."""
    own, other = (one.contract.lake.partition for one in (table, session.domain.tables[name]))
    alike = own and other and (own.grain, own.timezone) == (other.grain, other.timezone)
    if until is None or not alike:
        return files
    return tuple(f for f in files if f.partition is None or f.partition <= until)


# --- rows that were staged ----------------------------------------------------------------------


def _rows(
    table: Table, place: Storage, staged: Staged, partition: str, *, cut: bool
) -> tuple[pa.Table, pa.Table]:
    """Of one partition: the published rows, and those kept out with the rules they break."""
    types, part = table.contract.types, table.contract.lake.partition
    assert part is not None
    files = tuple(InputFile(f.path, f.partition) for f in staged.files)
    kept_out = tuple(InputFile(f.path, None) for f in staged.quarantine)
    told = {n: k for n, k in QUARANTINE_COLUMNS.items() if n not in _OF_BUILD}
    good = Input("checked.rows", place, types, part.column if cut else None, files)
    bad = Input("checked.kept_out", quarantine_of(place), {**types, **told}, None, kept_out)
    with _connection() as con:
        return _of(con, good, part, partition), _of(con, bad, part, partition)


@contextmanager
def _connection() -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute("SET enable_progress_bar = false")
        yield con


def _of(con: duckdb.DuckDBPyConnection, one: Input, part: Partition, partition: str) -> pa.Table:
    mount(con, one)
    value = f"CAST({literal(partition)} AS {one.types[part.column]})"
    columns = ", ".join(map(quote, one.types))
    found = con.sql(f"SELECT {columns} FROM {one.name} WHERE {quote(part.column)} = {value}")
    rows: pa.Table = found.to_arrow_table()
    return rows


def _compared(
    partition: str, alone: tuple[pa.Table, pa.Table], whole: tuple[pa.Table, pa.Table]
) -> Checked:
    differing: list[tuple[Any, ...]] = []
    columns = alone[0].column_names
    for mine, theirs in zip(alone, whole, strict=True):
        found = differences(mine, theirs)
        if found and not differing:
            differing, columns = found, mine.column_names
    rows = sum(one.num_rows for one in alone)
    return Checked(partition, rows, tuple(columns), tuple(differing))
