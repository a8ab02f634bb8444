"""The records of JSON documents and their columns (pure): see ``contract.jsonpath``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lakehouse.contract import jsonpath

__all__ = ["Layout", "Record"]


@dataclass(frozen=True)
class Record:
    """One record: its values, the keys that no column takes, or the rule it breaks.

    Attributes:
        value: The record itself.
        values: In the order of the columns; empty where there is a fault.
        other: Keys of the record that no column takes.
        fault: The rule that it breaks.
    """

    value: Any
    values: Sequence[Any] = ()
    other: Sequence[str] = ()
    fault: str | None = None


class Layout:
    """The places of a bronze table's records and columns.

    Args:
        records: The path of the records; None where the document is the record.
        columns: Keys of the record, or paths.

    Raises:
        ValueError: One is no path, or leads into another list than the records'.
    """

    def __init__(self, records: str | None, columns: Sequence[str]) -> None:
        self.levels = jsonpath.levels(records)
        self.columns = [jsonpath.column(name, self.levels) for name in columns]
        last = len(self.levels) - 1
        inner = [way for level, way in self.columns if level == last]
        self.known = frozenset(way[0] for way in inner if way)
        # Elements that are taken whole ($.tags[*]) may be anything.
        self.is_object = () not in inner

    def records(self, document: Any) -> Iterator[Record]:
        """The records of a document, in its order."""
        yield from self._below([document])

    def _below(self, branch: list[Any]) -> Iterator[Record]:
        if len(branch) == len(self.levels):
            yield self._record(branch)
            return
        *way, _ = self.levels[len(branch)]
        found = _walk(branch[-1], way)
        if not isinstance(found, list):
            yield Record(branch[-1], fault="no_list")
            return
        for element in found:
            yield from self._below([*branch, element])

    def _record(self, branch: list[Any]) -> Record:
        value = branch[-1]
        if not isinstance(value, dict):
            if self.is_object:
                return Record(value, fault="not_an_object")
            return Record(value, [_walk(branch[level], way) for level, way in self.columns])
        other = [key for key in value if key not in self.known]
        if self.known and len(other) == len(value):
            return Record(value, fault="no_known_key")
        return Record(value, [_walk(branch[level], way) for level, way in self.columns], other)


def _walk(value: Any, way: Sequence[Any]) -> Any:
    for step in way:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value
