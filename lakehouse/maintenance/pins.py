"""Who holds which version: runs that the ledger knows, and models that may be used again."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lakehouse.lake import Lake
from lakehouse.ledger import Ledger
from lakehouse.registry import ModelVersion

__all__ = ["Pin", "of_ledger", "of_models", "of_versions"]

#: Former champions of a model that it may be rolled back to.
_ROLLBACKS = 3


@dataclass(frozen=True)
class Pin:
    """One version that somebody holds.

    Attributes:
        table: The table's full name.
        version: Its version.
        holder: Who, in words.
        since: When a run that holds it began; None for what holds it for good.
    """

    table: str
    version: int
    holder: str
    since: dt.datetime | None = None


def of_ledger(ledger: Ledger) -> tuple[Pin, ...]:
    """The versions that recorded runs read or wrote."""
    columns = ["run", "table", "reads", "version", "started"]
    pins: dict[Pin, None] = {}
    for row in ledger.rows("builds", columns):
        domain, holder = row["table"].split(".")[0], f"run {row['run']}"
        held = {f"{domain}.{name}": version for name, version in json.loads(row["reads"]).items()}
        for table, version in [*held.items(), (row["table"], row["version"])]:
            if version >= 0:
                pins[Pin(table, version, holder, row["started"])] = None
    for one in _trainings(ledger):
        for table, version in one.reads.items():
            pins[Pin(table, version, f"run {one.run}", one.started)] = None
    return tuple(pins)


@dataclass(frozen=True)
class _Training:
    run: str
    model: str
    reads: Mapping[str, int]
    started: dt.datetime


def _trainings(ledger: Ledger) -> Iterator[_Training]:
    for row in ledger.rows("runs", ["run", "kind", "parameters", "started"]):
        if row["kind"] == "train":
            told = json.loads(row["parameters"])
            yield _Training(
                row["run"], told.get("model", ""), told.get("reads", {}), row["started"]
            )


def of_models(lake: Lake, ledger: Ledger) -> tuple[Pin, ...]:
    """The versions that models with an alias, and those to roll back to, were trained from.

    Raises:
        ModelError: The registry does not answer: what it holds is unknown, so nothing may go.
    """
    declared = {file.stem for domain in lake.domains for file in domain.model_files()}
    names = sorted(declared | {one.model for one in _trainings(ledger)} - {""})
    if not names:
        return ()
    from lakehouse.registry import registry_of

    registry, champions = registry_of(lake.settings), _champions(ledger)
    return tuple(
        pin
        for name in names
        for pin in of_versions(registry.versions(name), champions.get(name, ()))
    )


def _champions(ledger: Ledger) -> Mapping[str, Sequence[int]]:
    """Model → the versions that the ledger knows as champions."""
    found: dict[str, list[int]] = {}
    for row in ledger.rows("promotions", ["model", "version", "alias"]):
        if row["alias"] == "champion":
            found.setdefault(row["model"], []).append(row["version"])
    return found


def of_versions(versions: Iterable[ModelVersion], champions: Collection[int] = ()) -> Iterator[Pin]:
    """What the versions of one model hold.

    One whose training has not ended yet counts: it may be given an alias. So do the last that
    were champions: by the ledger, by what is signed on them, or because they passed every gate.

    Args:
        versions: Those of one model.
        champions: Those that the ledger knows as champions.
    """
    rollbacks = 0
    for one in sorted(versions, key=lambda v: -v.version):
        if one.record is None:
            continue
        held = ", ".join(one.aliases)
        if not held and not one.complete:
            held = "not complete"
        passed = all(verdict == "passed" for verdict in one.record.gates.values())
        was = passed or one.promotion is not None or one.version in champions
        if not held and was and rollbacks < _ROLLBACKS:
            rollbacks += 1
            held = "to roll back to"
        if held:
            for table, version in one.record.inputs.items():
                yield Pin(table, version, f"model {one.name} {one.version} ({held})")
