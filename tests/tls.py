"""A server's TLS: an authority of its own, and a door that speaks https before one that does not."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["authority", "door"]

_DAY = dt.timedelta(days=1)


def authority(folder: Path) -> Path:
    """Make an authority that nobody trusts yet, and by it a certificate for 127.0.0.1.

    Returns:
        The authority's certificate, ``ca.pem``; the server's, with its key, is ``server.pem``.
    """
    own, servers = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of a site's own")])
    begun = _certificate(name, name, own).add_extension(x509.BasicConstraints(True, None), True)
    host = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "s3")])
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    served = _certificate(host, name, servers).add_extension(
        x509.SubjectAlternativeName([loopback]), False
    )
    pem, key_form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    trusted = folder / "ca.pem"
    trusted.write_bytes(begun.sign(own, hashes.SHA256()).public_bytes(pem))
    (folder / "server.pem").write_bytes(
        servers.private_bytes(pem, key_form, serialization.NoEncryption())
        + served.sign(own, hashes.SHA256()).public_bytes(pem)
    )
    return trusted


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
    )


@contextlib.contextmanager
def door(port: int, certificate: Path) -> Iterator[str]:
    """An https address on loopback before a plain server's port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    loop = asyncio.new_event_loop()
    # Those who do not trust us hang up: that is no news.
    loop.set_exception_handler(lambda *_: None)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(_pass_on(reader, to_server), _pass_on(from_server, writer))
        finally:
            to_server.transport.abort()
            writer.transport.abort()

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(_close(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _close(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for one in others:
        one.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0.1)  # connections are lost in the loop's next rounds


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
