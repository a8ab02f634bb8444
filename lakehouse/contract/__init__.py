"""The contract of a table: Open Data Contract Standard v3 and our strict part of it.

Pure: a contract is read from text and is a value. What decides a rebuild
(columns, types, keys, row rules) is hashed into :attr:`Contract.id`; what only
describes (owners, descriptions, SLAs, table rules) is not.
"""

from __future__ import annotations

from lakehouse.contract.model import (
    LANDED_COLUMNS,
    QUARANTINED_SHARE,
    TYPES,
    Column,
    ColumnPolicy,
    Contract,
    Partition,
    Properties,
    Read,
    Retention,
    Rows,
    Rule,
    Source,
    Waiver,
    digest,
)
from lakehouse.contract.parser import parse
from lakehouse.contract.relationships import FOREIGN_KEY, Reference, reference
from lakehouse.contract.rules import ROW_RULES, TABLE_RULES

__all__ = [
    "FOREIGN_KEY",
    "LANDED_COLUMNS",
    "QUARANTINED_SHARE",
    "ROW_RULES",
    "TABLE_RULES",
    "TYPES",
    "Column",
    "ColumnPolicy",
    "Contract",
    "Partition",
    "Properties",
    "Read",
    "Reference",
    "Retention",
    "Rows",
    "Rule",
    "Source",
    "Waiver",
    "digest",
    "parse",
    "reference",
]
