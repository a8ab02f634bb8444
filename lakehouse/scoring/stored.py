"""The predictions that are stored, and what their files say of what was scored.

A file of predictions lies in a directory that names which version scored which build of which
feature partition. So the snapshot says, atomically with the rows, what needs no further look.
It is the rows that keep an entity from being predicted twice: where a directory is lost (files of
older builds are merged), a partition is looked at again, and nothing is added.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote as url_quote

from lakehouse import snapshot as snapshots
from lakehouse.audit import literal, quote
from lakehouse.errors import ModelError
from lakehouse.ops import schema_of
from lakehouse.registry import ModelVersion
from lakehouse.snapshot import BuildId, File, Snapshot
from lakehouse.storage import Storage

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["TABLE", "ModelKey", "Part", "Stored", "file_schema", "mount", "new_path"]

#: The table, below ``ops``.
TABLE = "predictions"

_PATH = re.compile(
    r"^model=(?P<model>[^/]+)/version=(?P<version>[0-9]+)/partition=(?P<partition>[^/]+)"
    r"/build=(?P<build>[0-9a-f-]+)/[^/]+\.parquet$"
)
#: Columns whose values differ from row to row.
_UNIQUE = ("prediction", "entity", "event_time", "probability")
#: How far the clocks of those who register and of those who score may be apart.
_SKEW = dt.timedelta(minutes=10)
_NONE = "__HIVE_DEFAULT_PARTITION__"


class ModelKey(NamedTuple):
    """Who predicted: one version of one model of one domain."""

    domain: str
    model: str
    version: int

    @property
    def folder(self) -> str:
        """Below which its predictions lie."""
        return f"model={self.domain}.{self.model}/version={self.version}"


class Part(NamedTuple):
    """One build of one partition of a feature table."""

    partition: str | None
    build: BuildId

    @property
    def folder(self) -> str:
        """Below the version's folder, where the predictions made from it lie."""
        value = _NONE if self.partition is None else url_quote(self.partition, safe="")
        return f"partition={value}/build={self.build}"


@dataclass(frozen=True)
class Stored:
    """One version of ``ops.predictions``.

    Attributes:
        storage: Its place.
        snapshot: What is live.
    """

    storage: Storage
    snapshot: Snapshot

    @classmethod
    def read(cls, lake: Storage) -> Stored:
        """The newest version.

        Args:
            lake: The lake's own place.

        Raises:
            StorageError: The store does not answer.
        """
        place = lake.at("ops", TABLE)
        return cls(place, snapshots.read(place, f"ops.{TABLE}"))

    @functools.cached_property
    def _folders(self) -> dict[str, list[File]]:
        """ModelKey's folder → its files; those that lie elsewhere under no name."""
        found: dict[str, list[File]] = {}
        for file in self.snapshot.files:
            match = _PATH.match(file.path)
            folder = f"model={match['model']}/version={match['version']}" if match else ""
            found.setdefault(folder, []).append(file)
        return found

    def scored(self, who: ModelKey) -> frozenset[str]:
        """The parts that a version has scored, as :attr:`Part.folder` names them."""
        start = len(who.folder) + 1
        files = self._folders.get(who.folder, [])
        return frozenset(file.path[start:].rpartition("/")[0] for file in files)

    def require_own(self, who: ModelKey, version: ModelVersion) -> None:
        """Check that nobody had the version's number, and predicted, before it.

        Numbers begin anew where a registered model was deleted, or a registry is a new one.

        Args:
            who: Who.
            version: The registered version.

        Raises:
            ModelError: Predictions are stored under its number from before it was registered.
        """
        made = [file.added for file in self._folders.get(who.folder, [])]
        # Both are real times, whatever time is played.
        first = dt.datetime.fromtimestamp(min(made) / 1000, dt.UTC) if made else version.created
        if version.created - first <= _SKEW:
            return
        when, created = (f"{at:%Y-%m-%d %H:%M} UTC" for at in (first, version.created))
        raise ModelError(
            f"tell the predictions of {who.model} version {who.version} from others",
            f"ops.{TABLE} holds some of {when} under this number, which was given to this version "
            f"at {created}: another version had it before",
            f"train until the number is above {self._last_number(who)} (lake train {who.model} "
            f"--force), or move {self.storage.uri} away",
        )

    def _last_number(self, who: ModelKey) -> int:
        start = f"model={who.domain}.{who.model}/version="
        return max(int(n.removeprefix(start)) for n in self._folders if n.startswith(start))

    def files(self, whose: Iterable[ModelKey]) -> tuple[File, ...]:
        """The files that may hold predictions of some versions.

        Rows that came another way, through the ledger, are in files that do not say whose.
        """
        folders = dict.fromkeys(who.folder for who in whose)
        return tuple(f for name in (*folders, "") for f in self._folders.get(name, []))

    def of_model(self, domain: str, model: str) -> tuple[File, ...]:
        """The files that may hold predictions of any version of a model."""
        start = f"model={domain}.{model}/"
        found = (n for n in self._folders if not n or n.startswith(start))
        return tuple(f for name in sorted(found) for f in self._folders[name])

    def mount(
        self, con: duckdb.DuckDBPyConnection, domain: str, model: str, name: str = "predictions"
    ) -> None:
        """All predictions of a model as a view of a DuckDB connection; see :func:`mount`."""
        where = f"domain = {literal(domain)} AND model = {literal(model)}"
        mount(con, name, self.storage, self.of_model(domain, model), where)


def file_schema() -> pa.Schema:
    """The columns as they are handed to a writer: those that repeat, as dictionaries.

    In the file they are what :func:`lakehouse.ops.schema_of` says.
    """
    import pyarrow as pa

    def kind(name: str, of_row: Any) -> Any:
        return of_row if name in _UNIQUE else pa.dictionary(pa.int32(), of_row)

    return pa.schema([(field.name, kind(field.name, field.type)) for field in schema_of(TABLE)])


def new_path(who: ModelKey, part: Part) -> str:
    """Where a new file of predictions is put."""
    return f"{who.folder}/{part.folder}/part-{uuid.uuid4().hex}.parquet"


def mount(
    con: duckdb.DuckDBPyConnection,
    name: str,
    storage: Storage,
    files: Sequence[File],
    where: str = "TRUE",
) -> None:
    """Some files of predictions as a view, with the columns of ``ops.predictions``."""
    import pyarrow.dataset as ds

    paths = [f"{storage.root}/{file.path}" for file in files]
    found = ds.dataset(paths, schema_of(TABLE), filesystem=storage.arrow(), format="parquet")
    con.register(f"_{name}", found)
    con.execute(
        f"CREATE OR REPLACE TEMP VIEW {quote(name)} AS SELECT * FROM {quote('_' + name)} "
        f"WHERE {where}"
    )
