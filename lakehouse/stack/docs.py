"""Where a page of the Data Docs is read."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from lakehouse.stack import process
from lakehouse.stack.state import load

__all__ = ["address"]


def address(state: Path, page: Path) -> str:
    """A page's address: at the docs service while that runs, else the file's own.

    Args:
        state: The state folder.
        page: A file below its ``docs``.
    """
    docs = load(state.absolute()).services.get("docs")
    if docs is None or not process.alive(docs):
        return page.absolute().as_uri()
    path = page.absolute().relative_to(state.absolute() / "docs").as_posix()
    return f"{docs.url.rstrip('/')}/{quote(path.removesuffix('index.html'))}"
