"""The column types mean the same everywhere."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest
from deltalake.schema import Field, PrimitiveType, Schema

from lakehouse.contract import TYPES
from lakehouse.errors import ContractError
from lakehouse.types import arrow, delta

_LONG = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}


@pytest.mark.parametrize("name", TYPES)
def test_a_type_is_the_same_in_duckdb_arrow_and_delta(name: str) -> None:
    with duckdb.connect() as db:
        db.register("t", pa.table({"x": pa.array([None], arrow(name))}))
        assert db.execute("SELECT typeof(x) FROM t").fetchall() == [(_LONG.get(name, name),)]
    schema = Schema([Field("x", PrimitiveType(delta(name)))])
    assert pa.schema(schema.to_arrow()).field("x").type == arrow(name)


def test_other_types_are_refused() -> None:
    with pytest.raises(ContractError, match="use one of VARCHAR"):
        arrow("DECIMAL(10,2)")
    with pytest.raises(ContractError):
        delta("varchar")
