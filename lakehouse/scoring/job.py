"""Score one declared model of a lake: pin, look what is new, predict, publish, record."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from lakehouse import ledger
from lakehouse import snapshot as snapshots
from lakehouse.catalog import Domain
from lakehouse.errors import LakehouseError, ModelError
from lakehouse.features import timezone_of
from lakehouse.lake import Lake
from lakehouse.ledger import Ledger
from lakehouse.registry import ModelVersion
from lakehouse.scoring.plan import Todo, VersionPlan, chosen, plan_version
from lakehouse.scoring.predict import Probabilities
from lakehouse.scoring.stored import TABLE, ModelKey, Stored
from lakehouse.scoring.work import Opening, Work
from lakehouse.training import job
from lakehouse.training.declaration import ModelDeclaration

__all__ = [
    "Scored",
    "ScoredVersion",
    "from_registry",
    "plan",
    "plan_versions",
    "record",
    "score",
    "score_version",
]


@dataclass(frozen=True)
class ScoredVersion:
    """What one version scored.

    Attributes:
        version: Its number.
        alias: ``champion``, ``challenger``, or empty.
        partitions: The feature partitions that were looked at.
        rows: Predictions that were added.
        known: Rows whose entity that version had predicted before; they stay as they are.
        table_version: The version of ``ops.predictions`` afterwards; -1 when nothing was
            committed.
        waiting: Partitions left out because an older definition built them.
        refused: Why nothing was scored.
        seconds: Wall time.
    """

    version: int
    alias: str
    partitions: tuple[str, ...] = ()
    rows: int = 0
    known: int = 0
    table_version: int = -1
    waiting: tuple[str, ...] = ()
    refused: LakehouseError | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Scored:
    """What became of a request to score a model.

    Attributes:
        domain: Its domain.
        model: Its name.
        run: The run's id.
        table: The feature table's full name.
        read: The Delta version of it that was read.
        versions: What each version did, the champion first.
    """

    domain: str
    model: str
    run: str
    table: str
    read: int
    versions: tuple[ScoredVersion, ...]

    @property
    def rows(self) -> int:
        """Predictions that were added."""
        return sum(one.rows for one in self.versions)

    @property
    def refused(self) -> tuple[LakehouseError, ...]:
        """Why versions did not score."""
        return tuple(one.refused for one in self.versions if one.refused is not None)

    def to_json(self) -> dict[str, Any]:
        """The one JSON document that ``lake score --json`` prints of a model."""
        return {
            "schema": 1,
            "domain": self.domain,
            "model": self.model,
            "run": self.run,
            "reads": {self.table: self.read},
            "rows": self.rows,
            "versions": [
                {
                    "version": one.version,
                    "alias": one.alias,
                    "partitions": list(one.partitions),
                    "rows": one.rows,
                    "known": one.known,
                    "table_version": one.table_version,
                    "waiting": list(one.waiting),
                    "seconds": round(one.seconds, 3),
                    "refused": one.refused.to_json() if one.refused else None,
                }
                for one in self.versions
            ],
        }


def plan(
    lake: Lake,
    model: str,
    domain: str | None = None,
    *,
    version: str | int | None = None,
    since: dt.date | None = None,
) -> Todo:
    """What there is to score of a model, by champion and challenger.

    Args:
        lake: The lake.
        model: The model's name.
        domain: The domain that declares it, where it is known.
        version: Only this version, by number or alias.
        since: Leave out feature partitions that end before this date of their time zone.

    Raises:
        ModelError: The model is not declared, or has no such version.
        StorageError: The store does not answer.
    """
    owner, declared = job.find(lake, model, domain)
    versions = chosen(job.registry_of(lake.settings), model, version)
    return plan_versions(lake, owner, declared, versions, since)


def plan_versions(
    lake: Lake,
    domain: Domain,
    model: ModelDeclaration,
    versions: Iterable[tuple[ModelVersion, str]],
    since: dt.date | None = None,
) -> Todo:
    """What there is to score for some versions, each with what it is.

    Raises:
        StorageError: The store does not answer.
    """
    table = domain.table(model.features.table)
    snapshot = snapshots.read(lake.place(table), table.name)
    stored = Stored.read(lake.storage)
    zone = ZoneInfo(timezone_of(table))
    midnight = dt.datetime.combine(since, dt.time(), zone).astimezone(dt.UTC) if since else None
    plans = [
        plan_version(
            table,
            snapshot,
            stored,
            ModelKey(domain.name, model.name, version.version),
            version,
            alias,
            model,
            midnight,
        )
        for version, alias in versions
    ]
    return Todo(domain, model, table, snapshot, tuple(plans))


def score(
    lake: Lake,
    domain: str | None,
    model: str,
    *,
    version: str | int | None = None,
    since: dt.date | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Scored:
    """Predict, by champion and challenger, every entity that they have not predicted yet.

    Rows of builds that are live when it begins; those of a version's training window are left
    out. A version that must not score is reported in the result, and the other scores.

    Args:
        lake: The lake.
        domain: The domain that declares the model, where it is known.
        model: The model's name.
        version: Only this version, by number or alias.
        since: Leave out feature partitions that end before this date of their time zone.
        progress: Told each step.

    Raises:
        ModelError: The model is not declared, or has no such version.
        CommitError: A commit failed; what was committed before stays.
        StorageError: The store does not answer.
    """
    todo = plan(lake, model, domain, version=version, since=since)
    run, started = ledger.new_run(), ledger.now()
    done: list[ScoredVersion] = []
    try:
        for one in todo.versions:
            done += [score_version(lake, todo, one, run, progress=progress)]
    except LakehouseError as error:
        with contextlib.suppress(LakehouseError):
            # Where the store failed the run cannot be recorded either: that it failed is the news.
            record(lake, todo, run, started, done, error)
        raise
    return record(lake, todo, run, started, done)


def score_version(
    lake: Lake,
    todo: Todo,
    plan: VersionPlan,
    run: str,
    *,
    opening: Opening | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> ScoredVersion:
    """Score what a plan says of one version; what it may not score is in the result.

    Args:
        lake: The lake.
        todo: The plan.
        plan: The version's part of it.
        run: The run's id.
        opening: How the version is loaded; from the registry, in a limited process.
        progress: Told each step.

    Raises:
        CommitError: A commit failed; what was committed before stays.
        StorageError: The store does not answer.
    """
    began = time.perf_counter()
    who, alias = plan.who, plan.alias
    if plan.refused is not None or not plan.turns:
        return ScoredVersion(who.version, alias, waiting=plan.waiting, refused=plan.refused)
    lake.storage.probe()
    work = Work(lake, todo, plan, run, opening or from_registry(lake), progress)
    refused: ModelError | None = None
    try:
        work.score()
    except ModelError as error:
        refused = error
    return ScoredVersion(
        who.version,
        alias,
        tuple(work.looked),
        work.rows,
        work.known,
        work.table_version,
        plan.waiting,
        refused,
        time.perf_counter() - began,
    )


def from_registry(lake: Lake) -> Opening:
    """Versions from the lake's registry, each in a limited process of its own."""

    @contextlib.contextmanager
    def opening(version: ModelVersion, /) -> Iterator[Probabilities]:
        from lakehouse.loading.scorer import Scorer

        with Scorer(job.registry_of(lake.settings), version) as scorer:
            yield scorer.probabilities

    return opening


