"""The folder is the catalog: a domain's tables, what each reads, and their order.

``jobs/flights/silver/weather.sql`` beside ``weather.yaml`` is the table
``flights.silver.weather``. A bronze table is a contract alone.
"""

from __future__ import annotations

import difflib
import functools
import graphlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from lakehouse import __version__, sql
from lakehouse import contract as contracts
from lakehouse.contract import Contract, Read, Rule, digest
from lakehouse.errors import (
    CatalogError,
    ContractError,
    LakehouseError,
    SettingsError,
    SqlError,
    cause,
)
from lakehouse.interval import Grain

__all__ = [
    "LAYERS",
    "Domain",
    "Table",
    "find",
    "folders",
    "lint",
    "load",
    "load_all",
    "unevaluated",
]

LAYERS = ("bronze", "silver", "gold")
_SUFFIXES = (".yaml", ".sql")


@dataclass(frozen=True)
class Table:
    """One declared table.

    Attributes:
        domain: The folder's name.
        layer: ``bronze``, ``silver`` or ``gold``.
        contract: What it promises.
        query: Its SELECT; None for bronze.
    """

    domain: str
    layer: str
    contract: Contract
    query: sql.Query | None

    @property
    def short(self) -> str:
        """The name inside the domain: ``silver.flights``."""
        return f"{self.layer}.{self.contract.name}"

    @property
    def bare(self) -> str:
        """The name inside its layer: ``flights``."""
        return self.contract.name

    @property
    def name(self) -> str:
        """The full name: ``flights.silver.flights``."""
        return f"{self.domain}.{self.short}"

    @property
    def path(self) -> str:
        """The table's place below the lake's root."""
        return f"{self.domain}/{self.layer}/{self.contract.name}"

    @property
    def reads(self) -> Mapping[str, Read]:
        """Inputs by their short name, with how far each is read."""
        if self.query is None:
            return {}
        declared = self.contract.lake.reads
        return {name: declared.get(name, Read()) for name in self.query.reads}

    @functools.cached_property
    def sql_id(self) -> str:
        """The definition's id: the SQL's, or of the reader's options for bronze."""
        if self.query is not None:
            return self.query.id
        lake = self.contract.lake
        assert lake.source is not None
        # Defaults are left out: a new option must not rebuild every lake.
        options = lake.source.model_dump(exclude={"path", "batch"}, exclude_defaults=True)
        expression = lake.partition.expression if lake.partition else None
        names = [self.contract.physical_names] if self.contract.physical_names else []
        policy = lake.columns.model_dump(exclude_defaults=True)
        return digest(sql.KERNEL_MEANING, options, policy, expression, *names)

    @property
    def definition(self) -> str:
        """``<sql>-<contract>``: what every build of this table begins with."""
        return f"{self.sql_id}-{self.contract.id}"


@dataclass(frozen=True)
class Domain:
    """One folder of tables and models."""

    name: str
    path: Path
    tables: Mapping[str, Table]

    @functools.cached_property
    def order(self) -> tuple[Table, ...]:
        """The tables, inputs first."""
        graph = {name: sorted(table.reads) for name, table in sorted(self.tables.items())}
        return tuple(self.tables[name] for name in graphlib.TopologicalSorter(graph).static_order())

    def table(self, name: str) -> Table:
        """A table by ``silver.flights``, ``flights.silver.flights`` or a unique ``weather``.

        Raises:
            CatalogError: None or several have that name.
        """
        return find([self], name)

    def upstream(self, names: Iterable[str]) -> frozenset[str]:
        """The named tables and everything they are made from, by short name."""
        wanted: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in wanted:
                wanted.add(name)
                waiting.extend(self.tables[name].reads)
        return frozenset(wanted)

    def model_files(self) -> tuple[Path, ...]:
        """The model declarations of the domain."""
        return tuple(sorted((self.path / "models").glob("*.yaml")))


def find(domains: Iterable[Domain], name: str) -> Table:
    """A table by its full name, its name inside a domain, or its bare name where unique.

    Raises:
        CatalogError: None or several have that name.
    """
    tables = [table for domain in domains for table in domain.tables.values()]
    for form in ("name", "short", "bare"):
        found = [t for t in tables if getattr(t, form) == name]
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(t.name for t in found)
            raise CatalogError(
                f"find the table {name!r}", f"{len(found)} tables: {listed}", "write the full name"
            )
    known = [t.name for t in tables] + [t.short for t in tables]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    raise CatalogError(
        f"find the table {name!r}",
        "no such table; there are " + (", ".join(t.name for t in tables) or "none"),
        f"did you mean {close[0]!r}?" if close else "see 'lake show'",
    )


