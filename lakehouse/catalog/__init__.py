"""The folder is the catalog: a domain's tables, what each reads, and their order.

``jobs/flights/silver/weather.sql`` beside ``weather.yaml`` is the table
``flights.silver.weather``; so is ``weather.py``, where SQL does not do. A bronze table is a
contract alone.
"""

from __future__ import annotations

from lakehouse.catalog.folder import LAYERS, folders, lint, load, load_all, unevaluated
from lakehouse.catalog.relationships import narrow_references
from lakehouse.catalog.table import FUNCTION, Domain, Table, find, sql_inputs

__all__ = [
    "FUNCTION",
    "LAYERS",
    "Domain",
    "Table",
    "find",
    "folders",
    "lint",
    "load",
    "load_all",
    "narrow_references",
    "sql_inputs",
    "unevaluated",
]
