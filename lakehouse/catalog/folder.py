"""A domain's folder, read: contracts, SQL and Python, linted."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from lakehouse import __version__, code, sql
from lakehouse import contract as contracts
from lakehouse.catalog.linting import complaints
from lakehouse.catalog.table import Domain, Table
from lakehouse.contract import Contract, Rule, digest
from lakehouse.errors import CatalogError, LakehouseError, SettingsError, cause

__all__ = ["LAYERS", "folders", "lint", "load", "load_all", "unevaluated"]

LAYERS = ("bronze", "silver", "gold")
#: What defines a table beside its contract, with its name in messages.
_MADE_BY = {".sql": "SQL", ".py": "Python"}


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
    lint = [f.read_text(encoding="utf-8") for f in sorted(Path(sql.__file__).parent.glob("*.py"))]
    return digest(__version__, version("sqlglot"), version("duckdb"), lint, texts)


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
        for name in _names(folder / layer):
            try:
                table = _table(folder, layer, folder / layer / f"{name}.yaml", linted=linted)
                tables[table.short] = table
            except LakehouseError as error:
                problems.append(error)
    domain = Domain(folder.name, folder, tables)
    return domain, problems or complaints(domain, linted=linted)


def _names(layer: Path) -> list[str]:
    """The tables of a layer; Python files that begin with ``_`` only help others."""
    suffixes = (".yaml", *_MADE_BY)
    files = [f for f in layer.glob("*") if f.suffix in suffixes]
    return sorted({f.stem for f in files if not (f.suffix == ".py" and f.stem.startswith("_"))})


def _table(folder: Path, layer: str, file: Path, *, linted: bool) -> Table:
    made_by = [file.with_suffix(end) for end in _MADE_BY if file.with_suffix(end).exists()]
    if not file.exists():
        raise CatalogError(
            f"load {made_by[0]}",
            f"{_MADE_BY[made_by[0].suffix]} without a contract",
            f"write {file.name} beside it (see the README)",
            file=str(made_by[0]),
        )
    contract = contracts.parse(_text(file), str(file), checked=linted)
    if contract.name != file.stem:
        raise CatalogError(
            f"load {file}",
            f"schema name {contract.name!r}",
            f"file and table share a name: write {file.stem!r}",
            file=str(file),
        )
    if contract.lake.source is None:
        return _made(folder, layer, contract, made_by)
    if layer != "bronze" or made_by:
        raise CatalogError(
            f"load {file}",
            "a source outside bronze, or beside "
            + (_MADE_BY[made_by[0].suffix] if made_by else "SQL"),
            "bronze tables have a source, all others SQL",
            file=str(file),
        )
    return Table(folder.name, layer, contract, None)


def _made(folder: Path, layer: str, contract: Contract, made_by: list[Path]) -> Table:
    """A table that is made of others, by one file."""
    if len(made_by) != 1:
        own = Path(contract.path).with_suffix("").name
        raise CatalogError(
            f"load {contract.path}",
            "SQL and Python: one of them defines a table"
            if made_by
            else "neither a source (bronze) nor SQL",
            f"delete {own}.sql or {own}.py"
            if made_by
            else f"write {own}.sql beside it, or add 'source:' to the contract",
            file=contract.path,
        )
    (file,) = made_by
    if file.suffix == ".py":
        return Table(folder.name, layer, contract, None, code.read(file, folder))
    return Table(folder.name, layer, contract, sql.parse(_text(file), str(file)))
