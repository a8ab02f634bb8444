"""What the ledger tells, and what losing it costs."""

from __future__ import annotations

import json

import pytest
from shop import JANUARY, Shop

from lakehouse.ledger import Ledger, new_run


def test_a_run_is_one_commit_a_table_with_a_row_for_each_target_and_rule(shop: Shop) -> None:
    shop.orders("2026-01", *JANUARY)
    done = shop.build("silver.orders")
    (run,) = Ledger(shop.lake().storage).rows("runs")
    assert (run["run"], run["result"], run["engine"], run["error"]) == (
        done.run,
        "done",
        "local",
        "",
    )
    assert run["ended"] >= run["started"]
    assert shop.rows('SELECT "table", key, published, result FROM ops.builds ORDER BY 1') == [
        ("shop.bronze.orders", shop.builds()[0]["key"], 2, "published"),
        ("shop.silver.orders", "2026-01-01", 2, "published"),
    ]
    audits = dict(
        shop.rows("SELECT rule, result FROM ops.audits WHERE \"table\" = 'shop.silver.orders'")
    )
    assert set(audits) == {
        "order_id_required",
        "customer_required",
        "primary_key",
        "amount_plausible",
        "any_orders",
        "quarantined_share",
    }
    assert set(audits.values()) == {"passed"}


def test_a_build_names_what_it_read(shop: Shop) -> None:
    shop.orders("2026-01", *JANUARY)
    shop.build("silver.orders")
    build = shop.builds()[-1]
    assert json.loads(build["reads"]) == {"bronze.orders": 1}
    assert list(json.loads(build["inputs"])["bronze.orders"]) == ["2026-01-01"]
    assert build["build"] == str(shop.snapshot("silver.orders").files[0].build)
    assert build["version"] == 1


def test_blocked_targets_are_remembered_with_their_rule(shop: Shop) -> None:
    shop.orders("2026-01", *[(f"a{i}", "ann", 9999, "2026-01-05") for i in range(4)])
    shop.build("silver.orders")
    (record,) = Ledger(shop.lake().storage).records("shop.silver.orders").values()
    assert list(record.blocked.values()) == ["quarantined_share"]
    failed = shop.rows("SELECT rule, detail FROM ops.audits WHERE blocks")
    assert failed == [("quarantined_share", "4 of 4 rows, at most 50%")]
    assert shop.rows("SELECT result FROM ops.runs") == [("blocked",)]


def test_rows_of_an_older_ledger_are_read_and_added_to(shop: Shop) -> None:
    import pyarrow as pa
    from deltalake import write_deltalake

    from lakehouse.ops import schema_of

    schema = schema_of("builds")
    older = pa.schema([f for f in schema if f.name != "gates"])
    place = shop.lake().storage.at("ops", "builds")
    empty = {"str": "", "int64": 0, "double": 0.0}
    row = {
        f.name: empty.get(str(f.type), "")
        for f in older
        if str(f.type) not in ("timestamp[us, tz=UTC]",)
    }
    row |= {
        "table": "shop.silver.orders",
        "key": "2026-01-01",
        "result": "blocked",
        "started": None,
    }
    row |= dict.fromkeys(
        ("version", "rows_in", "published", "quarantined", "superseded", "bytes", "files"), 0
    )
    write_deltalake(place.delta_uri(), pa.Table.from_pylist([row], schema=older))
    assert [r["gates"] for r in Ledger(shop.lake().storage).rows("builds")] == [None]
    shop.orders("2026-01", *JANUARY)
    shop.build("bronze.orders")
    assert shop.rows("SELECT count(*), count(gates) FROM ops.builds") == [(2, 1)]


def test_runs_sort_by_time() -> None:
    assert len({new_run() for _ in range(20)}) == 20


@pytest.mark.parametrize("missing", ["runs", "builds", "audits"])
def test_an_ops_table_that_is_not_there_has_no_rows(shop: Shop, missing: str) -> None:
    assert shop.rows(f"FROM ops.{missing}") == []
