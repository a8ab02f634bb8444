"""Bronze: landing batches against the batches that are live."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence

from lakehouse.catalog import Table
from lakehouse.errors import PlanError
from lakehouse.landing import Batch
from lakehouse.planning.difference import INPUTS, differences, forced, unless_blocked
from lakehouse.planning.target import Action, Reason, Record, Target
from lakehouse.snapshot import Snapshot

__all__ = ["Held", "plan_batches"]

#: Live batch → the files it was read from → when each had landed.
Held = Mapping[str, Mapping[str, dt.datetime]]


def plan_batches(
    table: Table,
    actual: Snapshot,
    batches: Sequence[Batch],
    records: Mapping[str, Record],
    held: Held,
    force: bool | frozenset[str],
) -> tuple[Target, ...]:
    """The targets of a bronze table; see :func:`lakehouse.planning.plan_table`."""
    live = actual.batches
    targets = []
    listed = {file.path for batch in batches for file in batch.files}
    present = {batch.id for batch in batches}
    for batch in batches:
        if _kept(table, batch, held.get(batch.id, {}), listed):
            continue
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
    gone = [batch for batch in live if batch not in present]
    if table.contract.lake.on_gone == "remove":
        _refuse_to_empty(table, live, batches)
        reason = Reason("gone from source")
    else:
        gone = [batch for batch in gone if _moved(table, held.get(batch, {}), listed)]
        reason = Reason("gone from source", detail="its files landed again, in another batch")
    actions = (
        Target(
            table.short,
            None,
            Action.remove,
            (reason,),
            actual=str(live[batch][0].build),
            batch_id=batch,
        )
        for batch in gone
    )
    return (*targets, *actions)


def _kept(
    table: Table, batch: Batch, held: Mapping[str, dt.datetime], listed: Collection[str]
) -> bool:
    """Whether a batch differs only by files that are gone, whose rows the contract keeps."""
    gone = held.keys() - set(listed)
    if not gone:
        return False
    # Of a file without published rows nothing is held: it is known if it did not land since.
    last = max(held.values())
    if all(f.modified == held.get(f.path, f.modified) <= last for f in batch.files):
        return True
    raise _torn(table, gone)


def _moved(table: Table, held: Mapping[str, dt.datetime], listed: Collection[str]) -> bool:
    """Whether the files of a batch that is not listed are all in others now."""
    gone = held.keys() - set(listed)
    if gone and gone != held.keys():
        raise _torn(table, gone)
    return bool(held) and not gone


def _torn(table: Table, gone: Collection[str]) -> PlanError:
    return PlanError(
        f"read batches of {table.name} again",
        f"they hold rows of {', '.join(sorted(gone)[:3])}, gone from the source, beside rows of "
        "files that landed again: a batch is replaced whole",
        f"land what is gone again, or write 'on_gone: remove' in {table.contract.path}",
    )


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
