"""A small domain, written into a folder: a shop's orders and customers, and sales by region.

bronze.orders (by month) → silver.orders ─┬→ gold.daily     (looks back a week)
bronze.customers → silver.customers ──────┴→ gold.countries
bronze.sales (by region) → silver.sales

On demand also gold.fading, which Python makes of silver.orders (looks back a week) and
silver.customers.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lakehouse import build as building
from lakehouse import query
from lakehouse.build import BuildResult, Lake, Session
from lakehouse.ledger import Ledger
from lakehouse.planning import Plan, Target
from lakehouse.settings import Settings
from lakehouse.snapshot import Snapshot
from lakehouse.snapshot import read as read_snapshot

__all__ = ["FILES", "PYTHON", "Shop", "contract"]

_HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: shop.{layer}.{name}
name: {name}
version: 1.0.0
status: active
description: {{purpose: "{name} of the shop"}}
schema:
- name: {name}
  properties:
{columns}
{quality}
customProperties:
- property: lakehouse
  value:
{lake}
"""
_LOGICAL = {"VARCHAR": "string", "DATE": "date", "DOUBLE": "number"}


def contract(
    layer: str,
    name: str,
    columns: Mapping[str, str],
    lake: str,
    quality: str = "",
) -> str:
    """A contract's text; a column is ``TYPE`` or ``TYPE, further: keys``."""
    lines = []
    for column, text in columns.items():
        kind, _, more = text.partition(",")
        logical = _LOGICAL.get(kind, "integer")
        more = f",{more}" if more else ""
        lines.append(f"  - {{name: {column}, logicalType: {logical}, physicalType: {kind}{more}}}")
    indented = "\n".join(f"    {line}" for line in (lake or "{}").splitlines())
    rules = f"  quality:\n{quality}" if quality else ""
    return _HEAD.format(
        layer=layer, name=name, columns="\n".join(lines), quality=rules, lake=indented
    )


def rule(name: str, kind: str, kwargs: str) -> str:
    """One entry of ``quality``."""
    made = f"implementation: {{type: expect_{kind}, kwargs: {{{kwargs}}}}}"
    return f"  - {{id: {name}, type: custom, engine: greatExpectations, {made}}}\n"


_MONTH = "partition: {column: order_month, grain: month, event: ordered}"
_DATE = "regexp_extract(ordered, '^[0-9]{4}-[0-9]{2}-[0-9]{2}$')"

