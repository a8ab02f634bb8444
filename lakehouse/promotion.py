"""Which version of a model is champion: moved with a reason, told to the ledger, undone.

The alias in the registry is the truth. Before it moves, the reason is signed and put on
the version; after it has moved, the ledger gets the same row. So who dies in between
leaves either nothing moved, or a reason that the ledger lacks: it is read from there,
and the next move writes it down.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal
from zoneinfo import ZoneInfo

from lakehouse import ledger
from lakehouse.catalog import Domain, Table
from lakehouse.errors import ModelError
from lakehouse.lake import Lake
from lakehouse.ledger import Ledger
from lakehouse.ops import PromotionRow
from lakehouse.registry import Alias, ModelRecord, ModelVersion, Registry, registry_of

__all__ = [
    "Kind",
    "Moved",
    "PromotionLost",
    "attempts",
    "former_champions",
    "history",
    "judged_until",
    "move",
    "promote",
    "rollback",
    "window_of",
]

Kind = Literal["gates", "promote", "rollback"]

_OUTSIDE = "the alias was moved in MLflow, not by lake"


class PromotionLost(ModelError):
    """The alias is another version's: by the same evaluation window, or in the same moment."""


@dataclass(frozen=True)
class Moved:
    """What became of a request to move an alias.

    Attributes:
        row: What the ledger tells of it.
        moved: False when the version had the alias already.
    """

    row: PromotionRow
    moved: bool

    def to_json(self) -> dict[str, Any]:
        """The one JSON document of ``lake promote`` and ``lake rollback``."""
        told = {one.name: getattr(self.row, one.name) for one in fields(self.row)}
        return {"schema": 1, "changed": self.moved, **told, "gates": json.loads(self.row.gates)}


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
    return (*_told(book, domain, model), *_untold(book, domain, model, versions))


def _told(book: Ledger, domain: str, model: str) -> tuple[PromotionRow, ...]:
    known: dict[str, PromotionRow] = {}
    for row in book.rows("promotions"):
        if (row["domain"], row["model"]) == (domain, model):
            known.setdefault(row["promotion"], PromotionRow(**row))
    return tuple(sorted(known.values(), key=lambda row: row.promotion))


def _untold(
    book: Ledger, domain: str, model: str, versions: Iterable[ModelVersion]
) -> tuple[PromotionRow, ...]:
    """The move that made the present champion, when it is not the last that is written down."""
    champion = next((v for v in versions if "champion" in v.aliases), None)
    told = _told(book, domain, model)
    moves = [row for row in told if row.alias == "champion"]
    if champion is None or (moves and moves[-1].version == champion.version):
        return ()
    made = champion.promotion
    if made is not None and made.promotion and made.promotion not in {m.promotion for m in moves}:
        return (made,)
    if not moves:
        return ()
    before, now = moves[-1].version, ledger.now()
    outside = _row(domain, champion, before, "champion", "promote", _OUTSIDE, "unknown", now)
    return (replace(outside, promotion=_next_id(told)),)


def former_champions(rows: Iterable[PromotionRow]) -> tuple[int, ...]:
    """The versions that were champion once, the one that became it last first."""
    found = [row.version for row in rows if row.alias == "champion"]
    return tuple(dict.fromkeys(reversed(found)))


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


def move(
    lake: Lake,
    registry: Registry,
    domain: str,
    version: ModelVersion,
    *,
    alias: Alias,
    kind: Kind,
    because: str,
    by: str,
    gates: Mapping[str, str] | None = None,
    now: dt.datetime | None = None,
) -> Moved:
    """Give an alias to a version, with its reason in the ledger; the only way to do so.

    Args:
        lake: The lake, for its ledger.
        registry: Where the version is registered.
        domain: The model's domain.
        version: The version.
        alias: Which.
        kind: Who decided.
        because: The reason.
        by: A person's word for himself, or ``gates``.
        gates: Gate → verdict and reason; those of the version's record when not given.
        now: When; now.

    Raises:
        PromotionLost: By gates, and an earlier version was made champion on that evaluation
            window or a later one; or somebody else moved the alias meanwhile.
        CommitError: The alias moved, but the ledger did not take the row; the next move will
            write it.
    """
    with _alone(lake, version.name):
        return _move(lake, registry, domain, version, alias, kind, because, by, gates, now)


