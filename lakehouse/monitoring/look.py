"""One look at a model: which windows are new, what is in them, and what to say of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from lakehouse.contract import digest
from lakehouse.errors import ModelError
from lakehouse.interval import Interval
from lakehouse.monitoring import drift, supply
from lakehouse.monitoring.counting import WindowCounts
from lakehouse.monitoring.drift import FeatureDrift
from lakehouse.monitoring.history import History
from lakehouse.monitoring.performance import Measured, measure, performance
from lakehouse.monitoring.reading import Reading
from lakehouse.monitoring.reference import Reference
from lakehouse.monitoring.verdict import Verdict
from lakehouse.monitoring.windows import named, whole
from lakehouse.ops import DriftRow, MonitorRow, PerformanceRow
from lakehouse.registry import ModelRecord, ModelVersion
from lakehouse.training.declaration import Monitors

__all__ = ["Look"]

#: Raise it when a monitor comes to other numbers from the same rows: all is looked at again.
_MEANING = 1


@dataclass
class Look:
    """What a look finds; it grows with each version looked at.

    Attributes:
        reading: The tables, pinned.
        reference: Gives the reference of a version, as JSON.
        history: What was said before.
        run: The run's id.
        now: The instant of the look.
        watermark: The newest event.
        progress: Told each step.
    """

    reading: Reading
    reference: Callable[[ModelVersion], str]
    history: History
    run: str
    now: dt.datetime
    watermark: dt.datetime
    progress: Callable[[str], None]
    _monitors: list[MonitorRow] = field(default_factory=list)
    _news: list[MonitorRow] = field(default_factory=list)
    _drift: list[DriftRow] = field(default_factory=list)
    _performance: list[PerformanceRow] = field(default_factory=list)

    @property
    def found(self) -> History:
        """The rows to be written."""
        return History(tuple(self._monitors), tuple(self._drift), tuple(self._performance))

    @property
    def news(self) -> tuple[MonitorRow, ...]:
        """The verdicts that were not given before."""
        return tuple(self._news)

    @property
    def policy(self) -> Monitors:
        """What is declared to be watched."""
        return self.reading.model.monitors

    def at_champion(self, version: ModelVersion) -> None:
        """Look at everything."""
        self._features(version)
        self.at_challenger(version)
        span = Interval(min(self.watermark, self.now), max(self.watermark, self.now))
        told = supply.freshness(self.watermark, self.now, self.policy.freshness.at_most)
        self._tell(version, span, told, "")

    def at_challenger(self, version: ModelVersion) -> None:
        """Look at its performance."""
        windows = self._windows(version)
        if not windows:
            return
        rows = self.reading.predictions(version.version, windows)
        seen = {w: self._of_performance(version, w, n) for w, n in zip(windows, rows, strict=True)}
        new = self._new(version, "performance", seen)
        if new:
            self.progress(f"version {version.version}: performance in {len(new)} windows")
        self._measure(version, windows, seen, new)

    def _windows(self, version: ModelVersion) -> tuple[Interval, ...]:
        record = _record(version)
        day = dt.date.fromisoformat(record.windows["train"][1])
        since = dt.datetime.combine(day, dt.time(), ZoneInfo(record.timezone)).astimezone(dt.UTC)
        return whole(since, self.watermark, self.policy.window, self.reading.timezone)

    def _new(
        self, version: ModelVersion, what: str, seen: Mapping[Interval, str]
    ) -> list[Interval]:
        before = self.history.seen
        return [w for w, now in seen.items() if before(version.version, what, w) != now]

    # --- what the feature table says ----------------------------------------------------------

    def _features(self, version: ModelVersion) -> None:
        windows = self._windows(version)
        seen = {window: self._of_features(version, window) for window in windows}
        new = self._new(version, "drift", seen)
        if not new:
            return
        reference = self._reference(version)
        self.progress(f"version {version.version}: features of {len(new)} windows")
        bins = Reference(()) if isinstance(reference, str) else reference
        volumes = dict(self.history.volumes(self.policy.window))
        for counted in self.reading.count(bins, new):
            window = counted.window
            self._judge_features(version, counted, reference, seen[window])
            before = [volumes[start] for start in sorted(volumes) if start < window.start]
            told = supply.volume(counted.rows, before, self.policy.volume.at_least)
            self._tell(version, window, told, seen[window])
            volumes[window.start] = counted.rows

    def _reference(self, version: ModelVersion) -> Reference | str:
        """The reference, or why the features cannot be compared with one."""
        record, table = _record(version), self.reading.features.table
        if record.feature_definition_id not in table.accepted:
            return f"{table.short} was defined otherwise when version {version.version} was trained"
        if not record.reference:
            return f"version {version.version} was registered without a reference"
        return Reference.from_json(self.reference(version))

    def _judge_features(
        self, version: ModelVersion, counted: WindowCounts, reference: Reference | str, seen: str
    ) -> None:
        limits = self.policy.drift
        if isinstance(reference, str):
            for monitor in ("drift", "missing"):
                told = Verdict(monitor, "not evaluated", reference, counted.rows)
                self._tell(version, counted.window, told, seen)
            return
        importance = _record(version).importance
        found = drift.compare(reference, counted.features, importance, limits.effect)
        if counted.rows >= limits.min_rows:
            self._drift += [self._drift_row(version, counted.window, one) for one in found]
        for told in (
            drift.drift(found, limits.share, limits.min_rows),
            drift.missing(found, self.policy.missing.at_most, limits.min_rows),
        ):
            self._tell(version, counted.window, told, seen)

    # --- what the predictions say -------------------------------------------------------------

    def _measure(
        self,
        version: ModelVersion,
        windows: Sequence[Interval],
        seen: Mapping[Interval, str],
        new: Sequence[Interval],
    ) -> None:
        if not new:
            return
        model, policy = self.reading.model, self.policy.performance
        metrics = (policy.metric, model.metrics.primary, *model.metrics.also)
        known = dict(self.history.measured(version.version, policy.metric))
        predicted = self.reading.predicted(version.version, list(new))
        for window in new:
            known.pop(window, None)
            rows = predicted.get(window)
            measured = measure(rows, metrics, model.slices) if rows and rows.rows else ()
            self._performance += [self._performance_row(version, window, one) for one in measured]
            if measured and not measured[0].estimated:
                known[window] = measured[0]
            if not self.reading.is_ripe(window):
                told = self._unripe(window, measured[0] if measured else None)
                self._tell(version, window, told, seen[window])
        for window in windows[windows.index(new[0]) :]:
            if self.reading.is_ripe(window):
                told = self._judge_performance(version, windows, window, known)
                # Of a window whose rows are as before the count of bad ones before it may differ.
                if window in new or not self._is_said(version, window, told):
                    self._tell(version, window, told, seen[window])

    def _judge_performance(
        self,
        version: ModelVersion,
        windows: Sequence[Interval],
        window: Interval,
        known: Mapping[Interval, Measured],
    ) -> Verdict:
        policy = self.policy.performance
        return performance(
            [known.get(one) for one in windows if one <= window],
            _record(version).metrics.get(policy.metric),
            drop=policy.drop,
            last=policy.windows,
            bad=policy.bad,
            min_rows=policy.min_rows,
        )

    def _unripe(self, window: Interval, expected: Measured | None) -> Verdict:
        ripe = window.end + self.reading.model.label.matures_after
        because = f"labels are known when events of {ripe:%Y-%m-%d %H:%M} UTC have come"
        if expected is not None and expected.value is not None:
            because += f"; {expected.metric} {expected.value:.3f} is expected"
        rows = expected.rows if expected else 0
        return Verdict("performance", "not evaluated", because, rows)

    # --- what was seen, and rows --------------------------------------------------------------

    def _of_features(self, version: ModelVersion, window: Interval) -> str:
        contents = self.reading.features.contents([window])
        limits = (self.policy.drift, self.policy.missing, self.policy.volume)
        table, learnt = self.reading.features.table, _record(version).feature_definition_id
        # A definition that is accepted gives the same rows: they are not looked at again.
        definition = learnt if learnt in table.accepted else table.definition
        declared = [one.model_dump(mode="json") for one in limits]
        return digest(_MEANING, version.run_id, str(window), contents, declared, definition)

    def _of_performance(self, version: ModelVersion, window: Interval, rows: int) -> str:
        model = self.reading.model
        declared = [
            self.policy.performance.model_dump(mode="json"),
            model.metrics.model_dump(mode="json"),
            [one.model_dump(mode="json") for one in model.slices],
            model.label.model_dump(mode="json"),
        ]
        # While labels ripen each later event can bring some.
        ripening = "" if self.reading.is_ripe(window) else str(self.reading.ripe_until)
        contents = self.reading.label_contents(window)
        return digest(_MEANING, version.run_id, str(window), rows, ripening, contents, declared)

    def _is_said(self, version: ModelVersion, window: Interval, told: Verdict) -> bool:
        before = self.history.said(version.version, told.monitor, window)
        return before is not None and told == Verdict(
            before.monitor,
            before.verdict,  # type: ignore[arg-type]
            before.because,
            before.rows,
            before.value,
            before.limit,
        )

    def _tell(self, version: ModelVersion, window: Interval, told: Verdict, seen: str) -> None:
        before = self.history.said(version.version, told.monitor, window)
        # Other rows of the partition changed: what is said of this window is no news.
        same = self._is_said(version, window, told)
        row = MonitorRow(
            run=self.run,
            domain=self.reading.domain.name,
            model=version.name,
            version=version.version,
            monitor=told.monitor,
            window_start=window.start,
            window_end=window.end,
            rows=told.rows,
            value=told.value,
            limit=told.limit,
            verdict=told.verdict,
            because=told.because,
            read_version=self.reading.features.snapshot.version,
            looked=before.looked if before is not None and same else self.now,
            seen=seen,
        )
        self._monitors.append(row)
        if not same:
            self._news.append(row)
            if told.verdict == "alarm":
                where = named(window, self.reading.timezone)
                self.progress(f"version {version.version}: {told.monitor} {where}: {told.because}")

    def _drift_row(self, version: ModelVersion, window: Interval, one: FeatureDrift) -> DriftRow:
        return DriftRow(
            run=self.run,
            domain=self.reading.domain.name,
            model=version.name,
            version=version.version,
            window_start=window.start,
            window_end=window.end,
            feature=one.feature,
            rows=one.rows,
            missing=one.missing,
            effect=one.effect,
            p_value=one.p_value,
            importance=one.importance,
            drifted=one.drifted,
        )

    def _performance_row(
        self, version: ModelVersion, window: Interval, one: Measured
    ) -> PerformanceRow:
        return PerformanceRow(
            run=self.run,
            domain=self.reading.domain.name,
            model=version.name,
            version=version.version,
            window_start=window.start,
            window_end=window.end,
            slice=one.slice,
            metric=one.metric,
            value=one.value,
            low=one.low,
            high=one.high,
            rows=one.rows,
            estimated=one.estimated,
            reference=_record(version).metrics.get(one.metric) if not one.slice else None,
        )


def _record(version: ModelVersion) -> ModelRecord:
    if version.record is None:
        asked = f"watch version {version.version} of {version.name}"
        found = "it was registered without a record"
        raise ModelError(asked, found, f"lake train {version.name} --force")
    return version.record
