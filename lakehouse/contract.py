"""The contract of a table: Open Data Contract Standard v3 and our strict part of it.

Pure: a contract is read from text and is a value. What decides a rebuild
(columns, types, keys, row rules) is hashed into :attr:`Contract.id`; what only
describes (owners, descriptions, SLAs, table rules) is not.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import importlib.resources
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from lakehouse.errors import ContractError
from lakehouse.interval import Grain, duration

__all__ = [
    "LANDED_COLUMNS",
    "Column",
    "Contract",
    "Partition",
    "Properties",
    "Read",
    "Rule",
    "Source",
    "Waiver",
    "digest",
    "parse",
]

#: The types a column may have: DuckDB's names, each with one meaning on every engine and in Delta.
TYPES = ("VARCHAR", "INTEGER", "BIGINT", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMPTZ")

#: What every bronze table has besides the landed columns.
LANDED_COLUMNS = {
    "_batch": "VARCHAR",
    "_source_file": "VARCHAR",
    "_row": "BIGINT",
    "_landed_at": "TIMESTAMPTZ",
}

ROW_RULES = frozenset(
    "expect_" + name
    for name in (
        "column_values_to_not_be_null",
        "column_values_to_be_null",
        "column_values_to_be_between",
        "column_values_to_be_in_set",
        "column_values_to_not_be_in_set",
        "column_values_to_match_regex",
        "column_values_to_not_match_regex",
        "column_value_lengths_to_be_between",
        "column_pair_values_a_to_be_greater_than_b",
        "column_pair_values_to_be_equal",
    )
)
TABLE_RULES = frozenset(
    "expect_" + name
    for name in (
        "column_values_to_be_unique",
        "compound_columns_to_be_unique",
        "table_row_count_to_be_between",
        "column_mean_to_be_between",
        "column_min_to_be_between",
        "column_max_to_be_between",
        "column_sum_to_be_between",
    )
)

Duration = Annotated[
    dt.timedelta, BeforeValidator(lambda v: duration(v) if isinstance(v, str) else v)
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Strict):
    """Where a bronze table's files land and how they are read."""

    path: str
    format: Literal["csv", "jsonl", "parquet"]
    header: bool = True
    delimiter: str = Field(",", min_length=1, max_length=1)
    quote: str = Field('"', max_length=1)
    null_values: tuple[str, ...] = ("",)
    encoding: str = "utf-8"
    compression: Literal["auto", "none", "gzip", "zstd"] = "auto"
    batch: Literal["file", "hour", "day"] = "file"


class Partition(_Strict):
    """How a table is cut into build targets.

    Attributes:
        column: The Delta partition column.
        grain: Its period, or ``value``.
        timezone: The zone in which a period begins.
        event: The column whose time the partition holds (for lookback filters).
        expression: Bronze only: SQL over the landed text columns that gives ``column``.
    """

    column: str
    grain: Grain
    timezone: str = "UTC"
    event: str | None = None
    expression: str | None = None


class Read(_Strict):
    """How far and how strictly a table reads one input."""

    lookback: Duration = dt.timedelta(0)
    lookahead: Duration = dt.timedelta(0)
    when_changed: Literal["rebuild", "new_partitions", "ignore"] = "rebuild"


class ColumnPolicy(_Strict):
    """What to do with files whose columns differ from the contract's."""

    extra: Literal["refuse_file", "quarantine_file", "ignore"] = "quarantine_file"
    missing: Literal["refuse_file", "null"] = "refuse_file"


class Rows(_Strict):
    """The input whose every row must be published, quarantined or superseded."""

    from_: str = Field(alias="from")


class Waiver(_Strict):
    """Somebody's dated permission for one rule to fail."""

    rule: str
    until: dt.date
    by: str
    because: str = Field(min_length=3)


class Properties(_Strict):
    """The library's own part of a contract (``customProperties: lakehouse``)."""

    source: Source | None = None
    partition: Partition | None = None
    columns: ColumnPolicy = ColumnPolicy()
    on_gone: Literal["keep", "remove"] = "keep"
    reads: dict[str, Read] = {}
    rows: Rows | None = None
    engine: Literal["auto", "dask", "local", "spark"] = "auto"
    waivers: tuple[Waiver, ...] = ()
    accepts: tuple[str, ...] = ()
    max_quarantined: float = Field(0.5, ge=0, le=1)


