"""What Prefect's server needs of the libraries below it, so that it never freezes."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine


def open_cursors() -> list[sqlite3.Cursor]:
    """Those that live and would reset their statement, under the connection's lock, when freed."""
    found = []
    for one in gc.get_objects():
        if type(one) is sqlite3.Cursor:
            try:
                one.fetchone()
            except sqlite3.ProgrammingError:  # closed
                continue
            found.append(one)
    return found


def test_a_statement_that_found_the_file_locked_leaves_no_open_cursor(tmp_path: Path) -> None:
    """Else the server's only thread, freeing it, waits for a connection that waits for a lock.

    The lock is one that only the server's thread would give back: it answers nobody for the 60
    seconds of its busy timeout.
    """
    gc.collect()  # what other tests left is not meant
    file = tmp_path / "prefect.db"
    with sqlite3.connect(file, isolation_level=None) as holder:
        holder.execute("PRAGMA journal_mode = WAL")
        holder.execute("CREATE TABLE run (id INTEGER)")
        holder.execute("BEGIN IMMEDIATE")

        async def write() -> BaseException:
            engine = create_async_engine(f"sqlite+aiosqlite:///{file}", connect_args={"timeout": 0})
            try:
                async with engine.connect() as connection:
                    with pytest.raises(sa.exc.OperationalError, match="locked") as failed:
                        await connection.execute(sa.text("INSERT INTO run VALUES (1)"))
                    await connection.rollback()
                # The error is kept, as a log keeps it: its traceback holds what the driver left.
                assert open_cursors() == []
                return failed.value
            finally:
                await engine.dispose()

        asyncio.run(write())
        holder.execute("ROLLBACK")
    holder.close()
