"""The audit of ten rules over five million rows, against hand-written SQL, and on against off.

    python -m benchmarks.audit [--rows 5000000] [--rounds 5]

*rows*: what the kernel does to a target before it writes: the rows of the bronze table's files with
the ids of the rules that each violates, and the numbers of each rule. The peer is written by hand,
and leaves the same rows, ids and numbers.

*counts*: the numbers alone, in one query over the files, with nothing of the rows kept. The peer
computes no ids at all.

*build*: two silver tables with the same SELECT are built from that bronze table, plan, commit and
ledger included: one has the ten rules, the other none.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import common

if TYPE_CHECKING:
    from lakehouse.build import Session
    from lakehouse.engines.base import Task
    from lakehouse.planning import Target

_MODULE = "benchmarks.audit"
_ROLES = ("rows", "rows by hand", "counts", "counts by hand", "audit on", "audit off")
_PARTS = 10

_CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: meters.{layer}.{name}
name: {name}
version: 1.0.0
status: active
description: {{purpose: Readings of meters.}}
schema:
- name: {name}
  properties:
  - {{name: meter, logicalType: string, physicalType: VARCHAR}}
  - {{name: kind, logicalType: string, physicalType: VARCHAR}}
  - {{name: read_at, logicalType: timestamp, physicalType: TIMESTAMPTZ}}
  - {{name: sent_at, logicalType: timestamp, physicalType: TIMESTAMPTZ}}
  - {{name: reading, logicalType: number, physicalType: DOUBLE}}
  - {{name: pressure, logicalType: number, physicalType: DOUBLE}}
  - {{name: quantity, logicalType: integer, physicalType: INTEGER}}
  - {{name: note, logicalType: string, physicalType: VARCHAR}}
  - {{name: area, logicalType: string, physicalType: VARCHAR}}
  - {{name: block, logicalType: string, physicalType: VARCHAR}}
{quality}
customProperties:
- property: lakehouse
  value:
    partition: {{column: block, grain: value{expression}}}
{source}
"""
_COLUMNS = "meter, kind, read_at, sent_at, reading, pressure, quantity, note, area"
_RULES = """\
  quality:
  - {id: meter_present, type: custom, engine: greatExpectations, implementation: {type: expect_column_values_to_not_be_null, kwargs: {column: meter}}}
  - {id: meter_form, type: custom, engine: greatExpectations, implementation: {type: expect_column_values_to_match_regex, kwargs: {column: meter, regex: '^M[0-9]{6}$'}}}
  - {id: kind_known, type: custom, engine: greatExpectations, implementation: {type: expect_column_values_to_be_in_set, kwargs: {column: kind, value_set: [gas, water, heat, power]}}}
  - {id: read_present, type: custom, engine: greatExpectations, implementation: {type: expect_column_values_to_not_be_null, kwargs: {column: read_at}}}
  - {id: sent_after_read, type: custom, engine: greatExpectations, implementation: {type: expect_column_pair_values_a_to_be_greater_than_b, kwargs: {column_A: sent_at, column_B: read_at, or_equal: true}}}
  - {id: reading_range, type: custom, engine: greatExpectations, implementation: {type: expect_column_values_to_be_between, kwargs: {column: reading, min_value: 0, max_value: 999}}}
  - {id: pressure_range, type: custom, engine: greatExpectations, implementation: {type: expect_column_values_to_be_between, kwargs: {column: pressure, min_value: 0.5, max_value: 9.5, mostly: 0.5}}}
  - {id: note_length, type: custom, engine: greatExpectations, implementation: {type: expect_column_value_lengths_to_be_between, kwargs: {column: note, max_value: 20}}}
  - {id: quantity_mean, type: custom, engine: greatExpectations, implementation: {type: expect_column_mean_to_be_between, kwargs: {column: quantity, min_value: 0, max_value: 100}}}
  - {id: rows_there, type: custom, engine: greatExpectations, implementation: {type: expect_table_row_count_to_be_between, kwargs: {min_value: 1}}}
"""  # noqa: E501
_SELECT = f"SELECT {_COLUMNS}, block FROM bronze.readings"

#: One row in two hundred breaks a rule.
_GENERATED = """
COPY (
  SELECT
    'M' || lpad(CAST(CAST(hash(i) % 100000 AS INTEGER) AS VARCHAR), 6, '0') AS meter,
    CASE WHEN i % 997 = 0 THEN 'oil' ELSE ['gas', 'water', 'heat', 'power'][1 + i % 4] END AS kind,
    TIMESTAMPTZ '2026-01-01 00:00:00+00' + to_seconds(i * 5) AS read_at,
    TIMESTAMPTZ '2026-01-01 00:00:00+00' + to_seconds(i * 5 + i % 900) AS sent_at,
    CAST(hash(i + 1) % 100000 AS DOUBLE) / 100 AS reading,
    CAST(hash(i + 2) % 1000 AS DOUBLE) / 100 AS pressure,
    CAST(hash(i + 3) % 100 AS INTEGER) AS quantity,
    CASE WHEN i % 499 = 0 THEN 'far more than a note should be'
      WHEN i % 3 = 0 THEN 'note ' || CAST(i % 1000 AS VARCHAR) END AS note,
    'area {part}' AS area
  FROM range({part} * {rows}, ({part} + 1) * {rows}) AS r(i)
) TO '{file}.parquet' (FORMAT parquet, COMPRESSION zstd)
"""

