"""One door to storage: a URI gives each library its own form of the same place.

Keys come from the environment or the standard AWS chain and are never held in
a field that is printed. Whom to trust with https is the machine's list, or the
file that ``SSL_CERT_FILE`` names, for every library alike.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from lakehouse.errors import LakehouseError, StorageError, UnsafeStoreError, cause
from lakehouse.settings import Settings

if TYPE_CHECKING:
    import fsspec
    import pyarrow.fs

__all__ = ["Storage", "connect"]

#: A server that sends nothing for so long is asked anew, a few times; then it counts as away.
SILENCE_S = 15
_CONNECT_S = 5
_TRIES = 3

#: Writers that race for one key in the probe; a store that lets two win loses commits.
_PROBE_WRITERS = 8
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")

#: What S3A asks for keys: those that Spark took from its driver's environment, then the chain of
#: the AWS SDK (profile, web identity, container, machine).
_S3A_CHAIN = (
    "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider,"
    "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider,"
    "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider"
)
_S3A_PROFILE = "org.apache.hadoop.fs.s3a.auth.ProfileAWSCredentialsProvider"


@dataclass(frozen=True)
class Storage:
    """A place for files: ``file://`` or ``s3://``.

    Attributes:
        uri: The root.
        endpoint: An S3-compatible server, empty for AWS.
        region: Its region.
        path_style: Address buckets by path rather than by host name.
        profile: An AWS profile, empty for the standard chain.
    """

    uri: str
    endpoint: str = ""
    region: str = "us-east-1"
    path_style: bool = True
    profile: str = field(default="", repr=False)

    @property
    def is_s3(self) -> bool:
        """Whether this is an object store."""
        return self.uri.startswith("s3://")

    @property
    def root(self) -> str:
        """The root in the form that filesystem objects take: no scheme."""
        parsed = urlparse(self.uri)
        if self.is_s3:
            return f"{parsed.netloc}{parsed.path}".rstrip("/")
        return unquote(parsed.path).rstrip("/")

    def at(self, *parts: str) -> Storage:
        """The same store, further down."""
        return Storage(
            "/".join([self.uri, *parts]), self.endpoint, self.region, self.path_style, self.profile
        )

    def delta_uri(self) -> str:
        """A table's place as deltalake takes it."""
        return f"s3://{self.root}" if self.is_s3 else self.root

    def delta_options(self) -> dict[str, str]:
        """Storage options for deltalake; holds secrets, so never log it."""
        if not self.is_s3:
            return {}
        options = {
            "AWS_REGION": self.region,
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": str(not self.path_style).lower(),
            "conditional_put": "etag",
            "timeout": f"{SILENCE_S}s",
            "connect_timeout": f"{_CONNECT_S}s",
            "max_retries": str(2 * _TRIES),
            "retry_timeout": f"{_TRIES * SILENCE_S}s",
            **self._keys(),
        }
        if self.endpoint:
            options["AWS_ENDPOINT_URL"] = self.endpoint
            options["AWS_ALLOW_HTTP"] = str(self.endpoint.startswith("http://")).lower()
        return options

    def spark_uri(self) -> str:
        """A place as Spark takes it: it reads no percent signs as escapes."""
        return f"s3a://{self.root}" if self.is_s3 else f"file://{self.root}"

    def spark_conf(self) -> dict[str, str]:
        """How Spark reaches this store, as its properties; without any key.

        Keys in the environment of Spark's driver reach its executors by themselves; a
        profile or a role must be there on each machine.
        """
        if not self.is_s3:
            return {}
        conf = {
            "endpoint.region": self.region,
            "path.style.access": str(self.path_style).lower(),
            "connection.timeout": f"{SILENCE_S}s",
            "aws.credentials.provider": _S3A_PROFILE if self.profile else _S3A_CHAIN,
        }
        if self.profile:
            conf["auth.profile.name"] = self.profile
        if self.endpoint:
            conf["endpoint"] = self.endpoint
            conf["connection.ssl.enabled"] = str(not self.endpoint.startswith("http://")).lower()
        return {f"spark.hadoop.fs.s3a.{name}": value for name, value in conf.items()}

    def _keys(self) -> dict[str, str]:
        given = tuple(os.environ.get(name) for name in _KEYS)
        found = _credentials(self.profile, given)
        if found is None:
            raise StorageError(
                f"reach {self.uri}",
                "no AWS credentials in the environment, the profile or the machine's role",
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or LAKE_S3_PROFILE",
            )
        keys = found.get_frozen_credentials()
        named = {
            "AWS_ACCESS_KEY_ID": keys.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key,
            "AWS_SESSION_TOKEN": keys.token,
        }
        return {name: value for name, value in named.items() if value}

    def arrow(self) -> pyarrow.fs.FileSystem:
        """A pyarrow filesystem: the reader and writer of data files."""
        import pyarrow.fs

        if not self.is_s3:
            return pyarrow.fs.LocalFileSystem()
        made: pyarrow.fs.FileSystem = _arrow_s3(
            SILENCE_S,
            self.endpoint,
            self.region,
            self.path_style,
            _authorities(),
            *self._keys().values(),
        )
        return made

    def fsspec(self) -> fsspec.AbstractFileSystem:
        """An fsspec filesystem (s3fs): listing and landing files."""
        if not self.is_s3:
            from fsspec.implementations.local import LocalFileSystem

            return LocalFileSystem()
        import s3fs

        keys = self._keys()
        made = s3fs.S3FileSystem(
            key=keys["AWS_ACCESS_KEY_ID"],
            secret=keys["AWS_SECRET_ACCESS_KEY"],
            token=keys.get("AWS_SESSION_TOKEN"),
            endpoint_url=self.endpoint or None,
            client_kwargs={"region_name": self.region, "verify": _authorities()},
            config_kwargs=self._client(),
            use_listings_cache=False,
        )
        # Around the client's own tries: it does not try a body again that breaks off.
        made.retries = 2
        return made

    def _client(self) -> dict[str, Any]:
        return {
            "connect_timeout": _CONNECT_S,
            "read_timeout": SILENCE_S,
            "retries": {"total_max_attempts": _TRIES, "mode": "standard"},
            "s3": {"addressing_style": "path" if self.path_style else "auto"},
        }

    @contextlib.contextmanager
    def reaching(self, asked: str) -> Iterator[None]:
        """Name whatever a client library raises inside: each has its own kinds.

        Raises:
            StorageError: Anything but an error of this library.
        """
        try:
            yield
        except LakehouseError:
            raise
        except Exception as error:
            raise self.failed(asked, error) from error

    def failed(self, asked: str, error: BaseException) -> StorageError:
        """The error for a store that did not do as asked."""
        found = cause(error)
        if not self.is_s3:
            remedy = "check LAKE_URI, the folder's permissions and the free space"
        elif "certificate" in found:
            remedy = (
                "set SSL_CERT_FILE to a file of the certificate authorities to trust (PEM), "
                f"that of {self.endpoint or 'AWS'} among them"
            )
        else:
            remedy = (
                f"check LAKE_URI, LAKE_S3_ENDPOINT ({self.endpoint or 'AWS'}) and the keys; "
                "'lake up' starts a local S3 server"
            )
        return StorageError(asked, found, remedy)

    def ensure(self) -> None:
        """Create the local folder, or see that the bucket answers.

        Raises:
            StorageError: It cannot be reached or written.
        """
        with self.reaching(f"reach {self.uri}"):
            if self.is_s3:
                self.fsspec().ls(self.root.split("/")[0])
            else:
                Path(self.root).mkdir(parents=True, exist_ok=True)

    def probe(self) -> None:
        """Check, once per store, that racing conditional PUTs have exactly one winner.

        Raises:
            UnsafeStoreError: More or fewer than one writer won: commits could be lost.
            StorageError: It cannot be reached or written.
        """
        self.ensure()
        if self.is_s3:
            with self.reaching(f"probe {self.uri}"):
                self._probe()

    def _probe(self) -> None:
        fs = self.fsspec()
        mark = f"{self.root}/ops/probe/conditional-put"
        if fs.exists(mark):
            return
        won, listed = self._raced(fs)
        if won != 1 or not listed:
            raise UnsafeStoreError(
                f"write tables to {self.uri}",
                f"{won} of {_PROBE_WRITERS} racing conditional PUTs won, one must",
                "use a store with atomic If-None-Match (AWS S3, SeaweedFS, MinIO, R2, Ceph ≥ 19)",
            )
        fs.pipe_file(mark, b"one winner\n")

    def _raced(self, fs: Any) -> tuple[int, bool]:
        """Winners of one race, and whether the key was there after it."""
        for attempt in range(_TRIES):
            key = f"{self.root}/ops/probe/{uuid.uuid4().hex}"
            try:
                won = self._race(key)
            except Exception:
                # Whether that PUT won is unknown, so the race says nothing: another one does.
                if attempt == _TRIES - 1:
                    raise
                continue
            break
        listed = fs.exists(key)
        fs.rm(key) if listed else None
        return won, listed

    def _race(self, key: str) -> int:
        import botocore.config
        import botocore.exceptions
        import botocore.session

        keys = self._keys()
        client = botocore.session.get_session().create_client(
            "s3",
            endpoint_url=self.endpoint or None,
            region_name=self.region,
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=keys.get("AWS_SESSION_TOKEN"),
            verify=_authorities(),
            # Tried again, a PUT that had won would seem to have lost.
            config=botocore.config.Config(
                max_pool_connections=_PROBE_WRITERS,
                **self._client() | {"retries": {"total_max_attempts": 1}},
            ),
        )
        bucket, _, name = key.partition("/")

        def put(writer: int) -> bool:
            body = str(writer).encode()
            try:
                client.put_object(Bucket=bucket, Key=name, Body=body, IfNoneMatch="*")
            except botocore.exceptions.ClientError as error:
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
                if status in (409, 412):
                    return False
                raise StorageError(
                    f"probe {self.uri}", f"conditional PUT answered {status}", "check the keys"
                ) from error
            return True

        with concurrent.futures.ThreadPoolExecutor(_PROBE_WRITERS) as pool:
            return sum(pool.map(put, range(_PROBE_WRITERS)))


