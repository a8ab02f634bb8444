"""Which models are not made from what is declared and published now, and why.

What a model was trained from is told from the ledger, so that nothing but tables is read: it is
an explanation. Whether a version of the same rows and definition exists is asked of the registry
when a training begins.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakehouse import features
from lakehouse.catalog import Domain
from lakehouse.errors import LakehouseError
from lakehouse.features import Window
from lakehouse.lake import Lake
from lakehouse.ledger import Ledger
from lakehouse.planning import Reason
from lakehouse.training.declaration import ModelDeclaration, load

__all__ = ["ModelAction", "ModelTarget", "plan"]


class ModelAction(enum.StrEnum):
    """What a training would do with a model."""

    train = "train"
    judge = "judge"
    wait = "wait"


@dataclass(frozen=True)
class ModelTarget:
    """One model that is not as it should be.

    Attributes:
        model: ``flights.late_arrival``.
        action: Train it, judge its last version again, or wait for rows.
        reasons: Why, most telling first.
        reads: Table → the version that would be read.
        windows: ``train`` and ``test``: first day and the day after the last, ISO dates.
        certain: False when tables that it reads are still to be built.
    """

    model: str
    action: ModelAction
    reasons: tuple[Reason, ...]
    reads: Mapping[str, int] = field(default_factory=dict)
    windows: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    certain: bool = True


def plan(lake: Lake, domain: Domain, pending: Collection[str] = ()) -> tuple[ModelTarget, ...]:
    """The models of a domain that a training would change.

    A model's retraining is decided by the arbiter: that a model stands here says what would be
    new, not that it must be trained at once.

    Args:
        lake: The lake.
        domain: The domain.
        pending: Short names of the tables that are still to be built.
    """
    files = domain.model_files()
    runs = _runs(lake, domain) if files else []
    found = (_target(lake, domain, file, runs, pending) for file in files)
    return tuple(target for target in found if target is not None)


def _runs(lake: Lake, domain: Domain) -> list[Mapping[str, Any]]:
    """What trainings and judgements have left in the ledger, the oldest first."""
    columns = ["kind", "domain", "parameters", "started", "result"]
    rows = sorted(Ledger(lake.storage).rows("runs", columns), key=lambda row: row["started"])
    return [
        json.loads(row["parameters"])
        for row in rows
        if row["domain"] == domain.name
        and row["kind"] in ("train", "judge")
        and row["result"] in ("done", "blocked")
    ]


def _target(
    lake: Lake,
    domain: Domain,
    file: Path,
    runs: Sequence[Mapping[str, Any]],
    pending: Collection[str],
) -> ModelTarget | None:
    name = f"{domain.name}.{file.stem}"
    try:
        model = load(file)
        window = features.window(lake, domain, model)
    except LakehouseError as error:
        waits = Reason("waits", None, f"{error.asked}: {error.found}")
        return ModelTarget(name, ModelAction.wait, (waits,), certain=False)
    mine = [run for run in runs if run.get("model") == model.name and run.get("fingerprint")]
    unbuilt = [one.table.short for one in window.tables if one.table.short in pending]
    same = [run for run in mine if run["fingerprint"] == window.fingerprint]
    if same and not unbuilt:
        if same[-1].get("judging") == model.judging_id:
            return None
        action, reasons = ModelAction.judge, [Reason("gates changed")]
    else:
        action, reasons = ModelAction.train, _reasons(model, window, mine)
    reasons += [Reason("upstream rebuilt", short) for short in unbuilt]
    assert window.windows is not None
    spans = {"train": window.windows.train, "test": window.windows.test}
    return ModelTarget(
        name,
        action,
        tuple(reasons),
        window.versions,
        {key: (str(first), str(after)) for key, (first, after) in spans.items()},
        # When the rows turn out the same, there is nothing to train.
        certain=not (same and unbuilt),
    )


def _reasons(
    model: ModelDeclaration, window: Window, runs: Sequence[Mapping[str, Any]]
) -> list[Reason]:
    if not runs:
        return [Reason("missing")]
    last = runs[-1]
    if last["fingerprint"] == window.fingerprint:
        return []
    found = []
    if last.get("definition") != model.definition_id:
        found.append(Reason("definition changed"))
    before = last.get("definitions", {})
    found += [
        Reason("SQL changed", one.table.short)
        for one in window.tables
        if before.get(one.table.name) != one.table.definition
    ]
    if found:
        return found
    read = last.get("reads", {})
    moved = [t.table.short for t in window.tables if read.get(t.table.name) != t.snapshot.version]
    assert window.windows is not None
    detail = f"judged on days until {window.windows.test[1]}"
    found = [Reason("new data", short, detail) for short in moved]
    return found or [Reason("new data", detail=detail)]
