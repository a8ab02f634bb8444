"""The SQL of a table: a subset of DuckDB's dialect that means the same on every engine.

Pure: text in, values out. :func:`parse` reads one SELECT, :func:`lint` refuses what would mean
something else elsewhere, :func:`lineage` tells where columns come from, :func:`select` renders it
for an engine.
"""

from __future__ import annotations

from lakehouse.sql.finding import Finding
from lakehouse.sql.lineage import lineage
from lakehouse.sql.lint import lint
from lakehouse.sql.query import KERNEL_MEANING, Query, parse
from lakehouse.sql.regex import problem as pattern_problem
from lakehouse.sql.render import MACROS, Dialect, expression, select
from lakehouse.sql.resolve import Input, visible
from lakehouse.sql.words import WORDS

__all__ = [
    "KERNEL_MEANING",
    "MACROS",
    "WORDS",
    "Dialect",
    "Finding",
    "Input",
    "Query",
    "expression",
    "lineage",
    "lint",
    "parse",
    "pattern_problem",
    "select",
    "visible",
]
