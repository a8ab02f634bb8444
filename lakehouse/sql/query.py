"""One table's SELECT: parsed, named by what it means, and the tables it reads."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from lakehouse.contract import digest
from lakehouse.errors import SqlError

__all__ = ["KERNEL_MEANING", "Query", "parse", "position"]

#: Part of every SQL id. Raise it when a macro, a rendering rule or a reader changes the rows that
#: the same SQL gives: every table is then rebuilt once.
KERNEL_MEANING = 2


@dataclass(frozen=True)
class Query:
    """The SELECT of one table, in DuckDB's dialect.

    Equal queries have the same text and path; use :attr:`id` to ask whether two
    mean the same.

    Attributes:
        path: The file it was read from, for messages.
        text: The SELECT alone, without what follows it.
    """

    path: str
    text: str

    @functools.cached_property
    def ast(self) -> exp.Query:
        """The parsed SELECT. Shared: copy it before changing it."""
        return _parsed(self.text, self.path)

    @functools.cached_property
    def id(self) -> str:
        """Ten hex digits that comments, white space, letter case and quoting do not change."""
        canonical = self.ast.copy()
        for name in canonical.find_all(exp.Identifier):
            name.set("this", name.name.lower())
            name.args["quoted"] = True
        for literal in canonical.find_all(exp.Literal):
            if not literal.is_string:
                literal.set("this", literal.name.lower())
        # The parser keeps the case of these keywords.
        for node in canonical.find_all(exp.WindowSpec, exp.Var):
            for option, word in node.args.items():
                if isinstance(word, str):
                    node.set(option, word.upper())
        return digest(KERNEL_MEANING, canonical.sql(dialect="duckdb", comments=False))

    @functools.cached_property
    def reads(self) -> tuple[str, ...]:
        """The tables read, as ``layer.table``, sorted.

        Raises:
            SqlError: A table has one part (and is no CTE) or three, or is a file or a function.
        """
        return tuple(sorted({self.read(table) for table in self.tables()}))

    def tables(self) -> Iterator[exp.Table]:
        """Each mention of a table that is no CTE where it stands."""
        for table in self.ast.find_all(exp.Table):
            if table.db or table.catalog or not _is_cte(table):
                yield table

    def read(self, table: exp.Table) -> str:
        """A mention's name, ``layer.table``, or its error."""
        if not isinstance(table.this, exp.Identifier):
            raise self.error(table, f"{table.this.sql('duckdb')} as a table", "read a table")
        if table.catalog or not table.db:
            written = ".".join(part.name for part in table.parts)
            remedy = "write layer.table, for example silver.flights; a CTE is defined before use"
            raise self.error(table, f"table {written!r}", remedy)
        return f"{table.db}.{table.name}".lower()

    def error(self, node: exp.Expr, found: str, remedy: str) -> SqlError:
        """An error at the line of ``node``."""
        return _error(self.path, position(self.text, node)[0], found, remedy)

    def __reduce__(self) -> tuple[object, ...]:
        # Parsing again is faster than carrying the tree between processes.
        return (Query, (self.path, self.text))


def parse(text: str, path: str) -> Query:
    """Read one table's SELECT.

    Args:
        text: DuckDB SQL: exactly one SELECT, which may begin with WITH.
        path: The file's name, for messages and in the errors' ``file``.

    Raises:
        SqlError: It cannot be parsed, or is not exactly one SELECT, or reads something that is
            no ``layer.table``.
    """
    try:
        tokens = sqlglot.tokenize(text, read="duckdb")
    except TokenError as error:
        raise _error(path, 1, str(error).splitlines()[0], "close the quote or comment") from error
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    if not tokens:
        raise _error(path, 1, "nothing", "write one SELECT")
    # Lines above the SELECT stay, so that DuckDB's own messages name the file's lines.
    query = Query(path, text[: tokens[-1].end + 1])
    for table in query.tables():
        query.read(table)
    return query


def position(text: str, node: exp.Expr) -> tuple[int, int]:
    """Line and column, from 1, at which a node begins, as near as the parser remembers."""
    found: exp.Expr | None = node
    while found is not None:
        starts = [n.meta["start"] for n in found.walk() if "start" in n.meta]
        if starts:
            start = int(min(starts))
            return text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
        found = found.parent
    return 1, 1


def _parsed(text: str, path: str) -> exp.Query:
    try:
        made = sqlglot.parse(text, read="duckdb")
    except ParseError as error:
        first = error.errors[0]
        found = f"{first['description']} near {first['highlight']!r}"
        raise _error(path, first["line"] or 1, found, "correct the SQL") from error
    if len(made) != 1:
        line = position(text, made[1])[0] if made[1] is not None else 1
        raise _error(path, line, f"{len(made)} statements", "one file holds one SELECT")
    if not isinstance(made[0], exp.Select | exp.SetOperation):
        found = type(made[0]).__name__.upper() if made[0] else "nothing"
        raise _error(path, 1, found, "a table is one SELECT; the library does the writing")
    return made[0]


def _is_cte(table: exp.Table) -> bool:
    above: exp.Expr | None = table
    while above is not None:
        with_ = above.args.get("with_")
        if with_ and any(cte.alias.lower() == table.name.lower() for cte in with_.expressions):
            return True
        above = above.parent
    return False


def _error(path: str, line: int, found: str, remedy: str) -> SqlError:
    return SqlError(f"read the SQL {path}", found, remedy, file=f"{path}:{line}")
