"""A new domain runs at once; names that cannot be used are refused with one that can."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from lakehouse import build as building
from lakehouse import catalog, query, sample, scaffold
from lakehouse.build import Session
from lakehouse.cli import main
from lakehouse.errors import CatalogError
from lakehouse.settings import Settings
from lakehouse.training import job


def settings(root: Path) -> Settings:
    return Settings(
        _env_file=None,
        uri=(root / "lake").as_uri(),
        domains=root / "jobs",
        state=root / "state",
        threads=1,
    )


def test_a_new_domain_builds_and_trains(tmp_path: Path) -> None:
    written = scaffold.scaffold(tmp_path / "jobs", "market")
    assert {f.suffix for f in written} == {".yaml", ".sql", ".py"} and all(
        map(Path.exists, written)
    )
    assert not catalog.lint(tmp_path / "jobs" / "market")
    lake = building.open_lake(settings(tmp_path))
    domain = lake.domain("market")
    assert sample.land(lake.landing_of("market"), sample.deliveries(domain.path)) == 6
    built = building.build(Session(lake, domain, engine="local"))
    assert not built.blocked
    rows = {t.table: (t.rows_out, t.quarantined) for t in built.tables}
    assert rows["market.silver.orders"] == (3000, 1)
    assert rows["market.gold.order_features"] == (3000, 0)
    (seen,) = query.run(lake, "SELECT max(orders_60d) AS n FROM gold.order_features").to_pylist()
    assert seen["n"] > 1
    trained = job.train_model(lake, scaffold.MODEL)
    assert trained.result is not None and trained.result.alias == "champion"


def test_the_sample_is_the_same_each_time_and_lands_once(tmp_path: Path) -> None:
    scaffold.scaffold(tmp_path / "jobs", "market")
    lake = building.open_lake(settings(tmp_path))
    place, folder = lake.landing_of("market"), lake.domain("market").path
    assert sample.land(place, sample.deliveries(folder), months=["2026-02"]) == 1
    assert sample.land(place, sample.deliveries(folder)) == 5
    assert sample.land(place, sample.deliveries(folder)) == 0


def test_a_file_with_other_bytes_of_the_same_size_is_replaced(tmp_path: Path) -> None:
    scaffold.scaffold(tmp_path / "jobs", "market")
    place = building.open_lake(settings(tmp_path)).landing_of("market")
    assert [sample.put(place, "a/b.csv", data) for data in (b"1", b"1", b"2")] == [
        True,
        False,
        True,
    ]


def test_the_python_of_the_templates_is_python(tmp_path: Path) -> None:
    for file in scaffold.scaffold(tmp_path, "market"):
        text = file.read_text(encoding="utf-8")
        assert "__domain__" not in text
        if file.suffix == ".py":
            assert ast.get_docstring(ast.parse(text))


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "market").mkdir()
    with pytest.raises(CatalogError, match="choose another name"):
        scaffold.scaffold(tmp_path, "market")
    assert not list((tmp_path / "market").iterdir())


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("Shop", "shop"),
        ("my shop", "my_shop"),
        ("2026", "my_2026"),
        ("", "my"),
        ("..", "my"),
        ("a/b", "a_b"),
        ("ops", "my_ops"),
        ("Landing", "my_landing"),
        ("silver", "my_silver"),
        ("order", "my_order"),
        ("select", "my_select"),
        ("straße", "stra_e"),
    ],
)
def test_a_name_that_cannot_be_used(name: str, instead: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogError) as refused:
        scaffold.scaffold(tmp_path, name)
    assert refused.value.remedy == f"for example {instead!r}"
    scaffold.check_name("domain", instead)
    assert not list(tmp_path.iterdir())


class TestCommands:
    @pytest.fixture(autouse=True)
    def _environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("LAKE_URI", (tmp_path / "lake").as_uri())
        monkeypatch.setenv("LAKE_STATE", str(tmp_path / "state"))
        monkeypatch.setenv("LAKE_DOMAINS", str(tmp_path / "jobs"))

    def lake(self, *words: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        return int(str(ended.value.code or 0))

    def test_new_says_what_it_wrote_and_what_comes_next(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.lake("new", "market") == 0
        said = capsys.readouterr().out
        assert "bronze/orders.yaml" in said and "lake land market" in said
        assert self.lake("land", "market", "--month", "2026-01") == 0
        assert "1 file landed" in capsys.readouterr().out
        assert self.lake("new", "market") == 1

    def test_land_puts_a_table_s_files_where_its_contract_looks(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.lake("new", "market")
        for name in ("more.csv", "more.txt"):
            (tmp_path / name).write_text("order_id\n")
        assert self.lake("land", "market", "orders", "more.csv") == 0
        assert (tmp_path / "lake/landing/market/orders/more.csv").exists()
        assert self.lake("land", "market", "orders", "more.txt") == 1
        assert "takes 'orders/*.csv*', which that is not" in capsys.readouterr().err
        assert self.lake("land", "market", "silver.orders", "more.csv") == 1
        assert self.lake("land", "market", "nothing", "more.csv") == 1
        assert self.lake("land", "market", "orders") == 2

    def test_land_tells_files_of_one_name_apart(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.lake("new", "market")
        first, second = (tmp_path / month / "t.csv" for month in ("2024-03", "2024-04"))
        for file in (first, second):
            file.parent.mkdir()
            file.write_text(f"order_id\n{file.parent.name}\n")
        place = tmp_path / "lake/landing/market/orders"
        assert self.lake("land", "market", "orders", str(first), str(second)) == 1
        assert "--as 2024-04_t.csv" in capsys.readouterr().err
        assert not place.exists()
        for words, said in [
            ([first, first], "1 file landed"),
            ([first], "all have landed before"),
            ([second, "--as", "2024-04_t.csv"], "1 file landed"),
            ([second], "1 replaced: t.csv"),
        ]:
            assert self.lake("land", "market", "orders", *map(str, words)) == 0
            assert said in capsys.readouterr().out
        assert {f.name: f.read_text() for f in place.iterdir()} == {
            "t.csv": "order_id\n2024-04\n",
            "2024-04_t.csv": "order_id\n2024-04\n",
        }
        assert self.lake("land", "market", "orders", str(first), "--as", "../t.csv") == 1
        assert self.lake("land", "market", "orders", str(first), str(second), "--as", "t.csv") == 2

    def test_a_landing_zone_that_takes_nothing_is_told(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.lake("new", "market")
        (tmp_path / "lake").mkdir()
        (tmp_path / "lake/landing").write_text("a file where the folder should be")
        (tmp_path / "more.csv").write_text("order_id\n")
        for words in (["market"], ["market", "orders", "more.csv"]):
            assert self.lake("land", *words) == 1
            said = capsys.readouterr().err
            assert said.startswith("StorageError: land ") and "LAKE_LANDING" in said
