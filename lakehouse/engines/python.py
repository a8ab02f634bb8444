"""A Python table's function: called with Arrow tables, its answer held against the contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lakehouse.audit import quote
from lakehouse.catalog import FUNCTION
from lakehouse.engines.base import Argument, Function, Task
from lakehouse.engines.references import dotted
from lakehouse.errors import EngineError, cause
from lakehouse.types import arrow

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["select"]

_MADE = "_made"


def select(task: Task, con: duckdb.DuckDBPyConnection) -> str:
    """Call the function of a task with its inputs; SQL that reads the rows that it made.

    Args:
        task: Of a Python table.
        con: A connection in which the inputs are mounted.

    Raises:
        EngineError: The function raised, or its rows have not the contract's columns and types.
    """
    assert task.function is not None
    passed = {one.name: _passed(con, one) for one in task.function.arguments}
    con.register(_MADE, _held(_call(task, task.function, passed), task))
    return f"SELECT {', '.join(map(quote, task.contract.types))} FROM {_MADE}"


def _passed(con: duckdb.DuckDBPyConnection, one: Argument) -> pa.Table:
    """An input's rows, in an order that does not depend on files or engines."""
    order = ", ".join(map(quote, one.order)) or "ALL"
    rows: pa.Table = con.sql(f"SELECT * FROM {dotted(one.read)} ORDER BY {order}").to_arrow_table()
    return rows


def _call(task: Task, function: Function, passed: Mapping[str, pa.Table]) -> object:
    code = function.code
    try:
        return getattr(code.load(), FUNCTION)(**passed)
    except MemoryError as error:
        raise EngineError(
            f"run {code.path} for {task.name}",
            f"more memory than the worker has: {cause(error)}",
            "choose a finer partition grain, or give the worker more memory",
            file=code.line(error),
        ) from error
    except ImportError as error:
        raise EngineError(
            f"run {code.path} for {task.name}",
            cause(error),
            "install it where the table is built (on a cluster: on each worker); files of the "
            "domain are imported relatively",
            file=code.line(error),
        ) from error
    except Exception as error:
        raise EngineError(
            f"run {code.path} for {task.name}",
            cause(error),
            f"mend {FUNCTION}(), then build again: what was published stays",
            file=code.line(error),
        ) from error


# --- what was made, against the contract -----------------------------------------------------


def _held(made: object, task: Task) -> pa.Table:
    """The rows in the contract's columns and types, NaN as NULL, as ingest has it."""
    import pyarrow as pa

    types = task.contract.types
    if not isinstance(made, pa.Table):
        found = f"it returned {type(made).__module__}.{type(made).__qualname__}"
        raise _refused(task, found, "return a pyarrow.Table (pa.Table.from_pandas of a DataFrame)")
    if wrong := list(_wrong_columns(made.column_names, types)):
        raise _refused(
            task,
            f"it returned {'; '.join(wrong)}",
            f"return the contract's columns, or correct {task.contract.path}",
        )
    columns = [_typed(made[name], name, kind, task) for name, kind in types.items()]
    return pa.table(columns, names=list(types))


def _wrong_columns(made: list[str], wanted: Mapping[str, str]) -> Iterator[str]:
    missing = [name for name in wanted if name not in made]
    extra = [name for name in dict.fromkeys(made) if name not in wanted]
    twice = [name for name in dict.fromkeys(made) if made.count(name) > 1]
    for found, words in ((missing, "no column"), (extra, "a further column"), (twice, "two of")):
        if found:
            yield f"{words} {', '.join(found)}"


def _typed(column: pa.ChunkedArray[Any], name: str, kind: str, task: Task) -> pa.ChunkedArray[Any]:
    """A column in its type; a value that does not fit is refused, never changed."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = arrow(kind)
    if not _alike(column.type, wanted):
        found = f"column {name} is {column.type}, the contract says {kind} ({wanted})"
        raise _refused(task, found, f"cast it in the function, as you mean it: to {wanted}")
    try:
        typed: pa.ChunkedArray[Any] = column.cast(wanted)
    except pa.ArrowInvalid as error:
        found = f"column {name} does not fit {kind}: {cause(error)}"
        remedy = "let the function make values that fit, or widen the type in the contract"
        raise _refused(task, found, remedy) from error
    if pa.types.is_floating(wanted):
        typed = pc.if_else(pc.is_nan(typed), pa.scalar(None, wanted), typed)
    return typed


def _alike(made: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of one type are values of the other: no parsing, no rounding, no guess."""
    import pyarrow as pa

    if pa.types.is_dictionary(made):
        made = made.value_type
    kinds: Any = pa.types
    text = ("is_string", "is_large_string", "is_string_view")
    by_kind = {
        "is_string": text,
        "is_integer": ("is_integer",),
        "is_floating": ("is_floating", "is_integer"),
        "is_boolean": ("is_boolean",),
        "is_date": ("is_date",),
    }
    if pa.types.is_null(made):
        return True
    if pa.types.is_timestamp(wanted):
        return pa.types.is_timestamp(made) and made.tz is not None
    return any(
        getattr(kinds, kind)(wanted) and any(getattr(kinds, one)(made) for one in takes)
        for kind, takes in by_kind.items()
    )


def _refused(task: Task, found: str, remedy: str) -> EngineError:
    assert task.function is not None
    path = task.function.code.path
    return EngineError(f"take the rows of {path} for {task.name}", found, remedy, file=path)