FILES: Mapping[str, str] = {
    "bronze/orders.yaml": contract(
        "bronze",
        "orders",
        dict.fromkeys(("order_id", "customer", "amount", "ordered"), "VARCHAR"),
        "source: {path: 'orders/*.csv', format: csv}\n"
        "partition:\n"
        "  column: order_month\n"
        "  grain: month\n"
        f"  expression: \"CAST(date_trunc('month', TRY_CAST({_DATE} AS DATE)) AS DATE)\"",
    ),
    "bronze/customers.yaml": contract(
        "bronze",
        "customers",
        {"customer": "VARCHAR", "country": "VARCHAR"},
        "source: {path: 'customers/*.csv', format: csv}",
    ),
    "bronze/sales.yaml": contract(
        "bronze",
        "sales",
        {"sale_id": "VARCHAR", "region": "VARCHAR"},
        "source: {path: 'sales/*.csv', format: csv}\n"
        "partition: {column: area, grain: value, expression: region}",
    ),
    "silver/orders.yaml": contract(
        "silver",
        "orders",
        {
            "order_id": "VARCHAR, primaryKey: true",
            "customer": "VARCHAR, required: true",
            "amount": "INTEGER",
            "ordered": "DATE",
            "_source_file": "VARCHAR",
            "_row": "BIGINT",
            "order_month": "DATE",
        },
        f"{_MONTH}\nrows: {{from: bronze.orders}}",
        rule("amount_plausible", "column_values_to_be_between", "column: amount, max_value: 1000")
        + rule("any_orders", "table_row_count_to_be_between", "max_value: 1000"),
    ),
    "silver/orders.sql": f"""\
WITH typed AS (
  SELECT
    order_id, customer,
    TRY_CAST(regexp_extract(amount, '^[0-9]+$') AS INTEGER) AS amount,
    TRY_CAST({_DATE} AS DATE) AS ordered,
    _source_file, _row, _landed_at, order_month
  FROM bronze.orders
)
SELECT order_id, customer, amount, ordered, _source_file, _row, order_month
FROM typed
QUALIFY row_number() OVER (
  PARTITION BY order_month, order_id ORDER BY _landed_at DESC, _source_file DESC, _row DESC) = 1
""",
    "silver/customers.yaml": contract(
        "silver",
        "customers",
        {
            "customer": "VARCHAR, primaryKey: true",
            "country": "VARCHAR",
            "_source_file": "VARCHAR",
            "_row": "BIGINT",
        },
        "rows: {from: bronze.customers}",
    ),
    "silver/customers.sql": """\
SELECT customer, country, _source_file, _row
FROM bronze.customers
QUALIFY row_number() OVER (
  PARTITION BY customer ORDER BY _landed_at DESC, _source_file DESC, _row DESC) = 1
""",
    "silver/sales.yaml": contract(
        "silver",
        "sales",
        {"sale_id": "VARCHAR", "_source_file": "VARCHAR", "_row": "BIGINT", "area": "VARCHAR"},
        "partition: {column: area, grain: value}\nrows: {from: bronze.sales}",
    ),
    "silver/sales.sql": "SELECT sale_id, _source_file, _row, area FROM bronze.sales\n",
    "gold/daily.yaml": contract(
        "gold",
        "daily",
        {
            "ordered": "DATE, primaryKey: true",
            "orders": "BIGINT",
            "week_amount": "BIGINT",
            "order_month": "DATE",
        },
        f"{_MONTH}\nreads:\n  silver.orders: {{lookback: 6 days}}",
    ),
    "gold/daily.sql": """\
WITH days AS (
  SELECT ordered, order_month, count(*) AS orders, CAST(sum(amount) AS BIGINT) AS amount
  FROM silver.orders
  GROUP BY ordered, order_month
)
SELECT
  ordered, orders,
  CAST(sum(amount) OVER (
    ORDER BY ordered RANGE BETWEEN INTERVAL 6 DAYS PRECEDING AND CURRENT ROW
  ) AS BIGINT) AS week_amount,
  order_month
FROM days
""",
    "gold/countries.yaml": contract(
        "gold",
        "countries",
        {
            "country": "VARCHAR, primaryKey: true",
            "orders": "BIGINT",
            "order_month": "DATE",
        },
        "partition: {column: order_month, grain: month}\n"
        "reads:\n  silver.customers: {when_changed: rebuild}",
    ),
    "gold/countries.sql": """\
SELECT coalesce(c.country, '?') AS country, count(*) AS orders, o.order_month
FROM silver.orders AS o
LEFT JOIN silver.customers AS c ON c.customer = o.customer
GROUP BY coalesce(c.country, '?'), o.order_month
""",
}