def record(
    lake: Lake,
    todo: Todo,
    run: str,
    started: dt.datetime,
    versions: Sequence[ScoredVersion],
    failure: LakehouseError | None = None,
) -> Scored:
    """Write a run into the ledger, if it did anything, and sum it up.

    Args:
        lake: The lake.
        todo: What was to be scored.
        run: The run's id.
        started: When it began.
        versions: What each version did.
        failure: What ended it before all versions had scored.

    Raises:
        CommitError: The store refused.
    """
    name, owner = todo.model.name, todo.domain
    read = todo.snapshot.version
    scored = Scored(owner.name, name, run, todo.table.name, read, tuple(versions))
    errors = [*scored.refused, *([failure] if failure else [])]
    written = [one.table_version for one in versions if one.table_version >= 0]
    if errors or written:
        told = {
            "model": name,
            "reads": {todo.table.name: read},
            "writes": {f"ops.{TABLE}": max(written)} if written else {},
            "rows": {one.version: one.rows for one in versions},
            "partitions": {one.version: len(one.partitions) for one in versions},
        }
        row = ledger.finish(
            run,
            "score",
            owner.name,
            started,
            parameters=told,
            result="failed" if errors else "done",
            error=str(errors[0]) if errors else "",
            folder=owner.path,
        )
        Ledger(lake.storage).record(row)
    return scored
