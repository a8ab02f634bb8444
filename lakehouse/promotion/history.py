"""What became of a model's aliases: told by the ledger, and by the versions where it is behind."""

from __future__ import annotations

import datetime as dt
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal
from zoneinfo import ZoneInfo

from lakehouse import ledger
from lakehouse.ledger import Ledger
from lakehouse.ops import PromotionRow
from lakehouse.registry import Alias, ModelRecord, ModelVersion

__all__ = [
    "Kind",
    "attempts",
    "former_champions",
    "history",
    "judged",
    "judged_until",
    "recorded",
    "row_of",
    "unrecorded",
    "window_of",
]

Kind = Literal["gates", "promote", "rollback"]

_OUTSIDE = "the alias was moved in MLflow, not by lake"


def history(
    book: Ledger, domain: str, model: str, versions: Iterable[ModelVersion]
) -> tuple[PromotionRow, ...]:
    """The moves of a model's aliases, the oldest first; each once.

    A move that its process did not live to write down is there too, from the version itself;
    so is one that was made outside, as far as it can be seen.

    Args:
        book: The ledger.
        domain: The domain's name.
        model: The model's name.
        versions: Its registered versions.
    """
    return (*recorded(book, domain, model), *unrecorded(book, domain, model, versions))


def recorded(book: Ledger, domain: str, model: str) -> tuple[PromotionRow, ...]:
    """The moves that are written down, the oldest first."""
    known: dict[str, PromotionRow] = {}
    for row in book.rows("promotions"):
        if (row["domain"], row["model"]) == (domain, model):
            known.setdefault(row["promotion"], PromotionRow(**row))
    return tuple(sorted(known.values(), key=lambda row: row.promotion))


def unrecorded(
    book: Ledger, domain: str, model: str, versions: Iterable[ModelVersion]
) -> tuple[PromotionRow, ...]:
    """The move that made the present champion, when it is not the last that is written down."""
    champion = next((v for v in versions if "champion" in v.aliases), None)
    known = recorded(book, domain, model)
    moves = [row for row in known if row.alias == "champion"]
    if champion is None or (moves and moves[-1].version == champion.version):
        return ()
    made = champion.promotion
    if made is not None and made.promotion and made.promotion not in {m.promotion for m in moves}:
        return (made,)
    if not moves:
        return ()
    before, now = moves[-1].version, ledger.now()
    made_outside = row_of(
        known, domain, champion, before, "champion", "promote", _OUTSIDE, "unknown", now
    )
    return (made_outside,)


def former_champions(rows: Iterable[PromotionRow]) -> tuple[int, ...]:
    """The versions that were champion once, the one that became it last first."""
    found = [row.version for row in rows if row.alias == "champion"]
    return tuple(dict.fromkeys(reversed(found)))


def judged(moves: Iterable[PromotionRow], version: ModelVersion) -> Mapping[str, str]:
    """Gate → verdict and reason, as a version was judged last.

    What is signed with the version is the judgement of its training, without reasons and before
    it was loaded: it serves where the ledger is lost.
    """
    told = [m.gates for m in moves if (m.version, m.kind) == (version.version, "gates")]
    last: dict[str, str] = json.loads(told[-1]) if told else {}
    return last or (version.record.gates if version.record else {})


def judged_until(rows: Iterable[PromotionRow]) -> dt.datetime | None:
    """The end of the last evaluation window that made a champion by its gates.

    One window decides at most one promotion: chosen among many on the same rows, the best
    is partly the luckiest.
    """
    ends = [r.window_end for r in rows if (r.alias, r.kind) == ("champion", "gates")]
    return max((end for end in ends if end is not None), default=None)


def attempts(versions: Iterable[ModelVersion], window_end: dt.datetime) -> int:
    """How many registered versions were judged on an evaluation window with this end."""
    return sum(v.record is not None and window_of(v.record)[1] == window_end for v in versions)


def window_of(record: ModelRecord) -> tuple[dt.datetime | None, dt.datetime | None]:
    """The instants at which a version's evaluation window begins and ends, UTC."""
    if "test" not in record.windows:
        return None, None
    zone = ZoneInfo(record.timezone)
    first, after = (
        dt.datetime.combine(dt.date.fromisoformat(day), dt.time(), zone).astimezone(dt.UTC)
        for day in record.windows["test"]
    )
    return first, after


def row_of(
    moves: Sequence[PromotionRow],
    domain: str,
    version: ModelVersion,
    before: int,
    alias: Alias,
    kind: Kind,
    because: str,
    by: str,
    now: dt.datetime,
    gates: Mapping[str, str] | None = None,
    decision: str | None = None,
) -> PromotionRow:
    """One more move, after those so far.

    Gates and decision are those of the version when not given.
    """
    record = version.record
    start, end = window_of(record) if record else (None, None)
    verdicts = gates if gates is not None else judged(moves, version)
    if decision is None:
        decision = record.decision if record else ""
    return PromotionRow(
        promotion=_next_id(moves),
        domain=domain,
        model=version.name,
        version=version.version,
        before=before,
        alias=alias,
        kind=kind,
        because=because,
        by=by,
        decision=decision,
        window_start=start,
        window_end=end,
        gates=json.dumps(dict(verdicts)),
        moved=now,
    )


def _next_id(moves: Sequence[PromotionRow]) -> str:
    """An id that sorts after those of the moves so far, though another machine's clock be ahead."""
    # Of the clock, whatever time is played.
    at = ledger.now()
    if moves and moves[-1].promotion:
        last = dt.datetime.fromisoformat(f"{moves[-1].promotion.partition('-')[0]}+00:00")
        at = max(at, last + dt.timedelta(microseconds=1))
    return f"{at:%Y%m%dT%H%M%S.%f}-{secrets.token_hex(3)}"
