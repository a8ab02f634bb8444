"""All or nothing: what was changed is put back when a later change fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from flows.deploy.difference import Change, Form, Kind
from lakehouse.errors import LakehouseError, StackError

__all__ = ["Target", "apply"]


class Target(Protocol):
    """Where resources are."""

    def put(self, kind: Kind, name: str, form: Form) -> None:
        """Have a resource in this form."""

    def remove(self, kind: Kind, name: str) -> None:
        """Have a resource no more."""


def apply(
    changes: Sequence[Change], target: Target, say: Callable[[Change], None] = lambda change: None
) -> None:
    """Make the changes in their order; when one fails, undo it and those before it.

    Args:
        changes: In an order in which they can be made.
        target: Where.
        say: Told each change that is made.

    Raises:
        StackError: One failed. It says whether all is as it was.
    """
    for i, change in enumerate(changes):
        try:
            _make(change, target)
        except Exception as error:
            left = _undo(changes[: i + 1], target)
            raise _failed(change, error, left) from error
        say(change)


def _make(change: Change, target: Target) -> None:
    if change.after is None:
        target.remove(change.kind, change.name)
    else:
        target.put(change.kind, change.name, change.after)


def _undo(done: Sequence[Change], target: Target) -> list[str]:
    """Go back step by step; what cannot be undone is named."""
    left = []
    for change in reversed(done):
        try:
            if change.before is None:
                target.remove(change.kind, change.name)
            else:
                target.put(change.kind, change.name, change.before)
        except Exception:
            left.append(f"{change.kind} {change.name}")
    return left


def _failed(change: Change, error: Exception, left: Sequence[str]) -> StackError:
    found = error.found if isinstance(error, LakehouseError) else f"{type(error).__name__}: {error}"
    state = "all is as it was" if not left else f"not put back: {', '.join(left)}"
    remedy = "mend that, then deploy again"
    if left:
        remedy = "see that the server runs, then deploy again: it goes on from what is there"
    return StackError(f"{change.act} the {change.kind} {change.name}", f"{found} ({state})", remedy)
