"""The live files of a Delta table at one version: the only state that the planner trusts.

Every data file of a declared table lives in a directory that names what it was
built from, ``…/build=<sql>-<contract>-<inputs>[-<content>]/part-….parquet``. The
file list of a snapshot therefore says what each partition was built from,
atomically with the data; a sealed file's footer says it for each of its
batches. Nothing else in this library reads a Delta log.
"""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lakehouse import sealed
from lakehouse.errors import PlanError, StorageError, cause
from lakehouse.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

__all__ = [
    "BuildId",
    "File",
    "Snapshot",
    "added",
    "bounds",
    "build_of",
    "landed",
    "listed",
    "of",
    "open_table",
    "read",
]

#: What a reader or writer of either engine understands; others would be read wrongly in silence.
PORTABLE_FEATURES = frozenset(
    {"appendOnly", "invariants", "checkConstraints", "changeDataFeed", "generatedColumns"}
)

_BUILD = re.compile(r"(?:^|/)build=([0-9a-f]{10}(?:-[0-9a-f]{10}){2,3})/")
_BROKEN_OFF = "error reading a body"
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.")
_BATCH = re.compile(r"(?:^|/)batch=([0-9a-f]{10})/")
#: Files that are read side by side.
_AT_ONCE = 16


@dataclass(frozen=True)
class BuildId:
    """What a partition was built from; ten hex digits each.

    Attributes:
        sql: The canonical SQL, or the reader's options for bronze.
        contract: What decides rows in the contract.
        inputs: The input partitions that can matter.
        content: The published rows, order-independent; None where the engine cannot know them.
    """

    sql: str
    contract: str
    inputs: str
    content: str | None = None

    @classmethod
    def parse(cls, text: str) -> BuildId:
        """Read the name of a build directory."""
        return cls(*text.split("-"))

    def __str__(self) -> str:
        return "-".join(filter(None, (self.sql, self.contract, self.inputs, self.content)))

    @property
    def wanted(self) -> str:
        """The parts that are known before the rows are."""
        return f"{self.sql}-{self.contract}-{self.inputs}"

    @property
    def effect(self) -> str:
        """What those downstream hash: the content where it is known, else everything."""
        return self.content or str(self)


@dataclass(frozen=True)
class File:
    """One live data file.

    Attributes:
        path: Relative to the table, as it stands on disk.
        size: Bytes.
        rows: Published rows; -1 when the log does not say.
        partition: The partition value as text (an ISO date for time), None for none or NULL.
        build: What it was built from; None for a sealed file, which is of several builds, and
            for one that the library did not write.
        batch: Bronze: the landing batch; None for a sealed file.
        added: When it was committed (milliseconds; it decides only what maintenance calls old).
        members: The batches of a sealed file.
    """

    path: str
    size: int
    rows: int
    partition: str | None
    build: BuildId | None
    batch: str | None
    added: int
    members: tuple[sealed.Member, ...] = ()

    @functools.cached_property
    def parts(self) -> tuple[File, ...]:
        """Each batch of a sealed file as if it were a file; any other file is its own part."""
        return tuple(
            replace(
                self,
                size=self.size * one.rows // max(self.rows, 1),
                rows=one.rows,
                build=BuildId.parse(one.build),
                batch=one.batch,
                added=one.added,
                members=(),
            )
            for one in self.members
        ) or (self,)


@dataclass(frozen=True)
class Snapshot:
    """One version of a table; version -1 with no files is a table that does not exist yet."""

    table: str
    version: int
    files: tuple[File, ...]

    @property
    def parts(self) -> Iterable[File]:
        """Its files, each batch of a sealed one by itself."""
        return (part for file in self.files for part in file.parts)

    @functools.cached_property
    def partitions(self) -> Mapping[str | None, tuple[File, ...]]:
        """Partition value → its files, in the order of the values (None first)."""
        found: dict[str | None, list[File]] = {}
        for file in self.files:
            found.setdefault(file.partition, []).append(file)
        ordered = sorted(found.items(), key=lambda item: (item[0] is not None, item[0] or ""))
        return {value: tuple(files) for value, files in ordered}

    @functools.cached_property
    def batches(self) -> Mapping[str, tuple[File, ...]]:
        """Bronze: batch → its files, or parts of sealed ones, in all partitions."""
        found: dict[str, list[File]] = {}
        for part in self.parts:
            if part.batch:
                found.setdefault(part.batch, []).append(part)
        return {batch: tuple(files) for batch, files in found.items()}

    @property
    def exists(self) -> bool:
        """Whether anything was ever committed."""
        return self.version >= 0

    @property
    def rows(self) -> int:
        """Published rows of the whole table."""
        return sum(max(file.rows, 0) for file in self.files)

    @property
    def bytes(self) -> int:
        """Bytes of all live files."""
        return sum(file.size for file in self.files)

    def owned(self) -> Snapshot:
        """This snapshot, if all of its files were published by the library.

        Raises:
            PlanError: ``foreign files``: something else wrote into a declared table.
        """
        foreign = [part.path for part in self.parts if part.build is None]
        if foreign:
            raise PlanError(
                f"plan {self.table}",
                f"{len(foreign)} foreign files, for example {foreign[0]}: live in the table "
                "but not published by this library",
                f"undo the foreign commit (deltalake: DeltaTable.restore to a version before "
                f"{self.version}), or move that data to an external table",
            )
        return self


