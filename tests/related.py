"""A shop whose tables refer to each other, in every way in which they may."""

from __future__ import annotations

from shop import Shop, contract

__all__ = ["VISITS", "land", "parted", "relate", "related"]

#: Rows of a table of its own that refers by two columns: (visit, customer, country).
VISITS = (
    ("v1", "ann", "NO"),
    ("v2", "ann", "SE"),
    ("v3", None, "SE"),
    ("v4", "bob", None),
    ("v5", "bob", "SE"),
    ("v6", "zoe", "NO"),
)
_LINEAGE = {"_source_file": "VARCHAR", "_row": "BIGINT"}


def relate(shop: Shop, table: str, column: str, entry: str) -> None:
    """Write a relationship at a column of a contract."""
    file, kind = f"{table.replace('.', '/')}.yaml", "VARCHAR"
    for more in ("", ", primaryKey: true", ", required: true"):
        old = f"{{name: {column}, logicalType: string, physicalType: {kind}{more}}}"
        if old in (shop.domain / file).read_text(encoding="utf-8"):
            shop.edit(file, old, f"{old[:-1]}, relationships: [{entry}]}}")
            return
    raise AssertionError(f"{table} has no text {column}")


def related(shop: Shop) -> None:
    """Relationships by one column and two, that only count, of part of a table, of Python."""
    relate(shop, "silver.orders", "customer", "{id: customer_known, to: silver.customers.customer}")
    mostly = "customProperties: [{property: mostly, value: 0.5}]"
    relate(shop, "silver.sales", "sale_id", f"{{id: sold, to: bronze.orders.order_id, {mostly}}}")
    shop.write(
        "bronze/visits.yaml", _visits("bronze", "source: {path: 'visits/*.csv', format: csv}")
    )
    shop.write(
        "silver/visits.sql",
        "SELECT visit, customer, country, _source_file, _row FROM bronze.visits\n",
    )
    text = _visits("silver", "rows: {from: bronze.visits}", **_LINEAGE)
    there = "[silver.customers.customer, silver.customers.country]"
    entry = f"{{id: home, from: [visits.customer, visits.country], to: {there}}}"
    shop.write(
        "silver/visits.yaml",
        text.replace("\ncustomProperties:", f"  relationships:\n  - {entry}\ncustomProperties:"),
    )


def _visits(layer: str, lake: str, **more: str) -> str:
    columns = dict.fromkeys(("visit", "customer", "country"), "VARCHAR")
    return contract(layer, "visits", {**columns, **more}, lake)


def land(shop: Shop) -> None:
    """Two months of orders, some by nobody, and the others' rows."""
    shop.orders("2026-01", ("a1", "ann", 10, "2026-01-05"), ("a2", "zoe", 20, "2026-01-30"))
    shop.orders(
        "2026-02",
        ("b1", "ann", 5, "2026-02-02"),
        ("b2", "cid", 7, "2026-02-20"),
        ("b3", "eve", 1, "2026-02-21"),
        ("b4", None, 1, "2026-02-22"),
    )
    shop.customers("all", ("ann", "NO"), ("bob", "SE"), ("cid", "NO"))
    shop.customers("again", ("bob", "SE"), ("ann", "NO"))
    shop.sales("all", ("a1", "north"), ("nil", "north"), ("b1", "south"))
    shop.land_rows("visits/all.csv", "visit,customer,country", VISITS)


def parted(shop: Shop) -> None:
    """Relationships that look at a part of a table: one of SQL by time, one of Python by value."""
    relate(shop, "silver.orders", "order_id", "{id: ordered, to: bronze.orders.customer}")
    shop.edit(
        "silver/orders.yaml", "rows:", "reads: {bronze.orders: {lookahead: 20 days}}\n    rows:"
    )
    shop.edit("silver/orders.yaml", "rows: {from: bronze.orders}", "max_quarantined: 1")
    old = "{name: ordered, logicalType: date, physicalType: DATE, primaryKey: true}"
    there = "{id: a_day, to: gold.daily.ordered}"
    shop.edit("gold/fading.yaml", old, f"{old[:-1]}, relationships: [{there}]}}")
    shop.edit(
        "gold/fading.yaml", "silver.customers: {}", "silver.customers: {}\n      gold.daily: {}"
    )
    shop.edit("gold/daily.sql", "FROM days", "FROM days\nWHERE ordered <> DATE '2026-02-05'")
