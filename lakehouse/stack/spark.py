"""A standalone Spark cluster on loopback: a master and a worker, for those who know its secret."""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
from typing import Any

from lakehouse import settings
from lakehouse.stack.recipe import HOST, Site, ask
from lakehouse.stack.state import secret

__all__ = [
    "MASTER_PAGE",
    "client_environment",
    "environment",
    "master_command",
    "master_ready",
    "worker_command",
    "worker_ready",
]

#: The port of the master's page.
MASTER_PAGE = "spark-master.page"

_OPTIONS = {
    # Whoever may send a job runs programs as this user.
    "spark.authenticate": "true",
    "spark.master.rest.enabled": "false",
    "spark.ui.killEnabled": "false",
    "spark.worker.cleanup.enabled": "true",
}


def client_environment(site: Site) -> dict[str, str]:
    """The variables by which a process uses the cluster."""
    return {"LAKE_SPARK_MASTER": _master(site), "LAKE_SPARK_SECRET": secret(site.state, "spark")}


def environment(site: Site) -> dict[str, str]:
    """The variables of master and worker, and so of the worker's executors."""
    from lakehouse.engines.spark import jars, java

    program = java.find(settings.load(state=site.state))
    return {
        "JAVA_HOME": str(java.home(program)),
        "SPARK_HOME": str(jars.spark_home()),
        "SPARK_LOCAL_IP": HOST,
        "SPARK_PUBLIC_DNS": HOST,
        "SPARK_LOCAL_DIRS": tempfile.gettempdir(),
        "SPARK_DAEMON_MEMORY": "512m",
        "SPARK_DAEMON_JAVA_OPTS": " ".join(f"-D{k}={v}" for k, v in _OPTIONS.items()),
        "PYSPARK_PYTHON": sys.executable,
        "_SPARK_AUTH_SECRET": secret(site.state, "spark"),
    }


def master_command(site: Site) -> list[str]:
    """The program and its arguments."""
    return [
        *_class("org.apache.spark.deploy.master.Master"),
        *("--host", HOST, "--port", str(site.ports["spark-master"])),
        *("--webui-port", str(site.ports[MASTER_PAGE])),
    ]


def worker_command(site: Site) -> list[str]:
    """The program and its arguments; its own port is any free one."""
    return [
        *_class("org.apache.spark.deploy.worker.Worker"),
        *("--host", HOST, "--port", "0", "--webui-port", str(site.ports["spark-worker"])),
        *("--work-dir", str(site.state / "spark" / "work"), _master(site)),
    ]


def master_ready(site: Site) -> bool:
    """Whether the master takes workers."""
    return _told(site).get("status") == "ALIVE"


def worker_ready(site: Site) -> bool:
    """Whether the master has this worker."""
    page = f"{HOST}:{site.ports['spark-worker']}"
    return any(
        worker["state"] == "ALIVE" and worker["webuiaddress"].endswith(page)
        for worker in _told(site).get("workers", [])
    )


def _class(name: str) -> list[str]:
    from lakehouse.engines.spark import jars

    return [str(jars.spark_home() / "bin" / "spark-class"), name]


def _master(site: Site) -> str:
    return f"spark://{HOST}:{site.ports['spark-master']}"


def _told(site: Site) -> dict[str, Any]:
    """What the master says of itself; nothing while it does not answer."""
    try:
        told: dict[str, Any] = json.loads(ask("GET", site.ports[MASTER_PAGE], "/json/")[1])
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    return told
