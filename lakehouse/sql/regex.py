r"""Regular expressions: what RE2 (DuckDB) and Java (Spark) read alike, and how Java must write it.

>>> java("^a.c$")
'^a[^\\n]c\\z'
>>> problem(r"\w+")
'\\w reads differently in RE2 and Java'
"""

from __future__ import annotations

import re

__all__ = ["java", "matches_nothing", "problem"]

_TOKEN = re.compile(
    r"(?P<escape>\\.?)|(?P<set>\[\^?\]?(?:\\.|[^\]\\])*\]?)|(?P<brace>\{[^}]*\}?)"
    r"|(?P<group>\(\?)|(?P<possessive>[*+?}]\+)|(?P<other>.)",
    re.DOTALL,
)
_ESCAPES = re.compile(r"\\[dDtnrf]|\\[^A-Za-z0-9\s]")
_COUNT = re.compile(r"\{[0-9]{1,3}(?:,(?:[0-9]{1,3})?)?\}")


def problem(pattern: str) -> str | None:
    """Why a pattern does not mean the same on every engine; None when it does."""
    for token in _TOKEN.finditer(pattern):
        if _odd(token, pattern):
            return f"{token[0]} reads differently in RE2 and Java"
    try:
        re.compile(pattern)
    except re.error as error:
        return f"no pattern: {error}"
    return None


def _odd(token: re.Match[str], pattern: str) -> bool:
    text = token[0]
    match token.lastgroup:
        case "escape":
            return not _ESCAPES.fullmatch(text)
        case "set":
            return _odd_set(text)
        case "brace":
            return not _COUNT.fullmatch(text) or pattern.startswith("+", token.end())
    return token.lastgroup in ("group", "possessive")


def _odd_set(text: str) -> bool:
    inner = text[1:-1]
    escapes = re.findall(r"\\.", inner, re.DOTALL)
    plain = re.sub(r"\\.", "", inner, flags=re.DOTALL)
    return (
        "[" in plain or "&&" in plain or not all(_ESCAPES.fullmatch(escape) for escape in escapes)
    )


def matches_nothing(pattern: str) -> bool:
    """Whether a pattern may match no characters: such matches are counted differently."""
    return re.compile(pattern).fullmatch("") is not None


def java(pattern: str) -> str:
    r"""The pattern with Java's words for what RE2 means.

    Java's ``$`` also matches before a last line feed, and its ``.`` leaves out more than the line
    feed; ``\z`` and ``[^\n]`` do not.
    """
    return _TOKEN.sub(_java, pattern)


def _java(token: re.Match[str]) -> str:
    return {"$": r"\z", ".": r"[^\n]"}.get(token[0], token[0])
