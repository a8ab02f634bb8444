"""Build a shop and die by SIGKILL: ``python dying_build.py SHOP POINT COUNT [OPTIONS]``.

Without a point it says ``ready`` before it builds, and whoever started it kills it when he likes.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shop import Shop

from lakehouse import audit, commit, ops, transaction
from lakehouse.build import table
from lakehouse.engines import kernel, writer


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying(owner: Any, name: str, count: int, *, after: bool) -> None:
    """Let the ``count``-th call of a function be the last thing this process does."""
    real: Callable[..., Any] = getattr(owner, name)
    # Tables are built side by side: a plain counter would be passed by another thread.
    turns = itertools.count(1)

    def call(*args: Any, **kwargs: Any) -> Any:
        turn = next(turns)
        if turn == count and not after:
            die()
        result = real(*args, **kwargs)
        if turn == count:
            die()
        return result

    setattr(owner, name, call)


#: Where a builder may be killed: (owner, function, after its call rather than before).
POINTS: dict[str, tuple[Any, str, bool]] = {
    "staging": (writer, "_write", True),
    "staged": (kernel, "stage", True),
    "audit": (audit, "judge", False),
    "before the quarantine commit": (commit, "_publish_quarantine", False),
    "after the quarantine commit": (commit, "_publish_quarantine", True),
    "before the table commit": (transaction.Transaction, "_write", False),
    "after the table commit": (transaction.Transaction, "_write", True),
    "during the ledger commit": (ops, "append", True),
}


def die_at(point: str, count: int) -> None:
    owner, name, after = POINTS[point]
    dying(owner, name, count, after=after)


if __name__ == "__main__":
    root, point, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    options: dict[str, Any] = json.loads(sys.argv[4]) if len(sys.argv) > 4 else {}
    engine = options.pop("engine", "local")
    table._PORTION_S = options.pop("portion", table._PORTION_S)
    shop = Shop(root, **options)
    if point:
        die_at(point, count)
    else:
        shop.lake()
        print("ready", flush=True)
    shop.build(engine=engine)
