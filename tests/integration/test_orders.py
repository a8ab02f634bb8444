"""One table of a run, built by a process of its own: what it is told, and what it answers."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from shop import Shop

from lakehouse.build.order import Answer, Order, read_answer, read_order, write_answer, write_order
from lakehouse.ops import AuditRow

ROOT = Path(__file__).parents[2]
STARTED = dt.datetime(2026, 7, 1, 12, 0, 0, 1, dt.UTC)
LIMIT = "table_row_count_to_be_between, kwargs: {max_value: "


def order(shop: Shop, table: str, **absent: frozenset[str | None]) -> Path:
    """An order in a file."""
    path = shop.root / f"{table}.json"
    named = {name.replace("_", "."): held for name, held in absent.items()}
    write_order(path, Order("a-run", "shop", table, "local", STARTED, False, named))
    return path


def obeyed(shop: Shop, path: Path) -> tuple[int, str]:
    """Exit code and words of a process that was given an order, which is held meanwhile."""
    settings = shop.settings
    own = {f"LAKE_{n.upper()}": str(getattr(settings, n)) for n in ("uri", "landing", "domains")}
    own |= {"LAKE_STATE": str(settings.state), "PYTHONPATH": str(ROOT)}
    clean = {n: v for n, v in os.environ.items() if not n.startswith(("LAKE_", "AWS_"))}
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = subprocess.run(
            [sys.executable, "-m", "jobs.build", "--order", str(path)],
            env=clean | own,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    return done.returncode, done.stdout


@pytest.mark.parametrize("force", [True, False, frozenset({"2026-01-01"})])
def test_orders_and_answers_come_back_as_they_were(tmp_path: Path, force: bool) -> None:
    path = tmp_path / "silver.orders.json"
    held = {"silver.orders": frozenset({None, "é"})}
    given = Order("a-run", "shop", "gold.daily", "spark", STARTED, force, held)
    write_order(path, given)
    assert read_order(path) == given
    assert read_answer(path) is None
    words = ("r", "t", "k", "w", "mean", "expect", "{}")
    audit = AuditRow(*words, 1.0, "passed", "", 3, 0, 0, float("inf"), False)
    answer = Answer(error={"error": "StorageError"}, audits=(audit,), absent=frozenset({None}))
    write_answer(path, answer)
    assert read_answer(path) == answer
    write_order(path, given)
    assert read_answer(path) is None


def test_a_child_publishes_and_leaves_the_ledger_to_its_leader(shop: Shop) -> None:
    shop.open_for_business()
    shop.build("bronze.orders")
    before = len(shop.builds())
    path = order(shop, "silver.orders")
    code, said = obeyed(shop, path)
    assert code == 0, said
    assert "silver.orders: 2 to build\n" in said
    answer = read_answer(path)
    assert answer is not None and answer.result is not None
    assert (answer.result.rows_out, answer.result.keys) == (4, ("2026-01-01", "2026-02-01"))
    assert {(row.run, row.table) for row in answer.builds} == {("a-run", "shop.silver.orders")}
    assert answer.audits and len(shop.builds()) == before
    assert len(shop.rows("FROM silver.orders")) == 4


def test_a_child_knows_what_its_run_holds_back(shop: Shop) -> None:
    shop.edit("silver/orders.yaml", f"{LIMIT}1000}}", f"{LIMIT}1}}")
    shop.orders("2026-01", ("a1", "ann", 1, "2026-01-05"), ("a2", "bob", 2, "2026-01-30"))
    shop.orders("2026-02", ("b1", "ann", 5, "2026-02-02"))
    shop.build("bronze.orders")
    path = order(shop, "silver.orders")
    assert obeyed(shop, path)[0] == 3
    answer = read_answer(path)
    assert answer is not None and answer.result is not None
    assert [blocked.partition for blocked in answer.result.blocked] == ["2026-01-01"]
    assert answer.absent == {"2026-01-01"}

    path = order(shop, "gold.daily", silver_orders=answer.absent)
    code, said = obeyed(shop, path)
    assert code == 0, said
    # February reads the last days of January, which were never published.
    assert shop.snapshot("gold.daily").exists is False
    answer = read_answer(path)
    assert answer is not None and answer.result is not None
    assert any("2026-02-01" in told for told in answer.result.waiting)


def test_a_child_answers_with_its_error(shop: Shop) -> None:
    path = order(shop, "silver.nothing")
    assert obeyed(shop, path)[0] == 1
    shop.open_for_business()
    shop.build("bronze.orders")
    for file in (shop.root / "lake" / "shop" / "bronze" / "orders").rglob("*.parquet"):
        file.unlink()
    path = order(shop, "silver.orders")
    assert obeyed(shop, path)[0] == 1
    answer = read_answer(path)
    assert answer is not None and answer.result is None and answer.error is not None
    assert set(answer.error) >= {"error", "asked", "found", "remedy"}


def test_a_child_without_a_leader_does_nothing(shop: Shop) -> None:
    shop.open_for_business()
    path = order(shop, "bronze.orders")
    done = subprocess.run(
        [sys.executable, "-m", "jobs.build", "--order", str(path)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert read_answer(path) is None
