"""How large the crash set is, and what it did: printed at the end, copied into the documents."""

from __future__ import annotations

import os
from collections import Counter

__all__ = ["FIGURES", "ROUNDS", "SEED"]

#: Rounds of what is left to chance; ``make test-crash`` asks for more.
ROUNDS = int(os.environ.get("LAKE_CRASH_ROUNDS", "1"))
#: The first round's seed: ``LAKE_CRASH_SEED=17 LAKE_CRASH_ROUNDS=1`` repeats round 17 alone.
SEED = int(os.environ.get("LAKE_CRASH_SEED", "0"))
#: What happened → how often.
FIGURES: Counter[str] = Counter()
