"""Which version of a model is champion: moved with a reason, told to the ledger, undone.

The alias in the registry is the truth. Before it moves, the reason is signed and put on
the version; after it has moved, the ledger gets the same row. So who dies in between
leaves either nothing moved, or a reason that the ledger lacks: it is read from there,
and the next move writes it down.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lakehouse import ledger
from lakehouse.catalog import Domain
from lakehouse.errors import ModelError
from lakehouse.lake import Lake
from lakehouse.ledger import Ledger
from lakehouse.ops import PromotionRow
from lakehouse.promotion.history import (
    Kind,
    former_champions,
    judged_until,
    recorded,
    row_of,
    unrecorded,
)
from lakehouse.registry import Alias, ModelVersion, Registry, registry_of

__all__ = ["Moved", "PromotionLost", "move", "promote", "rollback"]


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
    decision: str | None = None,
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
        gates: Gate → verdict and reason; those of the last judgement when not given.
        decision: The decision that it follows; the one to train it when not given.
        now: When; now.

    Raises:
        PromotionLost: By gates, and an earlier version was made champion on that evaluation
            window or a later one; or somebody else moved the alias meanwhile.
        CommitError: The alias moved, but the ledger did not take the row; the next move will
            write it.
    """
    with lake.alone(f"promotion-{version.name}"):
        return _move(
            lake, registry, domain, version, alias, kind, because, by, gates, decision, now
        )


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
    decision: str | None = None,
    now: dt.datetime | None = None,
) -> Moved:
    name, book = version.name, Ledger(lake.storage)
    known = registry.versions(name)
    told = _mended(book, domain, name, known)
    before = next((v.version for v in known if alias in v.aliases), 0)
    at = now or ledger.now()
    row = row_of(told, domain, version, before, alias, kind, because, by, at, gates, decision)
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
    missing = unrecorded(book, domain, name, versions)
    if missing:
        book.append("promotions", missing, missing[0].promotion)
    return recorded(book, domain, name)


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
    (owner, file), registry = lake.model(name, domain), registry_of(lake.settings)
    found = registry.version(name, version)
    asked = f"promote {name} version {found.version}"
    _require_usable(registry, owner, file, found, asked)
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
    (owner, file), registry = lake.model(name, domain), registry_of(lake.settings)
    asked = f"roll {name} back"
    with lake.alone(f"promotion-{name}"):
        book, known = Ledger(lake.storage), registry.versions(name)
        unfinished = [r for r in unrecorded(book, owner.name, name, known) if r.kind == "rollback"]
        told = _mended(book, owner.name, name, known)
        if unfinished and to is None:
            return Moved(unfinished[0], moved=False)
        wanted = registry.version(name, to) if to is not None else _before(asked, known, told)
        if wanted.promotion is None and wanted.version not in former_champions(told):
            remedy = f"lake promote {name} {wanted.version} --because …"
            raise ModelError(asked, f"version {wanted.version} was never champion", remedy)
        _require_usable(registry, owner, file, wanted, f"{asked} to version {wanted.version}")
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


def _require_usable(
    registry: Registry, owner: Domain, file: Path, one: ModelVersion, asked: str
) -> None:
    from lakehouse.training import declaration

    remedy = f"train again: lake train {one.name} --force"
    if one.record is None:
        raise ModelError(asked, "it was registered by others", remedy)
    if not one.complete:
        raise ModelError(asked, "its training was not completed, its gates not judged", remedy)
    if one.record.domain not in ("", owner.name):
        raise ModelError(asked, f"it is of the domain {one.record.domain}", remedy)
    table = owner.table(declaration.load(file).features.table)
    if one.record.feature_definition_id not in table.accepted:
        found = (
            f"it was trained on definition {one.record.feature_definition_id} of its feature "
            f"table, which is now {table.definition}: it could score nothing"
        )
        raise ModelError(asked, found, f"{remedy}, or bring the table's old definition back")
    registry.require_signed(one)
