"""What is begun again after a crash, and who may ask the arbiter."""

from __future__ import annotations

from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Completed, Crashed, Running, Scheduled, State

from flows import retrain
from flows.reconcile import crashes
from lakehouse.errors import ModelError
from lakehouse.retraining import Trigger


def runs(*states: State) -> list[FlowRun]:
    return [FlowRun(flow_id=uuid4(), name=f"r{i}", state=state) for i, state in enumerate(states)]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((), []),
        ((Completed(), Crashed()), []),
        ((Crashed(), Completed(), Crashed()), ["r0"]),
        ((Crashed(), Crashed(), Completed()), ["r0", "r1"]),
        # It was begun again already, or a schedule came.
        ((Scheduled(), Crashed()), []),
        ((Running(), Crashed()), []),
    ],
)
def test_only_crashes_that_nothing_came_after(
    states: tuple[State, ...], expected: list[str]
) -> None:
    assert [run.name for run in crashes(runs(*states))] == expected


def test_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "ann")
    asked = retrain._asked(None, "new vendor", force=True)
    assert asked == Trigger("on demand", "new vendor", "ann", force=True)
    told = {"kind": "new data", "detail": "gold.features version 3"}
    assert retrain._asked(told, "", force=False) == Trigger("new data", "gold.features version 3")
    with pytest.raises(ModelError, match="write one of on demand, schedule, new data"):
        retrain._asked({"kind": "newdata"}, "", force=False)


def test_what_makes_up_for_a_crash_forces_no_second_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retrain.flow_run, "get_tags", lambda: ["model:m", "again"])
    assert not retrain._asked(None, "new vendor", force=True).force
    monkeypatch.setattr(retrain.flow_run, "get_tags", lambda: ["model:m"])
    assert retrain._asked(None, "new vendor", force=True).force
