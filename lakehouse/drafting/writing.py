"""A survey as files: the bronze contract, and the silver SQL with its contract (pure)."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

from lakehouse.drafting.columns import EMAIL, Seen
from lakehouse.drafting.keys import grain
from lakehouse.drafting.survey import Survey

__all__ = ["Draft", "draft", "one_row_per"]

_LOGICAL = {
    "VARCHAR": "string",
    "INTEGER": "integer",
    "BIGINT": "integer",
    "DOUBLE": "number",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMPTZ": "timestamp",
}
_LONGEST = 40
#: That nothing is missing in fewer records says little.
_ENOUGH = 100


@dataclass(frozen=True)
class Draft:
    """The files of one landed table and of the table made from it.

    Attributes:
        files: Path below the domain's folder → text.
        landing: The pattern of its landing files, below the domain's landing folder.
    """

    files: Mapping[str, str]
    landing: str


def draft(survey: Survey, domain: str, table: str, path: str | None = None) -> Draft:
    """Write what was seen as declarations that build as they are.

    Args:
        survey: What was seen.
        domain: The domain's name.
        table: The name of both tables, in bronze and in silver.
        path: The pattern of the landing files; by default all of a folder named like the table.
    """
    pattern = path or f"{table}/*{_ending(survey)}"
    cut = _Cut(survey)
    return Draft(
        {
            f"bronze/{table}.yaml": _bronze(survey, domain, table, pattern, cut),
            f"silver/{table}.sql": _sql(survey, table, cut),
            f"silver/{table}.yaml": _silver(survey, domain, table, cut),
        },
        pattern,
    )


def one_row_per(survey: Survey) -> str:
    """What a record of the drafted table is: its key, and the period where that is part of it."""
    cut = _Cut(survey)
    return ", ".join(survey.key) + (f" and {cut.grain}" if cut.parts_keys else "")


class _Cut:
    """How the tables are partitioned."""

    def __init__(self, survey: Survey) -> None:
        self.event = survey.column(survey.time) if survey.time else None
        self.grain = "month"
        self.timezone = survey.timezone
        self.column: str | None = None
        if self.event:
            self.grain = grain(self.event, survey.rows) or "month"
            self.column = f"{self.event.name}_{self.grain}"
            while self.column in [c.name for c in survey.columns]:
                self.column += "_start"
        #: A key is unique within a period; where it holds the time that says the same.
        self.parts_keys = bool(self.event and survey.key and self.event.name not in survey.key)

    @property
    def expression(self) -> str:
        """The first day of the period by the clock of its zone, over the landed columns."""
        assert self.event is not None
        return f"CAST(date_trunc('{self.grain}', {self.event.day}) AS DATE)"


# --- bronze -----------------------------------------------------------------------------------


def _bronze(survey: Survey, domain: str, table: str, pattern: str, cut: _Cut) -> str:
    lines = [
        *_seen_in(survey),
        *_head(domain, "bronze", table, "As landed. One row per record of a file."),
        *(line for column in survey.columns for line in _landed(column, survey)),
        "customProperties:",
        "- property: lakehouse",
        "  value:",
        *_source(survey, pattern),
    ]
    lines += _partition(cut)
    nested = survey.source.format in ("json", "jsonl")
    extra = "ignore" if nested or survey.ignores else "quarantine_file"
    missing = '"null"' if nested else "refuse_file"
    lines += [
        "    # Files with other columns: quarantine_file, refuse_file or ignore.",
        f"    columns: {{extra: {extra}, missing: {missing}}}",
        "    on_gone: keep",
    ]
    return "\n".join(lines) + "\n"


def _partition(cut: _Cut) -> Iterator[str]:
    if cut.event is None:
        yield "    # No partition: no column says when a record happened, or records are few."
        return
    yield f"    # guess: a record belongs to the {cut.grain} of its {cut.event.name},"
    yield f"    # {_range(cut.event)}. Where the expression gives NULL it goes to quarantine."
    if cut.event.type == "TIMESTAMPTZ":
        yield f"    # Its {cut.grain}s begin at midnight in {cut.timezone}. To correct that, write"
        yield f"    # another wherever {cut.timezone} stands, here and in silver; or import"
        yield "    # again with --timezone."
    yield "    partition:"
    yield f"      column: {cut.column}"
    yield f"      grain: {cut.grain}"
    yield f"      timezone: {_yaml(cut.timezone)}"
    yield f"      expression: {_yaml(cut.expression)}"


def _seen_in(survey: Survey) -> Iterator[str]:
    files = ", ".join(survey.files[:3]) + (" …" if len(survey.files) > 3 else "")
    yield f"# Drafted from {survey.rows:,} records in {len(survey.files)} file(s): {_plain(files)}"
    for rule, count in survey.rejected.items():
        yield f"# {count:,} more cannot be read ({rule}) and will be in quarantine."
    yield from (f"# guess: {_plain(doubt)}" for doubt in survey.doubts)
    for name, why in survey.skipped.items():
        yield f"# Left out: {_plain(name)}: {_plain(why)}"
    yield "# Guesses are marked as such, with what was seen: correct them."


def _head(domain: str, layer: str, table: str, purpose: str) -> Iterator[str]:
    yield "apiVersion: v3.1.0"
    yield "kind: DataContract"
    yield f"id: {domain}.{layer}.{table}"
    yield f"name: {table}"
    yield "version: 0.1.0"
    yield "status: draft"
    yield f"domain: {domain}"
    yield f"description: {{purpose: {_yaml(purpose)}}}"
    yield "schema:"
    yield f"- name: {_yaml(table)}"
    yield "  logicalType: object"
    yield "  physicalType: table"
    yield "  properties:"


def _landed(column: Seen, survey: Survey) -> Iterator[str]:
    typed = survey.source.format == "parquet"
    kind = column.type if typed else "VARCHAR"
    named = f", physicalName: {_yaml(column.landed)}" if column.landed != column.name else ""
    yield (
        f"  - {{name: {_yaml(column.name)}, logicalType: {_LOGICAL[kind]}, "
        f"physicalType: {kind}{named}{', classification: restricted' * (EMAIL in column.notes)}}}"
    )


def _source(survey: Survey, pattern: str) -> Iterator[str]:
    source = survey.source
    yield "    source:"
    yield f"      path: {_yaml(pattern)}  # below the domain's landing folder"
    yield f"      format: {source.format}"
    if source.records:
        yield f"      records: {_yaml(source.records)}  # each element of this list is a record"
    if source.format == "csv":
        yield f"      header: {str(source.header).lower()}"
        yield f"      delimiter: {_yaml(source.delimiter)}"
        if source.quote != '"':
            yield f"      quote: {_yaml(source.quote)}"
    if source.format != "parquet":
        yield f"      encoding: {source.encoding}"
        words = ", ".join(_yaml(word) for word in source.null_values)
        yield f"      null_values: [{words}]"
    yield "      batch: file  # for very many small files: hour or day"


def _ending(survey: Survey) -> str:
    """The files' ending as a pattern: ``.csv*`` takes compressed ones too."""
    endings = {re.sub(r"\.(gz|gzip|zst|zstd)$", "", name.lower()) for name in survey.files}
    found = {name.rpartition(".")[2] if "." in name else "" for name in endings}
    return f".{found.pop()}*" if len(found) == 1 and found != {""} else ""


