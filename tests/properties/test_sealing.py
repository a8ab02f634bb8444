"""However batches came, were sealed and taken out again, the rows are those of one build."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from scattered import place_of
from shop import Shop

from lakehouse import ledger, maintenance
from lakehouse.maintenance import compaction
from lakehouse.rewriting import statistics

# No time limit on an example: a busy machine is no counterexample.
unhurried = settings(deadline=None, max_examples=12)

Step = Callable[[Shop], object]

_TABLES = ("bronze.orders", "silver.orders", "gold.daily")
_FILES = st.sampled_from([f"f{n}" for n in range(6)])
_ROW = st.tuples(
    st.sampled_from(("o1", "o2", "o3")),
    st.sampled_from(("ann", None)),
    st.sampled_from((1, 5000, "x")),
    st.sampled_from(("2026-01-31", "2026-02-01", "no date")),
)
_SOURCE = "source: {path: 'orders/*.csv', format: csv"
_EDIT = (f"{_SOURCE}}}", f"{_SOURCE}, null_values: ['', '-']}}")


def _land(file: str, rows: list[tuple[object, ...]]) -> Step:
    return lambda shop: shop.orders(file, *rows)


def _remove(file: str) -> Step:
    return lambda shop: (shop.landing / f"orders/{file}.csv").unlink(missing_ok=True)


def _turn(shop: Shop) -> None:
    made = _EDIT[1] in (shop.domain / "bronze/orders.yaml").read_text(encoding="utf-8")
    shop.edit("bronze/orders.yaml", *(_EDIT[::-1] if made else _EDIT))


def _build(shop: Shop) -> None:
    shop.build("bronze.orders")


def _maintain(shop: Shop) -> None:
    """A month from now, when three files are worth sealing; no row and no target is another."""
    lake = shop.lake()
    domain, then = lake.domain("shop"), ledger.now() + dt.timedelta(days=31)
    before = _rows(shop), _todo(shop)
    with mock.patch.object(compaction, "_SEALED_FILES", 3):
        maintenance.maintain(lake, domain, maintenance.plan(lake, domain, now=then))
    assert (_rows(shop), _todo(shop)) == before


def _todo(shop: Shop) -> list[tuple[object, ...]]:
    return [(t.table, t.key, t.action, t.wanted, t.reasons) for t in shop.plan().targets]


def _rows(shop: Shop) -> dict[str, list[tuple[object, ...]]]:
    found = shop.everything()
    for name in ("bronze.orders", "silver.orders"):
        held = f"SELECT * EXCLUDE (_build) FROM {name}__quarantine"
        found[f"{name}__quarantine"] = sorted(shop.rows(held), key=repr)
    return found


_LANDED = st.builds(_land, _FILES, st.lists(_ROW, max_size=3))
_STEP = st.one_of(
    _LANDED,
    _LANDED,
    st.builds(_remove, _FILES),
    st.just(_build),
    st.just(_maintain),
    st.just(_maintain),
    st.just(_turn),
)


@unhurried
@given(st.lists(_STEP, max_size=9))
def test_any_history_ends_in_the_rows_of_one_build(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lived = Shop(Path(folder) / "lived", _TABLES)
        lived.edit("bronze/orders.yaml", "source:", "on_gone: remove\n    source:")
        lived.edit("silver/orders.yaml", "rows:", "max_quarantined: 1\n    rows:")
        for n in range(6):
            lived.orders(f"f{n}", ("o1", "ann", n, "2026-01-31"), ("o2", "bob", n, "2026-02-01"))
        # Never gone, so that the listing is never empty.
        lived.orders("always", ("o0", "ann", 1, "2026-02-10"))
        _build(lived)
        _maintain(lived)
        assert any(file.members for file in lived.snapshot("bronze.orders").files)
        for step in steps:
            step(lived)
        lived.build()
        assert lived.todo() == {}
        where = {"landing": lived.settings.landing, "domains": lived.settings.domains}
        fresh = Shop(Path(folder) / "fresh", _TABLES, **where)
        fresh.build()
        assert _rows(lived) == _rows(fresh)
        assert _live(lived) == _live(fresh)
        assert _counted(lived) == _counted(fresh)


def _live(shop: Shop) -> set[tuple[object, ...]]:
    """What of every batch is live: nothing may be there twice, nor be named otherwise."""
    parts = list(shop.snapshot("bronze.orders").parts)
    found = {(part.partition, part.batch, str(part.build), part.rows) for part in parts}
    assert len(found) == len(parts)
    return found


def _counted(shop: Shop) -> dict[str | None, tuple[object, ...]]:
    """Partition → rows and ends of time, by the statistics of all its files."""
    place, found = place_of(shop, "bronze.orders"), {}
    for value, files in shop.snapshot("bronze.orders").partitions.items():
        told = statistics(place, [file.path for file in files]).values()
        full = [one for one in told if one.rows]
        assert all({"_landed_at"} == set(one.low) == set(one.high) for one in full)
        ends = [(one.low["_landed_at"], one.high["_landed_at"]) for one in full]
        found[value] = (
            sum(one.rows for one in full),
            min((low for low, _ in ends), default=None),
            max((high for _, high in ends), default=None),
        )
    return found