#: A Python table, and what it imports.
PYTHON: Mapping[str, str] = {
    "gold/fading.yaml": contract(
        "gold",
        "fading",
        {
            "ordered": "DATE, primaryKey: true",
            "weight": "DOUBLE",
            "countries": "INTEGER",
            "order_month": "DATE",
        },
        f"{_MONTH}\nreads:\n  silver.orders: {{lookback: 6 days}}\n  silver.customers: {{}}",
        rule("weight_plausible", "column_values_to_be_between", "column: weight, max_value: 900"),
    ),
    "gold/fading.py": '''\
"""Each day's orders of its last week, by a weight that halves every two days."""

import pyarrow as pa

from ..lib.halving import halved

WEEK = 7


def table(orders: pa.Table, silver_customers: pa.Table) -> pa.Table:
    """Grain: one day of orders."""
    homes = {row["customer"]: row["country"] for row in silver_customers.to_pylist()}
    sold = orders.to_pylist()
    made = []
    for day in sorted({row["ordered"] for row in sold}):
        week = [row for row in sold if 0 <= (day - row["ordered"]).days < WEEK]
        weights = [halved(row["amount"] or 0, (day - row["ordered"]).days) for row in week]
        countries = {homes.get(row["customer"]) for row in week} - {None}
        made.append((day, sum(weights), len(countries), day.replace(day=1)))
    columns = list(zip(*made)) or [[], [], [], []]
    kinds = {
        "ordered": pa.date32(),
        "weight": pa.float64(),
        "countries": pa.int64(),
        "order_month": pa.date32(),
    }
    return pa.table([pa.array(c, k) for c, k in zip(columns, kinds.values())], names=list(kinds))
''',
    "lib/halving.py": """\
def halved(amount: float, days: int, after: int = 2) -> float:
    return amount * 0.5 ** (days / after)
""",
}

#: What a shop's orders look like in their first two months.
JANUARY = (("a1", "ann", 10, "2026-01-05"), ("a2", "bob", 20, "2026-01-30"))
FEBRUARY = (("b1", "ann", 5, "2026-02-02"), ("b2", "cid", 7, "2026-02-20"))
MARCH = (("c1", "bob", 3, "2026-03-15"),)
CUSTOMERS = (("ann", "NO"), ("bob", "SE"), ("cid", "NO"))

_EPOCH = 1_780_000_000
#: Every table's rows in a form that can be compared.
TABLES = (
    *("bronze.orders", "bronze.customers", "bronze.sales"),
    *("silver.orders", "silver.customers", "silver.sales", "gold.daily", "gold.countries"),
)


