"""One rule's verdicts at the targets of a run, as one result. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lakehouse.ops import AuditRow

__all__ = ["RuleResult", "merge"]

#: Results from worst to best: the worst of its targets is a rule's.
_ORDER = ("failed", "waived", "passed", "not evaluated")
#: So many targets are told on a page, and stored in a result.
_TOLD, _STORED = 5, 200


@dataclass(frozen=True)
class RuleResult:
    """One rule over all targets of one table in one run.

    Attributes:
        kwargs: The expectation's arguments, with ``mostly`` where it is below 1.
        result: ``failed``, ``waived``, ``passed`` or ``not evaluated``.
        detail: For a person: which targets, and why; at most five are named.
        targets: How many targets it was judged at.
        rows: Rows that the rule looked at; unexpected: rows that violate it;
            missing: rows that it ignores for NULL.
        values: What a table rule observed, by target; at most 200.
        told: The targets that did not pass with their details; at most 200.
    """

    rule: str
    expectation: str
    kwargs: Mapping[str, Any]
    result: str
    detail: str
    targets: int
    rows: int
    unexpected: int
    missing: int
    values: Mapping[str, float | str]
    told: Mapping[str, str]


def merge(audits: Sequence[AuditRow], table: str) -> tuple[RuleResult, ...]:
    """The rules of one table in their written order, each merged over its targets."""
    last = {(a.rule, a.key): a for a in audits if a.table == table}
    by_rule: dict[str, list[AuditRow]] = {}
    for audit in last.values():
        by_rule.setdefault(audit.rule, []).append(audit)
    return tuple(_merged(sorted(rows, key=lambda a: a.key)) for rows in by_rule.values())


def _merged(rows: Sequence[AuditRow]) -> RuleResult:
    first = rows[0]
    result = min((a.result for a in rows), key=_ORDER.index)
    kwargs = json.loads(first.kwargs)
    observed = [a for a in rows if _observed(a) is not None]
    return RuleResult(
        rule=first.rule,
        expectation=first.expectation,
        kwargs={**kwargs, "mostly": first.mostly} if first.mostly < 1 else kwargs,
        result=result,
        detail=_detail(rows, result),
        targets=len(rows),
        rows=sum(a.rows for a in rows),
        unexpected=sum(a.unexpected for a in rows),
        missing=sum(a.missing for a in rows),
        values={_name(a): _observed(a) or 0 for a in observed[:_STORED]},
        told={_name(a): a.detail for a in _worth_telling(rows)[:_STORED]},
    )


def _observed(audit: AuditRow) -> float | str | None:
    if audit.value is not None:
        return int(audit.value) if audit.value.is_integer() else audit.value
    # The ledger holds numbers; what a rule saw of a date or a text is in its words.
    seen, is_, _ = audit.detail.rpartition("; ")[2].partition(" is ")
    return seen if is_ and audit.result != "not evaluated" else None


def _name(audit: AuditRow) -> str:
    return audit.key or "all"


def _worth_telling(rows: Sequence[AuditRow]) -> list[AuditRow]:
    told = [a for a in rows if a.result != "passed"]
    return sorted(told, key=lambda a: _ORDER.index(a.result))


def _detail(rows: Sequence[AuditRow], result: str) -> str:
    if len(rows) == 1:
        return rows[0].detail
    told = [a for a in rows if a.result == result] if result != "passed" else []
    if len(told) == len(rows) and len({a.detail for a in told}) == 1:
        return told[0].detail
    parts = [f"{_name(a)}: {a.detail}" for a in told[:_TOLD]]
    if len(told) > _TOLD:
        parts.append(f"and {len(told) - _TOLD:,} more of {len(rows):,} targets")
    if result == "passed":
        parts += _kept_out(rows)
    skipped = sum(a.result == "not evaluated" for a in rows)
    if skipped and result != "not evaluated":
        parts.append(f"not evaluated at {skipped:,} of {len(rows):,} targets")
    return "; ".join(parts)


def _kept_out(rows: Sequence[AuditRow]) -> list[str]:
    hit = [a for a in rows if a.detail.endswith(" quarantined")]
    if not hit:
        return []
    count = sum(a.unexpected for a in hit)
    return [f"{count:,} quarantined, at {len(hit):,} of {len(rows):,} targets"]
