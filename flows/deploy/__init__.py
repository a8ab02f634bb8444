"""``prefect.yaml`` and ``deployments/`` against a server: the difference, all of it or nothing."""

from __future__ import annotations

from flows.deploy.apply import apply
from flows.deploy.command import deploy, main
from flows.deploy.declared import declared
from flows.deploy.difference import Change, Resource, difference
from flows.deploy.server import Server

__all__ = ["Change", "Resource", "Server", "apply", "declared", "deploy", "difference", "main"]
