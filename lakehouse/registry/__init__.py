"""Registered models: which there are, and the one door through which they are loaded.

A stored model is loaded only when it carries our signature, lies where we put it,
and consists of what :mod:`lakehouse.modelfile` allows: what a file says about itself
decides nothing. ``mlflow.pyfunc.load_model`` and ``mlflow.sklearn.load_model`` take
the trusted types from the stored file and are not used.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

from lakehouse.artifacts import (
    client_of,
    fetch_logged,
    fetch_of_run,
    mlflow_errors,
    prepare_process,
    tracking_at,
)
from lakehouse.errors import ModelError, UntrustedModelError
from lakehouse.modelfile import NAMES, TRUSTED_TYPES, Stored, restore, serialise
from lakehouse.ops import PromotionRow
from lakehouse.registry.record import (
    ModelRecord,
    ModelVersion,
    bare_move,
    move_of,
    move_text,
    record_of,
    record_text,
)
from lakehouse.settings import Settings
from lakehouse.signing import SigningKey

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = [
    "TRUSTED_TYPES",
    "Alias",
    "ModelRecord",
    "ModelVersion",
    "Registry",
    "prepare_process",
    "registry_of",
    "require_trusted",
    "tracking_at",
    "tracking_uri",
]

Alias = Literal["champion", "challenger"]

_RECORD, _SIGNATURE, _ALIAS = "lakehouse.record", "lakehouse.signature", "lakehouse.alias"
_MOVE, _MOVE_SIGNATURE = "lakehouse.champion", "lakehouse.champion_signature"

_MAX_REFERENCE = 16 * 1024**2


class Registry:
    """The models of one MLflow registry.

    Args:
        tracking_uri: ``sqlite:///…/mlflow.db`` or the address of a server.
        key: Signs what is registered here and checks what is loaded.
    """

    def __init__(self, tracking_uri: str, key: SigningKey) -> None:
        self.tracking_uri, self.key = tracking_uri, key

    def __repr__(self) -> str:
        return "Registry()"

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """All versions of a model, the newest first; none when it was never trained.

        Raises:
            StorageError: The registry does not answer.
            ModelError: It cannot be read.
        """
        if not _begun(self.tracking_uri):
            return ()
        with mlflow_errors(f"list the versions of {name}"):
            client = self._client()
            if not client.search_registered_models(filter_string=f"name='{name}'"):
                return ()
            aliases = client.get_registered_model(name).aliases
            found = client.search_model_versions(f"name='{name}'")
        made = [_version(stored, aliases, self.key) for stored in found]
        return tuple(sorted(made, key=lambda v: -v.version))

    def champion(self, name: str) -> ModelVersion | None:
        """The version that passed its gates last, or was promoted, if one was."""
        return next((v for v in self.versions(name) if "champion" in v.aliases), None)

    def version(self, name: str, which: str | int) -> ModelVersion:
        """One version by its number or alias.

        Raises:
            ModelError: There is none; it says which there are.
        """
        known = self.versions(name)
        for one in known:
            if str(which) in (str(one.version), *one.aliases):
                return one
        there = ", ".join("/".join((str(v.version), *v.aliases)) for v in known)
        found = f"versions: {there}" if there else "no version of it is registered"
        remedy = "name one of them" if there else f"lake train {name}"
        raise ModelError(f"find {name} {which}", found, remedy)

    def find_by_fingerprint(self, name: str, fingerprint: str) -> ModelVersion | None:
        """The newest complete version that was trained from just that, if there is one."""
        for one in self.versions(name):
            if one.complete and one.record and one.record.fingerprint == fingerprint:
                return one
        return None

    def fetch(self, name: str, which: str | int = "champion") -> Stored:
        """A version's stored model, after it was checked that we signed just this.

        Raises:
            UntrustedModelError: It is unsigned, changed, lies elsewhere, or was made champion
                by others.
            ModelError: There is no such version, or its file cannot be fetched.
            StorageError: MLflow or its store does not answer.
        """
        version = self.version(name, which)
        stored = self.require_signed(version)
        if "champion" in version.aliases and version.promotion is None:
            found = "no signature says why it is champion: it was made so past the gates"
            remedy = f"lake promote {name} {version.version} --because …, or name another version"
            raise UntrustedModelError(f"load {name} version {version.version}", found, remedy)
        return stored

    def require_signed(self, version: ModelVersion) -> Stored:
        """A version's stored model, when we signed just this, whatever its alias.

        Raises:
            UntrustedModelError, ModelError: As :meth:`fetch`.
        """
        name = version.name
        asked = f"load {name} version {version.version}"
        remedy = f"do not use it; train again: lake train {name} --force"
        with mlflow_errors(asked):
            stored = self._client().get_model_version(name, str(version.version))
        signature, text = stored.tags.get(_SIGNATURE), stored.tags.get(_RECORD)
        record = record_of(text)
        if not signature or not text or record is None:
            raise UntrustedModelError(asked, "it is not signed", remedy)
        if record.file not in NAMES:
            raise UntrustedModelError(asked, f"its file {record.file!r} is none of ours", remedy)
        data = fetch_logged(self.tracking_uri, str(stored.source), record.file, asked, remedy)
        if not self.key.fits(_message(name, str(stored.run_id), text, data), signature):
            found = "its signature does not fit: the file or its record was changed, "
            raise UntrustedModelError(asked, found + "or another key signed it", remedy)
        return Stored(record.file, data)

    def load(self, name: str, which: str | int = "champion") -> Any:
        """A fitted estimator in this process, after its signature was checked.

        To score with it, :class:`lakehouse.loading.scorer.Scorer` loads it in a process of its own.

        Raises:
            UntrustedModelError: It is unsigned, changed, or holds other types than ours.
            ModelError: There is no such version, or its file cannot be fetched.
        """
        stored = self.fetch(name, which)
        remedy = f"do not use it; train again: lake train {name} --force"
        return restore(stored, f"load {name} {which}", remedy)

    def reference(self, name: str, which: str | int = "champion") -> str:
        """The monitoring reference of a version, as JSON: what its training rows were like.

        Raises:
            UntrustedModelError: It is not the one that was written in training.
            ModelError: The version has none, or it cannot be fetched.
        """
        version = self.version(name, which)
        asked = f"read the reference of {name} version {version.version}"
        remedy = f"train again: lake train {name} --force"
        # The record's signature covers the reference's digest.
        self.fetch(name, version.version)
        record = version.record
        if record is None or not record.reference:
            raise ModelError(asked, "it was trained without one", remedy)
        data = fetch_of_run(
            self.tracking_uri, version.run_id, record.reference, asked, remedy, _MAX_REFERENCE
        )
        if hashlib.sha256(data).hexdigest() != record.reference_sha256:
            raise UntrustedModelError(asked, "it was changed since it was written", remedy)
        return data.decode()

    def register(
        self,
        name: str,
        model_uri: str,
        run_id: str,
        record: ModelRecord,
        stored: Stored | None = None,
    ) -> int:
        """Register a logged model; signature and record are there from the first moment.

        Args:
            name: The model.
            model_uri: ``models:/m-…`` of the logged model.
            run_id: The run that logged it.
            record: Written beside it.
            stored: What was logged: another file in its place is not signed.

        Returns:
            The new version's number.

        Raises:
            UntrustedModelError: It holds types that could not be loaded again, or is not what
                was logged.
        """
        asked, remedy = f"register {name}", "build the estimator of scikit-learn's own classes"
        file = stored.file if stored else record.file
        data = fetch_logged(self.tracking_uri, model_uri, file, asked, remedy)
        if stored is None:
            restore(Stored(file, data), asked, remedy)
        elif data != stored.data:
            found = "the file was changed between training and registration"
            raise UntrustedModelError(asked, found, f"see who writes there; lake train {name}")
        text = record_text(dataclasses.replace(record, file=file))
        tags = {_RECORD: text, _SIGNATURE: self.key.sign(_message(name, run_id, text, data))}
        with mlflow_errors(asked), tracking_at(self.tracking_uri):
            client = self._client()
            if not client.search_registered_models(filter_string=f"name='{name}'"):
                client.create_registered_model(name)
            made = client.create_model_version(
                name,
                source=model_uri,
                run_id=run_id,
                tags=tags,
                model_id=model_uri.removeprefix("models:/"),
            )
        return int(made.version)

    def give_alias(
        self, name: str, version: int, alias: Alias, promotion: PromotionRow | None = None
    ) -> None:
        """Move an alias to a version, and mark the version as complete.

        A new champion ends the challenge of older versions. Why it is champion is signed and
        stands on the version before the alias moves: who dies in between has moved nothing, and
        who dies after it has left what the ledger lacks.
        """
        with mlflow_errors(f"make version {version} of {name} the {alias}"):
            client = self._client()
            if alias == "champion":
                self._sign_move(client, name, version, promotion)
            client.set_registered_model_alias(name, alias, str(version))
            other = client.get_registered_model(name).aliases.get("challenger")
            if alias == "champion" and other is not None and int(other) <= version:
                client.delete_registered_model_alias(name, "challenger")
            client.set_model_version_tag(name, str(version), _ALIAS, alias)

    def _sign_move(
        self, client: MlflowClient, name: str, version: int, promotion: PromotionRow | None
    ) -> None:
        stored = client.get_model_version(name, str(version))
        text = move_text(promotion or bare_move(name, version))
        signed = self.key.sign(_move_message(name, version, str(stored.run_id), text))
        # The new signature last: until then the old one does not fit, and nobody relies on it.
        client.set_model_version_tag(name, str(version), _MOVE, text)
        client.set_model_version_tag(name, str(version), _MOVE_SIGNATURE, signed)

    def _client(self) -> MlflowClient:
        return client_of(self.tracking_uri)


def tracking_uri(settings: Settings) -> str:
    """Where MLflow keeps runs: its own variable, else SQLite in the state folder."""
    local = f"sqlite:///{settings.state.resolve() / 'mlflow.db'}"
    return os.environ.get("MLFLOW_TRACKING_URI") or local


def registry_of(settings: Settings) -> Registry:
    """The model registry of these settings; its key is theirs, or the state folder's.

    Raises:
        ModelError: The key is too short, or others may read it.
    """
    own = settings.signing_key
    if own is not None:
        return Registry(tracking_uri(settings), SigningKey.of(own.get_secret_value().encode()))
    return Registry(tracking_uri(settings), SigningKey.at(settings.state / "keys"))


def require_trusted(estimator: Any) -> None:
    """Check that a fitted estimator could be stored and loaded again.

    Raises:
        UntrustedModelError: It holds types that :meth:`Registry.load` would refuse.
    """
    serialise(estimator)


def _message(name: str, run_id: str, record: str, data: bytes) -> bytes:
    return json.dumps([name, run_id, record, hashlib.sha256(data).hexdigest()]).encode()


def _move_message(name: str, version: int, run_id: str, text: str) -> bytes:
    return json.dumps(["champion", name, version, run_id, text]).encode()


def _version(stored: Any, aliases: Mapping[str, str], key: SigningKey) -> ModelVersion:
    number, promotion = int(stored.version), _promotion(stored, key)
    own = tuple(sorted(alias for alias, of in aliases.items() if int(of) == number))
    # Who dies when the alias has moved has judged the version, and signed that.
    judged = _ALIAS in stored.tags or ("champion" in own and promotion is not None)
    return ModelVersion(
        name=stored.name,
        version=number,
        run_id=stored.run_id,
        created=dt.datetime.fromtimestamp(stored.creation_timestamp / 1000, dt.UTC),
        aliases=own,
        complete=judged,
        record=record_of(stored.tags.get(_RECORD)),
        promotion=promotion,
    )


def _promotion(stored: Any, key: SigningKey) -> PromotionRow | None:
    text, signature = stored.tags.get(_MOVE), stored.tags.get(_MOVE_SIGNATURE)
    if not text or not signature:
        return None
    message = _move_message(stored.name, int(stored.version), str(stored.run_id), text)
    return move_of(text) if key.fits(message, signature) else None


def _begun(tracking_uri: str) -> bool:
    """False for a SQLite file that is not there: asking MLflow would make it, in seconds."""
    file = tracking_uri.removeprefix("sqlite:///")
    return file == tracking_uri or Path(unquote(file)).exists() or Path(file).exists()
