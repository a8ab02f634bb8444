"""Docstrings as Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence

__all__ = ["code", "described", "entries", "marked", "table"]


def described(thing: type, section: str = "Attributes") -> dict[str, str]:
    """Name → text of one section of a Google docstring, of the class and of our bases of it."""
    found: dict[str, str] = {}
    for kind in (k for k in reversed(thing.__mro__) if k.__module__.startswith("lakehouse")):
        found |= entries(inspect.cleandoc(kind.__dict__.get("__doc__") or ""), section)
    return found


def entries(doc: str, section: str) -> dict[str, str]:
    """The entries of one section of a docstring."""
    found: dict[str, str] = {}
    inside, name = False, ""
    for line in doc.splitlines():
        if line and not line.startswith(" "):
            inside = line == f"{section}:"
        elif inside and (entry := re.match(r"    (\w+): (.*)", line)):
            name = entry[1]
            found[name] = entry[2]
        elif inside and name and line.startswith("        "):
            found[name] += " " + line.strip()
    return found


def marked(text: str) -> str:
    """Docstring markup as Markdown."""
    text = re.sub(r":\w+:`[~.]?([^`]+)`", r"`\1`", text)
    return text.replace("``", "`").replace("|", "\\|")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def code(text: object) -> str:
    """Inline code that may stand in a table."""
    told = str(text).replace("|", "\\|").replace("\n", " ")
    return f"`{told}`" if told else ""
