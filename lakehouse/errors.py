"""Every error a caller of this library should catch.

    LakehouseError
    ├── SettingsError        a setting is missing or cannot be right
    ├── StorageError         the store cannot be reached or does not do as asked
    │   └── UnsafeStoreError the store would lose commits
    ├── ContractError        a contract file is wrong
    ├── CatalogError         a domain folder is wrong, or has no such table
    │   └── SqlError         a table's SQL is outside the portable subset
    ├── PlanError            the lake is in a state from which no plan can be made
    ├── EngineError          an engine could not stage a target
    ├── CommitError          a commit could not be made
    │   ├── CommitConflict   others won each time
    │   └── SchemaChangeError the table would have to be recreated
    ├── ModelError           a model declaration or training is wrong
    │   └── UntrustedModelError a stored model is refused
    └── StackError           a local service does not start, stop or answer

Each says what was asked, what was found, and the remedy: a command to run or
the file to edit.
"""

from __future__ import annotations

import re

__all__ = [
    "CatalogError",
    "CommitConflict",
    "CommitError",
    "ContractError",
    "EngineError",
    "LakehouseError",
    "ModelError",
    "PlanError",
    "SchemaChangeError",
    "SettingsError",
    "SqlError",
    "StackError",
    "StorageError",
    "UnsafeStoreError",
    "UntrustedModelError",
    "cause",
    "without_login",
]

_LOGIN = re.compile(r"(?<=://)[^/\s@]*:[^/\s]*@")


class LakehouseError(Exception):
    """Base of all errors of this library.

    Args:
        asked: What was to be done, in the user's words.
        found: What stood in the way.
        remedy: The command to run or the file to edit.
        file: ``path`` or ``path:line`` of the file at fault, where there is one.
    """

    exit_code = 1

    def __init__(self, asked: str, found: str, remedy: str, *, file: str | None = None) -> None:
        found = without_login(found)
        super().__init__(asked, found, remedy, file)
        self.asked, self.found, self.remedy, self.file = asked, found, remedy, file

    def __str__(self) -> str:
        where = f"\n  in:     {self.file}" if self.file else ""
        return f"{self.asked}\n  found:  {self.found}{where}\n  remedy: {self.remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process boundaries (Dask, Prefect): keyword arguments are lost otherwise.
        return (_rebuild, (type(self), self.asked, self.found, self.remedy, self.file))

    def to_json(self) -> dict[str, str]:
        """The error as the one JSON document that ``--json`` prints."""
        fields = {
            "error": type(self).__name__,
            "asked": self.asked,
            "found": self.found,
            "remedy": self.remedy,
        }
        return fields | ({"file": self.file} if self.file else {})


def _rebuild(
    kind: type[LakehouseError], asked: str, found: str, remedy: str, file: str | None
) -> LakehouseError:
    return kind(asked, found, remedy, file=file)


class SettingsError(LakehouseError):
    """A setting is missing or cannot be right."""


class StorageError(LakehouseError):
    """The store cannot be reached or does not do as asked."""


class UnsafeStoreError(StorageError):
    """The store has no atomic conditional PUT: two writers would lose commits."""


class ContractError(LakehouseError):
    """A contract file is wrong."""


class CatalogError(LakehouseError):
    """A domain folder is wrong, or has no table of that name."""


class SqlError(CatalogError):
    """A table's SQL cannot be parsed or is outside the portable subset."""


class PlanError(LakehouseError):
    """The lake is in a state from which no plan can be made."""


class EngineError(LakehouseError):
    """An engine could not stage a target."""


class CommitError(LakehouseError):
    """A commit could not be made; what was published before is untouched."""


class CommitConflict(CommitError):
    """Other writers won each of the attempts."""


class SchemaChangeError(CommitError):
    """The contract asks for a change that needs the table to be recreated."""


class ModelError(LakehouseError):
    """A model declaration is wrong, or training cannot go on."""


class UntrustedModelError(ModelError):
    """A stored model is unsigned, tampered with, or holds types that are not allowed."""


class StackError(LakehouseError):
    """A local service does not start, stop or answer."""


def cause(error: BaseException) -> str:
    """What another library's error says, on one line: its kind and its text without colours."""
    text = re.sub(r"\x1b\[[0-9;]*m|↳", "", str(error))
    told = without_login(" ".join(text.split()))
    return f"{type(error).__name__}: {told}"[:400].rstrip(": ")


def without_login(text: str) -> str:
    """A text with addresses as they are without user and password."""
    return _LOGIN.sub("", text)