def _authorities() -> str | None:
    """The certificate authorities' file, for those who do not read ``SSL_CERT_FILE`` themselves.

    deltalake does, as OpenSSL; botocore brings a list of its own, pyarrow looks once a process.
    """
    return os.environ.get("AWS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or None


@functools.cache
def _credentials(profile: str, _given: tuple[str | None, ...]) -> Any:
    """The chain's credentials, per environment; the object renews itself where they expire."""
    import botocore.session

    return botocore.session.Session(profile=profile or None).get_credentials()


@functools.lru_cache(maxsize=4)
def _arrow_s3(
    silence: int,
    endpoint: str,
    region: str,
    path_style: bool,
    authorities: str | None,
    key: str,
    secret: str,
    token: str | None = None,
) -> Any:
    import pyarrow.fs

    scheme, _, host = endpoint.rpartition("://")
    return pyarrow.fs.S3FileSystem(  # type: ignore[call-arg]  # its stubs are older
        access_key=key,
        secret_key=secret,
        session_token=token,
        region=region,
        scheme="http" if scheme == "http" else "https",
        endpoint_override=host or None,
        force_virtual_addressing=not path_style,
        tls_ca_file_path=authorities,
        connect_timeout=_CONNECT_S,
        request_timeout=silence,
        # A small file is one PUT then, not an upload of one part in three requests.
        allow_delayed_open=True,
        retry_strategy=pyarrow.fs.AwsStandardS3RetryStrategy(max_attempts=_TRIES),
    )


def connect(settings: Settings, uri: str) -> Storage:
    """The storage at ``uri`` with the settings' endpoint."""
    endpoint = settings.s3_endpoint or os.environ.get("AWS_ENDPOINT_URL", "")
    return Storage(
        uri.rstrip("/"),
        endpoint.rstrip("/") if uri.startswith("s3://") else "",
        settings.s3_region,
        settings.s3_path_style,
        settings.s3_profile,
    )