_GOOD = """(meter IS NOT NULL AND form
      AND coalesce(kind IN ('gas', 'water', 'heat', 'power'), TRUE)
      AND read_at IS NOT NULL
      AND (coalesce(sent_at >= read_at, FALSE) OR (sent_at IS NULL AND read_at IS NULL))
      AND coalesce(reading BETWEEN 0 AND 999, TRUE)
      AND coalesce(length(note) <= 20, TRUE)) AS good
  FROM (
    SELECT *, regexp_matches(meter, '^M[0-9]{6}$') AS form
    FROM read_parquet(?, hive_partitioning = false))"""
#: What is counted of published rows, and of those with a value.
_OTHERS = """
  count(*) FILTER (WHERE pressure < 0.5 OR pressure > 9.5),
  avg(quantity) FILTER (WHERE good),
  count(meter), count(kind), count(reading), count(pressure), count(note),
  count(*) FILTER (WHERE sent_at IS NULL AND read_at IS NULL)
"""
#: By hand: rows, published, those that violate each rule.
_COUNTS = f"""
SELECT
  count(*),
  count(*) FILTER (WHERE good),
  count(*) FILTER (WHERE meter IS NULL),
  count(*) FILTER (WHERE NOT form),
  count(*) FILTER (WHERE kind NOT IN ('gas', 'water', 'heat', 'power')),
  count(*) FILTER (WHERE read_at IS NULL),
  count(*) FILTER (WHERE NOT coalesce(sent_at >= read_at, FALSE)
    AND NOT (sent_at IS NULL AND read_at IS NULL)),
  count(*) FILTER (WHERE reading < 0 OR reading > 999),
  count(*) FILTER (WHERE length(note) > 20),
  {_OTHERS}
FROM (SELECT *, {_GOOD})
"""
_ROWS = f"""
CREATE TEMP TABLE staged AS
SELECT {_COLUMNS}, area AS block, good, CASE WHEN NOT good THEN list_filter([
  CASE WHEN meter IS NULL THEN 'meter_present' END,
  CASE WHEN NOT form THEN 'meter_form' END,
  CASE WHEN kind NOT IN ('gas', 'water', 'heat', 'power') THEN 'kind_known' END,
  CASE WHEN read_at IS NULL THEN 'read_present' END,
  CASE WHEN NOT coalesce(sent_at >= read_at, FALSE)
    AND NOT (sent_at IS NULL AND read_at IS NULL) THEN 'sent_after_read' END,
  CASE WHEN reading < 0 OR reading > 999 THEN 'reading_range' END,
  CASE WHEN length(note) > 20 THEN 'note_length' END
], lambda rule: rule IS NOT NULL) END AS rules
FROM (SELECT *, {_GOOD})
"""
_OF_ROWS = f"SELECT count(*), count(*) FILTER (WHERE good), {_OTHERS} FROM staged"
_OF_RULES = """
SELECT rule, count(*) FROM (SELECT unnest(rules) AS rule FROM staged WHERE rules IS NOT NULL)
GROUP BY rule
"""


