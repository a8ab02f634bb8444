"""A new domain that builds and trains at once, on a small sample of its own."""

from __future__ import annotations

import importlib.resources
import re
from importlib.resources.abc import Traversable
from pathlib import Path

from lakehouse.errors import CatalogError
from lakehouse.sql import WORDS

__all__ = ["MODEL", "check_name", "scaffold"]

#: The model that a new domain declares.
MODEL = "returns"

#: Folders of the lake that are no domains.
_RESERVED = frozenset(["ops", "landing", "bronze", "silver", "gold", "models", "main", "temp"])
_DOMAIN = "__domain__"


def check_name(kind: str, name: str) -> None:
    """See that a domain or table can be named so, in SQL and in paths.

    Args:
        kind: ``domain`` or ``table``, for the message.
        name: Its name.

    Raises:
        CatalogError: It cannot.
    """
    good = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not good[:1].isalpha() or good in _RESERVED | WORDS:
        good = f"my_{good}".rstrip("_")
    found = None
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        found = "not lower-case letters, digits and _, beginning with a letter"
    elif name in _RESERVED | WORDS:
        found = f"{name!r} has a meaning of its own"
    if found:
        raise CatalogError(f"name a {kind} {name!r}", found, f"for example {good!r}")


def scaffold(domains: Path, name: str) -> tuple[Path, ...]:
    """Write a domain with a sample, three tables and a model.

    Args:
        domains: The folder of the domains.
        name: The new domain.

    Returns:
        The files written.

    Raises:
        CatalogError: The name cannot be used, or there is something already.
    """
    check_name("domain", name)
    folder = domains / name
    if folder.exists():
        raise CatalogError(
            f"make the domain {name!r}", f"there is {folder}", "choose another name, or delete it"
        )
    written = []
    for template, path in _files(importlib.resources.files(__name__) / "templates", Path()):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(template.replace(_DOMAIN, name), encoding="utf-8")
        written.append(file)
    return tuple(sorted(written))


def _files(folder: Traversable, path: Path) -> list[tuple[str, Path]]:
    found: list[tuple[str, Path]] = []
    for one in sorted(folder.iterdir(), key=lambda f: f.name):
        if one.is_dir():
            found += _files(one, path / one.name) if not one.name.startswith("__") else []
        elif one.name.endswith(".template"):
            text = one.read_text(encoding="utf-8")
            found.append((text, path / one.name.removesuffix(".template")))
    return found
