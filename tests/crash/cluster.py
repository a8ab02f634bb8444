"""One process of a Dask cluster: ``cluster.py scheduler`` or ``worker ADDRESS [POINT COUNT]``."""

from __future__ import annotations

import asyncio
import sys

from distributed import Scheduler, Worker
from dying_build import die_at

_LOOPBACK = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}


async def scheduler() -> None:
    async with Scheduler(port=0, **_LOOPBACK) as one:
        print(one.address, flush=True)
        await one.finished()


async def worker(address: str) -> None:
    async with Worker(address, nthreads=2, memory_limit=0, **_LOOPBACK) as one:
        print(one.address, flush=True)
        await one.finished()


if __name__ == "__main__":
    if sys.argv[1] == "scheduler":
        asyncio.run(scheduler())
    else:
        if len(sys.argv) > 3:
            die_at(sys.argv[3], int(sys.argv[4]))
        asyncio.run(worker(sys.argv[2]))
