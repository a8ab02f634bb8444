"""What monitors have said of a model so far, from the ``ops`` tables."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar, cast

from lakehouse.interval import Interval
from lakehouse.ledger import Ledger
from lakehouse.monitoring.performance import Measured
from lakehouse.ops import DriftRow, MonitorRow, PerformanceRow
from lakehouse.storage import Storage

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["History"]

Row = TypeVar("Row", bound="DataclassInstance")


@dataclass(frozen=True)
class History:
    """Rows of one model; of one window those of the run that looked last.

    Attributes:
        monitors: Verdicts by version, monitor and window.
        drift: Features by version and window.
        performance: Metrics by version, window, slice and whether they are estimated.
    """

    monitors: tuple[MonitorRow, ...] = ()
    drift: tuple[DriftRow, ...] = ()
    performance: tuple[PerformanceRow, ...] = ()

    @classmethod
    def read(cls, storage: Storage, domain: str, model: str) -> History:
        """All that is kept of a model.

        Raises:
            StorageError: The store does not answer.
        """
        ledger = Ledger(storage)

        def of(name: str, kind: type[Row]) -> tuple[Row, ...]:
            names = [field.name for field in fields(kind)]
            rows = ledger.rows(name, names)
            mine = (r for r in rows if r["domain"] == domain and r["model"] == model)
            return tuple(kind(**row) for row in mine)

        return cls().and_also(
            cls(
                of("monitors", MonitorRow), of("drift", DriftRow), of("performance", PerformanceRow)
            )
        )

    def and_also(self, other: History) -> History:
        """Both, without what a later run said anew."""
        window = ("version", "window_start", "window_end")
        return History(
            _newest(self.monitors + other.monitors, (*window, "monitor")),
            _newest(self.drift + other.drift, window),
            _newest(self.performance + other.performance, window),
        )

    @functools.cached_property
    def _said(self) -> Mapping[tuple[int, str, Interval], MonitorRow]:
        return {
            (row.version, row.monitor, Interval(row.window_start, row.window_end)): row
            for row in self.monitors
        }

    def said(self, version: int, monitor: str, window: Interval) -> MonitorRow | None:
        """What a monitor said of a window last; None when it never did."""
        return self._said.get((version, monitor, window))

    def seen(self, version: int, monitor: str, window: Interval) -> str:
        """The digest of what a monitor looked at last; empty when it never did."""
        said = self.said(version, monitor, window)
        return said.seen if said else ""

    def volumes(self, length: dt.timedelta) -> Mapping[dt.datetime, int]:
        """Rows of each window of a length, by its first instant, whichever version was watched."""
        return {
            row.window_start: row.rows
            for row in sorted(self.monitors, key=lambda row: row.run)
            # A week with a change of daylight saving time has an hour more or less.
            if row.monitor == "volume"
            and abs(row.window_end - row.window_start - length) <= dt.timedelta(hours=2)
        }

    def current(self, version: int, ripe_until: dt.datetime | None) -> tuple[MonitorRow, ...]:
        """The newest verdict of each monitor about a version.

        Args:
            version: Which.
            ripe_until: Windows that end later cannot be judged by performance yet.
        """
        found: dict[str, MonitorRow] = {}
        for row in sorted(self.monitors, key=lambda row: (row.window_end, row.run)):
            unripe = row.monitor == "performance" and (
                ripe_until is None or row.window_end > ripe_until
            )
            if row.version == version and not (unripe and row.monitor in found):
                found[row.monitor] = row
        return tuple(found[name] for name in sorted(found))

    def measured(self, version: int, metric: str) -> Mapping[Interval, Measured]:
        """The metric of all rows of a version by window, where labels were known."""
        return {
            Interval(row.window_start, row.window_end): Measured(
                row.slice,
                cast("Any", row.metric),
                row.value,
                row.low,
                row.high,
                row.rows,
                row.estimated,
            )
            for row in self.performance
            if row.version == version
            and row.metric == metric
            and not row.slice
            and not row.estimated
        }


def _newest(rows: Iterable[Row], names: Sequence[str]) -> tuple[Row, ...]:
    """All rows of the newest run of each thing that the names tell apart."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in sorted(rows, key=lambda row: str(getattr(row, "run", ""))):
        of = found.setdefault(tuple(getattr(row, name) for name in names), [])
        if of and getattr(of[0], "run", "") != getattr(row, "run", ""):
            of.clear()
        of.append(row)
    return tuple(row for of in found.values() for row in of)
