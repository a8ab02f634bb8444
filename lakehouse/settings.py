"""The settings: read once in ``main()`` from the environment and ``.env``, then passed."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ByteSize, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from lakehouse.errors import SettingsError

__all__ = ["Settings", "load", "unknown"]


class Settings(BaseSettings):
    """Where the lake is and how much a worker may use.

    Attributes:
        uri: The lake: ``file:///…`` or ``s3://bucket/prefix``. Default: ``<state>/data``.
        landing: Where files land, ``<landing>/<domain>/…``. Default: ``<uri>/landing``.
        domains: The folder that holds one folder per domain.
        state: Logs, process ids, keys and local databases; never data that matters.
        s3_endpoint: An S3-compatible server; empty for AWS.
        s3_region: The region that requests are signed for.
        s3_path_style: Address buckets by path rather than by host name.
        s3_profile: An AWS profile; empty for the standard chain.
        dask_address: A Dask scheduler; empty for a cluster of threads in this process.
        spark_master: Where Spark runs: ``local[*]``, ``spark://host:port``, ``k8s://…``.
        spark_memory: The memory of Spark's driver, and of each executor on a cluster.
        spark_secret: What a standalone cluster asks of those who connect
            (``spark.authenticate.secret``).
        spark_events: A folder for Spark's event logs; empty for none.
        spark_submit: Flows build each table on Spark by a spark-submit of its own, one at a time,
            rather than in the process of the flow run.
        spark_jars: The cache of Spark's Java archives. Default: ``<state>/jars``.
        maven_repository: Where Spark's Java archives come from; empty for Maven Central.
        ivy_settings: An Ivy settings file to fetch them by, for repositories with a login.
        engine_threshold: Bytes of Parquet read for one target above which ``auto`` takes Spark;
            0 means a quarter of ``worker_memory``.
        worker_memory: The memory one target may use before it spills.
        threads: Targets built side by side; 0 means one per core.
        signing_key: Signs stored models; empty: ``<state>/keys/models.key``, made at first use.
        notify_url: Where ``lake deploy`` has Prefect send word (POST, JSON) of runs and gates that
            failed; empty for nowhere.
    """

    model_config = SettingsConfigDict(
        env_prefix="LAKE_", env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True
    )

    uri: str = ""
    landing: str = ""
    domains: Path = Path("jobs")
    state: Path = Path(".lake")
    s3_endpoint: str = ""
    s3_region: str = "us-east-1"
    s3_path_style: bool = True
    s3_profile: str = ""
    dask_address: str = ""
    spark_master: str = "local[*]"
    spark_memory: ByteSize = ByteSize(2 * 1024**3)
    spark_secret: SecretStr | None = None
    spark_events: str = ""
    spark_submit: bool = False
    spark_jars: Path | None = None
    maven_repository: str = ""
    ivy_settings: Path | None = None
    engine_threshold: ByteSize = ByteSize(0)
    worker_memory: ByteSize = ByteSize(2 * 1024**3)
    threads: int = Field(0, ge=0)
    signing_key: SecretStr | None = None
    notify_url: SecretStr | None = None

    @field_validator("uri", "landing")
    @classmethod
    def _known_scheme(cls, value: str) -> str:
        if value and not value.startswith(("file:///", "s3://")):
            raise ValueError(f"{value!r} begins neither with file:/// nor with s3://")
        return value.rstrip("/")

    @field_validator("notify_url")
    @classmethod
    def _address(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(("https://", "http://")):
            raise ValueError("it begins neither with https:// nor with http://")
        return value

    @property
    def lake_uri(self) -> str:
        """The lake's URI with the default filled in."""
        return self.uri or (self.state.resolve() / "data").as_uri()

    @property
    def landing_uri(self) -> str:
        """The landing zone's URI with the default filled in."""
        return self.landing or f"{self.lake_uri}/landing"


def load(**overrides: object) -> Settings:
    """Build the settings; keyword arguments win over the environment.

    Raises:
        SettingsError: A value cannot be right.
    """
    try:
        return Settings(**{k: v for k, v in overrides.items() if v is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = f"LAKE_{'_'.join(map(str, first['loc']))}".upper()
        raise SettingsError(
            "read the settings from the environment and .env",
            f"{name}: {first['msg']}",
            f"set {name} as described in the README, or unset it",
        ) from error


def unknown() -> dict[str, str]:
    """Variables that begin as settings do and are none → where they stand.

    They are no error where they are read: somebody else's may begin alike.
    """
    from dotenv import dotenv_values

    prefix, file = Settings.model_config["env_prefix"], str(Settings.model_config["env_file"])
    known = {f"{prefix}{name}".upper() for name in Settings.model_fields}
    found = dict.fromkeys(os.environ, "the environment") | dict.fromkeys(dotenv_values(file), file)
    return {
        name: where
        for name, where in sorted(found.items())
        if name.upper().startswith(prefix) and name.upper() not in known
    }
