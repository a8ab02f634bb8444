"""Letters whose other case DuckDB and Spark see differently.

DuckDB maps each character to one character. Spark maps some to several (``ß`` to ``SS``), the last
sigma of a word to a letter of its own, and, with newer tables, some letters that had no other case.
"""

from __future__ import annotations

import functools
from itertools import chain

__all__ = ["SPACES", "Swap", "lower", "swaps"]

#: What DuckDB's trim takes away: the space separators of Unicode.
SPACES = " \u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u202f\u205f\u3000"

# Cased since Unicode 16 or 17, later than DuckDB's tables: they stay as they are.
_RECENT_LOWER = (
    *(0x19B, 0x264, 0x1C8A, 0xA7CD, 0xA7CF, 0xA7D3, 0xA7D5, 0xA7DB),
    *chain(range(0x10D70, 0x10D86), range(0x16EBB, 0x16ED4)),
)
_RECENT_UPPER = (
    *(0x1C89, 0xA7CB, 0xA7CC, 0xA7CE, 0xA7D2, 0xA7D4, 0xA7DA, 0xA7DC),
    *chain(range(0x10D50, 0x10D66), range(0x16EA0, 0x16EB9)),
)
_LOWERS = {"\u0130": "i", "Σ": "σ"}
# Private characters at the very end of Unicode hold the letters' places while the others change.
_PRIVATE = 0x10FF00

#: (letters, what stands for them meanwhile, what they become)
Swap = tuple[str, str, str]


@functools.cache
def swaps(*, upper: bool) -> Swap:
    """What ``upper`` or ``lower`` must not touch, and what becomes of it."""
    found = _uppers() if upper else dict(_LOWERS)
    found |= {chr(code): chr(code) for code in (_RECENT_LOWER if upper else _RECENT_UPPER)}
    meanwhile = "".join(chr(_PRIVATE + at) for at in range(len(found)))
    return "".join(found), meanwhile, "".join(found.values())


def _uppers() -> dict[str, str]:
    several = (c for c in map(chr, range(0x80, 0xFB20)) if len(c.upper()) > 1)
    return {c: _single(c) for c in several} | {"ß": "ẞ"}


def _single(letter: str) -> str:
    title = letter.title()
    return title if len(title) == 1 else letter


def lower(text: str) -> str:
    """Lower case letter by letter, as DuckDB's."""
    changed = text.translate({ord(letter): small for letter, small in _LOWERS.items()})
    return "".join(c.lower() for c in changed)
