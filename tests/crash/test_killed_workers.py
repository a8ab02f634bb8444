"""Dask workers, drivers and the scheduler killed, each a process of its own."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from figures import FIGURES, ROUNDS
from killing import command, killed_build, open_shop, state

from lakehouse.engines.dask import DaskEngine
from lakehouse.errors import EngineError, LakehouseError

pytestmark = pytest.mark.crash


class Cluster:
    """A scheduler and the workers that a test starts."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[str]] = []
        self.scheduler, self.address = self.start("scheduler")

    def start(self, *arguments: object) -> tuple[subprocess.Popen[str], str]:
        """Start one process; it and its address, when it answers."""
        one = command("cluster.py", *arguments)
        self.processes.append(one)
        assert one.stdout is not None
        return one, one.stdout.readline().strip()

    def worker(self, *death: object) -> subprocess.Popen[str]:
        """A worker; with a point and a count it dies there."""
        return self.start("worker", self.address, *death)[0]

    def close(self) -> None:
        for one in self.processes:
            one.kill()
            one.communicate()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def faultless(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    shop = open_shop(tmp_path_factory.mktemp("faultless"))
    shop.build(engine="dask")
    return state(shop)


@pytest.mark.parametrize("point", ["staging", "staged"] if ROUNDS > 1 else ["staging"])
def test_a_killed_worker_s_targets_are_built_by_another(
    tmp_path: Path, faultless: tuple[object, ...], cluster: Cluster, point: str
) -> None:
    shop = open_shop(tmp_path, dask_address=cluster.address)
    doomed = cluster.worker(point, 3)
    with ThreadPoolExecutor(1) as pool:
        build = pool.submit(shop.build, engine="dask")
        assert doomed.wait(timeout=60) == -signal.SIGKILL
        FIGURES[f"Dask workers killed: {point}"] += 1
        cluster.worker()
        done = build.result(timeout=120)
    assert {table.engine for table in done.changed} == {"dask"}
    assert state(shop) == faultless


def test_a_killed_driver_leaves_the_cluster_to_the_next(
    tmp_path: Path, faultless: tuple[object, ...], cluster: Cluster
) -> None:
    options = {"dask_address": cluster.address, "engine": "dask"}
    shop = open_shop(tmp_path, dask_address=cluster.address)
    cluster.worker()
    for point in ("audit", "before the table commit"):
        assert killed_build(tmp_path, point, 2, options) == -signal.SIGKILL
    shop.build(engine="dask")
    assert state(shop) == faultless


def test_without_its_scheduler_a_build_ends_with_a_named_error(
    tmp_path: Path, faultless: tuple[object, ...], cluster: Cluster
) -> None:
    shop = open_shop(tmp_path, dask_address=cluster.address)
    doomed = cluster.worker("staged", 2)
    with ThreadPoolExecutor(1) as pool:
        build = pool.submit(shop.build, engine="dask")
        doomed.wait(timeout=60)
        cluster.scheduler.kill()
        with pytest.raises(LakehouseError) as raised:
            build.result(timeout=120)
    FIGURES["schedulers killed"] += 1
    assert raised.value.remedy
    open_shop(tmp_path).build(engine="local")
    assert state(open_shop(tmp_path)) == faultless


def test_a_scheduler_that_is_gone_is_named_when_it_is_asked_for_its_threads(
    cluster: Cluster,
) -> None:
    engine = DaskEngine(cluster.address, 1)
    try:
        assert engine.slots >= 1
        cluster.scheduler.kill()
        cluster.scheduler.wait()
        with pytest.raises(EngineError, match=cluster.address):
            _ = engine.slots
    finally:
        engine.close()
