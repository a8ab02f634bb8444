"""Kubernetes as Spark's master: what a driver in a pod tells Spark of itself."""

from __future__ import annotations

import os
import socket
import urllib.parse
from collections.abc import Mapping

from lakehouse.errors import EngineError

__all__ = ["IMAGE", "check_image", "conf", "is_master", "look_for"]

#: Spark's name for what its executors are started from.
IMAGE = "spark.kubernetes.container.image"

_SCHEME = "k8s://"
_PATIENCE_S = 5.0
#: Properties of a driver's pod, and the variables by which its manifest hands them over.
_POD = {
    "spark.driver.host": "POD_IP",
    "spark.driver.bindAddress": "POD_IP",
    "spark.kubernetes.driver.pod.name": "POD_NAME",
    "spark.kubernetes.namespace": "POD_NAMESPACE",
}


def is_master(master: str) -> bool:
    """Whether a master is a Kubernetes cluster's API server."""
    return master.startswith(_SCHEME)


def conf(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Spark's properties of a driver that runs in a pod; none of them outside.

    Executors reach the driver by its pod's address, and end with its pod, whose they are.
    Everything else, the image first, is said by ``spark-defaults.conf``.
    """
    known = {name: environment.get(variable, "") for name, variable in _POD.items()}
    made = {name: value for name, value in known.items() if value}
    # The secret is Spark's own, made for each application and handed to its pods.
    return made | {"spark.authenticate": "true"}


def look_for(master: str) -> None:
    """Fail at once where Spark would try again and again.

    Raises:
        EngineError: Nothing takes a connection at the API server's address.
    """
    address = urllib.parse.urlsplit(master.removeprefix(_SCHEME))
    if not address.hostname:
        address = urllib.parse.urlsplit(f"https://{master.removeprefix(_SCHEME)}")
    host, port = address.hostname or "", address.port or (80 if address.scheme == "http" else 443)
    try:
        socket.create_connection((host, port), _PATIENCE_S).close()
    except OSError as error:
        raise EngineError(
            f"connect to the Kubernetes API server {master}",
            f"{host}:{port}: {error.strerror or error}",
            "correct LAKE_SPARK_MASTER: k8s://https://kubernetes.default.svc inside the cluster, "
            "what 'kubectl cluster-info' names outside",
        ) from error


def check_image(image: str | None) -> None:
    """Refuse to start without the image, which Spark asks for only when it starts executors.

    Raises:
        EngineError: None is named.
    """
    if not image:
        raise EngineError(
            "start Spark's executors on Kubernetes",
            f"no image: {IMAGE} is not set",
            "name it in spark-defaults.conf (SPARK_CONF_DIR), as deployments/kubernetes does",
        )
