"""Numbers for a person to read."""

from __future__ import annotations

__all__ = ["size"]


def size(count: float) -> str:
    """Bytes with a decimal unit: ``812 B``, ``9.1 MB``, ``1.5 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
