"""A flow as a plain script: on the local stack's server where that runs, else a temporary one."""

from __future__ import annotations

import os
from typing import Any

from prefect import Flow, State
from prefect.context import refresh_global_settings_context
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    get_current_settings,
    temporary_settings,
)

from flows import outcome
from lakehouse import settings, stack

__all__ = ["find_server", "run"]

#: Prefect's own start-up limit of 20 s fails on a busy machine.
_ALONE = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120"}


def run(flow: Flow[..., Any], *arguments: Any) -> int:
    """Run a flow in this process and say how it ended.

    Returns:
        The exit code: 0 done, 1 failed, 3 blocked.
    """
    find_server()
    # A script that dies is seen by who started it; ending the heart's thread takes a second.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        state: State[Any] = flow(*arguments, return_state=True)  # type: ignore[assignment]
    print(f"{state.name}: {state.message}")
    return outcome.exit_code(state)


def find_server() -> None:
    """Take the local stack's server, where neither the environment nor a profile names one."""
    if get_current_settings().api.url:
        return
    folder = settings.load().state
    offered = stack.environment(folder)
    if "PREFECT_API_URL" not in offered:
        offered |= _ALONE
    (folder / "prefect").mkdir(parents=True, exist_ok=True)
    os.environ.update({n: v for n, v in offered.items() if n.lower() == "no_proxy"})
    for name, value in offered.items():
        if name.startswith("PREFECT_"):
            os.environ.setdefault(name, value)
    # Prefect has read its settings when it was imported.
    refresh_global_settings_context()
