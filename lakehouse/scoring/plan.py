"""What is to be scored: which version, which builds of which feature partitions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from lakehouse.catalog import Domain, Table
from lakehouse.errors import LakehouseError, ModelError
from lakehouse.interval import Grain, span
from lakehouse.registry import ModelRecord, ModelVersion, Registry
from lakehouse.scoring.stored import ModelKey, Part, Stored
from lakehouse.snapshot import File, Snapshot
from lakehouse.strictyaml import did_you_mean
from lakehouse.training.declaration import ModelDeclaration

__all__ = ["NoVersion", "Todo", "Turn", "VersionPlan", "chosen", "plan_version"]


_NEVER = dt.datetime.max.replace(tzinfo=dt.UTC)


class NoVersion(ModelError):
    """No version is champion or challenger: before the first training that is no fault."""


@dataclass(frozen=True)
class Turn:
    """One build of one feature partition that a version has not scored.

    Attributes:
        part: Which.
        files: Its files.
    """

    part: Part
    files: tuple[File, ...]


@dataclass(frozen=True)
class VersionPlan:
    """What one version has to score.

    Attributes:
        who: Who.
        version: The registered version.
        alias: ``champion``, ``challenger``, or empty.
        features: The columns, in the estimator's order.
        after: The end of its training window, UTC: earlier events are not scored.
        turns: What is to be looked at, in the order of the partitions.
        waiting: Partitions left out because they were built by an older definition.
        refused: Why this version must not score this table.
    """

    who: ModelKey
    version: ModelVersion
    alias: str
    features: tuple[str, ...] = ()
    after: dt.datetime = _NEVER
    turns: tuple[Turn, ...] = ()
    waiting: tuple[str, ...] = ()
    refused: LakehouseError | None = None


@dataclass(frozen=True)
class Todo:
    """What is to be scored of one model.

    Attributes:
        domain: The model's domain.
        model: Its declaration.
        table: The feature table.
        snapshot: The version of it that is read.
        versions: What each version has to score, the champion first.
    """

    domain: Domain
    model: ModelDeclaration
    table: Table
    snapshot: Snapshot
    versions: tuple[VersionPlan, ...]


def chosen(
    registry: Registry, name: str, version: str | int | None = None
) -> tuple[tuple[ModelVersion, str], ...]:
    """The versions that are to score, with what they are; the champion first.

    Args:
        registry: Where they are.
        name: The model.
        version: Only this one, by number or alias.

    Raises:
        NoVersion: None has an alias.
        ModelError: There is no such version.
    """
    if version is not None:
        one = registry.version(name, version)
        return ((one, next(iter(one.aliases), "")),)
    known = registry.versions(name)
    found = [
        (v, alias) for alias in ("champion", "challenger") for v in known if alias in v.aliases
    ]
    if not found:
        there = f"{len(known)} versions, none of them champion or challenger" if known else "none"
        raise NoVersion(f"score {name}", f"registered: {there}", f"lake train {name}")
    return tuple(found)


def plan_version(
    table: Table,
    snapshot: Snapshot,
    stored: Stored,
    who: ModelKey,
    version: ModelVersion,
    alias: str,
    model: ModelDeclaration,
    since: dt.datetime | None = None,
) -> VersionPlan:
    """Decide what one version has to score; a version that must not is refused.

    Args:
        table: The feature table as it is declared.
        snapshot: The version of it that is read.
        stored: The predictions that are there.
        who: Who.
        version: The registered version.
        alias: What it is.
        model: The declaration, for the entity and its event time.
        since: Leave out partitions that end before; those without a time are looked at.
    """
    plan = VersionPlan(who, version, alias)
    try:
        record = _fitting(table, version, model)
        after = _trained_until(version, record)
        stored.require_own(who, version)
    except ModelError as error:
        return _refused(plan, error)
    known = stored.scored(who)
    turns, waiting = [], []
    for turn in _parts(table, snapshot, max(after, since or after)):
        if not _current(table, turn):
            waiting.append(turn.part.partition or "all rows")
        elif turn.part.folder not in known:
            turns.append(turn)
    return VersionPlan(who, version, alias, record.features, after, tuple(turns), tuple(waiting))


def _refused(plan: VersionPlan, error: LakehouseError) -> VersionPlan:
    return VersionPlan(plan.who, plan.version, plan.alias, refused=error)


def _fitting(table: Table, version: ModelVersion, model: ModelDeclaration) -> ModelRecord:
    """The version's record, if it may score the table.

    Raises:
        ModelError: It learnt from other features, or the columns are not there.
    """
    asked = f"score {table.name} with {version.name} version {version.version}"
    again = f"train again: lake train {version.name}"
    record = version.record
    if record is None or not version.complete:
        found = "its training has not ended" if record else "it has no record of ours"
        raise ModelError(asked, f"{found}: what it learnt from is unknown", again)
    if table.name not in record.inputs:
        found = f"it learnt from {', '.join(record.inputs)}"
        raise ModelError(asked, found, again)
    if record.feature_definition_id not in table.accepted:
        found = f"it learnt from definition {record.feature_definition_id}, "
        raise ModelError(asked, f"{found}the table is declared as {table.definition}", again)
    types = table.contract.types
    for column in (*model.features.key, model.features.event_time, *record.features):
        if column not in types:
            found = f"the table has no column {column!r}"
            raise ModelError(asked, found, did_you_mean(column, types), file=str(model.path))
    kind = types[model.features.event_time]
    if kind != "TIMESTAMPTZ":
        found = f"the event time {model.features.event_time!r} is of type {kind}"
        raise ModelError(asked, found, "publish it as TIMESTAMPTZ", file=str(model.path))
    return record


def _current(table: Table, turn: Turn) -> bool:
    return f"{turn.part.build.sql}-{turn.part.build.contract}" in table.accepted


def _trained_until(version: ModelVersion, record: ModelRecord) -> dt.datetime:
    """The instant at which the training window ended."""
    try:
        end = dt.date.fromisoformat(record.windows["train"][1])
        zone = ZoneInfo(record.timezone)
    except (KeyError, IndexError, ValueError) as error:
        raise ModelError(
            f"score with {version.name} version {version.version}",
            "its record does not say where its training window ended",
            f"train again: lake train {version.name} --force",
        ) from error
    return dt.datetime.combine(end, dt.time(), zone).astimezone(dt.UTC)


def _parts(table: Table, snapshot: Snapshot, after: dt.datetime) -> Iterator[Turn]:
    """The builds of the partitions that may hold events from an instant on."""
    for value, files in snapshot.owned().partitions.items():
        if value is not None and _ended(table, value, after):
            continue
        builds: dict[str, list[File]] = {}
        for part in (part for file in files for part in file.parts):
            builds.setdefault(str(part.build), []).append(part)
        for of_build in builds.values():
            build = of_build[0].build
            if build is not None and any(file.rows for file in of_build):
                yield Turn(Part(value, build), tuple(of_build))


def _ended(table: Table, value: str, after: dt.datetime) -> bool:
    part = table.contract.lake.partition
    if part is None or part.grain is Grain.value:
        return False
    return span(dt.date.fromisoformat(value), part.grain, part.timezone).end <= after
