"""A Delta log as files: its entries, its checkpoints, the data files that commits name."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from lakehouse.maintenance.files import Stored
from lakehouse.storage import Storage

__all__ = ["Log", "named"]

_ENTRY = re.compile(
    r"^_delta_log/(\d{20})\.(json|crc|checkpoint(?:\.(\d{10})\.(\d{10}))?\.parquet)$"
)


@dataclass(frozen=True)
class Log:
    """The files of a log that name a version.

    Attributes:
        files: Each with its version.
    """

    files: tuple[tuple[int, Stored], ...]

    @classmethod
    def of(cls, listed: Iterable[Stored]) -> Log:
        """The log among the listed files of a table."""
        found = ((_ENTRY.match(file.path), file) for file in listed)
        return cls(tuple(sorted(((int(m[1]), f) for m, f in found if m), key=lambda e: e[0])))

    @functools.cached_property
    def commits(self) -> Mapping[int, Stored]:
        """Version → its entry, in order."""
        return {version: f for version, f in self.files if f.path.endswith(".json")}

    @functools.cached_property
    def checkpoints(self) -> tuple[int, ...]:
        """Versions with a whole checkpoint, in order."""
        parts: dict[int, set[tuple[int, int]]] = {}
        for version, file in self.files:
            match = _ENTRY.match(file.path)
            if match and match[2].startswith("checkpoint"):
                part = (int(match[3] or 1), int(match[4] or 1))
                parts.setdefault(version, set()).add(part)
        return tuple(v for v, have in sorted(parts.items()) if len(have) >= max(n for _, n in have))

    @functools.cached_property
    def latest(self) -> int:
        """The newest version; -1 for no table."""
        return max(self.commits, default=-1)

    @functools.cached_property
    def earliest(self) -> int:
        """The oldest version from which every newer one can be read."""
        first = self.latest
        while first - 1 in self.commits:
            first -= 1
        if first <= 0:
            return max(first, 0)
        # The entry of the checkpoint's own version is not needed.
        return next((v for v in self.checkpoints if v >= first - 1), self.latest)

    def current_at(self, moment: dt.datetime) -> int:
        """The version that was the newest at a moment, or the earliest that there is."""
        later = [v for v, file in self.commits.items() if file.modified > moment]
        return max(min(later, default=self.latest + 1) - 1, self.earliest)

    def expired(self, oldest: int) -> tuple[Stored, ...]:
        """The files that no version from ``oldest`` on needs, in the order of their removal."""
        base = max((v for v in self.checkpoints if v <= oldest), default=0)
        return tuple(file for version, file in self.files if version < base)


def named(storage: Storage, commits: Iterable[Stored]) -> frozenset[str]:
    """Every data file that some commits added or removed, as it stands on disk.

    Raises:
        StorageError: The store does not answer.
    """
    filesystem = storage.arrow()

    def of(entry: Stored) -> list[str]:
        with filesystem.open_input_file(f"{storage.root}/{entry.path}") as stream:
            # Not splitlines: it also cuts at characters that stand in values.
            lines = stream.read().decode().split("\n")
            actions = [json.loads(line) for line in lines if line.strip()]
            # The log holds percent-encoded paths.
            return [unquote(a[k]["path"]) for a in actions for k in ("add", "remove") if k in a]

    with (
        storage.reaching(f"read the log of {storage.uri}"),
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):
        return frozenset(path for paths in pool.map(of, commits) for path in paths)
