"""Seal a shop's batches, or build a file of one anew, and die: ``dying_sealing.py SHOP POINT``."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Any

from dying_build import dying
from racing_builder import OpenShop

from lakehouse import ledger, maintenance, rewriting, transaction

#: Where sealing, and where a build of a sealed batch, may be killed: (owner, function, after its
#: call rather than before).
SEALING: dict[str, tuple[Any, str, bool]] = {
    "sealing": (rewriting, "_write", True),
    "before the commit of what is sealed": (transaction.Transaction, "_write", False),
    "after the commit of what is sealed": (transaction.Transaction, "_write", True),
}
BUILDING: dict[str, tuple[Any, str, bool]] = {
    "before what stays is written": (rewriting, "_write", False),
    "what stays is written": (rewriting, "_write", True),
    "before the commit of what stays": (transaction.Transaction, "_write", False),
    "after the commit of what stays": (transaction.Transaction, "_write", True),
}


def seal(shop: OpenShop) -> maintenance.Done:
    """Maintain a shop a month from now."""
    lake = shop.lake()
    domain, then = lake.domain("shop"), ledger.now() + dt.timedelta(days=31)
    return maintenance.maintain(lake, domain, maintenance.plan(lake, domain, now=then))


if __name__ == "__main__":
    shop, point = OpenShop(Path(sys.argv[1])), sys.argv[2]
    owner, name, after = (SEALING | BUILDING)[point]
    dying(owner, name, 1, after=after)
    if point in SEALING:
        seal(shop)
    else:
        shop.build("bronze.orders")
