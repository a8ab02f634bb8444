"""What the process that leads a run writes for a child that builds one table, and its answer.

The leader holds the order's file locked: when it ends, however it ends, the lock is free, and the
child stops. The answer is a file beside it.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.build.results import TableResult
from lakehouse.ops import AuditRow, BuildRow

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["Answer", "Order", "read_answer", "read_order", "write_answer", "write_order"]


@dataclass(frozen=True)
class Order:
    """What a child is to build.

    Attributes:
        run: The leading run's id, which the child's commit carries.
        domain: The domain.
        table: Short name of the table; its inputs are built.
        engine: The engine that it was routed to.
        started: When the run began.
        force: See :class:`lakehouse.build.Session`.
        absent: Table → partitions which the run holds back and which were never published.
    """

    run: str
    domain: str
    table: str
    engine: str
    started: dt.datetime
    force: bool | frozenset[str]
    absent: Mapping[str, frozenset[str | None]]


@dataclass(frozen=True)
class Answer:
    """What became of an order.

    Attributes:
        result: Of the table; None when it failed.
        error: Kind and words of what it failed by.
        builds: For the leader's ledger.
        audits: For the leader's ledger.
        absent: Partitions of the table which are held back and were never published.
    """

    result: TableResult | None = None
    error: Mapping[str, str] | None = None
    builds: tuple[BuildRow, ...] = ()
    audits: tuple[AuditRow, ...] = ()
    absent: frozenset[str | None] = frozenset()


def write_order(path: Path, order: Order) -> None:
    """Put an order down; an answer to an earlier one is removed."""
    _answer(path).unlink(missing_ok=True)
    path.write_bytes(_adapter(Order).dump_json(order))


def read_order(path: Path) -> Order:
    """The order of a file."""
    found: Order = _adapter(Order).validate_json(path.read_bytes())
    return found


def write_answer(order: Path, answer: Answer) -> None:
    """Answer an order: at once or not at all."""
    part = _answer(order).with_suffix(".part")
    part.write_bytes(_adapter(Answer).dump_json(answer))
    part.replace(_answer(order))


def read_answer(order: Path) -> Answer | None:
    """The answer to an order; None while there is none."""
    try:
        body = _answer(order).read_bytes()
    except FileNotFoundError:
        return None
    found: Answer = _adapter(Answer).validate_json(body)
    return found


def _answer(order: Path) -> Path:
    return order.with_suffix(".answer.json")


@functools.cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    from pydantic import ConfigDict, TypeAdapter, with_config

    # A rule may have observed NaN.
    return TypeAdapter(with_config(ConfigDict(ser_json_inf_nan="constants"))(kind))
