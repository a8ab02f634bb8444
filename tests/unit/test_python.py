"""A Python table: declared, planned, built, refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from shop import CUSTOMERS, Shop, contract, rule

from lakehouse import catalog
from lakehouse.cli import lake as command
from lakehouse.errors import CatalogError, EngineError, LakehouseError

HEAD = "import pyarrow as pa\nimport pyarrow.compute as pc\n\n\n"
NAMES = (
    HEAD
    + """\
def table(customers: pa.Table) -> pa.Table:
    names = pc.utf8_upper(customers["customer"])
    return customers.set_column(0, "customer", names)
"""
)
COLUMNS = {"customer": "VARCHAR, primaryKey: true", "country": "VARCHAR"}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Customers, and their names in capitals by Python."""
    shop = Shop(tmp_path, ["bronze.customers", "silver.customers"])
    declare(shop, NAMES)
    shop.customers("all", *CUSTOMERS)
    return shop


def declare(
    shop: Shop,
    body: str,
    columns: dict[str, str] | None = None,
    lake: str = "reads: {silver.customers: {}}",
    quality: str = "",
) -> None:
    shop.write("gold/names.yaml", contract("gold", "names", columns or COLUMNS, lake, quality))
    shop.write("gold/names.py", body)


class TestBuild:
    def test_its_rows_are_those_of_the_function(self, shop: Shop) -> None:
        done = shop.build()
        assert {t.table: t.rows_out for t in done.changed}["shop.gold.names"] == 3
        assert shop.rows("FROM gold.names ORDER BY customer") == [
            ("ANN", "NO"),
            ("BOB", "SE"),
            ("CID", "NO"),
        ]
        assert shop.todo() == {}

    def test_a_changed_function_is_a_reason_a_comment_is_none(self, shop: Shop) -> None:
        shop.build()
        shop.edit("gold/names.py", "    names =", "    # Loud.\n    names =")
        assert shop.todo() == {}
        shop.edit("gold/names.py", "utf8_upper", "utf8_lower")
        file = f"{shop.domain}/gold/names.py"
        assert shop.todo() == {("gold.names", ""): [f"code changed {file}"]}
        shop.build()
        assert ("ann", "NO") in shop.rows("FROM gold.names")

    def test_a_changed_import_is_a_reason(self, shop: Shop) -> None:
        shop.write("lib/case.py", "import pyarrow.compute as pc\n\nchanged = pc.utf8_upper\n")
        shop.edit("gold/names.py", "\n\n\ndef", "\nfrom ..lib.case import changed\n\n\ndef")
        shop.edit("gold/names.py", "pc.utf8_upper", "changed")
        shop.build()
        shop.edit("lib/case.py", "utf8_upper", "utf8_lower")
        assert [t[0] for t in shop.todo()] == ["gold.names"]
        shop.build()
        assert ("bob", "SE") in shop.rows("FROM gold.names")

    def test_the_same_rows_make_nothing_stale_below(self, shop: Shop) -> None:
        shop.write("gold/loud.yaml", contract("gold", "loud", {"customer": "VARCHAR"}, ""))
        shop.write("gold/loud.sql", "SELECT customer FROM gold.names\n")
        shop.build()
        shop.edit("gold/names.py", "names = pc", "names  = 0\n    names = pc")
        assert [t.table for t in shop.build().changed] == ["shop.gold.names"]

    def test_rows_that_violate_a_rule_are_kept_out(self, shop: Shop) -> None:
        quality = rule(
            "short", "column_value_lengths_to_be_between", "column: country, max_value: 2"
        )
        declare(shop, NAMES, quality=quality)
        shop.customers("more", ("eva", "ITALY"))
        shop.build()
        assert shop.rows("SELECT customer, _violations FROM gold.names__quarantine") == [
            ("EVA", ["short"])
        ]
        assert len(shop.rows("FROM gold.names")) == 3

    def test_rows_of_bronze_are_accounted_for(self, shop: Shop) -> None:
        columns = COLUMNS | {"_source_file": "VARCHAR", "_row": "BIGINT"}
        lake = "reads: {bronze.customers: {}}\nrows: {from: bronze.customers}"
        body = HEAD + (
            "def table(bronze_customers):\n"
            "    last = {row['customer']: row for row in bronze_customers.to_pylist()}\n"
            "    return pa.Table.from_pylist(list(last.values())).select(\n"
            "        ['customer', 'country', '_source_file', '_row'])\n"
        )
        shop.write("silver/names.yaml", contract("silver", "names", columns, lake))
        shop.write("silver/names.py", body)
        shop.drop("gold.names")
        shop.customers("again", ("ann", "DK"))
        done = {t.table: t for t in shop.build().changed}["shop.silver.names"]
        assert (done.rows_in, done.rows_out, done.superseded) == (4, 3, 1)
        shop.edit("silver/names.py", "list(last.values())", "list(last.values()) * 2")
        with pytest.raises(EngineError, match="account for every row") as raised:
            shop.build()
        assert "names.py multiplies or drops" in raised.value.remedy

    def test_no_rows_in_no_rows_out(self, shop: Shop) -> None:
        shop.land_rows("customers/all.csv", "customer,country", [])
        shop.build()
        assert shop.rows("FROM gold.names") == []
        assert shop.todo() == {}

    def test_rows_come_in_the_order_of_the_key(self, shop: Shop) -> None:
        shop.customers("before", ("aaa", None), ("zoe", "NO"))
        declare(
            shop,
            HEAD + "def table(customers):\n"
            "    names = [c.as_py() for c in customers['customer']]\n"
            "    assert names == sorted(names), names\n"
            "    assert customers.schema.types == [pa.string(), pa.string()]\n"
            "    return customers\n",
        )
        shop.build()
        assert len(shop.rows("FROM gold.names")) == 5

    def test_its_types_are_the_contracts(self, shop: Shop) -> None:
        kinds = {
            "customer": "VARCHAR, primaryKey: true",
            "whole": "INTEGER",
            "long": "BIGINT",
            "part": "DOUBLE",
            "sure": "BOOLEAN",
            "day": "DATE",
            "then": "TIMESTAMPTZ",
            "nothing": "BIGINT",
        }
        declare(
            shop,
            HEAD + "import datetime as dt\n\n"
            "def table(customers):\n"
            "    then = pa.array([dt.datetime(2026, 1, 1, tzinfo=dt.UTC)], pa.timestamp('ns', 'UTC'))\n"
            "    return pa.table({\n"
            "        'then': then,\n"
            "        'customer': pa.array(['x']).dictionary_encode(),\n"
            "        'whole': pa.array([1], pa.int8()), 'long': pa.array([2], pa.uint16()),\n"
            "        'part': [float('nan')], 'sure': [True],\n"
            "        'day': pa.array([dt.date(2026, 1, 1)], pa.date64()),\n"
            "        'nothing': pa.nulls(1)})\n",
            kinds,
        )
        shop.build()
        (row,) = shop.rows('SELECT * EXCLUDE ("then", day) FROM gold.names')
        # NaN is no value, as in what is landed.
        assert row == ("x", 1, 2, None, True, None)


