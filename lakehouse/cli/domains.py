"""``lake new``, ``lake import`` and ``lake land``: a domain's first declarations and files."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lakehouse.cli import screen, surveying
from lakehouse.errors import CatalogError, LakehouseError, StorageError, cause

if TYPE_CHECKING:
    from lakehouse.build import Lake
    from lakehouse.drafting import Seen, Survey
    from lakehouse.storage import Storage

__all__ = ["import_", "land", "new"]

_files = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("domain")
def new(domain: str) -> None:
    """Make the folder of a new DOMAIN: a sample, three tables and a model that run at once."""
    from lakehouse import scaffold
    from lakehouse.settings import load

    written = scaffold.scaffold(load().domains, domain)
    screen.say(f"written in {written[0].parents[1]}/:")
    for file in written:
        screen.say(f"  {file}")
    screen.heading("Next")
    screen.say(f"  lake land {domain}                       its sample, into the landing zone")
    screen.say(f"  lake build --domain {domain}             bronze, silver, gold")
    screen.say(f"  lake train {scaffold.MODEL} --domain {domain}     the model")
    screen.say(f"Your own files: lake import {domain} TABLE FILE…; then delete what is not yours.")


@click.command()
@click.argument("domain")
@click.argument("table", required=False)
@click.argument("files", nargs=-1, type=_files)
@click.option("--month", "months", multiple=True, help="Of the sample, only this month: 2026-01.")
@click.option("--as", "name", help="Of one file: its name in the landing zone.")
def land(
    domain: str,
    table: str | None,
    files: tuple[Path, ...],
    months: tuple[str, ...],
    name: str | None,
) -> None:
    """Put files into the landing zone: the sample of DOMAIN, or FILES of a bronze TABLE.

    Files of one name are one file, whatever folder they come from. What is there
    already with the same bytes stays as it is; with other bytes it is replaced, and
    the next plan says so.
    """
    lake = screen.lake()
    place = lake.landing_of(lake.domain(domain).name)
    if table is not None and not files:
        raise click.UsageError("Name the files of the table, or no table to land the sample.")
    if name is not None and len(files) != 1:
        raise click.UsageError("--as names one file of a table.")
    try:
        if table is None:
            landed, replaced = _land_sample(place, lake.domain(domain).path, months)
        else:
            paths = _landing_paths(lake, domain, table, _by_name(files, name))
            landed, replaced = _land_files(place, paths)
    except OSError as error:
        raise StorageError(
            f"land files in {place.uri}",
            cause(error),
            "make room and let this user write there, or name another place (LAKE_LANDING); then "
            "land them again: those that are there already stay as they are",
        ) from error
    if landed:
        screen.say(f"{landed} {'file' if landed == 1 else 'files'} landed in {place.uri}")
    if replaced:
        screen.say(f"{len(replaced)} replaced: {_few(replaced)}")
    if not landed and not replaced:
        screen.say("all have landed before")


def _land_sample(place: Storage, folder: Path, months: Sequence[str]) -> tuple[int, list[str]]:
    """How many files were written; a sample does not change, so that none is replaced."""
    from lakehouse import sample

    return sample.land(place, sample.deliveries(folder), months=months), []


def _land_files(place: Storage, paths: Mapping[str, Path]) -> tuple[int, list[str]]:
    """How many files are new there, and the names of those that have other bytes now."""
    from lakehouse import sample

    landed = 0
    replaced: list[str] = []
    for path, file in paths.items():
        there = place.fsspec().exists(f"{place.root}/{path}")
        if sample.put(place, path, _content(file)):
            landed += not there
            replaced += [path.rpartition("/")[2]] if there else []
    return landed, replaced


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise LakehouseError(
            f"read {file}", cause(error), "name files that this user may read"
        ) from error


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _by_name(files: Sequence[Path], name: str | None) -> dict[str, Path]:
    """Name in the landing zone → file."""
    found: dict[str, Path] = {}
    for file in files:
        other = found.setdefault(name or file.name, file)
        if other.resolve() != file.resolve():
            raise CatalogError(
                f"land {other} and {file}",
                "their names are the same: one would replace the other",
                f"land them one by one under names of their own: --as {shlex.quote(_apart(file))}",
            )
    return found


def _apart(file: Path) -> str:
    """A name that tells a file from those of other folders."""
    return f"{file.resolve().parent.name}_{file.name}"


def _landing_paths(
    lake: Lake, domain: str, name: str, files: Mapping[str, Path]
) -> dict[str, Path]:
    """Path below the domain's landing folder → file."""
    from lakehouse import catalog, landing

    tables = {t.short: t for t in lake.domain(domain).tables.values() if t.query is None}
    short = name if name.startswith("bronze.") else f"bronze.{name}"
    if short not in tables:
        table = catalog.find([lake.domain(domain)], short)
        raise CatalogError(f"land files of {name}", f"{table.name} has no source", "name another")
    source = tables[short].contract.lake.source
    assert source is not None
    fixed = source.path.split("*")[0].split("?")[0].split("[")[0].rpartition("/")[0]
    paths = {f"{fixed}/{own}".lstrip("/"): file for own, file in files.items()}
    for path in paths:
        if ".." in path.split("/") or not landing.takes(source, path):
            raise CatalogError(
                f"land {path}",
                f"{short} takes {source.path!r}, which that is not",
                "rename the file, or widen the path in the contract",
                file=tables[short].contract.path,
            )
    return paths


