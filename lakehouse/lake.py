"""A place for tables, with the domains declared for it."""

from __future__ import annotations

from dataclasses import dataclass

from lakehouse import catalog
from lakehouse.catalog import Domain, Table
from lakehouse.errors import CatalogError
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

    def domain(self, name: str | None) -> Domain:
        """A domain by name; the only one when there is no name.

        Raises:
            CatalogError: No such domain, or several and none named.
        """
        names = ", ".join(d.name for d in self.domains)
        found = [d for d in self.domains if name in (None, d.name)]
        if len(found) == 1:
            return found[0]
        raise CatalogError(
            f"find the domain {name!r}" if name else "find the domain",
            f"there are {names}",
            f"name one of them: {names}",
        )


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
