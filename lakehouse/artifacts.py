"""Files in MLflow: logged there, and fetched from nowhere but where we logged them.

An address that is found in a registry is not followed: a logged model's files lie
below its experiment, a run's below the run, and none is a link or larger than asked.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from lakehouse.errors import LakehouseError, ModelError, StorageError, UntrustedModelError
from lakehouse.modelfile import MAX_BYTES, Stored

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

__all__ = [
    "client_of",
    "faults",
    "fetch_logged",
    "fetch_of_run",
    "log_stored",
    "mlflow_error",
    "mlflow_errors",
    "prepare_process",
    "tracking_at",
]

_VARIABLE = "MLFLOW_TRACKING_URI"
_EXAMPLE = "input_example.json"
_PASSING = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE")
_LOGGED = re.compile(r"models:/(m-[0-9a-f]{32})")


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


def client_of(tracking_uri: str) -> MlflowClient:
    """A client of one MLflow, for runs and for registered models."""
    prepare_process()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


@contextmanager
def tracking_at(tracking_uri: str) -> Iterator[None]:
    """MLflow's global tracking address inside the block; then it is as it was.

    MLflow looks stored models up there, whatever address a client was given.
    """
    import mlflow

    variable = os.environ.get(_VARIABLE)
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None  # type: ignore[no-untyped-call]
    mlflow.set_tracking_uri(tracking_uri)
    try:
        yield
    finally:
        # What stands in the environment is not pinned: MLflow would no longer look there.
        mlflow.set_tracking_uri(None if before == variable else before)  # type: ignore[arg-type]
        if variable is not None:
            os.environ[_VARIABLE] = variable
        else:
            os.environ.pop(_VARIABLE, None)


@contextmanager
def mlflow_errors(asked: str) -> Iterator[None]:
    """What MLflow, its stores and the file system raise inside the block, with a remedy.

    Raises:
        StorageError: MLflow or its store does not answer, which passes.
        ModelError: Of any other.
    """
    try:
        yield
    except faults() as error:
        raise mlflow_error(asked, error) from error


def faults() -> tuple[type[Exception], ...]:
    """The errors of MLflow, of the clients of its stores, and of the file system."""
    from botocore.exceptions import BotoCoreError, ClientError
    from mlflow.exceptions import MlflowException

    # A store's client is imported when it is first used.
    return MlflowException, OSError, BotoCoreError, ClientError, ImportError


def mlflow_error(asked: str, error: Exception) -> LakehouseError:
    """One of them in the words of this library."""
    text = (str(error).splitlines() or [type(error).__name__])[0][:300]
    if isinstance(error, ImportError):
        return ModelError(asked, text, "install the package that it names")
    remedy = "is MLflow up? lake status; its address is MLFLOW_TRACKING_URI"
    return (StorageError if _passes(error) else ModelError)(asked, text, remedy)


def _passes(error: Exception) -> bool:
    from botocore.exceptions import BotoCoreError
    from requests import RequestException

    # Of MLflow's server: that it cannot be reached, or that its own database cannot.
    code = getattr(error, "error_code", "")
    return code in _PASSING or isinstance(error, BotoCoreError | RequestException)


def log_stored(
    stored: Stored,
    signature: ModelSignature,
    example: pd.DataFrame,
    requirements: list[str],
) -> str:
    """Log a stored model to the active run, as it is: by a flavor that only we can load.

    ``mlflow.pyfunc.load_model`` refuses it, which would trust what the file says of itself.

    Args:
        stored: The model.
        signature: Of its inputs and outputs.
        example: Rows of features, kept beside it.
        requirements: The packages that it needs, ``name==version``.

    Returns:
        ``models:/m-…``, the logged model.
    """
    from mlflow.models import Model

    logged = Model.log(
        artifact_path=None,
        name="model",
        flavor=_Flavor(),
        stored=stored,
        signature=signature,
        input_example=example,
        requirements=requirements,
    )
    return str(logged.model_uri)


class _Flavor:
    """What :meth:`mlflow.models.Model.log` asks of a flavor module."""

    __name__ = "lakehouse"

    @staticmethod
    def save_model(
        path: str, mlflow_model: Any, stored: Stored, requirements: list[str], **given: Any
    ) -> None:
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / stored.file).write_bytes(stored.data)
        (folder / "requirements.txt").write_text("\n".join(requirements) + "\n", encoding="utf-8")
        given["input_example"].to_json(folder / _EXAMPLE, orient="split", index=False)
        mlflow_model.saved_input_example_info = {
            "artifact_path": _EXAMPLE,
            "type": "dataframe",
            "pandas_orient": "split",
        }
        mlflow_model.signature = given["signature"]
        mlflow_model.add_flavor("lakehouse", file=stored.file)
        mlflow_model.save(str(folder / "MLmodel"))


def fetch_logged(tracking_uri: str, source: str, file: str, asked: str, remedy: str) -> bytes:
    """A file of a logged model.

    Args:
        tracking_uri: MLflow's address.
        source: ``models:/m-…``, as a registered version names it.
        file: Its name.
        asked: What for, in the words of errors.
        remedy: Of errors.

    Raises:
        UntrustedModelError: It lies elsewhere than we would have logged it, is no plain file or
            too large.
        ModelError: It cannot be fetched.
    """
    named = _LOGGED.fullmatch(source)
    if named is None:
        raise UntrustedModelError(asked, f"its source is {source[:200]!r}, no logged model", remedy)
    with mlflow_errors(asked):
        client = client_of(tracking_uri)
        logged = client.get_logged_model(named[1])
        root = str(client.get_experiment(logged.experiment_id).artifact_location).rstrip("/")
    place, ours = str(logged.artifact_location).rstrip("/"), f"{root}/models/{named[1]}/artifacts"
    if place != ours:
        found = f"its files are said to lie at {place[:200]!r}, outside of its experiment's"
        raise UntrustedModelError(asked, found, remedy)
    return _fetch(tracking_uri, root, ours, file, asked, remedy)


def fetch_of_run(
    tracking_uri: str, run_id: str, file: str, asked: str, remedy: str, most: int = MAX_BYTES
) -> bytes:
    """An artifact of a run.

    Raises:
        UntrustedModelError, ModelError: As :func:`fetch_logged`.
    """
    with mlflow_errors(asked):
        client = client_of(tracking_uri)
        run = client.get_run(run_id).info
        root = str(client.get_experiment(run.experiment_id).artifact_location).rstrip("/")
    place, ours = str(run.artifact_uri).rstrip("/"), f"{root}/{run_id}/artifacts"
    if place != ours:
        found = f"its run's files are said to lie at {place[:200]!r}, outside of its experiment's"
        raise UntrustedModelError(asked, found, remedy)
    return _fetch(tracking_uri, root, ours, file, asked, remedy, most)


def _fetch(
    tracking_uri: str,
    root: str,
    folder: str,
    file: str,
    asked: str,
    remedy: str,
    most: int = MAX_BYTES,
) -> bytes:
    path = PurePosixPath(file)
    parts = file.split("/")
    if path.is_absolute() or ":" in file or "\\" in file or {"", ".", ".."} & set(parts):
        raise UntrustedModelError(asked, f"its file {file!r} leaves its folder", remedy)
    if re.match(r"file:|/", folder):
        data = _local(root, f"{folder}/{file}", most, asked, remedy)
    else:
        data = _remote(tracking_uri, folder, file, most, asked, remedy)
    if len(data) > most:
        found = f"{path.name} is larger than the {most:,} bytes that are read"
        raise UntrustedModelError(asked, found, remedy)
    return data


def _local(root: str, uri: str, most: int, asked: str, remedy: str) -> bytes:
    import stat

    from mlflow.utils.file_utils import local_file_uri_to_path

    path, top = (
        Path(local_file_uri_to_path(one))  # type: ignore[no-untyped-call]
        for one in (uri, root)
    )
    with mlflow_errors(asked):
        if path.resolve(strict=True) != top.resolve(strict=True) / path.relative_to(top):
            raise UntrustedModelError(asked, f"{path.name} is reached through a link", remedy)
        # Neither a link put there meanwhile is followed, nor a pipe waited for.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise UntrustedModelError(asked, f"{path.name} is no plain file", remedy)
            if status.st_size <= most:
                with os.fdopen(handle, "rb", closefd=False) as opened:
                    return opened.read(most + 1)
        finally:
            os.close(handle)
    found = f"{path.name} has {status.st_size:,} bytes; at most {most:,} are read"
    raise UntrustedModelError(asked, found, remedy)


def _remote(tracking_uri: str, folder: str, file: str, most: int, asked: str, remedy: str) -> bytes:
    import tempfile

    from mlflow.artifacts import download_artifacts, list_artifacts

    parent = str(PurePosixPath(file).parent)
    with (
        mlflow_errors(asked),
        tracking_at(tracking_uri),
        tempfile.TemporaryDirectory() as target,
    ):
        listed = list_artifacts(artifact_uri=folder if parent == "." else f"{folder}/{parent}")
        names = {PurePosixPath(one.path).name: one.file_size for one in listed}
        size = names.get(PurePosixPath(file).name)
        if size is None:
            raise ModelError(asked, f"{file} is not in {folder}", remedy)
        if size > most:
            found = f"{file} has {size:,} bytes; at most {most:,} are read"
            raise UntrustedModelError(asked, found, remedy)
        fetched = download_artifacts(
            artifact_uri=f"{folder}/{file}", dst_path=target, tracking_uri=tracking_uri
        )
        with Path(fetched).open("rb") as opened:
            return opened.read(most + 1)
