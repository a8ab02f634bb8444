"""Where a build's CPU goes: the full ELT of the flights, one target at a time.

    python -m benchmarks.where [--times 1]

A run of its own, with the in-process engine on one thread, since the parts could not be told apart
where they run side by side. Each part is charged what it used itself, without the parts inside it.
The parts are functions of the library, wrapped from outside.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import common

_MODULE = "benchmarks.where"


@dataclass
class _Meter:
    """CPU seconds by part."""

    spent: dict[str, float] = field(default_factory=dict)
    open: list[str] = field(default_factory=lambda: ["else"])
    since: float = field(default_factory=time.process_time)

    def switch(self) -> None:
        now = time.process_time()
        part = self.open[-1]
        self.spent[part] = self.spent.get(part, 0.0) + now - self.since
        self.since = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self.switch()
        self.open.append(name)
        try:
            yield
        finally:
            self.switch()
            self.open.pop()

    def wrap(self, owner: Any, name: str, part: str) -> None:
        """Charge what a function uses to a part; ``{}`` stands for the table of its task."""
        inner: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(inner)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.part(part.format(getattr(args[0], "table", "")) if "{}" in part else part):
                return inner(*args, **kwargs)

        setattr(owner, name, timed)


def _wrapped(meter: _Meter) -> None:
    from lakehouse import commit, landing
    from lakehouse.build import session
    from lakehouse.engines import kernel, writer
    from lakehouse.ledger import Ledger

    for owner, name, part in (
        (landing, "read", "read landing files"),
        (kernel, "mount", "open Parquet inputs"),
        (kernel, "_numbers", "audit: counts"),
        (kernel, "_reasons", "audit: counts"),
        (kernel, "_lineage", "row law"),
        (kernel, "_cut", "cut to the partition"),
        (kernel, "_write", "other work on a target"),
        (writer.Writer, "_content", "content hash"),
        (writer.Writer, "_stats", "statistics"),
        (writer.Writer, "quarantine", "quarantine"),
        (writer, "_write", "write Parquet"),
        (commit, "publish", "commit"),
        (session.Session, "targets", "plan"),
        (session.Session, "read", "plan"),
        (Ledger, "record", "ledger"),
        (kernel, "stage", "SELECT and its violations, Parquet read: {}"),
    ):
        if hasattr(owner, name):
            meter.wrap(owner, name, part)


def build(folder: Path) -> None:
    """Build table after table on this thread alone, and tell the parts."""
    from lakehouse import build as builds
    from lakehouse.build import Session

    common.warm()
    lake = common.lake_at(folder)
    lake = type(lake)(
        lake.settings.model_copy(update={"threads": 1}), lake.storage, lake.landing, lake.domains
    )
    meter = _Meter()
    _wrapped(meter)
    tables = lake.domain(None).order

    def work() -> dict[str, float]:
        meter.since = time.process_time()
        for table in tables:
            done = builds.build(Session(lake, lake.domain(None), engine="local"), [table.short])
            assert not done.blocked, done.blocked
        meter.switch()
        return dict(sorted(meter.spent.items(), key=lambda item: -item[1]))

    common.measure(work)


def main() -> None:
    """One run, as a table."""
    parser = common.parser(__doc__, ["build"], rounds=1)
    parser.add_argument("--times", type=int, default=1, help="years of flights")
    asked = parser.parse_args()
    if asked.run:
        build(asked.folder)
        return
    with common.scratch(asked) as name:
        folder = Path(name)
        common.land(common.lake_at(folder), asked.times)
        run = common.child(_MODULE, "build", folder)
    for part, seconds in run.told.items():
        print(f"| {part} | {seconds:.2f} s | {seconds / run.cpu:.0%} |")


if __name__ == "__main__":
    main()
