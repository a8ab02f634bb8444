"""The flows: deployed to a real server with a worker, called in a process, and as plain scripts."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prefect_server import asked, variables
from shop import TABLES, Shop, contract

from lakehouse import stack

pytestmark = pytest.mark.prefect

PROJECT = Path(__file__).parents[2]
DOCS = "Data Docs"
TERMINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

#: A model of the shop: is an order large? May is for the test.
FEATURES_YAML = contract(
    "gold",
    "features",
    {
        "order_id": "VARCHAR, primaryKey: true",
        "ordered_at": "TIMESTAMPTZ",
        "name_length": "INTEGER",
        "amount": "INTEGER",
        "large": "BOOLEAN",
        "order_month": "DATE",
    },
    "partition: {column: order_month, grain: month, event: ordered_at}\nengine: local",
).replace(
    "logicalType: integer, physicalType: BOOLEAN", "logicalType: boolean, physicalType: BOOLEAN"
)
FEATURES_SQL = """\
SELECT
  order_id, CAST(CAST(ordered AS TIMESTAMP) AS TIMESTAMPTZ) AS ordered_at,
  CAST(length(customer) AS INTEGER) AS name_length, amount, amount > 50 AS large, order_month
FROM silver.orders
"""
MODEL_YAML = """\
name: large_order
features:
  table: gold.features
  key: [order_id]
  event_time: ordered_at
  lead: 0 minutes
  columns: [name_length, amount]
label: {column: large, matures_after: 1 days}
split: {train: [2026-01-01, 2026-05-01], test: [2026-05-01, 2026-06-01]}
estimator: {entry: "large_order:build"}
baselines: [{name: name_rates, entry: "large_order:rates"}]
metrics: {primary: roc_auc, also: [brier]}
gates:
- {name: beats_baseline, metric: roc_auc, by: 0.02}
"""
MODEL_PY = """\
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline


def build(params):
    return make_pipeline(LogisticRegression(max_iter=1000))


def rates(params):
    columns = make_column_transformer(("passthrough", ["name_length"]))
    return make_pipeline(columns, LogisticRegression())
"""


@dataclass(frozen=True)
class Server:
    """A Prefect server with a worker that builds one shop."""

    shop: Shop
    url: str
    environment: Mapping[str, str]

    def ask(self, path: str, body: object = None) -> Any:
        """One request to the API: POST when there is a body."""
        return asked(f"{self.url}/api{path}", body)

    def run(self, run: str) -> dict[str, Any]:
        """A flow run that has ended."""
        for _ in range(1000):
            found: dict[str, Any] = self.ask(f"/flow_runs/{run}")
            if found["state_type"] in TERMINAL:
                return found
            time.sleep(0.1)
        log = self.shop.root / "state" / "logs" / "worker.log"
        raise AssertionError(f"{found['state']}\n{log.read_text()[-3000:]}")

    def last(self) -> dict[str, Any]:
        """The flow run that began last, of those that no deployment began."""
        query = {"sort": "START_TIME_DESC", "limit": 1}
        began = {"start_time": {"is_null_": False}, "deployment_id": {"is_null_": True}}
        only = {"flow_runs": began}
        found: list[dict[str, Any]] = self.ask("/flow_runs/filter", query | only)
        return found[0]

    def tasks(self, run: str) -> dict[str, dict[str, Any]]:
        """The run's tasks by name; they arrive as events, a little later."""
        by_run = {"flow_runs": {"id": {"any_": [run]}}}
        for _ in range(200):
            found = {t["name"]: t for t in self.ask("/task_runs/filter", by_run)}
            if all(
                t["state_type"] not in {"PENDING", "RUNNING"} or t["state_name"] == "NotReady"
                for t in found.values()
            ):
                return found
            time.sleep(0.1)
        raise AssertionError(found)

    def artifacts(self, run: str) -> dict[str, str]:
        """The run's artifacts: key → markdown."""
        by_run = {"artifacts": {"flow_run_id": {"any_": [run]}}}
        return {a["key"]: a["data"] for a in self.ask("/artifacts/filter", by_run)}

    def logs(self, run: str) -> list[str]:
        """The lines of the run's log, and of its tasks'."""
        by_run = {"logs": {"flow_run_id": {"any_": [run]}}, "limit": 200}
        return [line["message"] for line in self.ask("/logs/filter", by_run)]

    def commits(self, run: str, count: int) -> dict[str, dict[str, Any]]:
        """The payloads of the run's commit events by resource; they arrive a little later."""
        since = (dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)).isoformat()
        about = {
            "occurred": {"since": since},
            "event": {"name": ["lakehouse.table.committed"]},
            "related": {"id": [f"prefect.flow-run.{run}"]},
        }
        for _ in range(200):
            events = self.ask("/events/filter", {"filter": about, "limit": 50})["events"]
            if len(events) >= count:
                break
            time.sleep(0.1)
        return {e["resource"]["prefect.resource.id"]: e["payload"] for e in events}


