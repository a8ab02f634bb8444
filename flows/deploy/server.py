"""What a Prefect server has of a project, and how one resource of it is written or removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flows.deploy.declared import WEBHOOK, webhook_form
from flows.deploy.difference import Form, Kind, Resource, ordered
from lakehouse.errors import StackError, cause

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

__all__ = ["Server"]

_PAGE = 200


class Server:
    """One Prefect server, seen by one project.

    Args:
        client: Speaks to it.
        tag: The tag that is on all that is ours.
        notify_url: The address of the webhook.
    """

    def __init__(self, client: SyncPrefectClient, tag: str, notify_url: str = "") -> None:
        self._client, self.tag = client, tag
        self._hooks = {webhook_form(notify_url)["address"]: notify_url}
        self._deployments: dict[str, str] = {}
        self._automations: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Server({self.tag!r})"

    def read(self, wanted: Sequence[Resource]) -> tuple[Resource, ...]:
        """What is ours by its tag, and what has the name of something that is wanted.

        Raises:
            StackError: The server does not answer, or refuses.
        """
        names = {(r.kind, r.name) for r in wanted}
        # Whether a deployment is paused is a person's affair, unless it is declared.
        pausing = {r.name for r in wanted if "paused" in r.form}
        found = [
            *self._read_deployments(names),
            *self._read_automations(names),
            *(self._read_pool(name) for kind, name in sorted(names) if kind == "work pool"),
            *self._read_webhook(),
        ]
        return tuple(_without_pause(r, pausing) for r in found if r is not None)

    def put(self, kind: Kind, name: str, form: Form) -> None:
        """Have a resource in this form, whether it is there or not.

        Raises:
            StackError: The server does not answer, or refuses.
        """
        {
            "work pool": self._put_pool,
            "webhook": self._put_webhook,
            "deployment": self._put_deployment,
            "automation": self._put_automation,
        }[kind](name, form)

    def remove(self, kind: Kind, name: str) -> None:
        """Have a resource no more. A work pool stays: others may use it.

        Raises:
            StackError: The server does not answer, or refuses.
        """
        if kind == "deployment":
            for id_ in self._ids(self._deployments.pop(name, None), kind, name):
                self._ask("DELETE", f"/deployments/{id_}", absent=None)
        elif kind == "automation":
            for id_ in self._ids(self._automations.pop(name, None), kind, name):
                self._ask("DELETE", f"/automations/{id_}", absent=None)
        elif kind == "webhook" and (found := self._webhook()):
            self._ask("DELETE", f"/block_documents/{found['id']}", absent=None)

    def _ids(self, known: str | None, kind: Kind, name: str) -> list[str]:
        """Of a resource; it may have been made though the answer with its id was lost."""
        if known is not None:
            return [known]
        if kind == "deployment":
            found = self._ask("GET", f"/deployments/name/{name}", absent=None)
            return [found["id"]] if found else []
        return [raw["id"] for raw in self._all("/automations/filter") if raw["name"] == name]

    # --- deployments ------------------------------------------------------------------------

    def _read_deployments(self, names: set[tuple[Kind, str]]) -> Iterator[Resource]:
        flows = {f["id"]: f["name"] for f in self._all("/flows/filter")}
        for raw in self._all("/deployments/filter"):
            name = f"{flows.get(raw['flow_id'], '?')}/{raw['name']}"
            self._deployments[name] = raw["id"]
            if self.tag in raw["tags"] or ("deployment", name) in names:
                yield Resource("deployment", name, _deployment_form(raw))

    def _put_deployment(self, name: str, form: Form) -> None:
        flow, _, own = name.partition("/")
        limit = form["concurrency"]
        body = {
            "name": own,
            "flow_id": self._ask("POST", "/flows/", {"name": flow})["id"],
            "work_pool_name": form["work_pool"],
            "work_queue_name": form["work_queue"],
            "parameter_openapi_schema": form["schema"],
            "enforce_parameter_schema": form["enforce"],
            "concurrency_limit": limit["limit"] if limit else None,
            "concurrency_options": _options(limit),
            "schedules": [{**s, "slug": slug} for slug, s in form["schedules"].items()],
        }
        same = ("entrypoint", "description", "tags", "parameters", "job_variables", "pull_steps")
        body |= {key: form[key] for key in (*same, *(["paused"] if "paused" in form else []))}
        self._deployments[name] = self._ask("POST", "/deployments/", body)["id"]

    def _deployment_id(self, name: str) -> str:
        if name not in self._deployments:
            raw = self._ask("GET", f"/deployments/name/{name}")
            self._deployments[name] = raw["id"]
        return self._deployments[name]

    # --- automations ------------------------------------------------------------------------

    def _read_automations(self, names: set[tuple[Kind, str]]) -> Iterator[Resource]:
        by_id = {id_: name for name, id_ in self._deployments.items()}
        webhook = self._webhook()
        hooks = {webhook["id"]: WEBHOOK} if webhook else {}
        ours = {name for kind, name in names if kind == "deployment"}
        for raw in self._all("/automations/filter"):
            form = _automation_form(raw, by_id, hooks)
            owned = any(a.get("deployment_id") in ours for a in form["actions"])
            mine = self.tag in form["tags"] or ("automation", raw["name"]) in names
            # What `prefect deploy` made of an older trigger has no tag, and is told by its name.
            if not mine and not (owned and "__automation_" in raw["name"]):
                continue
            name = raw["name"]
            if name in self._automations:
                name = f"{name} ({raw['id']})"
            self._automations[name] = raw["id"]
            yield Resource("automation", name, form)

    def _put_automation(self, name: str, form: Form) -> None:
        body = dict(form)
        owner = body.pop("owner_resource", None)
        body["actions"] = [self._with_ids(action) for action in form["actions"]]
        if id_ := self._automations.get(name):
            self._ask("PUT", f"/automations/{id_}", body)
            return
        if owner:
            body["owner_resource"] = f"prefect.deployment.{self._deployment_id(owner)}"
        self._automations[name] = self._ask("POST", "/automations/", body)["id"]

    def _with_ids(self, action: Mapping[str, Any]) -> dict[str, Any]:
        made = dict(action)
        if made.get("deployment_id"):
            made["deployment_id"] = self._deployment_id(made["deployment_id"])
        if made.get("block_document_id") == WEBHOOK:
            made["block_document_id"] = (self._webhook() or {}).get("id")
        return made

    # --- work pools and the webhook -----------------------------------------------------------

    def _read_pool(self, name: str) -> Resource | None:
        raw = self._ask("GET", f"/work_pools/{name}", absent=None)
        # Of which type a pool is, is its owner's affair.
        return raw and Resource("work pool", name, {"type": "process"})

    def _put_pool(self, name: str, form: Form) -> None:
        from prefect.workers.process import ProcessWorker

        template = ProcessWorker.get_default_base_job_template()
        body = {"name": name, "type": form["type"], "base_job_template": template}
        self._ask("POST", "/work_pools/", body)

    def _webhook(self) -> dict[str, Any] | None:
        path = f"/block_types/slug/webhook/block_documents/name/{WEBHOOK}"
        found: dict[str, Any] | None = self._ask("GET", path + "?include_secrets=true", absent=None)
        return found

    def _read_webhook(self) -> Iterator[Resource]:
        if found := self._webhook():
            url = found["data"]["url"]
            form = webhook_form(url)
            # A form does not hold the address: it is kept for the way back.
            self._hooks.setdefault(form["address"], url)
            yield Resource("webhook", WEBHOOK, form)

    def _put_webhook(self, name: str, form: Form) -> None:
        from prefect.blocks.webhook import Webhook

        block = Webhook(method="POST", url=self._hooks[form["address"]])  # type: ignore[arg-type]
        block.save(name, overwrite=True, client=None)

    # --- requests -------------------------------------------------------------------------------

    def _all(self, path: str) -> Iterator[dict[str, Any]]:
        for offset in range(0, 1_000_000, _PAGE):
            page = self._ask("POST", path, {"limit": _PAGE, "offset": offset})
            yield from page
            if len(page) < _PAGE:
                return

    def _ask(self, method: Any, path: str, body: object = None, absent: object = ...) -> Any:
        from httpx import HTTPError
        from prefect.exceptions import ObjectNotFound

        asked = f"{method} {path.partition('?')[0]}"
        try:
            sent = {} if body is None else {"json": body}
            answer = self._client.request(method, path, **sent)  # type: ignore[arg-type]
        except (HTTPError, ObjectNotFound) as error:
            status = getattr(getattr(error, "response", None), "status_code", 0)
            if absent is not ... and (status == 404 or isinstance(error, ObjectNotFound)):
                return absent
            # What the server says, without what was sent: that may hold a secret.
            detail = _told(error.response) if status else cause(error)  # type: ignore[union-attr]
            remedy = "see that the server runs (lake status) and PREFECT_API_URL names it"
            raise StackError(f"ask Prefect: {asked}", detail, remedy) from error
        return answer.json() if answer.content else None


def _told(answer: Any) -> str:
    """The server's complaint; beside it, it repeats what it was sent."""
    try:
        body = answer.json()
        wrong = [f"{'.'.join(map(str, d['loc']))}: {d['msg']}" for d in body["exception_detail"]]
        return "; ".join([str(body["exception_message"]), *wrong])[:500]
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.reason_phrase}"


