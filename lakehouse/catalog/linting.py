"""What is wrong with a domain, each complaint with its file and remedy."""

from __future__ import annotations

import difflib
import graphlib
from collections.abc import Iterator

from lakehouse import sql
from lakehouse.catalog.relationships import wrong_relationships
from lakehouse.catalog.table import FUNCTION, Domain, Table, sql_inputs
from lakehouse.contract import Read
from lakehouse.errors import CatalogError, ContractError, LakehouseError, SqlError
from lakehouse.interval import Grain

__all__ = ["complaints"]


def complaints(domain: Domain, *, linted: bool) -> list[LakehouseError]:
    """Every complaint about a domain whose files could be read.

    Args:
        domain: It.
        linted: Its SQL has passed before, as it is.

    Returns:
        What is wrong with the tables' inputs; where nothing is, with their SQL and patterns.
    """
    problems: list[LakehouseError] = [
        error for table in domain.tables.values() for error in _wrong_inputs(domain, table)
    ]
    if not problems:
        problems = _circle(domain)
    if not problems and not linted:
        problems = [
            error
            for table in domain.tables.values()
            for error in (*_findings(domain, table), *_hidden(table), *_patterns(table))
        ]
    return problems


def _wrong_inputs(domain: Domain, table: Table) -> Iterator[LakehouseError]:
    # Without its parameters nobody knows what a function reads.
    if wrong := list(_wrong_arguments(table)):
        yield from wrong
        return
    for check in (_wrong_reads, wrong_relationships, _wrong_partition, _wrong_zone):
        yield from check(domain, table)


def _wrong_arguments(table: Table) -> Iterator[CatalogError]:
    """A Python table's inputs stand in its contract, and each is a parameter."""
    if table.code is None:
        return
    try:
        passed = list(table.arguments.values())
    except CatalogError as error:
        yield error
        return
    referred = {one.table for one in table.references.values()}
    for name in table.contract.lake.reads:
        if passed.count(name) != 1 and not (name in referred and name not in passed):
            yield CatalogError(
                f"load {table.name}",
                f"the contract declares a read of {name}, which is {passed.count(name)} parameters "
                f"of {FUNCTION}()",
                f"add a parameter {name.partition('.')[2]} for it, once, or delete it from reads",
                file=table.code.path,
            )
    if not passed:
        yield CatalogError(
            f"load {table.name}",
            "the contract declares no input",
            f"name what {FUNCTION}() is passed: reads: {{silver.<table>: {{}}}}",
            file=table.contract.path,
        )


def _wrong_reads(domain: Domain, table: Table) -> Iterator[CatalogError]:
    made_by = "Python" if table.code else "SQL"
    for name in table.made_of:
        if name not in domain.tables:
            close = difflib.get_close_matches(name, domain.tables, n=1)
            kind = CatalogError if table.query is None else SqlError
            yield kind(
                f"load {table.name}",
                f"reads {name}, which the domain has not",
                f"did you mean {close[0]!r}?" if close else f"there are {', '.join(domain.tables)}",
                file=table.definition_file if table.query else table.contract.path,
            )
    lake = table.contract.lake
    if lake.rows and (lake.reads.get(lake.rows.from_, Read()).lookback or False):
        yield CatalogError(
            f"load {table.name}",
            f"rows from {lake.rows.from_}, which is read with a lookback: its rows belong to "
            "several partitions",
            "delete 'rows:' or the lookback",
            file=table.contract.path,
        )
    unread = lake.reads.keys() - set(table.reads)
    unread |= {lake.rows.from_} - set(table.made_of) if lake.rows else set()
    for name in sorted(unread):
        yield CatalogError(
            f"load {table.name}",
            f"the contract declares a read of {name}, but the {made_by} does not read it",
            f"delete it from reads, or read it; the {made_by} reads {', '.join(table.made_of)}",
            file=table.contract.path,
        )


def _wrong_partition(domain: Domain, table: Table) -> Iterator[CatalogError]:
    """A partitioned table needs an input that says which partitions there are."""
    ours = table.contract.lake.partition
    if ours is None or table.landed:
        return
    known = [domain.tables[name] for name in table.made_of if name in domain.tables]
    parts = [one.contract.lake.partition for one in known]
    timed = ours.grain is not Grain.value
    for theirs in filter(None, parts):
        if (theirs.column, theirs.grain) == (ours.column, ours.grain):
            return
        if timed and theirs.grain is not Grain.value:
            return
    wanted = "by time" if timed else f"by the values of a column {ours.column!r}"
    yield CatalogError(
        f"load {table.name}",
        f"it is partitioned by {ours.column}, and no input is partitioned {wanted}: nothing "
        "says which partitions there are",
        f"partition {', '.join(table.made_of)} so, or delete 'partition:' here: the table is then "
        "one target",
        file=table.contract.path,
    )


def _wrong_zone(domain: Domain, table: Table) -> Iterator[CatalogError]:
    """Partitions of one column match by value, so that they begin at the same instants."""
    ours = table.contract.lake.partition
    for name in table.made_of if ours and ours.grain is not Grain.value else ():
        theirs = domain.tables[name].contract.lake.partition if name in domain.tables else None
        if ours is None or theirs is None:
            continue
        same = (theirs.column, theirs.grain) == (ours.column, ours.grain)
        if same and theirs.timezone != ours.timezone:
            yield CatalogError(
                f"load {table.name}",
                f"its {ours.grain}s {ours.column} begin in {ours.timezone}, those of {name} in "
                f"{theirs.timezone}",
                "write one timezone in both contracts and where the column is computed; or give "
                "the column of other periods another name",
                file=table.contract.path,
            )


def _circle(domain: Domain) -> list[LakehouseError]:
    try:
        _ = domain.order
    except graphlib.CycleError as error:
        return [
            CatalogError(
                f"order the tables of {domain.name}",
                f"a circle: {' → '.join(error.args[1])}",
                "a table cannot read itself: recompute it from bronze, "
                "or read a window of its input with a lookback",
            )
        ]
    return []


def _findings(domain: Domain, table: Table) -> Iterator[SqlError]:
    if table.query is None:
        return
    partition = table.contract.lake.partition
    for finding in sql.lint(
        table.query,
        inputs=sql_inputs(domain, table),
        output=table.contract.types,
        partition=partition.column if partition else None,
        layer=table.layer,
    ):
        yield SqlError(
            f"load {table.name}",
            f"{finding.code}: {finding.message}",
            finding.remedy,
            file=f"{table.query.path}:{finding.line}",
        )


def _hidden(table: Table) -> Iterator[ContractError]:
    """Of a Python table, whose columns are not known before it is run."""
    for name in table.contract.types if table.code and table.layer != "silver" else ():
        if name.startswith("_"):
            yield ContractError(
                f"load {table.name}",
                f"column {name!r}: names with _ are bookkeeping, of bronze and silver only",
                "publish it by a name without _",
                file=table.contract.path,
            )


def _patterns(table: Table) -> Iterator[LakehouseError]:
    """Rules of a table with SQL, which any engine may judge; all others have one reader."""
    for rule in table.contract.rules if table.query is not None else ():
        pattern = rule.kwargs.get("regex")
        problem = sql.pattern_problem(pattern) if isinstance(pattern, str) else None
        if problem:
            yield ContractError(
                f"load {table.name}",
                f"rule {rule.id}: {problem}",
                "write it out: [0-9A-Za-z_] for \\w, [ \\t\\n\\r] for \\s, no (?…) and no a++",
                file=table.contract.path,
            )