def of(shop: Shop) -> dict[str, str]:
    """The settings of a shop as variables."""
    return {
        "LAKE_URI": shop.settings.uri,
        "LAKE_LANDING": shop.settings.landing,
        "LAKE_DOMAINS": str(shop.settings.domains),
        "LAKE_STATE": str(shop.settings.state),
        "LAKE_THREADS": "1",
        "LAKE_WORKER_MEMORY": "256MB",
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    shop = Shop(tmp_path_factory.mktemp("my shop"))
    shop.open_for_business()
    state = shop.settings.state
    try:
        with variables(of(shop)):
            services = stack.up(state, ["prefect", "worker"], hand_down_s3=False)
            environment = stack.environment(state) | of(shop)
        yield Server(shop, services[0].url, environment)
    finally:
        stack.down(state)


@pytest.fixture(scope="module")
def built(server: Server) -> dict[str, Any]:
    """The first run: everything, by the worker, from the project's own prefect.yaml."""
    with variables(server.environment):
        code, said = python("-m", "prefect", "--no-prompt", "deploy", "--all")
        assert code == 0, said
    deployment = server.ask("/deployments/name/elt/flights")["id"]
    parameters = {"domain": "shop", "engine": "local"}
    made = server.ask(
        f"/deployments/{deployment}/create_flow_run",
        {"parameters": parameters, "state": {"type": "SCHEDULED"}},
    )
    return server.run(made["id"])


@pytest.fixture
def here(server: Server, built: dict[str, Any]) -> Iterator[Server]:
    """Flows called in this process report to the server."""
    from prefect.context import refresh_global_settings_context
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    try:
        with variables(server.environment):
            refresh_global_settings_context()
            yield server
            APILogWorker.drain_all()
            EventsWorker.drain_all()
    finally:
        refresh_global_settings_context()


def python(*command: str) -> tuple[int, str]:
    """Run Python in the project's folder: exit code and all that it says."""
    done = subprocess.run(
        [sys.executable, *command],
        check=False,
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )
    return done.returncode, done.stdout


def test_the_deployed_flow_builds_the_domain(server: Server, built: dict[str, Any]) -> None:
    assert (built["state_type"], built["state"]["message"]) == (
        "COMPLETED",
        "8 tables published, 25 rows",
    )
    assert built["name"] == "elt-shop-local-9-targets"
    assert {"domain:shop", "engine:local"} <= set(built["tags"])
    assert {t: len(rows) for t, rows in server.shop.everything().items()} == dict(
        zip(TABLES, (4, 3, 2, 4, 3, 2, 4, 3), strict=True)
    )


def test_the_server_schedules_runs(server: Server, built: dict[str, Any]) -> None:
    deployed = server.ask("/deployments/filter", {"limit": 200})
    wanted = {one["id"] for one in deployed if one["schedules"]}
    assert wanted
    coming = {"flow_runs": {"deployment_id": {"any_": sorted(wanted)}}, "limit": 200}
    for _ in range(1000):
        runs = server.ask("/flow_runs/filter", coming)
        found = {run["deployment_id"] for run in runs if run["auto_scheduled"]}
        if found == wanted:
            break
        time.sleep(0.1)
    assert found == wanted


def test_each_table_is_a_task_after_its_inputs(server: Server, built: dict[str, Any]) -> None:
    tasks = server.tasks(built["id"])
    assert set(tasks) == {*TABLES, DOCS}
    for name, reads in {
        "silver.orders": ["bronze.orders"],
        "gold.countries": ["silver.orders", "silver.customers"],
    }.items():
        assert all(tasks[name]["start_time"] >= tasks[read]["end_time"] for read in reads)
    bronze = [tasks[name] for name in TABLES[:3]]
    # Side by side: each had begun before any of them ended.
    assert max(t["start_time"] for t in bronze) <= min(t["end_time"] for t in bronze)
    said = tasks["silver.orders"]["state"]["message"]
    assert said == "version 1: 2 partitions, 4 rows published, built on local"
    assert "silver.orders goes to local: asked for" in server.logs(built["id"])


def test_the_run_shows_plan_result_and_data_docs(server: Server, built: dict[str, Any]) -> None:
    shown = server.artifacts(built["id"])
    assert set(shown) == {"plan-shop", "audit-shop", "data-docs-shop"}
    assert "| bronze.customers | customers/all.csv | **new data** |" in shown["plan-shop"]
    assert "| shop.silver.orders | 1 | 2 | 4 | 4 | - | - | local | " in shown["audit-shop"]


def test_each_commit_is_told(server: Server, built: dict[str, Any]) -> None:
    events = server.commits(built["id"], len(TABLES))
    assert set(events) == {f"lakehouse.table.shop.{name}" for name in TABLES}
    told = events["lakehouse.table.shop.silver.orders"]
    (run,) = {event["run"] for event in events.values()}
    assert told == {"version": 1, "partitions": ["2026-01-01", "2026-02-01"], "rows": 4, "run": run}
    assert run in {row["run"] for row in server.shop.builds()}


def test_with_nothing_to_do_there_is_no_commit(here: Server) -> None:
    from flows.elt import elt

    before = here.shop.versions()
    state = elt("shop", engine="local", return_state=True)
    assert (state.name, state.message) == ("Completed", "nothing to do")
    assert here.shop.versions() == before
    run = here.last()
    assert run["name"] == "elt-shop-up-to-date"
    assert here.tasks(run["id"]) == {}
    assert "Nothing to do: 8 tables are as declared." in here.artifacts(run["id"])["plan-shop"]


def test_only_what_was_selected_is_called_as_declared(here: Server) -> None:
    from flows.elt import elt

    elt("shop", ["silver.orders"], engine="local")
    shown = here.artifacts(here.last()["id"])
    assert "Nothing to do: 2 tables are as declared." in shown["plan-shop"]
    assert "2 further tables were as declared." in shown["audit-shop"]


def test_a_blocked_partition_holds_back_only_what_needs_it(here: Server) -> None:
    from flows.elt import elt

    shop = here.shop
    limit = "table_row_count_to_be_between, kwargs: {max_value: "
    shop.edit("silver/orders.yaml", f"{limit}1000}}", f"{limit}5}}")
    shop.orders("2026-03", *((f"c{i}", "ann", i, f"2026-03-0{i}") for i in range(1, 10)))
    shop.orders("2026-05", ("d1", "bob", 4, "2026-05-15"))
    state = elt("shop", engine="local", return_state=True)
    assert (state.type.value, state.name) == ("FAILED", "Blocked")
    assert state.message
    assert state.message.startswith("blocked: shop.silver.orders 2026-03-01 by any_orders; ")
    run = here.last()
    tasks = here.tasks(run["id"])
    assert (tasks["silver.orders"]["state_type"], tasks["silver.orders"]["state_name"]) == (
        "COMPLETED",
        "Blocked",
    )
    assert set(tasks) == {*(t for t in TABLES if "sales" not in t and "customers" not in t), DOCS}
    assert shop.live("gold.daily") == [("2026-01-01", 2), ("2026-02-01", 2), ("2026-05-01", 1)]
    assert "## Blocked" in here.artifacts(run["id"])["audit-shop"]


def test_a_failing_table_stops_only_what_reads_it(here: Server) -> None:
    from flows.elt import elt

    shop = here.shop
    shop.sales("more", ("s3", "west"))
    shop.edit("silver/customers.sql", "SELECT customer", "SELECT lower(customer) AS customer")
    files = list((shop.root / "lake" / "shop" / "bronze" / "customers").rglob("*.parquet"))
    for file in files:
        file.rename(file.with_suffix(".lost"))
    try:
        state = elt("shop", engine="local", return_state=True)
    finally:
        for file in files:
            file.with_suffix(".lost").rename(file)
    assert (state.type.value, state.name) == ("FAILED", "Failed")
    assert state.message
    assert state.message.startswith("failed: silver.customers: ")
    assert "; not tried: gold.countries; " in state.message
    assert shop.live("silver.sales") == [("north", 1), ("south", 1), ("west", 1)]
    tasks = here.tasks(here.last()["id"])
    assert {n: t["state_type"] for n, t in tasks.items() if t["state_type"] != "COMPLETED"} == {
        "silver.customers": "FAILED",
        "gold.countries": "PENDING",
    }
    assert "## Failed" in here.artifacts(here.last()["id"])["audit-shop"]


@pytest.mark.spark
@pytest.mark.timeout(600)
@pytest.mark.parametrize("by_submit", [False, True], ids=["in its process", "by spark-submit"])
def test_tables_on_spark(here: Server, tmp_path: Path, by_submit: bool) -> None:
    shop = Shop(tmp_path, ["bronze.customers", "silver.customers"])
    shop.customers("all", ("ann", "NO"), ("bob", "SE"))
    for layer, engine in (("bronze", "local"), ("silver", "spark")):
        text = (shop.domain / layer / "customers.yaml").read_text()
        shop.write(f"{layer}/customers.yaml", f"{text.rstrip()}\n    engine: {engine}\n")
    own = {
        "LAKE_SPARK_MASTER": "local[1]",
        "LAKE_SPARK_MEMORY": "1GiB",
        "LAKE_SPARK_JARS": os.environ.get("LAKE_SPARK_JARS") or str(PROJECT / ".lake" / "jars"),
        "LAKE_SPARK_SUBMIT": str(by_submit),
    }
    with variables({**here.environment, **of(shop), **own}):
        code, printed = python("flows/elt.py", "shop")
    assert code == 0, printed
    (ran,) = {row["run"] for row in shop.builds()}
    built = [(row["table"], row["engine"]) for row in shop.builds()]
    assert built == [("shop.bronze.customers", "local"), ("shop.silver.customers", "spark")]
    run = here.last()
    assert run["name"] == "elt-shop-local-spark-2-targets"
    message = here.tasks(run["id"])["silver.customers"]["state"]["message"]
    assert message == "version 1: 1 partition, 2 rows published, built on spark"
    log = f"spark/runs/{ran}/silver.customers.log" if by_submit else "logs/spark.log"
    assert (shop.settings.state / log).stat().st_size
    said = here.logs(run["id"])
    assert "silver.customers goes to spark: the contract says so" in said
    (told,) = [line for line in said if line.startswith("Spark local-")]
    assert " on local[1]: http://127.0.0.1:" in told and told.endswith(log)
    assert ("silver.customers: committed v1" in said) is by_submit
    shown = here.artifacts(run["id"])["spark-shop"]
    assert "http://127.0.0.1:" in shown
    assert ("# Spark builds silver.customers" in shown) is by_submit


def test_training(here: Server, tmp_path: Path) -> None:
    from flows.elt import elt
    from flows.train import train

    shop = Shop(tmp_path, ["bronze.orders", "silver.orders"])
    shop.write("gold/features.yaml", FEATURES_YAML)
    shop.write("gold/features.sql", FEATURES_SQL)
    shop.write("models/large_order.yaml", MODEL_YAML)
    shop.write("models/large_order.py", MODEL_PY)
    for month in range(1, 6):
        days = [(f"{month}-{i}", "n" * (i % 5 + 1), i * 7 % 100, i % 28 + 1) for i in range(60)]
        rows = [(key, name, n, f"2026-{month:02d}-{day:02d}") for key, name, n, day in days]
        shop.orders(f"2026-{month:02d}", *rows)
    with variables({**here.environment, **of(shop)}):
        assert elt("shop", engine="local", return_state=True).is_completed()
        state = train("large_order", return_state=True)
        assert state.message == "version 1 is champion", state
        run = here.last()
        assert run["name"] == "train-large_order"
        assert set(here.tasks(run["id"])) == {"large_order"}
        shown = here.artifacts(run["id"])["training-large-order"]
        assert "# large_order version 1: champion" in shown
        assert "| beats_baseline | passed |".replace("_", "\\_") in shown
        again = train("large_order", return_state=True)
        assert again.message == "nothing to do: version 1 was trained from these rows"
        shop.write("models/large_order.yaml", MODEL_YAML.replace("by: 0.02", "by: 0.9"))
        held = train("large_order", force=True, return_state=True)
    assert (held.type.value, held.name) == ("FAILED", "Blocked")
    assert held.message and held.message.startswith(
        "version 2 is challenger: beats_baseline failed"
    )


def test_what_cannot_be_begun_again_keeps_nobody_from_it(here: Server) -> None:
    """Two deployments' last runs crashed; one with parameters that its flow no longer takes."""
    from flows.reconcile import reconcile

    for name, parameters in (("elt/flights", {"domain": 1}), ("reconcile/crashed", {"retries": 1})):
        deployment = here.ask(f"/deployments/name/{name}")["id"]
        crashed = {"parameters": parameters, "state": {"type": "CRASHED"}, "name": name[:3]}
        here.ask(
            f"/deployments/{deployment}/create_flow_run",
            crashed | {"enforce_parameter_schema": False},
        )
    state = reconcile(return_state=True)
    assert state.is_failed()
    assert state.message == "begun again: rec; could not be begun again: elt; see the log"


def test_a_plain_script_needs_no_server_and_says_how_it_ended(tmp_path: Path) -> None:
    shop = Shop(tmp_path, ["bronze.orders", "silver.orders"])
    for layer in ("bronze", "silver"):
        shop.edit(f"{layer}/orders.yaml", "    partition:", "    engine: local\n    partition:")
    limit = "table_row_count_to_be_between, kwargs: {max_value: "
    shop.edit("silver/orders.yaml", f"{limit}1000}}", f"{limit}1}}")
    shop.orders("2026-01", ("a1", "ann", 10, "2026-01-05"), ("a2", "bob", 20, "2026-01-30"))
    shop.orders("2026-02", ("b1", "ann", 5, "2026-02-02"))
    with variables(of(shop)):
        code, said = python("-W", "error", "flows/elt.py", "shop")
        assert code == 3, said
        assert "\nBlocked: blocked: shop.silver.orders 2026-01-01 by any_orders; " in said
        assert "Warning" not in said and "ERROR   | docket" not in said
    assert shop.live("silver.orders") == [("2026-02-01", 1)]
