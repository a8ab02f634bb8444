"""What a table holds and which of its versions are kept: read, so that a plan can be made."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lakehouse import sealed
from lakehouse import snapshot as snapshots
from lakehouse.errors import StorageError
from lakehouse.maintenance.files import Stored, listed
from lakehouse.maintenance.log import Log, named
from lakehouse.maintenance.pins import Pin
from lakehouse.maintenance.place import Place
from lakehouse.maintenance.plan import Seen
from lakehouse.snapshot import BuildId, Snapshot

__all__ = ["look"]


@dataclass(frozen=True)
class _Kept:
    """Which versions of one place stay readable, and every file that they read."""

    place: Place
    stored: tuple[Stored, ...]
    log: Log
    snapshot: Snapshot
    oldest: int
    paths: frozenset[str]
    committed: frozenset[str]
    held: Mapping[int, tuple[str, ...]]
    warnings: tuple[str, ...]


def look(group: Sequence[Place], pins: Iterable[Pin], now: dt.datetime) -> tuple[Seen, ...]:
    """Read a table with its quarantine; places that do not exist are left out.

    Args:
        group: The table first.
        pins: Versions that somebody holds.
        now: The time from which the history is counted.

    Raises:
        StorageError: The store does not answer, or a version that is to be kept is damaged.
    """
    held = tuple(pins)
    found = [kept for place in group if (kept := _kept(place, held, now)) is not None]
    # An engine may stage both in one place: what either reads, both keep.
    paths = frozenset[str]().union(*(one.paths for one in found))
    committed = frozenset[str]().union(*(one.committed for one in found))
    table = next((one for one in found if one.place.kind == "table"), None)
    builds = _builds(table) if table else frozenset()
    return tuple(
        Seen(
            place=one.place,
            snapshot=one.snapshot,
            log=one.log,
            stored=one.stored,
            oldest=one.oldest,
            kept=paths,
            committed=committed,
            builds=builds,
            held=one.held,
            warnings=one.warnings,
        )
        for one in found
    )


def _builds(table: _Kept) -> frozenset[BuildId | None]:
    """What the files that a kept version reads were built from."""
    place = table.place
    # One that is not there any more keeps no row, wherever it is named.
    there = [f.path for f in table.stored if place.absolute(f.path) in table.paths]
    members = (m for p in there if sealed.seals(p) for m in sealed.members(place.storage, p))
    return frozenset(map(snapshots.build_of, table.paths)).union(
        BuildId.parse(member.build) for member in members
    )


def _kept(place: Place, pins: Sequence[Pin], now: dt.datetime) -> _Kept | None:
    # The files first: what is committed after that is seen in the log.
    stored = listed(place.storage)
    log = Log.of(stored)
    snapshot = snapshots.read(place.storage, place.name)
    if not snapshot.exists:
        return None
    since = now - place.retention.kept_for
    _check_whole(place, log, since)
    first = min(log.current_at(since), snapshot.version)
    at_first = _certain(place, first)
    _check_listed(place, stored, at_first, snapshot)
    holders = _holders(
        place, [pin for pin in pins if pin.since is None or pin.since >= since], first
    )
    found = {v: one for v in holders if v >= log.earliest and (one := _read(place, v)) is not None}
    lost = [(v, names[0]) for v, names in holders.items() if v not in found]
    newer = [entry for version, entry in log.commits.items() if version > first]
    older = [entry for version, entry in log.commits.items() if version <= first]
    live = {file.path for one in (at_first, snapshot, *found.values()) for file in one.files}
    # What a later commit removed was live at the first version, or added since.
    paths = frozenset(map(place.absolute, live | named(place.storage, newer)))
    return _Kept(
        place,
        stored,
        log,
        snapshot,
        min([first, *found]),
        paths,
        paths.union(map(place.absolute, named(place.storage, older))),
        {version: tuple(holders[version]) for version in found},
        tuple(f"{place.name}: version {v}, held by {by}, is gone already" for v, by in lost),
    )


def _holders(place: Place, pins: Iterable[Pin], before: int) -> Mapping[int, Sequence[str]]:
    """Version older than the history → who holds it."""
    found: dict[int, list[str]] = {}
    for pin in pins:
        if pin.table == place.name and pin.version < before:
            found.setdefault(pin.version, []).append(pin.holder)
    return dict(sorted(found.items()))


def _check_whole(place: Place, log: Log, since: dt.datetime) -> None:
    """Cleaned entries are old: a gap among young ones hides versions that must be kept."""
    hidden = [v for v, file in log.commits.items() if v < log.earliest and file.modified > since]
    if hidden:
        raise StorageError(
            f"read the log of {place.name}",
            f"entries are missing above version {hidden[0]}, which is not old",
            "nothing was removed; run 'lake maintain' again, or restore the entries",
        )


def _check_listed(
    place: Place, stored: Sequence[Stored], current: Snapshot, newest: Snapshot
) -> None:
    """A live file that is not listed is lost, or has another name there: nothing is sure then."""
    there = {place.absolute(file.path) for file in stored}
    live = {f.path for f in current.files} & {f.path for f in newest.files}
    below = (place.absolute(path) for path in sorted(live))
    root = place.absolute("")
    lost = [path for path in below if path not in there and path.startswith(f"{root}/")]
    if lost:
        raise StorageError(
            f"list the files of {place.name}",
            f"{len(lost)} live files are not there, for example {lost[0]}",
            f"nothing was removed; if they are lost, 'lake build {place.name} --force' makes them "
            "again",
        )


def _certain(place: Place, version: int) -> Snapshot:
    found = _read(place, version)
    if found is None:
        raise StorageError(
            f"read {place.name} at version {version}",
            "the log has entries of that time, and cannot be read at it",
            "nothing was removed; see 'lake show' and restore the missing log entries",
        )
    return found


def _read(place: Place, version: int) -> Snapshot | None:
    """The paths of one version; None when the log does not reach so far back."""
    found = snapshots.listed(place.storage, place.name, version)
    return found if found.version == version else None
