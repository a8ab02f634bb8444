"""``python -m flows.deploy``: show what a server lacks of what is declared, and have it so."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from flows import deployments, script
from flows.deploy.apply import apply
from flows.deploy.declared import AUTOMATIONS, declared, tag_of
from flows.deploy.difference import Change, difference
from flows.deploy.server import Server
from lakehouse import settings
from lakehouse.errors import LakehouseError, StackError

__all__ = ["deploy", "main"]


def deploy(
    root: Path, *, check: bool = False, say: Callable[[Change], None] = lambda change: None
) -> tuple[Change, ...]:
    """Compare what a project declares with what its Prefect server has, and apply the difference.

    Args:
        root: The project's folder, which is the current one.
        check: Only compare.
        say: Told each change that is made.

    Returns:
        The differences; made, unless ``check``.

    Raises:
        StackError: A file is wrong, no server is named, or it refuses.
    """
    import yaml
    from prefect.client.orchestration import get_client
    from prefect.settings import get_current_settings

    _lint(root)
    secret = settings.load().notify_url
    notify_url = secret.get_secret_value() if secret else ""
    if not get_current_settings().api.url:
        raise StackError(
            "find a Prefect server",
            "none runs here, and PREFECT_API_URL is not set",
            "lake up prefect worker   (or set PREFECT_API_URL)",
        )
    raw = yaml.safe_load((root / "prefect.yaml").read_text(encoding="utf-8"))
    wanted = declared(root, notify_url)
    with get_client(sync_client=True) as client:
        server = Server(client, tag_of(raw, root), notify_url)
        changes = difference(wanted, server.read(wanted))
        if not check:
            apply(changes, server, say)
    return changes


def _lint(root: Path) -> None:
    file = root / "prefect.yaml"
    if not file.is_file():
        found, remedy = f"there is no {file.name} in {root}", "run it in the project's folder"
        raise StackError("deploy the flows", found, remedy)
    problems = [*deployments.lint(file), *deployments.lint_automations(root / AUTOMATIONS)]
    if problems:
        more = "\n".join(f"    {problem}" for problem in problems)
        found = f"{len(problems)} problems:\n{more}"
        raise StackError("deploy the flows", found, "correct them; nothing was changed")


def main(argv: Sequence[str] | None = None) -> int:
    """Show the difference and apply it: 0 done, 1 error, 4 ``--check`` and there is one."""
    parser = argparse.ArgumentParser(prog="flows.deploy", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only show")
    parser.add_argument("--json", action="store_true", dest="as_json")
    asked = parser.parse_args(argv)
    script.find_server()
    sys.path.insert(0, str(Path.cwd()))
    try:
        changes = deploy(Path.cwd(), check=asked.check, say=(_quiet if asked.as_json else _show))
    except LakehouseError as error:
        told = json.dumps(error.to_json()) if asked.as_json else f"{type(error).__name__}: {error}"
        print(told, file=sys.stderr)
        return error.exit_code
    if asked.as_json:
        found = [change.to_json() for change in changes]
        print(json.dumps({"schema": 1, "applied": not asked.check, "changes": found}))
    else:
        _sum_up(changes, check=asked.check)
    return 4 if asked.check and changes else 0


def _quiet(change: Change) -> None:
    """With --json the one document is all that is printed."""


def _show(change: Change) -> None:
    print(f"{change.act:<7} {change.kind:<11} {change.name}", flush=True)
    for detail in change.details:
        print(f"{'':8}{detail}", flush=True)


def _sum_up(changes: Sequence[Change], *, check: bool) -> None:
    server = os.environ.get("PREFECT_API_URL", "").removesuffix("/api") or "the server"
    if not changes:
        print(f"nothing to do: {server} is as declared")
    elif check:
        for change in changes:
            _show(change)
        print(f"{len(changes)} differences; 'lake deploy' makes them")
    else:
        print(f"{server} is as declared now: {len(changes)} changes")
