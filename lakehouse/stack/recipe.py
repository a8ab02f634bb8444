"""What a service is: how it is run, where, and how it is asked whether it does its work."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lakehouse.contract import digest

__all__ = ["HOST", "Recipe", "Site", "ask", "get"]

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Site:
    """Where a stack lives: everything its commands depend on.

    Attributes:
        state: The state folder, absolute.
        ports: Port by service name, and of the inner servers of S3.
        hand_down_s3: Whether the worker's flows use the embedded S3 server.
    """

    state: Path
    ports: Mapping[str, int]
    hand_down_s3: bool = True

    def url(self, name: str) -> str:
        """The base address of a service."""
        return f"http://{HOST}:{self.ports[name]}"


@dataclass(frozen=True)
class Recipe:
    """How one service is run.

    Attributes:
        port: The port it has when nobody else has it; None for a service without one.
        inner: Further ports it opens.
        needs: Services that must be ready before it is started.
        grpc: It opens, for each of its ports, a gRPC port at a distance above it.
        usual: Started when no service is named.
        url: What to open or to hand to a client.
        command: The program and its arguments.
        environment: Variables of its own, above the inherited ones.
        ready: Whether the process, begun at a time, does its work.
    """

    name: str
    port: int | None
    url: Callable[[Site], str]
    command: Callable[[Site], list[str]]
    environment: Callable[[Site], dict[str, str]]
    ready: Callable[[Site, float], bool]
    inner: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    grpc: bool = False
    usual: bool = True

    def definition(self, site: Site) -> str:
        """Digest of everything that would make a restart necessary."""
        return digest(self.command(site), self.environment(site))


def get(port: int, path: str) -> int:
    """The HTTP status of a page on loopback; 0 without an answer."""
    try:
        return ask("GET", port, path)[0]
    except (OSError, http.client.HTTPException):
        return 0


def ask(method: str, port: int, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of a page on loopback.

    Raises:
        OSError: There is no answer.
        http.client.HTTPException: It is not HTTP.
    """
    # Not urllib: it would go through a proxy that is set in the environment.
    connection = http.client.HTTPConnection(HOST, port, timeout=3)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
