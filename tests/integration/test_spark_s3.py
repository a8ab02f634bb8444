"""Spark on the embedded S3 server through S3A: Dask's rows, continued by either; keys nowhere.

The way there is https, by an authority of the site's own.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlparse

import pytest
import tls
from shop import TABLES, Shop
from spark_builder import SparkBuilder

from lakehouse import query

pytestmark = [pytest.mark.spark, pytest.mark.s3, pytest.mark.timeout(600)]

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "NO_PROXY", "no_proxy")
#: Odd partitions: they stand percent-encoded in logs, and as they are in keys.
_SALES = (("s3", "A B"), ("s4", "50%"), ("s5", "é/ü"), ("s6", "x=y"))
#: Kept out: too dear, without customer, without a month.
_BAD = (("a9", "ann", 5000, "2026-01-09"), ("b9", "", 5, "2026-02-09"), ("x", "bob", 1, "no date"))


@dataclass(frozen=True)
class Two:
    """One shop on S3, built by Spark, and its twin on files, built in this process."""

    there: Shop
    twin: Shop
    spark: SparkBuilder
    told: dict[str, Any]

    def kept_out(self) -> list[list[list[tuple[Any, ...]]]]:
        """Rows of every quarantine, of both."""
        query = "SELECT * EXCLUDE (_build) FROM {}__quarantine"
        return [
            [sorted(shop.rows(query.format(t)), key=repr) for t in TABLES]
            for shop in (self.there, self.twin)
        ]

    def same(self) -> None:
        """The same rows in tables and quarantines, and nothing left to do."""
        assert self.there.everything() == self.twin.everything()
        assert self.kept_out()[0] == self.kept_out()[1]
        assert self.there.todo() == self.twin.todo() == {}


@pytest.fixture(scope="module")
def two(s3: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    root = tmp_path_factory.mktemp("s3")
    port = urlparse(s3["LAKE_S3_ENDPOINT"]).port
    assert port is not None
    keys = {name: s3[name] for name in _KEYS} | {"SSL_CERT_FILE": str(tls.authority(root))}
    with pytest.MonkeyPatch.context() as patch, tls.door(port, root / "server.pem") as endpoint:
        options = {
            "uri": f"s3://{urlparse(s3['LAKE_URI']).netloc}/{uuid.uuid4().hex}",
            "s3_endpoint": endpoint,
        }
        for name, value in keys.items():
            patch.setenv(name, value)
        for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE"):
            patch.delenv(name, raising=False)
        there, twin = Shop(root, **options), Shop(tmp_path_factory.mktemp("twin"))
        for shop in (there, twin):
            shop.open_for_business()
            shop.sales("odd", *_SALES)
            shop.orders("bad", *_BAD)
        twin.build()
        own = {**options, "state": str(root / "state"), "spark_events": str(root / "events")}
        with SparkBuilder(root, own, keys) as spark:
            yield Two(there, twin, spark, spark.build())


def test_the_rows_of_a_lake_on_files(two: Two) -> None:
    assert {engine for engine, _ in two.told["changed"].values()} == {"spark"}
    assert set(two.told["changed"]) == {f"shop.{name}" for name in TABLES}
    two.same()
    assert any(two.kept_out()[0])


def test_what_spark_staged_lies_where_it_was_staged(two: Two) -> None:
    lake = two.there.lake()
    fs = lake.storage.fsspec()
    for name in ("silver.orders", "gold.countries"):
        place = lake.place(lake.domain("shop").tables[name])
        live = {file.path for file in two.there.snapshot(name).files}
        assert live and all(path.startswith("staging/") for path in live)
        # Neither renamed nor copied: no file of rows lies elsewhere.
        files = {p[len(place.root) + 1 :] for p in fs.find(place.root) if p.endswith(".parquet")}
        assert {f for f in files if "rejected=true" not in f and "_delta_log" not in f} == live


def test_pyarrow_and_deltalake_read_it(two: Two) -> None:
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

    lake = two.there.lake()
    for name in ("silver.orders", "silver.sales", "gold.daily"):
        place = lake.place(lake.domain("shop").tables[name])
        rows = len(two.twin.rows(f"FROM {name}"))
        table = DeltaTable(place.delta_uri(), storage_options=place.delta_options())
        assert sum(table.get_add_actions(flatten=True)["num_records"].to_pylist()) == rows
        paths = [f"{place.root}/{file.path}" for file in two.there.snapshot(name).files]
        schema = {f.name for f in table.schema().fields}
        assert {"build", "rejected", "_violations"}.isdisjoint(schema)
        parts = set(table.metadata().partition_columns)
        read = ds.dataset(paths, filesystem=place.arrow(), format="parquet").to_table()
        assert read.num_rows == rows
        assert set(read.column_names) == schema - parts | {"_violations"}
        # No rule is broken by a row that is published.
        assert read["_violations"].null_count == rows


def test_each_engine_goes_on_where_the_other_stopped(two: Two) -> None:
    for turn, engine in enumerate(("dask", "spark", "dask")):
        for shop in (two.there, two.twin):
            month = f"2026-{turn + 2:02}"
            shop.orders(f"more-{turn}", (f"m{turn}", "bob", turn, f"{month}-11"), ("x", "", 1, ""))
            shop.sales(f"more-{turn}", (f"s9{turn}", "A B"), (f"t{turn}", f"new {turn}"))
        two.twin.build()
        if engine == "spark":
            made = two.spark.build()["changed"]
            assert {name for name, _ in made.values()} == {"spark"}
        else:
            assert {t.engine for t in two.there.build(engine="dask").changed} == {"dask"}
        two.same()
    version = two.there.snapshot("silver.orders").version
    cut = query.Cut({"shop.silver.orders": version - 1})
    before = query.run(two.there.lake(), "FROM silver.orders", cut)
    assert before.num_rows == len(two.twin.rows("FROM silver.orders")) - 1


def test_spark_shows_no_key(two: Two, s3: dict[str, str]) -> None:
    secret, id_ = s3["AWS_SECRET_ACCESS_KEY"], s3["AWS_ACCESS_KEY_ID"]
    page = two.spark.build(page=True)["page"]
    assert "fs.s3a.secret.key" in page
    root = two.there.root
    log, *events = (root / "state" / "logs" / "spark.log", *(root / "events").rglob("events_*"))
    assert events
    files = [p for p in root.rglob("*") if p.is_file() and p.suffix != ".zip"]
    assert {log, *events} <= set(files)
    shown = {str(p): p.read_bytes() for p in files} | {"page": page.encode()}
    assert "SparkListenerTaskEnd" in events[0].read_text()
    for given in (secret, id_):
        assert [name for name, text in shown.items() if given.encode() in text] == []
