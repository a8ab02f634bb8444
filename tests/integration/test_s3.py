"""The same on the embedded S3 server, and what only a network can do to a commit."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

import pytest
import tls
from model_store import ModelStore
from shop import Shop

from lakehouse.errors import ModelError, StorageError, UnsafeStoreError, UntrustedModelError
from lakehouse.settings import Settings
from lakehouse.storage import Storage, connect

pytestmark = pytest.mark.s3

_COMMIT = re.compile(rb"PUT /\S+/silver/orders/_delta_log/\d+\.json")


@pytest.fixture
def keys(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, s3[name])
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    return s3


@pytest.fixture
def place(keys: dict[str, str]) -> str:
    bucket = urlparse(keys["LAKE_URI"]).netloc
    return f"s3://{bucket}/{uuid.uuid4().hex}"


def opened(root: Path, place: str, endpoint: str) -> Shop:
    return Shop(root, uri=place, s3_endpoint=endpoint)


@pytest.fixture
def shop(tmp_path: Path, place: str, keys: dict[str, str]) -> Shop:
    return opened(tmp_path, place, keys["LAKE_S3_ENDPOINT"])


class Proxy:
    """Forwards to the server; drops the reply of commits to ``silver.orders``.

    Args:
        port: The server's port on loopback.
        drop: How many replies to drop.
    """

    def __init__(self, port: int, drop: int) -> None:
        self.port, self.left, self.dropped = port, drop, 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()
        self.open: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def close(self) -> None:
        # A thread that waits in accept() is not woken by close() alone.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for one in self.open:
            _hang_up(one)
        for thread in self.threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port))
            self.open += [client, server]
            silent = threading.Event()
            for one in (
                threading.Thread(target=self._up, args=(client, server, silent)),
                threading.Thread(target=self._down, args=(server, client, silent)),
            ):
                self.threads.append(one)
                one.start()

    def _up(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        while data := _received(client):
            if _COMMIT.match(data):
                with self.lock:
                    if self.left:
                        self.left -= 1
                        silent.set()
            server.sendall(data)
        _hang_up(server)

    def _down(self, server: socket.socket, client: socket.socket, silent: threading.Event) -> None:
        while data := _received(server):
            if silent.is_set() and not data.startswith(b"HTTP/1.1 100"):
                # The server has answered, so it has done what was asked.
                self.dropped += 1
                break
            try:
                client.sendall(data)
            except OSError:
                break
        _hang_up(client)


def _received(one: socket.socket) -> bytes:
    try:
        return one.recv(1 << 16)
    except OSError:
        return b""


def _hang_up(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@pytest.fixture(params=[1, 2], ids=["creation", "creation-and-commit"])
def proxy(request: pytest.FixtureRequest, keys: dict[str, str]) -> Iterator[Proxy]:
    port = urlparse(keys["LAKE_S3_ENDPOINT"]).port
    assert port is not None
    made = Proxy(port, request.param)
    try:
        yield made
    finally:
        made.close()


def test_a_lake_on_s3_has_the_rows_of_one_on_files(
    shop: Shop, tmp_path_factory: pytest.TempPathFactory
) -> None:
    local = Shop(tmp_path_factory.mktemp("local"))
    for one in (shop, local):
        one.open_for_business()
        one.sales("odd", ("s3", "A B"), ("s4", "50%"), ("s5", "é/ü"), ("s6", "x=y"))
        one.build()
        assert one.todo() == {}
        one.build("silver.sales", force=True)
        one.orders("late", ("a9", "ann", 4, "2026-01-06"))
        one.build()
        assert one.todo() == {}
    assert shop.everything() == local.everything()
    before = shop.versions()
    shop.build()
    assert shop.versions() == before


def test_landing_files_on_s3(shop: Shop, place: str, keys: dict[str, str]) -> None:
    shop.open_for_business()
    landing = f"{place}/landing"
    there = connect(shop.settings, landing)
    there.fsspec().put(str(shop.landing), f"{there.root}/shop", recursive=True)
    moved = Shop(shop.root, uri=place, landing=landing, s3_endpoint=keys["LAKE_S3_ENDPOINT"])
    moved.build("gold.daily")
    assert moved.rows("SELECT count(*) FROM silver.orders") == [(4,)]
    assert moved.todo("gold.daily") == {}


def test_a_lost_reply_is_one_commit(
    tmp_path: Path, place: str, proxy: Proxy, keys: dict[str, str]
) -> None:
    drops = proxy.left
    direct = opened(tmp_path, place, keys["LAKE_S3_ENDPOINT"])
    direct.open_for_business()
    direct.build("bronze.orders")
    through = opened(tmp_path, place, proxy.url)
    (done,) = through.build("silver.orders").changed
    assert (proxy.left, proxy.dropped) == (0, drops)
    assert done.partitions == 2
    assert direct.rows("SELECT order_id FROM silver.orders ORDER BY 1") == [
        ("a1",),
        ("a2",),
        ("b1",),
        ("b2",),
    ]
    snapshot = direct.snapshot("silver.orders")
    # The table's creation, and one commit with both months.
    assert (snapshot.version, len(snapshot.files)) == (1, 2)
    assert direct.todo("silver.orders") == {}


@pytest.mark.parametrize("proxy", [1], indirect=True)
def test_a_lost_reply_on_a_live_table_doubles_nothing(
    tmp_path: Path, place: str, proxy: Proxy, keys: dict[str, str]
) -> None:
    direct = opened(tmp_path, place, keys["LAKE_S3_ENDPOINT"])
    direct.open_for_business()
    direct.build("silver.orders")
    direct.orders("late", ("a9", "ann", 4, "2026-01-06"))
    direct.build("bronze.orders")
    through = opened(tmp_path, place, proxy.url)
    (done,) = through.build("silver.orders").changed
    assert (proxy.left, proxy.dropped, done.version) == (0, 1, 2)
    assert direct.live("silver.orders") == [("2026-01-01", 3), ("2026-02-01", 2)]
    assert direct.snapshot("silver.orders").version == 2
    assert direct.todo("silver.orders") == {}


def test_a_server_with_a_certificate_of_the_site_s_own(
    tmp_path: Path, place: str, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted, port = tls.authority(tmp_path), urlparse(keys["LAKE_S3_ENDPOINT"]).port
    assert port is not None
    with tls.door(port, tmp_path / "server.pem") as endpoint:
        shop = opened(tmp_path / "shop", place, endpoint)
        shop.open_for_business()
        with pytest.raises(StorageError, match="certificate") as raised:
            shop.build("silver.orders")
        assert "SSL_CERT_FILE" in raised.value.remedy
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        shop.build("silver.orders")
        assert shop.rows("SELECT count(*) FROM silver.orders") == [(4,)]
        assert shop.todo("silver.orders") == {}


def test_a_server_that_is_away_is_named(tmp_path: Path, place: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    shop = opened(tmp_path, place, f"http://127.0.0.1:{port}")
    shop.open_for_business()
    with pytest.raises(StorageError, match="open s3://") as raised:
        shop.build("bronze.orders")
    assert "LAKE_S3_ENDPOINT" in raised.value.remedy
    assert "\x1b" not in raised.value.found
    assert "refused" in raised.value.found


def test_a_store_that_lets_two_win_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Storage, "_race", lambda self, key: (self.fsspec().pipe_file(key, b"x"), 2)[1]
    )
    shop.open_for_business()
    with pytest.raises(UnsafeStoreError, match="2 of 8"):
        shop.build("bronze.orders")


def test_no_key_is_shown(shop: Shop, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    secret = keys["AWS_SECRET_ACCESS_KEY"]
    lake = shop.lake()
    shown = [repr(lake), repr(lake.storage), str(lake.storage), repr(shop.session())]
    shown += [repr(Settings(_env_file=None, signing_key=secret))]  # type: ignore[call-arg]
    wrong = "wrong-" + uuid.uuid4().hex
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", wrong)
    with pytest.raises(StorageError) as raised:
        Storage(lake.storage.uri, lake.storage.endpoint).ensure()
    shown += [str(raised.value), repr(raised.value), str(raised.value.to_json())]
    assert not [text for text in shown if secret in text or wrong in text]


def test_models_whose_artifacts_are_on_s3(
    keys: dict[str, str], place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's clients speak to the store themselves: fetched, changed, gone and out of reach."""
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", keys["LAKE_S3_ENDPOINT"])
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = ModelStore.at(tmp_path)
    store.client().create_experiment("toys", f"{place}/mlartifacts")
    store.register("toy")
    stored = store.registry.fetch("toy", 1)
    assert (stored.file, len(store.registry.load("toy", 1).classes_)) == ("model.skops", 2)

    bucket = connect(Settings(_env_file=None, s3_endpoint=keys["LAKE_S3_ENDPOINT"]), place).fsspec()
    (file,) = (one for one in bucket.find(f"{place}/mlartifacts") if one.endswith(stored.file))
    bucket.pipe(file, stored.data[:-1] + b"x")
    with pytest.raises(UntrustedModelError, match="its signature does not fit"):
        store.registry.fetch("toy", 1)
    bucket.rm(file)
    with pytest.raises(ModelError, match=r"model\.skops is not in s3://"):
        store.registry.fetch("toy", 1)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(StorageError, match="load toy version 1"):
        store.registry.fetch("toy", 1)
