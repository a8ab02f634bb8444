"""The local stack: S3, Prefect with a worker, MLflow, Data Docs, and Spark on this machine.

Each service is a child process in a session of its own, bound to loopback,
with its log, data and port under the state folder (``.lake``). They outlive
the command that started them; ``stack.json`` says which are ours.
"""

from __future__ import annotations

from lakehouse.stack.client import settings_with_stack
from lakehouse.stack.control import ServiceStatus, down, environment, status, up
from lakehouse.stack.services import ALL, USUAL
from lakehouse.stack.state import Service

__all__ = [
    "ALL",
    "USUAL",
    "Service",
    "ServiceStatus",
    "down",
    "environment",
    "settings_with_stack",
    "status",
    "up",
]