@click.command("import")
@click.argument("domain")
@click.argument("table")
@click.argument("files", nargs=-1, required=True, type=_files)
@click.option("--format", "form", type=click.Choice(["csv", "jsonl", "json", "parquet"]))
@click.option("--delimiter", help="Of CSV: one character, or 'tab'.")
@click.option("--encoding", help="For example utf-8, cp1252, utf-16.")
@click.option("--header/--no-header", default=None, help="Whether the first line names columns.")
@click.option("--records", help="Of JSON: the list that holds the records, '$.lines[*]'.")
@click.option("--key", help="The key's columns, with commas, where you know them.")
@click.option("--time", help="The column to partition by, where you know it.")
@click.option("--timezone", help="Whose clock times without a zone show, and months go by.")
@click.option("--path", help="Where the files will land; default 'TABLE/*'.")
@screen.json_option
def import_(
    domain: str,
    table: str,
    files: tuple[Path, ...],
    form: str | None,
    delimiter: str | None,
    encoding: str | None,
    header: bool | None,
    records: str | None,
    key: str | None,
    time: str | None,
    timezone: str | None,
    path: str | None,
    as_json: bool,
) -> None:
    """Draft the contracts and the SQL of a TABLE from FILES, for you to correct.

    Writes bronze/TABLE.yaml, silver/TABLE.sql and silver/TABLE.yaml in the folder of
    DOMAIN, never over what is there. Each guess is marked with what was seen. The
    files themselves stay where they are: 'lake land' puts them into the landing zone.
    """
    from lakehouse import drafting
    from lakehouse.scaffold import check_name
    from lakehouse.settings import load

    check_name("domain", domain)
    check_name("table", table)
    folder = load().domains / domain
    _nothing_there(folder, table)
    named = {
        "format": form,
        "delimiter": "\t" if delimiter in ("tab", "\\t") else delimiter,
        "encoding": encoding,
        "header": header,
        "records": records,
    }
    given = {name: value for name, value in named.items() if value is not None}
    keys = [one.strip() for one in (key or "").split(",") if one.strip()]
    with surveying.progress() as on_progress:
        seen = drafting.survey(
            files, given, key=keys, time=time, timezone=timezone, on_progress=on_progress
        )
    made = drafting.draft(seen, domain, table, path)
    for name, text in made.files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    problems = _problems(folder, table)
    if as_json:
        click.echo(json.dumps(_json(seen, [str(folder / n) for n in made.files], problems)))
        return
    _show(seen)
    screen.say("\nwritten, for you to correct:")
    for name in made.files:
        screen.say(f"  {folder / name}")
    for problem in problems:
        screen.say(f"to correct first: {problem}")
    screen.heading("Next")
    screen.say("  lake lint")
    for listed in _to_land(files):
        screen.say(f"  lake land {domain} {table} {listed}")
    screen.say(f"  lake build --domain {domain} silver.{table}")


