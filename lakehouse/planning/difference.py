"""How an id that is wanted differs from the one that is live, and what follows."""

from __future__ import annotations

from dataclasses import replace

from lakehouse.catalog import Table
from lakehouse.planning.target import Action, Reason, Record, Target
from lakehouse.snapshot import BuildId

__all__ = ["INPUTS", "differences", "forced", "unless_blocked"]

#: Stands for a changed input until it is known which one.
INPUTS = "inputs"


def forced(force: bool | frozenset[str], *names: str | None) -> bool:
    """Whether a target of these names is rebuilt whatever its id."""
    return force if isinstance(force, bool) else any(name in force for name in names)


def unless_blocked(table: Table, target: Target, record: Record | None) -> Target:
    """The target, or that it stays blocked: its id was refused before and nothing has changed."""
    rule = record.blocked.get((target.wanted, table.contract.gates)) if record else None
    if rule is None or any(reason.code == "forced" for reason in target.reasons):
        return target
    return replace(
        target, action=Action.blocked, reasons=(Reason("blocked by", detail=rule), *target.reasons)
    )


def differences(table: Table, wanted: str, have: BuildId | None) -> list[Reason]:
    """Which parts of two ids differ; a changed definition that is accepted does not."""
    if have is None:
        return [Reason("missing")]
    sql, contract, inputs = wanted.split("-")
    reasons = []
    if f"{have.sql}-{have.contract}" not in table.contract.lake.accepts:
        if have.sql != sql:
            code = "code changed" if table.code else "SQL changed"
            reasons.append(Reason(code, detail="" if table.landed else table.definition_file))
        if have.contract != contract:
            reasons.append(Reason("contract changed", detail=table.contract.path))
    if have.inputs != inputs:
        reasons.append(Reason(INPUTS))
    return reasons