def _move(
    lake: Lake,
    registry: Registry,
    domain: str,
    version: ModelVersion,
    alias: Alias,
    kind: Kind,
    because: str,
    by: str,
    gates: Mapping[str, str] | None = None,
    now: dt.datetime | None = None,
) -> Moved:
    name, book = version.name, Ledger(lake.storage)
    known = registry.versions(name)
    told = _mended(book, domain, name, known)
    before = next((v.version for v in known if alias in v.aliases), 0)
    row = _row(domain, version, before, alias, kind, because, by, now or ledger.now(), gates)
    row = replace(row, promotion=_next_id(told))
    if before == version.version and (alias != "champion" or _ours(known)):
        last = [one for one in told if (one.version, one.alias) == (before, alias)]
        if last:
            return Moved(last[-1], moved=False)
    elif kind == "gates" and alias == "champion":
        _require_fresh(row, told)
    registry.give_alias(name, version.version, alias, row)
    book.append("promotions", [row], row.promotion)
    after = next((v.version for v in registry.versions(name) if alias in v.aliases), 0)
    if after != version.version:
        found = f"version {after} was made {alias} in the same moment" if after else "it is gone"
        asked = f"make version {version.version} of {name} the {alias}"
        raise PromotionLost(asked, found, f"lake models {name}; then decide again")
    return Moved(row, moved=True)


def _ours(versions: Sequence[ModelVersion]) -> bool:
    """Whether it was us who made the present champion."""
    return any("champion" in v.aliases and v.promotion is not None for v in versions)


def _require_fresh(row: PromotionRow, told: Sequence[PromotionRow]) -> None:
    until = judged_until(told)
    if until is None or row.window_end is None or row.window_end > until:
        return
    raise PromotionLost(
        f"make version {row.version} of {row.model} the champion by its gates",
        f"its evaluation window ends {row.window_end:%Y-%m-%d}, and one that ends "
        f"{until:%Y-%m-%d} has decided a promotion already",
        f"wait for later rows, or: lake promote {row.model} {row.version} --because …",
    )


def _mended(
    book: Ledger, domain: str, name: str, versions: Sequence[ModelVersion]
) -> tuple[PromotionRow, ...]:
    """The history, with what was not written down written."""
    missing = _untold(book, domain, name, versions)
    if missing:
        book.append("promotions", missing, missing[0].promotion)
    return _told(book, domain, name)


def promote(
    lake: Lake,
    name: str,
    version: str | int,
    *,
    because: str,
    by: str,
    domain: str | None = None,
    now: dt.datetime | None = None,
) -> Moved:
    """Make a version champion on a person's word, whatever its gates said.

    Raises:
        ModelError: There is no such version, its training was not completed, or it was trained
            on other features than the table has now.
        UntrustedModelError: It is unsigned or was changed.
        CommitError: See :func:`move`.
    """
    owner, registry = _owner(lake, name, domain), registry_of(lake.settings)
    found = registry.version(name, version)
    asked = f"promote {name} version {found.version}"
    _require_usable(registry, owner, found, asked)
    return move(
        lake,
        registry,
        owner.name,
        found,
        alias="champion",
        kind="promote",
        because=because,
        by=by,
        now=now,
    )


def rollback(
    lake: Lake,
    name: str,
    *,
    because: str,
    by: str,
    to: str | int | None = None,
    domain: str | None = None,
    now: dt.datetime | None = None,
) -> Moved:
    """Make the champion before the present one champion again.

    Done twice it goes back twice. When an earlier rollback died before it was written down, it
    is finished, and nothing else is done.

    Args:
        lake: The lake.
        name: The model.
        because: The reason.
        by: Who.
        to: A certain former champion.
        domain: The domain that declares it, where it is known.
        now: When; now.

    Raises:
        ModelError: There is no former champion, or it cannot be used any more.
        UntrustedModelError: It is unsigned or was changed.
        CommitError: See :func:`move`.
    """
    owner, registry = _owner(lake, name, domain), registry_of(lake.settings)
    asked = f"roll {name} back"
    with _alone(lake, name):
        book, known = Ledger(lake.storage), registry.versions(name)
        unfinished = [r for r in _untold(book, owner.name, name, known) if r.kind == "rollback"]
        told = _mended(book, owner.name, name, known)
        if unfinished and to is None:
            return Moved(unfinished[0], moved=False)
        wanted = registry.version(name, to) if to is not None else _before(asked, known, told)
        if wanted.promotion is None and wanted.version not in former_champions(told):
            remedy = f"lake promote {name} {wanted.version} --because …"
            raise ModelError(asked, f"version {wanted.version} was never champion", remedy)
        _require_usable(registry, owner, wanted, f"{asked} to version {wanted.version}")
        return _move(
            lake, registry, owner.name, wanted, "champion", "rollback", because, by, now=now
        )


