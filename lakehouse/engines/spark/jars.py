"""The Java archives beside Spark's own: Delta and S3A, an exact list with checksums."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib.resources
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from lakehouse.contract import digest
from lakehouse.engines.spark import java
from lakehouse.errors import EngineError
from lakehouse.settings import Settings

__all__ = ["Jar", "cached", "locked", "resolve", "spark_home"]


@dataclass(frozen=True)
class Jar:
    """One archive of the lock: where Maven has it, and the SHA-256 of its bytes."""

    group: str
    name: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        """Its file's name."""
        return f"{self.name}-{self.version}.jar"


def spark_home() -> Path:
    """The folder of the installed Spark: ``SPARK_HOME``, or PySpark's.

    Raises:
        EngineError: PySpark is not installed.
    """
    found = importlib.util.find_spec("pyspark")
    if found is None or found.origin is None:
        raise EngineError(
            "use Spark",
            "the package pyspark is not installed",
            "`make setup-spark`, or pip install 'prefect-lakehouse[spark]'",
        )
    return Path(os.environ.get("SPARK_HOME") or Path(found.origin).parent)


@functools.cache
def locked() -> tuple[Jar, ...]:
    """The archives of ``jars.lock``."""
    text = (importlib.resources.files(__package__) / "jars.lock").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    parts = (re.split(r"[: ]", line) for line in lines)
    return tuple(Jar(group, name, version, sha256) for group, name, version, sha256 in parts)


def cached(settings: Settings) -> tuple[Path, ...] | None:
    """The archives fetched before, if each still has the bytes that the lock names."""
    folder = _folder(settings)
    return None if _wrong(folder) else _paths(folder)


def resolve(settings: Settings, say: Callable[[str], None] = lambda _: None) -> tuple[Path, ...]:
    """The archives as files, fetched at the first call and taken from the cache afterwards.

    Any number of processes at once fetch once; a fetch that is killed leaves nothing that
    is taken for the archives.

    Args:
        settings: Where the cache is, and the Maven repository to ask.
        say: Told in words that a download begins.

    Raises:
        EngineError: They cannot be fetched, or are not those of the lock.
    """
    folder = _folder(settings)
    if not _wrong(folder):
        return _paths(folder)
    try:
        with _alone(folder.parent):
            if _wrong(folder):
                say(f"fetching {len(locked())} Java archives for Delta and S3 (26 MB, once)")
                _fetch(folder, settings)
    except OSError as error:
        raise EngineError(
            f"keep Spark's Java archives in {folder}",
            error.strerror or str(error),
            "set LAKE_SPARK_JARS to a folder that you may write, with 100 MB of free space",
        ) from error
    return _paths(folder)


def _folder(settings: Settings) -> Path:
    # Named by its content: another release of the library looks elsewhere.
    cache = settings.spark_jars or settings.state / "jars"
    return cache.resolve() / digest([jar.sha256 for jar in locked()])


def _paths(folder: Path) -> tuple[Path, ...]:
    return tuple(folder / jar.file for jar in locked())


def _wrong(folder: Path) -> list[str]:
    """Files that are missing or hold other bytes than the lock says."""
    return [jar.file for jar in locked() if _sha256(folder / jar.file) != jar.sha256]


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(folder: Path, settings: Settings) -> None:
    for left in folder.parent.glob(".fetch-*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as work:
        made = _retrieved(Path(work), settings)
        if wrong := _wrong(made):
            raise EngineError(
                f"fetch Spark's Java archives from {_source(settings)}",
                f"{', '.join(wrong)}: not the bytes that jars.lock names",
                "ask a repository that serves what Maven Central does",
            )
        shutil.rmtree(folder, ignore_errors=True)
        made.replace(folder)


def _source(settings: Settings) -> str:
    return str(settings.ivy_settings or settings.maven_repository or "Maven Central")


def _retrieved(work: Path, settings: Settings) -> Path:
    """What the Ivy inside PySpark fetches: the archives and nothing that they name."""
    resolver, module, made = work / "ivysettings.xml", work / "ivy.xml", work / "jars"
    resolver.write_text(_resolver(settings.maven_repository), encoding="utf-8")
    module.write_text(_module(), encoding="utf-8")
    chosen = settings.ivy_settings.resolve() if settings.ivy_settings else resolver
    command = [
        *(str(java.find(settings)), *_proxy(), "-cp", str(_ivy()), "org.apache.ivy.Main"),
        *("-settings", str(chosen), "-ivy", str(module), "-cache", str(work / "cache")),
        *("-retrieve", f"{made}/[artifact]-[revision].[ext]"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=work)
    log = settings.state.resolve() / "logs" / "ivy.log"
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        raise EngineError(
            f"fetch Spark's Java archives from {_source(settings)}",
            _complaint(done.stdout + done.stderr),
            "go online once; or name a mirror (LAKE_MAVEN_REPOSITORY) or Ivy settings of your own "
            f"(LAKE_IVY_SETTINGS); or copy {_folder(settings)} from a machine that has it",
            file=str(log),
        )
    return made


def _ivy() -> Path:
    found = sorted((spark_home() / "jars").glob("ivy-*.jar"))
    if not found:
        raise EngineError(
            "fetch Spark's Java archives",
            f"no Ivy in {spark_home() / 'jars'}",
            "unset SPARK_HOME, so that the Spark inside PySpark is used",
        )
    return found[-1]


def _resolver(repository: str) -> str:
    root = f"root={quoteattr(repository)} " if repository else ""
    # The lock lists every archive: no POM needs to be read, and SHA-256 is checked here.
    return (
        '<ivysettings><settings defaultResolver="maven"/><resolvers>'
        f'<ibiblio name="maven" {root}m2compatible="true" usepoms="false" checksums=""/>'
        "</resolvers></ivysettings>"
    )


def _module() -> str:
    wanted = "".join(
        f'<dependency org="{jar.group}" name="{jar.name}" rev="{jar.version}" transitive="false"'
        ' conf="default-&gt;master(*)"/>'
        for jar in locked()
    )
    return (
        '<ivy-module version="2.0"><info organisation="lakehouse" module="jars"/>'
        '<configurations><conf name="default"/></configurations>'
        f"<dependencies>{wanted}</dependencies></ivy-module>"
    )


def _proxy() -> list[str]:
    """Java's own form of the proxy variables, which it does not read."""
    import urllib.parse
    import urllib.request

    options = []
    for scheme, address in urllib.request.getproxies().items():
        proxy = urllib.parse.urlsplit(address)
        if scheme in ("http", "https") and proxy.hostname:
            options.append(f"-D{scheme}.proxyHost={proxy.hostname}")
            options.append(f"-D{scheme}.proxyPort={proxy.port or 80}")
    direct = [host.strip() for host in urllib.request.getproxies().get("no", "").split(",")]
    hosts = [f"*{host}" if host.startswith(".") else host for host in direct if host]
    return [*options, f"-Dhttp.nonProxyHosts={'|'.join(hosts)}"] if hosts else options


def _complaint(said: str) -> str:
    """The cause that Ivy names, which it repeats for each archive; else what it did not find."""
    causes = re.findall(r"\(([\w.]+Exception\b.*)\)", said)
    causes += re.findall(r"Host [\w.-]+ not found", said)
    lacking = re.findall(r"module not found: (\S+)", said)
    told = list(dict.fromkeys(causes)) or [f"{name} not found" for name in lacking]
    return "; ".join(told[:3]) or said.strip().rpartition("\n")[2] or "it said nothing"