class Shop:
    """One lake with one domain, below one folder.

    Args:
        root: An empty folder.
        tables: Files of :data:`FILES`, by prefix; all when empty.
        python: With :data:`PYTHON`.
        overrides: Further settings, for example an S3 lake.
    """

    def __init__(
        self, root: Path, tables: Sequence[str] = (), *, python: bool = False, **overrides: object
    ) -> None:
        self.root, self.domain = root, root / "domains" / "shop"
        self.landing = root / "landing" / "shop"
        self.ticks = 0
        self._read: tuple[object, Lake] | None = None
        for name, text in FILES.items():
            if not tables or name.split(".")[0] in [t.replace(".", "/") for t in tables]:
                self.write(name, text)
        for name, text in PYTHON.items() if python else ():
            self.write(name, text)
        defaults: dict[str, Any] = {
            "uri": (root / "lake").as_uri(),
            "landing": (root / "landing").as_uri(),
            "domains": root / "domains",
            "state": root / "state",
            "worker_memory": 256 * 1024**2,
            "threads": 1,
        }
        self.settings = Settings(_env_file=None, **(defaults | overrides))

    # --- declarations and landing files -------------------------------------------------------

    def write(self, name: str, text: str) -> None:
        """Write a declaration."""
        file = self.domain / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace something in a declaration that is there."""
        text = (self.domain / name).read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {name}"
        self.write(name, text.replace(old, new))

    def drop(self, *names: str) -> None:
        """Remove tables from the domain."""
        for name in names:
            for file in (self.domain / name.replace(".", "/")).parent.glob(
                f"{name.split('.')[1]}.*"
            ):
                file.unlink()

    def land(self, path: str, data: bytes) -> None:
        """A landed file; each is a second younger than the one before."""
        file = self.landing / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        self.ticks += 1
        os.utime(file, (_EPOCH + self.ticks, _EPOCH + self.ticks))

    def land_rows(self, path: str, header: str, rows: Iterable[Sequence[object]]) -> None:
        """A landed CSV file."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)
        self.land(path, text.getvalue().encode())

    def orders(self, name: str, *rows: Sequence[object]) -> None:
        """Land ``orders/<name>.csv``."""
        self.land_rows(f"orders/{name}.csv", "order_id,customer,amount,ordered", rows)

    def customers(self, name: str, *rows: Sequence[object]) -> None:
        """Land ``customers/<name>.csv``."""
        self.land_rows(f"customers/{name}.csv", "customer,country", rows)

    def sales(self, name: str, *rows: Sequence[object]) -> None:
        """Land ``sales/<name>.csv``."""
        self.land_rows(f"sales/{name}.csv", "sale_id,region", rows)

    def open_for_business(self) -> None:
        """Land two months of orders, the customers and some sales."""
        self.orders("2026-01", *JANUARY)
        self.orders("2026-02", *FEBRUARY)
        self.customers("all", *CUSTOMERS)
        self.sales("all", ("s1", "north"), ("s2", "south"))

    # --- the library --------------------------------------------------------------------------

    def lake(self) -> Lake:
        """The lake as the declarations are now; read again only when one was edited."""
        files = sorted(f for f in self.domain.rglob("*") if f.is_file())
        texts = tuple((f, f.read_bytes()) for f in files)
        if self._read is None or self._read[0] != texts:
            self._read = (texts, building.open_lake(self.settings))
        return self._read[1]

    def session(self, **options: Any) -> Session:
        """A new run."""
        lake = self.lake()
        return Session(lake, lake.domain("shop"), **({"engine": "local"} | options))

    def build(
        self, *tables: str, force: bool = False, partitions: Sequence[str] = (), **options: Any
    ) -> BuildResult:
        """Build, as ``lake build`` does."""
        session = self.session(**options)
        session.select(tables, force=force, partitions=partitions)
        return building.build(session, tables)

    def plan(self, *tables: str) -> Plan:
        """Plan, as ``lake plan`` does."""
        return building.plan(self.session(), tables)[0]

    def todo(self, *tables: str) -> dict[tuple[str, str], list[str]]:
        """(table, key) → its reasons in short: ``late data silver.orders 2026-02``."""
        return {(t.table, self._label(t)): said(t) for t in self.plan(*tables).targets}

    def _label(self, target: Target) -> str:
        return target.batch.label if target.batch else target.key

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query over the lake."""
        return [tuple(row.values()) for row in query.run(self.lake(), sql).to_pylist()]

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every table's rows, sorted, without what names the files of one landing."""
        lake = self.lake()
        tables = [t for t in (*TABLES, "gold.fading") if t in lake.domain("shop").tables]
        return {
            t: sorted(self.rows(f"FROM {t}"), key=repr) for t in tables if self.snapshot(t).files
        }

    def snapshot(self, name: str) -> Snapshot:
        """A table's newest version."""
        lake = self.lake()
        table = lake.domain("shop").table(name)
        return read_snapshot(lake.place(table), table.name)

    def versions(self) -> dict[str, int]:
        """Every table's version, those of ``ops`` and of quarantines among them."""
        lake = self.lake()
        places = {t.short: lake.place(t) for t in lake.domain("shop").tables.values()}
        places |= {f"ops.{n}": lake.storage.at("ops", n) for n in ("runs", "builds", "audits")}
        return {name: read_snapshot(place, name).version for name, place in places.items()}

    def live(self, name: str) -> list[tuple[str, int]]:
        """A table's live files in short: (partition or batch, rows)."""
        return sorted((f.batch or f.partition or "", f.rows) for f in self.snapshot(name).files)

    def builds(self) -> list[dict[str, Any]]:
        """The ledger's builds, as they were made."""
        rows = Ledger(self.lake().storage).rows("builds")
        return sorted(rows, key=lambda row: row["started"])


def said(target: Target) -> list[str]:
    """A target's reasons in short."""
    return [" ".join(filter(None, (r.code, r.input, r.detail))) for r in target.reasons]
