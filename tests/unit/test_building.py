"""``lake plan``, ``lake build`` and ``lake quarantine`` as a person meets them."""

from __future__ import annotations

import json

import pytest
from shop import MARCH, Shop

from lakehouse.build.results import told
from lakehouse.cli import main
from lakehouse.engines.base import FileWarning

HEADER = b"order_id,customer,amount,ordered\n"


@pytest.fixture
def orders(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Two months of orders, with the commands' settings."""
    shop.drop("silver.sales", "bronze.sales")
    shop.open_for_business()
    given = {"URI": shop.settings.uri, "LANDING": shop.settings.landing}
    given |= {"DOMAINS": str(shop.settings.domains), "STATE": str(shop.settings.state)}
    for name, value in given.items():
        monkeypatch.setenv(f"LAKE_{name}", value)
    monkeypatch.chdir(shop.domain)
    return shop


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    out, err = capsys.readouterr()
    assert ended.value.code == code, out + err
    return out + err if code == 1 else out


def build(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    return run(capsys, "build", "--engine", "local", *words, code=code)


class TestSeveralDomains:
    @pytest.fixture(autouse=True)
    def market(self, orders: Shop) -> None:
        text = (orders.domain / "bronze/customers.yaml").read_text("utf-8")
        file = orders.domain.with_name("market") / "bronze" / "visitors.yaml"
        file.parent.mkdir(parents=True)
        text = text.replace("shop", "market").replace("customers", "visitors")
        file.write_text(text, "utf-8")

    @pytest.mark.parametrize("command", ["plan", "build", "maintain"])
    def test_without_a_name_the_remedy_is_an_option(
        self, command: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert "add '--domain NAME'" in run(capsys, command, code=1)

    def test_the_tables_tell(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "shop.silver.orders" in build(capsys, "silver.orders")
        assert "nothing to do" in run(capsys, "plan", "shop.silver.orders")
        assert "did you mean 'silver.orders'" in run(capsys, "plan", "silver.odrers", code=1)
        assert "looked at" in run(capsys, "maintain", "silver.orders", "ops.runs")

    def test_quarantine_of_one(self, orders: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        orders.orders("bad", ("a9", "ann", 5000, "2026-01-09"))
        build(capsys, "silver.orders")
        assert "amount_plausible" in run(capsys, "quarantine", "--domain", "shop")
        assert "nothing is quarantined" in run(capsys, "quarantine", "--domain", "market")
        assert "shop" in run(capsys, "quarantine", "--domain", "ship", code=1)


def test_a_plan_says_why_spark_builds(orders: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Spark builds" not in run(capsys, "plan", "silver.orders")
    orders.edit("silver/orders.yaml", "rows:", "engine: spark\n    rows:")
    said = "Spark builds silver.orders: the contract says so"
    assert said in run(capsys, "plan", "silver.orders")
    assert said not in run(capsys, "plan", "silver.orders", "--engine", "spark")


class TestWarnings:
    def test_a_refused_file_is_named_with_its_reason(
        self, orders: Shop, capsys: pytest.CaptureFixture[str]
    ) -> None:
        orders.land("orders/odd.csv", b"some,other,header\n1,2,3\n")
        out = build(capsys, "bronze.orders")
        assert "warning: shop.bronze.orders: orders/odd.csv: refused, nothing of it is read" in out
        assert "column 'order_id', 'customer', 'amount', 'ordered' is missing" in out

    def test_a_warning_of_many_files_is_said_once(
        self, orders: Shop, capsys: pytest.CaptureFixture[str]
    ) -> None:
        orders.edit(
            "bronze/orders.yaml", "    partition:", "    columns: {missing: 'null'}\n    partition:"
        )
        for day in range(1, 6):
            text = f"order_id,amount,ordered\nm{day},{day},2026-03-0{day}\n"
            orders.land(f"orders/m{day}.csv", text.encode())
        (table,) = json.loads(build(capsys, "--json", "bronze.orders"))["tables"]
        (warning,) = table["warnings"]
        files, _, text = warning.partition(": ")
        assert files == "5 files (orders/m1.csv, orders/m2.csv, orders/m3.csv and 2 more)"
        assert text == "column 'customer' is missing: NULL"

    def test_refused_files_come_first_and_the_last_are_counted(self) -> None:
        odd = [FileWarning(f"{i}.csv", f"odd {i}") for i in range(12)]
        said = told([*odd, FileWarning("z.csv", "refused", refused=True)])
        assert said[0] == "z.csv: refused"
        assert len(said) == 9
        assert said[-1] == "and 5 more warnings, of 5 files"
        assert told(odd[:9])[-1] == "and 1 more warning, of 1 file"

    def test_a_name_with_a_line_break_stays_on_its_line(self) -> None:
        assert told([FileWarning("a\n.csv", "odd")]) == ("'a\\n.csv': odd",)


class TestBlocked:
    def test_force_is_no_remedy(self, orders: Shop, capsys: pytest.CaptureFixture[str]) -> None:
        build(capsys, "silver.orders")
        orders.orders("2026-03", *[(f"c{i}", "ann", 9999, "2026-03-01") for i in range(3)], *MARCH)
        out = build(capsys, "silver.orders", code=3)
        assert "waive it in the contract" in out and "overrules nothing" in out
        assert run(capsys, "plan", "silver.orders").endswith("1 blocked\n")


class TestQuarantine:
    def test_what_is_not_shown_is_counted(
        self, orders: Shop, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bad = b"".join(b"x%d,ann,5,no date\n" % i for i in range(7))
        orders.land("orders/bad.csv", HEADER + bad)
        build(capsys, "bronze.orders")
        words = ("quarantine", "bronze.orders", "--limit")
        assert run(capsys, *words, "3").endswith("\n3 of 7 rows; --limit 7 shows all\n")
        for limit in ("7", "8"):
            assert "shows all" not in run(capsys, *words, limit)
        with pytest.raises(SystemExit):
            main([*words, "3", "--json"])
        out, err = capsys.readouterr()
        assert (len(json.loads(out)), err) == (3, "3 of 7 rows; --limit 7 shows all\n")
