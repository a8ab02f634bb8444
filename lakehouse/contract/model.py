"""What a contract holds: columns, rules, and the library's own strict part."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from lakehouse.contract import jsonpath
from lakehouse.interval import Grain, duration, time_zone

__all__ = [
    "LANDED_COLUMNS",
    "QUARANTINED_SHARE",
    "TYPES",
    "Column",
    "ColumnPolicy",
    "Contract",
    "Partition",
    "Properties",
    "Read",
    "Retention",
    "Rows",
    "Rule",
    "Source",
    "Waiver",
    "digest",
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


#: Table rule that every table has: see ``max_quarantined``.
QUARANTINED_SHARE = "quarantined_share"


def _duration(value: object) -> object:
    # A bare number would be taken for seconds.
    return value if isinstance(value, dt.timedelta) else duration(str(value))


Duration = Annotated[dt.timedelta, BeforeValidator(_duration)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_CSV_ONLY = {"header", "delimiter", "quote", "escape", "comment", "skip_lines"}


class Source(_Strict):
    """Where a bronze table's files land and how they are read.

    Attributes:
        path: A pattern below the domain's landing folder.
        format: ``jsonl`` is one document a line, ``json`` one a file.
        records: JSON only: the list whose elements are the records, ``$.lines[*]``; without it
            each document is one record.
        header: CSV only: the first line names the columns.
        delimiter: CSV only: what separates the fields.
        quote: CSV only: what encloses a field; empty for none.
        escape: CSV only: what makes a quote, a delimiter or itself part of a field; before anything
            else it is text. A quote may be doubled all the same.
        comment: CSV only: lines that begin with it are no records.
        skip_lines: CSV only: the lines before the header that are no records.
        null_values: Texts that stand for no value.
        encoding: Of text files; a byte order mark is recognised.
        compression: ``auto`` goes by the file's first bytes.
        max_bytes: The largest file, as stored and as decompressed; larger ones are refused. Reading
            a file takes about four times its size in memory, twelve times where ``format`` is
            ``json``: a large document is better delivered as JSON lines.
        batch: The files that are one build target: each, or those landed in an hour or a day.
    """

    path: str
    format: Literal["csv", "jsonl", "json", "parquet"]
    records: str | None = None
    header: bool = True
    delimiter: str = Field(",", min_length=1, max_length=1)
    quote: str = Field('"', max_length=1)
    escape: str = Field("", max_length=1)
    comment: str = Field("", max_length=1)
    skip_lines: int = Field(0, ge=0)
    null_values: tuple[str, ...] = ("",)
    encoding: str = "utf-8"
    compression: Literal["auto", "none", "gzip", "zstd"] = "auto"
    max_bytes: int = Field(1 << 30, gt=0)
    batch: Literal["file", "hour", "day"] = "file"

    @model_validator(mode="after")
    def _records_are_json(self) -> Source:
        if self.records is not None and self.format not in ("json", "jsonl"):
            raise ValueError(f"'records' with format {self.format}; delete it")
        jsonpath.levels(self.records)
        return self

    @model_validator(mode="after")
    def _marks_are_distinct(self) -> Source:
        marks = [m for m in (self.delimiter, self.quote, self.escape, self.comment) if m]
        if len(set(marks)) < len(marks):
            raise ValueError(f"one character for two purposes among {marks}; choose others")
        if unfit := [m for m in marks if m in "\r\n\0"]:
            raise ValueError(f"{unfit[0]!r} separates lines, not fields; choose another")
        given = self.model_fields_set & _CSV_ONLY
        if given and self.format != "csv":
            raise ValueError(f"{sorted(given)[0]!r} with format {self.format}; delete it")
        return self


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

    @field_validator("timezone")
    @classmethod
    def _zone_is_known(cls, value: str) -> str:
        time_zone(value)
        return value


class Read(_Strict):
    """How far and how strictly a table reads one input.

    Attributes:
        lookback: How far before the partition's start rows are read: ``30 days``.
        lookahead: How far after its end.
        when_changed: ``rebuild`` what reads it; only ``new_partitions``; or ``ignore`` changes.
    """

    lookback: Duration = dt.timedelta(0)
    lookahead: Duration = dt.timedelta(0)
    when_changed: Literal["rebuild", "new_partitions", "ignore"] = "rebuild"


class ColumnPolicy(_Strict):
    """What to do with files whose columns differ from the contract's.

    Attributes:
        extra: A column that the contract does not know.
        missing: A column that the file does not have.
    """

    extra: Literal["refuse_file", "quarantine_file", "ignore"] = "quarantine_file"
    missing: Literal["refuse_file", "null"] = "refuse_file"

    @field_validator("missing", mode="before")
    @classmethod
    def _null_is_a_word(cls, value: object) -> object:
        # YAML reads a bare null as no value.
        return "null" if value is None else value


class Rows(_Strict):
    """The input whose every row must be published, quarantined or superseded.

    Attributes:
        from_: Its short name, ``bronze.flights``.
    """

    from_: str = Field(alias="from")


class Retention(_Strict):
    """How long ``lake maintain`` leaves what is no longer live, or lies in many small files.

    Attributes:
        history: Versions that were current within this time stay readable; longer, where a
            recorded run or a model holds one.
        longest_build: Files that no version holds are left for so long, since a build may be
            about to publish them; no ``history`` is shorter.
        seal: Bronze: small files of batches that were published longer ago become one.
    """

    history: Duration = dt.timedelta(days=7)
    longest_build: Annotated[Duration, Field(ge=dt.timedelta(hours=1))] = dt.timedelta(days=7)
    seal: Duration = dt.timedelta(days=30)

    @property
    def kept_for(self) -> dt.timedelta:
        """The time within which every version stays readable: a build may be reading it."""
        return max(self.history, self.longest_build)


class Waiver(_Strict):
    """Somebody's dated permission for one rule to fail.

    Attributes:
        rule: The rule's id.
        until: The last day on which it holds.
        by: Who permits it.
        because: Why.
    """

    rule: str
    until: dt.date
    by: str
    because: str = Field(min_length=3)


class Properties(_Strict):
    """The library's own part of a contract (``customProperties: lakehouse``).

    Attributes:
        source: Bronze only: where files land and how they are read.
        partition: How the table is cut into build targets; without it, it is one.
        columns: Bronze only: what to do with files that have other columns.
        on_gone: Bronze only: whether rows of files that vanished are kept.
        reads: Input by short name: how far and how strictly it is read.
        rows: The input whose rows must all be accounted for (the row law).
        engine: ``auto`` goes by size.
        waivers: Dated permissions for rules to fail.
        accepts: Replaced definition ids that gave the same rows, so that nothing is rebuilt.
        max_quarantined: The share of a target's rows above which it is blocked.
        retention: How long maintenance leaves what is no longer live.
    """

    source: Source | None = None
    partition: Partition | None = None
    columns: ColumnPolicy = ColumnPolicy()
    on_gone: Literal["keep", "remove"] = "keep"
    reads: dict[str, Read] = {}
    rows: Rows | None = None
    engine: Literal["auto", "dask", "spark", "local"] = "auto"
    waivers: tuple[Waiver, ...] = ()
    accepts: tuple[str, ...] = ()
    max_quarantined: Annotated[float, Field(ge=0, le=1)] = 0.5
    retention: Retention = Retention()


@dataclass(frozen=True)
class Column:
    """One column: its DuckDB type, unit and whether it is part of the key.

    Attributes:
        key: Its place in the primary key; None when it is no part of it.
        physical_name: Bronze only: its name in the files, or its path in a JSON document, where
            that is another.
        classification: As written. It describes, and so decides no rebuild.
    """

    name: str
    type: str
    unit: str | None = None
    description: str | None = None
    key: int | None = None
    classification: str | None = None
    physical_name: str | None = None

    @property
    def landed_name(self) -> str:
        """What the landed files call it."""
        return self.name if self.physical_name is None else self.physical_name

    @property
    def sensitive(self) -> bool:
        """Whether a profile only counts it: classified as anything but public or internal."""
        return (self.classification or "public").strip().lower() not in ("public", "internal")


@dataclass(frozen=True)
class Rule:
    """One expectation, by its Great Expectations name, or one relationship of the standard.

    Attributes:
        id: Written by the author, or derived (``carrier_required``, ``primary_key``).
        type: The expectation's name; ``foreignKey``.
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

    @property
    def physical_names(self) -> dict[str, str]:
        """Columns that the files name differently, with their names there."""
        return {c.name: c.physical_name for c in self.columns if c.physical_name is not None}

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

    @functools.cached_property
    def gates(self) -> str:
        """Ten hex digits of what can block: when it changes, a blocked target is tried again."""
        rules = [[r.id, r.type, dict(r.kwargs), r.mostly] for r in self.rules]
        waivers = [w.model_dump() for w in self.lake.waivers]
        return digest(rules, waivers, self.lake.max_quarantined)


_CANONICAL = json.JSONEncoder(sort_keys=True, default=str, ensure_ascii=False)


def digest(*parts: object) -> str:
    """Ten hex digits of a canonical JSON form: the length of every id in a build directory."""
    text = _CANONICAL.encode(parts)
    return hashlib.sha256(text.encode()).hexdigest()[:10]
