"""One Spark session per process: local, on a cluster, or the one that spark-submit began."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.engines.spark import jars, kubernetes, master, submit
from lakehouse.engines.spark.failing import ended
from lakehouse.errors import EngineError, LakehouseError, cause
from lakehouse.settings import Settings
from lakehouse.storage import Storage

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["MEANING", "set_properties", "start"]

_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
_DEFAULTS = "spark.databricks.delta.properties.defaults"

#: What decides over rows and files, and so is set whatever else a session is set to.
MEANING: Mapping[str, str] = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    # A failed cast is an error, as in DuckDB.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "false",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Days before 1582 as they are: everybody else counts in the proleptic calendar.
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    # Tables that every Delta reader can read.
    f"{_DEFAULTS}.enableDeletionVectors": "false",
    f"{_DEFAULTS}.enableRowTracking": "false",
    f"{_DEFAULTS}.enableTypeWidening": "false",
    f"{_DEFAULTS}.columnMapping.mode": "none",
    f"{_DEFAULTS}.checkpointPolicy": "classic",
}

_LOG_BYTES = 10_000_000
_WRONG = re.compile(r"ERROR|[a-z]Exception\b|rror: ")
_starting = threading.Lock()
_launched: dict[str, Any] = {}


def start(
    settings: Settings, storage: Storage, say: Callable[[str], None] = lambda _: None
) -> SparkSession:
    """The session of this process, started at the first call.

    A session that runs already, and one that spark-submit began, keeps its master, its
    memory and its archives. After the death of its JVM the next call starts another. The
    user's ``spark-defaults.conf`` wins over what is set here for speed, not over what decides
    over rows. Spark writes to ``<state>/logs/spark.log``.

    Args:
        settings: The master, memory, Java, and where the archives and the log are.
        storage: The store that is to be read and written.
        say: Told in words what takes time.

    Raises:
        EngineError: No Java, no PySpark, no archives, no master; or Spark does not start.
    """
    log = _log(settings.state)
    with _starting, _failing(log):
        _forget_the_dead(say)
        session = _running() or _started(settings, storage, log, say)
        set_properties(session, storage)
        return session


def set_properties(session: SparkSession, storage: Storage) -> None:
    """Set what decides over rows, and how the store is reached: a new session has neither.

    Args:
        session: Of a context that may be the user's own.
        storage: The store that is to be read and written.
    """
    for name, value in {**MEANING, **storage.spark_conf()}.items():
        # A running session hands its own properties to Hadoop as they are named.
        session.conf.set(name.removeprefix("spark.hadoop."), value)


def _forget_the_dead(say: Callable[[str], None]) -> None:
    """Let go of a JVM that has ended: PySpark would hand out its session for ever."""
    jars.spark_home()
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    context: Any = SparkContext
    if context._gateway is None or (code := ended()) is None:  # noqa: SLF001
        return
    say(f"Spark's JVM ended with code {code}: starting another")
    context._gateway.shutdown()  # noqa: SLF001
    if context._active_spark_context is not None:  # noqa: SLF001
        # Without its JVM it would warn that it cannot stop it.
        context._active_spark_context._jsc = None  # noqa: SLF001
        context._active_spark_context.stop()  # noqa: SLF001
    context._gateway = context._jvm = None  # noqa: SLF001
    session: Any = SparkSession
    session._instantiatedSession = session._activeSession = None  # noqa: SLF001
    _launched.clear()


def _running() -> SparkSession | None:
    jars.spark_home()
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    try:
        session = SparkSession.active()
    except PySparkException:
        return None
    if _EXTENSION not in str(session.conf.get("spark.sql.extensions", "")):
        raise EngineError(
            "use the Spark session that runs in this process",
            f"it was started without Delta: spark.sql.extensions lacks {_EXTENSION}",
            "stop it, or start it by lakehouse.engines.spark.session.start",
        )
    _look_for_delta(session._jvm)  # noqa: SLF001
    return session


def _started(
    settings: Settings, storage: Storage, log: Path, say: Callable[[str], None]
) -> SparkSession:
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    launch: dict[str, str] = {} if submitted else _launch(settings, say)
    with _environment(launch):
        from pyspark import SparkConf, SparkContext
        from pyspark.sql import SparkSession

        gateway = _gateway(log)
        conf = SparkConf(_jvm=gateway.jvm)
        _configure(conf, settings, storage)
        _look_for_delta(gateway.jvm)
        context = SparkContext(conf=conf, gateway=gateway)
        if not str(conf.get("spark.master")).startswith("local"):
            context.addPyFile(str(submit.package(settings)))
        return SparkSession.builder.getOrCreate()


def _launch(settings: Settings, say: Callable[[str], None]) -> dict[str, str]:
    """The environment in which Spark's JVM starts."""
    master.look_for(settings.spark_master)
    archives = ",".join(path.as_uri() for path in jars.resolve(settings, say))
    made = submit.environment(settings)
    arguments = shlex.join(["--master", settings.spark_master, "--jars", archives])
    say(f"starting Spark on {settings.spark_master}")
    return made | {
        "PYSPARK_SUBMIT_ARGS": f"{arguments} {made.get('PYSPARK_SUBMIT_ARGS', 'pyspark-shell')}"
    }


