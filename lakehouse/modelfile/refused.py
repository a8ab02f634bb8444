"""Why a file is refused."""

from __future__ import annotations

__all__ = ["RefusedFile"]


class RefusedFile(Exception):
    """A stored model is refused; its text says why. It becomes an ``UntrustedModelError``."""
