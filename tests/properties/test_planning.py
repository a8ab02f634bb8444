"""However a lake came to be, one build makes it what a build from nothing makes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from shop import CUSTOMERS, Shop

# No time limit on an example: a busy machine is no counterexample.
unhurried = settings(deadline=None, max_examples=20)

Step = Callable[[Shop], object]

_DATES = ("2026-01-31", "2026-02-01", "2026-02-27", "2026-03-02", "2026-03-15", "no date")
_ROW = st.tuples(
    st.sampled_from(("o1", "o2", "o3")),
    st.sampled_from(("ann", "bob", None)),
    st.sampled_from((1, 20, 5000, "x")),
    st.sampled_from(_DATES),
)
_EDITS = (
    ("silver/orders.yaml", "amount, max_value: 1000", "amount, max_value: 9000"),
    ("silver/orders.sql", "'^[0-9]+$'", "'^[0-9x]+$'"),
    ("gold/daily.sql", "INTERVAL 6 DAYS", "INTERVAL 2 DAYS"),
    ("gold/daily.yaml", "lookback: 6 days", "lookback: 8 days"),
    ("gold/countries.sql", "'?'", "'unknown'"),
    ("gold/countries.sql", "GROUP BY", "  GROUP  BY  -- as above\n"),
)
_TABLES = ("bronze.orders", "silver.orders", "silver.customers", "gold.daily", "gold.countries")


def _land(file: str, rows: list[tuple[object, ...]]) -> Step:
    return lambda shop: shop.orders(file, *rows)


def _turn(edit: tuple[str, str, str]) -> Step:
    """Make an edit, or undo it."""
    file, old, new = edit

    def turn(shop: Shop) -> None:
        made = new in (shop.domain / file).read_text(encoding="utf-8")
        shop.edit(file, *((new, old) if made else (old, new)))

    return turn


def _build(table: str) -> Step:
    return lambda shop: shop.build(table)


def _remove(file: str) -> Step:
    return lambda shop: (shop.landing / f"orders/{file}.csv").unlink(missing_ok=True)


def _dimension(countries: tuple[str, str]) -> Step:
    return lambda shop: shop.customers("all", *zip(("ann", "bob"), countries, strict=True))


_FILES = st.sampled_from(("f1", "f2", "f3"))
_STEP = st.one_of(
    st.builds(_land, _FILES, st.lists(_ROW, max_size=5)),
    st.builds(_land, _FILES, st.lists(_ROW, min_size=1, max_size=2)),
    st.builds(_turn, st.sampled_from(_EDITS)),
    st.builds(_build, st.sampled_from(_TABLES)),
    st.builds(_build, st.sampled_from(_TABLES)),
    st.builds(_remove, _FILES),
    st.builds(_dimension, st.tuples(*(st.sampled_from(("NO", "SE")),) * 2)),
)


def _opened(root: Path) -> Shop:
    shop = Shop(root)
    shop.drop("silver.sales", "bronze.sales")
    shop.edit("bronze/orders.yaml", "source:", "on_gone: remove\n    source:")
    shop.edit("silver/orders.yaml", "rows:", "max_quarantined: 1\n    rows:")
    # Never gone, so that the listing is never empty.
    shop.orders("f0", ("o0", "ann", 1, "2026-02-10"))
    shop.customers("all", *CUSTOMERS)
    return shop


@unhurried
@given(st.lists(_STEP, max_size=7))
def test_any_history_ends_in_the_same_rows(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lived, fresh = _opened(Path(folder) / "lived"), Shop(Path(folder) / "fresh")
        for step in steps:
            step(lived)
        lived.build()
        assert lived.todo() == {}
        shutil.rmtree(fresh.domain)
        shutil.copytree(lived.domain, fresh.domain)
        shutil.copytree(lived.landing, fresh.landing)
        fresh.build()
        assert _content(lived) == _content(fresh)


def _content(shop: Shop) -> dict[str, list[tuple[object, ...]]]:
    tables = ["bronze.orders", "silver.orders", "silver.customers", "gold.daily", "gold.countries"]
    tables += ["bronze.orders__quarantine", "silver.orders__quarantine"]
    found = {
        t: shop.rows(f"SELECT * EXCLUDE (_build) FROM {t}" if "__" in t else f"FROM {t}")
        for t in tables
    }
    return {table: sorted(rows, key=repr) for table, rows in found.items()}
