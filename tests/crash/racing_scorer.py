"""Score a shop beside others: ``racing_scorer.py SHOP SHARE OPTIONS``.

Says ``ready``, and for each line that it gets scores once and says what it added.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from racing_builder import OpenShop
from scored_shop import ScoredShop

if __name__ == "__main__":
    root, share = Path(sys.argv[1]), float(sys.argv[2])
    options: dict[str, Any] = json.loads(sys.argv[3])
    scored = ScoredShop(root, OpenShop, **options)
    scored.shop.lake()
    print("ready", flush=True)
    for _ in sys.stdin:
        # Each gives another number, so that it can be seen whose prediction is there.
        done = scored.score(probabilities=lambda x: np.full(len(x), share))
        [one] = done.versions
        print(json.dumps({"rows": one.rows, "looked": len(one.partitions)}), flush=True)
