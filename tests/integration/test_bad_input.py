"""Bad input through whole builds: landed → bronze → silver, beside good files."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import corpus
import pyarrow as pa
import pytest
from corpus import Case
from corpus.case import parquet
from shop import FILES, Shop
from shop import contract as shop_contract

from lakehouse.build import Event
from lakehouse.contract import digest
from lakehouse.errors import StorageError
from lakehouse.planning import NO_ROWS

# --- the corpus -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """The cases that are declared alike: files of one bronze table."""

    name: str
    columns: tuple[str, ...]
    cases: Mapping[str, Case]


class Corpus:
    """All cases in one lake, built once."""

    def __init__(self, root: Path) -> None:
        self.shop, self.tables = Shop(root, ("none",)), list(_tables())
        for table in self.tables:
            _declare(self.shop, table)
        self.result = self.shop.build()
        self.builds = {(b["table"], b["label"]): b for b in self.shop.builds() if b["label"]}
        self.left = self.shop.todo()
        self.bronze = {t.name: self._published(t, "bronze") for t in self.tables}
        self.silver = {t.name: self._published(t, "silver") for t in self.tables}
        self.rejected = {t.name: self._rejected(t) for t in self.tables}

    def _published(self, table: Table, layer: str) -> dict[str, list[tuple[Any, ...]]]:
        """File → its rows, in their order."""
        columns = ", ".join(table.columns)
        found = defaultdict(list)
        for file, *row in self.shop.rows(
            f"SELECT _source_file, {columns} FROM {layer}.{table.name} ORDER BY _source_file, _row"
        ):
            found[file].append(tuple(row))
        return found

    def _rejected(self, table: Table) -> dict[str, list[tuple[int | None, list[str]]]]:
        """File → the records in quarantine."""
        found = defaultdict(list)
        for file, row, rules, raw in self.shop.rows(
            f"SELECT _source_file, _row, _violations, _raw FROM bronze.{table.name}__quarantine "
            "ORDER BY _source_file, _row NULLS FIRST"
        ):
            assert raw is not None
            found[file].append((row, rules))
        return found


def _tables() -> Iterator[Table]:
    groups: dict[str, dict[str, Case]] = {}
    for (kind, name), case in corpus.CASES.items():
        declared = json.dumps(corpus.arguments(kind, case), default=repr, sort_keys=True)
        groups.setdefault(declared, {})[f"{kind} {name}"] = case
    for n, cases in enumerate(groups.values()):
        (kind, _), case = next(
            (at, c) for at, c in corpus.CASES.items() if c is next(iter(cases.values()))
        )
        columns = corpus.arguments(kind, case).get("columns", ("a VARCHAR", "b VARCHAR"))
        names = tuple(column.split()[0] for column in columns)
        yield Table(f"t{n}", names, cases)


def _file(table: Table, case: str) -> str:
    return f"{table.name}/{case.replace('/', ' ')}"


def _declare(shop: Shop, table: Table) -> None:
    name, case = next(iter(table.cases.items()))
    declared = corpus.arguments(name.split()[0], case)
    columns = declared.get("columns", ("a VARCHAR", "b VARCHAR"))
    text = corpus.contract(**{**declared, "name": table.name, "path": f"{table.name}/*"})
    shop.write(f"bronze/{table.name}.yaml", text)
    types = tuple(" ".join(c.split()[:2]) for c in columns)
    lineage = ("_source_file VARCHAR", "_row BIGINT")
    lake = {"rows": {"from": f"bronze.{table.name}"}}
    silver = corpus.contract(columns=(*types, *lineage), name=table.name, lake=lake)
    shop.write(f"silver/{table.name}.yaml", silver)
    selected = ", ".join([*table.columns, "_source_file", "_row"])
    shop.write(f"silver/{table.name}.sql", f"SELECT {selected} FROM bronze.{table.name}\n")
    for case_name, one in table.cases.items():
        shop.land(_file(table, case_name), one.data)
    for beside in ("0 good", "zz good"):
        shop.land(f"{table.name}/{beside}", corpus.good(**declared))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(tmp_path_factory.mktemp("corpus"))


class TestCorpus:
    def test_it_is_large(self) -> None:
        bad = [case for case in corpus.CASES.values() if case.rejects]
        assert len(bad) >= 100

    def test_every_table_is_built_and_nothing_is_left_to_do(self, built: Corpus) -> None:
        assert not built.result.blocked
        assert {t.table for t in built.result.changed} == {
            f"shop.{layer}.{t.name}" for t in built.tables for layer in ("bronze", "silver")
        }
        assert built.left == {}
        versions = built.shop.versions()
        assert not built.shop.build().changed
        assert built.shop.versions() == versions

    def test_each_file_has_its_verdict(self, built: Corpus) -> None:
        for table in built.tables:
            bronze, silver = built.bronze[table.name], built.silver[table.name]
            rejected = built.rejected[table.name]
            for name, case in table.cases.items():
                file = _file(table, name)
                assert bronze[file] == case.rows, name
                assert silver[file] == case.rows, name
                assert rejected[file] == case.rejects, name

    def test_the_good_files_beside_them_are_published(self, built: Corpus) -> None:
        for table in built.tables:
            silver, rejected = built.silver[table.name], built.rejected[table.name]
            for beside in ("0 good", "zz good"):
                assert len(silver[f"{table.name}/{beside}"]) == 1, table
                assert f"{table.name}/{beside}" not in rejected, table

    def test_the_row_law_holds_for_each_file_and_table(self, built: Corpus) -> None:
        for table in built.tables:
            for name, case in table.cases.items():
                row = built.builds[f"shop.bronze.{table.name}", _file(table, name)]
                counted = (row["rows_in"], row["published"], row["quarantined"])
                expected = (len(case.rows), len(case.rejects))
                assert counted == (sum(expected), *expected), name
        for made in built.result.tables:
            assert made.rows_in == made.rows_out + made.quarantined + made.superseded, made

    def test_a_file_without_rows_leaves_its_marker(self, built: Corpus) -> None:
        for table in built.tables:
            live = built.shop.snapshot(f"bronze.{table.name}").batches
            for name, case in table.cases.items():
                (marker,) = live[digest(_file(table, name))]
                assert (marker.rows, marker.build is not None) == (len(case.rows), True)
                assert (str(marker.build).endswith(NO_ROWS)) == (not case.rows)


# --- names and places -------------------------------------------------------------------------

HEAD = b"order_id,customer,amount,ordered\n"
GOOD = HEAD + b"a1,ann,1,2026-01-02\n"


@pytest.fixture
def orders(tmp_path: Path) -> Shop:
    """Bronze and silver orders; one good file has landed."""
    shop = Shop(tmp_path, ("bronze.orders", "silver.orders"))
    shop.land("orders/0.csv", HEAD + b"good,ann,1,2026-01-01\n")
    return shop


def rejected(shop: Shop, table: str = "bronze.orders") -> list[tuple[str, list[str]]]:
    return [
        (file, rules)
        for file, rules in shop.rows(
            f"SELECT _source_file, _violations FROM {table}__quarantine ORDER BY ALL"
        )
    ]


def settled(shop: Shop) -> None:
    """The row law holds in every build, and there is nothing more to do."""
    for row in shop.builds():
        accounted = row["published"] + row["quarantined"] + row["superseded"]
        assert row["rows_in"] == accounted, row
    assert shop.todo() == {}


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            "a b.csv",
            "100%25 %2F.csv",
            "é☃.csv",
            "new\nline.csv",
            "\x1b[2J.csv",
            "'; DROP TABLE orders; --.csv",
            '"quoted".csv',
            "order_month=2026-01-01.csv",
            "HIVE_DEFAULT_PARTITION__=.csv",
            "a..csv.csv",
            "a\\b.csv",
            "[x]*?.csv",
            "$HOME ~ {a,b}.csv",
            "-rf.csv",
            "x" * 240 + ".csv",
        ],
    )
    def test_any_name_is_read_under_that_name(self, orders: Shop, name: str) -> None:
        orders.land(f"orders/{name}", GOOD)
        orders.build()
        assert orders.rows("SELECT _source_file FROM silver.orders WHERE order_id = 'a1'") == [
            (f"orders/{name}",)
        ]
        settled(orders)

    def test_a_name_that_is_no_text_is_refused(self, orders: Shop) -> None:
        for name in (b"\xff.csv", b"\xfe.csv"):
            orders.land(f"orders/{os.fsdecode(name)}", GOOD)
        orders.build()
        assert rejected(orders) == [
            ("orders/\\udcfe.csv", ["file_refused", "bad_name"]),
            ("orders/\\udcff.csv", ["file_refused", "bad_name"]),
        ]
        assert orders.rows("SELECT order_id FROM silver.orders") == [("good",)]
        settled(orders)

    def test_links_out_of_the_landing_zone_are_refused(self, orders: Shop, tmp_path: Path) -> None:
        secret = tmp_path / "secret.csv"
        secret.write_bytes(GOOD)
        (orders.landing / "orders/out.csv").symlink_to(secret)
        (orders.landing / "orders/in.csv").symlink_to(orders.landing / "orders/0.csv")
        (orders.landing / "orders/nowhere.csv").symlink_to(tmp_path / "nowhere")
        (orders.landing / "orders/folder.csv").symlink_to(tmp_path)
        orders.build()
        assert rejected(orders) == [("orders/out.csv", ["file_refused", "outside_landing"])]
        assert orders.rows("SELECT _source_file FROM bronze.orders ORDER BY ALL") == [
            ("orders/0.csv",),
            ("orders/in.csv",),
        ]
        settled(orders)

    def test_what_is_no_file_is_passed_over(self, orders: Shop) -> None:
        (orders.landing / "orders/folder.csv").mkdir()
        orders.land("orders/folder.csv/inner.csv", GOOD)
        os.mkfifo(orders.landing / "orders/pipe.csv")
        orders.build()
        assert orders.rows("SELECT order_id FROM silver.orders") == [("good",)]
        settled(orders)

    def test_files_below_folders_are_read_where_the_pattern_says_so(self, orders: Shop) -> None:
        orders.edit("bronze/orders.yaml", "orders/*.csv", "orders/**/*.csv")
        orders.land("orders/order_month=1999-01-01/build=x/part-0.csv", GOOD)
        orders.build()
        assert orders.rows(
            "SELECT order_id, order_month::VARCHAR FROM silver.orders ORDER BY 1"
        ) == [
            ("a1", "2026-01-01"),
            ("good", "2026-01-01"),
        ]
        settled(orders)


# --- the same again, late, other bytes --------------------------------------------------------


class TestLandedAgain:
    def test_other_bytes_replace_the_batch_whatever_they_are(self, orders: Shop) -> None:
        states: list[tuple[bytes, list[str], int]] = [
            (GOOD, ["a1", "good"], 0),
            (GOOD + b"a2\n", ["a1", "good"], 1),
            (b"\xff\xfe\xff", ["good"], 1),
            (b"", ["good"], 0),
            (HEAD, ["good"], 0),
            (GOOD.replace(b"a1", b"a3"), ["a3", "good"], 0),
        ]
        for data, rows, kept_out in states:
            orders.land("orders/1.csv", data)
            orders.build()
            found = orders.rows("SELECT order_id FROM silver.orders ORDER BY 1")
            assert ([row for (row,) in found], len(rejected(orders))) == (rows, kept_out), data
            settled(orders)

    def test_a_file_repaired_replaces_its_quarantine(self, orders: Shop) -> None:
        orders.land("orders/1.csv", GOOD + b'a2,"bob\n')
        orders.build()
        assert rejected(orders) == [("orders/1.csv", ["unclosed_quote"])]
        orders.land("orders/1.csv", GOOD + b'a2,"bob",1,2026-01-03\n')
        orders.build()
        assert rejected(orders) == []
        assert orders.rows("SELECT count(*) FROM silver.orders") == [(3,)]
        settled(orders)

    def test_the_same_key_twice_is_superseded_by_the_later_file(self, orders: Shop) -> None:
        orders.orders("1", ("a1", "ann", 1, "2026-01-02"), ("a1", "bob", 2, "2026-01-03"))
        orders.orders("2", ("a1", "cid", 3, "2026-01-02"))
        result = orders.build()
        assert orders.rows("SELECT customer FROM silver.orders WHERE order_id = 'a1'") == [("cid",)]
        (silver,) = [t for t in result.tables if t.table == "shop.silver.orders"]
        assert (silver.rows_in, silver.rows_out, silver.superseded) == (4, 2, 2)
        settled(orders)

    def test_a_file_replaced_while_it_is_read_is_read_by_the_next_build(self, orders: Shop) -> None:
        orders.build()
        orders.land("orders/1.csv", GOOD)

        def replace(event: Event) -> None:
            if event.kind == "planned":
                orders.land("orders/1.csv", GOOD.replace(b"ann", b"bob") + b"\n")

        with pytest.raises(StorageError, match="replaced after it was listed") as raised:
            orders.build(on_event=replace)
        assert "plan again" in raised.value.remedy
        assert orders.rows("SELECT order_id FROM silver.orders") == [("good",)]
        orders.build()
        assert orders.rows("SELECT customer FROM silver.orders WHERE order_id = 'a1'") == [("bob",)]
        settled(orders)

    def test_a_late_row_is_in_its_own_month(self, orders: Shop) -> None:
        orders.build()
        orders.orders("9", ("late", "ann", 1, "2025-12-31"), ("new", "ann", 1, "2026-01-31"))
        orders.build()
        assert orders.rows(
            "SELECT order_id, order_month::VARCHAR FROM silver.orders ORDER BY 1"
        ) == [
            ("good", "2026-01-01"),
            ("late", "2025-12-01"),
            ("new", "2026-01-01"),
        ]
        settled(orders)


# --- values -----------------------------------------------------------------------------------


class TestValues:
    def test_rows_without_a_time_stay_in_bronze_s_quarantine(self, orders: Shop) -> None:
        times = ["", "never", "2026-02-30", "2026-13-01", "20260101", "2026-1-1", "٢٠٢٦-٠١-٠١"]
        orders.orders("1", *((f"x{n}", "ann", 1, time) for n, time in enumerate(times)))
        orders.build()
        assert rejected(orders) == [("orders/1.csv", ["outside_partition"])] * len(times)
        assert orders.rows("SELECT order_id FROM silver.orders") == [("good",)]
        settled(orders)

    def test_bad_values_go_to_silver_s_quarantine_with_their_rule_and_row(
        self, orders: Shop
    ) -> None:
        orders.edit("silver/orders.yaml", "name: amount, ", "name: amount, required: true, ")
        values = [b"1001", b"", b"1.5", b"-5", b"NaN", b"1e3", b"9" * 400, b" 7", b"7"]
        lines = b"".join(b"x%d,ann,%s,2026-01-02\n" % (n, v) for n, v in enumerate(values))
        orders.edit("silver/orders.yaml", "rows:", "max_quarantined: 1\n    rows:")
        orders.land("orders/1.csv", HEAD + lines + b"y,,1,2026-01-02\n")
        orders.build()
        kept_out = orders.rows(
            "SELECT _row, _violations FROM silver.orders__quarantine ORDER BY _row"
        )
        assert kept_out == [
            (2, ["amount_plausible"]),
            *((n, ["amount_required"]) for n in range(3, 10)),
            (11, ["customer_required"]),
        ]
        assert orders.rows("SELECT order_id FROM silver.orders ORDER BY 1") == [("good",), ("x8",)]
        settled(orders)

    def test_partition_values_are_only_text(self, tmp_path: Path) -> None:
        shop = Shop(tmp_path, ("bronze.sales", "silver.sales"))
        regions = ["../../etc", "a/b=c", "%2F %", "line\nbreak", "'; --", " x ", ".", "a\\b", "☃"]
        shop.sales("1", *((f"s{n}", region) for n, region in enumerate(regions)))
        shop.build()
        found = shop.rows("SELECT area FROM silver.sales ORDER BY sale_id")
        assert [area for (area,) in found] == regions
        settled(shop)


_LOOSE = "CAST(date_trunc('month', TRY_CAST(ordered AS DATE)) AS DATE)"


class TestBeyondTheCalendar:
    @pytest.mark.parametrize(
        "time",
        ["0001-01-01", "9999-12-31", "0000-01-01", "99999-01-01", "0044-03-15 (BC)", "-infinity"],
    )
    def test_a_period_that_no_reader_could_hold_costs_its_row(
        self, orders: Shop, time: str
    ) -> None:
        """Such a partition value in the log would make the table unreadable for good."""
        text = (orders.domain / "bronze/orders.yaml").read_text(encoding="utf-8")
        written = next(line for line in text.splitlines() if "expression:" in line)
        orders.edit("bronze/orders.yaml", written, f'      expression: "{_LOOSE}"')
        orders.orders("1", ("x", "ann", 1, time), ("a1", "ann", 1, "2026-01-02"))
        orders.build()
        ((_, rules),) = rejected(orders)
        assert "outside_partition" in rules
        assert orders.rows("SELECT order_id FROM silver.orders ORDER BY 1") == [("a1",), ("good",)]
        settled(orders)

    def test_the_first_and_last_years_that_are_a_period(self, orders: Shop) -> None:
        orders.orders("1", ("x", "ann", 1, "0002-01-01"), ("y", "ann", 1, "9998-12-31"))
        orders.write("gold/daily.yaml", FILES["gold/daily.yaml"])
        orders.write("gold/daily.sql", FILES["gold/daily.sql"])
        orders.build()
        live = {f.partition for f in orders.snapshot("gold.daily").files}
        assert live == {"0002-01-01", "2026-01-01", "9998-12-01"}
        settled(orders)

    def test_a_time_computed_beyond_it_is_shown_in_quarantine(self, orders: Shop) -> None:
        orders.edit(
            "silver/orders.sql",
            "customer, amount, ordered",
            "customer, amount, CAST(ordered + INTERVAL 3000 DAYS AS DATE) AS ordered",
        )
        orders.orders("1", ("x", "ann", 1, "9998-12-31"))
        orders.edit("silver/orders.yaml", "rows:", "max_quarantined: 1\n    rows:")
        orders.build()
        found = orders.rows("SELECT ordered, _violations, _raw FROM silver.orders__quarantine")
        assert found == [(None, ["ordered_range"], "ordered=10007-03-19")]
        settled(orders)

    def test_times_in_parquet_files(self, tmp_path: Path) -> None:
        shop = Shop(tmp_path, ("none",))
        columns = ("d DATE", "t TIMESTAMPTZ", "k VARCHAR")
        shop.write("bronze/p.yaml", corpus.contract("parquet", columns, name="p", path="p/*"))
        days = pa.array([0, 2**31 - 1, -(10**6), None], pa.int32()).cast(pa.date32())
        times = pa.array([0, 0, 2**62, -(2**62)], pa.timestamp("us", "UTC"))
        shop.land("p/1", parquet(d=days, t=times, k=["a", "b", "c", "d"]))
        shop.build()
        assert shop.rows("SELECT k FROM bronze.p ORDER BY k") == [("a",)]
        kept_out = shop.rows("SELECT k, _violations, d, t FROM bronze.p__quarantine ORDER BY k")
        assert kept_out == [
            ("b", ["d_range"], None, dt.datetime(1970, 1, 1, tzinfo=dt.UTC)),
            ("c", ["d_range", "t_range"], None, None),
            ("d", ["t_range"], None, None),
        ]
        settled(shop)

    def test_statistics_of_the_first_years_can_be_read(self, tmp_path: Path) -> None:
        shop = Shop(tmp_path, ("none",))
        shop.write(
            "bronze/p.yaml", corpus.contract("parquet", ("t TIMESTAMPTZ",), name="p", path="p/*")
        )
        shop.land("p/1", parquet(t=[dt.datetime(1, 1, 1, tzinfo=dt.UTC)]))
        shop.build()
        place = shop.lake().place(shop.lake().domain("shop").table("bronze.p"))
        log = Path(place.root, "_delta_log").glob("*.json")
        assert any("0001-01-01T00:00:00.000000Z" in f.read_text().replace("\\", "") for f in log)
        settled(shop)

    def test_a_partition_value_too_long_for_a_directory(self, tmp_path: Path) -> None:
        shop = Shop(tmp_path, ("bronze.sales", "silver.sales"))
        shop.sales("1", ("s1", "x" * 240), ("s2", "x" * 300), ("s3", "☃" * 27), ("s4", "☃" * 60))
        shop.build()
        assert shop.rows("SELECT sale_id FROM silver.sales ORDER BY 1") == [("s1",), ("s3",)]
        assert rejected(shop, "bronze.sales") == [("sales/1.csv", ["outside_partition"])] * 2
        settled(shop)


# --- drift ------------------------------------------------------------------------------------


class TestDriftInFiles:
    @pytest.mark.parametrize(
        ("policy", "rules"),
        [
            ("refuse_file", ["file_refused", "extra_column"]),
            ("quarantine_file", ["extra_column"]),
            ("ignore", None),
        ],
    )
    def test_a_new_column(self, orders: Shop, policy: str, rules: list[str] | None) -> None:
        orders.edit(
            "bronze/orders.yaml",
            "    partition:",
            f"    columns: {{extra: {policy}}}\n    partition:",
        )
        orders.land(
            "orders/1.csv", b"tip,order_id,customer,amount,ordered\n2,a1,ann,1,2026-01-02\n"
        )
        result = orders.build()
        assert rejected(orders) == ([("orders/1.csv", rules)] if rules else [])
        expected = [("good",)] if rules else [("a1",), ("good",)]
        assert orders.rows("SELECT order_id FROM silver.orders ORDER BY 1") == expected
        if policy != "refuse_file":
            assert "'tip' is not in the contract" in "".join(result.tables[0].warnings)
        settled(orders)

    @pytest.mark.parametrize("policy", ["refuse_file", "null"])
    def test_a_dropped_column(self, orders: Shop, policy: str) -> None:
        orders.edit(
            "bronze/orders.yaml",
            "    partition:",
            f"    columns: {{missing: {policy!r}}}\n    partition:",
        )
        orders.land("orders/1.csv", b"order_id,customer,ordered\na1,ann,2026-01-02\n")
        orders.build()
        if policy == "null":
            assert orders.rows("SELECT amount FROM bronze.orders WHERE order_id = 'a1'") == [
                (None,)
            ]
        else:
            assert rejected(orders) == [("orders/1.csv", ["file_refused", "missing_column"])]
        settled(orders)

    def test_a_changed_type(self, tmp_path: Path) -> None:
        shop = Shop(tmp_path, ("none",))
        columns = ("n BIGINT", "s VARCHAR")
        shop.write("bronze/p.yaml", corpus.contract("parquet", columns, name="p", path="p/*"))
        shop.land("p/0", corpus.good("parquet", columns))
        shop.land("p/1", corpus.good("parquet", ("n INTEGER", "s VARCHAR")))
        shop.land("p/2", corpus.good("parquet", ("n VARCHAR", "s VARCHAR")))
        shop.build()
        assert shop.rows("SELECT n FROM bronze.p ORDER BY n") == [(7,), (8,)]
        assert rejected(shop, "bronze.p") == [("p/2", ["file_refused", "wrong_type"])]
        settled(shop)


_COLUMNS = {
    "order_id": "VARCHAR, primaryKey: true",
    "customer": "VARCHAR, required: true",
    "amount": "INTEGER",
    "ordered": "DATE",
    "_source_file": "VARCHAR",
    "_row": "BIGINT",
    "order_month": "DATE",
}
_LAKE = (
    "partition: {column: order_month, grain: month, event: ordered}\nrows: {from: bronze.orders}"
)


class TestDriftInContracts:
    @pytest.fixture
    def built(self, orders: Shop) -> Shop:
        orders.write("silver/orders.yaml", shop_contract("silver", "orders", _COLUMNS, _LAKE))
        orders.orders("1", ("a1", "ann", 5, "2026-02-02"))
        orders.build()
        return orders

    @pytest.mark.parametrize(
        ("columns", "edits", "query", "rows"),
        [
            (
                {**_COLUMNS, "tip": "INTEGER"},
                {
                    "order_month\n  FROM bronze": "order_month, CAST(NULL AS INTEGER) AS tip\n  FROM bronze",
                    "order_month\nFROM typed": "order_month, tip\nFROM typed",
                },
                "amount, tip",
                [(1, None), (5, None)],
            ),
            (
                {k: v for k, v in _COLUMNS.items() if k != "amount"},
                {"customer, amount, ordered": "customer, ordered"},
                "order_id",
                [("a1",), ("good",)],
            ),
            (
                {("total" if k == "amount" else k): v for k, v in _COLUMNS.items()},
                {"customer, amount, ordered": "customer, amount AS total, ordered"},
                "total",
                [(1,), (5,)],
            ),
            (
                _COLUMNS | {"amount": "DOUBLE"},
                {
                    "customer, amount, ordered": "customer, CAST(amount AS DOUBLE) AS amount, ordered"
                },
                "amount, typeof(amount)",
                [(1.0, "DOUBLE"), (5.0, "DOUBLE")],
            ),
        ],
        ids=["added", "dropped", "renamed", "type"],
    )
    def test_all_partitions_follow_in_one_commit(
        self,
        built: Shop,
        columns: Mapping[str, str],
        edits: Mapping[str, str],
        query: str,
        rows: list[tuple[Any, ...]],
    ) -> None:
        before = built.snapshot("silver.orders")
        built.write("silver/orders.yaml", shop_contract("silver", "orders", columns, _LAKE))
        for old, new in edits.items():
            built.edit("silver/orders.sql", old, new)
        assert {(t.key, tuple(r.code for r in t.reasons)) for t in built.plan().targets} == {
            (f"2026-0{n}-01", ("SQL changed", "contract changed")) for n in (1, 2)
        }
        built.build()
        assert built.rows(f"SELECT {query} FROM silver.orders ORDER BY ALL") == rows
        assert [name for name, *_ in built.rows("DESCRIBE FROM silver.orders")] == [*columns]
        after = built.snapshot("silver.orders")
        assert not {f.path for f in before.files} & {f.path for f in after.files}
        # An added column may come first, as metadata alone.
        assert after.version - before.version <= (2 if "tip" in columns else 1)
        settled(built)

    def test_bronze_is_read_again_when_its_columns_change(self, orders: Shop) -> None:
        orders.build()
        orders.edit(
            "bronze/orders.yaml",
            "  - {name: customer, logicalType: string, physicalType: VARCHAR}\n",
            "",
        )
        orders.edit(
            "bronze/orders.yaml", "    partition:", "    columns: {extra: ignore}\n    partition:"
        )
        orders.edit("silver/orders.sql", "order_id, customer,\n", "order_id, 'x' AS customer,\n")
        (reasons,) = [r for (t, _), r in orders.todo().items() if t == "bronze.orders"]
        assert {r.split()[0] for r in reasons} == {"contract", "SQL"}
        orders.build()
        assert "customer" not in [name for name, *_ in orders.rows("DESCRIBE FROM bronze.orders")]
        settled(orders)


# --- size -------------------------------------------------------------------------------------


def test_the_limit_of_a_file_is_the_contracts(orders: Shop) -> None:
    orders.land("orders/big.csv", GOOD + b"x" * 2000)
    orders.edit("bronze/orders.yaml", "format: csv}", "format: csv, max_bytes: 1000}")
    orders.build()
    assert rejected(orders) == [("orders/big.csv", ["file_refused", "too_large"])]
    (reason,) = orders.rows("SELECT _raw FROM bronze.orders__quarantine")[0]
    assert "'max_bytes' under 'source'" in reason
    orders.edit("bronze/orders.yaml", "max_bytes: 1000", "max_bytes: 10000")
    orders.build()
    assert rejected(orders) == [("orders/big.csv", ["ragged_line"])]
    assert orders.rows("SELECT order_id FROM silver.orders ORDER BY 1") == [("a1",), ("good",)]
    settled(orders)