# --- silver -----------------------------------------------------------------------------------


def _sql(survey: Survey, table: str, cut: _Cut) -> str:
    typed = [c for c in survey.columns if c.is_typed]
    lines = ["-- A draft: each value's reading is a guess from what was seen. Correct it."]
    lines += ["WITH typed AS (", "  SELECT", "    *"]
    for column in typed:
        lines[-1] += ","
        lines.append(f"    -- guess: {_plain('; '.join(_meaning(column)))}")
        lines.append(f"    {column.expression} AS {column.name}_value")
    lines += [f"  FROM bronze.{table}", ")"]
    source = "typed"
    if survey.key:
        lines[-1] = "), latest AS ("
        lines += ["  " + line for line in _latest(survey, cut)] + [")"]
        source = "latest"
    published = [_value(c) + (f" AS {c.name}" if c.is_typed else "") for c in survey.columns]
    published += [*_unreadable(survey), "_source_file", "_row", *filter(None, [cut.column])]
    lines += ["SELECT", ",\n".join(f"  {one}" for one in published), f"FROM {source}"]
    return "\n".join(lines) + "\n"


def _value(column: Seen) -> str:
    return f"{column.name}_value" if column.is_typed else column.name


def _latest(survey: Survey, cut: _Cut) -> Iterator[str]:
    """Keep the record that landed last of those with one key."""
    key = [_value(survey.column(name)) for name in survey.key]
    absent = " OR ".join(f"{name} IS NULL" for name in key)
    within = ", ".join([*filter(None, [cut.column]), *key])
    yield "-- The record that landed last supersedes others with its key."
    yield "SELECT *"
    yield "FROM typed"
    yield "QUALIFY row_number() OVER ("
    yield f"  PARTITION BY {within},"
    yield "    -- A record without a key supersedes nothing: it goes to quarantine by itself."
    yield f"    CASE WHEN {absent} THEN concat_ws(':', _source_file, CAST(_row AS VARCHAR)) END"
    yield "  ORDER BY _landed_at DESC, _source_file DESC, _row DESC) = 1"


