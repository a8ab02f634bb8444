"""What a model's process and its parent say to each other: frames over pipes.

Rows go as an Arrow stream of doubles and text; probabilities come back as doubles.
"""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["from_arrow", "receive", "send", "to_arrow"]

_LENGTH = struct.Struct("<Q")


def send(pipe: IO[bytes], payload: Any) -> None:
    """Write one frame; the payload is bytes or a buffer of them."""
    view = memoryview(payload).cast("B")
    pipe.write(_LENGTH.pack(len(view)))
    if len(view):
        pipe.write(view)
    pipe.flush()


def receive(pipe: IO[bytes], most: int) -> bytearray:
    """Read one frame.

    Raises:
        EOFError: The other side is gone.
        ValueError: The frame is larger than ``most``.
    """
    (length,) = _LENGTH.unpack(_exactly(pipe, _LENGTH.size))
    if length > most:
        raise ValueError(f"a frame of {length:,} bytes; at most {most:,} were expected")
    return _exactly(pipe, length)


def _exactly(pipe: IO[bytes], length: int) -> bytearray:
    data = bytearray(length)
    view, at = memoryview(data), 0
    while at < length:
        got = pipe.readinto(view[at:])  # type: ignore[attr-defined]
        if not got:
            raise EOFError
        at += got
    return data


def to_arrow(x: pd.DataFrame | pa.Table) -> pa.Table:
    """Features as doubles (NaN stays NaN) and text (None is NULL); a table is that already."""
    import numpy as np
    import pyarrow as pa

    if isinstance(x, pa.Table):
        return x
    columns: dict[str, Any] = {}
    for name in x.columns:
        values = x[name]
        if values.dtype.kind in "fiub":
            numbers = np.asarray(values, dtype=np.float64)
            columns[str(name)] = pa.array(numbers, from_pandas=False)
        else:
            columns[str(name)] = pa.array(values, pa.string(), from_pandas=True)
    return pa.table(columns)


def from_arrow(table: pa.Table) -> pd.DataFrame:
    """The frame of :func:`to_arrow` again."""
    import pandas as pd
    import pyarrow.types as kinds

    made = {
        name: column.to_pandas().astype(object)
        if kinds.is_string(column.type)
        else column.to_numpy()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return pd.DataFrame(made, columns=table.column_names)
