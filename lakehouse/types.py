"""The types a column may have, in the words of Arrow and of Delta."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType

import pyarrow as pa

from lakehouse.errors import ContractError

__all__ = ["ARROW_TYPES", "DELTA_TYPES", "arrow", "delta"]

#: DuckDB's name → the Arrow type in which values travel and are written.
ARROW_TYPES: Mapping[str, pa.DataType] = MappingProxyType(
    {
        "VARCHAR": pa.string(),
        "INTEGER": pa.int32(),
        "BIGINT": pa.int64(),
        "DOUBLE": pa.float64(),
        "BOOLEAN": pa.bool_(),
        "DATE": pa.date32(),
        "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
    }
)

#: DuckDB's name → the name of the primitive type in a Delta table's schema.
DELTA_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "VARCHAR": "string",
        "INTEGER": "integer",
        "BIGINT": "long",
        "DOUBLE": "double",
        "BOOLEAN": "boolean",
        "DATE": "date",
        "TIMESTAMPTZ": "timestamp",
    }
)


def arrow(duckdb_type: str) -> pa.DataType:
    """The Arrow type of a column.

    Raises:
        ContractError: The type is none a contract may name.
    """
    return ARROW_TYPES[_known(duckdb_type)]


def delta(duckdb_type: str) -> str:
    """The Delta type of a column.

    Raises:
        ContractError: The type is none a contract may name.
    """
    return DELTA_TYPES[_known(duckdb_type)]


@functools.cache
def _known(duckdb_type: str) -> str:
    if duckdb_type not in ARROW_TYPES:
        raise ContractError(
            f"use a column of type {duckdb_type}",
            "a type without one meaning on every engine",
            f"use one of {', '.join(ARROW_TYPES)}",
        )
    return duckdb_type
