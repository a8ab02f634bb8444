"""One training or judging: a declaration, its rows, its circumstances, and what the gates say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakehouse.registry import Registry
from lakehouse.training import plots
from lakehouse.training.attempt import Attempt
from lakehouse.training.dataset import DatasetVersion, Spans, cut
from lakehouse.training.declaration import ModelDeclaration
from lakehouse.training.explain import Importance
from lakehouse.training.fitting import Fitted, fit
from lakehouse.training.gates import Candidate, Case, Champion, GateResult, Judged, judge
from lakehouse.training.metrics import Evaluation, evaluate_slices
from lakehouse.training.rival import champion as meet_champion
from lakehouse.training.split import Windows

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from matplotlib.figure import Figure

__all__ = ["Hearing", "Trial", "begin", "pictures"]


@dataclass(frozen=True)
class Hearing:
    """What the gates said, and what they heard.

    Attributes:
        candidate: The candidate.
        baselines: The simple models.
        champion: The version in use, where it could be compared with.
        slices: The candidate's metrics by slice.
        gates: The verdicts.
    """

    candidate: Candidate
    baselines: tuple[Judged, ...]
    champion: Champion | None
    slices: tuple[Evaluation, ...]
    gates: tuple[GateResult, ...]

    @property
    def others(self) -> tuple[Evaluation, ...]:
        """The baselines' metrics."""
        return tuple(b.evaluation for b in self.baselines)


@dataclass(frozen=True)
class Trial:
    """One training or judging.

    Attributes:
        declaration: The model.
        inputs: The table versions from which the rows were read.
        windows: The dates.
        spans: The rows.
        attempt: The circumstances.
        progress: Told each step.
    """

    declaration: ModelDeclaration
    inputs: Sequence[DatasetVersion]
    windows: Windows
    spans: Spans
    attempt: Attempt
    progress: Callable[[str], None]

    def hear(
        self,
        registry: Registry,
        candidate: Judged,
        importance_of: Mapping[str, float],
        definition: str,
        version: int = 0,
    ) -> Hearing:
        """Measure baselines and champion on the test rows, and judge.

        Args:
            registry: Where the champion is registered.
            candidate: With its probabilities.
            importance_of: Feature → its share.
            definition: Of the feature table.
            version: The candidate's, when it is registered already.
        """
        declared, test = self.declaration, self.spans.test
        baselines = tuple(self._baseline(i) for i in range(len(declared.baselines)))
        self.progress(f"evaluate on {test.rows:,} later rows")
        known = registry.champion(declared.name)
        if known is not None and known.version != version:
            self.progress(f"score them by champion version {known.version}")
        rival: Champion | str = "it is the champion itself"
        if known is None or known.version != version:
            rival = meet_champion(registry, known, test, self._accepted(definition))
        ours = Candidate(
            candidate.evaluation,
            candidate.probability,
            self.spans.train.rows,
            self.spans.train.x,
            self.windows.train[1],
            importance_of,
        )
        decided = self.attempt.decided
        case = Case(
            candidate=ours,
            baselines=baselines,
            test=test,
            champion=None if isinstance(rival, str) else rival,
            window_end=self.windows.test[1],
            # The champion stays what it is, whatever window made it so.
            decided=None if known is not None and known.version == version else decided,
            today=self.attempt.today,
            **({"alone": rival} if isinstance(rival, str) else {}),
        )
        primary = declared.metrics.primary
        slices = evaluate_slices(test, candidate.probability, declared.slices, primary)
        return Hearing(ours, baselines, case.champion, slices, judge(declared, case))

    def _accepted(self, definition: str) -> tuple[str, ...]:
        """The definition, and those that gave the same rows."""
        of = (one for one in self.inputs if one.definition_id == definition)
        return (definition, *(old for one in of for old in one.accepts))

    def _baseline(self, i: int) -> Fitted:
        made = self.declaration.baselines[i]
        self.progress(f"fit baseline {made.name}")
        return fit(self.declaration, made, self.spans.train, self.spans.test)


def begin(
    declaration: ModelDeclaration,
    frame: pa.Table,
    inputs: Sequence[DatasetVersion],
    timezone: str,
    attempt: Attempt,
    progress: Callable[[str], None],
) -> Trial:
    """Cut the rows into those to learn from and those to be judged on.

    Raises:
        ModelError: The frame does not fit the declaration.
    """
    windows = attempt.windows or declaration.windows(attempt.watermark, timezone)
    spans = cut(declaration, frame, timezone, windows, attempt.watermark)
    return Trial(declaration, inputs, windows, spans, attempt, progress)


def pictures(trial: Trial, hearing: Hearing, found: Sequence[Importance]) -> dict[str, Figure]:
    """Name → figure: curves, calibration, importance, the weeks of the test, slices."""
    declared, test = trial.declaration, trial.spans.test
    models = (hearing.candidate, *hearing.baselines)
    primary = declared.metrics.primary
    curves = [(m.evaluation, m.probability) for m in models]
    weeks: list[tuple[str, np.ndarray[Any, Any]]] = [(e.model, p) for e, p in curves]
    rival = hearing.champion
    if rival is not None and rival.probability is not None:
        weeks.insert(1, (f"champion version {rival.version}", rival.probability))
    made = {
        "roc": plots.roc_plot(test.y, curves),
        "calibration": plots.calibration_plot([m.evaluation for m in models]),
        "importance": plots.importance_plot(found, primary),
        "weeks": plots.weeks_plot(test.y, test.day, weeks, primary),
    }
    if hearing.slices:
        whole = hearing.candidate.evaluation
        made["slices"] = plots.slices_plot(hearing.slices, whole, primary)
    return made
