"""One place in each library's form; keys nowhere."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from lakehouse import settings as all_settings
from lakehouse.errors import SettingsError, StorageError
from lakehouse.settings import Settings
from lakehouse.storage import Storage, connect

SECRET = "s3cr3t-" + "k" * 20


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.delenv("AWS_PROFILE", raising=False)


def test_a_folder_with_odd_letters(tmp_path: Path) -> None:
    folder = tmp_path / "a b%20c é"
    place = Storage(folder.as_uri())
    assert place.root == place.delta_uri() == str(folder)
    place.ensure()
    assert folder.is_dir()
    assert place.at("x", "y").root == str(folder / "x" / "y")
    place.probe()


def test_s3_in_each_form(keys: None) -> None:
    place = Storage("s3://bucket/lake", "http://127.0.0.1:1").at("t")
    assert (place.root, place.delta_uri()) == ("bucket/lake/t", "s3://bucket/lake/t")
    options = place.delta_options()
    assert options["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert options["AWS_ALLOW_HTTP"] == "true"
    assert options["conditional_put"] == "etag"


def test_no_keys_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StorageError, match="no AWS credentials"):
        Storage("s3://bucket").delta_options()


def test_no_key_is_in_what_is_printed_or_sent(keys: None) -> None:
    made = Settings(_env_file=None, uri="s3://bucket", signing_key=SECRET)  # type: ignore[call-arg]
    place = connect(made, made.lake_uri)
    for shown in (repr(made), str(made), repr(place), made.model_dump_json(), pickle.dumps(place)):
        assert SECRET not in str(shown)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="reach file://") as raised:
        Storage((tmp_path / "file" / "lake").as_uri()).ensure()
    assert "LAKE_URI" in raised.value.remedy


def test_settings_that_cannot_be_right() -> None:
    with pytest.raises(SettingsError, match="LAKE_URI") as raised:
        all_settings.load(uri="http://bucket")
    assert "README" in raised.value.remedy
