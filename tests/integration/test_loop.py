"""The loop under a real server: months land, models train, alarms ring, and everyone can see why.

The deployments are the project's own prefect.yaml, over a small shop. The tests of this module are
one story: each begins where the one before ended.
"""

from __future__ import annotations

import datetime as dt
import http.server
import json
import os
import shutil
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from loop_shop import LoopShop, loop_yaml
from order_model import MODEL
from prefect_server import PROJECT, PrefectServer, running, until, variables

from lakehouse import stack
from lakehouse.errors import StackError
from lakehouse.ledger import Ledger
from lakehouse.registry import Registry, registry_of
from lakehouse.stack import process
from lakehouse.stack.ports import free

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(900)]

long = pytest.mark.skipif(not os.environ.get("LAKE_LOOP"), reason="make test-loop")

_FREE = loop_yaml(cooldown="0 minutes", attempts=100)


@dataclass
class Loop:
    """A shop whose loop runs by itself."""

    shop: LoopShop
    server: PrefectServer
    told: list[dict[str, Any]] = field(default_factory=list)

    def policy(self, **policy: Any) -> None:
        """Declare another policy; what decides the fitted model stays."""
        self.shop.write(f"models/{MODEL}.yaml", loop_yaml(**({"attempts": 100} | policy)))

    def land(self, month: int, then: Callable[[], bool], **how: Any) -> None:
        """Land a month and have it built; wait for what follows, and until all has ended."""
        self.shop.land_month(month, **how)
        built = self.server.run("elt/shop", domain="shop", engine="local")
        assert built["state_type"] == "COMPLETED", built["state"]
        until(then, f"what follows month {month}; {self.decided()[-3:]}")
        self.settle()

    @contextmanager
    def here(self) -> Iterator[None]:
        """Code of this process uses the server."""
        from prefect.context import refresh_global_settings_context

        try:
            with variables(self.server.environment):
                refresh_global_settings_context()
                yield
        finally:
            refresh_global_settings_context()

    def settle(self) -> None:
        """Wait until nothing runs and no event is on its way."""
        before, since = -1, time.monotonic()
        # Longer than an automation waits for more events, and the server for them.
        while time.monotonic() < since + 8:
            if (runs := self.server.count_runs()) != before or self.server.busy():
                before, since = runs, time.monotonic()
            assert time.monotonic() < since + 300
            time.sleep(0.5)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Rows of an ops table, the oldest first."""
        found = Ledger(self.shop.lake().storage).rows(table)
        order = {"decisions": "decision", "promotions": "promotion"}.get(table, "run")
        return sorted(found, key=lambda r: str(r[order]))

    def decided(self, since: int = 0) -> list[tuple[str, set[str]]]:
        """Verdict and the codes of the deciding reasons of each decision."""
        found = []
        for row in self.rows("decisions")[since:]:
            weight = "for" if row["verdict"] == "train" else "against"
            codes = {r["code"] for r in json.loads(row["reasons"]) if r["weight"] == weight}
            found.append((row["verdict"], codes))
        return found

    def trained(self, since: int) -> list[set[str]]:
        """Why it was trained, by the decisions after the first so many."""
        return [codes for verdict, codes in self.decided(since) if verdict == "train"]

    @property
    def registry(self) -> Registry:
        """The registry, as the server's."""
        with variables(self.server.environment):
            return registry_of(self.shop.settings)

    def champion(self) -> int:
        """The version in use; 0 for none."""
        with variables(self.server.environment):
            found = self.registry.champion(MODEL)
        return found.version if found else 0

    def predicted(self) -> dict[int, set[str]]:
        """Version → the partitions that it predicted."""
        found: dict[int, set[str]] = {}
        for row in self.rows("predictions"):
            found.setdefault(row["version"], set()).add(row["partition"])
        return found


