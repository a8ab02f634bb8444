"""Spark on Kubernetes without a cluster: a stand-in for the API server starts what it is asked for.

The driver is spark-submit as in the manifest's pod, with the properties of the manifests. A pod of
an executor becomes a process: the image's entry point, with the variables of the pod.
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from shop import CUSTOMERS, Shop
from spark_builder import JARS

from lakehouse.engines.spark import jars, java

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
ENTRYPOINT = ROOT / "deployments" / "docker" / "entrypoint.sh"
PROPERTIES = ROOT / "deployments" / "kubernetes" / "spark-defaults.conf"
#: The stand-in cannot watch; one executor is enough for this machine.
SMALL = """
spark.kubernetes.executor.enableApiWatcher false
spark.executor.instances 1
spark.executor.cores 1
"""
POD = {"POD_IP": "127.0.0.1", "POD_NAME": "driver-1", "POD_NAMESPACE": "lake"}


class Cluster(http.server.ThreadingHTTPServer):
    """The API server, as far as Spark asks it.

    Attributes:
        pods: What was asked for, by name.
        asked: (method, path) of each request.
    """

    daemon_threads = True

    def __init__(self, folder: Path, image: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Api)
        self.folder, self.image = folder, image
        self.pods: dict[str, Any] = {}
        self.asked: list[tuple[str, str]] = []
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, pod: dict[str, Any]) -> None:
        """The pod's container, as a process."""
        (container,) = pod["spec"]["containers"]
        told = {"status.podIP": "127.0.0.1", "metadata.name": pod["metadata"]["name"]}
        environment = {
            one["name"]: one.get("value", "")
            if "valueFrom" not in one
            else told[one["valueFrom"]["fieldRef"]["fieldPath"]]
            for one in container["env"]
        }
        environment |= self.image | {"SPARK_LOCAL_DIRS": str(self.folder)}
        with (self.folder / "executor.log").open("ab") as log:
            self.running.append(
                subprocess.Popen(
                    [ENTRYPOINT, *container["args"]],
                    env=environment,
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                )
            )

    def stop(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()


class _Api(http.server.BaseHTTPRequestHandler):
    server: Cluster

    def do_GET(self) -> None:
        self._noted()
        path = self.path.partition("?")[0]
        if path.endswith("/pods/driver-1"):
            self._answer({"kind": "Pod", "apiVersion": "v1", "metadata": _named("driver-1")})
        elif path.endswith("/pods"):
            items = list(self.server.pods.values())
            self._answer({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
        else:
            self._answer({"kind": "Status", "apiVersion": "v1", "code": 404}, 404)

    def do_POST(self) -> None:
        self._noted()
        made = self._body()
        made["metadata"] = _named(made["metadata"]["name"]) | made["metadata"]
        if made["kind"] == "Pod":
            made["status"] = {"phase": "Running", "containerStatuses": []}
            self.server.pods[made["metadata"]["name"]] = made
            self.server.start(made)
        self._answer(made, 201)

    def do_PATCH(self) -> None:
        self._noted()
        self._body()
        self._answer(self.server.pods.get(self.path.rsplit("/", 1)[1].partition("?")[0], {}))

    def do_DELETE(self) -> None:
        self._noted()
        self._body()
        self._answer({"kind": "Status", "apiVersion": "v1", "status": "Success"})

    def _noted(self) -> None:
        self.server.asked.append((self.command, self.path.partition("?")[0]))

    def _body(self) -> dict[str, Any]:
        read = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = json.loads(read) if read else {}
        return found if isinstance(found, dict) else {}

    def _answer(self, value: dict[str, Any], code: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _named(name: str) -> dict[str, str]:
    return {"name": name, "namespace": "lake", "uid": str(uuid.uuid4()), "resourceVersion": "1"}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(
        tmp_path, ["bronze.customers", "silver.customers"], spark_jars=JARS, spark_memory="1GiB"
    )
    shop.customers("all", *CUSTOMERS)
    return shop


@pytest.fixture
def cluster(shop: Shop) -> Iterator[Cluster]:
    """What the image's ENV says is this environment's."""
    image = {
        "PATH": os.environ["PATH"],
        "JAVA_HOME": str(java.home(java.find(shop.settings))),
        "SPARK_HOME": str(jars.spark_home()),
        "PYSPARK_PYTHON": sys.executable,
    }
    made = Cluster(shop.root, image)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        made.stop()
        made.shutdown()
        made.server_close()


def test_the_driver_of_the_manifest_gets_its_executor_and_builds(
    shop: Shop, cluster: Cluster
) -> None:
    conf = shop.root / "conf"
    conf.mkdir()
    (conf / "spark-defaults.conf").write_text(PROPERTIES.read_text() + SMALL)
    settings = {
        f"LAKE_{name.upper()}": str(getattr(shop.settings, name))
        for name in ("uri", "landing", "domains", "state", "spark_jars")
    }
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("LAKE_", "SPARK_"))},
        **settings,
        **POD,
        "LAKE_SPARK_MASTER": f"k8s://http://127.0.0.1:{cluster.server_port}",
        "LAKE_SPARK_MEMORY": "1GiB",
        "SPARK_CONF_DIR": str(conf),
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": str(ROOT),
        "PYSPARK_PYTHON": sys.executable,
    }
    printed, log = shop.root / "printed", shop.root / "driver.log"
    with printed.open("wb") as out, log.open("wb") as errors:
        driver = subprocess.Popen(
            [sys.executable, "-m", "jobs.build", "--submit", "--engine", "spark"],
            env=environment,
            cwd=ROOT,
            stdout=out,
            stderr=errors,
            start_new_session=True,
        )
    try:
        assert driver.wait(timeout=800) == 0, log.read_text()[-3000:]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)
    done = json.loads(printed.read_text().splitlines()[-1])
    told = {t["table"]: t["engine"] for t in done["tables"]}
    assert told == {"shop.bronze.customers": "spark", "shop.silver.customers": "spark"}
    assert len(shop.rows("FROM silver.customers")) == len(CUSTOMERS)
    assert ("GET", "/api/v1/namespaces/lake/pods/driver-1") in cluster.asked
    (pod,) = cluster.pods.values()
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "registry.example.org/lake:1"
    assert container["args"] == ["executor"]
    assert pod["spec"]["serviceAccountName"] == "lake-executor"
    # It ends with its driver, whoever forgets to stop it.
    assert pod["metadata"]["ownerReferences"][0]["name"] == "driver-1"
    # The work was done there.
    assert "Finished task" in (shop.root / "executor.log").read_text()
