"""A check that a person runs on his own tables: partitions alone against everything at once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from shop import CUSTOMERS, FEBRUARY, JANUARY, MARCH, Shop

from lakehouse import invariance
from lakehouse.cli import main
from lakehouse.errors import CatalogError

MONTHS = ["2026-01-01", "2026-02-01", "2026-03-01"]


@pytest.fixture
def built(shop: Shop) -> Shop:
    shop.orders(
        "all",
        *JANUARY,
        ("a8", None, 2000, "2026-01-08"),
        ("a9", "ann", 4, "2026-01-30"),
        *FEBRUARY,
        ("b9", "bob", 5, "2026-02-02"),
        *MARCH,
    )
    shop.customers("all", *CUSTOMERS)
    shop.build()
    return shop


def shortened(shop: Shop) -> None:
    """A lookback of three days where the SELECT sums a week, in a form that the lint passes."""
    days_since = "date_diff('day', DATE '2000-01-01', ordered)"
    shop.edit("gold/daily.sql", "ORDER BY ordered RANGE", f"ORDER BY {days_since} RANGE")
    shop.edit("gold/daily.sql", "INTERVAL 6 DAYS PRECEDING", "6 PRECEDING")
    shop.edit("gold/daily.yaml", "lookback: 6 days", "lookback: 1 days")


def checked(shop: Shop, name: str, **how: object) -> dict[str, tuple[int, bool]]:
    """Partition → its rows, and whether they are the same."""
    lake = shop.lake()
    found = invariance.check(lake, lake.domain("shop").table(name), **how)  # type: ignore[arg-type]
    return {one.partition: (one.rows, not one.differing) for one in found}


def test_partitions_of_a_right_table_are_the_same(built: Shop) -> None:
    before = built.snapshot("gold.daily").version
    found = checked(built, "gold.daily")
    assert list(found) == MONTHS
    assert all(rows and same for rows, same in found.values())
    assert built.snapshot("gold.daily").version == before
    assert not list(built.lake().settings.state.glob("lake-check-*"))


def test_the_state_folder_may_be_a_relative_path(
    built: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    lake = built.lake()
    state = lake.settings.model_copy(update={"state": Path(".lake")})
    found = invariance.check(
        replace(lake, settings=state), lake.domain("shop").table("gold.daily"), MONTHS[:1]
    )
    assert [one.differing for one in found] == [()]


def test_rows_kept_out_are_compared_too(built: Shop) -> None:
    quarantined = built.rows("SELECT count(*) FROM silver.orders__quarantine")[0][0]
    published = built.rows("SELECT count(*) FROM silver.orders")[0][0]
    found = checked(built, "silver.orders")
    assert quarantined and sum(rows for rows, _ in found.values()) == quarantined + published


def test_a_lookback_that_is_too_short_is_found(built: Shop) -> None:
    shortened(built)
    found = checked(built, "gold.daily")
    assert [same for _, same in found.values()] == [True, False, True]
    assert list(checked(built, "gold.daily", partitions=["2026-03-01"])) == ["2026-03-01"]
    assert list(checked(built, "gold.daily", until="2026-01-01")) == ["2026-01-01"]


@pytest.mark.parametrize(
    ("name", "how", "found"),
    [
        ("bronze.orders", {}, "it is bronze"),
        ("silver.customers", {}, "it has no partitions"),
        ("gold.daily", {"partitions": ["2025-01-01"]}, "no '2025-01-01'"),
    ],
)
def test_what_cannot_be_compared_is_told(
    name: str, how: dict[str, object], found: str, built: Shop
) -> None:
    with pytest.raises(CatalogError) as raised:
        checked(built, name, **how)
    assert found in raised.value.found


def test_the_command(
    built: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = built.lake().settings
    for name in ("uri", "landing", "domains", "state"):
        monkeypatch.setenv(f"LAKE_{name.upper()}", str(getattr(settings, name)))

    def lake(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as raised:
            main(["check", *words])
        return int(raised.value.code or 0), capsys.readouterr().out

    code, said = lake("gold.daily")
    assert (code, said.splitlines()[-1]) == (0, "shop.gold.daily: 3 partitions, the same rows")
    shortened(built)
    code, said = lake("gold.daily")
    assert code == 1
    assert "shop.gold.daily: 1 of 3 partitions differ. Lengthen lookback" in said
    code, said = lake("gold.daily", "--json")
    told = json.loads(said)
    assert [p["differing"] > 0 for p in told["partitions"]] == [False, True, False]


def test_it_works_where_the_state_has_no_folder_yet(built: Shop, tmp_path: Path) -> None:
    fresh = Shop(tmp_path / "other", uri=built.settings.uri, landing=built.settings.landing)
    assert all(same for _, same in checked(fresh, "gold.daily").values())
