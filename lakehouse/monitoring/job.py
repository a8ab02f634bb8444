"""Watch one declared model of a lake: pin, count, measure, judge, record, report."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lakehouse import ledger
from lakehouse.catalog import Domain
from lakehouse.errors import LakehouseError, ModelError
from lakehouse.lake import Lake
from lakehouse.ledger import Ledger
from lakehouse.monitoring.history import History
from lakehouse.monitoring.look import Look
from lakehouse.monitoring.page import Story, page
from lakehouse.monitoring.reading import Reading, pin
from lakehouse.ops import MonitorRow
from lakehouse.registry import ModelVersion, registry_of
from lakehouse.scoring import ModelKey
from lakehouse.training import job as training
from lakehouse.training.declaration import ModelDeclaration

__all__ = ["Monitored", "monitor", "watch"]


@dataclass(frozen=True)
class Monitored:
    """What became of a look at a model.

    Attributes:
        domain: Its domain.
        model: Its name.
        run: The run's id.
        version: The champion that was watched; 0 for none.
        looked: What this run wrote.
        news: Of its verdicts those that no run had come to before.
        current: The newest verdict of each monitor about the champion, whoever looked.
        report: The page; None when there is nothing to show.
        lacking: Why nothing could be watched; empty when it was.
        read: Table → the version that was read.
        written: Ops table → its version that holds what was seen.
    """

    domain: str
    model: str
    run: str
    version: int
    looked: History = field(default_factory=History)
    news: tuple[MonitorRow, ...] = ()
    current: tuple[MonitorRow, ...] = ()
    report: Path | None = None
    lacking: str = ""
    read: Mapping[str, int] = field(default_factory=dict)
    written: Mapping[str, int] = field(default_factory=dict)

    @property
    def alarms(self) -> tuple[MonitorRow, ...]:
        """The newest verdicts that are alarms, and news: this run was the first to find them."""
        return tuple(r for r in self.current if r.verdict == "alarm" and r in self.news)

    def to_json(self) -> Mapping[str, Any]:
        """The JSON document of one model that ``lake monitor --json`` prints."""
        return {
            "schema": 1,
            "domain": self.domain,
            "model": self.model,
            "run": self.run,
            "version": self.version,
            "lacking": self.lacking,
            "alarms": [row.monitor for row in self.alarms],
            "current": [asdict(row) for row in self.current],
            "looked": [asdict(row) for row in self.looked.monitors],
            "report": str(self.report) if self.report else None,
        }


def monitor(
    lake: Lake,
    domain: str | None,
    model: str,
    *,
    now: dt.datetime,
    progress: Callable[[str], None] = lambda step: None,
) -> Monitored:
    """Look at what is new of a model since the last look, and judge it.

    Whole windows of event time since the end of a version's training are looked at once; again
    when their feature rows, predictions or labels have changed. The champion is judged; of the
    challenger, performance is measured beside it.

    Args:
        lake: The lake.
        domain: The domain that declares the model, where it is known.
        model: The model's name.
        now: The instant at which it is looked, for freshness and the ledger.
        progress: Told each step.

    Raises:
        ModelError: The model is not declared.
        UntrustedModelError: What is stored with a version was changed.
        CommitError: The results could not be recorded.
        StorageError: The store does not answer.
    """
    owner, declared = training.find(lake, model, domain)
    run, started = ledger.new_run(), ledger.now()

    def record(done: Monitored, error: LakehouseError | None = None) -> None:
        told = {
            "model": model,
            "version": done.version,
            "now": now.isoformat(),
            "reads": done.read,
            "writes": done.written,
        }
        row = ledger.finish(
            run,
            "monitor",
            owner.name,
            started,
            engine="duckdb",
            parameters=told,
            result="failed" if error else "done",
            error=f"{error.asked}: {error.found}" if error else "",
            folder=owner.path,
        )
        Ledger(lake.storage).record(row)

    done = Monitored(owner.name, model, run, 0, lacking="there is no champion yet")
    try:
        registry = registry_of(lake.settings)
        versions = registry.versions(model)
        champion = next((v for v in versions if "champion" in v.aliases), None)
        if champion is not None:
            watched = (champion, *(v for v in versions if v.aliases == ("challenger",)))
            done = watch(
                lake,
                owner,
                declared,
                watched,
                lambda version: registry.reference(version.name, version.version),
                run=run,
                now=now,
                progress=progress,
            )
    except LakehouseError as error:
        with contextlib.suppress(LakehouseError):
            # Where the store failed the run cannot be recorded either: that it failed is the news.
            record(done, error)
        raise
    record(done)
    return done


def watch(
    lake: Lake,
    domain: Domain,
    model: ModelDeclaration,
    versions: Sequence[ModelVersion],
    reference: Callable[[ModelVersion], str],
    *,
    run: str,
    now: dt.datetime,
    progress: Callable[[str], None] = lambda step: None,
) -> Monitored:
    """Look at some versions of a model, and write what was seen to ``ops`` and to a page.

    Args:
        lake: The lake.
        domain: The model's domain.
        model: Its declaration.
        versions: The champion, then those whose performance is measured beside it.
        reference: Gives the reference of a version, as JSON.
        run: The run's id.
        now: The instant at which it is looked.
        progress: Told each step.

    Raises:
        CommitError: The results could not be recorded.
        StorageError: The store does not answer.
    """
    champion, *others = versions
    done = Monitored(domain.name, model.name, run, champion.version)
    if champion.record is None or not champion.record.windows:
        why = f"version {champion.version} was registered without its windows: train it again"
        return replace(done, lacking=why)
    reading = pin(lake, domain, model)
    foreign = _foreign(reading, champion)
    if foreign:
        return replace(done, lacking=foreign)
    watermark = reading.watermark()
    if watermark is None:
        return replace(done, lacking=f"{reading.features.table.name} has no rows")
    history = History.read(lake.storage, domain.name, model.name)
    look = Look(reading, reference, history, run, now, watermark, progress)
    look.at_champion(champion)
    for one in others:
        foreign = _foreign(reading, one)
        if foreign:
            progress(f"version {one.version} is left out: {foreign}")
        elif one.record and one.record.windows:
            look.at_challenger(one)
    written = _write(lake, look.found, run)
    known = history.and_also(look.found)
    current = known.current(champion.version, reading.ripe_until)
    story = Story(
        domain=domain.name,
        model=model,
        timezone=reading.timezone,
        champion=champion,
        champions=_champions(lake, domain.name, model.name),
        history=known,
        current=current,
        now=now,
    )
    report = _report(lake, story, run)
    return replace(
        done,
        looked=look.found,
        news=look.news,
        current=current,
        report=report,
        read=reading.versions,
        written=written,
    )


def _foreign(reading: Reading, version: ModelVersion) -> str:
    """Why the predictions under a version's number are not its own; empty when they are."""
    who = ModelKey(reading.domain.name, reading.model.name, version.version)
    try:
        reading.stored.require_own(who, version)
    except ModelError as error:
        return f"{error.found}; {error.remedy}"
    return ""


def _write(lake: Lake, found: History, run: str) -> Mapping[str, int]:
    """Append what was seen; ops table → the version that holds it."""
    ledger = Ledger(lake.storage)
    # The verdicts last: what they say to have seen is there.
    seen = {name: getattr(found, name) for name in ("drift", "performance", "monitors")}
    return {f"ops.{name}": ledger.append(name, rows, run) for name, rows in seen.items() if rows}


def _report(lake: Lake, story: Story, run: str) -> Path:
    """Write the page below ``<state>/docs``, which the stack's docs service shows."""
    folder = lake.settings.state / "docs" / "monitoring" / story.domain / story.model.name
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"{run}.html"
    made.write_text(page(story), encoding="utf-8")
    return made


def _champions(lake: Lake, domain: str, model: str) -> dict[dt.datetime, int]:
    """When versions became champion: in the time of events where they were judged by some."""
    rows = Ledger(lake.storage).rows("promotions")
    mine = (r for r in rows if (r["domain"], r["model"], r["alias"]) == (domain, model, "champion"))
    ordered = sorted(mine, key=lambda row: str(row["promotion"]))
    return {row["window_end"] or row["moved"]: row["version"] for row in ordered}
