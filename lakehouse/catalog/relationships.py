"""Relationships across the tables of a domain: what they refer to, and how much of it is read."""

from __future__ import annotations

from collections.abc import Iterator

from lakehouse import sql
from lakehouse.catalog.table import Domain, Table
from lakehouse.contract import Reference
from lakehouse.contract.rules import columns_of
from lakehouse.errors import ContractError
from lakehouse.interval import Grain
from lakehouse.strictyaml import did_you_mean

__all__ = ["narrow_references", "wrong_relationships"]

_WHOLE = {"INTEGER", "BIGINT"}


def wrong_relationships(domain: Domain, table: Table) -> Iterator[ContractError]:
    """Every relationship of a table that cannot be looked up as it is written."""
    for rule in table.contract.rules:
        one = table.references.get(rule.id)
        if one is None:
            continue
        for found, remedy in _wrong(domain, table, columns_of(rule), one):
            yield ContractError(
                f"load {table.name}", f"rule {rule.id}: {found}", remedy, file=table.contract.path
            )


def narrow_references(domain: Domain, table: Table) -> frozenset[str]:
    """The tables of which a partition looks up its keys in a part: what it reads of them."""
    referred = {one.table for one in table.references.values()}
    return frozenset(name for name in referred if _narrow(table, domain.tables[name]))


def _wrong(
    domain: Domain, table: Table, own: list[str], one: Reference
) -> Iterator[tuple[str, str]]:
    if one.table == table.short:
        remedy = "refer to the table that its rows are made of, or to another one"
        yield f"it refers to {one.table} itself, which a build cannot read", remedy
        return
    if one.table not in domain.tables:
        remedy = did_you_mean(one.table, set(domain.tables) - {table.short})
        yield f"it refers to {one.table}, which the domain has not", remedy
        return
    other = domain.tables[one.table]
    visible = sql.visible(one.table, sql.Input(other.contract.types))
    for name, there in zip(own, one.columns, strict=True):
        if there not in visible:
            yield f"{one.table} has no column {there!r} to refer to", did_you_mean(there, visible)
            continue
        mine, theirs = table.contract.types[name], visible[there]
        if mine != theirs and not {mine, theirs} <= _WHOLE:
            found = f"column {name} is {mine}, and {one.table}.{there} is {theirs}"
            yield found, "make both of one type, in SQL and contract"
            return
    yield from _untold(table, other, list(zip(own, one.columns, strict=True)))


def _untold(table: Table, other: Table, pairs: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """That only a part of the other table is looked at has to be meant."""
    ours, theirs = table.contract.lake.partition, other.contract.lake.partition
    if not _narrow(table, other) or other.short in table.contract.lake.reads:
        return
    if ours and theirs and (ours.column, theirs.column) in pairs:
        return
    found = f"{other.short} is partitioned too: a partition looks at its own time or value there"
    remedy = f"say how far it looks: reads: {{{other.short}: {{lookback: 30 days}}}}"
    yield found, f"{remedy} ({{}}: no further), or make the partition columns part of it"


def _narrow(table: Table, other: Table) -> bool:
    """Whether a partition of the table reads some partitions of the other one, not all."""
    ours, theirs = table.contract.lake.partition, other.contract.lake.partition
    if ours is None or theirs is None:
        return False
    read = table.reads[other.short]
    alike = (ours.column, ours.grain) == (theirs.column, theirs.grain)
    by_value = alike and not (read.lookback or read.lookahead)
    return by_value or Grain.value not in (ours.grain, theirs.grain)
