"""How Spark's programs are run: their environment, the command line, the package they ship."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import lakehouse
from lakehouse.engines.spark import jars, java, master
from lakehouse.settings import Settings

__all__ = ["command", "environment", "package"]

#: Files of a domain that mean something on an executor; samples and notes do not.
_DOMAIN_FILES = (".py", ".sql", ".yaml")

#: The first day that a ZIP archive can name: the same files make the same bytes.
_NO_DATE = (1980, 1, 1, 0, 0, 0)


def command(settings: Settings, job: Path, arguments: Sequence[str] = ()) -> list[str]:
    """The spark-submit that runs a job of this project, with all that it needs beside it.

    The driver runs where the command runs (client mode). Executors get the library and the
    domains; Python packages are expected in their own environment. No key stands in it:
    those are handed down by :func:`environment`.

    Args:
        settings: The master and the caches.
        job: ``jobs/build.py``, or another that asks for
            :func:`lakehouse.engines.spark.session.start`.
        arguments: Of the job.

    Raises:
        EngineError: No PySpark, no Java, or no archives.
    """
    archives = ",".join(path.as_uri() for path in jars.resolve(settings))
    return [
        str(jars.spark_home() / "bin" / "spark-submit"),
        *("--master", settings.spark_master, "--name", f"lake {job.stem}"),
        *("--jars", archives, "--py-files", str(package(settings))),
        *(str(job), *arguments),
    ]


def environment(settings: Settings) -> dict[str, str]:
    """The variables by which Spark's programs start: the caller's own, and those they need.

    Raises:
        EngineError: There is no Java.
    """
    mine = {
        "SPARK_DRIVER_MEMORY": f"{settings.spark_memory // 2**20}m",
        "SPARK_LOCAL_DIRS": tempfile.gettempdir(),
        "PYSPARK_DRIVER_PYTHON": sys.executable,
    }
    if master.here(settings.spark_master):
        mine |= {"SPARK_LOCAL_IP": master.LOOPBACK, "PYSPARK_PYTHON": sys.executable}
    if settings.spark_secret is not None:
        mine["LAKE_SPARK_SECRET"] = settings.spark_secret.get_secret_value()
    return mine | dict(os.environ) | {"JAVA_HOME": str(java.home(java.find(settings)))}


def package(settings: Settings) -> Path:
    """The library and the domains in one ZIP archive, named by its content."""
    library = Path(lakehouse.__file__).parent
    domains = settings.domains.resolve()
    files = {f"{library.name}/{p.relative_to(library)}": p for p in _files(library)}
    for path in _files(domains):
        if path.suffix in _DOMAIN_FILES:
            files[f"{domains.name}/{path.relative_to(domains)}"] = path
    content = {name: path.read_bytes() for name, path in sorted(files.items())}
    named = hashlib.sha256(repr(content).encode()).hexdigest()[:10]
    archive = settings.state.resolve() / "spark" / f"lakehouse-{named}.zip"
    if not archive.is_file():
        archive.parent.mkdir(parents=True, exist_ok=True)
        made = archive.with_name(f"{archive.name}.{os.getpid()}")
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
            for name, body in content.items():
                file.writestr(zipfile.ZipInfo(name, _NO_DATE), body)
        made.replace(archive)
    return archive


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".pyc" and "__pycache__" not in path.parts:
            yield path
