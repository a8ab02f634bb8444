"""A proxy in front of an HTTP server on loopback that answers by rule as a bad network would.

Every request is a connection of its own (``Connection: close``), so that a rule can look at
its method and path; bodies are passed on as they come. With one seed, and requests in the same
order, the same requests are hit.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

__all__ = ["FAULTS", "FaultProxy", "Rule"]

#: What a rule can do to a request; ``cut`` is a truncated body on the way up.
FAULTS = ("500", "503", "slow", "stall", "reset", "truncated", "cut", "lost")
_ERROR = (
    "HTTP/1.1 {status} Fault\r\nContent-Type: application/xml\r\nContent-Length: {size}\r\n"
    "Connection: close\r\n\r\n{body}"
)
_BODY = "<Error><Code>{code}</Code><Message>a fault of the test</Message></Error>"
_CODES = {"500": "InternalError", "503": "SlowDown"}


@dataclass
class Rule:
    """One fault.

    Args:
        fault: One of :data:`FAULTS`.
        method: The whole method, as a pattern.
        path: Found in the path with its query, as a pattern.
        times: How often it strikes at most; None: always.
        chance: How likely it strikes where it may.
        seconds: How long ``slow`` waits before it passes a request on.
    """

    fault: str
    method: str = "GET|PUT|POST|HEAD|DELETE"
    path: str = ""
    times: int | None = None
    chance: float = 1.0
    seconds: float = 1.0
    struck: list[str] = field(default_factory=list)

    def takes(self, method: str, path: str, chance: random.Random) -> bool:
        """Whether it strikes this request."""
        if not re.fullmatch(self.method, method) or not re.search(self.path, path):
            return False
        if self.times is not None and len(self.struck) >= self.times:
            return False
        if self.chance < 1 and chance.random() >= self.chance:
            return False
        self.struck.append(f"{method} {path}")
        return True


class FaultProxy:
    """Forwards to a server; the first rule that takes a request decides what becomes of it.

    Args:
        port: The server's port on 127.0.0.1.
        rules: May be changed while it runs.
        seed: For rules with a chance.
    """

    def __init__(self, port: int, rules: Sequence[Rule] = (), seed: int = 0) -> None:
        self.port, self.rules, self.chance = port, list(rules), random.Random(seed)
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @contextlib.contextmanager
    def under(self, *rules: Rule) -> Iterator[None]:
        """With these rules for a while."""
        self.rules, before = [*rules, *self.rules], self.rules
        try:
            yield
        finally:
            self.rules = before

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._client, sock=self._listener)
        self._started.set()
        await self._end.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._request(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        rule = next((r for r in self.rules if r.takes(method, path, self.chance)), None)
        fault = rule.fault if rule else ""
        if fault in _CODES:
            body = "" if method == "HEAD" else _BODY.format(code=_CODES[fault])
            writer.write(_ERROR.format(status=fault, size=len(body), body=body).encode())
            await writer.drain()
            # Closed with unread bytes the answer would be lost in a reset.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(_drain(reader), 0.5)
            return
        if fault == "stall":
            await _drain(reader)
            await self._end.wait()
        if rule and fault == "slow":
            await asyncio.sleep(rule.seconds)
        if fault == "reset":
            _reset(writer)
        else:
            await self._forward(head, reader, writer, fault)

    async def _forward(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: str
    ) -> None:
        server_reader, server = await asyncio.open_connection("127.0.0.1", self.port)
        lines = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head[:-4])
        server.write(lines + b"\r\nConnection: close\r\n\r\n")
        length = _length(head)
        up = asyncio.create_task(
            _copy(reader, server, length // 2 if fault == "cut" and length else None)
        )
        try:
            while True:
                answer = await server_reader.readuntil(b"\r\n\r\n")
                if b" 100 " not in answer.split(b"\r\n", 1)[0]:
                    break
                writer.write(answer)
            # The server has answered, so it has done what was asked.
            if fault in ("lost", "cut"):
                return _reset(writer)
            writer.write(answer)
            size = _length(answer)
            await _copy(server_reader, writer, size // 2 if fault == "truncated" and size else None)
            if fault == "truncated":
                _reset(writer)
        except asyncio.IncompleteReadError:
            _reset(writer)
        finally:
            up.cancel()
            await asyncio.gather(up, return_exceptions=True)
            server.close()


async def _drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 16):
        pass


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None
) -> None:
    """Pass on until the end, or ``limit`` bytes, after which the other side is hung up on."""
    left = limit if limit is not None else 1 << 62
    while left > 0 and (data := await reader.read(min(left, 1 << 16))):
        left -= len(data)
        writer.write(data)
        await writer.drain()
    if limit is not None:
        writer.close()


def _length(head: bytes) -> int:
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return int(found[1]) if found else 0


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection as a crashed peer does, with RST."""
    held = writer.get_extra_info("socket")
    if held is not None:
        with contextlib.suppress(OSError):
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
