"""The words and states of a run's end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from prefect import State
from prefect.states import Cancelled, Completed, Failed, Pending

from flows import outcome
from flows.outcome import Built
from lakehouse.build import Blocked, TableResult
from lakehouse.errors import EngineError
from lakehouse.training.gates import GateResult
from lakehouse.training.job import Trained

HELD = Blocked("shop.silver.orders", "2026-03-01", "any_orders", "3 rows, at most 2 are allowed")
DONE = TableResult("shop.silver.orders", 3, 2, 10, 9, 1, reasons={"amount_plausible": 1})
STOPPED = TableResult("shop.silver.orders", 3, 1, 5, 5, blocked=(HELD,))
WAITING = TableResult("shop.gold.daily", 1, waiting=("2026-03-01 blocked by silver.orders",))
SAID = "blocked: shop.silver.orders 2026-03-01 by any_orders"
FIVE = "1 table published, 5 rows"


def told(state: State[Any]) -> tuple[str, str | None, str | None]:
    return state.type.value, state.name, state.message


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (Built(), ("COMPLETED", "Completed", "nothing to do")),
        (
            Built((DONE,)),
            ("COMPLETED", "Completed", "1 table published, 9 rows, 1 quarantined"),
        ),
        (
            Built((STOPPED, WAITING)),
            (
                "FAILED",
                "Blocked",
                f"{SAID}; waiting: shop.gold.daily 2026-03-01 blocked by silver.orders; {FIVE}",
            ),
        ),
        (
            Built((STOPPED,), {"silver.sales": "out of memory"}, ("gold.sales",)),
            (
                "FAILED",
                "Failed",
                f"failed: silver.sales: out of memory; not tried: gold.sales; {SAID}; {FIVE}",
            ),
        ),
        (
            Built((), {"bronze.sales": "no such file"}),
            ("FAILED", "Failed", "failed: bronze.sales: no such file; nothing published"),
        ),
    ],
)
def test_a_run_says_the_worst_first_and_what_was_done(
    built: Built, expected: tuple[str, str, str]
) -> None:
    assert told(outcome.of_build(built)) == expected


def test_the_ledger_gets_the_same_verdict() -> None:
    failed = Built((STOPPED,), {"a": "x", "b": "y"})
    assert [b.verdict for b in (failed, Built((STOPPED,)), Built())] == [
        "failed",
        "blocked",
        "done",
    ]
    assert failed.errors == "a: x; b: y"


def test_a_table_with_held_partitions_is_named_blocked_and_stops_nobody() -> None:
    assert told(outcome.of_table(STOPPED)) == (
        "COMPLETED",
        "Blocked",
        f"version 3: 1 partition, 5 rows published; {SAID}",
    )
    assert told(outcome.of_table(DONE))[1:] == (
        "Completed",
        "version 3: 2 partitions, 9 rows published, 1 quarantined",
    )
    assert told(outcome.of_table(TableResult("a", 1)))[1:] == ("UpToDate", "nothing to do")


def test_many_are_counted_not_listed() -> None:
    held = tuple(Blocked("t", f"p{i}", "r", "") for i in range(8))
    message = outcome.of_build(Built((TableResult("t", 1, blocked=held),))).message
    assert message and message.startswith("blocked: t p0 by r") and "and 3 more" in message


def test_why_a_task_failed() -> None:
    ours = EngineError("build silver.sales", "not a number: 'x'", "correct silver/sales.sql")
    assert outcome.reason(Failed(data=ours)) == (
        "build silver.sales: not a number: 'x' (remedy: correct silver/sales.sql)"
    )
    assert outcome.reason(Failed(data=OSError("gone"))) == "OSError: gone"
    assert outcome.reason(Cancelled(message="by a person")) == "by a person"


def test_training() -> None:
    gate = GateResult("business", "metric", "failed", "roc_auc 0.61, at least 0.74", blocks=True)
    made: Any = SimpleNamespace(version=2, alias="challenger", gates=(gate,))
    assert told(outcome.of_training(Trained("m", made, None))) == (
        "FAILED",
        "Blocked",
        "version 2 is challenger: business failed (roc_auc 0.61, at least 0.74)",
    )
    made.alias = "champion"
    assert told(outcome.of_training(Trained("m", made, None)))[2] == "version 2 is champion"
    after = Trained("m", made, None), Completed(message="nothing new")
    assert told(outcome.of_training(*after)) == ("COMPLETED", "Completed", "version 2 is champion")


def test_a_champion_that_could_not_score_is_no_success() -> None:
    made: Any = SimpleNamespace(version=2, alias="champion", gates=())
    state = outcome.of_training(Trained("m", made, None), Failed(message="no route to host"))
    assert told(state) == (
        "FAILED",
        "Failed",
        "version 2 is champion; scoring by it ended as Failed: no route to host",
    )


def test_exit_codes_are_those_of_the_command() -> None:
    states = [Completed(), Failed(name="Blocked"), Failed(), Pending()]
    assert [outcome.exit_code(state) for state in states] == [0, 3, 1, 1]
