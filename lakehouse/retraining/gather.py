"""Look at everything that a decision needs: table versions, labels, the registry, the ledger."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lakehouse import features, promotion, query
from lakehouse.audit import quote
from lakehouse.catalog import Domain, Table
from lakehouse.errors import ModelError
from lakehouse.features import Window
from lakehouse.lake import Lake
from lakehouse.ledger import Ledger
from lakehouse.monitoring.history import History
from lakehouse.query import Cut
from lakehouse.registry import ModelVersion, registry_of
from lakehouse.retraining import decisions
from lakehouse.retraining.decisions import Look, Seen
from lakehouse.retraining.facts import Alarm, Attempt, Champion, Facts, Trigger
from lakehouse.training.declaration import ModelDeclaration

__all__ = ["gather", "runs_of"]


def gather(
    lake: Lake,
    owner: Domain,
    model: ModelDeclaration,
    triggers: Sequence[Trigger],
    now: dt.datetime,
    *,
    seen: Seen | None = None,
    look: Look = lambda run: None,
    own: str = "",
) -> Facts:
    """What is known about a model now.

    Args:
        lake: The lake.
        owner: The model's domain.
        model: Its declaration.
        triggers: Who asked.
        now: The time that cooldown and budget are measured by.
        seen: The decisions so far; they are read when not given.
        look: Id of a flow run → what the orchestrator knows of it.
        own: The id of the flow run that asks.

    Raises:
        LakehouseError: The store or the registry cannot be read.
    """
    seen = seen or decisions.read(lake.storage, owner.name, model.name)
    versions = registry_of(lake.settings).versions(model.name)
    table = owner.table(model.features.table)
    champion = _champion(versions, table)
    tried = decisions.attempts(
        seen,
        runs_of(lake, owner.name, model.name),
        versions,
        now=now,
        timeout=model.retrain.timeout,
        look=look,
        own=own,
    )
    tried = tuple(replace(a, definition=_current(a.definition, table)) for a in tried)
    known = Facts(
        owner.name,
        model.name,
        now,
        tuple(triggers),
        champion=champion,
        attempts=tuple(a for a in tried if a.state != "running"),
        running=_running(tried),
    )
    known = _of_data(lake, owner, model, known)
    return replace(known, alarms=_alarms(lake, owner, model, known))


def _of_data(lake: Lake, owner: Domain, model: ModelDeclaration, known: Facts) -> Facts:
    table = owner.table(model.features.table)
    known = replace(known, definition=f"{model.definition_id}-{table.definition}")
    try:
        found = features.window(lake, owner, model)
    except ModelError as error:
        return replace(known, lacking=f"{error.asked}: {error.found}")
    assert found.windows is not None and found.watermark is not None
    ripe = found.watermark - model.label.matures_after
    test = found.windows.intervals(features.timezone_of(table))[1]
    rows, new = _ripe_rows(lake, owner, model, found, known.since, ripe)
    return replace(
        known,
        watermark=found.watermark,
        ripe_until=ripe,
        pinned=dict(found.versions),
        fingerprint=found.fingerprint,
        window_end=test.end,
        rows=rows,
        new_rows=new,
    )


def _ripe_rows(
    lake: Lake,
    owner: Domain,
    model: ModelDeclaration,
    found: Window,
    since: dt.datetime | None,
    until: dt.datetime,
) -> tuple[int, int]:
    """Labelled rows whose label is ripe: all of them, and those since the last judgement."""
    label = model.label
    table = owner.table(label.table or model.features.table)
    event = quote((label.event_time if label.table else None) or model.features.event_time)
    after = f"{event} >= TIMESTAMPTZ '{since.isoformat()}'" if since else "true"
    sql = (
        f"SELECT count(*) AS ripe, count(*) FILTER (WHERE {after}) AS fresh FROM {table.name} "
        f"WHERE {quote(label.column)} IS NOT NULL AND {event} <= TIMESTAMPTZ '{until.isoformat()}'"
    )
    (row,) = query.run(lake, sql, Cut(found.versions)).to_pylist()
    return int(row["ripe"]), int(row["fresh"])


def runs_of(lake: Lake, domain: str, model: str) -> list[dict[str, Any]]:
    """Rows of ``ops.runs`` about training a model, with their parameters read."""
    kinds = ("train", "judge", decisions.OUTCOME)
    rows = [r for r in Ledger(lake.storage).rows("runs") if r["kind"] in kinds]
    read = [{**r, "parameters": json.loads(r["parameters"] or "{}")} for r in rows]
    return [r for r in read if r["domain"] == domain and r["parameters"].get("model") == model]


def _current(definition: str, table: Table) -> str:
    """Definition ids of a model and its feature table; one that is accepted as the declared one."""
    of_model, _, of_table = definition.partition("-")
    return f"{of_model}-{table.definition}" if of_table in table.accepted else definition


def _champion(versions: Sequence[ModelVersion], table: Table) -> Champion | None:
    found = next((v for v in versions if "champion" in v.aliases), None)
    if found is None:
        return None
    if found.record is None:
        return Champion(found.version)
    of = found.record
    definition = _current(decisions.definition_of(of), table)
    return Champion(found.version, definition, promotion.window_of(of)[1])


def _alarms(lake: Lake, owner: Domain, model: ModelDeclaration, known: Facts) -> tuple[Alarm, ...]:
    """What the monitors say of the newest windows that they could judge; older ones are past."""
    if known.champion is None:
        return ()
    history = History.read(lake.storage, owner.name, model.name)
    judged = tuple(r for r in history.monitors if r.verdict != "not evaluated")
    history = replace(history, monitors=judged)
    found = [
        Alarm(r.monitor, r.version, r.because, r.window_end, r.looked, r.run)
        for r in history.current(known.champion.version, known.ripe_until)
        if r.verdict == "alarm"
    ]
    return tuple(sorted(found, key=lambda a: (a.looked, a.window_end)))


def _running(tried: Sequence[Attempt]) -> str:
    now = [a for a in tried if a.state == "running"]
    if not now:
        return ""
    return f"the training of decision {now[-1].decision} runs since {now[-1].at:%Y-%m-%d %H:%M} UTC"
