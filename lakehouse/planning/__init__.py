"""What must be built, and why: wanted against actual.

Pure: snapshots, landing batches and earlier records go in, targets come out. No
clock, no files. A target is a table × partition (bronze: a landing batch); its
wanted id is hashed from the SQL, the contract and the input partitions that
can matter, and compared with the ids that the live files carry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lakehouse.catalog import Table
from lakehouse.landing import Batch
from lakehouse.planning.batches import Held, plan_batches
from lakehouse.planning.partitions import plan_partitions
from lakehouse.planning.source import Source
from lakehouse.planning.target import (
    NO_ROWS,
    Action,
    Pending,
    Plan,
    ReadFiles,
    Reason,
    Record,
    Target,
)
from lakehouse.snapshot import Snapshot

__all__ = [
    "NO_ROWS",
    "Action",
    "Pending",
    "Plan",
    "ReadFiles",
    "Reason",
    "Record",
    "Target",
    "plan_table",
]


def plan_table(
    table: Table,
    inputs: Mapping[str, tuple[Table, Snapshot]],
    actual: Snapshot,
    *,
    batches: Sequence[Batch] = (),
    pending: Mapping[str, Pending] | None = None,
    records: Mapping[str, Record] | None = None,
    labels: Mapping[str, str] | None = None,
    held: Held | None = None,
    force: bool | frozenset[str] = False,
) -> tuple[Target, ...]:
    """Compare what a table should hold with what it holds.

    Args:
        table: The table.
        inputs: Its inputs by short name, with their snapshots.
        actual: The table's own snapshot.
        batches: Bronze: what lies in the landing zone.
        pending: What is already planned for the inputs; empty in a build, where
            inputs have been built before.
        records: Target key → what the ledger remembers.
        labels: Landing batch id → its label, for reasons.
        held: Bronze: live batch → the files it was read from → when each had landed, of
            batches that are not in the listing as they were.
        force: All targets, or those of these partitions, whatever their ids.

    Raises:
        PlanError: The table holds foreign files.
    """
    actual.owned()
    records, pending = records or {}, pending or {}
    if table.landed:
        return plan_batches(table, actual, batches, records, held or {}, force)
    ours = table.contract.lake.partition
    sources = [
        Source(
            name,
            inputs[name][0],
            read,
            inputs[name][1],
            pending.get(name, Pending()),
            ours,
            made_of=name in table.made_of,
        )
        for name, read in table.reads.items()
    ]
    return plan_partitions(table, sources, actual, records, labels or {}, force)
