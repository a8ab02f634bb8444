"""A real Prefect server with a worker, for tests: asked over its API, run from a project's folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakehouse import stack

__all__ = ["PROJECT", "PrefectServer", "asked", "running", "until", "variables"]

PROJECT = Path(__file__).parents[1]
TERMINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_DEADLINE_S = 240.0


def until(look: Callable[[], Any], what: str, seconds: float = _DEADLINE_S) -> Any:
    """What ``look`` gives as soon as it gives something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.25)
    raise AssertionError(f"waited for {what}")


def asked(url: str, body: object = None) -> Any:
    """What a server answers to one request: POST when there is a body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def answered() -> tuple[bytes] | None:
        try:
            with opener.open(request, timeout=30) as reply:
                return (reply.read(),)
        except urllib.error.HTTPError as error:
            # Its SQLite file is locked for a moment; Prefect's own client tries again too.
            with error:
                if error.code != 503:
                    raise
            return None

    (answer,) = until(answered, url, 60)
    return json.loads(answer) if answer else None


@contextmanager
def variables(wanted: Mapping[str, str]) -> Iterator[None]:
    """Only these of the variables that Prefect, the library and MLflow read."""
    prefixes = ("PREFECT_", "LAKE_", "AWS_", "MLFLOW_")
    before = dict(os.environ)
    kept = {n: v for n, v in before.items() if not n.startswith(prefixes)}
    try:
        os.environ.clear()
        os.environ.update(kept | wanted)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@dataclass(frozen=True)
class PrefectServer:
    """A server, its worker, and the project that is deployed to it.

    Attributes:
        project: The folder with prefect.yaml.
        state: The state folder.
        own: The lake's settings as variables.
        services: Those that run.
    """

    project: Path
    state: Path
    own: Mapping[str, str]
    services: tuple[str, ...]

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a process that uses the server."""
        return stack.environment(self.state) | self.own

    @property
    def url(self) -> str:
        """The API."""
        return self.environment["PREFECT_API_URL"]

    def ask(self, path: str, body: object = None) -> Any:
        """One request to the API: POST when there is a body."""
        return asked(f"{self.url}{path}", body)

    def python(self, *command: str) -> tuple[int, str]:
        """Run Python in the project's folder: exit code and all that it says."""
        with variables(self.environment):
            done = subprocess.run(
                [sys.executable, *command],
                check=False,
                cwd=self.project,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=240,
            )
        return done.returncode, done.stdout

    def lake(self, *words: str) -> tuple[int, str]:
        """The ``lake`` command in the project's folder."""
        return self.python("-c", "from lakehouse.cli import main; main()", *words)

    def start(self, deployment: str, **parameters: object) -> str:
        """Have a deployment run: the id of the run."""
        id_ = self.ask(f"/deployments/name/{deployment}")["id"]
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        made: str = self.ask(f"/deployments/{id_}/create_flow_run", body)["id"]
        return made

    def ended(self, run: str) -> dict[str, Any]:
        """A flow run that has ended."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.ask(f"/flow_runs/{run}")
            return found if found["state_type"] in TERMINAL else None

        made: dict[str, Any] = until(look, f"the end of {run}; {self.log()}")
        return made

    def run(self, deployment: str, **parameters: object) -> dict[str, Any]:
        """Have a deployment run, and wait for its end."""
        return self.ended(self.start(deployment, **parameters))

    def runs(self, flow: str) -> list[dict[str, Any]]:
        """The runs of a flow, the oldest first."""
        by_flow = {"flows": {"name": {"any_": [flow]}}, "sort": "EXPECTED_START_TIME_ASC"}
        found: list[dict[str, Any]] = self.ask("/flow_runs/filter", by_flow)
        return found

    def count_runs(self) -> int:
        """How many runs there are, without those that schedules foresee."""
        asked = {"flow_runs": {"state": {"name": {"not_any_": ["Scheduled"]}}}}
        found: int = self.ask("/flow_runs/count", asked)
        return found

    def busy(self) -> bool:
        """Whether something runs, or was asked for and waits to run."""
        open_ = {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING"]}}
        found = self.ask("/flow_runs/filter", {"flow_runs": {"state": open_}})
        return any(not run["auto_scheduled"] for run in found)

    def artifacts(self, run: str) -> dict[str, str]:
        """The run's artifacts: key → markdown."""
        by_run = {"artifacts": {"flow_run_id": {"any_": [run]}}}
        return {a["key"]: a["data"] for a in self.ask("/artifacts/filter", by_run)}

    def log(self) -> str:
        """The end of the worker's log."""
        file = self.state / "logs" / "worker.log"
        return file.read_text()[-3000:] if file.exists() else ""


@contextmanager
def running(
    project: Path, state: Path, own: Mapping[str, str], services: tuple[str, ...]
) -> Iterator[PrefectServer]:
    """A server and a worker for a project; both are gone afterwards."""
    try:
        with variables(own):
            stack.up(state, services, hand_down_s3=False)
        yield PrefectServer(project, state, own, services)
    finally:
        stack.down(state)
