"""The settings of a process that may use the local stack."""

from __future__ import annotations

import os
from pathlib import Path

from lakehouse import settings
from lakehouse.errors import SettingsError
from lakehouse.settings import Settings
from lakehouse.stack import state as states
from lakehouse.stack.control import environment

__all__ = ["settings_with_stack"]


def settings_with_stack() -> Settings:
    """The settings, with the local stack's addresses where the user has set none.

    Raises:
        SettingsError: A setting cannot be right, or the lake is on the embedded
            S3 server and that does not run.
    """
    made = settings.load()
    if not (made.state / "stack.json").exists():
        return made
    offered = environment(made.state)
    own = bool(made.uri)
    own_spark = "spark_master" in made.model_fields_set
    for name, value in offered.items():
        if name.startswith("LAKE_SPARK_"):
            if not own_spark:
                os.environ[name] = value
        elif not name.startswith(("LAKE_", "AWS_")):
            os.environ.setdefault(name, value)
        elif not own:
            # Keys and address belong together: all of the stack's, or none.
            os.environ[name] = value
    if not own and "LAKE_URI" not in offered and _was_used(made.state):
        raise SettingsError(
            "open the lake",
            "it is on the embedded S3 server, which does not run",
            "lake up s3   (or set LAKE_URI to another lake)",
        )
    return settings.load()


def _was_used(state: Path) -> bool:
    return "s3" in states.load(state.absolute()).ports