@contextlib.contextmanager
def _environment(names: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _gateway(log: Path) -> Any:
    """The JVM of this process: one, also when a session is stopped and another is started."""
    from pyspark import SparkContext
    from pyspark.java_gateway import launch_gateway

    launched = SparkContext._gateway or _launched.get("gateway")  # noqa: SLF001
    if launched is None:
        # Without properties: they would stand in its command line.
        with log.open("ab") as file:
            launch: Any = launch_gateway
            launched = launch(popen_kwargs={"stdout": file, "stderr": file})
        _launched["gateway"] = launched
    return launched


def _configure(conf: Any, settings: Settings, storage: Storage) -> None:
    for name, value in {**MEANING, **storage.spark_conf()}.items():
        conf.set(name, value)
    # Set by the launcher already: bars would go to the log.
    conf.set("spark.ui.showConsoleProgress", "false")
    extensions = [e for e in conf.get("spark.sql.extensions", "").split(",") if e]
    if _EXTENSION not in extensions:
        conf.set("spark.sql.extensions", ",".join([*extensions, _EXTENSION]))
    if settings.spark_secret is not None:
        conf.set("spark.authenticate", "true")
        conf.set("spark.authenticate.secret", settings.spark_secret.get_secret_value())
    where = conf.get("spark.master")
    for name, value in _defaults(settings, where).items():
        conf.setIfMissing(name, value)
    if kubernetes.is_master(where):
        kubernetes.check_image(conf.get(kubernetes.IMAGE, ""))


def _defaults(settings: Settings, where: str) -> dict[str, str]:
    """What makes Spark quick and quiet, by where it runs."""
    state = settings.state.resolve() / "spark"
    made = {
        "spark.app.name": "lake",
        "spark.log.level": "WARN",
        "spark.sql.catalog.spark_catalog": _CATALOG,
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.warehouse.dir": (state / "warehouse").as_uri(),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # Partitions of a shuffle become as many as its bytes ask for, not one per core.
        "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
        # A run of some tables compiles more than the 100 classes that are kept, so that the next
        # would compile them, and the JVM what they hold, all over again.
        "spark.sql.codegen.cache.maxEntries": "2000",
    }
    if settings.spark_events:
        made |= {
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": _events(settings),
            # Lines that anybody can read.
            "spark.eventLog.compress": "false",
        }
    if master.here(where):
        made |= {
            "spark.driver.host": master.LOOPBACK,
            "spark.driver.bindAddress": master.LOOPBACK,
            # Any free port; on loopback, as SPARK_LOCAL_IP says.
            "spark.ui.port": "0",
            "spark.ui.killEnabled": "false",
        }
    else:
        made["spark.ui.enabled"] = "false"
    if where.startswith("local"):
        # Others on this machine could otherwise talk to the driver.
        made |= {"spark.authenticate": "true", "spark.sql.shuffle.partitions": "32"}
    else:
        made["spark.executor.memory"] = f"{settings.spark_memory // 2**20}m"
    return made | (kubernetes.conf() if kubernetes.is_master(where) else {})


def _events(settings: Settings) -> str:
    if "://" in settings.spark_events:
        return settings.spark_events.replace("s3://", "s3a://", 1)
    folder = Path(settings.spark_events).resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder.as_uri()


def _look_for_delta(jvm: Any) -> None:
    """That it is there, as the lock names it: what is read goes beyond what other releases keep."""
    wanted = next(jar.version for jar in jars.locked() if jar.name.startswith("delta-spark"))
    asked = f"use Delta {wanted} in Spark"
    remedy = "give spark-submit the archives of `lake doctor` by --jars (see the how-to on Spark)"
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    try:
        loader.loadClass(_EXTENSION)
    except Exception as error:
        raise EngineError(asked, f"its class path has no {_EXTENSION}", remedy) from error
    if (found := jvm.io.delta.package.VERSION()) != wanted:
        raise EngineError(asked, f"its class path has Delta {found}", remedy)


def _log(state: Path) -> Path:
    log = state.resolve() / "logs" / "spark.log"
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_name("spark.log.1"))
    log.touch(mode=0o600)
    return log


@contextlib.contextmanager
def _failing(log: Path) -> Iterator[None]:
    """Name what PySpark and the JVM raise inside, with what Spark's log says meanwhile."""
    begun = log.stat().st_size
    try:
        yield
    except LakehouseError:
        raise
    except Exception as error:
        with log.open("rb") as file:
            file.seek(begun)
            said = file.read().decode(errors="replace")
        wrong = [line.strip() for line in said.splitlines() if _WRONG.search(line)]
        raise EngineError(
            "start Spark",
            "; ".join([_short(error), *wrong[:2]]),
            "set LAKE_SPARK_SECRET to the secret of that cluster (spark.authenticate.secret)"
            if "Sasl" in said
            else f"read {log}; 'lake doctor' checks Java, the archives and the master",
            file=str(log),
        ) from error


def _short(error: Exception) -> str:
    """Java's own words, where it was Java that raised."""
    java = re.search(r"^: (.+)$", str(error), re.MULTILINE)
    return java[1] if java else cause(error)