def prepare(folder: Path, rows: int) -> None:
    """Land the readings, some of them faulty, and build bronze."""
    from lakehouse import build as builds

    for name, text in _declarations().items():
        file = folder / "domains" / "meters" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    landing = folder / "landing" / "meters" / "readings"
    landing.mkdir(parents=True)
    con: Any = common.connect(folder / "spill", "4GB")
    for part in range(_PARTS):
        con.execute(_GENERATED.format(rows=rows // _PARTS, part=part, file=landing / f"{part}"))
    con.close()
    lake = common.lake_at(folder, folder / "domains")
    done = builds.build(builds.Session(lake, lake.domain(None)))
    assert not done.blocked, done.blocked


def _declarations() -> dict[str, str]:
    source = "    source: {path: 'readings/*.parquet', format: parquet}"
    bronze = {"quality": "", "expression": ", expression: area", "source": source}
    files = {"bronze/readings.yaml": _CONTRACT.format(layer="bronze", name="readings", **bronze)}
    for name, rules in (("audited", _RULES), ("unaudited", "")):
        silver = {"quality": rules, "expression": "", "source": ""}
        files[f"silver/{name}.sql"] = _SELECT
        files[f"silver/{name}.yaml"] = _CONTRACT.format(layer="silver", name=name, **silver)
    return files


def _ours(folder: Path) -> tuple[Any, Task]:
    """Bronze as the kernel reads it, and the task that it is given."""
    from lakehouse.build.tasks import task_of
    from lakehouse.engines.inputs import mount

    common.warm()
    session, targets = _forced(folder, "silver.audited")
    task = task_of(session, session.domain.tables["silver.audited"], targets, 1)
    con: Any = common.connect(folder / "spill", "4GB")
    for one in task.inputs:
        mount(con, one)
    return con, task


def _told(numbers: Mapping[str, Any]) -> dict[str, float]:
    bad = sum(n for name, n in numbers.items() if name.startswith("bad:"))
    return {"rows": numbers["rows"], "published": numbers["published"], "bad": bad}


def rows(folder: Path) -> None:
    """Rows, ids and numbers as the kernel makes them."""
    from lakehouse.engines.kernel import _audited, _numbers

    con, task = _ours(folder)

    def work() -> dict[str, float]:
        con.execute(f"CREATE TEMP TABLE _audited AS {_audited(task, task.sql)}")
        numbers, _ = _numbers(task, con)
        return _told(numbers)

    common.measure(work)


def counts(folder: Path) -> None:
    """The numbers alone, from the same expressions."""
    from lakehouse import audit
    from lakehouse.engines.kernel import _audited

    con, task = _ours(folder)
    named = {
        "rows": "count(*)",
        "published": f"count(*) FILTER (WHERE {audit.KEPT})",
        **audit.aggregates(task.contract),
    }

    def work() -> dict[str, float]:
        (found,) = con.execute(
            f"SELECT {', '.join(named.values())} FROM ({_audited(task, task.sql)})"
        ).fetchall()
        return _told(dict(zip(named, found, strict=True)))

    common.measure(work)


def _theirs(folder: Path) -> tuple[Any, list[str]]:
    common.warm()
    session, _ = _forced(folder, "silver.audited")
    place = Path(session.lake.place(session.domain.tables["bronze.readings"]).root)
    found = session.read(["bronze.readings"])["bronze.readings"].files
    return common.connect(folder / "spill", "4GB"), [str(place / f.path) for f in found]


def rows_by_hand(folder: Path) -> None:
    """The same rows, ids and numbers from the same files."""
    con, files = _theirs(folder)

    def work() -> dict[str, float]:
        con.execute(_ROWS, [files])
        found = con.execute(_OF_ROWS).fetchall()[0]
        by_rule = dict(con.execute(_OF_RULES).fetchall())
        bad = sum(by_rule.values()) + found[2]
        return {"rows": found[0], "published": found[1], "bad": bad}

    common.measure(work)


def counts_by_hand(folder: Path) -> None:
    """The same numbers from the same files."""
    con, files = _theirs(folder)

    def work() -> dict[str, float]:
        found = con.execute(_COUNTS, [files]).fetchall()[0]
        return {"rows": found[0], "published": found[1], "bad": sum(found[2:10])}

    common.measure(work)


def _forced(folder: Path, name: str) -> tuple[Session, Sequence[Target]]:
    from lakehouse.build import Session

    lake = common.lake_at(folder, folder / "domains")
    session = Session(lake, lake.domain(None))
    session.select([name], force=True)
    table = session.domain.tables[name]
    return session, session.targets(table, {}, session.read([*table.reads, name]))


def built(folder: Path, name: str) -> None:
    """Build a silver table anew."""
    from lakehouse import build as builds

    common.warm()
    session, _ = _forced(folder, name)
    _ = session.engine_for("dask").client  # type: ignore[attr-defined]

    def work() -> dict[str, float]:
        done = builds.build(session, [name])
        assert not done.blocked, done.blocked
        return {"rows": sum(table.rows_out for table in done.tables)}

    common.measure(work)


def main() -> None:
    """Alternate the four on one lake."""
    parser = common.parser(__doc__, _ROLES, rounds=5)
    parser.add_argument("--rows", type=int, default=5_000_000)
    asked = parser.parse_args()
    match asked.run:
        case "rows":
            rows(asked.folder)
        case "rows by hand":
            rows_by_hand(asked.folder)
        case "counts":
            counts(asked.folder)
        case "counts by hand":
            counts_by_hand(asked.folder)
        case "audit on":
            built(asked.folder, "silver.audited")
        case "audit off":
            built(asked.folder, "silver.unaudited")
        case _:
            with common.scratch(asked) as folder:
                prepare(Path(folder), asked.rows)
                _compare(Path(folder), asked)


def _compare(folder: Path, asked: argparse.Namespace) -> None:
    found = common.alternate(_MODULE, _ROLES, folder, asked.rounds)
    told = [found[role][0].told for role in _ROLES[:4]]
    assert all(one == told[0] for one in told), dict(zip(_ROLES, told, strict=False))
    pairs = (
        ("audit, rows with the ids of rules", 1.3, *_ROLES[:2]),
        ("audit, counts alone", 1.3, *_ROLES[2:4]),
        ("build, audit on", 1.2, *_ROLES[4:]),
    )
    for what, unit in (("cpu", "s CPU"), ("wall", "s wall")):
        for name, most, mine, theirs in pairs:
            a, b = common.median(found[mine], what), common.median(found[theirs], what)
            size = f"{asked.rows:,} rows × 10 rules"
            common.row(f"{name}, {unit}", size, f"{a:.2f}", f"{b:.2f}", a / b, common.Target(most))


if __name__ == "__main__":
    main()
