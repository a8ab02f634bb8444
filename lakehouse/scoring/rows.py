"""The feature rows that a version has not predicted yet, in batches, from pinned files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lakehouse.audit import literal, quote
from lakehouse.engines.base import Input, InputFile
from lakehouse.engines.inputs import mount
from lakehouse.errors import ModelError
from lakehouse.scoring import stored as predictions
from lakehouse.scoring.entity import entity_sql, prediction_sql
from lakehouse.scoring.plan import Todo, Turn, VersionPlan
from lakehouse.storage import Storage

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["ENTITY", "EVENT_TIME", "PREDICTION", "batches", "check", "find_known"]

#: Columns beside the features; no feature is named so.
ENTITY, EVENT_TIME, PREDICTION = "_entity", "_event_time", "_prediction"

#: Rows that are predicted at once.
_BATCH = 250_000
_ALL, _KNOWN = "features.every", "_known"


def check(con: duckdb.DuckDBPyConnection, todo: Todo, plan: VersionPlan, place: Storage) -> int:
    """See that each row to be scored names one entity and its time; returns their number.

    Args:
        con: A connection in UTC; it has the rows mounted afterwards.
        todo: The model and its table.
        plan: The version's part of it.
        place: The feature table's place.

    Raises:
        ModelError: A key or a time is NULL, or an entity is there twice.
    """
    mount(con, _input(todo, place, _ALL, plan.turns))
    key = [quote(column) for column in todo.model.features.key]
    nameless = " OR ".join(f"{column} IS NULL" for column in key)
    timeless = f"{quote(todo.model.features.event_time)} IS NULL"
    rows, unnamed, untimed, entities = con.execute(
        f"SELECT count(*), count(*) FILTER (WHERE {nameless}), "
        f"count(*) FILTER (WHERE {timeless}), count(DISTINCT hash({', '.join(key)})) "
        f"FROM {_ALL} WHERE {_late(todo, plan)} OR {timeless}"
    ).fetchall()[0]
    if unnamed:
        _refuse(todo, f"{unnamed:,} rows have no {' or no '.join(todo.model.features.key)}")
    if untimed:
        _refuse(todo, f"{untimed:,} rows have no {todo.model.features.event_time}")
    if entities < rows:
        _refuse_twice(con, todo, plan)
    return int(rows)


def _refuse(todo: Todo, found: str) -> None:
    features = todo.model.features
    raise ModelError(
        f"score {todo.model.name}",
        f"{found} in version {todo.snapshot.version} of {todo.table.name}",
        f"make {', '.join(features.key)} the primaryKey and {features.event_time} required in its "
        "contract: such rows go to quarantine; then 'lake build'",
        file=todo.table.contract.path,
    )


def _refuse_twice(con: duckdb.DuckDBPyConnection, todo: Todo, plan: VersionPlan) -> None:
    """Equal digests may be of different entities: the entities themselves decide."""
    twice = con.execute(
        f"SELECT {entity_sql(todo.model.features.key)} AS entity, count(*) AS n FROM {_ALL} "
        f"WHERE {_late(todo, plan)} GROUP BY entity HAVING n > 1 ORDER BY entity"
    ).fetchall()
    if twice:
        entity, n = twice[0]
        _refuse(todo, f"{len(twice):,} entities are there more than once, {entity} {n} times,")


def find_known(
    con: duckdb.DuckDBPyConnection, todo: Todo, plan: VersionPlan, stored: predictions.Stored
) -> int:
    """Remember which entities the version has predicted already; returns their number.

    Only those among the rows to be scored are held in memory.
    """
    files = stored.files([plan.who])
    con.execute(f"CREATE TEMP TABLE {_KNOWN} ({ENTITY} VARCHAR)")
    if not any(file.rows for file in files):
        return 0
    predictions.mount(con, "_stored", stored.storage, files, _of(plan))
    con.execute(
        f"INSERT INTO {_KNOWN} SELECT DISTINCT entity FROM _stored WHERE entity IN "
        f"(SELECT {entity_sql(todo.model.features.key)} FROM {_ALL} WHERE {_late(todo, plan)})"
    )
    return int(con.execute(f"SELECT count(*) FROM {_KNOWN}").fetchall()[0][0])


def _of(plan: VersionPlan) -> str:
    domain, model, version = plan.who
    return f"domain = {literal(domain)} AND model = {literal(model)} AND version = {version}"


@contextlib.contextmanager
def batches(
    con: duckdb.DuckDBPyConnection,
    todo: Todo,
    plan: VersionPlan,
    turn: Turn,
    place: Storage,
    *,
    known: bool,
) -> Iterator[Iterator[pa.RecordBatch]]:
    """The rows of one turn that are to be predicted, while the block lasts.

    Grain: one row per entity; columns: the features, :data:`ENTITY`, :data:`EVENT_TIME`,
    :data:`PREDICTION`.

    Args:
        con: The connection of :func:`find_known`.
        todo: The model and its table.
        plan: The version's part of it.
        turn: Which rows.
        place: The feature table's place.
        known: Whether any of them has been predicted.
    """
    name = "features.turn"
    mount(con, _input(todo, place, name, [turn]))
    features = todo.model.features
    columns = ", ".join(map(quote, plan.features))
    query = (
        f"SELECT {columns}, {entity_sql(features.key)} AS {ENTITY}, "
        f"{quote(features.event_time)} AS {EVENT_TIME} FROM {name} WHERE {_late(todo, plan)}"
    )
    anti = f" WHERE {ENTITY} NOT IN (SELECT {ENTITY} FROM {_KNOWN})" if known else ""
    digest = prediction_sql(*plan.who, ENTITY)
    found = con.sql(f"SELECT *, {digest} AS {PREDICTION} FROM ({query}){anti}")
    yield iter(found.to_arrow_reader(_BATCH))
    # After a failure the connection is given up as it is.
    con.execute(f"DROP VIEW {name}")
    con.unregister(f"_{name.replace('.', '_')}")


def _late(todo: Todo, plan: VersionPlan) -> str:
    """SQL that is TRUE for events after the version's training window."""
    return f"{quote(todo.model.features.event_time)} >= {literal(plan.after)}"


def _input(todo: Todo, place: Storage, name: str, turns: Sequence[Turn]) -> Input:
    part = todo.table.contract.lake.partition
    files = tuple(
        InputFile(file.path, file.partition) for turn in turns for file in turn.files if file.rows
    )
    return Input(name, place, todo.table.contract.types, part.column if part else None, files)
