"""The catalog's nouns: a table, a domain, and how they are found by name."""

from __future__ import annotations

import difflib
import functools
import graphlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lakehouse import sql
from lakehouse.code import Code
from lakehouse.contract import Contract, Read, Reference, digest, reference
from lakehouse.errors import CatalogError

__all__ = ["FUNCTION", "Domain", "Table", "find", "sql_inputs"]

#: The function of a Python table's file.
FUNCTION = "table"
#: Tables that an error names.
_LISTED = 12


@dataclass(frozen=True)
class Table:
    """One declared table.

    Attributes:
        domain: The folder's name.
        layer: ``bronze``, ``silver`` or ``gold``.
        contract: What it promises.
        query: Its SELECT; None for bronze and for Python tables.
        code: Its Python file; None for the others.
    """

    domain: str
    layer: str
    contract: Contract
    query: sql.Query | None
    code: Code | None = None

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
    def landed(self) -> bool:
        """Whether its rows are those of landing files: a bronze table."""
        return self.contract.lake.source is not None

    @property
    def definition_file(self) -> str:
        """The file that says how its rows are made: SQL, Python, or for bronze the contract."""
        made_by = self.query or self.code
        return made_by.path if made_by else self.contract.path

    @property
    def reads(self) -> Mapping[str, Read]:
        """Inputs by their short name, with how far each is read: all that a build looks at."""
        declared, referred = self.contract.lake.reads, {r.table for r in self.references.values()}
        made_of = self.query.reads if self.query else declared if self.code else ()
        return {name: declared.get(name, Read()) for name in sorted({*made_of, *referred})}

    @property
    def made_of(self) -> Mapping[str, Read]:
        """The inputs that its rows are made of: not those that a relationship alone looks at."""
        named = self.arguments.values() if self.code else self.query.reads if self.query else ()
        return {name: read for name, read in self.reads.items() if name in named}

    @functools.cached_property
    def references(self) -> Mapping[str, Reference]:
        """Rule id → what it refers to, of each relationship."""
        found = {rule.id: reference(rule) for rule in self.contract.rules}
        return {rule: one for rule, one in found.items() if one is not None}

    @functools.cached_property
    def arguments(self) -> Mapping[str, str]:
        """Of a Python table: a parameter of its function → the input that it is passed.

        A parameter is named as the table, ``flights``, or with its layer, ``silver_flights``.

        Raises:
            CatalogError: A parameter is no input, or could be two.
        """
        if self.code is None:
            return {}
        return {name: self._argument(name) for name in self.code.parameters(FUNCTION)}

    def _argument(self, parameter: str) -> str:
        declared = sorted(self.contract.lake.reads)
        forms = {name: (name.partition(".")[2], name.replace(".", "_")) for name in declared}
        found = [name for name, named in forms.items() if parameter in named]
        if len(found) == 1:
            return found[0]
        assert self.code is not None
        raise CatalogError(
            f"load {self.name}",
            f"parameter {parameter!r} of {FUNCTION}() may be {' or '.join(found)}"
            if found
            else f"parameter {parameter!r} of {FUNCTION}() is no input of the contract",
            f"name it {' or '.join(n.replace('.', '_') for n in found)}"
            if found
            else f"name its table under 'reads:' in {self.contract.path}; there stand "
            + (", ".join(declared) or "none"),
            file=self.code.path,
        )

    @functools.cached_property
    def sql_id(self) -> str:
        """The definition's id: of the SQL, of the code, or of the reader's options for bronze."""
        if self.query is not None:
            return self.query.id
        if self.code is not None:
            return digest(sql.KERNEL_MEANING, self.code.id)
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

    @property
    def accepted(self) -> tuple[str, ...]:
        """The definitions whose rows are those of the declared one, itself first."""
        return (self.definition, *self.contract.lake.accepts)


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
    named = [t.name for t in tables[:_LISTED]]
    if len(tables) > _LISTED:
        named.append(f"{len(tables) - _LISTED} more")
    raise CatalogError(
        f"find the table {name!r}",
        "no such table; there are " + (", ".join(named) or "none"),
        f"did you mean {close[0]!r}?" if close else "see 'lake show'",
    )


def sql_inputs(domain: Domain, table: Table) -> dict[str, sql.Input]:
    """What a table's SQL may know of the tables that it reads."""
    return {name: _sql_input(domain.tables[name], read) for name, read in table.made_of.items()}


def _sql_input(table: Table, read: Read) -> sql.Input:
    part = table.contract.lake.partition
    # A landed row is named by its file and its number in it.
    key = table.contract.key or (("_source_file", "_row") if table.landed else ())
    return sql.Input(
        table.contract.types,
        key,
        part.column if part else None,
        bool(read.lookback or read.lookahead),
        read.lookback,
        read.lookahead,
    )