def _unreadable(survey: Survey) -> list[str]:
    """A column that names the columns whose text could not be read."""
    read = [c for c in survey.columns if _can_fail(c)]
    if not read:
        return []
    cases = ",\n".join(
        f"    CASE WHEN {_given(c)} AND {_value(c)} IS NULL THEN '{c.name}' END" for c in read
    )
    return [f"nullif(concat_ws(', ',\n{cases}), '') AS unreadable"]


def _can_fail(column: Seen) -> bool:
    return column.is_typed and column.type != "VARCHAR"


def _given(column: Seen) -> str:
    # Blanks alone are no value.
    trimmed = "nullif(trim(" in column.expression
    return f"trim({column.name}) <> ''" if trimmed else f"{column.name} IS NOT NULL"


def _silver(survey: Survey, domain: str, table: str, cut: _Cut) -> str:
    purpose = f"One row per {one_row_per(survey) or 'record'}."
    lines = [
        *_seen_in(survey),
        *_key_told(survey, cut),
        *_head(domain, "silver", table, purpose),
        *(line for column in survey.columns for line in _column(column, survey)),
        *_bookkeeping(survey, cut),
        "customProperties:",
        "- property: lakehouse",
        "  value:",
    ]
    if cut.event:
        lines.append(
            f"    partition: {{column: {cut.column}, grain: {cut.grain}, "
            f"event: {_yaml(cut.event.name)}, timezone: {_yaml(cut.timezone)}}}"
        )
    lines.append(f"    rows: {{from: bronze.{table}}}")
    return "\n".join(lines) + "\n"


def _key_told(survey: Survey, cut: _Cut) -> Iterator[str]:
    if not survey.key:
        yield "# No key was found: no few columns tell all records apart."
        if survey.repeated:
            yield f"# {survey.repeated:,} records are equal to another in every column."
        return
    share = survey.keyed / max(survey.rows, 1)
    told = f"# guess: the key is {', '.join(survey.key)}: {survey.keyed:,} different ones in "
    yield told + f"{survey.rows:,} records ({share:.1%})."
    if survey.keyed < survey.rows:
        repeated = f"{survey.repeated:,} of them equal in every column"
        yield f"# Superseded records: {survey.rows - survey.keyed:,}, {repeated}."
    if cut.event and cut.parts_keys:
        yield f"# A key is looked for within its {cut.grain}: one that comes again with another"
        yield f"# {cut.event.name} in another {cut.grain} would be there twice."


def _column(column: Seen, survey: Survey) -> Iterator[str]:
    yield f"  # {_told(column)}"
    yield f"  - name: {_yaml(column.name)}"
    yield f"    logicalType: {_LOGICAL[column.type]}"
    yield f"    physicalType: {column.type}"
    if EMAIL in column.notes:
        yield "    classification: restricted"
    if column.name in survey.key:
        yield "    primaryKey: true"
        yield f"    primaryKeyPosition: {survey.key.index(column.name) + 1}"
    if column.name in survey.key or column.name == survey.time:
        yield "    required: true"
    elif column.rows >= _ENOUGH and not column.nulls and not column.unreadable:
        yield "    required: true  # guess: none was missing"
    yield from _rules(column)


