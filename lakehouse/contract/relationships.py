"""A contract's relationships, in the form of the standard: foreign keys, each a row rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lakehouse.contract.model import Rule
from lakehouse.strictyaml import did_you_mean

__all__ = ["FOREIGN_KEY", "Reference", "foreign_key", "reference", "wrong_relationship"]

#: The standard's only type of a relationship, and the type of the rule that it is.
FOREIGN_KEY = "foreignKey"
_MOSTLY = "mostly"
_TO = "write 'to: <layer>.<table>.<column>', for example silver.airlines.carrier"


@dataclass(frozen=True)
class Reference:
    """What a foreign key refers to.

    Attributes:
        table: The other table's short name.
        columns: Its columns, in the order of the rule's own.
    """

    table: str
    columns: tuple[str, ...]


def foreign_key(entry: Mapping[str, Any], column: str | None) -> Rule:
    """One relationship that :func:`wrong_relationship` has nothing against.

    Args:
        entry: As written.
        column: The column it stands at, None for the table.
    """
    own: dict[str, Any] = (
        {"column": column} if column else {"column_list": [_last(name) for name in entry["from"]]}
    )
    share = {one["property"]: one["value"] for one in entry.get("customProperties") or ()}
    mostly = float(share.get(_MOSTLY, 1.0))
    return Rule(entry["id"], FOREIGN_KEY, {**own, "to": entry["to"]}, mostly, "row")


def reference(one: Rule) -> Reference | None:
    """The table and columns that a rule refers to; None of any rule but a foreign key."""
    if one.type != FOREIGN_KEY:
        return None
    to = one.kwargs["to"]
    names = [to] if isinstance(to, str) else list(to)
    return Reference(names[0].rpartition(".")[0], tuple(map(_last, names)))


def wrong_relationship(
    entry: Mapping[str, Any], table: str, column: str | None
) -> Iterator[tuple[str, str]]:
    """(found, remedy) where an entry of the standard's form says too little or too much.

    Args:
        entry: As written.
        table: The contract's own table.
        column: The column it stands at, None for the table.
    """
    yield from _wrong_side(entry, table, column)
    known: list[str] = []
    for one in entry.get("customProperties") or ():
        name, value = one.get("property"), one.get("value")
        if name != _MOSTLY:
            yield f"unknown property {name!r}", did_you_mean(str(name), [_MOSTLY])
        elif name in known:
            yield f"{name} twice", "keep one of the two"
        elif not _is_share(value):
            yield f"mostly {value!r}", "write a share above 0 and at most 1"
        known.append(str(name))


def _wrong_side(
    entry: Mapping[str, Any], table: str, column: str | None
) -> Iterator[tuple[str, str]]:
    to, own = entry["to"], entry.get("from")
    if column is not None and not isinstance(to, str):
        yield "several columns in 'to'", "write it at the table, with 'from' and 'to' as lists"
        return
    if column is None and (isinstance(own, str) or len(own or ()) < 2):
        name = _last(own if isinstance(own, str) else own[0]) if own else "<name>"
        yield "a relationship of one column", f"write it at the column {name}, without 'from'"
        return
    names = [to] if isinstance(to, str) else list(to)
    for name in names:
        if name.count(".") != 2:
            yield f"it refers to {name!r}", _TO
            return
    if len({name.rpartition(".")[0] for name in names}) > 1:
        yield f"it refers to several tables: {', '.join(names)}", "one relationship, one table"
    if column is not None:
        return
    for name in own or ():
        if name.rpartition(".")[0] != table:
            yield f"'from' names {name!r}", f"write its own columns: {table}.{_last(name)}"
    if len(own or ()) != len(names):
        found = f"{len(own or ())} columns in 'from' and {len(names)} in 'to'"
        yield found, "name a column there for each column here"
    for side, listed in (("from", own or ()), ("to", names)):
        if len(set(listed)) < len(listed):
            yield f"a column twice in {side!r}", "name each column once"


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1


def _last(name: str) -> str:
    return name.rpartition(".")[2]
