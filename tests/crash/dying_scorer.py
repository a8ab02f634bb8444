"""Score a shop and die by SIGKILL: ``python dying_scorer.py SHOP POINT COUNT [OPTIONS]``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from dying_build import dying
from racing_builder import OpenShop
from scored_shop import ScoredShop

from lakehouse import transaction
from lakehouse.scoring import work

__all__ = ["POINTS"]

#: Where a scorer may be killed: (owner, function, after its call rather than before).
POINTS: dict[str, tuple[Any, str, bool]] = {
    "scorer: predicted": (work, "predicted", True),
    "scorer: staged": (work.Work, "_stage", True),
    "scorer: before the commit": (transaction.Transaction, "_write", False),
    "scorer: after the commit": (transaction.Transaction, "_write", True),
}

if __name__ == "__main__":
    root, point, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    options: dict[str, Any] = json.loads(sys.argv[4]) if len(sys.argv) > 4 else {}
    scored = ScoredShop(root, OpenShop, **options)
    owner, name, after = POINTS[point]
    dying(owner, name, count, after=after)
    scored.score()