def _deployment_form(raw: Mapping[str, Any]) -> Form:
    limit = raw.get("global_concurrency_limit")
    options = raw.get("concurrency_options") or {}
    return {
        "entrypoint": raw["entrypoint"],
        "description": (raw["description"] or "").strip(),
        "tags": sorted(raw["tags"]),
        "parameters": raw["parameters"],
        "schedules": {
            s.get("slug") or s["id"]: {
                "schedule": s["schedule"],
                "active": s["active"],
                "parameters": s.get("parameters") or {},
            }
            for s in raw["schedules"]
        },
        "concurrency": {
            "limit": limit["limit"],
            "collision_strategy": options.get("collision_strategy") or "ENQUEUE",
            "grace_period_seconds": options.get("grace_period_seconds"),
        }
        if limit
        else None,
        "work_pool": raw["work_pool_name"],
        "work_queue": raw["work_queue_name"],
        "job_variables": raw["job_variables"],
        "pull_steps": raw["pull_steps"],
        "schema": raw["parameter_openapi_schema"],
        "enforce": raw["enforce_parameter_schema"],
        "paused": raw["paused"],
    }


def _without_pause(found: Resource, pausing: set[str]) -> Resource:
    if found.kind != "deployment" or found.name in pausing:
        return found
    form = {key: value for key, value in found.form.items() if key != "paused"}
    return Resource(found.kind, found.name, form)


def _options(limit: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if limit is None:
        return None
    return {k: v for k, v in limit.items() if k != "limit" and v is not None}


def _automation_form(
    raw: Mapping[str, Any], deployments: Mapping[str, str], webhooks: Mapping[str, str]
) -> dict[str, Any]:
    from prefect.events.schemas.automations import AutomationCore

    form = AutomationCore.model_validate(raw).model_dump(mode="json")
    form["trigger"] = ordered(form["trigger"])
    for action in form["actions"]:
        if action.get("deployment_id"):
            action["deployment_id"] = deployments.get(action["deployment_id"])
        if action.get("block_document_id"):
            action["block_document_id"] = webhooks.get(action["block_document_id"])
    form["owner_resource"] = next(
        (a["deployment_id"] for a in form["actions"] if a.get("deployment_id")), None
    )
    return form
