"""YAML files as strict models: every complaint names its line and the likely meaning."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from lakehouse.errors import LakehouseError, ModelError

__all__ = ["complaint", "did_you_mean", "document", "line_of", "read"]

M = TypeVar("M", bound=BaseModel)

#: The same loader in C where the package was built with it: ten times as fast.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: Path, model: type[M], *, context: Mapping[str, Any]) -> M:
    """Read a file as a strict model.

    Args:
        path: The YAML file.
        model: The pydantic model; keys that it does not know are refused.
        context: Handed to the model's ``model_post_init``.

    Raises:
        ModelError: With file, line and remedy.
    """
    asked = f"read the model declaration {path}"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ModelError(asked, str(error), "write the declaration", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise ModelError(asked, str(error), "save the file as UTF-8", file=str(path)) from error
    root, raw = document(text, str(path), asked, ModelError)
    try:
        return model.model_validate(raw, context=dict(context))
    except ValidationError as error:
        at, found, remedy = complaint(model, error)
        raise ModelError(asked, found, remedy, file=f"{path}:{line_of(root, at)}") from error


def document(
    text: str, path: str, asked: str, kind: type[LakehouseError]
) -> tuple[yaml.Node | None, Any]:
    """A YAML text as nodes, which know their lines, and as values.

    Raises:
        LakehouseError: Of ``kind``: it is not YAML, or writes a key twice.
    """
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        raw = loader.construct_document(root) if root else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        found = f"not YAML: {getattr(error, 'problem', error)}"
        raise kind(asked, found, f"mend line {line}", file=f"{path}:{line}") from error
    for twice in _written_twice(root):
        where = f"{path}:{twice.start_mark.line + 1}"
        found = f"key {twice.value!r} is written twice"
        raise kind(asked, found, "keep one of the two", file=where)
    return root, raw


def did_you_mean(word: str, known: Collection[str]) -> str:
    """A remedy for a misspelled word: the nearest known one, or all of them."""
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"


def line_of(node: yaml.Node | None, at: Sequence[str | int]) -> int:
    """The line (from 1) of the deepest part of the path that was written."""
    line = node.start_mark.line + 1 if node else 1
    for key in at:
        if isinstance(node, yaml.MappingNode):
            written = {k.value: (k, v) for k, v in node.value}
            if str(key) not in written:
                continue  # a missing key, or the name of the class that a part was taken for
            named, node = written[str(key)]
            line = named.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
        else:
            break
    return line


def complaint(
    model: type[BaseModel], error: ValidationError
) -> tuple[tuple[str | int, ...], str, str]:
    """Where a model was not met, what was found there, and the remedy."""
    # A misspelled key is also a missing one: the first says what to do.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    at = first["loc"]
    if first["type"] == "extra_forbidden":
        return at, f"unknown key {at[-1]!r}", did_you_mean(str(at[-1]), _fields(model, at[:-1]))
    if first["type"] == "missing":
        return at, f"key {at[-1]!r} is missing", f"add '{at[-1]}:'"
    if first["type"] == "value_error":
        found, _, remedy = str(first["ctx"]["error"]).partition("; ")
        return at, found, remedy or "correct the value"
    name = ".".join(str(key) for key in at if not str(key)[:1].isupper()) or "the file"
    return at, f"{name}: {first['msg']}", "correct the value"


def _fields(model: type[BaseModel], at: Sequence[str | int]) -> set[str]:
    alike: dict[str, type[BaseModel]] = {}
    for key in at:
        if isinstance(key, str) and key in model.model_fields:
            alike = {m.__name__: m for m in _models(model.model_fields[key].annotation)}
            model = next(iter(alike.values()), model)
        elif isinstance(key, str):
            model = alike.get(key, model)
    return {field.alias or name for name, field in model.model_fields.items()}


def _models(kind: Any) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for inner in get_args(kind):
        yield from _models(inner)


def _written_twice(node: yaml.Node | None) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key
            seen.add(key.value)
            yield from _written_twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _written_twice(value)
