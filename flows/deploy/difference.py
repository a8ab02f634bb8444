"""What would have to change on a server: a pure comparison of two sets of resources.

A resource's form is JSON in the server's own words, with names in the place of ids, so that what
is declared can be compared with what a server has before anything is made there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Change", "Form", "Kind", "Resource", "difference", "ordered"]

Kind = Literal["work pool", "webhook", "deployment", "automation"]
Form = Mapping[str, Any]

#: What is needed by others is made before them, and removed after them.
_ORDER: Sequence[Kind] = ("work pool", "webhook", "deployment", "automation")

#: What an event trigger treats as a set.
_SETS = ("expect", "after", "for_each")

_SHOWN = 60

#: Parts whose values may be secrets: they are compared, and not shown.
_SECRET = re.compile(r"\.env(\.|$)|pass|secret|token|credential|key$", re.IGNORECASE)


@dataclass(frozen=True)
class Resource:
    """One thing on a server, or one that is declared.

    Attributes:
        kind: What it is.
        name: Unique within its kind; a deployment's is ``flow/name``.
        form: All of it that can be declared, in JSON's types.
    """

    kind: Kind
    name: str
    form: Form


@dataclass(frozen=True)
class Change:
    """One step from what a server has to what is declared.

    Attributes:
        act: What is done.
        kind: To what.
        name: Its name.
        details: The parts that differ, each as ``path: before → after``.
        before: The form that the server has; None for none.
        after: The form that is declared; None for none.
    """

    act: Literal["add", "change", "remove"]
    kind: Kind
    name: str
    details: tuple[str, ...]
    before: Form | None
    after: Form | None

    def to_json(self) -> dict[str, Any]:
        """What ``lake deploy --json`` prints of it."""
        details = list(self.details)
        return {"act": self.act, "kind": self.kind, "name": self.name, "details": details}


def difference(wanted: Sequence[Resource], there: Sequence[Resource]) -> tuple[Change, ...]:
    """The steps from ``there`` to ``wanted``, in an order in which they can be done.

    What only the server has is removed: hand over what is ours alone.
    """
    ours = {(r.kind, r.name): r.form for r in wanted}
    theirs = {(r.kind, r.name): r.form for r in there}
    made = [
        Change("add", kind, name, (), None, form)
        for (kind, name), form in ours.items()
        if (kind, name) not in theirs
    ]
    changed = [
        Change("change", kind, name, tuple(_details(theirs[kind, name], form)), before, form)
        for (kind, name), form in ours.items()
        if (before := theirs.get((kind, name))) is not None and before != form
    ]
    gone = [
        Change("remove", kind, name, (), form, None)
        for (kind, name), form in theirs.items()
        if (kind, name) not in ours
    ]
    made_or_changed = sorted([*made, *changed], key=lambda c: (_ORDER.index(c.kind), c.name))
    gone.sort(key=lambda c: (-_ORDER.index(c.kind), c.name))
    return (*made_or_changed, *gone)


def ordered(trigger: Any) -> Any:
    """A trigger with its sets in one order: a server gives them back in any."""
    if not isinstance(trigger, Mapping):
        return trigger
    made = {
        key: sorted(value) if key in _SETS and value else ordered(value)
        for key, value in trigger.items()
    }
    if trigger.get("triggers"):
        made["triggers"] = [ordered(one) for one in trigger["triggers"]]
    return made


def _details(before: Any, after: Any, at: str = "") -> Iterator[str]:
    if before == after:
        return
    if _SECRET.search(at):
        yield f"{at}: changed"
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            yield from _details(before.get(key), after.get(key), f"{at}.{key}" if at else key)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for i, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _details(old, new, f"{at}[{i}]")
    else:
        yield f"{at}: {_short(_masked(before, at))} → {_short(_masked(after, at))}"


def _masked(value: Any, at: str) -> Any:
    if _SECRET.search(at):
        return "***"
    if isinstance(value, Mapping):
        return {key: _masked(one, f"{at}.{key}") for key, one in value.items()}
    if isinstance(value, list):
        return [_masked(one, at) for one in value]
    return value


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
