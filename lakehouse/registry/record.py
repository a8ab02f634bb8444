"""What is written, and signed, beside a registered version; and how it is read again."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from lakehouse.modelfile import NAMES
from lakehouse.ops import PromotionRow

__all__ = [
    "ModelRecord",
    "ModelVersion",
    "bare_move",
    "move_of",
    "move_text",
    "record_of",
    "record_text",
]


@dataclass(frozen=True)
class ModelRecord:
    """What is written, and signed, beside a registered version.

    Attributes:
        fingerprint: What it was trained from: its definition and its inputs' content.
        definition_id: The declaration's.
        feature_definition_id: That of the feature table: a model scores no other.
        features: The columns, in the estimator's order.
        inputs: Delta version of each table that was read.
        metrics: Of the candidate on the test rows.
        gates: Verdict of each gate.
        windows: ``train`` and ``test``: first day and the day after the last, ISO dates.
        timezone: Whose midnights begin them.
        watermark: The newest event that was seen, ISO, UTC; empty when not known.
        reference: Path of the monitoring reference among the run's artifacts; empty for none.
        reference_sha256: Of that file.
        importance: The share of each feature in the model's importance.
        domain: The domain that declares it.
        decision: The decision to train that led to it; empty without one.
        trained_rows: Labelled rows it learned from.
        attempt: Which training with this evaluation window it was, from 1.
        file: The name of the stored model's file.
    """

    fingerprint: str
    definition_id: str
    feature_definition_id: str
    features: tuple[str, ...]
    inputs: Mapping[str, int]
    metrics: Mapping[str, float] = field(default_factory=dict)
    gates: Mapping[str, str] = field(default_factory=dict)
    windows: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    timezone: str = "UTC"
    watermark: str = ""
    reference: str = ""
    reference_sha256: str = ""
    importance: Mapping[str, float] = field(default_factory=dict)
    domain: str = ""
    decision: str = ""
    trained_rows: int = 0
    attempt: int = 1
    file: str = NAMES[0]


@dataclass(frozen=True)
class ModelVersion:
    """One registered version of a model.

    Attributes:
        name: The model.
        version: Its number, from 1.
        run_id: The MLflow run that trained it.
        created: When it was registered (UTC).
        aliases: ``champion``, ``challenger`` or none.
        complete: False when training was killed before it gave an alias.
        record: What was written with it; None when it was registered by others.
        promotion: How it was made champion last, signed; None when it never was, by us.
    """

    name: str
    version: int
    run_id: str
    created: dt.datetime
    aliases: tuple[str, ...]
    complete: bool
    record: ModelRecord | None
    promotion: PromotionRow | None = None


def record_text(record: ModelRecord) -> str:
    """A record as it is signed."""
    return json.dumps(vars(record), sort_keys=True)


def record_of(text: str | None) -> ModelRecord | None:
    """The record of a text; None when it is none. Keys of later versions are left out."""
    known = {one.name for one in dataclasses.fields(ModelRecord)}
    try:
        told = {key: value for key, value in json.loads(text or "").items() if key in known}
        windows = {span: (first, after) for span, (first, after) in told.get("windows", {}).items()}
        return ModelRecord(**{**told, "features": tuple(told["features"]), "windows": windows})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def move_text(row: PromotionRow) -> str:
    """Why a version is champion, as it is signed."""
    return json.dumps(dataclasses.asdict(row), default=dt.datetime.isoformat, sort_keys=True)


def move_of(text: str) -> PromotionRow:
    """The row of a text that we signed."""
    told = json.loads(text)
    for name in ("moved", "window_start", "window_end"):
        told[name] = dt.datetime.fromisoformat(told[name]) if told[name] else None
    return PromotionRow(**told)


def bare_move(name: str, version: int) -> PromotionRow:
    """A move that no ledger tells of."""
    now = dt.datetime.now(dt.UTC)
    return PromotionRow(
        promotion="",
        domain="",
        model=name,
        version=version,
        before=0,
        alias="champion",
        kind="gates",
        because="",
        by="",
        decision="",
        window_start=None,
        window_end=None,
        gates="{}",
        moved=now,
    )
