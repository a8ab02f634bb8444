"""Sealed files: old bronze batches of one partition in one file, which lists them in its footer.

A batch is known by its directory. A file of many lies in ``sealed=<digest>`` instead, and the
digest is that of its own list: so the path that the log holds vouches for what the footer says.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from lakehouse.contract import digest
from lakehouse.errors import StorageError
from lakehouse.storage import Storage

__all__ = ["Member", "folder", "footer", "members", "seals"]

_SEALED = re.compile(r"(?:^|/)sealed=([0-9a-f]{10})/[^/]+$")
_KEY = b"lakehouse.batches"
#: Lists that a process keeps: no file ever changes its own.
_REMEMBERED = 1024


@dataclass(frozen=True)
class Member:
    """One batch of a sealed file.

    Attributes:
        batch: The landing batch.
        build: What it was built from, as its directory was named.
        rows: Its published rows in the file.
        added: When it was committed (milliseconds).
    """

    batch: str
    build: str
    rows: int
    added: int


def _listed(batches: Sequence[Member]) -> str:
    return json.dumps([astuple(one) for one in batches], separators=(",", ":"))


def folder(batches: Sequence[Member]) -> str:
    """The directory of a file that holds some batches, below its partition's."""
    return f"sealed={digest(_listed(batches))}"


def footer(batches: Sequence[Member]) -> dict[bytes, bytes]:
    """What its Parquet footer says of them."""
    return {_KEY: _listed(batches).encode()}


def seals(path: str) -> bool:
    """Whether a data file is a sealed one."""
    return _SEALED.search(path) is not None


@functools.lru_cache(maxsize=_REMEMBERED)
def members(storage: Storage, path: str) -> tuple[Member, ...]:
    """The batches of a sealed file.

    Args:
        storage: The table's place.
        path: The file, relative to it.

    Raises:
        StorageError: It cannot be read, or holds another list than its directory names.
    """
    import pyarrow.parquet as pq

    asked = f"read which batches {path} of {storage.uri} holds"
    with storage.reaching(asked):
        found = pq.read_metadata(f"{storage.root}/{path}", filesystem=storage.arrow())
    text = (found.metadata or {}).get(_KEY, b"").decode()
    named = _SEALED.search(path)
    if named is None or digest(text) != named[1]:
        raise StorageError(
            asked,
            "its footer lists other batches than its directory names: something else rewrote it",
            "restore the file, or the table's version before it was replaced",
        )
    return tuple(Member(*one) for one in json.loads(text))
