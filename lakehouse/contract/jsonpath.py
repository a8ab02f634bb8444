"""Places in a JSON document: ``$.order.lines[*].price``, the plain part of JSONPath.

The records of a document are the document itself, or the elements of a list in it.
A column is a key of the record, or a path from the document. A path that begins as
the records' own does is taken from the record's own branch: with records at
``$.orders[*].lines[*]``, ``$.orders[*].id`` is the id of the line's order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

__all__ = ["EACH", "Each", "Steps", "column", "levels", "steps"]


class Each(Enum):
    """``[*]``: each element of a list."""

    each = "[*]"


EACH = Each.each

#: A key, the number of an element, or each element.
Steps = tuple[str | int | Each, ...]

_STEP = re.compile(r"\.([^.\[\]'\"*]+)|\['((?:[^'\\]|\\.)*)'\]|\[(\d+)\]|(\[\*\])")


def steps(path: str) -> Steps:
    """The steps from the document to a place in it.

    Raises:
        ValueError: In the form ``found; remedy``.
    """
    found: list[str | int | Each] = []
    at = 1
    while path.startswith("$") and at < len(path):
        match = _STEP.match(path, at)
        if not match:
            break
        key, quoted, number, each = match.groups()
        if each:
            found.append(EACH)
        elif number:
            found.append(int(number))
        else:
            found.append(key if key is not None else re.sub(r"\\(.)", r"\1", quoted))
        at = match.end()
    if not path.startswith("$") or at < len(path):
        raise ValueError(f"{path!r} is no path; write for example $.lines[*] or $['a key'].price")
    return tuple(found)


def levels(records: str | None) -> list[Steps]:
    """The way from the document to its records, list by list.

    Returns:
        First no steps, for the document; then the steps to and through each list.

    Raises:
        ValueError: In the form ``found; remedy``.
    """
    found: list[Steps] = [()]
    piece: Steps = ()
    for step in steps(records or "$"):
        piece = (*piece, step)
        if step is EACH:
            found.append(piece)
            piece = ()
    if piece:
        raise ValueError(f"{records!r} leads to no list; end it with [*]")
    return found


def column(name: str, records: Sequence[Steps]) -> tuple[int, Steps]:
    """Where a column is: the level from which it is reached, and the steps from there.

    Args:
        name: A key of the record, or a path.
        records: See :func:`levels`.

    Raises:
        ValueError: In the form ``found; remedy``.
    """
    if name != "$" and not name.startswith(("$.", "$[")):
        return len(records) - 1, (name,)
    path, level = steps(name), 0
    for own in records[1:]:
        if path[: len(own)] != own:
            break
        path, level = path[len(own) :], level + 1
    if EACH in path:
        found = f"{name!r} leads into a list other than the records'"
        raise ValueError(f"{found}; give that list a table of its own, with 'records:'")
    return level, path
