"""A shop to be built, builders to be killed, and what must be there in the end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from json import dumps
from pathlib import Path

from figures import FIGURES
from shop import Shop

__all__ = [
    "BAD",
    "build_to_kill",
    "command",
    "killed_at_random",
    "killed_build",
    "open_shop",
    "state",
]

HERE = Path(__file__).parent
BAD = (("a9", "ann", 5000, "2026-01-09"), ("b9", "", 5, "2026-02-09"), ("x", "bob", 1, "no date"))
#: Orders that :func:`open_shop` lands, BAD among them.
RECORDS = 8
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "NO_PROXY", "no_proxy")


def open_shop(root: Path, **options: object) -> Shop:
    """A shop with rows for every quarantine: too dear, without customer, without a month."""
    shop = Shop(root, **options)
    shop.open_for_business()
    shop.orders("2026-02-late", ("a3", "cid", 30, "2026-01-31"), *BAD)
    return shop


def state(shop: Shop) -> tuple[object, ...]:
    """Every row that is published and every row that is kept out; the row law holds."""
    kept_out = {
        table: sorted(
            shop.rows(f"SELECT order_id, _violations::VARCHAR FROM {table}__quarantine"), key=repr
        )
        for table in ("bronze.orders", "silver.orders")
    }
    ((bronze,),) = shop.rows("SELECT count(*) FROM bronze.orders")
    ((silver,),) = shop.rows("SELECT count(*) FROM silver.orders")
    assert bronze + len(kept_out["bronze.orders"]) == RECORDS
    assert silver + len(kept_out["silver.orders"]) == bronze
    assert shop.plan().targets == ()
    return shop.everything(), kept_out


def command(script: str, *arguments: object) -> subprocess.Popen[str]:
    """A script of this folder, in a process of its own."""
    path = os.pathsep.join(map(str, (HERE, HERE.parent, HERE.parents[1])))
    keys = {name: os.environ[name] for name in _KEYS if name in os.environ}
    return subprocess.Popen(
        [sys.executable, str(HERE / script), *map(str, arguments)],
        env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin", **keys},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def build_to_kill(
    root: Path, point: str, count: int, options: Mapping[str, object]
) -> subprocess.Popen[str]:
    return command("dying_build.py", root, point, count, dumps(dict(options)))


def killed_build(
    root: Path, point: str, count: int = 1, options: Mapping[str, object] | None = None
) -> int:
    """The exit code of a build that is to die at the ``count``-th passing of a point."""
    with build_to_kill(root, point, count, options or {}) as builder:
        _, told = builder.communicate(timeout=120)
    assert builder.returncode in (0, -signal.SIGKILL), told
    if builder.returncode:
        FIGURES[f"builders killed: {point}"] += 1
    else:
        FIGURES["builders that were done before"] += 1
    return builder.returncode


def killed_at_random(root: Path, chance: random.Random, options: Mapping[str, object]) -> int:
    """The exit code of a build that is killed at some moment of its first second."""
    with build_to_kill(root, "", 1, options) as builder:
        assert builder.stdout is not None
        assert builder.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0, 1.0))
        builder.kill()
        _, told = builder.communicate(timeout=120)
    assert builder.returncode in (0, -signal.SIGKILL), told
    FIGURES[
        "builders killed: at any moment" if builder.returncode else "builders that were done before"
    ] += 1
    return builder.returncode
