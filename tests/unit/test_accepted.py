"""A definition that is accepted gives the same rows: nobody takes it for another one."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from loop_shop import DAY, LoopShop
from order_model import MODEL
from shop import Shop
from watched_toys import START, WatchedToys, visits

from lakehouse.monitoring.job import Monitored
from lakehouse.retraining.facts import Facts
from lakehouse.retraining.job import Decided
from lakehouse.retraining.policy import decide
from lakehouse.training.job import find

NOW = dt.datetime(2026, 4, 2, 12, tzinfo=dt.UTC)


def refactor(shop: Shop, table: str, old: str, new: str) -> str:
    """Write the same SQL otherwise; the id that it had."""
    had = shop.lake().domain("shop").table(f"gold.{table}").definition
    shop.edit(f"gold/{table}.sql", old, new)
    assert shop.lake().domain("shop").table(f"gold.{table}").definition != had
    return had


def accept(shop: Shop, table: str, definition: str) -> None:
    accepts = f"engine: local\n    accepts: ['{definition}']"
    shop.edit(f"gold/{table}.yaml", "engine: local", accepts)


def codes(shop: LoopShop, facts: Facts) -> set[str]:
    _, model = find(shop.lake(), MODEL, "shop")
    return {reason.code for reason in decide(model.retrain, facts).reasons}


def against_champion(done: Decided) -> str:
    """What the gate against the champion said."""
    assert done.trained is not None and done.trained.result is not None
    (found,) = [g.because for g in done.trained.result.gates if g.name == "beats_champion"]
    return found


def test_by_the_arbiter_and_by_gates_against_the_champion(tmp_path: Path) -> None:
    shop = LoopShop(tmp_path)
    for month in (1, 2, 3):
        shop.land_month(month)
    shop.build()
    assert shop.ask(NOW, "new data").promoted
    old = refactor(shop, "features", "= 'L'", "IN ('L')")
    assert "definition changed" in codes(shop, shop.facts(NOW + DAY))

    accept(shop, "features", old)
    facts = shop.facts(NOW + DAY)
    assert facts.champion is not None and facts.judged is not None
    assert facts.champion.definition == facts.judged.definition == facts.definition
    assert not facts.definition.endswith(old)
    assert "definition changed" not in codes(shop, facts)
    assert codes(shop, facts) >= {"too few rows", "no alarm"}

    again = shop.ask(NOW + DAY, "on demand", force=True)
    assert "of champion version 1 on " in against_champion(again)

    # The champion still learnt from a column by which rows are only sliced now.
    shop.edit(f"models/{MODEL}.yaml", "[name_length, amount]", "[name_length]")
    shop.edit(
        f"models/{MODEL}.yaml",
        "{column: letter,",
        "{column: amount, min_rows: 30}, {column: letter,",
    )
    fewer = shop.ask(NOW + 2 * DAY, "on demand", force=True)
    assert "of champion version 1 on " in against_champion(fewer)


def drift(done: Monitored) -> list[str]:
    return [row.verdict for row in done.looked.monitors if row.monitor == "drift"]


def test_by_monitors(tmp_path: Path) -> None:
    toys = WatchedToys(tmp_path)
    for week in range(3):
        toys.land(week, visits(week), build=week == 2)
    version, now = toys.version(), START + dt.timedelta(weeks=3)
    old = refactor(toys.shop, "visits", "\n  visit, CAST", "\n  visit AS visit, CAST")
    assert set(drift(toys.watch(version, now=now))) == {"not evaluated"}
    accept(toys.shop, "visits", old)
    # The rows are the same, and so is the definition: what can be said has changed.
    assert set(drift(toys.watch(version, now=now))) == {"ok"}
    assert drift(toys.watch(version, now=now)) == []
