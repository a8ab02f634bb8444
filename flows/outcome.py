"""What became of a run, in the words and states that Prefect shows; nothing here asks a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prefect import State
from prefect.states import Completed, Failed

from lakehouse.build import Blocked, TableResult
from lakehouse.errors import LakehouseError
from lakehouse.training.job import Trained

__all__ = ["BLOCKED", "Built", "exit_code", "of_build", "of_table", "of_training", "reason"]

#: The state of a run, or of a table, of which an audit or a gate held something back.
BLOCKED = "Blocked"

_TOLD = 5


@dataclass(frozen=True)
class Built:
    """What became of the tables of a run.

    Attributes:
        results: Of the tables that were built, inputs first.
        failed: Short name of a table → why it failed.
        skipped: Tables not tried because one that they read failed.
    """

    results: tuple[TableResult, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()

    @property
    def changed(self) -> tuple[TableResult, ...]:
        """The tables of which something was published or removed."""
        return tuple(r for r in self.results if r.partitions)

    @property
    def blocked(self) -> tuple[Blocked, ...]:
        """All blocked targets."""
        return tuple(b for r in self.results for b in r.blocked)

    @property
    def verdict(self) -> str:
        """The run in the ledger's word: ``failed``, ``blocked`` or ``done``."""
        return "failed" if self.failed else "blocked" if self.blocked else "done"

    @property
    def errors(self) -> str:
        """Why tables failed; empty when none did."""
        return "; ".join(f"{name}: {why}" for name, why in self.failed.items())


def reason(state: State[Any]) -> str:
    """Why a task did not complete, on one line and without Prefect's preface."""
    error = state.result(raise_on_failure=False) if state.is_failed() else None
    if isinstance(error, LakehouseError):
        return f"{error.asked}: {error.found} (remedy: {error.remedy})"
    if isinstance(error, BaseException):
        return f"{type(error).__name__}: {error}"
    return state.message or state.name or "unknown"


def of_table(result: TableResult) -> State[TableResult]:
    """A table's task: completed, and ``Blocked`` by name when partitions are held back."""
    told = [
        *([f"version {result.version}: {_rows(result)}"] if result.partitions else []),
        *([f"blocked: {_blocked(result.blocked)}"] if result.blocked else []),
        *([f"waiting: {_some(result.waiting)}"] if result.waiting else []),
    ]
    name = BLOCKED if result.blocked else None if told else "UpToDate"
    return Completed(name=name, message="; ".join(told) or "nothing to do", data=result)


def of_build(built: Built) -> State[Any]:
    """A run over tables: the worst that happened comes first, what was done is never left out."""
    rows = sum(r.rows_out for r in built.changed)
    held = sum(r.quarantined for r in built.changed)
    done = f"{_count(len(built.changed), 'table')} published, {rows:,} rows"
    done = f"{done}, {held:,} quarantined" if held else done
    done = done if built.changed else "nothing published" if built.verdict != "done" else ""
    blocked = f"blocked: {_blocked(built.blocked)}" if built.blocked else ""
    skipped = f"not tried: {_some(built.skipped)}" if built.skipped else ""
    waiting = _some([f"{r.table} {w}" for r in built.results for w in r.waiting])
    waiting = f"waiting: {waiting}" if waiting else ""
    if built.failed:
        failed = f"failed: {built.errors}"
        return Failed(message="; ".join(filter(None, (failed, skipped, blocked, done))))
    if built.blocked:
        return Failed(name=BLOCKED, message="; ".join(filter(None, (blocked, waiting, done))))
    return Completed(message="; ".join(filter(None, (done, waiting))) or "nothing to do")


def of_training(done: Trained, scored: State[Any] | None = None) -> State[Any]:
    """A training: ``Blocked`` when a gate kept the new version from becoming champion.

    Args:
        done: What was made.
        scored: How the new champion's first scoring ended, where it was asked to.
    """
    if done.result is None:
        version = done.existing.version if done.existing else "?"
        return Completed(message=f"nothing to do: version {version} was trained from these rows")
    told = f"version {done.result.version} is {done.result.alias}"
    if done.result.alias == "champion":
        if scored is not None and not scored.is_completed():
            return Failed(message=f"{told}; scoring by it ended as {scored.name}: {scored.message}")
        return Completed(message=told)
    held = [f"{g.name} {g.verdict} ({g.because})" for g in done.result.gates if g.blocks]
    return Failed(name=BLOCKED, message=f"{told}: {_some(held)}")


def exit_code(state: State[Any]) -> int:
    """As the ``lake`` command's: 0 done, 3 blocked by an audit or a gate, else 1."""
    if state.is_completed():
        return 0
    return 3 if state.name == BLOCKED else 1


def _rows(result: TableResult) -> str:
    told = f"{_count(result.partitions, 'partition')}, {result.rows_out:,} rows published"
    told = f"{told}, {result.quarantined:,} quarantined" if result.quarantined else told
    return f"{told}, built on {result.engine}" if result.engine else told


def _blocked(blocked: tuple[Blocked, ...]) -> str:
    return _some([" ".join(filter(None, (b.table, b.partition, "by", b.rule))) for b in blocked])


def _some(told: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
    return ", ".join(told[:_TOLD]) + more


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