def load_all(folder: Path, state: Path | None = None) -> tuple[Domain, ...]:
    """Every domain below a folder: each sub-folder that has one of the layers.

    Args:
        folder: The domains' folder.
        state: Where it is remembered which declarations the lint has passed, so
            that it need not read the same SQL at every start.

    Raises:
        CatalogError: There is none, or one is wrong.
    """
    return tuple(load(child, state) for child in folders(folder))


def folders(folder: Path) -> list[Path]:
    """The domains' own folders: each that has one of the layers.

    Raises:
        CatalogError: There is none.
    """
    found = [
        child
        for child in (sorted(folder.iterdir()) if folder.is_dir() else [])
        if any((child / layer).is_dir() for layer in LAYERS)
    ]
    if not found:
        raise CatalogError(
            f"find the domains below {folder}/",
            "no folder with bronze/, silver/ or gold/ in it",
            "run 'lake' in the project's folder, set LAKE_DOMAINS, or make one: lake new DOMAIN",
        )
    return found


def load(folder: Path, state: Path | None = None) -> Domain:
    """Read one domain: contracts and SQL, linted.

    Raises:
        ContractError, SqlError, CatalogError: The first complaint, with file, line and remedy.
    """
    mark = state / "linted" / _digest(folder) if state else None
    domain, problems = _read(folder, linted=mark is not None and mark.exists())
    if problems:
        raise problems[0]
    if mark is not None and not mark.exists():
        _remember(mark)
    return domain


def _remember(mark: Path) -> None:
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError as error:
        raise SettingsError(
            f"write to the state folder {mark.parents[1]}",
            cause(error),
            "set LAKE_STATE to a folder that you may write to",
        ) from error


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CatalogError(
            f"load {file}", f"not UTF-8: {error}", "save the file as UTF-8", file=str(file)
        ) from error


def _digest(folder: Path) -> str:
    """Of everything that the lint reads, and of the lint."""
    files = sorted(f for layer in LAYERS for f in (folder / layer).glob("*.*"))
    texts = [[str(f.relative_to(folder)), f.read_bytes().hex()] for f in files]
    return digest(__version__, version("sqlglot"), texts)


def lint(folder: Path) -> list[LakehouseError]:
    """Every complaint about a domain rather than the first."""
    return _read(folder, linted=False)[1]


def unevaluated(folder: Path) -> list[tuple[Table, Rule]]:
    """The written rules of a domain that no engine evaluates: they pass the lint and never pass."""
    tables = _read(folder, linted=True)[0].tables.values()
    return [(t, rule) for t in tables for rule in t.contract.rules if rule.scope == "unsupported"]


def _read(folder: Path, *, linted: bool) -> tuple[Domain, list[LakehouseError]]:
    tables: dict[str, Table] = {}
    problems: list[LakehouseError] = []
    for layer in LAYERS:
        files = {f.stem: f for f in sorted((folder / layer).glob("*")) if f.suffix in _SUFFIXES}
        for file in files.values():
            try:
                table = _table(folder.name, layer, file.with_suffix(".yaml"), linted=linted)
                tables[table.short] = table
            except LakehouseError as error:
                problems.append(error)
    domain = Domain(folder.name, folder, tables)
    if not problems:
        problems = [
            error
            for table in tables.values()
            for check in (_wrong_reads, _wrong_partition)
            for error in check(domain, table)
        ]
    if not problems:
        problems = _circle(domain)
    if not problems and not linted:
        problems = [
            error
            for table in tables.values()
            for error in (*_findings(domain, table), *_patterns(table))
        ]
    return domain, problems


def _table(domain: str, layer: str, file: Path, *, linted: bool) -> Table:
    if not file.exists():
        raise CatalogError(
            f"load {file.with_suffix('.sql')}",
            "SQL without a contract",
            f"write {file.name} beside it (see the README)",
            file=str(file.with_suffix(".sql")),
        )
    contract = contracts.parse(_text(file), str(file), checked=linted)
    if contract.name != file.stem:
        raise CatalogError(
            f"load {file}",
            f"schema name {contract.name!r}",
            f"file and table share a name: write {file.stem!r}",
            file=str(file),
        )
    source = file.with_suffix(".sql")
    if contract.lake.source is None and not source.exists():
        raise CatalogError(
            f"load {file}",
            "neither a source (bronze) nor SQL",
            f"write {source.name} beside it, or add 'source:' to the contract",
            file=str(file),
        )
    if contract.lake.source is not None:
        if layer != "bronze" or source.exists():
            raise CatalogError(
                f"load {file}",
                "a source outside bronze, or beside SQL",
                "bronze tables have a source, all others SQL",
                file=str(file),
            )
        return Table(domain, layer, contract, None)
    query = sql.parse(_text(source), str(source))
    return Table(domain, layer, contract, query)


