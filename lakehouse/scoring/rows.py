"""The feature rows that a version has not predicted yet, in batches, from pinned files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lakehouse import sealed
from lakehouse.audit import literal, quote
from lakehouse.engines.base import Input, InputFile
from lakehouse.engines.inputs import mount
from lakehouse.errors import ModelError
from lakehouse.scoring import stored as predictions
from lakehouse.scoring.entity import entity_sql, prediction_sql
from lakehouse.scoring.plan import Todo, Turn, VersionPlan
from lakehouse.storage import Storage
from lakehouse.types import arrow

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["ENTITY", "EVENT_TIME", "PREDICTION", "batches", "check", "find_known"]

#: Columns beside the features; no feature is named so.
ENTITY, EVENT_TIME, PREDICTION = "_entity", "_event_time", "_prediction"

#: Rows that are predicted at once.
_BATCH = 250_000
_ALL = "features.every"


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
) -> pa.ChunkedArray[Any]:
    """The entities among the rows to be scored which the version has predicted already.

    Args:
        con: The connection of :func:`check`.
        todo: The model and its table.
        plan: The version's part of it.
        stored: The predictions that are there.
    """
    import pyarrow as pa

    files = stored.files([plan.who])
    if not any(file.rows for file in files):
        return pa.chunked_array([], pa.string())
    predictions.mount(con, "_stored", stored.storage, files, _of(plan))
    found = con.sql(
        f"SELECT DISTINCT entity FROM _stored WHERE entity IN "
        f"(SELECT {entity_sql(todo.model.features.key)} FROM {_ALL} WHERE {_late(todo, plan)})"
    )
    entities: pa.ChunkedArray[Any] = found.to_arrow_table().column(0)
    return entities


def _of(plan: VersionPlan) -> str:
    domain, model, version = plan.who
    return f"domain = {literal(domain)} AND model = {literal(model)} AND version = {version}"


def batches(
    con: duckdb.DuckDBPyConnection,
    todo: Todo,
    plan: VersionPlan,
    turn: Turn,
    place: Storage,
    known: pa.ChunkedArray[Any],
) -> Iterator[pa.Table]:
    """The rows of one turn that are to be predicted.

    Grain: one row per entity; columns: the features, :data:`ENTITY`, :data:`EVENT_TIME`,
    :data:`PREDICTION`.

    Args:
        con: A connection in UTC, which names the entities.
        todo: The model and its table.
        plan: The version's part of it.
        turn: Which rows.
        place: The feature table's place.
        known: Entities that are left out.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    features = todo.model.features
    after = pa.scalar(plan.after, pa.timestamp("us", "UTC"))
    entity, digest = entity_sql(features.key), prediction_sql(*plan.who, ENTITY)
    named = f"SELECT {ENTITY}, {digest} AS {PREDICTION} FROM (SELECT {entity} AS {ENTITY} FROM _of)"
    columns = dict.fromkeys((*plan.features, *features.key, features.event_time))
    for rows in _read(todo, turn, place, list(columns)):
        time = rows.column(features.event_time)
        con.register("_of", rows.select(list(features.key)))
        names = con.sql(named).to_arrow_table()
        made = rows.select(list(plan.features)).append_column(EVENT_TIME, time)
        for name in names.column_names:
            made = made.append_column(name, names.column(name))
        due: Any = pc.greater_equal(time, after)
        if len(known):
            due = pc.and_(due, pc.invert(pc.is_in(names.column(ENTITY), value_set=known)))
        yield made if pc.all(due).as_py() else made.filter(due)


def _read(todo: Todo, turn: Turn, place: Storage, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Columns of the files of one partition, in batches that fit into memory."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    contract = todo.table.contract
    part = contract.lake.partition.column if contract.lake.partition else None
    schema = pa.schema([(c, arrow(contract.types[c])) for c in columns if c != part])
    paths = [f"{place.root}/{file.path}" for file in turn.files if file.rows]
    # A sealed file holds batches of other turns, too.
    shared = [file.batch for file in turn.files if sealed.seals(file.path)]
    read = pa.unify_schemas([schema, pa.schema([("_batch", pa.string())])]) if shared else schema
    found = ds.dataset(paths, read, filesystem=place.arrow(), format="parquet").scanner(
        columns=schema.names,
        filter=pc.field("_batch").isin(shared) if shared else None,
        batch_size=_BATCH,
        batch_readahead=1,
        fragment_readahead=1,
    )
    for batch in found.to_batches():
        rows = pa.Table.from_batches([batch])
        if part is not None and part in columns:
            value: Any = pa.scalar(turn.part.partition, pa.string())
            value = value.cast(arrow(contract.types[part]))
            rows = rows.append_column(part, pa.repeat(value, rows.num_rows))
        if rows.num_rows:
            yield rows


def _late(todo: Todo, plan: VersionPlan) -> str:
    """SQL that is TRUE for events after the version's training window."""
    return f"{quote(todo.model.features.event_time)} >= {literal(plan.after)}"


def _input(todo: Todo, place: Storage, name: str, turns: Sequence[Turn]) -> Input:
    part = todo.table.contract.lake.partition
    files = dict.fromkeys(
        InputFile(file.path, file.partition) for turn in turns for file in turn.files if file.rows
    )
    types = todo.table.contract.types
    return Input(name, place, types, part.column if part else None, tuple(files))