@dataclass(frozen=True)
class Column:
    """One column: its DuckDB type, unit and whether it is part of the key."""

    name: str
    type: str
    unit: str | None = None
    description: str | None = None
    key: int | None = None


@dataclass(frozen=True)
class Rule:
    """One expectation, by its Great Expectations name.

    Attributes:
        id: Written by the author, or derived (``carrier_required``, ``primary_key``).
        type: The expectation's name.
        kwargs: Its arguments, without ``mostly``.
        mostly: Below 1 the rule counts and never quarantines.
        scope: ``row`` quarantines, ``table`` blocks, ``unsupported`` is not evaluated.
    """

    id: str
    type: str
    kwargs: Mapping[str, Any]
    mostly: float
    scope: Literal["row", "table", "unsupported"]


@dataclass(frozen=True)
class Contract:
    """What one table promises. Grain: as its primary key says."""

    name: str
    version: str
    path: str
    description: str | None
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    lake: Properties
    sla: tuple[Mapping[str, Any], ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """The primary key's columns in their order; empty when none is declared."""
        keyed = [c for c in self.columns if c.key is not None]
        return tuple(c.name for c in sorted(keyed, key=lambda c: c.key or 0))

    @property
    def types(self) -> dict[str, str]:
        """Column names with their DuckDB types, in the published order."""
        return {c.name: c.type for c in self.columns}

    @functools.cached_property
    def id(self) -> str:
        """Ten hex digits that change when, and only when, the published rows could."""
        rows = [[r.id, r.type, dict(r.kwargs), r.mostly] for r in self.rules if r.scope == "row"]
        part = self.lake.partition
        reads = {
            name: [read.lookback.total_seconds(), read.lookahead.total_seconds()]
            for name, read in sorted(self.lake.reads.items())
        }
        return digest(
            [[c.name, c.type, c.key] for c in self.columns],
            rows,
            [part.column, part.grain, part.timezone] if part else None,
            reads,
            self.lake.rows.from_ if self.lake.rows else None,
        )


def digest(*parts: object) -> str:
    """Ten hex digits of a canonical JSON form: the length of every id in a build directory."""
    text = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def parse(text: str, path: str) -> Contract:
    """Read a contract.

    Args:
        text: YAML in the form of the standard.
        path: The file's name, for messages.

    Raises:
        ContractError: With the file, the line and the remedy.
    """
    return _Parser(text, path).contract()


class _Parser:
    """One reading of one file: it knows the lines, so that every complaint can name its own."""

    def __init__(self, text: str, path: str) -> None:
        self.path = path
        try:
            self.node = yaml.compose(text, Loader=yaml.SafeLoader)
            self.raw = yaml.safe_load(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            raise ContractError(
                f"read the contract {path}",
                f"not YAML: {getattr(error, 'problem', error)}",
                f"mend line {line}",
                file=f"{path}:{line}",
            ) from error
        if not isinstance(self.raw, dict):
            raise self._error((), "the file holds no mapping", "begin with 'apiVersion: v3.1.0'")

    def contract(self) -> Contract:
        self._check_standard()
        schema = self.raw["schema"][0]
        lake = self._properties()
        columns = tuple(self._columns(schema, bronze=lake.source is not None))
        rules = tuple(self._rules(schema))
        self._check_references(lake, columns, rules)
        return Contract(
            name=schema["name"],
            version=str(self.raw.get("version", "")),
            path=self.path,
            description=schema.get("description") or self._purpose(),
            columns=columns,
            rules=rules,
            lake=lake,
            sla=tuple(self.raw.get("slaProperties") or ()),
        )

    def _purpose(self) -> str | None:
        described = self.raw.get("description")
        return described.get("purpose") if isinstance(described, dict) else None

    # The standard's own package ignores keys it does not know, below the top level silently:
    # what was parsed is therefore compared with what was written.
    def _check_standard(self) -> None:
        from open_data_contract_standard.model import OpenDataContractStandard

        version = self.raw.get("apiVersion")
        if version not in ("v3.1.0", "v3.2.0"):
            raise self._error(
                ("apiVersion",), f"apiVersion {version!r}", "write 'apiVersion: v3.1.0'"
            )
        try:
            model = OpenDataContractStandard.model_validate(self.raw)
        except ValidationError as error:
            first = error.errors()[0]
            raise self._error(first["loc"], first["msg"], "correct the value") from error
        parsed = model.model_dump(by_alias=True, exclude_unset=True)
        for at, key, known in _dropped(self.raw, parsed):
            raise self._error((*at, key), f"unknown key {key!r}", _did_you_mean(key, known))
        schema_errors = _standard_schema().iter_errors(_plain(self.raw))
        for problem in sorted(schema_errors, key=lambda e: list(map(str, e.absolute_path))):
            at = tuple(problem.absolute_path)
            raise self._error(at, problem.message[:300], "see the standard, v3.1.0")
        if len(self.raw.get("schema") or []) != 1:
            raise self._error(("schema",), "not exactly one schema", "one contract, one table")

    def _properties(self) -> Properties:
        own = [
            (i, p)
            for i, p in enumerate(self.raw.get("customProperties") or [])
            if p.get("property") == "lakehouse"
        ]
        if not own:
            return Properties()
        at = ("customProperties", own[0][0], "value")
        try:
            return Properties.model_validate(own[0][1].get("value") or {})
        except ValidationError as error:
            first = error.errors()[0]
            loc = (*at, *first["loc"])
            if first["type"] == "extra_forbidden":
                known = _fields_at(Properties, first["loc"][:-1])
                key = str(first["loc"][-1])
                raise self._error(loc, f"unknown key {key!r}", _did_you_mean(key, known)) from error
            raise self._error(loc, f"{first['loc'][-1]}: {first['msg']}", "correct it") from error

    def _columns(self, schema: Mapping[str, Any], *, bronze: bool) -> Iterator[Column]:
        seen: set[str] = set()
        for i, prop in enumerate(schema.get("properties") or []):
            at = ("schema", 0, "properties", i)
            name, kind = prop.get("name"), str(prop.get("physicalType", "")).upper()
            if not name or name.lower() in seen:
                raise self._error(at, f"column {name!r} twice or unnamed", "name each column once")
            if kind not in TYPES:
                raise self._error(
                    (*at, "physicalType"),
                    f"column {name}: physicalType {prop.get('physicalType')!r}",
                    f"use one of {', '.join(TYPES)}",
                )
            if bronze and name in LANDED_COLUMNS:
                raise self._error(at, f"column {name} is added by the reader", "delete it here")
            seen.add(name.lower())
            key = prop.get("primaryKeyPosition", 1) if prop.get("primaryKey") else None
            unit = next(
                (
                    str(p["value"])
                    for p in prop.get("customProperties") or []
                    if p.get("property") == "unit"
                ),
                None,
            )
            yield Column(name, kind, unit, prop.get("description"), key)
        if bronze:
            partition = self._properties().partition
            if partition and partition.column not in seen:
                kind = "VARCHAR" if partition.grain is Grain.value else "DATE"
                yield Column(partition.column, kind)
            for name, kind in LANDED_COLUMNS.items():
                yield Column(name, kind)

    def _rules(self, schema: Mapping[str, Any]) -> Iterator[Rule]:
        seen: set[str] = set()
        for at, rule in self._written_rules(schema):
            if rule.id in seen:
                raise self._error(at, f"rule id {rule.id!r} twice", "give each rule its own id")
            seen.add(rule.id)
            yield rule

    def _written_rules(
        self, schema: Mapping[str, Any]
    ) -> Iterator[tuple[tuple[str | int, ...], Rule]]:
        keys: list[tuple[int, str]] = []
        for i, prop in enumerate(schema.get("properties") or []):
            at, name = ("schema", 0, "properties", i), prop["name"]
            column = {"column": name}
            if prop.get("primaryKey"):
                keys.append((prop.get("primaryKeyPosition", 1), name))
            if prop.get("required") or prop.get("primaryKey"):
                kind = "expect_column_values_to_not_be_null"
                yield at, Rule(f"{name}_required", kind, column, 1.0, "row")
            if prop.get("unique"):
                kind = "expect_column_values_to_be_unique"
                yield at, Rule(f"{name}_unique", kind, column, 1.0, "table")
            for j, quality in enumerate(prop.get("quality") or []):
                yield (*at, "quality", j), self._rule((*at, "quality", j), quality, name)
        names = [name for _, name in sorted(keys)]
        if len(names) == 1:
            kind = "expect_column_values_to_be_unique"
            yield ("schema", 0), Rule("primary_key", kind, {"column": names[0]}, 1.0, "table")
        elif names:
            kind = "expect_compound_columns_to_be_unique"
            yield ("schema", 0), Rule("primary_key", kind, {"column_list": names}, 1.0, "table")
        for j, quality in enumerate(schema.get("quality") or []):
            at = ("schema", 0, "quality", j)
            yield at, self._rule(at, quality, None)

    def _rule(
        self, at: tuple[str | int, ...], quality: Mapping[str, Any], column: str | None
    ) -> Rule:
        if not quality.get("id"):
            raise self._error(at, "a rule without an id", "add 'id: <what_it_says>'")
        made = _expectation(quality, column)
        if isinstance(made, str):
            return Rule(quality["id"], made, {}, 1.0, "unsupported")
        kind, kwargs = made
        kwargs = {**({"column": column} if column else {}), **kwargs}
        mostly = float(kwargs.pop("mostly", 1.0))
        scope: Literal["row", "table", "unsupported"] = (
            "row" if kind in ROW_RULES else "table" if kind in TABLE_RULES else "unsupported"
        )
        return Rule(quality["id"], kind, kwargs, mostly, scope)

    def _check_references(
        self, lake: Properties, columns: Sequence[Column], rules: Sequence[Rule]
    ) -> None:
        names = {c.name for c in columns}
        at: tuple[str | int, ...] = ("customProperties",)
        part = lake.partition
        if part:
            for column in filter(None, (part.column, part.event)):
                if column not in names:
                    raise self._error(
                        at, f"partition names column {column!r}", "add it to properties"
                    )
            kind = next(c.type for c in columns if c.name == part.column)
            if part.grain is not Grain.value and kind != "DATE":
                raise self._error(at, f"partition column of type {kind}", "make it a DATE")
            if lake.source and not part.expression:
                raise self._error(at, "a bronze partition without expression", "add 'expression:'")
        for rule in rules:
            used = [rule.kwargs[k] for k in ("column", "column_A", "column_B") if k in rule.kwargs]
            for name in [*used, *rule.kwargs.get("column_list", [])]:
                if name not in names:
                    raise self._error(
                        ("schema", 0),
                        f"rule {rule.id} names column {name!r}",
                        _did_you_mean(name, names),
                    )
        for waiver in lake.waivers:
            known = {r.id for r in rules}
            if waiver.rule not in known:
                raise self._error(
                    at, f"waiver for rule {waiver.rule!r}", _did_you_mean(waiver.rule, known)
                )

    def _error(self, at: Sequence[str | int], found: str, remedy: str) -> ContractError:
        line = _line(self.node, at)
        return ContractError(
            f"read the contract {self.path}", found, remedy, file=f"{self.path}:{line}"
        )


def _expectation(
    quality: Mapping[str, Any], column: str | None
) -> tuple[str, dict[str, Any]] | str:
    """A quality entry as (expectation, kwargs), or the name of what is not supported."""
    if quality.get("engine") == "greatExpectations":
        made = quality.get("implementation")
        if isinstance(made, dict) and "type" in made:
            return made["type"], dict(made.get("kwargs") or {})
        return "greatExpectations without implementation.type"
    metric = quality.get("metric") or quality.get("rule")
    arguments = quality.get("arguments") or {}
    zero = quality.get("mustBe") == 0 or quality.get("mustBeLessOrEqualTo") == 0
    bounds = _bounds(quality)
    match metric:
        case "rowCount" if bounds:
            return "expect_table_row_count_to_be_between", bounds
        case "nullValues" if zero and column:
            return "expect_column_values_to_not_be_null", {}
        case "duplicateValues" if zero and column:
            return "expect_column_values_to_be_unique", {}
        case "duplicateValues" if zero and arguments.get("properties"):
            columns = list(arguments["properties"])
            return "expect_compound_columns_to_be_unique", {"column_list": columns}
        case "invalidValues" if zero and arguments.get("validValues"):
            values = list(arguments["validValues"])
            return "expect_column_values_to_be_in_set", {"value_set": values}
        case "invalidValues" if zero and arguments.get("pattern"):
            return "expect_column_values_to_match_regex", {"regex": arguments["pattern"]}
    return f"{quality.get('type', 'library')} {metric or quality.get('engine') or ''}".strip()


def _bounds(quality: Mapping[str, Any]) -> dict[str, Any]:
    if "mustBe" in quality:
        return {"min_value": quality["mustBe"], "max_value": quality["mustBe"]}
    if "mustBeBetween" in quality:
        low, high = quality["mustBeBetween"]
        return {"min_value": low, "max_value": high}
    found: dict[str, Any] = {}
    if "mustBeGreaterOrEqualTo" in quality:
        found["min_value"] = quality["mustBeGreaterOrEqualTo"]
    if "mustBeGreaterThan" in quality:
        found["min_value"] = quality["mustBeGreaterThan"] + 1
    if "mustBeLessOrEqualTo" in quality:
        found["max_value"] = quality["mustBeLessOrEqualTo"]
    if "mustBeLessThan" in quality:
        found["max_value"] = quality["mustBeLessThan"] - 1
    return found


def _dropped(
    written: Any, parsed: Any, at: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], str, set[str]]]:
    """Each written key that the parsed model does not hold: (where, key, keys that it holds)."""
    if isinstance(written, dict) and isinstance(parsed, dict):
        for key, value in written.items():
            if key not in parsed:
                yield at, key, _STANDARD_KEYS
            elif key != "value":
                yield from _dropped(value, parsed[key], (*at, key))
    elif isinstance(written, list) and isinstance(parsed, list):
        for i, (one, other) in enumerate(zip(written, parsed, strict=False)):
            yield from _dropped(one, other, (*at, i))