def _rules(column: Seen) -> Iterator[str]:
    if column.type in ("INTEGER", "BIGINT", "DOUBLE") and _is_positive(column):
        yield "    quality:"
        yield f"    - id: {column.name}_not_negative  # guess: none below 0 was seen"
        yield from _expect("between", "min_value: 0")
        return
    few = 0 < column.distinct <= len(column.common) and column.distinct * 10 <= column.rows
    if column.type == "VARCHAR" and few:
        values = ", ".join(_yaml(value) for value, _ in column.common)
        if max(len(value) for value, _ in column.common) <= _LONGEST:
            yield "    # If these are all there may be, uncomment:"
            yield "    # quality:"
            yield f"    # - id: {column.name}_known"
            for line in _expect("in_set", f"value_set: [{values}]"):
                yield "    # " + line.removeprefix("    ")


def _expect(kind: str, kwargs: str) -> Iterator[str]:
    yield "      type: custom"
    yield "      engine: greatExpectations"
    made = f"expect_column_values_to_be_{kind}"
    yield f"      implementation: {{type: {made}, kwargs: {{{kwargs}}}}}"


def _is_positive(column: Seen) -> bool:
    return bool(column.least) and not str(column.least).startswith("-")


def _bookkeeping(survey: Survey, cut: _Cut) -> Iterator[str]:
    if any(_can_fail(c) for c in survey.columns):
        yield "  - name: unreadable"
        yield "    logicalType: string"
        yield "    physicalType: VARCHAR"
        yield "    description: Columns whose text is no value of its type; none in a published row"
        yield "    quality:"
        yield "    - id: readable"
        yield from _expect("null", "")
    yield "  - {name: _source_file, logicalType: string, physicalType: VARCHAR}"
    yield "  - {name: _row, logicalType: integer, physicalType: BIGINT}"
    if cut.column:
        yield f"  - {{name: {cut.column}, logicalType: date, physicalType: DATE, required: true}}"


# --- words ------------------------------------------------------------------------------------


def _told(column: Seen) -> str:
    """What was seen of a column, on one line."""
    seen = [f"{column.null_share:.1%} NULL in {column.rows:,}", f"{column.distinct:,} different"]
    return "guess: " + _plain(
        "; ".join([*_meaning(column), *seen, *filter(None, [_range(column)])])
    )


def _meaning(column: Seen) -> list[str]:
    """How the values are read, and what is doubtful about that."""
    parts = [column.reading.name] if column.reading else []
    if column.unreadable:
        wrong = ", ".join(repr(_short(value)) for value in column.examples)
        parts.append(f"{column.unreadable:,} cannot be read: {wrong}")
    return [*parts, *column.notes]


def _range(column: Seen) -> str:
    """The values of a code, the first and last of what has an order; never names of people."""
    if column.type == "VARCHAR":
        few = column.distinct <= len(column.common)
        return ", ".join(f"{_short(v)} ({n:,})" for v, n in column.common) if few else ""
    if column.least is None or column.greatest is None:
        return ""
    return f"{_short(column.least)} … {_short(column.greatest)}"


def _short(value: str) -> str:
    return textwrap.shorten(value, _LONGEST, placeholder="…") if len(value) > _LONGEST else value


def _plain(text: str) -> str:
    """Text for a comment: one line, printable."""
    return "".join(c if c.isprintable() else "·" for c in " ".join(text.split()))


def _yaml(text: str) -> str:
    """A string as YAML, quoted where it would be read as something else."""
    if (
        re.fullmatch(r"[A-Za-z_][A-Za-z0-9_ .]*", text)
        and text == text.strip(" .")
        and (text.lower() not in _YAML_WORDS)
    ):
        return text
    dumped: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=math.inf)
    return dumped.strip()


_YAML_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])
