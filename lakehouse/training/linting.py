"""What is wrong with a domain's model declarations, held against the contracts of their tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from lakehouse import contract as contracts
from lakehouse.catalog import LAYERS
from lakehouse.contract import Contract
from lakehouse.errors import LakehouseError, ModelError
from lakehouse.strictyaml import did_you_mean, document, line_of
from lakehouse.training import declaration
from lakehouse.training.declaration import ModelDeclaration

__all__ = ["complaints"]


def complaints(folder: Path) -> list[LakehouseError]:
    """Every complaint about the models of a domain. Nothing of them is run, and nothing is read.

    Args:
        folder: The domain's.

    Returns:
        What is wrong with a declaration, its Python, or the tables and columns that it names.
    """
    found: list[LakehouseError] = []
    for file in sorted((folder / "models").glob("*.yaml")):
        try:
            _require_unique(file)
            found += _of_tables(folder, declaration.load(file))
        except LakehouseError as error:
            found.append(error)
    return found


def _require_unique(file: Path) -> None:
    """A registry knows a model by its name alone."""
    domain = file.parents[1]
    others = sorted(f.parents[1].name for f in domain.parent.glob(f"*/models/{file.name}"))
    if len(others) > 1:
        found = f"the domains {', '.join(others)} each declare a model of that name"
        remedy = "rename all but one: in a registry they would be one model"
        raise ModelError(f"load the model {file.stem}", found, remedy, file=str(file))


def _of_tables(folder: Path, model: ModelDeclaration) -> Iterator[ModelError]:
    of, label = model.features, model.label
    yield from _of_table(folder, model, "features", of.table, model.columns, of.event_time)
    if label.table is not None:
        moment = label.event_time or of.event_time
        yield from _of_table(folder, model, "label", label.table, model.label_columns, moment)


def _of_table(
    folder: Path,
    model: ModelDeclaration,
    part: str,
    name: str,
    columns: Sequence[str],
    moment: str,
) -> Iterator[ModelError]:
    known = {f"{layer}.{f.stem}" for layer in LAYERS for f in folder.glob(f"{layer}/*.yaml")}
    if name not in known:
        found = f"there is no table {name}"
        yield _complaint(model, (part, "table"), name, found, did_you_mean(name, known))
        return
    contract = _contract(folder / f"{name.replace('.', '/')}.yaml")
    if contract is None:
        return
    types = contract.types
    for column in columns:
        if column not in types:
            found = f"{name} has no column {column!r}"
            yield _complaint(model, (part,), column, found, did_you_mean(column, types))
    if types.get(moment, _INSTANT) != _INSTANT:
        found = f"{name}.{moment}, the event time, is {types[moment]}"
        yield _complaint(model, (part, "event_time"), moment, found, f"publish it as {_INSTANT}")


_INSTANT = "TIMESTAMPTZ"


def _contract(file: Path) -> Contract | None:
    """None where it is wrong itself: the lint of tables says so."""
    try:
        return contracts.parse(file.read_text(encoding="utf-8"), str(file))
    except (LakehouseError, OSError, UnicodeDecodeError):
        return None


def _complaint(
    model: ModelDeclaration, at: Sequence[str], word: str, found: str, remedy: str
) -> ModelError:
    path = str(model.path)
    asked = f"read the model declaration {path}"
    text = model.path.read_text(encoding="utf-8")
    node, _ = document(text, path, asked, ModelError)
    first = line_of(node, at)
    lines = text.splitlines()
    # The word itself stands there or below: in a list of columns, in a slice.
    said = re.compile(rf"(?<![\w.]){re.escape(word)}\b")
    line = next((n for n in range(first, len(lines) + 1) if said.search(lines[n - 1])), first)
    return ModelError(asked, found, remedy, file=f"{path}:{line}")
