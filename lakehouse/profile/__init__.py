"""What a version of a table holds: its columns measured, and a page that shows it.

:func:`measure` reads the live files of one version with DuckDB. :func:`page` makes one
HTML document that needs nothing else: no script, no style sheet, no picture from
anywhere. Columns that a contract classifies as more than ``internal`` are counted,
and none of their values leaves this room.
"""

from __future__ import annotations

from pathlib import Path

from lakehouse.build import Lake
from lakehouse.catalog import Table
from lakehouse.profile.measure import Bar, ColumnProfile, Profile, measure
from lakehouse.profile.page import page

__all__ = ["Bar", "ColumnProfile", "Profile", "latest", "measure", "page", "write"]


def write(lake: Lake, made: Profile) -> Path:
    """Write the page below ``<state>/docs``, which the stack's docs service shows.

    Args:
        lake: The lake.
        made: The profile; its page replaces an older one of the same version.

    Returns:
        The page's path.
    """
    file = _folder(lake.settings.state, made.table) / f"version-{made.version}.html"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page(made), encoding="utf-8")
    return file


def latest(state: Path, table: Table) -> Path | None:
    """The page of the newest version that was profiled, if there is one."""
    pages = _folder(state, table.name).glob("version-*.html")
    return max(pages, key=lambda page: int(page.stem.partition("-")[2]), default=None)


def _folder(state: Path, table: str) -> Path:
    return state.joinpath("docs", "profile", *table.split("."))
