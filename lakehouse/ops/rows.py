"""What a row of each ``ops`` table is: its columns with their types and meanings."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = [
    "ROWS",
    "AuditRow",
    "BuildRow",
    "DecisionRow",
    "DriftRow",
    "MonitorRow",
    "PerformanceRow",
    "PredictionRow",
    "PromotionRow",
    "RunRow",
]


@dataclass(frozen=True)
class RunRow:
    """One run.

    Attributes:
        run: The id, which sorts by time.
        kind: What ran: ``build``, ``train``, ``judge``, ``retrain``, ``score``, ``monitor``,
            ``maintain``.
        domain: The domain's name.
        started: UTC.
        ended: UTC.
        seconds: Wall time.
        executor: Host and process id.
        engine: The engines used, comma-separated.
        parameters: JSON.
        version: The library's.
        code: Commit of the domain's folder; ``+`` when it was edited since.
        result: ``done``, ``blocked`` or ``failed``.
        error: The first failure.
        flow_run: Prefect's id of the flow run; empty without one.
    """

    run: str
    kind: str
    domain: str
    started: dt.datetime
    ended: dt.datetime
    seconds: float
    executor: str
    engine: str
    parameters: str
    version: str
    code: str
    result: str
    error: str
    flow_run: str


@dataclass(frozen=True)
class BuildRow:
    """One target in one run.

    Attributes:
        run: The run's id.
        table: Full name.
        key: The target's name inside its table: partition, or landing batch for bronze.
        label: Bronze: the batch as a person reads it.
        build: Full build ids written, comma-separated.
        wanted: ``<sql>-<contract>-<inputs>``.
        reasons: JSON: why it was built.
        inputs: JSON: input → partition → what was hashed.
        reads: JSON: input → the version that was read.
        version: The table's version after it; -1 when nothing was published.
        rows_in: Rows that went in.
        published: Rows in the table.
        quarantined: Rows in its quarantine.
        superseded: Rows that a later one of the same key replaces.
        samples: JSON: some of them, as [source file, row].
        bytes: Of the published files.
        files: Published files.
        result: ``published``, ``blocked``, or ``superseded`` by another build.
        rule: The rule that blocked it.
        gates: Id of what could block it: when that changes, it is tried again.
        engine: The engine that staged it.
        started: UTC.
        seconds: Time to stage it.
    """

    run: str
    table: str
    key: str
    label: str
    build: str
    wanted: str
    reasons: str
    inputs: str
    reads: str
    version: int
    rows_in: int
    published: int
    quarantined: int
    superseded: int
    samples: str
    bytes: int
    files: int
    result: str
    rule: str
    gates: str
    engine: str
    started: dt.datetime
    seconds: float


@dataclass(frozen=True)
class AuditRow:
    """One rule at one target in one run.

    Attributes:
        run: The run's id.
        table: Full name.
        key: The target.
        wanted: ``<sql>-<contract>-<inputs>`` of the target.
        rule: The rule's id.
        expectation: Its Great Expectations name.
        kwargs: JSON: its arguments.
        mostly: The share of rows that must hold it.
        result: ``passed``, ``failed``, ``waived`` or ``not evaluated``.
        detail: Why, in words.
        rows: Rows looked at.
        unexpected: Rows that violate it.
        missing: Rows with NULL in its column.
        value: What a table rule observed.
        blocks: Whether it kept the target from being published.
    """

    run: str
    table: str
    key: str
    wanted: str
    rule: str
    expectation: str
    kwargs: str
    mostly: float
    result: str
    detail: str
    rows: int
    unexpected: int
    missing: int
    value: float | None
    blocks: bool


@dataclass(frozen=True)
class PredictionRow:
    """One prediction for one entity by one version of a model; written once, never rewritten.

    Attributes:
        prediction: Its id: a digest of domain, model, version and entity.
        domain: The domain's name.
        model: The model's name.
        version: The registered version that predicted.
        alias: What that version was when it predicted: ``champion`` or ``challenger``.
        entity: The entity key: a JSON list of its values as text.
        event_time: The instant that is predicted about.
        partition: The partition of the feature table that held the entity.
        feature_build: Build id of the feature row's file.
        feature_definition: Definition id of the feature table.
        feature_version: Delta version of the feature table.
        probability: Of class 1.
        scored: When, UTC.
        run: The run that scored it.
    """

    prediction: str
    domain: str
    model: str
    version: int
    alias: str
    entity: str
    event_time: dt.datetime
    partition: str
    feature_build: str
    feature_definition: str
    feature_version: int
    probability: float
    scored: dt.datetime
    run: str


@dataclass(frozen=True)
class MonitorRow:
    """One verdict of one monitor about one window of a model's data.

    Attributes:
        run: The run that looked.
        domain: The domain's name.
        model: The model's name.
        version: The registered version that was watched.
        monitor: ``drift``, ``performance``, ``freshness``, ``volume`` or ``missing``.
        window_start: First instant of the window of event time, UTC.
        window_end: The instant after it.
        rows: Rows looked at.
        value: What was observed; NULL where it could not be.
        limit: What it was held against.
        verdict: ``ok``, ``alarm`` or ``not evaluated``.
        because: The reason, in a sentence with its numbers.
        read_version: Delta version of the feature table that was read.
        looked: When it was found so first, UTC: later runs that find the same keep it.
        seen: Digest of all that the verdict depends on; empty where it is the clock. What was
            seen already is not looked at again.
    """

    run: str
    domain: str
    model: str
    version: int
    monitor: str
    window_start: dt.datetime
    window_end: dt.datetime
    rows: int
    value: float | None
    limit: float | None
    verdict: str
    because: str
    read_version: int
    looked: dt.datetime
    seen: str


@dataclass(frozen=True)
class DriftRow:
    """One feature in one window, against the rows that the model was trained on.

    Attributes:
        run: The run that looked.
        domain: The domain's name.
        model: The model's name.
        version: The registered version whose reference was compared with.
        window_start: First instant of the window of event time, UTC.
        window_end: The instant after it.
        feature: The column.
        rows: Rows of the window.
        missing: Share of them that are NULL.
        effect: The effect size of the difference of the distributions.
        p_value: Corrected for the number of features; NULL when not tested.
        importance: The feature's share in the model's importance, from 0 to 1.
        drifted: Whether it counts as drifted.
    """

    run: str
    domain: str
    model: str
    version: int
    window_start: dt.datetime
    window_end: dt.datetime
    feature: str
    rows: int
    missing: float
    effect: float
    p_value: float | None
    importance: float
    drifted: bool


@dataclass(frozen=True)
class PerformanceRow:
    """One metric of one version in one window and slice, by predictions that were stored.

    Attributes:
        run: The run that looked.
        domain: The domain's name.
        model: The model's name.
        version: The registered version that predicted.
        window_start: First instant of the window of event time, UTC.
        window_end: The instant after it.
        slice: ``column=value``; empty for all rows.
        metric: Its name.
        value: NULL where it is not defined.
        low: Lower end of its 95 % interval.
        high: Upper end.
        rows: Predictions that were measured.
        estimated: True when labels are not ripe yet and the value is expected from the
            probabilities themselves.
        reference: What the version reached when it was judged; NULL when it was not.
    """

    run: str
    domain: str
    model: str
    version: int
    window_start: dt.datetime
    window_end: dt.datetime
    slice: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    rows: int
    estimated: bool
    reference: float | None


@dataclass(frozen=True)
class DecisionRow:
    """One decision about retraining a model, also when it is no.

    Attributes:
        decision: The id, which sorts by time.
        domain: The domain's name.
        model: The model's name.
        triggers: JSON: what asked, each with its kind and detail.
        decided: When, UTC.
        as_of: The watermark of the data that was decided on, UTC.
        verdict: ``train`` or ``no``.
        reasons: JSON: each with its code and a sentence.
        facts: JSON: all that was seen.
        pinned: JSON: table → the version to train from; empty for no.
        attempt: Which attempt at the same data this is, from 1; 0 for no.
        flow_run: Prefect's id of the flow run; empty without one.
    """

    decision: str
    domain: str
    model: str
    triggers: str
    decided: dt.datetime
    as_of: dt.datetime
    verdict: str
    reasons: str
    facts: str
    pinned: str
    attempt: int
    flow_run: str


@dataclass(frozen=True)
class PromotionRow:
    """One move of an alias of a model.

    Attributes:
        promotion: The id, which sorts by time.
        domain: The domain's name.
        model: The model's name.
        version: The version that got the alias.
        before: The version that had it; 0 for none.
        alias: ``champion`` or ``challenger``.
        kind: ``gates``, ``promote`` or ``rollback``.
        because: The reason.
        by: Who: a person's word for himself, or ``gates``.
        decision: The decision to train that led to it; empty without one.
        window_start: First day of the evaluation window, UTC; NULL without one.
        window_end: The day after its last.
        gates: JSON: gate → verdict and reason.
        moved: When, UTC.
    """

    promotion: str
    domain: str
    model: str
    version: int
    before: int
    alias: str
    kind: str
    because: str
    by: str
    decision: str
    window_start: dt.datetime | None
    window_end: dt.datetime | None
    gates: str
    moved: dt.datetime


#: The ops tables and their rows.
ROWS: Mapping[str, type[DataclassInstance]] = {
    "runs": RunRow,
    "builds": BuildRow,
    "audits": AuditRow,
    "predictions": PredictionRow,
    "monitors": MonitorRow,
    "drift": DriftRow,
    "performance": PerformanceRow,
    "decisions": DecisionRow,
    "promotions": PromotionRow,
}
