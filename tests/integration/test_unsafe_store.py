"""Stores that let two writers of one key win: a commit could be lost there, so nothing is written.

The server of these tests keeps objects and speaks as much of S3 as the probe does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse
from xml.sax.saxutils import escape

import pytest
from shop import Shop

from lakehouse.errors import UnsafeStoreError
from lakehouse.storage import Storage

pytestmark = pytest.mark.s3

#: Whether a PUT with If-None-Match wins, by the key and the objects that there are.
Promise = Callable[["Store", str], bool]
_LIST = (
    '<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>{}</ListBucketResult>'
)
_ENTRY = (
    "<Contents><Key>{}</Key><Size>{}</Size><ETag>e</ETag>"
    "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
)


class Store(ThreadingHTTPServer):
    """Objects in memory, on loopback.

    Args:
        promise: What it makes of If-None-Match.
    """

    daemon_threads = False

    def __init__(self, promise: Promise) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.promise, self.objects = promise, dict[str, bytes]()
        self.conditional: list[str] = []
        self.taken: set[str] = set()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Request(BaseHTTPRequestHandler):
    server: Store
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        """Nobody reads it."""

    def answer(self, status: int, body: bytes = b"", length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("ETag", '"e"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    @property
    def key(self) -> str:
        return unquote(urlparse(self.path).path).partition("/lake/")[2]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "If-None-Match" in self.headers:
            self.server.conditional.append(self.key)
            if not self.server.promise(self.server, self.key):
                self.answer(412)
                return
        self.server.objects[self.key] = body
        self.answer(200)

    def do_HEAD(self) -> None:
        found = self.server.objects.get(self.key)
        self.answer(404) if found is None else self.answer(200, length=len(found))

    def do_GET(self) -> None:
        asked = parse_qs(urlparse(self.path).query)
        prefix = asked.get("prefix", [""])[0]
        found = {k: v for k, v in self.server.objects.items() if k.startswith(prefix)}
        entries = (_ENTRY.format(escape(key), len(body)) for key, body in found.items())
        self.answer(200, _LIST.format("".join(entries)).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, b"<DeleteResult/>")


def ignores(store: Store, key: str) -> bool:
    """As a store that does not know the header: each writer wins."""
    return True


def refuses(store: Store, key: str) -> bool:
    """As a store that never lets a conditional PUT through."""
    return False


def holds(store: Store, key: str) -> bool:
    """As a store should: the first writer wins."""
    with store.lock:
        taken = key in store.taken
        store.taken.add(key)
        return not taken


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")


@pytest.fixture
def store(request: pytest.FixtureRequest, keys: None) -> Iterator[Store]:
    with Store(request.param) as made:
        serving = threading.Thread(target=made.serve_forever)
        serving.start()
        try:
            yield made
        finally:
            made.shutdown()
            serving.join()


@pytest.mark.parametrize("engine", ["local", "spark"])
@pytest.mark.parametrize(("store", "won"), [(ignores, 8), (refuses, 0)], indirect=["store"])
def test_nothing_is_written(tmp_path: Path, store: Store, won: int, engine: str) -> None:
    landing = (tmp_path / "landing").as_uri()
    shop = Shop(tmp_path, uri="s3://lake/here", landing=landing, s3_endpoint=store.url)
    shop.open_for_business()
    with pytest.raises(UnsafeStoreError, match=f"{won} of 8") as raised:
        shop.build("bronze.orders", engine=engine)
    assert "If-None-Match" in raised.value.remedy
    assert len(store.conditional) == 8
    assert not [key for key in store.objects if not key.startswith("here/ops/probe/")]


@pytest.mark.parametrize("store", [holds], indirect=True)
def test_a_store_that_keeps_its_word_is_taken(store: Store) -> None:
    place = Storage("s3://lake/here", store.url)
    place.probe()
    assert len(store.conditional) == 8
    assert "here/ops/probe/conditional-put" in store.objects
    place.probe()
    assert len(store.conditional) == 8
