"""How the SQL of a table names its inputs on Spark."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.engines.base import Input
from lakehouse.engines.spark.inputs import over_views
from lakehouse.storage import Storage


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("SELECT * FROM bronze.orders AS o", "SELECT * FROM _bronze_orders AS o"),
        ("FROM `bronze`.`orders`, bronze.orders_old", "FROM _bronze_orders, bronze.orders_old"),
        ("SELECT 'bronze.orders' FROM bronze.orders", "SELECT 'bronze.orders' FROM _bronze_orders"),
        (r"SELECT 'it\'s bronze.orders'", r"SELECT 'it\'s bronze.orders'"),
        ("SELECT '' || bronze.orders.a || ''", "SELECT '' || bronze.orders.a || ''"),
        # A column, behind an alias.
        (
            "SELECT EXTRACT(YEAR FROM bronze.orders) FROM a.b AS bronze JOIN bronze.orders AS o",
            "SELECT EXTRACT(YEAR FROM bronze.orders) FROM a.b AS bronze JOIN _bronze_orders AS o",
        ),
    ],
)
def test_a_table_is_its_view_and_a_text_is_itself(tmp_path: Path, text: str, made: str) -> None:
    place = Storage(tmp_path.as_uri())
    assert over_views(text, [Input("bronze.orders", place, {}, None, ())]) == made
