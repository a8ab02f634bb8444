"""Ports on loopback: is one free, and which others are."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection

from lakehouse.errors import StackError

__all__ = ["GRPC_OFFSET", "choose", "free"]

#: SeaweedFS opens a gRPC port at this distance above each of its ports.
GRPC_OFFSET = 10_000

# Below the range from which systems take ports for outgoing connections, also with the offset.
_RANGE = range(10_100, 22_000)


def free(port: int) -> bool:
    """Whether nobody listens on this port of 127.0.0.1, and we may."""
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return False
    with socket.socket() as probe:
        # As servers do: a port whose last connections linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def choose(preferred: Collection[int], *, taken: Collection[int] = (), grpc: bool = False) -> int:
    """The first preferred port that is free, else any free one.

    Args:
        preferred: Ports to try first, in their order.
        taken: Ports that somebody else of the stack is about to use.
        grpc: The port at ``+GRPC_OFFSET`` must be free too.

    Raises:
        StackError: No port is free.
    """
    candidates = [*preferred, *random.sample(_RANGE, 200)]
    for port in candidates:
        needed = {port, port + GRPC_OFFSET} if grpc else {port}
        if needed.isdisjoint(taken) and all(free(p) for p in needed):
            return port
    raise StackError(
        "find a free port on 127.0.0.1",
        f"all of {len(candidates)} tried are taken",
        "stop what listens on them; `lake status` shows what is ours",
    )