class TestRefused:
    @pytest.mark.parametrize(
        ("made", "found", "remedy"),
        [
            ("customers.to_pandas()", "it returned pandas", "return a pyarrow.Table"),
            ("customers.drop_columns(['country'])", "no column country", "the contract's columns"),
            ("customers.append_column('x', customers[0])", "a further column x", "names.yaml"),
            ("customers.append_column('country', customers[1])", "two of country", "columns"),
            (
                "customers.set_column(1, 'country', pa.array([1, 2, 3]))",
                "column country is int64, the contract says VARCHAR",
                "to string",
            ),
        ],
    )
    def test_rows_unlike_the_contract(self, shop: Shop, made: str, found: str, remedy: str) -> None:
        declare(shop, HEAD + f"def table(customers):\n    return {made}\n")
        with pytest.raises(EngineError) as raised:
            shop.build()
        assert found in raised.value.found
        assert remedy in raised.value.remedy
        assert raised.value.file == f"{shop.domain}/gold/names.py"
        assert not shop.snapshot("gold.names").exists

    @pytest.mark.parametrize(
        ("kind", "values"),
        [
            ("INTEGER", "pa.array([1 << 40])"),
            ("INTEGER", "pa.array([1.0])"),
            ("BIGINT", "pa.array(['7'])"),
            ("DOUBLE", "pa.array([(1 << 60) + 1])"),
            ("DATE", "pa.array(['2026-01-01'])"),
            ("TIMESTAMPTZ", "pa.array([0], pa.timestamp('us'))"),
            ("TIMESTAMPTZ", "pa.array([1], pa.timestamp('ns', 'UTC'))"),
            ("BOOLEAN", "pa.array([1])"),
        ],
    )
    def test_values_are_not_changed_to_fit(self, shop: Shop, kind: str, values: str) -> None:
        declare(
            shop,
            HEAD + f"def table(customers):\n    return pa.table({{'v': {values}}})\n",
            {"v": kind},
        )
        with pytest.raises(EngineError, match="column v") as raised:
            shop.build()
        assert kind in raised.value.found

    @pytest.mark.parametrize("engine", ["local", "dask"])
    def test_an_error_is_named_with_its_line(self, shop: Shop, engine: str) -> None:
        shop.edit("gold/names.py", "    names = pc", "    customers['price']\n    names = pc")
        with pytest.raises(EngineError, match="KeyError") as raised:
            shop.build(engine=engine)
        assert raised.value.file == f"{shop.domain}/gold/names.py:6"
        assert raised.value.asked == f"run {shop.domain}/gold/names.py for shop.gold.names"
        assert "mend table()" in raised.value.remedy

    def test_a_package_that_is_not_there(self, shop: Shop) -> None:
        shop.edit("gold/names.py", "import pyarrow as pa", "import not_installed")
        with pytest.raises(EngineError, match="not_installed") as raised:
            shop.build()
        assert "on each worker" in raised.value.remedy
        assert raised.value.file == f"{shop.domain}/gold/names.py:1"


