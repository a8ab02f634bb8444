"""``lake demo --loop``: half a year of continuous training, played month by month."""

from __future__ import annotations

import datetime as dt
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse import build as builds
from lakehouse import features, sample
from lakehouse.build import Lake, Session, open_lake
from lakehouse.cli import screen
from lakehouse.errors import SettingsError
from lakehouse.ledger import Ledger
from lakehouse.settings import Settings

if TYPE_CHECKING:
    from lakehouse.monitoring.job import Monitored
    from lakehouse.retraining.facts import Trigger
    from lakehouse.retraining.job import Decided
    from lakehouse.sample import Delivery

__all__ = ["play"]

DOMAIN, MODEL = "flights", "late_arrival"
FIRST = tuple(f"2013-{month:02d}" for month in range(1, 7))
LATER = tuple(f"2013-{month:02d}" for month in range(7, 13))
FOLDER = "demo-loop"


def play(settings: Settings) -> int:
    """Train on January to June, then land month after month: score, watch, decide.

    It has a lake and a registry of its own, in ``<state>/demo-loop``, made anew each time. The
    newest event of the data is the clock, so the year decides as it would have.

    Returns:
        The exit code: 0; 3 when an audit blocked something.

    Raises:
        LakehouseError: A step failed.
    """
    began = time.perf_counter()
    lake = _own_lake(settings)
    owner = lake.domain(DOMAIN)
    files = list(sample.deliveries(owner.path))
    screen.heading(f"January to June land in {lake.settings.state}")
    blocked = _land_and_build(lake, files, FIRST)
    _ask(lake, "on demand", "the first model")
    for month in LATER:
        screen.heading(f"{dt.date.fromisoformat(f'{month}-01'):%B} lands")
        blocked |= _land_and_build(lake, files, (month,))
        _score(lake)
        watched = _watch(lake)
        _ask(lake, "new data", f"{month} landed", *_alarms(watched))
        _score(lake)
    _tell(lake, time.perf_counter() - began)
    return 3 if blocked else 0


def _own_lake(settings: Settings) -> Lake:
    import os

    state = settings.state / FOLDER
    if (state / "stack.json").exists():
        found = f"services run on {state}"
        raise SettingsError("play the loop anew", found, f"LAKE_STATE={state} lake down")
    shutil.rmtree(state, ignore_errors=True)
    # Its models have names that the registry in use may know.
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{state.resolve() / 'mlflow.db'}"
    state.mkdir(parents=True)
    return open_lake(settings.model_copy(update={"state": state, "uri": "", "landing": ""}))


def _land_and_build(lake: Lake, files: list[Delivery], months: tuple[str, ...]) -> bool:
    sample.land(lake.landing_of(DOMAIN), files, months=months)
    with screen.progress() as show:
        built = builds.build(Session(lake, lake.domain(DOMAIN), on_event=show))
    rows = sum(table.rows_out for table in built.tables)
    screen.say(f"  elt: {len(built.tables)} tables published, {rows:,} rows, {built.seconds:.1f} s")
    for one in built.blocked:
        screen.say(f"  blocked: {one.table} {one.partition} by rule {one.rule}")
    return bool(built.blocked)


def _now(lake: Lake) -> dt.datetime:
    owner = lake.domain(DOMAIN)
    from lakehouse.training.job import find

    mark = features.watermark(lake, owner, find(lake, MODEL, DOMAIN)[1])
    assert mark is not None, "months have landed"
    return mark


def _score(lake: Lake) -> None:
    from lakehouse import scoring

    for one in scoring.score(lake, DOMAIN, MODEL).versions:
        if one.rows:
            screen.say(
                f"  score: version {one.version} ({one.alias}) predicts {one.rows:,} flights"
            )


def _watch(lake: Lake) -> Monitored:
    from lakehouse.monitoring import job

    found = job.monitor(lake, DOMAIN, MODEL, now=_now(lake))
    for row in found.alarms:
        screen.say(f"  alarm: {row.monitor}: {row.because}")
    if not found.alarms:
        looked = len(found.looked.monitors)
        screen.say(f"  monitor: {found.lacking or f'{looked} verdicts, none is an alarm'}")
    return found


def _alarms(watched: Monitored) -> list[Trigger]:
    from lakehouse.retraining.facts import Trigger

    kinds = {"performance": "performance drop", "drift": "distribution change"}
    return [
        Trigger(kinds[row.monitor], row.because)  # type: ignore[arg-type]
        for row in watched.alarms
        if row.monitor in kinds
    ]


def _ask(lake: Lake, kind: str, detail: str, *others: Trigger) -> Decided:
    from lakehouse.retraining.facts import Trigger
    from lakehouse.retraining.job import retrain

    asked = [Trigger(kind, detail), *others]  # type: ignore[arg-type]
    done = retrain(lake, MODEL, domain=DOMAIN, triggers=asked, now=_now(lake))
    screen.say(f"  arbiter: {done.made.verdict}: {done.made.because}")
    result = done.trained.result if done.trained else None
    if result is not None:
        held = [gate for gate in result.gates if gate.blocks]
        primary = ", ".join(f"{k} {v:.3f}" for k, v in list(result.candidate.metrics.items())[:1])
        screen.say(f"  training: version {result.version} is {result.alias} ({primary})")
        for gate in held:
            screen.say(f"  gate {gate.name} {gate.verdict}: {gate.because}")
    return done


def _tell(lake: Lake, seconds: float) -> None:
    from lakehouse.cli.retraining import show_story
    from lakehouse.retraining.story import tell

    screen.heading(f"lake why {MODEL}")
    show_story(tell(lake, MODEL, domain=DOMAIN, now=_now(lake)))
    screen.heading("Look around")
    screen.say(f"  {_picture(lake)}   performance, decisions and champions over the year")
    own = f"LAKE_STATE={lake.settings.state}"
    screen.say(f"  {own} lake monitor {MODEL}")
    screen.say(f'  {own} lake query "SELECT * EXCLUDE (facts) FROM ops.decisions"')
    screen.say(f"  {own} lake up mlflow     runs, model cards and plots; then {own} lake down")
    screen.say(f"\n{seconds:.0f} s in all")


def _picture(lake: Lake) -> Path:
    from lakehouse.retraining.picture import timeline
    from lakehouse.training.job import find

    ledger, metric = Ledger(lake.storage), find(lake, MODEL, DOMAIN)[1].metrics.primary
    rows = {
        name: ledger.rows(name) for name in ("performance", "monitors", "decisions", "promotions")
    }
    figure = timeline(MODEL, metric, **rows)
    file = lake.settings.state / "reports" / "loop.png"
    file.parent.mkdir(exist_ok=True)
    figure.savefig(file)
    return file