def _to_land(files: Sequence[Path]) -> Iterator[str]:
    """The words after ``lake land DOMAIN TABLE``, a line for each call."""
    more = " …" * (len(files) > 3)
    if len({file.name for file in files}) == len(files):
        yield " ".join(shlex.quote(str(file)) for file in files[:3]) + more
        return
    for file in files[:3]:
        yield f"{shlex.quote(str(file))} --as {shlex.quote(_apart(file))}"
    if more:
        yield "…"


def _nothing_there(folder: Path, table: str) -> None:
    for layer, ending in (("bronze", "yaml"), ("silver", "sql"), ("silver", "yaml")):
        file = folder / layer / f"{table}.{ending}"
        if file.exists():
            raise CatalogError(
                f"draft the table {table!r}",
                f"there is {file}, which is never overwritten",
                "choose another name for the table, or move the file away",
                file=str(file),
            )


def _problems(folder: Path, table: str) -> list[LakehouseError]:
    from lakehouse import catalog

    own = (f"/{table}.yaml", f"/{table}.sql")
    found = catalog.lint(folder)
    return [e for e in found if e.file is None or any(name in e.file for name in own)]


def _show(seen: Survey) -> None:
    from lakehouse import drafting

    screen.say(_how(seen))
    for doubt in seen.doubts:
        screen.say(f"check: {doubt}")
    rows = [
        [
            column.name + (" (key)" if column.name in seen.key else ""),
            column.type,
            f"{column.null_share:.1%}",
            column.distinct,
            _examples(column),
            "; ".join(_notes(column, seen)),
        ]
        for column in seen.columns
    ]
    screen.table(["column", "type", "NULL", "different", "seen", "check"], rows)
    for rule, count in seen.rejected.items():
        screen.say(f"{count:,} records cannot be read: {rule}")
    for name, why in seen.skipped.items():
        screen.say(f"left out: {name}: {why}")
    if seen.repeated:
        screen.say(f"{seen.repeated:,} records are equal to another in every column")
    if not seen.key:
        screen.say("no key was found: no few columns tell all records apart")
    elif (told := drafting.one_row_per(seen)) != ", ".join(seen.key):
        screen.say(f"note: one row per {told}: a key that comes again in another is there twice")


def _how(seen: Survey) -> str:
    source = seen.source
    told = [f"{seen.rows:,} records in {len(seen.files)} file(s)", source.format]
    if source.format == "csv":
        told.append(f"delimiter {source.delimiter!r}")
        told.append("header" if source.header else "no header")
    if source.records:
        told.append(f"records at {source.records}")
    if source.format != "parquet":
        told.append(source.encoding)
    words = [word for word in source.null_values if word]
    return " · ".join(told) + (f" · NULL is {', '.join(words)}" if words else "")


def _examples(column: Seen) -> str:
    if column.type == "VARCHAR" or column.least is None:
        return ", ".join(value[:20] for value, _ in column.common[:3])
    return f"{column.least[:26]} … {(column.greatest or '')[:26]}"


def _notes(column: Seen, seen: Survey) -> list[str]:
    notes = list(column.notes)
    if column.unreadable:
        notes.insert(0, f"{column.unreadable:,} unreadable, such as {column.examples[0][:20]!r}")
    if column.name == seen.time:
        notes.append("tables are cut by it")
    return notes


def _json(seen: Survey, files: Sequence[str], problems: Sequence[LakehouseError]) -> dict[str, Any]:
    return {
        "schema": 1,
        "rows": seen.rows,
        "rejected": dict(seen.rejected),
        "skipped": dict(seen.skipped),
        "doubts": list(seen.doubts),
        "repeated": seen.repeated,
        "source": seen.source.model_dump(exclude={"path"}),
        "key": list(seen.key),
        "time": seen.time,
        "timezone": seen.timezone,
        "columns": [
            {
                "name": c.name,
                "landed": c.landed,
                "type": c.type,
                "nulls": c.nulls,
                "distinct": c.distinct,
                "least": c.least,
                "greatest": c.greatest,
                "unreadable": c.unreadable,
                "notes": list(c.notes),
            }
            for c in seen.columns
        ],
        "written": list(files),
        "problems": [problem.to_json() for problem in problems],
    }
