"""What a project declares: ``prefect.yaml`` and ``deployments/automations/*.yaml`` as resources."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flows.deploy.difference import Form, Resource, ordered
from lakehouse.errors import StackError

__all__ = ["AUTOMATIONS", "WEBHOOK", "declared", "tag_of", "webhook_form"]

#: Where automations that belong to no deployment stand.
AUTOMATIONS = Path("deployments") / "automations"

#: How an action names the webhook of ``LAKE_NOTIFY_URL``.
WEBHOOK = "lake-notify"

_STEP = "prefect.deployments.steps.set_working_directory"


def tag_of(raw: Mapping[str, Any], root: Path) -> str:
    """The tag by which a project knows its own on a server."""
    return f"project:{raw.get('name') or root.resolve().name}"


def webhook_form(url: str) -> Form:
    """A webhook without its address, which is a secret."""
    return {"address": hashlib.sha256(url.encode()).hexdigest()[:10]}


def declared(root: Path, notify_url: str = "") -> tuple[Resource, ...]:
    """Read the files, which have been linted, and the flows that they name.

    Args:
        root: The project's folder; the current one, since flows are imported from there.
        notify_url: Where notifications go; automations that notify are left out without it.

    Raises:
        StackError: A flow cannot be imported, or its parameters are not its own.
    """
    import yaml

    raw = yaml.safe_load((root / "prefect.yaml").read_text(encoding="utf-8"))
    tag = tag_of(raw, root)
    found: list[Resource] = []
    for one in raw.get("deployments") or []:
        found += _deployment(_resolved(one), raw, root, tag)
    for file in sorted((root / AUTOMATIONS).glob("*.yaml")):
        text = file.read_text(encoding="utf-8").replace("{{ project }}", tag)
        found += _automation(yaml.safe_load(text), tag, notify=bool(notify_url))
    pools = {r.form["work_pool"] for r in found if r.kind == "deployment"}
    found += [Resource("work pool", name, {"type": "process"}) for name in sorted(pools)]
    if notify_url:
        found.append(Resource("webhook", WEBHOOK, webhook_form(notify_url)))
    return tuple(found)


def _resolved(config: Mapping[str, Any]) -> dict[str, Any]:
    """``{{ $NAME }}`` filled in from the environment; events' templates stay as they are."""
    from prefect.utilities.templating import apply_values

    triggers = config.get("triggers")
    rest = {key: value for key, value in config.items() if key != "triggers"}
    made = apply_values(rest, dict(os.environ), remove_notset=False)
    return {**(made if isinstance(made, dict) else {}), "triggers": triggers or []}


def _deployment(
    config: Mapping[str, Any], raw: Mapping[str, Any], root: Path, tag: str
) -> Iterator[Resource]:
    flow = _flow(str(config["entrypoint"]))
    name = f"{flow.name}/{config['name']}"
    pool = config["work_pool"]
    form: dict[str, Any] = {
        "entrypoint": config["entrypoint"],
        "description": (config.get("description") or flow.description or "").strip(),
        "tags": sorted({*(str(t) for t in config.get("tags") or []), tag}),
        "parameters": config.get("parameters") or {},
        "schedules": dict(_schedules(config)),
        "concurrency": _concurrency(config.get("concurrency_limit")),
        "work_pool": pool["name"],
        "work_queue": pool.get("work_queue_name") or "default",
        "job_variables": pool.get("job_variables") or {},
        "pull_steps": _pull(config, raw, root),
        "schema": _schema(flow),
        "enforce": config.get("enforce_parameter_schema", True),
    }
    if config.get("paused") is not None:
        form["paused"] = config["paused"]
    _check_parameters(name, form)
    yield Resource("deployment", name, form)
    for i, trigger in enumerate(config["triggers"], 1):
        yield _trigger(dict(trigger), name, i, tag)


def _flow(entrypoint: str) -> Any:
    from prefect.flows import load_flow_from_entrypoint

    try:
        return load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    except Exception as error:
        raise StackError(
            f"read the flow {entrypoint}", f"{type(error).__name__}: {error}", "mend it"
        ) from error


def _schema(flow: Any) -> dict[str, Any]:
    from prefect.utilities.callables import parameter_schema

    made: dict[str, Any] = parameter_schema(flow).model_dump(mode="json", exclude_unset=False)
    return made


def _check_parameters(name: str, form: Form) -> None:
    from prefect.utilities.schema_tools.validation import ValidationError, validate

    for where, parameters in (
        ("", form["parameters"]),
        *((f" of schedule {k}", s["parameters"]) for k, s in form["schedules"].items()),
    ):
        try:
            validate(parameters, form["schema"], raise_on_error=True, ignore_required=True)
        except ValidationError as error:
            asked = f"read the parameters{where} of {name}"
            raise StackError(asked, str(error).splitlines()[0], "correct prefect.yaml") from error


def _pull(config: Mapping[str, Any], raw: Mapping[str, Any], root: Path) -> list[dict[str, Any]]:
    own = config.get("pull", raw.get("pull"))
    if own is None:
        return [{_STEP: {"directory": str(root.resolve())}}]
    return [own] if isinstance(own, dict) else list(own)


def _concurrency(limit: Any) -> dict[str, Any] | None:
    if limit is None:
        return None
    if isinstance(limit, int):
        limit = {"limit": limit}
    strategy = limit.get("collision_strategy") or "ENQUEUE"
    grace = limit.get("grace_period_seconds")
    return {"limit": limit["limit"], "collision_strategy": strategy, "grace_period_seconds": grace}


def _schedules(config: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    from prefect.cli.deploy._schedules import _schedule_config_to_deployment_schedule as read

    for i, one in enumerate(config.get("schedules") or [], 1):
        made = read(one)
        yield (
            one.get("slug") or f"schedule-{i}",
            {
                "schedule": made["schedule"].model_dump(mode="json"),
                "active": made.get("active", True),
                "parameters": made.get("parameters") or {},
            },
        )


def _trigger(config: dict[str, Any], deployment: str, number: int, tag: str) -> Resource:
    from uuid import UUID

    from prefect.cli.deploy._triggers import DeploymentTriggerAdapter

    config.setdefault("name", f"{deployment}: trigger {number}")
    trigger = DeploymentTriggerAdapter.validate_python(config)
    trigger.set_deployment_id(UUID(int=0))
    form = trigger.as_automation().model_dump(mode="json")
    form["actions"] = [a | {"deployment_id": deployment} for a in form["actions"]]
    form |= {"tags": [tag], "owner_resource": deployment, "trigger": ordered(form["trigger"])}
    return Resource("automation", config["name"], form)


def _automation(config: dict[str, Any], tag: str, *, notify: bool) -> Iterator[Resource]:
    from uuid import UUID

    from prefect.events.schemas.automations import AutomationCore

    actions = config.get("actions") or []
    calls = [a for a in actions if a.get("block_document_id") == WEBHOOK]
    if calls and not notify:
        return
    plain = [a | {"block_document_id": str(UUID(int=0))} if a in calls else a for a in actions]
    made = AutomationCore.model_validate({**config, "actions": plain, "tags": [tag]})
    form = made.model_dump(mode="json")
    form["trigger"] = ordered(form["trigger"])
    form["actions"] = [
        a | {"block_document_id": WEBHOOK} if a.get("block_document_id") == str(UUID(int=0)) else a
        for a in form["actions"]
    ]
    yield Resource("automation", config["name"], form)