def _before(
    asked: str, versions: Sequence[ModelVersion], told: Sequence[PromotionRow]
) -> ModelVersion:
    """Who was champion when the present one was chosen; rolled back to is not chosen."""
    champion = next((v for v in versions if "champion" in v.aliases), None)
    number = 0
    if champion is not None:
        chosen = [
            row
            for row in told
            if (row.version, row.alias) == (champion.version, "champion") and row.kind != "rollback"
        ]
        if chosen:
            number = chosen[-1].before
        elif not told:
            # The ledger is lost: the versions themselves still say who was champion.
            older = (v for v in versions if v.promotion and v.version < champion.version)
            number = next((v.version for v in older), 0)
    for one in versions:
        if one.version == number:
            return one
    there = ", ".join(str(v.version) for v in versions) or "none"
    found = f"no champion was before it (versions: {there})"
    raise ModelError(asked, found, "name one: --to VERSION, or lake promote it")


def _require_usable(registry: Registry, owner: Domain, one: ModelVersion, asked: str) -> None:
    remedy = f"train again: lake train {one.name} --force"
    if one.record is None:
        raise ModelError(asked, "it was registered by others", remedy)
    if not one.complete:
        raise ModelError(asked, "its training was not completed, its gates not judged", remedy)
    if one.record.domain not in ("", owner.name):
        raise ModelError(asked, f"it is of the domain {one.record.domain}", remedy)
    table = _feature_table(owner, one.name)
    if one.record.feature_definition_id not in table.accepted:
        found = (
            f"it was trained on definition {one.record.feature_definition_id} of its feature "
            f"table, which is now {table.definition}: it could score nothing"
        )
        raise ModelError(asked, found, f"{remedy}, or bring the table's old definition back")
    registry.require_signed(one)


def _feature_table(owner: Domain, name: str) -> Table:
    from lakehouse.training import declaration

    file = next(file for file in owner.model_files() if file.stem == name)
    return owner.table(declaration.load(file).features.table)


def _owner(lake: Lake, name: str, domain: str | None) -> Domain:
    owners = {
        file.stem: one
        for one in lake.domains
        if domain in (None, one.name)
        for file in one.model_files()
    }
    if name not in owners:
        found = f"declared: {', '.join(owners) or 'none'}"
        raise ModelError(f"find the model {name!r}", found, "name one of them")
    return owners[name]


def _row(
    domain: str,
    version: ModelVersion,
    before: int,
    alias: Alias,
    kind: Kind,
    because: str,
    by: str,
    now: dt.datetime,
    gates: Mapping[str, str] | None = None,
) -> PromotionRow:
    record = version.record
    start, end = window_of(record) if record else (None, None)
    verdicts = gates if gates is not None else record.gates if record else {}
    return PromotionRow(
        promotion="",
        domain=domain,
        model=version.name,
        version=version.version,
        before=before,
        alias=alias,
        kind=kind,
        because=because,
        by=by,
        decision=record.decision if record else "",
        window_start=start,
        window_end=end,
        gates=json.dumps(dict(verdicts)),
        moved=now,
    )


def _next_id(told: Sequence[PromotionRow]) -> str:
    """An id that sorts after those of the moves so far, though another machine's clock be ahead."""
    # Of the clock, whatever time is played.
    at = ledger.now()
    if told and told[-1].promotion:
        last = dt.datetime.fromisoformat(f"{told[-1].promotion.partition('-')[0]}+00:00")
        at = max(at, last + dt.timedelta(microseconds=1))
    return f"{at:%Y%m%dT%H%M%S.%f}-{secrets.token_hex(3)}"


@contextlib.contextmanager
def _alone(lake: Lake, name: str) -> Iterator[None]:
    """Nobody else on this machine moves the aliases of that model inside the block."""
    folder = lake.settings.state / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"promotion-{name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
