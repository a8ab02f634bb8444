"""The registry's one door: what is not signed by us, as it is, does not come in."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import socket
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import EndpointConnectionError
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, TEMPORARILY_UNAVAILABLE
from model_store import ModelStore

from lakehouse.artifacts import mlflow_errors
from lakehouse.errors import LakehouseError, ModelError, StorageError, UntrustedModelError
from lakehouse.modelfile import Stored
from lakehouse.registry import ModelRecord, Registry, require_trusted, tracking_at
from lakehouse.signing import SigningKey

RECORD = ModelRecord("print", "d1", "f1", ("a", "b"), {"toys.gold.t": 3})


@dataclass(frozen=True)
class Store:
    """An MLflow store with one fitted model logged in it."""

    folder: Path
    uri: str
    registry: Registry
    run_id: str

    def log(self) -> str:
        """Log the model again: ``models:/m-…``."""
        import mlflow
        import numpy as np
        import pandas as pd
        from sklearn.linear_model import LogisticRegression

        from lakehouse.training.tracking import log_model

        x = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
        with tracking_at(self.uri), mlflow.start_run(run_id=self.run_id):
            return log_model(LogisticRegression().fit(x, np.array([0, 0, 1, 1])), x)

    def register(self, name: str, record: ModelRecord = RECORD) -> Path:
        """Register the model; the path of its file."""
        uri = self.log()
        self.registry.register(name, uri, self.run_id, record)
        (file,) = self.folder.glob(f"artifacts/models/{uri.removeprefix('models:/')}/**/*.skops")
        return file

    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.uri, self.uri)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    from lakehouse.training.tracking import started_run

    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{folder}/mlflow.db"
    with started_run(uri, folder / "artifacts", "toys", "toy") as run_id:
        pass
    return Store(folder, uri, Registry(uri, SigningKey.at(folder / "keys")), run_id)


def test_a_registered_model_is_loaded_by_version_and_alias(store: Store) -> None:
    store.register("good")
    (version,) = store.registry.versions("good")
    assert version.record == RECORD
    assert (version.version, version.aliases, version.complete) == (1, (), False)
    assert version.created.tzinfo is dt.UTC
    store.registry.give_alias("good", 1, "champion")
    for which in (1, "1", "champion"):
        assert store.registry.load("good", which).classes_.tolist() == [0, 1]


def test_an_interrupted_registration_is_not_found(store: Store) -> None:
    store.register("interrupted")
    assert store.registry.find_by_fingerprint("interrupted", "print") is None
    store.registry.give_alias("interrupted", 1, "challenger")
    found = store.registry.find_by_fingerprint("interrupted", "print")
    assert found is not None and found.aliases == ("challenger",)
    assert store.registry.champion("interrupted") is None


def test_a_new_champion_ends_older_challenges_only(store: Store) -> None:
    for _ in range(3):
        store.register("aliases")
    registry = store.registry
    registry.give_alias("aliases", 1, "champion")
    registry.give_alias("aliases", 3, "challenger")
    registry.give_alias("aliases", 2, "champion")
    assert {v.version: v.aliases for v in registry.versions("aliases")} == {
        3: ("challenger",),
        2: ("champion",),
        1: (),
    }


def flip_a_byte(store: Store, name: str, file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))


def put_another_file(store: Store, name: str, file: Path) -> None:
    import skops.io
    from sklearn.dummy import DummyClassifier

    skops.io.dump(DummyClassifier(), file)


def take_the_signature_away(store: Store, name: str, file: Path) -> None:
    store.client().delete_model_version_tag(name, "1", "lakehouse.signature")


def change_the_record(store: Store, name: str, file: Path) -> None:
    tags = store.client().get_model_version(name, "1").tags
    changed = tags["lakehouse.record"].replace('"f1"', '"f2"')
    assert changed != tags["lakehouse.record"]
    store.client().set_model_version_tag(name, "1", "lakehouse.record", changed)


def forge_with_a_digest(store: Store, name: str, file: Path) -> None:
    forged = hashlib.sha256(file.read_bytes()).hexdigest()
    store.client().set_model_version_tag(name, "1", "lakehouse.signature", forged)


def sign_with_another_key(store: Store, name: str, file: Path) -> None:
    other = Registry(store.uri, SigningKey(b"another secret of 32 bytes......"))
    other.register(name + "_other", store.log(), store.run_id, RECORD)
    tags = store.client().get_model_version(name + "_other", "1").tags
    store.client().set_model_version_tag(
        name, "1", "lakehouse.signature", tags["lakehouse.signature"]
    )


def take_the_signature_of_another_model(store: Store, name: str, file: Path) -> None:
    store.register(name + "_twin")
    tags = store.client().get_model_version(name + "_twin", "1").tags
    store.client().set_model_version_tag(
        name, "1", "lakehouse.signature", tags["lakehouse.signature"]
    )


@pytest.mark.parametrize(
    "tamper",
    [
        flip_a_byte,
        put_another_file,
        take_the_signature_away,
        change_the_record,
        forge_with_a_digest,
        sign_with_another_key,
        take_the_signature_of_another_model,
    ],
)
def test_tampered_models_are_refused(
    store: Store, tamper: Callable[[Store, str, Path], None]
) -> None:
    name = tamper.__name__
    file = store.register(name)
    assert store.registry.load(name, 1) is not None
    tamper(store, name, file)
    with pytest.raises(UntrustedModelError, match=r"signature|not signed") as caught:
        store.registry.load(name, 1)
    assert "--force" in caught.value.remedy


def test_a_missing_file_is_an_error_of_its_own(store: Store) -> None:
    store.register("gone").unlink()
    with pytest.raises(ModelError, match="load gone version 1"):
        store.registry.load("gone", 1)


def test_types_of_the_file_are_not_trusted_even_when_signed(store: Store) -> None:
    import io

    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    file = store.register("types")
    stranger = FunctionTransformer(func=Path.read_text)
    written = io.BytesIO(skops.io.dumps(stranger))
    file.write_bytes(written.getvalue())
    uri = f"models:/{file.parents[1].name}"
    with pytest.raises(UntrustedModelError, match=r"types that are not allowed: .*pathlib"):
        store.registry.register("types", uri, store.run_id, RECORD)
    assert len(store.registry.versions("types")) == 1
    with pytest.raises(UntrustedModelError, match="pathlib"):
        require_trusted(stranger)
    with pytest.raises(UntrustedModelError, match="skops cannot store it"):
        require_trusted(row for row in ())


def test_unknown_models_and_versions_say_what_there_is(store: Store, tmp_path: Path) -> None:
    store.register("known")
    with pytest.raises(ModelError, match=r"versions: 1\n"):
        store.registry.version("known", "champion")
    with pytest.raises(ModelError, match="lake train nobody"):
        store.registry.load("nobody")
    empty = Registry(f"sqlite:///{tmp_path}/none.db", store.registry.key)
    assert empty.versions("known") == ()
    assert not (tmp_path / "none.db").exists()


def test_a_stopped_server_is_an_error_with_its_remedy(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(StorageError, match=r"list the versions of toy[\s\S]*lake status"):
        Registry(f"http://127.0.0.1:{port}", store.registry.key).versions("toy")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MlflowException("no route to host"), StorageError),
        (MlflowException("database is locked", TEMPORARILY_UNAVAILABLE), StorageError),
        (EndpointConnectionError(endpoint_url="http://store"), StorageError),
        (requests.ConnectTimeout("late"), StorageError),
        (MlflowException("no such version", RESOURCE_DOES_NOT_EXIST), ModelError),
        (FileNotFoundError("model.skops"), ModelError),
        (ModuleNotFoundError("No module named 'boto3'"), ModelError),
    ],
)
def test_what_passes_is_told_from_what_stays(error: Exception, kind: type[LakehouseError]) -> None:
    """An outage is no verdict about a model: what stays is."""
    with pytest.raises(kind) as raised, mlflow_errors("load the model"):
        raise error
    assert type(raised.value) is kind
    assert raised.value.remedy.startswith("install" if "boto3" in str(error) else "is MLflow up?")


def test_models_registered_by_others_are_listed_not_loaded(store: Store) -> None:
    client = store.client()
    client.create_registered_model("foreign")
    with tracking_at(store.uri):
        client.create_model_version("foreign", source=store.log(), run_id=store.run_id)
    (version,) = store.registry.versions("foreign")
    assert version.record is None and not version.complete
    with pytest.raises(UntrustedModelError, match="not signed"):
        store.registry.load("foreign", 1)


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "keys"
    found: list[SigningKey] = []
    threads = [
        threading.Thread(target=lambda: found.append(SigningKey.at(folder))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1
    assert [file.name for file in folder.iterdir()] == ["models.key"]
    assert stat.S_IMODE((folder / "models.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert found[0].secret.decode() not in repr(found[0]) + repr(Registry("sqlite:///x", found[0]))
    (folder / "models.key").chmod(0o644)
    with pytest.raises(ModelError, match="chmod 600"):
        SigningKey.at(folder)
    with pytest.raises(ModelError, match="5 bytes"):
        SigningKey(b"short")


def test_a_new_key_signs_and_the_former_still_checks(tmp_path: Path) -> None:
    old, new = b"the secret of last year...", b"the secret of this year..."
    message = b"a model"
    rotated = SigningKey.of(new + b"\n\n" + old + b"\n")
    assert rotated == SigningKey(new, (old,))
    assert rotated.sign(message) == SigningKey(new).sign(message)
    assert rotated.fits(message, SigningKey(old).sign(message))
    assert rotated.fits(message, SigningKey(new).sign(message))
    assert not SigningKey(new).fits(message, SigningKey(old).sign(message))
    assert not rotated.fits(message, "")
    folder = tmp_path / "keys"
    SigningKey.at(folder)
    (folder / "models.key").write_bytes(new + b"\n" + old)
    assert SigningKey.at(folder) == rotated
    with pytest.raises(ModelError, match="3 bytes"):
        SigningKey.of(new + b"\nold")


def test_records_of_other_versions_of_this_library_are_read(store: Store) -> None:
    import json

    from lakehouse.registry.record import record_of, record_text

    first = ("fingerprint", "definition_id", "feature_definition_id", "features", "inputs")
    told = json.loads(record_text(RECORD))
    assert record_of(json.dumps({key: told[key] for key in first})) == RECORD
    assert record_of(json.dumps({**told, "of_tomorrow": 1})) == RECORD
    assert record_of(json.dumps({"features": []})) is None
    assert record_of("[1]") is None and record_of(None) is None


class TestReference:
    """The rows that a model was trained on, as monitors compare with them."""

    TEXT = '{"rows": 4}'

    @pytest.fixture
    def toys(self, tmp_path: Path) -> ModelStore:
        made = ModelStore.at(tmp_path)
        made.client().search_registered_models()
        return made

    def register(self, toys: ModelStore, path: str = "reference.json") -> Path:
        """The file of a reference that a version was registered with."""
        import mlflow

        digest = hashlib.sha256(self.TEXT.encode()).hexdigest()
        record = dataclasses.replace(RECORD, reference=path, reference_sha256=digest)
        toys.register("watched", record=record)
        run_id = toys.registry.version("watched", 1).run_id
        with tracking_at(toys.uri), mlflow.start_run(run_id=run_id):
            mlflow.log_text(self.TEXT, "reference.json")
        (file,) = toys.folder.glob("artifacts/*/artifacts/reference.json")
        return file

    def test_it_is_read_as_written(self, toys: ModelStore) -> None:
        self.register(toys)
        assert toys.registry.reference("watched", 1) == self.TEXT

    def test_a_changed_one_is_refused(self, toys: ModelStore) -> None:
        self.register(toys).write_text('{"rows": 5}')
        with pytest.raises(UntrustedModelError, match=r"changed since[\s\S]*lake train watched"):
            toys.registry.reference("watched", 1)

    def test_a_link_is_not_followed(self, toys: ModelStore, tmp_path: Path) -> None:
        file = self.register(toys)
        file.rename(tmp_path / "same")
        file.symlink_to(tmp_path / "same")
        with pytest.raises(UntrustedModelError, match="through a link"):
            toys.registry.reference("watched", 1)

    def test_a_huge_one_is_not_read(self, toys: ModelStore) -> None:
        with self.register(toys).open("r+b") as opened:
            opened.truncate(20 * 1024**2)
        with pytest.raises(UntrustedModelError, match="at most 16,777,216 are read"):
            toys.registry.reference("watched", 1)

    @pytest.mark.parametrize("path", ["../../../mlflow.db", "/etc/passwd", "file:///etc/passwd"])
    def test_a_path_that_leaves_the_run_is_refused(self, toys: ModelStore, path: str) -> None:
        self.register(toys, path)
        with pytest.raises(UntrustedModelError, match="leaves its folder"):
            toys.registry.reference("watched", 1)

    def test_the_record_vouches_for_it(self, toys: ModelStore) -> None:
        file = self.register(toys)
        file.write_text("{}")
        record = toys.tags("watched")["lakehouse.record"]
        digest = hashlib.sha256(self.TEXT.encode()).hexdigest()
        toys.tag("watched", "record", record.replace(digest, hashlib.sha256(b"{}").hexdigest()))
        with pytest.raises(UntrustedModelError, match="signature does not fit"):
            toys.registry.reference("watched", 1)

    def test_a_model_without_one_says_so(self, toys: ModelStore) -> None:
        toys.register("watched")
        with pytest.raises(ModelError, match="trained without one"):
            toys.registry.reference("watched", 1)


def test_what_was_logged_is_what_is_signed(tmp_path: Path) -> None:
    toys = ModelStore.at(tmp_path)
    toys.register("toy")
    trained = Stored("model.skops", toys.file_of("toy").read_bytes() + b"#")
    source = toys.client().get_model_version("toy", "1").source
    with pytest.raises(UntrustedModelError, match="changed between training and registration"):
        toys.registry.register("toy", source, "r", RECORD, trained)


def test_the_address_of_mlflow_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    for before in ("sqlite:///one.db", "sqlite:///two.db"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", before)
        with tracking_at("sqlite:///other.db"):
            assert mlflow.get_tracking_uri() == "sqlite:///other.db"
        assert mlflow.get_tracking_uri() == before
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with tracking_at("sqlite:///other.db"):
        pass
    assert not mlflow.is_tracking_uri_set()
