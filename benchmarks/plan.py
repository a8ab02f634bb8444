"""Plan of a table with 10,000 partitions, against opening the same tables with deltalake.

    python -m benchmarks.plan [--partitions 10000] [--stale 100] [--rounds 5]

Two tables by day: bronze (one landed file) and silver, which looks back a week. Both are published
through the library's committer with tiny files, and the ledger remembers each target, as after a
real build. Then a second file brings late rows for some days, spread over all years: silver is
stale there and in the week after. The peer opens the two tables with deltalake and lists their
files, which is the least that any planner must do. Target: what counts takes half a second of CPU.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import common

if TYPE_CHECKING:
    from lakehouse.build import Session
    from lakehouse.catalog import Table
    from lakehouse.engines.base import Staged
    from lakehouse.ops import BuildRow
    from lakehouse.planning import Target

_MODULE = "benchmarks.plan"
_FIRST = dt.date(1990, 1, 1)

_CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: days.{layer}.readings
name: readings
version: 1.0.0
status: active
description: {{purpose: A reading a day.}}
schema:
- name: readings
  properties:
  - {{name: read_on, logicalType: date, physicalType: DATE}}
  - {{name: reading, logicalType: number, physicalType: DOUBLE}}
  - {{name: day, logicalType: date, physicalType: DATE}}
customProperties:
- property: lakehouse
  value:
    partition: {{column: day, grain: day, {partition}}}
{more}
"""
_FILES = {
    "bronze/readings.yaml": _CONTRACT.format(
        layer="bronze",
        partition="expression: read_on",
        more="    source: {path: 'readings/*.parquet', format: parquet}",
    ),
    "silver/readings.yaml": _CONTRACT.format(
        layer="silver",
        partition="event: read_on",
        more="    reads: {bronze.readings: {lookback: 7 days}}",
    ),
    "silver/readings.sql": "SELECT read_on, reading, day FROM bronze.readings",
}


def prepare(folder: Path, partitions: int, stale: int) -> None:
    """Publish the tables, as a build would leave them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, text in _FILES.items():
        file = folder / "domains" / "days" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    days = [_FIRST + dt.timedelta(days=i) for i in range(partitions)]
    tiny = folder / "tiny.parquet"
    pq.write_table(pa.table({"read_on": days[:1], "reading": [1.0]}), tiny)
    landed = folder / "landing" / "days" / "readings"
    landed.mkdir(parents=True)
    for name, some in (("all", days), ("late", days[:: partitions // stale] if stale else [])):
        if some:
            readings = pa.table({"read_on": some, "reading": [1.0] * len(some)})
            pq.write_table(readings, landed / f"{name}.parquet")
            _publish(folder, "bronze.readings", tiny, some)
        if name == "all":
            _publish(folder, "silver.readings", tiny, some)


def _publish(folder: Path, name: str, tiny: Path, days: Sequence[dt.date]) -> None:
    """Publish the stale targets of a table, tiny files in the place of real ones."""
    from lakehouse import commit
    from lakehouse.build import Session

    lake = common.lake_at(folder, folder / "domains")
    session = Session(lake, lake.domain(None))
    table = session.domain.tables[name]
    seen = session.read([*table.reads, name])
    targets = session.targets(table, {}, seen)
    root = Path(lake.place(table).root)
    staged = [_staged(target, root, tiny, days) for target in targets]
    made = commit.publish(
        table, lake.place(table), staged, run=session.run, engine="dask", planned=-1
    )
    together = zip(staged, targets, strict=True)
    session.note(builds=[_row(session, table, *pair, made.version) for pair in together])
    session.finish("done")


def _staged(target: Target, root: Path, tiny: Path, days: Sequence[dt.date]) -> Staged:
    from lakehouse.engines.base import Staged, StagedFile

    files, content = [], tiny.read_bytes()
    build = f"build={target.wanted}-{_content(target.key)}"
    batch = f"batch={target.batch_id}/" if target.batch else ""
    for day in days if target.batch else [target.partition]:
        path = f"day={day}/{batch}{build}/part-0.parquet"
        (root / path).parent.mkdir(parents=True)
        (root / path).write_bytes(content)
        stats = json.dumps({"numRecords": 1})
        files.append(StagedFile(path, len(content), 1, str(day), stats))
    return Staged(
        key=target.key,
        partition=target.partition,
        wanted=target.wanted,
        files=tuple(files),
        quarantine=(),
        rows_in=len(files),
        selected=len(files),
        published=len(files),
        quarantined=0,
        superseded=0,
        numbers={},
        reasons={},
    )


def _content(key: str) -> str:
    """The id of made-up rows: other rows for each target."""
    return hashlib.md5(key.encode()).hexdigest()[:10]


def _row(session: Session, table: Table, staged: Staged, target: Target, version: int) -> BuildRow:
    from lakehouse import ledger, ops

    return ops.BuildRow(
        run=session.run,
        table=table.name,
        key=staged.key,
        label=target.batch.label if target.batch else "",
        build=f"{staged.wanted}-{_content(target.key)}",
        wanted=staged.wanted,
        reasons=json.dumps([{"code": "missing", "input": None, "detail": ""}]),
        inputs=json.dumps({name: dict(prints) for name, prints in target.inputs.items()}),
        reads="{}",
        version=version,
        rows_in=staged.rows_in,
        published=staged.published,
        quarantined=0,
        superseded=0,
        samples="[]",
        bytes=staged.bytes,
        files=len(staged.files),
        result="published",
        rule="",
        gates=table.contract.gates,
        engine="dask",
        started=ledger.now(),
        seconds=0.01,
    )


def ours(folder: Path) -> None:
    """Plan both tables."""
    from lakehouse import build as builds

    common.warm()
    lake = common.lake_at(folder, folder / "domains")
    session = builds.Session(lake, lake.domain(None))

    def work() -> dict[str, float]:
        found, _ = builds.plan(session)
        return {"targets": len(found.targets)}

    common.measure(work)


def peer(folder: Path) -> None:
    """Open the same tables and list their files."""
    from deltalake import DeltaTable

    common.warm()

    def work() -> dict[str, float]:
        layers = ("bronze", "silver")
        tables = [DeltaTable(str(folder / "lake" / "days" / x / "readings")) for x in layers]
        return {"files": sum(len(table.file_uris()) for table in tables)}

    common.measure(work)


def main() -> None:
    """Alternate ours and the peer on one lake."""
    parser = common.parser(__doc__, ["ours", "peer"], rounds=5)
    parser.add_argument("--partitions", type=int, default=10_000)
    parser.add_argument("--stale", type=int, default=100, help="days with late rows")
    asked = parser.parse_args()
    if asked.run:
        {"ours": ours, "peer": peer}[asked.run](asked.folder)
        return
    with common.scratch(asked) as folder:
        prepare(Path(folder), asked.partitions, asked.stale)
        _compare(Path(folder), asked)


def _compare(folder: Path, asked: argparse.Namespace) -> None:
    found = common.alternate(_MODULE, ("ours", "peer"), folder, asked.rounds)
    stale = found["ours"][0].told["targets"]
    for what, unit in (("cpu", "s CPU"), ("wall", "s wall")):
        mine, theirs = (common.median(found[who], what) for who in ("ours", "peer"))
        size = f"2 × {asked.partitions:,} partitions, {stale:g} stale"
        seconds = common.Target(0.5, mine, "s")
        common.row(f"plan, {unit}", size, f"{mine:.3f}", f"{theirs:.3f}", mine / theirs, seconds)


if __name__ == "__main__":
    main()
