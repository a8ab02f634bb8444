"""A contract file into a contract; every complaint names its line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from lakehouse.contract import jsonpath, relationships, rules, standard
from lakehouse.contract.model import (
    LANDED_COLUMNS,
    QUARANTINED_SHARE,
    TYPES,
    Column,
    Contract,
    Properties,
    Rule,
    Source,
)
from lakehouse.errors import ContractError
from lakehouse.interval import Grain
from lakehouse.strictyaml import complaint, did_you_mean, document, line_of

__all__ = ["parse"]

_At = tuple[str | int, ...]


def parse(text: str, path: str, *, checked: bool = False) -> Contract:
    """Read a contract.

    Args:
        text: YAML in the form of the standard.
        path: The file's name, for messages.
        checked: The very same text was held against the standard before.

    Raises:
        ContractError: With the file, the line and the remedy.
    """
    return _Parser(text, path).contract(checked=checked)


class _Parser:
    """One reading of one file."""

    def __init__(self, text: str, path: str) -> None:
        self.path, self.asked = path, f"read the contract {path}"
        self.node, self.raw = document(text, path, self.asked, ContractError)
        if not isinstance(self.raw, dict):
            raise self._error((), "the file holds no mapping", "begin with 'apiVersion: v3.1.0'")

    def _error(self, at: Sequence[str | int], found: str, remedy: str) -> ContractError:
        where = f"{self.path}:{line_of(self.node, at)}"
        return ContractError(self.asked, found, remedy, file=where)

    def contract(self, *, checked: bool) -> Contract:
        for at, found, remedy in () if checked else standard.complaints(self.raw):
            raise self._error(at, found, remedy)
        schema, lake = self.raw["schema"][0], self._properties()
        columns = tuple(self._columns(schema, lake))
        placed = tuple(self._rules(schema))
        self._check_partition(lake, columns)
        self._check_rules(lake, columns, placed)
        return Contract(
            name=schema["name"],
            version=str(self.raw.get("version", "")),
            path=self.path,
            description=schema.get("description") or self._purpose(),
            columns=columns,
            rules=tuple(one for _, one in placed),
            lake=lake,
            sla=tuple(self.raw.get("slaProperties") or ()),
        )

    def _purpose(self) -> str | None:
        described = self.raw.get("description")
        return described.get("purpose") if isinstance(described, dict) else None

    def _properties(self) -> Properties:
        for i, one in enumerate(self.raw.get("customProperties") or []):
            if one.get("property") != "lakehouse":
                continue
            try:
                return Properties.model_validate(one.get("value") or {})
            except ValidationError as error:
                at, found, remedy = complaint(Properties, error)
                raise self._error(("customProperties", i, "value", *at), found, remedy) from error
        return Properties()

    # --- columns ------------------------------------------------------------------------------

    def _columns(self, schema: Mapping[str, Any], lake: Properties) -> Iterator[Column]:
        seen: set[str] = set()
        taken: list[str] = []
        for i, prop in enumerate(schema.get("properties") or []):
            at = ("schema", 0, "properties", i)
            column = self._column(at, prop)
            if column.name.lower() in seen:
                raise self._error(at, f"column {column.name!r} twice", "name each column once")
            if lake.source and column.name in LANDED_COLUMNS:
                found = f"column {column.name} is added by the reader"
                raise self._error(at, found, "delete it here")
            seen.add(column.name.lower())
            self._check_physical((*at, "physicalName"), column, lake.source, taken)
            taken.append(column.landed_name)
            yield column
        if lake.source is None:
            return
        if lake.partition and lake.partition.column.lower() not in seen:
            kind = "VARCHAR" if lake.partition.grain is Grain.value else "DATE"
            yield Column(lake.partition.column, kind)
        for name, kind in LANDED_COLUMNS.items():
            yield Column(name, kind)

    def _column(self, at: _At, prop: Mapping[str, Any]) -> Column:
        name, written = prop.get("name"), prop.get("physicalType")
        kind = str(written or "").upper()
        if not name:
            raise self._error(at, "a column without a name", "add 'name:'")
        if kind not in TYPES:
            found = f"column {name}: physicalType {written!r}"
            raise self._error((*at, "physicalType"), found, f"use one of {', '.join(TYPES)}")
        units = [p["value"] for p in prop.get("customProperties") or [] if p["property"] == "unit"]
        key = prop.get("primaryKeyPosition", 1) if prop.get("primaryKey") else None
        unit = str(units[0]) if units else None
        physical = prop.get("physicalName")
        return Column(
            name,
            kind,
            unit,
            prop.get("description"),
            key,
            prop.get("classification") or None,
            None if physical == name else physical,
        )

    def _check_physical(
        self, at: _At, column: Column, source: Source | None, taken: Sequence[str]
    ) -> None:
        if source is None:
            if column.physical_name is not None:
                found = f"column {column.name}: physicalName outside bronze"
                raise self._error(at, found, "rename it in the SQL: 'SELECT a AS b'")
            return
        if column.landed_name in taken:
            found = f"two columns are {column.landed_name!r} in the files"
            raise self._error(at, found, "keep one of the two")
        if source.format in ("json", "jsonl"):
            try:
                jsonpath.column(column.landed_name, jsonpath.levels(source.records))
            except ValueError as error:
                found, _, remedy = str(error).partition("; ")
                raise self._error(at, f"column {column.name}: {found}", remedy) from error

    # --- rules --------------------------------------------------------------------------------

    def _rules(self, schema: Mapping[str, Any]) -> Iterator[tuple[_At, Rule]]:
        seen: set[str] = set()
        for at, one in self._all_rules(schema):
            if one.id in seen:
                raise self._error(at, f"rule id {one.id!r} twice", "give each rule its own id")
            seen.add(one.id)
            yield at, one

    def _all_rules(self, schema: Mapping[str, Any]) -> Iterator[tuple[_At, Rule]]:
        properties = schema.get("properties") or []
        for i, prop in enumerate(properties):
            at = ("schema", 0, "properties", i)
            yield from ((at, one) for one in rules.implied(prop))
            yield from self._written((*at, "quality"), prop.get("quality"), prop["name"])
            yield from self._related(at, prop.get("relationships"), schema["name"], prop["name"])
        keyed = [p for p in properties if p.get("primaryKey")]
        names = [
            p["name"] for p in sorted(keyed, key=lambda p: int(p.get("primaryKeyPosition", 1)))
        ]
        if names:
            yield ("schema", 0), rules.primary_key(names)
        yield from self._written(("schema", 0, "quality"), schema.get("quality"), None)
        yield from self._related(("schema", 0), schema.get("relationships"), schema["name"], None)

    def _written(
        self, at: _At, entries: Sequence[Mapping[str, Any]] | None, column: str | None
    ) -> Iterator[tuple[_At, Rule]]:
        for i, quality in enumerate(entries or ()):
            here = (*at, i)
            if not quality.get("id"):
                raise self._error(here, "a rule without an id", "add 'id: <what_it_says>'")
            for found, remedy in rules.wrong_entry(quality):
                raise self._error(here, f"rule {quality['id']}: {found}", remedy)
            made = rules.rule(quality, column)
            for found, remedy in rules.wrong_arguments(made):
                raise self._error(here, f"rule {made.id}: {found}", remedy)
            yield here, made

    def _related(
        self,
        at: _At,
        entries: Sequence[Mapping[str, Any]] | None,
        table: str,
        column: str | None,
    ) -> Iterator[tuple[_At, Rule]]:
        for i, entry in enumerate(entries or ()):
            here = (*at, "relationships", i)
            if not entry.get("id"):
                found = "a relationship without an id: it is a rule"
                raise self._error(here, found, "add 'id: <what_it_says>'")
            for found, remedy in relationships.wrong_relationship(entry, table, column):
                raise self._error(here, f"rule {entry['id']}: {found}", remedy)
            yield here, relationships.foreign_key(entry, column)

    # --- what refers to what ------------------------------------------------------------------

    def _check_partition(self, lake: Properties, columns: Sequence[Column]) -> None:
        at, part = ("customProperties",), lake.partition
        missing = {"_source_file", "_row"} - {c.name for c in columns}
        if lake.rows and missing:
            found = f"'rows: from' without the columns {', '.join(sorted(missing))}"
            raise self._error(at, found, "carry both from bronze: each row in is then looked for")
        if part is None:
            return
        types = {c.name: c.type for c in columns}
        for column in filter(None, (part.column, part.event)):
            if column not in types:
                found = f"partition names column {column!r}"
                raise self._error(at, found, did_you_mean(column, types))
        if part.grain is not Grain.value and types[part.column] != "DATE":
            found = f"partition column {part.column} of type {types[part.column]}"
            raise self._error(at, found, "make it a DATE")
        if part.event and types[part.event] not in ("DATE", "TIMESTAMPTZ"):
            found = f"partition event {part.event} of type {types[part.event]}"
            raise self._error(at, found, "name a DATE or TIMESTAMPTZ")
        if lake.source and not part.expression:
            raise self._error(at, "a bronze partition without expression", "add 'expression:'")
        # The column is computed, so it is none of those that the expression may read.
        own = rf"\b{re.escape(part.column)}\b"
        if lake.source and re.search(own, part.expression or "", re.IGNORECASE):
            found = f"the expression reads the partition column {part.column!r}, which it computes"
            raise self._error(at, found, "give the partition column another name")

    def _check_rules(
        self, lake: Properties, columns: Sequence[Column], found: Sequence[tuple[_At, Rule]]
    ) -> None:
        types = {c.name: c.type for c in columns}
        for at, one in found:
            for name in rules.columns_of(one):
                if str(name) not in types:
                    told = f"rule {one.id} names column {name!r}"
                    raise self._error(at, told, did_you_mean(str(name), types))
            if lake.source and relationships.reference(one):
                told = f"rule {one.id}: a relationship of a bronze table"
                remedy = "write it at the silver table that is made of it; bronze is as landed"
                raise self._error(at, told, remedy)
            for wrong, remedy in rules.wrong_values(one, types):
                raise self._error(at, f"rule {one.id}: {wrong}", remedy)
        known = {one.id for _, one in found}
        for waiver in lake.waivers:
            # The rules that every table has can be waived like written ones.
            if waiver.rule not in known | {QUARANTINED_SHARE}:
                told = f"waiver for rule {waiver.rule!r}"
                raise self._error(("customProperties",), told, did_you_mean(waiver.rule, known))
