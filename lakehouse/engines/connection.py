"""DuckDB connections that speak the portable subset, within a limit of memory.

Starting an instance costs more than staging a small partition, so instances are kept for the
next task of this process. Nothing of a task stays in one.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse import sql
from lakehouse.audit import quote

if TYPE_CHECKING:
    import duckdb

__all__ = ["connection"]


@dataclass(frozen=True)
class _Instance:
    """A database in memory, and the folder to which it spills; gone with the process."""

    con: duckdb.DuckDBPyConnection
    spill: str

    def close(self) -> None:
        atexit.unregister(self.close)
        self.con.close()
        shutil.rmtree(self.spill, ignore_errors=True)


_idle: dict[tuple[int, int], list[_Instance]] = {}
_lock = threading.Lock()


@contextmanager
def connection(memory: int, threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that nobody else uses; nothing of it stays when it ends.

    Args:
        memory: Bytes beyond which it spills to disk.
        threads: Threads of one query.
    """
    with _lock:
        kept = _idle.get((memory, threads))
        instance = kept.pop() if kept else None
    instance = instance or _start(memory, threads)
    con = instance.con.cursor()
    try:
        yield con
        con.close()
        _clear(instance.con)
    except BaseException:
        # After a failure nobody knows what is left in it.
        con.close()
        instance.close()
        raise
    with _lock:
        _idle.setdefault((memory, threads), []).append(instance)


def _start(memory: int, threads: int) -> _Instance:
    import duckdb

    spill = tempfile.mkdtemp(prefix="lake-spill-")
    con = duckdb.connect(
        config={
            "memory_limit": f"{memory}B",
            "threads": threads,
            "temp_directory": spill,
            "preserve_insertion_order": True,
        }
    )
    for statement in (
        *sql.MACROS,
        "SET GLOBAL TimeZone = 'UTC'",
        "SET enable_progress_bar = false",
        # What it keeps of files would be of no use to the next task, which reads others.
        "SET GLOBAL enable_external_file_cache = false",
    ):
        con.execute(statement)
    made = _Instance(con, spill)
    atexit.register(made.close)
    return made


def _clear(con: duckdb.DuckDBPyConnection) -> None:
    """Drop the schemas in which inputs were mounted; views over them would hold their files."""
    made = con.execute(
        "SELECT schema_name FROM duckdb_schemas() WHERE NOT internal AND database_name = 'memory'"
    ).fetchall()
    for (name,) in made:
        con.execute(f"DROP SCHEMA {quote(name)} CASCADE")