_STANDARD_KEYS = {
    *("id", "name", "logicalType", "physicalType", "description", "required", "unique"),
    *("primaryKey", "primaryKeyPosition", "partitioned", "classification", "quality"),
    *("customProperties", "properties", "slaProperties", "schema", "version", "status"),
    *("engine", "implementation", "type", "metric", "arguments", "mustBe", "mustBeBetween"),
}


def _did_you_mean(key: str, known: set[str] | frozenset[str]) -> str:
    import difflib

    close = difflib.get_close_matches(str(key), sorted(map(str, known)), n=1)
    return (
        f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(map(str, known)))}"
    )


def _fields_at(model: type[BaseModel], at: Sequence[str | int]) -> set[str]:
    fields = model.model_fields
    for key in at:
        kind = fields[key].annotation if isinstance(key, str) and key in fields else None
        inner = [k for k in (kind, *getattr(kind, "__args__", ())) if hasattr(k, "model_fields")]
        if inner:
            fields = inner[0].model_fields  # type: ignore[union-attr]
        elif not isinstance(key, str) or kind is not None:
            continue
    return {f.alias or name for name, f in fields.items()}


def _line(node: yaml.Node | None, at: Sequence[str | int]) -> int:
    """The line of the deepest part of the path that was written."""
    line = node.start_mark.line + 1 if node else 1
    for key in at:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == str(key)]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _plain(value: Any) -> Any:
    """YAML dates as the text that the standard's JSON schema expects."""
    return json.loads(json.dumps(value, default=str))


@functools.cache
def _standard_schema() -> Any:
    import jsonschema

    file = importlib.resources.files("open_data_contract_standard") / "schema.json"
    return jsonschema.Draft201909Validator(json.loads(file.read_text(encoding="utf-8")))
