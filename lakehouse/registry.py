"""Registered models: which there are, and the one door through which they are loaded.

A stored model is loaded only when it carries our signature, and then only with
our own short list of types: what a file says about itself decides nothing.
``mlflow.pyfunc.load_model`` and ``mlflow.sklearn.load_model`` take the trusted
types from the stored file and are not used.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

from lakehouse.errors import ModelError, UntrustedModelError
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
    "require_trusted",
    "tracking_at",
]

#: What a model may consist of besides the types that skops itself trusts.
TRUSTED_TYPES = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)

#: The file of a stored model that is signed and loaded.
MODEL_FILE = "model.skops"

Alias = Literal["champion", "challenger"]

_RECORD, _SIGNATURE, _ALIAS = "lakehouse.record", "lakehouse.signature", "lakehouse.alias"


@dataclass(frozen=True)
class ModelRecord:
    """What is written, and signed, beside a registered version.

    Attributes:
        fingerprint: What it was trained from: its definition and its inputs' content.
        definition_id: The declaration's.
        feature_definition_id: That of the feature table: a model scores no other.
        features: The columns, in the estimator's order.
        inputs: Delta version of each table that was read.
        metrics: Of the candidate on the test rows.
        gates: Verdict of each gate.
    """

    fingerprint: str
    definition_id: str
    feature_definition_id: str
    features: tuple[str, ...]
    inputs: Mapping[str, int]
    metrics: Mapping[str, float] = field(default_factory=dict)
    gates: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelVersion:
    """One registered version of a model.

    Attributes:
        name: The model.
        version: Its number, from 1.
        run_id: The MLflow run that trained it.
        created: When it was registered (UTC).
        aliases: ``champion``, ``challenger`` or none.
        complete: False when training was killed before it gave an alias.
        record: What was written with it; None when it was registered by others.
    """

    name: str
    version: int
    run_id: str
    created: dt.datetime
    aliases: tuple[str, ...]
    complete: bool
    record: ModelRecord | None


def prepare_process() -> None:
    """Settings of this process that must precede the import of scikit-learn and MLflow.

    Idle OpenMP threads sleep (on a busy machine spinning ones make a fit
    twenty times slower), and MLflow reports to nobody.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # By default MLflow asks a stopped server for minutes; these are seconds.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    # Standard output belongs to --json.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    for name in ("mlflow.store", "mlflow.utils.environment", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


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
            ModelError: The registry cannot be read.
        """
        if not _begun(self.tracking_uri):
            return ()
        asked = f"list the versions of {name}"
        with _mlflow_errors(asked):
            client = self._client()
            if not client.search_registered_models(filter_string=f"name='{name}'"):
                return ()
            aliases = client.get_registered_model(name).aliases
            found = client.search_model_versions(f"name='{name}'")
        made = [_version(stored, aliases) for stored in found]
        return tuple(sorted(made, key=lambda v: -v.version))

    def champion(self, name: str) -> ModelVersion | None:
        """The version that passed its gates last, if one did."""
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

    def load(self, name: str, which: str | int = "champion") -> Any:
        """A fitted estimator, after its signature was checked.

        Raises:
            UntrustedModelError: It is unsigned, changed, or holds other types than ours.
            ModelError: There is no such version, or its file cannot be fetched.
        """
        prepare_process()
        version = self.version(name, which)
        asked = f"load {name} version {version.version}"
        remedy = f"do not use it; train again: lake train {name} --force"
        with _mlflow_errors(asked):
            stored = self._client().get_model_version(name, str(version.version))
        signature, record = stored.tags.get(_SIGNATURE), stored.tags.get(_RECORD)
        if not signature or not record:
            raise UntrustedModelError(asked, "it is not signed", remedy)
        data = self._model_file(asked, f"models:/{name}/{version.version}")
        signed = self.key.sign(_message(name, str(stored.run_id), record, data))
        if not hmac.compare_digest(signed.encode(), signature.encode()):
            found = "its signature does not fit: the file or its record was changed, "
            raise UntrustedModelError(asked, found + "or another key signed it", remedy)
        return _unpack(data, asked, remedy)

    def register(self, name: str, model_uri: str, run_id: str, record: ModelRecord) -> int:
        """Register a logged model; signature and record are there from the first moment.

        Args:
            name: The model.
            model_uri: ``models:/m-…`` of the logged model.
            run_id: The run that logged it.
            record: Written beside it.

        Returns:
            The new version's number.

        Raises:
            UntrustedModelError: It holds types that could not be loaded again.
        """
        asked = f"register {name}"
        model_id = model_uri.removeprefix("models:/")
        with _mlflow_errors(asked):
            place = self._client().get_logged_model(model_id).artifact_location
        data = self._model_file(asked, place)
        remedy = "build the estimator of scikit-learn's own classes"
        _unpack(data, asked, remedy)
        text = json.dumps(vars(record), sort_keys=True)
        tags = {_RECORD: text, _SIGNATURE: self.key.sign(_message(name, run_id, text, data))}
        with _mlflow_errors(asked), tracking_at(self.tracking_uri):
            client = self._client()
            if not client.search_registered_models(filter_string=f"name='{name}'"):
                client.create_registered_model(name)
            made = client.create_model_version(
                name,
                source=model_uri,
                run_id=run_id,
                tags=tags,
                model_id=model_id,
            )
        return int(made.version)

    def give_alias(self, name: str, version: int, alias: Alias) -> None:
        """Move an alias to a version, and mark the version as complete.

        A new champion ends the challenge of older versions.
        """
        with _mlflow_errors(f"make version {version} of {name} the {alias}"):
            client = self._client()
            client.set_registered_model_alias(name, alias, str(version))
            other = client.get_registered_model(name).aliases.get("challenger")
            if alias == "champion" and other is not None and int(other) <= version:
                client.delete_registered_model_alias(name, "challenger")
            client.set_model_version_tag(name, str(version), _ALIAS, alias)

    def _client(self) -> MlflowClient:
        prepare_process()
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.tracking_uri)

    def _model_file(self, asked: str, folder_uri: str) -> bytes:
        import tempfile

        from mlflow.artifacts import download_artifacts

        with (
            _mlflow_errors(asked),
            tracking_at(self.tracking_uri),
            tempfile.TemporaryDirectory() as folder,
        ):
            file = download_artifacts(
                artifact_uri=f"{folder_uri}/{MODEL_FILE}",
                dst_path=folder,
                tracking_uri=self.tracking_uri,
                registry_uri=self.tracking_uri,
            )
            return Path(file).read_bytes()


def require_trusted(estimator: Any) -> None:
    """Check that a fitted estimator could be stored and loaded again.

    Raises:
        UntrustedModelError: It holds types that :meth:`Registry.load` would refuse.
    """
    import skops.io

    asked, remedy = "store the model", "build the estimator of scikit-learn's own classes"
    try:
        data = skops.io.dumps(estimator)
    except Exception as error:
        raise UntrustedModelError(asked, f"skops cannot store it: {error}", remedy) from error
    _unpack(data, asked, remedy)


def _unpack(data: bytes, asked: str, remedy: str) -> Any:
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.loads(data, trusted=list(TRUSTED_TYPES))
    except UntrustedTypesFoundException as error:
        others = sorted(set(skops.io.get_untrusted_types(data=data)) - set(TRUSTED_TYPES))
        found = f"it holds types that are not allowed: {', '.join(others)}"
        raise UntrustedModelError(asked, found, remedy) from error
    except Exception as error:
        found = f"{MODEL_FILE} cannot be read: {type(error).__name__}: {error}"
        raise UntrustedModelError(asked, found, remedy) from error


def _message(name: str, run_id: str, record: str, data: bytes) -> bytes:
    return json.dumps([name, run_id, record, hashlib.sha256(data).hexdigest()]).encode()


def _version(stored: Any, aliases: Mapping[str, str]) -> ModelVersion:
    number = int(stored.version)
    return ModelVersion(
        name=stored.name,
        version=number,
        run_id=stored.run_id,
        created=dt.datetime.fromtimestamp(stored.creation_timestamp / 1000, dt.UTC),
        aliases=tuple(sorted(alias for alias, of in aliases.items() if int(of) == number)),
        complete=_ALIAS in stored.tags,
        record=_record(stored.tags.get(_RECORD)),
    )


def _record(text: str | None) -> ModelRecord | None:
    try:
        fields = json.loads(text or "")
        return ModelRecord(**{**fields, "features": tuple(fields["features"])})
    except (ValueError, TypeError, KeyError):
        return None


def _begun(tracking_uri: str) -> bool:
    """False for a SQLite file that is not there: asking MLflow would make it, in seconds."""
    file = tracking_uri.removeprefix("sqlite:///")
    return file == tracking_uri or Path(unquote(file)).exists() or Path(file).exists()


@contextmanager
def tracking_at(tracking_uri: str) -> Iterator[None]:
    """MLflow's global tracking address inside the block; then it is as it was.

    MLflow looks stored models up there, whatever address a client was given.
    """
    import mlflow

    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None  # type: ignore[no-untyped-call]
    mlflow.set_tracking_uri(tracking_uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None unsets it


@contextmanager
def _mlflow_errors(asked: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        remedy = "is MLflow up? lake status; its address is MLFLOW_TRACKING_URI"
        raise ModelError(asked, str(error).splitlines()[0][:300], remedy) from error