class TestDeclared:
    @pytest.mark.parametrize(
        ("breaks", "found", "file"),
        [
            (
                lambda s: (s.domain / "gold/names.yaml").unlink(),
                "Python without a contract",
                "names.py",
            ),
            (
                lambda s: s.write("gold/names.sql", "SELECT 1 AS customer, 2 AS country"),
                "SQL and Python",
                "names.yaml",
            ),
            (
                lambda s: s.edit("gold/names.py", "table(customers", "table(clients"),
                "parameter 'clients' of table() is no input",
                "names.py",
            ),
            (
                lambda s: s.edit("gold/names.yaml", "silver.customers", "silver.clients"),
                "parameter 'customers' of table() is no input",
                "names.py",
            ),
            (
                lambda s: s.edit("gold/names.yaml", "reads: {", "reads: {bronze.customers: {}, "),
                "may be bronze.customers or silver.customers",
                "names.py",
            ),
            (
                lambda s: declare(s, NAMES, lake="reads: {silver.customers: {}, silver.x: {}}"),
                "a read of silver.x, which is 0 parameters",
                "names.py",
            ),
            (
                lambda s: declare(
                    s,
                    NAMES.replace("customers: pa.Table", "silver_customers, customers"),
                ),
                "which is 2 parameters",
                "names.py",
            ),
            (
                lambda s: declare(s, "def table():\n    return 1\n", lake="{}"),
                "no input",
                "names.yaml",
            ),
            (
                lambda s: declare(
                    s, NAMES.replace("customers: pa", "x: pa"), lake="reads: {silver.x: {}}"
                ),
                "reads silver.x, which the domain has not",
                "names.yaml",
            ),
            (
                lambda s: s.edit("gold/names.yaml", "- {name: country", "- {name: _country"),
                "column '_country'",
                "names.yaml",
            ),
            (
                lambda s: s.edit("gold/names.py", "return", "return ("),
                "not Python",
                "names.py:7",
            ),
        ],
    )
    def test_what_is_wrong_is_named_with_its_file(
        self, shop: Shop, breaks: Callable[[Shop], object], found: str, file: str
    ) -> None:
        breaks(shop)
        problems = catalog.lint(shop.domain)
        named = [p for p in problems if found in p.found and (p.file or "").endswith(file)]
        assert named, problems
        assert all(p.remedy for p in problems)
        with pytest.raises(LakehouseError):
            catalog.load(shop.domain)

    def test_a_layer_tells_two_inputs_of_one_name_apart(self, shop: Shop) -> None:
        lake = "reads: {silver.customers: {}, bronze.customers: {}}"
        body = NAMES.replace("(customers: pa.Table", "(bronze_customers, silver_customers")
        declare(shop, body.replace("customers[", "silver_customers[").replace(
            "return customers", "return silver_customers"
        ), lake=lake)  # fmt: skip
        table = catalog.load(shop.domain).table("gold.names")
        assert table.arguments == {
            "bronze_customers": "bronze.customers",
            "silver_customers": "silver.customers",
        }
        shop.build()
        assert len(shop.rows("FROM gold.names")) == 3

    def test_files_that_begin_with_an_underscore_are_no_tables(self, shop: Shop) -> None:
        shop.write("gold/_upper.py", "from pyarrow.compute import utf8_upper\n")
        shop.edit("gold/names.py", "\n\n\ndef", "\nfrom ._upper import utf8_upper\n\n\ndef")
        shop.edit("gold/names.py", "pc.utf8_upper", "utf8_upper")
        shop.build()
        assert sorted(catalog.load(shop.domain).tables) == [
            "bronze.customers",
            "gold.names",
            "silver.customers",
        ]

    def test_a_circle_is_found(self, shop: Shop) -> None:
        shop.edit("gold/names.yaml", "silver.customers", "gold.names")
        shop.edit("gold/names.py", "table(customers", "table(names")
        with pytest.raises(CatalogError, match=r"a circle: gold\.names → gold\.names"):
            catalog.load(shop.domain)


def test_commands_know_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("uri", "landing", "domains", "state"):
        monkeypatch.setenv(f"LAKE_{name.upper()}", str(getattr(shop.settings, name)))
    shop.build()
    for words in (
        ["plan"],
        ["show", "gold.names"],
        ["lint"],
        ["query", "FROM shop.gold.names"],
    ):
        done = CliRunner().invoke(command, words)
        assert done.exit_code == 0, done.output
    assert pa.table({"c": ["ANN"]})["c"][0].as_py() in done.output
