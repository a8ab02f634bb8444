"""Spark as its users meet it: a child of a run by spark-submit, and both engines side by side."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from shop import CUSTOMERS, Shop

from lakehouse.build.submitter import Submitter
from lakehouse.cli import both_engines, main
from lakehouse.engines.spark.running import Running
from lakehouse.errors import EngineError
from lakehouse.ledger import Ledger

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
JOB = ROOT / "jobs" / "build.py"
JARS = Path(os.environ.get("LAKE_SPARK_JARS") or ROOT / ".lake" / "jars")
RAISING = "CAST(9223372036854775807 + length(country) AS VARCHAR) AS country,"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop whose customers have landed and are in bronze; the environment is its user's."""
    made = Shop(
        tmp_path / "shop",
        ["bronze.customers", "silver.customers"],
        spark_jars=JARS,
        spark_master="local[1]",
        spark_memory=1024**3,
    )
    for name in [n for n in os.environ if n.startswith(("LAKE_", "AWS_"))]:
        monkeypatch.delenv(name)
    for name in ("uri", "landing", "domains", "state", "spark_jars", "spark_master"):
        monkeypatch.setenv(f"LAKE_{name.upper()}", str(getattr(made.settings, name)))
    monkeypatch.setenv("LAKE_SPARK_MEMORY", "1GiB")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    made.customers("all", *CUSTOMERS)
    made.build("bronze.customers")
    return made


def children(root: Path) -> list[int]:
    """The processes that work on orders below a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(root) in word and "runs" in word for word in process.cmdline()):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def test_a_child_builds_a_table_and_its_leader_records_it(shop: Shop) -> None:
    session = shop.session(engine="spark")
    assert session.plan_table("bronze.customers").engine == ""
    planned = session.plan_table("silver.customers")
    assert (planned.engine, planned.because) == ("spark", "asked for")
    said: list[str] = []
    seen: list[Running] = []
    submitter = Submitter(session, JOB)
    result = submitter.build_table("silver.customers", said.append, seen.append)
    assert (result.engine, result.partitions, result.rows_out) == ("spark", 1, len(CUSTOMERS))
    assert "silver.customers: 1 to build" in said
    assert f"silver.customers: committed v{result.version}" in said
    (spark,) = seen
    assert spark.page.startswith("http://127.0.0.1:")
    assert (spark.master, Path(spark.log).stat().st_mode & 0o777) == ("local[1]", 0o600)
    assert "silver.customers: committed" in Path(spark.log).read_text()
    assert children(shop.root) == []

    assert Ledger(shop.lake().storage).rows("runs", ["run"])[-1]["run"] != session.run
    session.finish("done")
    rows = [row for row in shop.builds() if row["run"] == session.run]
    assert [(r["table"], r["engine"], r["version"]) for r in rows] == [
        ("shop.silver.customers", "spark", result.version)
    ]
    assert shop.todo() == {}

    # What a child fails by is raised by its leader, as if it had failed there.
    shop.edit("silver/customers.sql", "customer, country,", f"customer, {RAISING}")
    session = shop.session(engine="spark")
    submitter = Submitter(session, JOB)
    with pytest.raises(EngineError, match=r"stage shop\.silver\.customers") as raised:
        submitter.build_table("silver.customers", said.append, seen.append)
    assert "customers.sql" in raised.value.remedy
    submitter.close()
    with pytest.raises(EngineError, match="the run was stopped"):
        submitter.build_table("silver.customers", said.append, seen.append)


@pytest.fixture
def leader(shop: Shop) -> Iterator[subprocess.Popen[str]]:
    """A process that builds silver.customers by a child."""
    script = Path(__file__).with_name("spark_leader.py")
    with subprocess.Popen(
        [sys.executable, str(script), "silver.customers"], stdout=subprocess.PIPE, text=True
    ) as started:
        yield started
        started.kill()


def test_a_child_ends_when_its_leader_is_killed(shop: Shop, leader: subprocess.Popen[str]) -> None:
    assert leader.stdout is not None
    next(line for line in leader.stdout if line.startswith("running http://"))
    assert len(children(shop.root)) == 2  # Java, and the driver that it started
    os.kill(leader.pid, signal.SIGKILL)
    leader.wait()
    for _ in range(600):
        if not (left := children(shop.root)):
            break
        time.sleep(0.1)
    assert left == []
    shop.build()
    assert shop.todo() == {}
    assert len(shop.rows("FROM silver.customers")) == len(CUSTOMERS)


# --- lake demo --spark ------------------------------------------------------------------------


def small_flights(root: Path) -> Path:
    """The flights' domain with the airlines alone."""
    domain = root / "jobs" / "flights"
    for name in (
        "sample.py",
        "bronze/airlines.yaml",
        "silver/airlines.yaml",
        "silver/airlines.sql",
    ):
        (domain / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "jobs" / "flights" / name, domain / name)
    return domain.parent


def test_the_demo_compares_both_engines(
    tmp_path: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_DOMAINS", str(small_flights(tmp_path)))
    before = {p: p.stat().st_mtime_ns for p in (shop.root / "lake").rglob("*")}
    command = "from lakehouse.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", command, "demo", "--spark"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    told = [line.split() for line in lines if line.startswith("flights.")]
    assert [line[:5] for line in told] == [
        ["flights.bronze.airlines", "16", "0", "same", "rows"],
        ["flights.silver.airlines", "16", "0", "same", "rows"],
    ]
    assert any("times faster" in line for line in lines)
    assert "silver.airlines: 1 published" in done.stderr
    after = {p: p.stat().st_mtime_ns for p in (shop.root / "lake").rglob("*")}
    assert {p: t for p, t in after.items() if p in before and p.name != "lake"} == before
    assert {p.name for p in (shop.root / "lake" / "demo-spark").iterdir()} == {
        *("dask", "spark", "landing")
    }


def test_rows_that_differ_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shops = [Shop(tmp_path / name, ["bronze.customers"]) for name in ("one", "other")]
    for shop, country in zip(shops, ("NO", "SE"), strict=True):
        shop.customers("all", ("ann", country), ("bob", "SE"))
        shop.build()
    one, other = (shop.lake() for shop in shops)
    (table,) = one.domain("shop").order
    found = both_engines.compare(one, other, table)
    assert (found.table, found.rows, found.kept_out) == ("shop.bronze.customers", 2, 0)
    assert [row[:2] for row in found.differing] == [("ann", "NO"), ("ann", "SE")]
    assert both_engines.compare(one, one, table).differing == ()
    assert both_engines.verdict([found]) == 1
    assert "differs: shop.bronze.customers: ('ann', 'NO'" in capsys.readouterr().out


def test_without_spark_the_demo_says_how_to_get_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pyspark" else find(name)
    )
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--spark"])
    assert ended.value.code == 1
    assert "make setup-spark" in capsys.readouterr().err
