"""The Open Data Contract Standard, held to the letter."""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from lakehouse.strictyaml import did_you_mean

__all__ = ["VERSIONS", "complaints"]

#: What ``apiVersion`` may say.
VERSIONS = ("v3.1.0", "v3.2.0")

_At = tuple[str | int, ...]


def complaints(raw: Mapping[str, Any]) -> Iterator[tuple[_At, str, str]]:
    """Each place where a document is no contract of the standard: (where, found, remedy).

    The standard's own package ignores keys it does not know, below the top level
    silently: what was parsed is therefore compared with what was written.
    """
    from open_data_contract_standard.model import OpenDataContractStandard

    if raw.get("apiVersion") not in VERSIONS:
        yield ("apiVersion",), f"apiVersion {raw.get('apiVersion')!r}", "write 'apiVersion: v3.1.0'"
        return
    try:
        model = OpenDataContractStandard.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        yield first["loc"], first["msg"], "correct the value"
        return
    parsed = model.model_dump(by_alias=True, exclude_unset=True)
    for at, key in _dropped(raw, parsed):
        yield (*at, key), f"unknown key {key!r}", did_you_mean(key, _KEYS)
    problems = _schema().iter_errors(_plain(raw))
    for problem in sorted(problems, key=lambda e: list(map(str, e.absolute_path))):
        if "relationships" in problem.absolute_path:
            # What the schema says of them is of its own making: alternatives, none of which fits.
            found = f"no relationship in the standard's form: {problem.instance}"
            yield tuple(problem.absolute_path), found[:300], _RELATIONSHIP
        else:
            yield tuple(problem.absolute_path), problem.message[:300], "see the standard, v3.1.0"
    if len(raw.get("schema") or []) != 1:
        yield ("schema",), "not exactly one schema", "one contract, one table"


def _dropped(written: Any, parsed: Any, at: _At = ()) -> Iterator[tuple[_At, str]]:
    """Each written key that the parsed model does not hold."""
    if isinstance(written, dict) and isinstance(parsed, dict):
        for key, value in written.items():
            if key not in parsed:
                yield at, key
            elif key != "value":
                yield from _dropped(value, parsed[key], (*at, key))
    elif isinstance(written, list) and isinstance(parsed, list):
        for i, (one, other) in enumerate(zip(written, parsed, strict=False)):
            yield from _dropped(one, other, (*at, i))


_RELATIONSHIP = (
    "write {id: …, to: <layer>.<table>.<column>} at the column; of several columns, at the table, "
    "{id: …, from: [<own table>.<column>, …], to: [<layer>.<table>.<column>, …]}"
)
_KEYS = {
    *("id", "name", "logicalType", "physicalType", "description", "required", "unique"),
    *("primaryKey", "primaryKeyPosition", "partitioned", "classification", "quality"),
    *("customProperties", "properties", "slaProperties", "schema", "version", "status"),
    *("engine", "implementation", "type", "metric", "arguments", "mustBe", "mustBeBetween"),
    *("relationships", "from", "to"),
}


def _plain(value: Any) -> Any:
    """YAML dates as the text that the standard's JSON schema expects."""
    return json.loads(json.dumps(value, default=str))


@functools.cache
def _schema() -> Any:
    import jsonschema

    file = importlib.resources.files("open_data_contract_standard") / "schema.json"
    return jsonschema.Draft201909Validator(json.loads(file.read_text(encoding="utf-8")))
