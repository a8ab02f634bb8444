"""Scatter and maintain again and again beside builders: ``racing_maintainer.py SHOP OPTIONS``.

Says ``ready`` and goes on until its input is closed; ends with the number of its rounds and of
the files that each act was done to.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from racing_builder import OpenShop
from scattered import scatter

from lakehouse import maintenance

if __name__ == "__main__":
    root, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    shop = OpenShop(root, options.pop("tables"), **options)
    lake = shop.lake()
    domain = lake.domain("shop")
    print("ready", flush=True)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set())).start()
    rounds, done = 0, Counter[str]()
    while rounds < 3 or not ended.is_set():
        scatter(shop, "silver.orders", 2)
        steps: dict[str, Any] = maintenance.maintain(
            lake, domain, maintenance.plan(lake, domain)
        ).steps
        for step in (step for of_table in steps.values() for step in of_table):
            done[str(step.act)] += step.files
        rounds += 1
    print(json.dumps({"rounds": rounds, "files": done}))
