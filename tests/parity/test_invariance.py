"""A table built partition by partition has the rows of its SELECT over everything at once.

For every table above bronze of every domain in jobs/, and of the tests' shop.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from flights_lake import (
    JOBS,
    SampleLake,
    by_partition,
    copy_sampled,
    differences,
    tables,
    whole,
)
from shop import CUSTOMERS, FEBRUARY, FILES, JANUARY, MARCH, PYTHON, Shop

from lakehouse import query
from lakehouse.build import Lake
from lakehouse.catalog import Table, find

#: A table above bronze is made of others, by SQL or Python.
COMPUTED = tables(JOBS, "silver", "gold")
SHOP = sorted(
    f"shop.{f.rpartition('.')[0].replace('/', '.')}"
    for f in (*FILES, *PYTHON)
    if f.startswith(("silver/", "gold/")) and not f.endswith(".yaml")
)
#: The year costs more than it shows: the months up to this one are compared.
LAST = {"flights": "2013-03-01"}
MARCH_2013 = "2013-03-01"


@dataclass(frozen=True)
class Built:
    """A built lake, and a folder in which to stage."""

    lake: Lake
    folder: Path
    _staged: dict[str, tuple[pa.Table, pa.Table]] = field(default_factory=dict, repr=False)

    def table(self, name: str) -> Table:
        return find(self.lake.domains, name)

    def whole(self, name: str) -> tuple[pa.Table, pa.Table]:
        """The published and the quarantined rows of all inputs at once; run once."""
        if name not in self._staged:
            table, last = self.table(name), LAST.get(name.split(".", maxsplit=1)[0])
            assert last is None or not any(r.lookahead for r in table.reads.values())
            self._staged[name] = whole(self.lake, table, self.folder / name, last)
        return self._staged[name]


@pytest.fixture(scope="module")
def built_shop(tmp_path_factory: pytest.TempPathFactory) -> Built:
    shop = Shop(tmp_path_factory.mktemp("shop"), python=True)
    shop.orders(
        "2026-01", *JANUARY, ("a8", None, 2000, "2026-01-08"), ("a7", "bob", 4, "2026-01-27")
    )
    shop.orders(
        "2026-02", *FEBRUARY, ("b4", "bob", 9, "2026-02-04"), ("b5", "ann", 1, "2026-02-05")
    )
    shop.orders("2026-03", *MARCH, ("a1", "ann", 11, "2026-01-05"), ("c0", "ann", 2, "2026-03-01"))
    shop.customers("all", *CUSTOMERS)
    shop.sales("all", ("s1", "A B"), ("s2", "50%"), ("s3", "é/ü"), ("s4", "A B"))
    shop.build()
    return Built(shop.lake(), tmp_path_factory.mktemp("staged"))


@pytest.fixture(scope="module")
def built_jobs(flights: SampleLake, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(flights.lake, tmp_path_factory.mktemp("staged"))


def compare(built: Built, name: str) -> None:
    """Fail where a table's live rows and quarantine differ from those of its whole SELECT."""
    good, bad = built.whole(name)
    part, last = built.table(name).contract.lake.partition, LAST.get(name.split(".", maxsplit=1)[0])
    until = f"WHERE {part.column} <= '{last}'" if part and last else ""
    live = query.run(built.lake, f"FROM {name} {until}")
    assert live.num_rows
    assert differences(live, good) == []
    kept_out = query.run(built.lake, f"FROM {name}__quarantine {until}").drop_columns(
        ["_build", "_raw"]
    )
    if kept_out.num_rows or bad.num_rows:
        assert differences(kept_out, bad.drop_columns(["_build", "_raw"])) == []


@pytest.mark.parametrize("name", COMPUTED)
def test_partitions_of_a_domain_make_its_whole(name: str, built_jobs: Built) -> None:
    compare(built_jobs, name)


@pytest.mark.parametrize("name", SHOP)
def test_partitions_of_the_shop_make_its_whole(name: str, built_shop: Built) -> None:
    compare(built_shop, name)


