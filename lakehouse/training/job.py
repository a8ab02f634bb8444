"""Train one declared model of a lake: pin, read, fit, judge, register, record."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from zoneinfo import ZoneInfo

from lakehouse import features, ledger, promotion
from lakehouse.build import Lake
from lakehouse.catalog import Domain
from lakehouse.errors import LakehouseError, ModelError, cause
from lakehouse.features import Window
from lakehouse.ledger import Ledger
from lakehouse.registry import (
    Alias,
    ModelVersion,
    Registry,
    registry_of,
)
from lakehouse.training import tracking
from lakehouse.training.attempt import Attempt
from lakehouse.training.declaration import ModelDeclaration, load
from lakehouse.training.gates import GateResult
from lakehouse.training.process import Died, Order, run
from lakehouse.training.train import TrainingResult, judge_again, train

__all__ = ["Order", "Trained", "dump", "find", "registry_of", "train_here", "train_model"]


@dataclass(frozen=True)
class Trained:
    """What became of a request to train.

    Attributes:
        model: Its name.
        result: The new version, or the one that was judged again; None when nothing had changed.
        existing: The version that was trained from just this.
    """

    model: str
    result: TrainingResult | None
    existing: ModelVersion | None

    def to_json(self) -> dict[str, Any]:
        """The one JSON document that ``lake train --json`` prints."""
        document: dict[str, Any] = {"schema": 1, "model": self.model}
        if self.result is None:
            assert self.existing is not None
            return {**document, "trained": False, "version": self.existing.version}
        return {
            **document,
            "trained": self.result.trained,
            "judged_again": not self.result.trained,
            "version": self.result.version,
            "alias": self.result.alias,
            "run": self.result.run_id,
            "attempt": self.result.attempt,
            "windows": {span: list(days) for span, days in self.result.windows.items()},
            "metrics": dict(self.result.candidate.metrics),
            "intervals": {k: list(v) for k, v in self.result.candidate.intervals.items()},
            "baselines": {b.model: dict(b.metrics) for b in self.result.baselines},
            "gates": [asdict(gate) for gate in self.result.gates],
        }


def find(lake: Lake, name: str, domain: str | None = None) -> tuple[Domain, ModelDeclaration]:
    """A declared model by its name.

    Raises:
        ModelError: No domain declares it, or two do; or its declaration is wrong.
    """
    owner, file = lake.model(name, domain)
    return owner, load(file)


def train_model(
    lake: Lake,
    name: str,
    *,
    domain: str | None = None,
    force: bool = False,
    pinned: Mapping[str, int] | None = None,
    decision: str = "",
    now: dt.datetime | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Trained:
    """Train a model in a process of its own, which ends with this one.

    Args:
        lake: The lake.
        name: The model.
        domain: Its domain, where it is known.
        force: Train though a version made from the same rows and definition exists.
        pinned: Table → the version to learn from, by full names; the newest of others.
        decision: The decision to train, for the records.
        now: The time of the move and of waivers; the clock's when not given.
        progress: Told each step.

    Raises:
        ModelError: It is not declared, has no rows to learn from, an estimator failed, or its
            process died or took longer than the declaration allows.
        UntrustedModelError: The estimator holds types which would not be loaded again.
    """
    owner, model = find(lake, name, domain)
    order = Order(name, owner.name, force, dict(pinned or {}), decision, now)
    started = ledger.now()
    try:
        body = run(lake.settings, order, model.retrain.timeout, progress)
    except ModelError as error:
        # The process that failed has recorded it; one that died could not.
        if isinstance(error, Died):
            _record_failure(lake, owner, order, started, error)
        raise
    found: Trained = _adapter().validate_json(body)
    return found


def train_here(
    lake: Lake, order: Order, progress: Callable[[str], None] = lambda step: None
) -> Trained:
    """Train a model in this process, unless a version of the same rows and definition exists.

    A version that exists is judged again when what judges it has changed. On one machine it is
    waited for who trains the model already: what he makes exists then.

    Raises:
        ModelError, UntrustedModelError: As :func:`train_model`.
    """
    owner, model = find(lake, order.model, order.domain)
    with lake.alone(f"training-{model.name}"):
        return _train_alone(lake, owner, model, order, progress)


def _train_alone(
    lake: Lake,
    owner: Domain,
    model: ModelDeclaration,
    order: Order,
    progress: Callable[[str], None],
) -> Trained:
    started = ledger.now()
    try:
        pinned = features.window(lake, owner, model, order.pinned)
        task = _Task(lake, owner, model, order, pinned, registry_of(lake.settings), progress)
        existing = task.registry.find_by_fingerprint(model.name, pinned.fingerprint)
        if existing is None or order.force:
            result = task.train()
        elif tracking.judged_by(task.registry.tracking_uri, existing.run_id) != model.judging_id:
            result = task.judge(existing)
        else:
            return Trained(model.name, None, existing)
    except Exception as error:
        _record_failure(lake, owner, order, started, error)
        raise
    task.record(result, started)
    return Trained(model.name, result, existing)


@dataclass(frozen=True)
class _Task:
    """One training of one model of a lake."""

    lake: Lake
    owner: Domain
    model: ModelDeclaration
    order: Order
    pinned: Window
    registry: Registry
    progress: Callable[[str], None]

    def train(self) -> TrainingResult:
        uri = self.registry.tracking_uri
        state = self.lake.settings.state.resolve()
        versions = self.registry.versions(self.model.name)
        return train(
            self.model,
            self._rows(versions),
            self.pinned.datasets(self.lake),
            tracking_uri=uri,
            artifacts=state / "mlartifacts" if uri.startswith("sqlite:") else None,
            key=self.registry.key,
            fingerprint=self.pinned.fingerprint,
            timezone=features.timezone_of(self.pinned.table),
            attempt=self._attempt(versions),
            move=self._move,
            progress=self.progress,
        )

    def judge(self, existing: ModelVersion) -> TrainingResult:
        self.progress(f"the gates have changed: judge version {existing.version} again")
        versions = self.registry.versions(self.model.name)
        attempt = self._attempt(versions)
        if existing.record is not None:
            attempt = dataclasses.replace(attempt, number=existing.record.attempt)
        return judge_again(
            self.model,
            existing,
            self._rows(versions),
            self.pinned.datasets(self.lake),
            tracking_uri=self.registry.tracking_uri,
            key=self.registry.key,
            timezone=features.timezone_of(self.pinned.table),
            attempt=attempt,
            move=self._move,
            progress=self.progress,
        )

    def _rows(self, versions: Sequence[ModelVersion]) -> Any:
        for one in self.pinned.tables:
            self.progress(f"read {one.table.name} version {one.snapshot.version}")
        champion = next((v for v in versions if "champion" in v.aliases and v.record), None)
        also = champion.record.features if champion and champion.record else ()
        return features.read(self.lake, self.pinned, self.model, also)

    def _attempt(self, versions: Sequence[ModelVersion]) -> Attempt:
        assert self.pinned.windows is not None
        timezone = features.timezone_of(self.pinned.table)
        end = self.pinned.windows.intervals(timezone)[1].end
        return Attempt(
            windows=self.pinned.windows,
            watermark=self.pinned.watermark,
            domain=self.owner.name,
            decision=self.order.decision,
            number=promotion.attempts(versions, end) + 1,
            decided=self._decided(versions, timezone),
            today=(self.order.now or ledger.now()).date(),
        )

    def _decided(
        self, versions: Sequence[ModelVersion], timezone: str
    ) -> tuple[dt.date, int] | None:
        """The latest evaluation window that decided a promotion, and of which version."""
        book = Ledger(self.lake.storage)
        rows = promotion.history(book, self.owner.name, self.model.name, versions)
        by_gates = [r for r in rows if (r.alias, r.kind) == ("champion", "gates")]
        ends = [(r.window_end, r.version) for r in by_gates if r.window_end is not None]
        if not ends:
            return None
        end, version = max(ends)
        return end.astimezone(ZoneInfo(timezone)).date(), version

    def _move(self, version: int, alias: Alias, gates: Sequence[GateResult]) -> None:
        held = [g.name for g in gates if g.blocks]
        waived = [g.name for g in gates if g.verdict == "waived"]
        told = f"held by {', '.join(held)}" if held else "no gate blocks"
        promotion.move(
            self.lake,
            self.registry,
            self.owner.name,
            self.registry.version(self.model.name, version),
            alias=alias,
            kind="gates",
            because=f"{told}; waived: {', '.join(waived)}" if waived else told,
            by="gates",
            gates={g.name: f"{g.verdict}: {g.because}" for g in gates},
            decision=self.order.decision,
            now=self.order.now,
        )

    def record(self, result: TrainingResult, started: dt.datetime) -> None:
        """Write it into the ledger."""
        told = {
            "version": result.version,
            "alias": result.alias,
            "mlflow_run": result.run_id,
            "reads": dict(self.pinned.versions),
            "fingerprint": self.pinned.fingerprint,
            "definition": self.model.definition_id,
            "definitions": {one.table.name: one.table.definition for one in self.pinned.tables},
            "judging": self.model.judging_id,
            "windows": {span: list(days) for span, days in result.windows.items()},
            "attempt": result.attempt,
        }
        verdict = "done" if result.alias == "champion" else "blocked"
        kind = "train" if result.trained else "judge"
        _record(self.lake, self.owner, self.order, started, kind, told, verdict)


def _record_failure(
    lake: Lake, owner: Domain, order: Order, started: dt.datetime, error: Exception
) -> None:
    if isinstance(error, LakehouseError):
        told = " ".join(f"{error.asked}: {error.found}".split())
    else:
        told = cause(error)
    # Where a store failed the run cannot be recorded either: the first failure is the news.
    with contextlib.suppress(LakehouseError):
        _record(lake, owner, order, started, "train", {}, "failed", told)


def _record(
    lake: Lake,
    owner: Domain,
    order: Order,
    started: dt.datetime,
    kind: str,
    told: Mapping[str, object],
    result: str,
    error: str = "",
) -> None:
    asked = {"model": order.model, "decision": order.decision, "force": order.force}
    run = ledger.finish(
        ledger.new_run(),
        kind,
        owner.name,
        started,
        engine="scikit-learn",
        parameters={**asked, **told},
        result=result,
        error=error,
        folder=owner.path,
    )
    Ledger(lake.storage).record(run)


def _adapter() -> Any:
    from pydantic import ConfigDict, TypeAdapter, with_config

    # A slice may have measured NaN.
    return TypeAdapter(with_config(ConfigDict(ser_json_inf_nan="constants"))(Trained))


def dump(done: Trained) -> bytes:
    """What a process of its own answers."""
    body: bytes = _adapter().dump_json(done)
    return body
