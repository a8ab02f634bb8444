"""A gate's verdict."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from lakehouse.training.conditions import Waiver

__all__ = ["GateResult", "Verdict", "waived"]

Verdict = Literal["passed", "failed", "waived", "not evaluated"]


@dataclass(frozen=True)
class GateResult:
    """One gate's verdict.

    Attributes:
        name: The gate.
        kind: Its kind in the declaration; ``fresh_window`` is the library's own.
        verdict: ``passed``, ``failed``, ``waived`` or ``not evaluated``.
        because: The reason, in a sentence with its numbers.
        evidence: The numbers, by name.
        blocks: Whether it keeps the version from becoming champion.
        metric: What was looked at, for gates about a metric.
        candidate: The candidate's value, where it is defined.
        required: The value that it had to reach, where it is defined.
        baseline: The baseline that was compared with, for gates with ``by``.
    """

    name: str
    kind: str
    verdict: Verdict
    because: str
    evidence: Mapping[str, int | float | str] = field(default_factory=dict)
    blocks: bool = False
    metric: str = ""
    candidate: float | None = None
    required: float | None = None
    baseline: str | None = None

    @classmethod
    def of(
        cls,
        name: str,
        kind: str,
        passed: bool,
        because: str,
        **evidence: float | str,
    ) -> GateResult:
        """A gate that was looked at."""
        verdict: Verdict = "passed" if passed else "failed"
        return cls(name, kind, verdict, because, evidence, not passed)

    @classmethod
    def unknown(
        cls, name: str, kind: str, because: str, *, blocks: bool = True, **evidence: float | str
    ) -> GateResult:
        """A gate that could not be looked at; it blocks where there is something to compare."""
        return cls(name, kind, "not evaluated", because, evidence, blocks)


def waived(result: GateResult, waivers: Iterable[Waiver], today: dt.date) -> GateResult:
    """The result, as it is when somebody permits a gate that blocks."""
    for waiver in waivers:
        if result.blocks and waiver.gate == result.name and today <= waiver.until:
            permit = f"until {waiver.until} by {waiver.by} because {waiver.because}"
            because = f"waived {permit}; {result.verdict}: {result.because}"
            return replace(result, verdict="waived", because=because, blocks=False)
    return result