def project(folder: Path) -> Path:
    """The project's own flows and deployments, for the shop."""
    folder.mkdir()
    # A copy: an edit meanwhile would be a difference to what is deployed.
    shutil.copytree(PROJECT / "flows", folder / "flows")
    for name in ("lakehouse", "jobs"):
        (folder / name).symlink_to(PROJECT / name)
    text = (PROJECT / "prefect.yaml").read_text()
    for old, new in (
        ("gold.flight_features", "gold.features"),
        ("late_arrival", MODEL),
        ("flights", "shop"),
        ("active: true", "active: false"),
        ("within: 10, schedule_after: 10", "within: 2, schedule_after: 2"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "prefect.yaml").write_text(text)
    automations = folder / "deployments" / "automations"
    automations.mkdir(parents=True)
    for file in (PROJECT / "deployments" / "automations").glob("*.yaml"):
        (automations / file.name).write_text(file.read_text().replace("within: 90", "within: 45"))
    return folder


@pytest.fixture(scope="module")
def received() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Somebody who wants to be told of failures: an address, and what was sent there."""
    told: list[dict[str, Any]] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/T0KEN", told
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def loop(
    tmp_path_factory: pytest.TempPathFactory, received: tuple[str, list[dict[str, Any]]]
) -> Iterator[Loop]:
    root = tmp_path_factory.mktemp("loop")
    shop = LoopShop(root / "shop", _FREE)
    own = {
        "LAKE_URI": shop.settings.uri,
        "LAKE_LANDING": shop.settings.landing,
        "LAKE_DOMAINS": str(shop.settings.domains),
        "LAKE_STATE": str(shop.settings.state),
        "LAKE_THREADS": "1",
        "LAKE_WORKER_MEMORY": "256MB",
        "LAKE_NOTIFY_URL": received[0],
    }
    services = ("prefect", "mlflow", "worker")
    with running(project(root / "project"), shop.settings.state, own, services) as server:
        yield Loop(shop, server, received[1])


class TestDeploy:
    def test_check_shows_all_and_makes_nothing(self, loop: Loop) -> None:
        code, said = loop.server.lake("deploy", "--check")
        assert code == 4, said
        assert f"add     deployment  retrain/{MODEL}" in said
        assert loop.server.ask("/deployments/filter", {}) == []

    def test_once_and_then_there_is_nothing_to_do(self, loop: Loop) -> None:
        code, said = loop.server.lake("deploy")
        assert code == 0, said
        assert "T0KEN" not in said
        code, said = loop.server.lake("deploy", "--check")
        assert (code, said.startswith("nothing to do")) == (0, True), said

    def test_what_is_gone_is_removed_and_what_fails_changes_nothing(
        self, loop: Loop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from flows.deploy import deploy

        file = loop.server.project / "prefect.yaml"
        right = file.read_text()
        monkeypatch.chdir(loop.server.project)
        with loop.here():
            try:
                late = right.replace('cron: "0 7 * * 1"', 'cron: "0 8 * * 1"')
                command = '"python -m prefect.engine"'
                file.write_text(late.replace(f"{command}}}", f"{command}, env: [1]}}"))
                with pytest.raises(StackError, match=r"all is as it was"):
                    deploy(Path.cwd())
                file.write_text(right.replace("concurrency_limit:", "concurency_limit:", 1))
                with pytest.raises(StackError, match="did you mean 'concurrency_limit'"):
                    deploy(Path.cwd())
                file.write_text(right[: right.index("  - name: crashed")])
                changes = deploy(Path.cwd(), check=True)
                assert [(c.act, c.name) for c in changes] == [("remove", "reconcile/crashed")], (
                    changes
                )
                file.write_text(late)
                (change,) = deploy(Path.cwd())
                assert change.details == (
                    'schedules.weekly.schedule.cron: "0 7 * * 1" → "0 8 * * 1"',
                )
            finally:
                file.write_text(right)
            assert len(deploy(Path.cwd())) == 1
            assert deploy(Path.cwd()) == ()


def test_the_first_months_make_a_champion_that_scores(loop: Loop) -> None:
    for month in (1, 2):
        loop.shop.land_month(month)
    loop.land(3, lambda: 1 in loop.predicted())
    assert loop.decided() == [("train", {"no champion"})]
    # The rows were there before the first version: nobody is told of that as of a failure.
    states = [r["state_name"] for r in loop.server.runs("score") if r["state_type"] != "SCHEDULED"]
    assert set(states) <= {"NoVersion", "Completed"} and not loop.told, (states, loop.told)
    assert loop.champion() == 1
    # The test span of the model is scored; the rows that it learnt from are not.
    assert set(loop.predicted()) == {1}
    assert "2026-03-01" in loop.predicted()[1] and "2026-01-01" not in loop.predicted()[1]
    (asked,) = loop.server.runs("retrain")
    assert asked["name"] == f"retrain {MODEL}"
    assert {"verdict:train", "trigger:new data"} <= set(asked["tags"])
    (within,) = [r for r in loop.server.runs("score") if r["parent_task_run_id"]]
    assert {"project:prefect-lakehouse", f"model:{MODEL}"} <= set(within["tags"])
    shown = loop.server.artifacts(asked["id"])
    assert "no champion, and 1,779 ripe rows to learn from" in shown["decision-large-order"]
    assert "training-large-order" in shown


def test_a_new_month_trains_and_its_rows_are_scored_by_the_new_champion(loop: Loop) -> None:
    before = len(loop.rows("decisions"))
    loop.land(4, lambda: 2 in loop.predicted())
    assert ("train", {"new rows"}) in loop.decided(before)
    assert len(loop.trained(before)) == 1
    assert loop.champion() == 2
    assert "2026-04-01" in loop.predicted()[2]
    (moved,) = [r for r in loop.rows("promotions") if r["version"] == 2]
    decision = next(r for r in reversed(loop.rows("decisions")) if r["verdict"] == "train")
    assert (moved["kind"], moved["decision"]) == ("gates", decision["decision"])


def test_within_the_cooldown_and_with_few_rows_the_answer_is_no(loop: Loop) -> None:
    before = len(loop.rows("decisions"))
    loop.policy(cooldown="20 hours")
    loop.land(5, lambda: len(loop.rows("decisions")) > before)
    assert {frozenset(codes) for _, codes in loop.decided(before)} == {frozenset({"cooldown"})}
    loop.policy(cooldown="0 minutes", new_rows=100_000)
    declined = loop.server.run(f"retrain/{MODEL}", trigger={"kind": "schedule", "detail": "test"})
    assert (declined["state_type"], declined["state_name"]) == ("COMPLETED", "Declined")
    assert "621 of 100,000 new ripe rows since" in declined["state"]["message"]
    assert "too few rows" in loop.decided()[-1][1]
    assert loop.champion() == 2


def test_a_burst_of_events_is_one_decision_or_two(loop: Loop) -> None:
    before = len(loop.rows("decisions"))
    now = dt.datetime.now(dt.UTC).isoformat()
    loop.server.ask(
        "/events",
        [
            {
                "id": str(uuid.uuid4()),
                "occurred": now,
                "event": "lakehouse.table.committed",
                "resource": {
                    "prefect.resource.id": "lakehouse.table.shop.gold.features",
                    "prefect.resource.name": "shop.gold.features",
                },
                "related": [],
                "payload": {"version": i, "partitions": [], "rows": 1, "run": "r"},
            }
            for i in range(200)
        ],
    )
    until(lambda: len(loop.rows("decisions")) > before, "a decision")
    loop.settle()
    assert 1 <= len(loop.rows("decisions")) - before <= 2


def test_drift_trains(loop: Loop) -> None:
    before = len(loop.rows("decisions"))
    loop.land(6, lambda: 3 in loop.predicted(), shift=60)
    alarms = [
        r for r in loop.rows("monitors") if (r["monitor"], r["verdict"]) == ("drift", "alarm")
    ]
    assert alarms[0]["version"] == 2
    trained = loop.trained(before)
    assert len(trained) == 1 and "distribution change" in trained[0], loop.decided(before)
    # The new champion is alarmed by what it was judged on already: that trains nothing.
    assert loop.champion() == 3


def test_a_performance_drop_trains_and_a_gate_that_fails_is_told(loop: Loop) -> None:
    before, champion = len(loop.rows("decisions")), loop.champion()
    loop.told.clear()
    loop.land(7, lambda: bool(loop.trained(before)), flipped=True)
    trained = loop.trained(before)
    assert len(trained) == 1 and "performance drop" in trained[0], loop.decided(before)
    # It learnt the old world and was judged on the new one.
    assert loop.champion() == champion
    told = until(lambda: [t for t in loop.told if t["flow"] == "retrain"], "word of the gate", 30)
    assert told[0]["state"] == "Blocked" and "beats_baseline" in told[0]["message"]
    code, said = loop.server.lake("why", MODEL)
    assert code == 0, said
    assert f"version {champion} is champion" in said
    assert "performance drop" in said and "What would train it next" in said


def test_the_story_ends_where_the_next_would_begin(loop: Loop) -> None:
    code, said = loop.server.lake("why", MODEL, "--json")
    told = json.loads(said)
    assert code == 0 and told["next"]
    assert [e["what"] for e in told["events"]].count("train") == 4
    code, said = loop.server.lake("runs", "--json", "--last", "0")
    runs = json.loads(said)["runs"]
    assert {"build", "train", "score"} <= {r["kind"] for r in runs}
    assert all(r["flow_run"] for r in runs)


@long
def test_worker_and_training_killed_in_the_middle(loop: Loop) -> None:
    """Both are gone at once: the run is seen as crashed, and begun again, once."""
    loop.policy(cooldown="0 minutes", new_rows=100)
    loop.shop.edit(f"models/{MODEL}.py", "def build(params):\n", "def build(params):\n    slow()\n")
    slow = "import time\nfrom pathlib import Path\n\n\ndef slow():\n    mark = Path({mark!r})\n    if not mark.exists():\n        mark.touch()\n        time.sleep(600)\n\n\n"
    mark = loop.shop.root / "slow"
    text = (loop.shop.domain / f"models/{MODEL}.py").read_text()
    loop.shop.write(f"models/{MODEL}.py", slow.format(mark=str(mark)) + text)
    versions = len(loop.registry.versions(MODEL))
    before = len(loop.rows("decisions"))
    run = loop.server.start(f"retrain/{MODEL}", trigger={"kind": "schedule", "detail": "test"})
    until(mark.exists, "the training")
    (worker,) = [s.service for s in stack.status(loop.server.state) if s.name == "worker"]
    assert worker is not None
    led = psutil.Process(worker.pid).children(recursive=True)
    assert len(led) >= 2  # the flow run, and the training in a process of its own
    for pid in (worker.pid, *(child.pid for child in led)):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not process.alive(worker), "the worker's end")
    with variables(loop.server.own):
        stack.up(loop.server.state, loop.server.services, hand_down_s3=False)
    assert loop.server.ended(run)["state_type"] == "CRASHED"
    again = loop.server.run("reconcile/crashed")
    assert "begun again" in again["state"]["message"]
    loop.settle()
    verdicts = loop.decided(before)
    assert [v for v, _ in verdicts].count("train") == 2
    assert "crashed" in verdicts[-1][1]
    assert len(loop.registry.versions(MODEL)) == versions + 1
    assert "nothing has crashed" in loop.server.run("reconcile/crashed")["state"]["message"]


@long
def test_the_server_killed_in_the_middle(loop: Loop) -> None:
    """The training goes on and is recorded; with the server back nothing is stuck."""
    mark = loop.shop.root / "slow"
    mark.unlink()
    loop.shop.edit(f"models/{MODEL}.py", "time.sleep(600)", "time.sleep(20)")
    versions = len(loop.registry.versions(MODEL))
    run = loop.server.start(f"retrain/{MODEL}", trigger={"kind": "on demand"}, force=True)
    until(mark.exists, "the training")
    (server,) = [s.service for s in stack.status(loop.server.state) if s.name == "prefect"]
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    # Its threads, and with them its port, are gone a moment after it.
    until(lambda: not process.alive(server) and free(server.port or 0), "the server's end")
    with variables(loop.server.own):
        stack.up(loop.server.state, loop.server.services, hand_down_s3=False)
    loop.server.ended(run)
    loop.settle()
    assert len(loop.registry.versions(MODEL)) == versions + 1
    assert loop.decided()[-1][0] == "train"
    assert "nothing has crashed" in loop.server.run("reconcile/crashed")["state"]["message"]