def open_table(storage: Storage, version: int | None = None) -> DeltaTable | None:
    """The Delta table at a place, or None where there is none.

    Raises:
        StorageError: The version is gone, or the table uses features that one
            of the engines would read wrongly.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    options = storage.delta_options()
    try:
        table = _tried(lambda: DeltaTable(storage.delta_uri(), version, storage_options=options))
    except TableNotFoundError as error:
        if version is None or open_table(storage) is None:
            return None
        raise _without(storage, version, error) from error
    except (DeltaError, OSError) as error:
        if version is not None and open_table(storage) is not None:
            raise _without(storage, version, error) from error
        at = "" if version is None else f" at version {version}"
        raise storage.failed(f"open {storage.uri}{at}", error) from error
    _assert_portable(table, storage)
    return table


def _without(storage: Storage, version: int, error: Exception) -> StorageError:
    """The error of a table that is there, and which versions of it are."""
    newest = open_table(storage)
    first, last = _first_version(storage), newest.version() if newest else 0
    kept = f"there are versions {first} to {last}"
    if first == last:
        kept = f"only version {last} is there"
    found, remedy = f"{cause(error)}; {kept}", "name another, or none for the newest"
    if version > last:
        found = f"it is not made yet; {kept}"
    elif version < first:
        found = f"it was cleaned away; {kept}"
        remedy += "; 'retention: {history: …}' in the contract keeps more of them"
    return StorageError(f"open {storage.uri} at version {version}", found, remedy)


def _first_version(storage: Storage) -> int:
    """The oldest version whose log is whole: it begins at 0 or at a checkpoint."""
    with storage.reaching(f"list the versions of {storage.uri}"):
        paths = storage.fsspec().ls(f"{storage.root}/_delta_log", detail=False, refresh=True)
    names = [str(path).rpartition("/")[2] for path in paths]
    if f"{0:020}.json" in names:
        return 0
    return min((int(m[1]) for m in map(_CHECKPOINT.match, names) if m), default=0)


def _tried(opening: Callable[[], DeltaTable]) -> DeltaTable:
    """Open once more when an answer broke off: the client tries all else again by itself."""
    try:
        return opening()
    except OSError as error:
        if _BROKEN_OFF not in str(error):
            raise
    return opening()


def _assert_portable(table: DeltaTable, storage: Storage) -> None:
    protocol = table.protocol()
    used = {*(protocol.reader_features or ()), *(protocol.writer_features or ())}
    foreign = sorted(used - PORTABLE_FEATURES)
    if foreign:
        raise StorageError(
            f"read {storage.uri}",
            f"the table uses {', '.join(foreign)}, which not every engine reads rightly",
            "drop the feature (ALTER TABLE … DROP FEATURE) or copy the table without it",
        )


def read(storage: Storage, name: str, version: int | None = None) -> Snapshot:
    """List what is live in a table.

    Args:
        storage: The table's place.
        name: Its full name, for messages.
        version: An older version; None for the newest.

    Raises:
        StorageError: See :func:`open_table`; or a sealed file does not say what it holds.
    """
    found = listed(storage, name, version)
    return replace(found, files=_opened(storage, found.files))


def listed(storage: Storage, name: str, version: int | None = None) -> Snapshot:
    """As :func:`read`, by the log alone: of sealed files it is not known which batches they hold.

    Raises:
        StorageError: See :func:`open_table`.
    """
    table = open_table(storage, version)
    if table is None:
        return Snapshot(name, -1, ())
    with storage.reaching(f"list the files of {name}"):
        return _of(table, name)


def _opened(storage: Storage, files: tuple[File, ...]) -> tuple[File, ...]:
    """Files with the batches of those that are sealed."""
    paths = [file.path for file in files if sealed.seals(file.path)]
    if not paths:
        return files
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        known = dict(zip(paths, pool.map(partial(sealed.members, storage), paths), strict=True))
    return tuple(replace(file, members=known.get(file.path, ())) for file in files)


def added(storage: Storage) -> list[dict[str, Any]]:
    """The live files of a staging table, flat, as deltalake names their fields; paths unquoted.

    Raises:
        StorageError: See :func:`open_table`.
    """
    table = open_table(storage)
    if table is None:
        return []
    return [add | {"path": unquote(add["path"])} for add in _actions(table).to_pylist()]


def _actions(table: DeltaTable) -> pa.Table:
    import pyarrow as pa

    # pa.table() would import pandas, only to see that this is no frame of it.
    return pa.RecordBatchReader.from_stream(table.get_add_actions(flatten=True)).read_all()


def of(table: DeltaTable, name: str, storage: Storage) -> Snapshot:
    """The snapshot of an open table.

    Raises:
        StorageError: A sealed file does not say what it holds.
    """
    found = _of(table, name)
    return replace(found, files=_opened(storage, found.files))


def _of(table: DeltaTable, name: str) -> Snapshot:
    actions = _actions(table)
    columns = table.metadata().partition_columns
    nothing = [None] * actions.num_rows

    def column(key: str) -> list[Any]:
        return actions[key].to_pylist() if key in actions.column_names else nothing

    files = map(
        _file,
        column("path"),
        column("size_bytes"),
        column("num_records"),
        column(f"partition.{columns[0]}") if columns else nothing,
        column("modification_time"),
    )
    return Snapshot(name, table.version(), tuple(sorted(files, key=lambda f: f.path)))


def bounds(storage: Storage, version: int, column: str) -> tuple[dt.datetime, dt.datetime] | None:
    """The least and the greatest instant of a column, by the log: no file is read.

    Args:
        storage: The table's place.
        version: Which of its versions.
        column: Of instants.

    Returns:
        The two; None where the log does not say so of each file with rows.

    Raises:
        StorageError: See :func:`open_table`.
    """
    table = open_table(storage, version)
    if table is None:
        return None
    with storage.reaching(f"list the files of {storage.uri}"):
        actions = _actions(table)
    names = [f"{end}.{column}" for end in ("min", "max")]
    if not {*names, "num_records"} <= set(actions.column_names):
        return None
    rows = zip(*(actions[name].to_pylist() for name in (*names, "num_records")), strict=True)
    told = [ends for *ends, count in rows if count != 0]
    if not told or not all(isinstance(e, dt.datetime) and e.tzinfo for pair in told for e in pair):
        return None
    return min(low for low, _ in told), max(high for _, high in told)


def landed(storage: Storage, files: Sequence[File]) -> dict[str, dict[str, dt.datetime]]:
    """Bronze: batch → the landed files that its rows are from → when each had landed.

    Args:
        storage: The table's place.
        files: Files of batches, and parts of sealed ones.
    """
    found: dict[str, dict[str, dt.datetime]] = {file.batch or "": {} for file in files}
    paths = dict.fromkeys(file.path for file in files if file.rows)
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        for lineage in pool.map(partial(_lineage, storage), paths):
            for batch, source, when in lineage:
                if batch in found:
                    found[batch][source] = when
    return found


def _lineage(storage: Storage, path: str) -> list[tuple[str, str, dt.datetime]]:
    """(batch, landed file, when it landed) of the rows of a bronze file."""
    import pyarrow.dataset as ds

    columns = ["_batch", "_source_file", "_landed_at"]
    with storage.reaching(f"read {storage.uri}"):
        place = f"{storage.root}/{path}"
        rows = ds.dataset(place, filesystem=storage.arrow(), format="parquet")
        seen = rows.to_table(columns=columns).group_by(columns).aggregate([])
    return list(zip(*(seen[c].to_pylist() for c in columns), strict=True))


def build_of(path: str) -> BuildId | None:
    """The build that a data file's path names."""
    found = _BUILD.search(path)
    return BuildId.parse(found[1]) if found else None


def _file(quoted: str, size: int, rows: int | None, value: object, added: object) -> File:
    # The log holds percent-encoded paths; handed back as they are they would name no live file.
    path = unquote(quoted)
    batch = _BATCH.search(path)
    when = int(added.timestamp() * 1000) if isinstance(added, dt.datetime) else int(str(added))
    return File(
        path,
        size,
        # A log that does not say how many must not make a file look empty.
        -1 if rows is None else rows,
        None if value is None else str(value),
        build_of(path),
        batch[1] if batch else None,
        when,
    )
