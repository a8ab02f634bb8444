"""What ``lake runs`` answers where it has nothing to show."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from shop import Shop

from lakehouse.cli.retraining import runs
from lakehouse.errors import CatalogError


@pytest.fixture
def asked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    made = shop.settings
    for name in ("uri", "landing", "domains", "state"):
        monkeypatch.setenv(f"LAKE_{name.upper()}", str(getattr(made, name)))
    return CliRunner()


def test_an_unknown_run_is_an_error(asked: CliRunner) -> None:
    with pytest.raises(CatalogError, match="no such run"):
        asked.invoke(runs, ["20130101T000000-nope"], catch_exceptions=False)


@pytest.mark.parametrize("wrong", [["--last", "-5"], ["--kind", "nope"]])
def test_what_no_run_can_be_is_a_wrong_use(wrong: list[str], asked: CliRunner) -> None:
    assert asked.invoke(runs, wrong).exit_code == 2


def test_no_runs_are_no_error(asked: CliRunner) -> None:
    assert "no run is recorded yet" in asked.invoke(runs, [], catch_exceptions=False).output
    assert "no such run" in asked.invoke(runs, ["--kind", "train"], catch_exceptions=False).output


def test_a_domain_that_nobody_declares_is_an_error(asked: CliRunner) -> None:
    with pytest.raises(CatalogError, match="nope"):
        asked.invoke(runs, ["--domain", "nope"], catch_exceptions=False)
    assert "no such run" in asked.invoke(runs, ["--domain", "shop"], catch_exceptions=False).output
