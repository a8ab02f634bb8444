"""The key with which stored models are signed."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from lakehouse.errors import ModelError

__all__ = ["SigningKey"]


@dataclass(frozen=True)
class SigningKey:
    """The secret with which models are signed; it never shows in a repr.

    Attributes:
        secret: Signs, and checks.
        former: Secrets that only check what was signed by them before.
    """

    secret: bytes
    former: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        shortest = min(map(len, (self.secret, *self.former)))
        if shortest < 16:
            found = f"a signing key of {shortest} bytes"
            remedy = (
                "make LAKE_SIGNING_KEY at least 16 bytes long, or delete the key file: a new one "
                "is made (models signed before must be trained again)"
            )
            raise ModelError("sign models", found, remedy)

    def __repr__(self) -> str:
        return "SigningKey(***)"

    @classmethod
    def of(cls, text: bytes) -> SigningKey:
        """The key of a text: its first line signs, the others check what was signed before.

        Raises:
            ModelError: One of them is too short.
        """
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return cls(lines[0] if lines else b"", tuple(lines[1:]))

    @classmethod
    def at(cls, folder: Path) -> SigningKey:
        """The key of a folder (mode 0700), made once (mode 0600).

        Raises:
            ModelError: Others may read the key file.
        """
        file = folder / "models.key"
        if not file.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_once(file, secrets.token_hex(32).encode())
        if os.name == "posix" and file.stat().st_mode & 0o077:
            found = f"others may read it (mode {file.stat().st_mode & 0o777:o})"
            raise ModelError("sign models", found, f"chmod 600 '{file}'", file=str(file))
        return cls.of(file.read_bytes())

    def sign(self, message: bytes) -> str:
        """HMAC-SHA256 of the message, in hex."""
        return _hmac(self.secret, message)

    def fits(self, message: bytes, signature: str) -> bool:
        """Whether one of our secrets signed the message; it takes the same time either way."""
        given = signature.encode()
        fitting = [
            hmac.compare_digest(_hmac(secret, message).encode(), given)
            for secret in (self.secret, *self.former)
        ]
        return any(fitting)


def _hmac(secret: bytes, message: bytes) -> str:
    return hmac.new(secret, b"lakehouse model\0" + message, hashlib.sha256).hexdigest()


def _write_once(file: Path, content: bytes) -> None:
    """Make a file with mode 0600; the first of several writers wins, none sees a part of it."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