def _wrong_reads(domain: Domain, table: Table) -> Iterator[CatalogError]:
    for name in table.reads:
        if name not in domain.tables:
            assert table.query is not None
            close = difflib.get_close_matches(name, domain.tables, n=1)
            yield SqlError(
                f"load {table.name}",
                f"reads {name}, which the domain has not",
                f"did you mean {close[0]!r}?" if close else f"there are {', '.join(domain.tables)}",
                file=table.query.path,
            )
    lake = table.contract.lake
    if lake.rows and (lake.reads.get(lake.rows.from_, Read()).lookback or False):
        yield CatalogError(
            f"load {table.name}",
            f"rows from {lake.rows.from_}, which is read with a lookback: its rows belong to "
            "several partitions",
            "delete 'rows:' or the lookback",
            file=table.contract.path,
        )
    for name in {*lake.reads, *([lake.rows.from_] if lake.rows else [])} - set(table.reads):
        yield CatalogError(
            f"load {table.name}",
            f"the contract declares a read of {name}, but the SQL does not read it",
            f"delete it from reads, or read it; the SQL reads {', '.join(table.reads)}",
            file=table.contract.path,
        )


def _wrong_partition(domain: Domain, table: Table) -> Iterator[CatalogError]:
    """A partitioned table needs an input that says which partitions there are."""
    ours = table.contract.lake.partition
    if ours is None or table.query is None:
        return
    known = [domain.tables[name] for name in table.reads if name in domain.tables]
    parts = [one.contract.lake.partition for one in known]
    timed = ours.grain is not Grain.value
    for theirs in filter(None, parts):
        if (theirs.column, theirs.grain) == (ours.column, ours.grain):
            return
        if timed and theirs.grain is not Grain.value:
            return
    wanted = "by time" if timed else f"by the values of a column {ours.column!r}"
    yield CatalogError(
        f"load {table.name}",
        f"it is partitioned by {ours.column}, and no input is partitioned {wanted}: nothing "
        "says which partitions there are",
        f"partition {', '.join(table.reads)} so, or delete 'partition:' here: the table is then "
        "one target",
        file=table.contract.path,
    )


def _circle(domain: Domain) -> list[LakehouseError]:
    try:
        _ = domain.order
    except graphlib.CycleError as error:
        return [
            CatalogError(
                f"order the tables of {domain.name}",
                f"a circle: {' → '.join(error.args[1])}",
                "a table cannot read itself: recompute it from bronze, "
                "or read a window of its input with a lookback",
            )
        ]
    return []


def _findings(domain: Domain, table: Table) -> Iterator[SqlError]:
    if table.query is None:
        return
    partition = table.contract.lake.partition
    for finding in sql.lint(
        table.query,
        inputs=sql_inputs(domain, table),
        output=table.contract.types,
        partition=partition.column if partition else None,
        layer=table.layer,
    ):
        yield SqlError(
            f"load {table.name}",
            f"{finding.code}: {finding.message}",
            finding.remedy,
            file=f"{table.query.path}:{finding.line}",
        )


def _patterns(table: Table) -> Iterator[LakehouseError]:
    """Rules of a table with SQL, which any engine may judge; bronze has one reader."""
    for rule in table.contract.rules if table.query is not None else ():
        pattern = rule.kwargs.get("regex")
        problem = sql.pattern_problem(pattern) if isinstance(pattern, str) else None
        if problem:
            yield ContractError(
                f"load {table.name}",
                f"rule {rule.id}: {problem}",
                "write it out: [0-9A-Za-z_] for \\w, [ \\t\\n\\r] for \\s, no (?…) and no a++",
                file=table.contract.path,
            )


def sql_inputs(domain: Domain, table: Table) -> dict[str, sql.Input]:
    """What a table's SQL may know of the tables that it reads."""
    return {name: _sql_input(domain.tables[name], read) for name, read in table.reads.items()}


def _sql_input(table: Table, read: Read) -> sql.Input:
    part = table.contract.lake.partition
    # A landed row is named by its file and its number in it.
    key = table.contract.key or (("_source_file", "_row") if table.query is None else ())
    return sql.Input(
        table.contract.types,
        key,
        part.column if part else None,
        bool(read.lookback or read.lookahead),
        read.lookback,
        read.lookahead,
    )
