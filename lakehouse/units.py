"""Numbers for a person to read."""

from __future__ import annotations

__all__ = ["counted", "size"]


def counted(n: int, noun: str) -> str:
    """A number and what it counts: ``1 table``, ``1,200 tables``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def size(count: float) -> str:
    """Bytes with a decimal unit: ``812 B``, ``9.1 MB``, ``1.5 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
