"""Bronze: landing batches against the batches that are live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lakehouse.catalog import Table
from lakehouse.errors import PlanError
from lakehouse.landing import Batch
from lakehouse.planning.difference import INPUTS, differences, forced, unless_blocked
from lakehouse.planning.target import Action, Reason, Record, Target
from lakehouse.snapshot import Snapshot

__all__ = ["plan_batches"]


def plan_batches(
    table: Table,
    actual: Snapshot,
    batches: Sequence[Batch],
    records: Mapping[str, Record],
    force: bool | frozenset[str],
) -> tuple[Target, ...]:
    """The targets of a bronze table; see :func:`lakehouse.planning.plan_table`."""
    live = actual.batches
    targets = []
    for batch in batches:
        wanted = f"{table.definition}-{batch.inputs}"
        have = next((f.build for f in live.get(batch.id, ()) if f.build), None)
        reasons = differences(table, wanted, have)
        if forced(force, batch.id, batch.label):
            reasons.append(Reason("forced"))
        for i, reason in enumerate(reasons):
            if reason.code in ("missing", INPUTS):
                again = "" if have is None else " landed again"
                reasons[i] = Reason("new data", detail=f"{batch.label}{again}")
        if not reasons:
            continue
        target = Target(
            table.short,
            None,
            Action.build,
            tuple(reasons),
            wanted=wanted,
            actual=str(have) if have else None,
            batch=batch,
            batch_id=batch.id,
        )
        targets.append(unless_blocked(table, target, records.get(batch.id)))
    if table.contract.lake.on_gone == "remove":
        _refuse_to_empty(table, live, batches)
        present = {batch.id for batch in batches}
        targets.extend(
            Target(
                table.short,
                None,
                Action.remove,
                (Reason("gone from source"),),
                actual=str(files[0].build),
                batch_id=batch,
            )
            for batch, files in live.items()
            if batch not in present
        )
    return tuple(targets)


def _refuse_to_empty(table: Table, live: Mapping[str, object], batches: Sequence[Batch]) -> None:
    """An empty listing is far more often a wrong address than the end of all files."""
    source = table.contract.lake.source
    if live and not batches and source is not None:
        raise PlanError(
            f"remove the {len(live)} batches of {table.name} that are gone from the source",
            f"nothing is listed for {source.path}: every row would go",
            "see that LAKE_LANDING is right and the landing zone is there; if all files are gone "
            f"for good, write 'on_gone: keep' in {table.contract.path}, or delete the table",
        )
