"""Build again and again beside others: ``racing_builder.py SHOP NAME BUILDS SEED OPTIONS``.

Says ``ready``, waits for a line, and ends with one line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path
from typing import Any

from shop import Shop

from lakehouse import commit

#: Some time after every other landing, so that one builder's files are no others'.
_EPOCH = 1_790_000_000


class OpenShop(Shop):
    """A shop whose declarations are there already: others read them at this moment."""

    def write(self, name: str, text: str) -> None:
        """Leave it as it is."""


def land(shop: Shop, name: str, turn: int, month: int) -> str:
    """One more file with one order, whole when it appears; returns the order."""
    order = f"{name}-{turn:03}"
    file = shop.landing / "orders" / f"{order}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".part")
    draft.write_text(f"order_id,customer,amount,ordered\n{order},ann,1,2026-{month:02}-03\n")
    os.utime(draft, (_EPOCH + turn, _EPOCH + turn))
    draft.rename(file)
    return order


if __name__ == "__main__":
    root, name, builds, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    options: dict[str, Any] = json.loads(sys.argv[5])
    tables = options.pop("tables")
    shop, chance = OpenShop(root, tables, **options), random.Random(f"{seed}-{name}")
    orders: list[str] = []
    versions: list[tuple[str, int, str]] = []
    attempts: list[int] = []
    real = commit.publish

    def publish(*args: Any, **kwargs: Any) -> commit.Commit:
        made = real(*args, **kwargs)
        attempts.append(made.attempts)
        if made.published:
            versions.append((args[0].short, made.version, kwargs["run"]))
        return made

    commit.publish = publish
    shop.lake()
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(builds):
        month = chance.randint(1, 3)
        if chance.random() < 0.3 and turn:
            shop.build("silver.orders", force=True, partitions=[f"2026-{month:02}-01"])
        else:
            orders.append(land(shop, name, turn, month))
            shop.build("silver.orders")
    print(json.dumps({"orders": orders, "versions": versions, "attempts": attempts}))
