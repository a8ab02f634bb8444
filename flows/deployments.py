"""A strict check of ``prefect.yaml``: Prefect accepts misspelled keys without a word.

Keys are compared with the models by which Prefect itself reads the file, entry
points and parameters with the source of the flows, which is not imported, domains and
models with the folders that declare them. Run it as
``python -m flows.deployments prefect.yaml``. Automations that belong to no deployment are checked
in the same way.
"""

from __future__ import annotations

import ast
import difflib
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Problem", "lint", "lint_automations", "main"]

At = tuple[str | int, ...]
Finding = tuple[At, str, str]

#: The flows whose parameters name a domain or a model of the catalog.
_OWN = tuple(
    f"flows/{name}.py:{name}"
    for name in ("elt", "train", "score", "monitor", "retrain", "maintain")
)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in the file.

    Attributes:
        file: ``path:line``.
        found: What stands there.
        remedy: What to write instead.
    """

    file: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}: {self.found}; {self.remedy}"


def lint(path: Path) -> tuple[Problem, ...]:
    """Check a ``prefect.yaml``; entry points are looked up beside it.

    Returns:
        All problems in the order of their lines; empty when the file may be deployed.
    """
    return _read(path, lambda raw: _file(raw, path.parent), "deployments:")


def lint_automations(folder: Path) -> tuple[Problem, ...]:
    """Check the automations of a folder: one in each file.

    Returns:
        All problems, file by file; none when there is no such folder.
    """
    found = [p for file in sorted(folder.glob("*.yaml")) for p in _read(file, _alone, "name:")]
    return tuple(found)


def _read(
    path: Path, check: Callable[[Mapping[str, Any]], Iterator[Finding]], first: str
) -> tuple[Problem, ...]:
    text = path.read_text(encoding="utf-8")
    try:
        tree, raw = yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        return (Problem(f"{path}:{line}", f"not YAML: {error}", "mend it"),)
    if not isinstance(raw, dict):
        return (Problem(f"{path}:1", "the file holds no mapping", f"begin with '{first}'"),)
    found = [(_line(tree, at), what, remedy) for at, what, remedy in check(raw)]
    return tuple(Problem(f"{path}:{line}", what, do) for line, what, do in sorted(found))


def main(argv: Sequence[str] | None = None) -> int:
    """Print the problems of the files named; 0 when there are none."""
    names = list(sys.argv[1:] if argv is None else argv) or ["prefect.yaml"]
    problems = [problem for name in names for problem in lint(Path(name))]
    folders = dict.fromkeys(Path(name).parent / "deployments" / "automations" for name in names)
    problems += [problem for folder in folders for problem in lint_automations(folder)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def _file(raw: Mapping[str, Any], root: Path) -> Iterator[Finding]:
    from prefect.cli.deploy._models import PrefectYamlModel

    yield from _unknown(raw, _names(PrefectYamlModel) | {"definitions"}, ())
    for key in ("build", "push"):
        if raw.get(key):
            yield (key,), f"'{key}' steps are not run", "build before you deploy; delete them"
    seen: dict[tuple[str, str], int] = {}
    for i, deployment in enumerate(raw.get("deployments") or []):
        at: At = ("deployments", i)
        if not isinstance(deployment, dict):
            yield at, f"deployment {deployment!r} is no mapping", "write 'name:', 'entrypoint:', …"
            continue
        yield from _deployment(deployment, at, root)
        full = str(deployment.get("entrypoint")), str(deployment.get("name"))
        if full in seen:
            yield at, f"deployment {full[1]!r} of {full[0]} a second time", "give it another name"
        seen[full] = i


def _deployment(deployment: Mapping[str, Any], at: At, root: Path) -> Iterator[Finding]:
    from prefect.cli.deploy._models import ConcurrencyLimitSpec, DeploymentConfig, WorkPoolConfig

    # Prefect's old name, which holds no list: with one it skips the whole deployment.
    yield from _unknown(deployment, _names(DeploymentConfig) - {"schedule"}, at)
    for key in ("name", "entrypoint", "work_pool"):
        if not deployment.get(key):
            yield at, f"a deployment without '{key}'", f"add '{key}:'"
    yield from _unknown(deployment.get("work_pool"), _names(WorkPoolConfig), (*at, "work_pool"))
    limit = deployment.get("concurrency_limit")
    yield from _unknown(limit, _names(ConcurrencyLimitSpec), (*at, "concurrency_limit"))
    for i, schedule in enumerate(deployment.get("schedules") or []):
        yield from _schedule(schedule, (*at, "schedules", i))
    for i, trigger in enumerate(deployment.get("triggers") or []):
        yield from _trigger(trigger, (*at, "triggers", i), nested=False)
    if entrypoint := deployment.get("entrypoint"):
        yield from _entrypoint(str(entrypoint), deployment.get("parameters") or {}, at, root)


def _entrypoint(
    entrypoint: str, parameters: Mapping[str, Any], at: At, root: Path
) -> Iterator[Finding]:
    here = (*at, "entrypoint")
    file, _, function = entrypoint.partition(":")
    if not (root / file).is_file():
        yield here, f"entry point {entrypoint!r}: there is no file {file}", "correct the path"
        return
    tree = ast.parse((root / file).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = {node.name: node for node in tree.body if isinstance(node, kinds)}
    if function not in functions:
        found = f"entry point {entrypoint!r}: {file} has no function {function!r}"
        yield here, found, _meant(function, functions)
        return
    arguments = functions[function].args
    names = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    for key in parameters:
        if key not in names and arguments.kwarg is None:
            where = (*at, "parameters", key)
            yield where, f"the flow {function} has no parameter {key!r}", _meant(key, names)
    if entrypoint in _OWN:
        yield from _declared(parameters, at, root)


def _declared(parameters: Mapping[str, Any], at: At, root: Path) -> Iterator[Finding]:
    """Domains and models that nobody declares; templates are filled in later."""
    from lakehouse import catalog, settings
    from lakehouse.errors import LakehouseError

    asked = {key: parameters.get(key) for key in ("domain", "model")}
    if not any(isinstance(name, str) for name in asked.values()):
        return
    try:
        folders = {f.name: f for f in catalog.folders(root / settings.load().domains)}
    except LakehouseError as error:
        yield at, f"{error.asked}: {error.found}", error.remedy
        return
    known: dict[str, Collection[str]] = {"domain": folders}
    owner = asked["domain"]
    of = [folders[owner]] if owner in folders else folders.values()
    known["model"] = {file.stem for f in of for file in (f / "models").glob("*.yaml")}
    for key, name in asked.items():
        if isinstance(name, str) and "{{" not in name and name not in known[key]:
            found = f"there is no {key} {name!r}"
            yield (*at, "parameters", key), found, _meant(name, known[key])


def _schedule(schedule: Any, at: At) -> Iterator[Finding]:
    from prefect.cli.deploy._models import RawScheduleConfig
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    wrong = list(_unknown(schedule, _names(RawScheduleConfig), at))
    yield from wrong
    if wrong:
        return
    try:
        read = RawScheduleConfig.model_validate(schedule)
        if read.cron is not None:
            CronSchedule(cron=read.cron, timezone=read.timezone)
    except ValidationError as error:
        yield at, f"schedule: {_first(error)}", "correct it"


def _trigger(trigger: Any, at: At, *, nested: bool) -> Iterator[Finding]:
    from prefect import events
    from prefect.events.schemas import automations
    from pydantic import ValidationError

    models: dict[str, Any] = {
        "event": automations.EventTrigger if nested else events.DeploymentEventTrigger,
        "compound": automations.CompoundTrigger if nested else events.DeploymentCompoundTrigger,
        "sequence": automations.SequenceTrigger if nested else events.DeploymentSequenceTrigger,
    }
    kind = trigger.get("type", "event") if isinstance(trigger, dict) else None
    if kind not in models:
        yield at, f"trigger of type {kind!r}", f"use one of {', '.join(models)}"
        return
    wrong = list(_unknown(trigger, _names(models[kind]), at))
    yield from wrong
    for i, inner in enumerate(trigger.get("triggers") or []):
        yield from _trigger(inner, (*at, "triggers", i), nested=True)
    if kind == "event" and not (trigger.get("match") or trigger.get("match_related")):
        yield at, "a trigger without 'match' fires for every resource", "add 'match:'"
    if kind != "event" and "within" not in trigger:
        yield at, f"a {kind} trigger without 'within' waits for ever", "add 'within: <seconds>'"
    if not wrong:
        try:
            models[kind].model_validate(trigger)
        except ValidationError as error:
            yield at, f"trigger: {_first(error)}", "correct it"


def _alone(raw: Mapping[str, Any]) -> Iterator[Finding]:
    """An automation that belongs to no deployment."""
    from typing import get_args
    from uuid import UUID

    from prefect.events.actions import ActionTypes
    from prefect.events.schemas.automations import AutomationCore
    from pydantic import ValidationError

    actions = raw.get("actions") or []
    kinds = {model.model_fields["type"].default for model in get_args(ActionTypes)}
    for i, action in enumerate(actions):
        kind = action.get("type") if isinstance(action, dict) else None
        if kind not in kinds:
            # Prefect keeps it, for a server that may know it.
            yield ("actions", i, "type"), f"unknown action {kind!r}", _meant(kind, kinds)
            return
        if kind == "run-deployment":
            remedy = "make it a trigger of the deployment in prefect.yaml"
            yield ("actions", i), "an action that runs a deployment", remedy
    # A webhook is named, and found on the server later.
    named = [
        {**a, "block_document_id": str(UUID(int=0))} if "block_document_id" in a else a
        for a in actions
        if isinstance(a, dict)
    ]
    try:
        made = AutomationCore.model_validate({**raw, "actions": named})
    except ValidationError as error:
        yield (*error.errors()[0]["loc"],), f"automation: {_first(error)}", "correct it"
        yield from _unknown(raw, _names(AutomationCore), ())
        return
    yield from _dropped(raw, made, ())
    trigger = raw.get("trigger") or {}
    if not (trigger.get("match") or trigger.get("match_related") or trigger.get("triggers")):
        yield ("trigger",), "a trigger without 'match' fires for every resource", "add 'match:'"


def _dropped(raw: Any, made: Any, at: At) -> Iterator[Finding]:
    """Keys that the model, as it was read, does not have."""
    from pydantic import BaseModel

    if isinstance(raw, dict) and isinstance(made, BaseModel) and not hasattr(made, "root"):
        yield from _unknown(raw, _names(type(made)), at)
        for key, value in raw.items():
            yield from _dropped(value, getattr(made, key, None), (*at, key))
    elif isinstance(raw, list) and isinstance(made, list | tuple):
        for i, (one, other) in enumerate(zip(raw, made, strict=False)):
            yield from _dropped(one, other, (*at, i))


def _unknown(value: Any, known: Collection[str], at: At) -> Iterator[Finding]:
    for key in value if isinstance(value, dict) else ():
        if key not in known:
            yield (*at, key), f"unknown key {key!r}", _meant(key, known)


def _names(model: Any) -> set[str]:
    fields = model.model_fields
    return set(fields) | {field.alias for field in fields.values() if field.alias}


def _meant(key: object, known: Collection[str]) -> str:
    close = difflib.get_close_matches(str(key), sorted(known), n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"


def _first(error: Any) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else str(problem["msg"])


def _line(node: yaml.Node | None, at: At) -> int:
    """The line of the deepest part of the path that stands in the file itself."""
    line = node.start_mark.line + 1 if node else 1
    for key in at:
        if isinstance(node, yaml.MappingNode):
            pairs = [(k, v) for k, v in node.value if k.value == str(key)]
            if not pairs:
                break
            line, node = pairs[0][0].start_mark.line + 1, pairs[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
            node = node.value[key]
            line = node.start_mark.line + 1
        else:
            break
    return line


if __name__ == "__main__":
    sys.exit(main())
