"""Deploying: the difference, and that it is made as a whole or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.deploy import Change, Resource, Server, apply, difference
from flows.deploy.declared import WEBHOOK, webhook_form
from flows.deploy.difference import Form, Kind
from lakehouse import settings
from lakehouse.errors import SettingsError, StackError

KINDS: tuple[Kind, ...] = ("work pool", "webhook", "deployment", "automation")


class Memory:
    """A server that fails when it is told to."""

    def __init__(self, resources: list[Resource], fails_at: int = 10**6) -> None:
        self.held: dict[tuple[Kind, str], Form] = {(r.kind, r.name): r.form for r in resources}
        self.left = fails_at

    def _count(self) -> None:
        self.left -= 1
        if self.left == -1:
            raise StackError("ask Prefect", "the server is gone", "start it")

    def put(self, kind: Kind, name: str, form: Form) -> None:
        self._count()
        self.held[kind, name] = form

    def remove(self, kind: Kind, name: str) -> None:
        self._count()
        self.held.pop((kind, name), None)


def named(resources: list[Resource]) -> dict[tuple[Kind, str], Form]:
    return {(r.kind, r.name): r.form for r in resources}


sets: st.SearchStrategy[list[Resource]] = st.lists(
    st.builds(
        Resource,
        st.sampled_from(KINDS),
        st.sampled_from(["a", "b", "c"]),
        st.fixed_dictionaries({"x": st.integers(0, 2)}),
    ),
    max_size=8,
    unique_by=lambda r: (r.kind, r.name),
)


@given(sets, sets)
def test_it_becomes_as_declared_and_then_there_is_nothing_to_do(
    wanted: list[Resource], there: list[Resource]
) -> None:
    server = Memory(there)
    changes = difference(wanted, there)
    apply(changes, server)
    assert server.held == named(wanted)
    assert difference(wanted, wanted) == ()
    # What others need is made before them, and goes after them.
    made = [KINDS.index(c.kind) for c in changes if c.act != "remove"]
    gone = [KINDS.index(c.kind) for c in changes if c.act == "remove"]
    assert made == sorted(made) and gone == sorted(gone, reverse=True)


@given(sets, sets, st.integers(0, 12))
def test_a_failure_leaves_all_as_it_was(
    wanted: list[Resource], there: list[Resource], step: int
) -> None:
    changes = difference(wanted, there)
    server = Memory(there, fails_at=step)
    if step >= len(changes):
        apply(changes, server)
        return
    with pytest.raises(StackError) as error:
        apply(changes, server)
    assert "all is as it was" in error.value.found
    assert server.held == named(there)


def test_what_cannot_be_put_back_is_named() -> None:
    class Gone(Memory):
        def _count(self) -> None:
            self.left -= 1
            if self.left < 0:
                raise OSError("no route")

    server = Gone([], fails_at=1)
    wanted = [Resource("deployment", name, {"x": 1}) for name in ("a/a", "b/b")]
    with pytest.raises(StackError) as error:
        apply(difference(wanted, []), server)
    assert error.value.found == ("OSError: no route (not put back: deployment b/b, deployment a/a)")


def test_each_change_is_told_once_when_it_is_made() -> None:
    told: list[Change] = []
    wanted = [Resource("deployment", name, {"x": 1}) for name in ("a/a", "b/b")]
    changes = difference(wanted, [])
    with pytest.raises(StackError):
        apply(changes, Memory([], fails_at=1), told.append)
    assert told == [changes[0]]


def details(before: Any, after: Any) -> tuple[str, ...]:
    changes = difference(
        [Resource("deployment", "a", after)], [Resource("deployment", "a", before)]
    )
    return changes[0].details


def test_differences_are_told_by_their_place() -> None:
    before = {"schedules": {"weekly": {"cron": "0 7 * * 1"}}, "tags": ["a"], "actions": [{"d": 1}]}
    after = {
        "schedules": {"weekly": {"cron": "0 8 * * 1"}},
        "tags": ["a", "b"],
        "actions": [{"d": 2}],
    }
    assert details(before, after) == (
        "actions[0].d: 1 → 2",
        'schedules.weekly.cron: "0 7 * * 1" → "0 8 * * 1"',
        'tags: ["a"] → ["a", "b"]',
    )


def test_values_that_may_be_secrets_are_not_shown() -> None:
    before = {"job_variables": {"env": {"AWS_SECRET_ACCESS_KEY": "old"}}, "parameters": {}}
    after = {"job_variables": {"env": {"AWS_SECRET_ACCESS_KEY": "new"}}, "parameters": {"token": 1}}
    assert details(before, after) == ("job_variables.env: changed", "parameters.token: changed")
    steps = [{"git_clone": {"repository": "r", "access_token": "s"}}]
    assert details({"pull_steps": []}, {"pull_steps": steps}) == (
        'pull_steps: [] → [{"git_clone": {"repository": "r", "access_token": "***"}}]',
    )
    assert details({"job_variables": {}}, {"job_variables": {"env": {"A": "s"}}}) == (
        "job_variables.env: changed",
    )


def test_a_change_as_json_holds_no_secret() -> None:
    form = webhook_form("https://hooks.example.org/T0KEN")
    (change,) = difference([Resource("webhook", "lake-notify", form)], [])
    assert isinstance(change, Change)
    assert "T0KEN" not in f"{change}{change.to_json()}"
    assert webhook_form("https://hooks.example.org/other") != form


@pytest.mark.parametrize("wanted", ["https://new.example.org/T0KEN", ""])
def test_a_webhook_goes_back_to_its_former_address(
    wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from httpx import Request, Response
    from prefect.blocks.webhook import Webhook

    former = "https://old.example.org/T0KEN"
    saved: list[str] = []

    class Client:
        """A server that holds one webhook."""

        def request(self, method: str, path: str) -> Response:
            body = {"id": "1", "data": {"url": former}}
            return Response(200, json=body, request=Request(method, f"http://localhost{path}"))

    monkeypatch.setattr(
        Webhook, "save", lambda block, *_, **__: saved.append(block.url.get_secret_value())
    )
    server = Server(Client(), "project:shop", wanted)  # type: ignore[arg-type]
    (there,) = server._read_webhook()
    if wanted:
        server.put("webhook", WEBHOOK, webhook_form(wanted))
    # A later change failed: this one is undone by what was there before.
    server.put("webhook", WEBHOOK, there.form)
    assert saved == [*filter(None, [wanted]), former]


def test_an_address_to_notify_that_is_none_is_refused_without_telling_it() -> None:
    with pytest.raises(SettingsError, match="neither with https") as error:
        settings.load(_env_file="", notify_url="hooks.example.org/T0KEN")
    assert "T0KEN" not in str(error.value)
