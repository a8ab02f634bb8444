"""How an entity and its prediction are named, the same wherever predictions are joined."""

from __future__ import annotations

from collections.abc import Sequence

from lakehouse.audit import literal, quote

__all__ = ["entity_sql", "prediction_sql"]


def entity_sql(key: Sequence[str]) -> str:
    """The DuckDB expression of ``entity``: a JSON list of the key's values as text.

    Args:
        key: The key's columns, in the declaration's order. Times among them are written in the
            session's time zone, which must be UTC.
    """
    values = ", ".join(f"CAST({quote(column)} AS VARCHAR)" for column in key)
    return f"CAST(json_array({values}) AS VARCHAR)"


def prediction_sql(domain: str, model: str, version: int, entity: str) -> str:
    """The DuckDB expression of ``prediction``: a digest of what was predicted, and by whom.

    Args:
        domain: The domain's name.
        model: The model's name.
        version: The registered version.
        entity: The expression, or the column, of the entity.
    """
    return f"md5({literal(f'{domain} {model} {version} ')} || {entity})"
