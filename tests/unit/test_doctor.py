"""What ``lake doctor`` finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lakehouse import cli
from lakehouse.settings import unknown


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder without a domain."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_misspelled_setting_is_named_with_where_it_stands(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text("LAKE_LANDNIG=file:///x\nLAKE_THREADS=1\nOTHER=1\n")
    monkeypatch.setenv("LAKE_STACK", "of a service")
    monkeypatch.setenv("lake_treads", "2")
    assert unknown() == {
        "LAKE_LANDNIG": ".env",
        "LAKE_STACK": "the environment",
        "lake_treads": "the environment",
    }
    told = CliRunner().invoke(cli.lake, ["doctor", "--json"])
    problems = [c for c in json.loads(told.stdout)["checks"] if c["check"] == "settings"]
    assert [(c["state"], c["found"], c["remedy"]) for c in problems] == [
        ("problem", "LAKE_LANDNIG in .env is no setting", "did you mean 'LAKE_LANDING'?"),
        ("problem", "lake_treads in the environment is no setting", "did you mean 'LAKE_THREADS'?"),
    ]
