"""However tables are built, built again, scored and merged: one prediction per version and entity,
never changed, none lost."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_shop import ScoredShop

from lakehouse import maintenance, scoring

# No time limit on an example: a busy machine is no counterexample.
unhurried = settings(deadline=None, max_examples=10)


@dataclass
class History:
    """A shop, the versions that score it, and the predictions as they were."""

    scored: ScoredShop
    versions: int = 1
    turns: int = 0
    before: set[tuple[Any, ...]] = field(default_factory=set)

    def of(self, number: int) -> Any:
        """A version; each later one has learnt from a month more."""
        return self.scored.version(number, until=f"2026-{1 + min(number, 3):02}-01")

    def score(self) -> scoring.Scored:
        """By champion and challenger; each time the same model gives other numbers."""
        self.turns += 1

        def probabilities(x: pd.DataFrame) -> Any:
            return np.full(len(x), self.turns / 100)

        ranks = range(self.versions, max(0, self.versions - 2), -1)
        return self.scored.score(*map(self.of, ranks), probabilities=probabilities)

    def check(self) -> None:
        """Nothing that was stored is gone or changed, and nothing is there twice."""
        rows = self.scored.predictions("*")
        assert self.before <= set(rows)
        self.before = set(rows)
        named = self.scored.predictions("version, entity, prediction")
        assert len({(version, entity) for version, entity, _ in named}) == len(named)
        assert len({prediction for _, _, prediction in named}) == len(named)


Step = Callable[[History], object]

_DATES = ("2026-01-31", "2026-02-01", "2026-02-27", "2026-03-02", "2026-04-15")
_ROWS = st.lists(
    st.tuples(
        st.sampled_from(("o1", "o2", "o3", "o4")),
        st.sampled_from(("ann", "bob")),
        st.sampled_from((1, 20, 70)),
        st.sampled_from(_DATES),
    ),
    min_size=1,
    max_size=5,
)


def _land(file: str, rows: list[tuple[object, ...]]) -> Step:
    return lambda history: history.scored.shop.orders(file, *rows)


def _build(history: History) -> None:
    history.scored.shop.build()


def _rebuild(history: History) -> None:
    history.scored.shop.build("gold.features", force=True)


def _score(history: History) -> None:
    history.score()


def _promote(history: History) -> None:
    history.versions += 1


def _maintain(history: History) -> None:
    lake = history.scored.shop.lake()
    todo = maintenance.plan(lake, lake.domain("shop"), ["ops.predictions"])
    if todo.todo:
        maintenance.maintain(lake, lake.domain("shop"), todo)


#: Something is landed, something else happens, and what came of it is scored.
_ROUND = st.tuples(
    st.builds(_land, st.sampled_from(("a", "b")), _ROWS),
    st.sampled_from((_build, _rebuild, _score, _promote, _maintain)),
    st.sampled_from((_build, _rebuild)),
    st.just(_score),
)


@unhurried
@given(rounds=st.lists(_ROUND, min_size=2, max_size=4))
def test_one_prediction_per_version_and_entity(rounds: list[tuple[Step, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = History(ScoredShop(Path(folder)))
        shop = history.scored.shop
        shop.edit("bronze/orders.yaml", "source:", "on_gone: remove\n    source:")
        for step in (step for one in rounds for step in one):
            step(history)
            history.check()
        done = history.score()
        history.check()
        live = shop.rows("SELECT order_id, ordered_at FROM gold.features")
        for one in done.versions:
            if one.refused is not None:
                # Only for an order of two months, which no version may score.
                late = [o for o, at in live if f"{at:%Y-%m}" > f"2026-{min(one.version, 3):02}"]
                assert len(set(late)) < len(late)
                continue
            until = f"2026-{1 + min(one.version, 3):02}-01"
            due = {f'["{o}"]' for o, at in live if f"{at:%Y-%m-%d}" >= until}
            assert due <= {e for v, e, *_ in history.scored.predictions() if v == one.version}
