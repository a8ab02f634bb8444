"""The Spark that runs in this process, as its user looks for it: its page, its master, its log."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from lakehouse.engines.spark import session
from lakehouse.settings import Settings
from lakehouse.storage import Storage

__all__ = ["Running", "look", "said"]

_MARK = "spark: "


@dataclass(frozen=True)
class Running:
    """One Spark application.

    Attributes:
        application: Its id: ``app-…`` on a standalone cluster, ``local-…`` here.
        master: Where its executors run.
        page: Its UI, while it runs; empty where that is off.
        log: The driver's log; empty where whoever started it keeps that.
    """

    application: str
    master: str
    page: str
    log: str = ""

    def line(self) -> str:
        """Itself on one line of a log, which :func:`said` reads."""
        return _MARK + json.dumps(asdict(self))


def look(
    settings: Settings, storage: Storage, say: Callable[[str], None] = lambda _: None
) -> Running:
    """The application of this process, which is started where none runs.

    Raises:
        EngineError: See :func:`lakehouse.engines.spark.session.start`.
    """
    context = session.start(settings, storage, say).sparkContext
    log = settings.state.resolve() / "logs" / "spark.log"
    page = str(context.uiWebUrl or "")
    return Running(str(context.applicationId), str(context.master), page, str(log))


def said(line: str) -> Running | None:
    """The application that a line of a log tells of; None for other lines."""
    return Running(**json.loads(line.removeprefix(_MARK))) if line.startswith(_MARK) else None
