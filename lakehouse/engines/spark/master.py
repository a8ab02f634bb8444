"""Where Spark runs: on this machine, on a standalone cluster, on Kubernetes."""

from __future__ import annotations

import socket
import urllib.parse

from lakehouse.engines.spark import kubernetes
from lakehouse.errors import EngineError

__all__ = ["LOOPBACK", "here", "look_for"]

LOOPBACK = "127.0.0.1"

#: How long a master may take to take a connection.
_PATIENCE_S = 5.0
_SCHEME = "spark://"


def here(master: str) -> bool:
    """Whether a master and its executors are on this machine, behind its loopback."""
    hosts = {host for host, _ in _addresses(master)}
    return master.startswith("local") or (bool(hosts) and hosts <= {LOOPBACK, "localhost", "::1"})


def look_for(master: str) -> None:
    """Fail at once where Spark would try for a minute and then speak of something else.

    Raises:
        EngineError: No standalone master takes a connection at the addresses named, no API
            server of Kubernetes.
    """
    if kubernetes.is_master(master):
        kubernetes.look_for(master)
        return
    found = []
    for host, port in _addresses(master):
        try:
            socket.create_connection((host, port), _PATIENCE_S).close()
        except OSError as error:
            found.append(f"{host}:{port}: {error.strerror or error}")
            continue
        return
    if found:
        raise EngineError(
            f"connect to the Spark master {master}",
            "; ".join(found),
            "start it ('lake up --spark' starts one here), correct LAKE_SPARK_MASTER, or unset it",
        )


def _addresses(master: str) -> list[tuple[str, int]]:
    """The hosts and ports of ``spark://host:port,host:port``."""
    if not master.startswith(_SCHEME):
        return []
    parsed = [urllib.parse.urlsplit(f"//{one}") for one in master[len(_SCHEME) :].split(",")]
    return [(one.hostname or "", one.port or 7077) for one in parsed]
