"""A shop with a model whose world changes: months land, the orders' sizes and their meaning shift."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path
from typing import Any

from order_model import MODEL, MODEL_YAML, ModelShop

from lakehouse.retraining import Facts, Trigger, job
from lakehouse.retraining.gather import gather
from lakehouse.retraining.job import Decided
from lakehouse.training.job import Order, Trained, find, train_here

__all__ = ["DAY", "LoopShop", "crash", "here", "loop_yaml"]

DAY = dt.timedelta(days=1)

_POLICY = """\
retrain: {{new_rows: {new_rows}, cooldown: {cooldown}, budget: {{attempts: {attempts}, per: 7 days}}}}
monitors:
  window: 14 days
  drift: {{share: 0.3, effect: 0.1, min_rows: 150}}
  performance: {{metric: roc_auc, drop: 0.05, windows: 5, bad: 1, min_rows: 150}}
  freshness: {{at_most: 100000 days}}
"""


def loop_yaml(new_rows: int = 500, cooldown: str = "20 hours", attempts: int = 3) -> str:
    """The model's declaration with a policy."""
    gates = MODEL_YAML.index("gates:")
    lines = [
        "gates:",
        "- {name: beats_baseline, metric: roc_auc, by: 0.02}",
        "- {name: beats_champion, kind: champion, metric: roc_auc, margin: 0.05}",
        "- {name: volume, kind: volume, at_least: 100}",
    ]
    policy = _POLICY.format(new_rows=new_rows, cooldown=cooldown, attempts=attempts)
    return MODEL_YAML[:gates] + "\n".join(lines) + "\n" + policy


class LoopShop(ModelShop):
    """A shop of 2026 in which time is played: it is what the last order says."""

    def __init__(self, root: Path, model: str = "", **overrides: Any) -> None:
        super().__init__(root, model or loop_yaml(), **overrides)

    def land_month(
        self, month: int, *, rows: int = 600, shift: int = 0, flipped: bool = False
    ) -> None:
        """Land a month.

        Args:
            month: Of 2026.
            rows: How many orders.
            shift: Added to all amounts: the features drift, the label follows them.
            flipped: Small amounts are the large orders now: the model is wrong.
        """
        make = random.Random(month)
        made = []
        for i in range(rows):
            amount = make.randrange(100)
            large = make.random() < 1 / (1 + 2.7 ** (-(amount - 50) / 12))
            name = make.choice("abc") + ("L" if large != flipped else "S") + "n" * make.randrange(5)
            day = i * 28 // rows + 1
            made.append((f"{month}-{i}", name, amount + shift, f"2026-{month:02d}-{day:02d}"))
        self.orders(f"2026-{month:02d}", *made)

    def month(self, month: int, **how: Any) -> None:
        """Land and build a month."""
        self.land_month(month, **how)
        self.build()

    def facts(self, now: dt.datetime, kind: str = "schedule") -> Facts:
        """What is known."""
        lake = self.lake()
        owner, model = find(lake, MODEL, "shop")
        return gather(lake, owner, model, [Trigger(kind)], now)  # type: ignore[arg-type]

    def ask(self, now: dt.datetime, kind: str = "schedule", **how: Any) -> Decided:
        """Ask the arbiter; trainings are done in this process."""
        force, because = how.pop("force", False), how.pop("because", "")
        trigger = Trigger(kind, because, "ann" if kind == "on demand" else "", force)  # type: ignore[arg-type]
        return job.retrain(
            self.lake(), MODEL, triggers=[trigger], now=now, **({"train": here} | how)
        )


def here(lake: Any, name: str, **how: Any) -> Trained:
    """Train in this process."""
    progress = how.pop("progress")
    return train_here(lake, Order(name, **how), progress)


def crash(*_: Any, **__: Any) -> Trained:
    """Die as a process dies that is killed."""
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError
