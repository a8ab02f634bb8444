"""The Dask engine: one task per target, on threads of this process or on a cluster."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from lakehouse.engines import kernel
from lakehouse.engines.base import Staged, Task
from lakehouse.errors import EngineError, cause
from lakehouse.sql import Dialect

__all__ = ["DaskEngine"]

#: How long a scheduler may take to answer.
_PATIENCE = "10s"
_LOOPBACK = "127.0.0.1:0"


class DaskEngine:
    """Stages targets side by side.

    Args:
        address: A scheduler's address; empty starts threads in this process, which
            listen on loopback only.
        threads: How many targets at once, without an address.
    """

    name = "dask"
    dialect: Dialect = "duckdb"
    spreads = False

    def __init__(self, address: str, threads: int) -> None:
        self.address, self.threads = address, threads
        self._client: Any = None
        self._lock = threading.Lock()

    @property
    def client(self) -> Any:
        """The connection, made at first use: importing Dask takes most of a second."""
        with self._lock:
            if self._client is None:
                self._client = self._connect()
        return self._client

    @property
    def slots(self) -> int:
        """Threads of all workers.

        Raises:
            EngineError: The scheduler does not answer, or no more.
        """
        if not self.address:
            return self.threads
        client = self.client
        try:
            return max(1, sum(map(int, client.nthreads().values())))
        except OSError as error:
            raise self._unreachable(error) from error

    def _connect(self) -> Any:
        import dask
        from distributed import Client, LocalCluster

        if self.address:
            try:
                return Client(self.address, timeout=_PATIENCE, set_as_default=False)
            except OSError as error:
                raise self._unreachable(error) from error
        # Its lines would go to whoever has set up the root logger (Prefect does).
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        # Memory is limited inside DuckDB, which spills; Dask's own limits would pause the threads.
        with dask.config.set({"distributed.worker.memory.terminate": False}):
            cluster = LocalCluster(
                n_workers=1,
                threads_per_worker=self.threads,
                processes=False,
                # Without an address each would serve HTTP on every interface.
                dashboard_address=_LOOPBACK,
                worker_dashboard_address=_LOOPBACK,
                memory_limit=0,
                silence_logs=logging.CRITICAL,
            )
        return Client(cluster, set_as_default=False)

    def _unreachable(self, error: OSError) -> EngineError:
        return EngineError(
            f"connect to the Dask scheduler {self.address}",
            str(error) or type(error).__name__,
            "start it ('dask scheduler'), correct LAKE_DASK_ADDRESS, or unset it",
        )

    def stage(self, tasks: Sequence[Task]) -> Iterator[Staged]:
        """Stage every task; each comes when it is ready.

        Raises:
            EngineError: Workers died again and again over a task, or the scheduler went away.
        """
        from distributed import CancelledError, KilledWorker, as_completed

        futures = self.client.map(
            kernel.stage,
            tasks,
            pure=False,
            key=[f"{task.name}-{i}-{id(task)}" for i, task in enumerate(tasks)],
        )
        try:
            for done in as_completed(futures, loop=self.client.loop):
                yield from done.result()
        except (CancelledError, KilledWorker, OSError) as error:
            raise EngineError(
                f"stage {tasks[0].table} on {self.address or 'threads of this process'}",
                cause(error),
                "see the workers' logs; one that lacks memory dies at the same target each time: "
                "lower LAKE_WORKER_MEMORY, or give it more; then 'lake build' goes on",
            ) from error
        finally:
            self.client.cancel(futures)

    def close(self) -> None:
        """Stop the threads, or leave the cluster."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            cluster = client.cluster
            client.close()
            if cluster is not None:
                cluster.close()
