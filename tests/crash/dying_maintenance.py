"""Maintain a shop and die by SIGKILL: ``dying_maintenance.py SHOP POINT COUNT PINNED OPTIONS``.

Everything in it counts as eight days old; PINNED is a version of ``silver.orders`` that is held.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from dying_build import dying
from racing_builder import OpenShop

from lakehouse import ledger, maintenance, ops, rewriting, transaction
from lakehouse.maintenance import files
from lakehouse.maintenance.pins import Pin

#: Where it may be killed: (owner, function, after its call rather than before, at which call).
POINTS: dict[str, tuple[Any, str, bool, int]] = {
    "merging": (rewriting, "_write", True, 2),
    "before a commit": (transaction.Transaction, "_write", False, 2),
    "after a commit": (transaction.Transaction, "_write", True, 2),
    "in the midst of the vacuum": (files, "_discard", True, 3),
    "in the midst of the log": (files, "_discard", True, 12),
    "at the log of the ledger": (files, "_discard", True, 40),
    "after a table": (maintenance, "apply_table", True, 2),
    "during the ledger commit": (ops, "append", True, 1),
}


def maintain(shop: OpenShop, pinned: int) -> maintenance.Done:
    """Maintain a shop eight days from now, one version held."""
    lake = shop.lake()
    pin = Pin("shop.silver.orders", pinned, "a model")
    domain = lake.domain("shop")
    then = ledger.now() + dt.timedelta(days=8)
    # Undone at the end: the tests call this in their own process, too.
    with mock.patch.object(maintenance, "of_models", return_value=(pin,)):
        return maintenance.maintain(lake, domain, maintenance.plan(lake, domain, now=then))


if __name__ == "__main__":
    root, point, pinned = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    options: dict[str, Any] = json.loads(sys.argv[4])
    if point:
        owner, name, after, count = POINTS[point]
        dying(owner, name, count, after=after)
    maintain(OpenShop(root, **options), pinned)
