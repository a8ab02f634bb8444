"""A place for tables, with the domains declared for it."""

from __future__ import annotations

import contextlib
import difflib
import fcntl
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lakehouse import catalog
from lakehouse.catalog import Domain, Table
from lakehouse.errors import CatalogError, ModelError
from lakehouse.settings import Settings
from lakehouse.storage import Storage, connect

__all__ = ["Lake", "open_lake"]


@dataclass(frozen=True)
class Lake:
    """A place for tables and the domains declared for it."""

    settings: Settings
    storage: Storage
    landing: Storage
    domains: tuple[Domain, ...]

    def place(self, table: Table) -> Storage:
        """Where a table's data is."""
        return self.storage.at(*table.path.split("/"))

    def landing_of(self, domain: str) -> Storage:
        """Where a domain's files land."""
        return self.landing.at(domain)

    def domain(self, name: str | None, tables: Sequence[str] = ()) -> Domain:
        """A domain by name; without a name the only one, or the one that has the tables.

        Args:
            name: The domain's.
            tables: Where there are several domains: full names, or short ones that are unique
                over all of them.

        Raises:
            CatalogError: No such domain or table; or several domains, and neither a name nor
                tables that say which.
        """
        known = {d.name: d for d in self.domains}
        if name is not None and name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            remedy = f"did you mean {close[0]!r}?" if close else "name one of them"
            raise CatalogError(f"find the domain {name!r}", f"there are {_list(known)}", remedy)
        if name is None and len(known) > 1:
            name = self._owner(tables)
        return known[name] if name else self.domains[0]

    def model(self, name: str, domain: str | None = None) -> tuple[Domain, Path]:
        """The domain that declares a model, and the file of its declaration.

        Args:
            name: The model's.
            domain: Its domain, where it is known.

        Raises:
            ModelError: No domain declares it, or more than one: a registry has one of a name.
        """
        every = [(one, file) for one in self.domains for file in one.model_files()]
        found = [(one, file) for one, file in every if file.stem == name]
        if len(found) > 1:
            raise ModelError(
                f"find the model {name!r}",
                f"the domains {_list(one.name for one, _ in found)} each declare it",
                "rename all but one: in a registry they would be one model",
            )
        if not found or domain not in (None, found[0][0].name):
            known = sorted(file.stem for one, file in every if domain in (None, one.name))
            raise ModelError(
                f"find the model {name!r}{f' of {domain}' if domain else ''}",
                f"declared: {_list(known) or 'none'}",
                f"name one of them, or write {name}.yaml in a domain's models/ folder",
            )
        return found[0]

    @contextlib.contextmanager
    def alone(self, act: str) -> Iterator[None]:
        """Wait until nobody else on this machine does the same; a death lets go.

        Args:
            act: What is done inside the block, as a file may be named.
        """
        folder = self.settings.state / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{act}.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield

    def _owner(self, tables: Sequence[str]) -> str:
        owners = dict.fromkeys(catalog.find(self.domains, table).domain for table in tables)
        if len(owners) == 1:
            return next(iter(owners))
        if owners:
            found, remedy = f"the tables are of {_list(owners)}", "name those of one at a time"
        else:
            found = f"there are {_list(d.name for d in self.domains)}"
            remedy = "add '--domain NAME', or name tables of one domain"
        raise CatalogError("choose a domain", found, remedy)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def open_lake(settings: Settings) -> Lake:
    """The lake of the settings, its domains read and linted.

    Raises:
        CatalogError, ContractError, SqlError: A declaration is wrong.
    """
    return Lake(
        settings,
        connect(settings, settings.lake_uri),
        connect(settings, settings.landing_uri),
        catalog.load_all(settings.domains, settings.state),
    )