def test_every_table_above_bronze_is_compared(built_jobs: Built, built_shop: Built) -> None:
    for built, names in ((built_jobs, COMPUTED), (built_shop, SHOP)):
        tables = [t for domain in built.lake.domains for t in domain.tables.values()]
        assert sorted(t.name for t in tables if not t.landed) == names
    assert len(COMPUTED) >= 7


def test_a_domain_without_a_sample_is_left_out(tmp_path: Path) -> None:
    for name in ("mine", "sampled"):
        (tmp_path / "jobs" / name / "gold").mkdir(parents=True)
        (tmp_path / "jobs" / name / "gold" / "t.yaml").touch()
    (tmp_path / "jobs" / "sampled" / "sample.py").touch()
    (tmp_path / "jobs" / "build.py").touch()
    assert tables(tmp_path / "jobs", "gold") == ["sampled.gold.t"]
    copy_sampled(tmp_path / "jobs", tmp_path / "copy")
    assert {f.name for f in (tmp_path / "copy").iterdir()} == {"sampled", "build.py"}


@pytest.mark.parametrize(("days", "same"), [(30, True), (20, False)])
def test_thirty_days_of_lookback_are_needed_and_enough(
    days: int,
    same: bool,
    flights: SampleLake,
    built_jobs: Built,
    tmp_path: Path,
) -> None:
    cut = SampleLake(tmp_path, uri=flights.settings.uri, landing=flights.settings.landing)
    cut.edit("flights/gold/flight_features.yaml", "lookback: 30 days", f"lookback: {days} days")
    table = cut.domain().table("gold.flight_features")
    [(march, _)] = by_partition(cut.lake, table, [MARCH_2013], tmp_path / "staged")
    at_once, _ = built_jobs.whole(table.name)
    in_march = pc.equal(at_once["flight_month"], pa.scalar(dt.date.fromisoformat(MARCH_2013)))
    assert (differences(march, at_once.filter(in_march)) == []) is same


@pytest.mark.parametrize(("days", "same"), [(6, True), (3, False)])
def test_a_function_of_a_week_needs_six_days_of_lookback(
    days: int, same: bool, built_shop: Built, tmp_path: Path
) -> None:
    shop = Shop(tmp_path, python=True, uri=built_shop.lake.settings.uri)
    shop.edit("gold/fading.yaml", "lookback: 6 days", f"lookback: {days} days")
    at_once = built_shop.whole("shop.gold.fading")[0]
    months = ["2026-01-01", "2026-02-01", "2026-03-01"]
    table = shop.lake().domain("shop").table("gold.fading")
    made = [good for good, _ in by_partition(shop.lake(), table, months, tmp_path / "staged")]
    assert (differences(pa.concat_tables(made), at_once) == []) is same


@pytest.mark.parametrize(("days", "same"), [(6, True), (3, False)])
def test_a_week_needs_six_days_of_lookback(
    days: int, same: bool, built_shop: Built, tmp_path: Path
) -> None:
    shop = Shop(tmp_path, uri=built_shop.lake.settings.uri)
    # Days as whole numbers have no unit, so the lint cannot hold them against the lookback.
    days_since = "date_diff('day', DATE '2000-01-01', ordered)"
    shop.edit("gold/daily.sql", "ORDER BY ordered RANGE", f"ORDER BY {days_since} RANGE")
    shop.edit("gold/daily.sql", "INTERVAL 6 DAYS PRECEDING", "6 PRECEDING")
    shop.edit("gold/daily.yaml", "lookback: 6 days", f"lookback: {days} days")
    at_once = built_shop.whole("shop.gold.daily")[0]
    months = ["2026-01-01", "2026-02-01", "2026-03-01"]
    table = shop.lake().domain("shop").table("gold.daily")
    made = [good for good, _ in by_partition(shop.lake(), table, months, tmp_path / "staged")]
    assert (differences(pa.concat_tables(made), at_once) == []) is same
