"""The ``ops`` tables as Delta tables: their schemas, read whole and appended to."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lakehouse import commit
from lakehouse import snapshot as snapshots
from lakehouse.engines.base import StagedFile
from lakehouse.errors import CommitError, cause
from lakehouse.ops.rows import ROWS
from lakehouse.storage import Storage
from lakehouse.types import arrow

if TYPE_CHECKING:
    import pyarrow as pa
    from _typeshed import DataclassInstance

__all__ = ["append", "read", "schema_of", "types_of"]


def types_of(table: str) -> dict[str, str]:
    """The columns of an ops table with their DuckDB types, from its row's annotations."""
    kinds = {
        "str": "VARCHAR",
        "int": "BIGINT",
        "float": "DOUBLE",
        "float | None": "DOUBLE",
        "bool": "BOOLEAN",
        "dt.datetime": "TIMESTAMPTZ",
        "dt.datetime | None": "TIMESTAMPTZ",
    }
    return {name: kinds[str(kind)] for name, kind in ROWS[table].__annotations__.items()}


def schema_of(table: str) -> pa.Schema:
    """The Arrow schema of an ops table."""
    import pyarrow as pa

    return pa.schema([(name, arrow(kind)) for name, kind in types_of(table).items()])


def read(
    storage: Storage, columns: Sequence[str] | None = None, schema: pa.Schema | None = None
) -> list[dict[str, Any]]:
    """All rows of a small Delta table; columns that older files lack are NULL."""
    import pyarrow.dataset as ds

    found = snapshots.read(storage, storage.uri)
    if not found.files:
        return []
    paths = [f"{storage.root}/{file.path}" for file in found.files]
    with storage.reaching(f"read {storage.uri}"):
        table = ds.dataset(paths, schema, filesystem=storage.arrow(), format="parquet").to_table(
            columns=list(columns) if columns else None
        )
    return [dict(row) for row in table.to_pylist()]


def append(
    storage: Storage,
    name: str,
    rows: Iterable[DataclassInstance],
    run: str,
    *,
    only_after: int | None = None,
) -> int:
    """Append rows to an ops table in one commit, which a lost reply does not double.

    Args:
        storage: The table's place.
        name: The table.
        rows: Of one class of :data:`ROWS`.
        run: The run's id.
        only_after: Append only on top of this version of the table, -1 for none: what was
            decided from it still holds.

    Returns:
        The version of the table that holds them.

    Raises:
        CommitConflict: Others appended after ``only_after``.
        CommitError: The store refused; what was published stays, unexplained.
    """
    import pyarrow as pa
    import pyarrow.fs
    import pyarrow.parquet as pq

    made = pa.Table.from_pylist([asdict(row) for row in rows], schema=schema_of(name))
    path = f"run={run}/part-{uuid.uuid4().hex}.parquet"
    filesystem, place = storage.arrow(), f"{storage.root}/{path}"
    try:
        if isinstance(filesystem, pyarrow.fs.LocalFileSystem):
            filesystem.create_dir(place.rsplit("/", 1)[0], recursive=True)
        pq.write_table(made, place, filesystem=filesystem, compression="zstd")
        size = int(filesystem.get_file_info(place).size)
    except OSError as error:
        raise CommitError(
            f"record run {run} in {storage.uri}",
            cause(error),
            "what was published stays, unexplained; see that the store answers ('lake doctor')",
        ) from error
    stats = json.dumps({"numRecords": made.num_rows})
    file = StagedFile(path, size, made.num_rows, None, stats)
    types = types_of(name)
    return commit.append(f"ops.{name}", storage, types, file, run=run, only_after=only_after)
