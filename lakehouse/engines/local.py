"""The in-process engine: one target after the other, nothing to start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lakehouse.engines import kernel
from lakehouse.engines.base import Staged, Task
from lakehouse.sql import Dialect

__all__ = ["LocalEngine"]


class LocalEngine:
    """Stages targets in this process."""

    name = "local"
    dialect: Dialect = "duckdb"
    spreads = False
    slots = 1

    def stage(self, tasks: Sequence[Task]) -> Iterator[Staged]:
        """Stage every task in turn; see :class:`lakehouse.engines.base.Engine`."""
        for task in tasks:
            yield from kernel.stage(task)

    def close(self) -> None:
        """Nothing was started."""
