"""What is maintained: each Delta table that the library owns, and nothing beside them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lakehouse import ops
from lakehouse.catalog import Domain, Table
from lakehouse.contract import Retention
from lakehouse.engines.writer import quarantine_of
from lakehouse.errors import CatalogError
from lakehouse.lake import Lake
from lakehouse.storage import Storage

__all__ = ["Place", "places"]

_BUILD = re.compile(r"^(?!_)(?:[^/]+/)*build=[0-9a-f-]{32,43}/(?:[^/]+/)*[^/]+\.parquet$")
_SEALED = re.compile(r"^(?!_)(?:[^/]+/)*sealed=[0-9a-f]{10}/part-[^/]+\.parquet$")
_STAGING = re.compile(r"^staging/[^/]+/.")
_SCHEME = re.compile(r"^(?:file|s3a?)://")
_OPS = re.compile(r"^(?:run=[^/]+|compacted)/[^/]+\.parquet$")


@dataclass(frozen=True)
class Place:
    """One Delta table.

    Attributes:
        name: Its full name; ``…__quarantine`` and ``ops.…`` among them.
        kind: A declared table, its quarantine, predictions, or another of the ledger's.
        storage: Where it is.
        retention: How long is kept what is no longer live.
        types: Column → DuckDB type where older files may lack columns; empty elsewhere.
    """

    name: str
    kind: Literal["table", "quarantine", "predictions", "ops"]
    storage: Storage
    retention: Retention = field(default_factory=Retention)
    types: Mapping[str, str] = field(default_factory=dict)

    def absolute(self, path: str) -> str:
        """A path as the log or a listing has it, in one form: most are below the table's root."""
        if scheme := _SCHEME.match(path):
            return path[scheme.end() :]
        return posixpath.normpath(path if path.startswith("/") else f"{self.storage.root}/{path}")

    def owns(self, path: str) -> bool:
        """Whether a file below the table's root is one that the library's writers make."""
        if self.kind in ("predictions", "ops") and _OPS.match(path):
            return True
        forms = (_BUILD, _SEALED, _STAGING)
        return self.kind != "ops" and any(form.match(path) for form in forms)


def places(lake: Lake, domain: Domain, select: Sequence[str] = ()) -> tuple[tuple[Place, ...], ...]:
    """The tables to be maintained, each with its quarantine; the ledger's when nothing is named.

    Args:
        lake: The lake.
        domain: The domain.
        select: Tables, ``ops.runs`` and its like among them; all when empty.

    Raises:
        CatalogError: No such table.
    """
    named = [name for name in select if not name.startswith("ops.")]
    tables = [domain.table(name) for name in named] if select else domain.order
    own = [f"ops.{name}" for name in ops.ROWS]
    for name in set(select) - {*named, *own}:
        raise CatalogError(f"find the table {name!r}", "no such ops table", ", ".join(own))
    wanted = [name for name in own if name in select or not select]
    return (*(_of_table(lake, table) for table in tables), *((_ops(lake, n),) for n in wanted))


def _of_table(lake: Lake, table: Table) -> tuple[Place, ...]:
    place, retention = lake.place(table), table.contract.lake.retention
    return (
        Place(table.name, "table", place, retention),
        Place(f"{table.name}__quarantine", "quarantine", quarantine_of(place), retention),
    )


def _ops(lake: Lake, name: str) -> Place:
    short = name.removeprefix("ops.")
    kind: Literal["predictions", "ops"] = "predictions" if short == "predictions" else "ops"
    return Place(name, kind, lake.storage.at("ops", short), types=ops.types_of(short))
