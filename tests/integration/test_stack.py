"""The real services, started, killed, started again and stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lakehouse import stack
from lakehouse.errors import StackError
from lakehouse.stack import process, state


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "a folder" / ".lake"
    try:
        yield made
    finally:
        stack.down(made)
        assert process.marked(made) == []


def states(folder: Path) -> dict[str, str]:
    return {s.name: s.state for s in stack.status(folder)}


def kill(service: stack.Service) -> None:
    os.kill(service.pid, signal.SIGKILL)
    while process.alive(service):
        pass


def answer(url: str, **headers: str) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=30) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.s3
class TestS3:
    def test_objects_survive_a_kill_and_another_start(self, folder: Path) -> None:
        (service,) = stack.up(folder, ["s3"])
        put(folder, b"one")
        kill(service)
        assert states(folder)["s3"] == "died"
        (again,) = stack.up(folder, ["s3"])
        assert again.pid != service.pid
        assert get(folder) == b"one"
        assert stack.down(folder) == ["s3"]
        assert set(states(folder).values()) == {"stopped"}
        stack.up(folder, ["s3"])
        assert get(folder) == b"one"

    def test_up_again_starts_nothing(self, folder: Path) -> None:
        said: list[str] = []
        first = stack.up(folder, ["s3", "docs"])
        assert stack.up(folder, ["s3", "docs"], said.append) == first
        assert all("already running" in line for line in said)

    def test_many_at_once_start_one(self, folder: Path) -> None:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: stack.up(folder, ["s3"]), range(4)))
        assert len({services[0].pid for services in found}) == 1
        assert len(process.marked(folder)) == 1

    def test_strangers_are_refused_and_the_secret_is_in_one_file_only(self, folder: Path) -> None:
        (service,) = stack.up(folder, ["s3"])
        assert answer(f"{service.url}/lake") == 403
        secret = state.credentials(folder).secret_key.encode()
        files = [p for p in folder.rglob("*") if p.is_file() and secret in p.read_bytes()]
        assert [p.name for p in files] == ["s3.json"]

    def test_a_start_that_fails_shows_the_log_and_leaves_nothing(self, folder: Path) -> None:
        (folder / "s3").mkdir(parents=True)
        (folder / "s3" / "filerldb2").write_text("in the way")
        with pytest.raises(StackError) as error:
            stack.up(folder, ["s3"])
        assert "it ended" in error.value.found
        assert "filerldb2" in error.value.found
        assert error.value.file == str(folder / "logs" / "s3.log")
        assert process.marked(folder) == []


def client(folder: Path) -> object:
    import s3fs

    found = stack.environment(folder)
    return s3fs.S3FileSystem(
        key=found["AWS_ACCESS_KEY_ID"],
        secret=found["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=found["LAKE_S3_ENDPOINT"],
        skip_instance_cache=True,
    )


def put(folder: Path, content: bytes) -> None:
    client(folder).pipe("lake/x", content)  # type: ignore[attr-defined]


def get(folder: Path) -> bytes:
    return bytes(client(folder).cat("lake/x"))  # type: ignore[attr-defined]


def test_a_taken_port_is_left_to_its_owner(folder: Path) -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", 8080))
            server.listen()
        except OSError:
            pass  # somebody else has it: as good
        said: list[str] = []
        (docs,) = stack.up(folder, ["docs"], said.append)
        assert docs.port != 8080
        assert f"docs: port 8080 is taken, {docs.port} is used" in said
        assert answer(docs.url) == 200
    stack.down(folder)
    # Pages link to it: it stays, though the usual one may be free again.
    (again,) = stack.up(folder, ["docs"])
    assert again.url == docs.url


@pytest.mark.prefect
def test_the_whole_stack(folder: Path) -> None:
    services = {s.name: s for s in stack.up(folder)}
    assert tuple(services) == stack.USUAL
    found = states(folder)
    assert {name for name in found if found[name] == "running"} == set(stack.USUAL)

    prefect, mlflow = services["prefect"].url, services["mlflow"].url
    assert answer(f"{prefect}/api/health") == answer(mlflow) == 200
    # A page from elsewhere may not use the browser's way to this machine.
    assert answer(f"{mlflow}/api/2.0/mlflow/experiments/get", Host="evil.example") == 403
    pool = urllib.request.Request(
        f"{prefect}/api/work_pools/lake", headers={"Origin": "http://evil.example"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(pool, timeout=30) as reply:
        assert json.load(reply)["type"] == "process"
        assert reply.headers["Access-Control-Allow-Origin"] is None

    kill(services["docs"])
    assert states(folder)["docs"] == "died"
    again = {s.name: s for s in stack.up(folder)}
    assert {name for name in again if again[name] != services[name]} == {"docs"}

    found = stack.environment(folder)
    assert found["PREFECT_API_URL"] == f"{prefect}/api"
    assert found["MLFLOW_TRACKING_URI"] == mlflow
    assert found["LAKE_URI"] == "s3://lake"
    assert stack.down(folder) == list(stack.USUAL)
