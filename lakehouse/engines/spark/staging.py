"""Stage targets of one table with Spark: one SELECT for all, written once, counted from its files.

Spark writes into a Delta table of its own below the target, ``staging/<id>/``, by partition,
build and whether the row is kept out. That log says what was really written: a task that runs
twice is in it once. The published files are committed where they lie; rows kept out are few, and
are written again in the form of the quarantine.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lakehouse import audit, sql
from lakehouse.audit import OUTSIDE_PARTITION, literal
from lakehouse.engines.base import Staged, StagedFile, Task, check_row_law
from lakehouse.engines.limits import beyond, held, unheld
from lakehouse.engines.references import looked_up
from lakehouse.engines.spark.failing import failing
from lakehouse.engines.spark.files import kept_out, marker, published, written
from lakehouse.engines.spark.inputs import mount, over_views, quote, scan, view
from lakehouse.engines.writer import measured, quarantine_of
from lakehouse.errors import EngineError
from lakehouse.planning import NO_ROWS
from lakehouse.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["stage"]

_SAMPLES = 5
#: Columns of the staging table beside the target's; the first names directories for ever.
BUILD, REJECTED = "build", "rejected"

#: A fingerprint of the input rows that rows are of.
_OF_ROWS = "bit_xor(xxhash64(_source_file, _row))"
#: How many rows, and their fingerprint.
_Rows = tuple[int, int]


def stage(spark: SparkSession, task: Task) -> tuple[Staged, ...]:
    """Stage a task's targets by one Spark query.

    Args:
        spark: A session whose temporary views nobody else uses.
        task: Its SQL is in Spark's dialect.

    Raises:
        EngineError: Spark failed, or the row law does not hold.
    """
    began = time.perf_counter()
    _check_names(task)
    sql_file = f"{task.contract.path.removesuffix('.yaml')}.sql"
    with failing(
        f"stage {task.name} on Spark", f"see {sql_file} ('lake lint' checks it)", task.storage
    ):
        staged = tuple(_Run(spark, task, uuid.uuid4().hex).stage())
    seconds = (time.perf_counter() - began) / len(task.outputs)
    for one in staged:
        check_row_law(one, task)
    return tuple(replace(one, seconds=seconds) for one in staged)


def _check_names(task: Task) -> None:
    taken = {BUILD, REJECTED} & {name.lower() for name in task.contract.types}
    if taken:
        raise EngineError(
            f"stage {task.name} on Spark",
            f"a column is named {', '.join(sorted(taken))}, as directories of its staging are",
            f"rename it in {task.contract.path} and its SQL, or build the table with "
            "'--engine dask' (engine: dask in its contract)",
        )


@dataclass(frozen=True)
class _Run:
    """One staging table: everything about it is in its log and its files."""

    spark: SparkSession
    task: Task
    id: str

    @property
    def column(self) -> str | None:
        part = self.task.contract.lake.partition
        return part.column if part else None

    @property
    def place(self) -> Storage:
        return self.task.storage.at("staging", self.id)

    def stage(self) -> Iterator[Staged]:
        self.spark.sparkContext.setJobDescription(self.task.name)
        for one in self.task.inputs:
            mount(self.spark, one)
        self._name_outputs()
        frame = self.spark.sql(f"SELECT {self._rebalanced()} * FROM ({self._audited()})")
        by = (*filter(None, (self.column,)), BUILD, REJECTED)
        _save(frame, by, self.place, measured(self.task.contract))
        adds = written(self.place)
        any_rejected = self._view_staged(adds)
        numbers, reasons, rows_out = self._numbers(self._rules() if any_rejected else [])
        rows_in, superseded, samples = self._lineage(rows_out)
        files = published(self.place, adds, self.task)
        builds = {
            o.wanted: o.wanted if o.wanted in files else f"{o.wanted}-{NO_ROWS}"
            for o in self.task.outputs
        }
        quarantine = self._quarantine(builds) if any_rejected else {}
        for output in self.task.outputs:
            id_ = output.wanted
            found = numbers.get(id_) or self._no_numbers()
            selected = int(found["rows"] or 0)
            good = files.get(id_) or (marker(self.task, output, builds[id_]),)
            bad = quarantine.get(builds[id_], ())
            yield Staged(
                key=output.key,
                partition=output.partition,
                wanted=id_,
                files=good,
                quarantine=bad,
                rows_in=rows_in.get(id_, 0) if self.task.rows_from else selected,
                selected=selected,
                published=sum(f.rows for f in good),
                quarantined=sum(f.rows for f in bad),
                superseded=superseded.get(id_, 0),
                numbers=found,
                reasons=reasons.get(id_, {}),
                samples=samples.get(id_, ()),
            )

    # --- one SELECT ----------------------------------------------------------------------------

    def _name_outputs(self) -> None:
        """``_outputs``: partition → build, joined to rows and to input rows."""
        import pyarrow as pa

        text = pa.schema([("partition", pa.string()), ("build", pa.string())])
        rows = [{"partition": o.partition, "build": o.wanted} for o in self.task.outputs]
        # From Arrow it is part of the query, from Python's rows a job each time it is joined.
        frame = self.spark.createDataFrame(pa.Table.from_pylist(rows, schema=text))
        frame.createOrReplaceTempView("_outputs")

    def _build_of(self, relation: str, types: Mapping[str, str]) -> str:
        """``relation`` with the build that each of its rows belongs to; NULL: to none."""
        if self.column is None:
            build = literal(self.task.outputs[0].wanted)
            return f"SELECT r.*, {build} AS {BUILD} FROM {relation} AS r"
        value, partition = f"r.{quote(self.column)}", "o.partition"
        if types[self.column] == "DATE":
            # The few are cast, not the many.
            partition = f"CAST({partition} AS DATE)"
        else:
            value = f"CAST({value} AS STRING)"
        return (
            f"SELECT /*+ BROADCAST(o) */ r.*, o.build AS {BUILD} FROM {relation} AS r "
            f"LEFT JOIN _outputs AS o ON {value} = {partition}"
        )

    def _audited(self) -> str:
        contract, first = self.task.contract, literal(self.task.outputs[0].wanted)
        rules, where = self._rules(), ""
        if self.column is not None and self.task.reaches:
            where = f" WHERE {BUILD} IS NOT NULL OR {quote(self.column)} IS NULL"
        flags = ", ".join(f"CASE WHEN {bad} THEN {literal(rule)} END" for rule, bad in rules)
        broken = " OR ".join(f"({bad})" for _, bad in rules) or "FALSE"
        # A list is made, by code that Spark does not compile, for the rows of the branch alone.
        found = f"CASE WHEN {broken} THEN filter(array({flags}), r -> r IS NOT NULL) END"
        columns = ", ".join(map(quote, contract.types))
        select = over_views(self.task.sql, self.task.inputs)
        hard = filter(audit.hard, contract.rules)
        selected = looked_up(hard, f"({select})", quote, view)
        return (
            f"SELECT {columns}, _violations, "
            # A row that belongs nowhere is kept out once.
            f"coalesce({BUILD}, {first}) AS {BUILD}, _violations IS NOT NULL AS {REJECTED} FROM ("
            f"SELECT *, CAST({found} AS ARRAY<STRING>) AS _violations FROM ("
            f"{self._build_of(selected, contract.types)}){where})"
        )

    def _rules(self) -> list[tuple[str, str]]:
        """(rule id, SQL that is TRUE for a violating row)."""
        contract = self.task.contract
        rules = [
            (rule, sql.expression(bad, contract.types))
            for rule, bad in (*audit.violations(contract), *beyond(contract).values())
        ]
        return [*rules, (OUTSIDE_PARTITION, f"{BUILD} IS NULL")] if self.column else rules

    def _rebalanced(self) -> str:
        # Files of one partition are made by one task, or by some where it is large.
        by = f"({quote(self.column)})" if self.column else ""
        return f"/*+ REBALANCE{by} */"

    # --- counted from what was written ------------------------------------------------------------

    def _view_staged(self, adds: Sequence[Mapping[str, Any]]) -> bool:
        """``_audited``: the rows as they were written; whether any of them is kept out.

        What only counts of relationships is no column of a table, so it is looked up once more.
        """
        none = "CAST(array() AS ARRAY<STRING>)"
        any_rejected = any(add[f"partition.{REJECTED}"] not in (False, "false") for add in adds)
        by = [*filter(None, (self.column,)), BUILD]
        files = [
            (add["path"], add["size_bytes"], {name: _text(add[f"partition.{name}"]) for name in by})
            for add in adds
        ]
        violations = f"coalesce(_violations, {none})" if any_rejected else none
        scan(self.spark, self.place, 0, files).selectExpr(
            *map(quote, self.task.contract.types), f"{violations} AS _violations", BUILD
        ).createOrReplaceTempView("_staged")
        counted = filter(audit.counts_absent, self.task.contract.rules)
        audited = looked_up(counted, "_staged", quote, view)
        self.spark.sql(f"SELECT * FROM {audited}").createOrReplaceTempView("_audited")
        return any_rejected

    def _rows(self, query: str) -> pa.Table:
        return self.spark.sql(query).toArrow()

    def _numbers(
        self, broken: Sequence[tuple[str, str]]
    ) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, int]], dict[str, _Rows]]:
        """By build: what the audit's aggregates named; rule → rows that violate it; the rows.

        Args:
            broken: The rules that some row may violate.
        """
        contract = self.task.contract
        named = {
            "rows": "count(*)",
            "published": "count(*) FILTER (WHERE len(_violations) = 0)",
            **audit.aggregates(contract),
        }
        rules = list(dict.fromkeys(rule for rule, _ in broken))
        made = [sql.expression(text, contract.types) for text in named.values()]
        made += [f"count_if(array_contains(_violations, {literal(rule)}))" for rule in rules]
        made.append(_OF_ROWS if self.task.rows_from else "0")
        columns = ", ".join(f"{text} AS _{i}" for i, text in enumerate(made))
        numbers, reasons, rows = {}, {}, {}
        query = f"SELECT {BUILD}, {columns} FROM _audited GROUP BY {BUILD}"
        for build, *values, of_rows in _tuples(self._rows(query)):
            numbers[build] = self._no_numbers() | dict(zip(named, values, strict=False))
            counted = zip(rules, values[len(named) :], strict=True)
            reasons[build] = {rule: int(n) for rule, n in sorted(counted) if n}
            rows[build] = (int(numbers[build]["rows"]), int(of_rows))
        for build, rule, shared, looked in self._duplicates():
            numbers[build] |= {f"unique:{rule}": int(shared), f"looked:{rule}": int(looked)}
        return numbers, reasons, rows

    def _duplicates(self) -> list[tuple[Any, ...]]:
        """(build, rule, rows that share a key, rows looked at), of all rules by one query."""
        types = self.task.contract.types
        queries = [
            f"SELECT q.*, {literal(rule)} FROM ({sql.expression(query, types)}) AS q"
            for rule, query in audit.duplicates(self.task.contract, by=BUILD).items()
        ]
        if not queries:
            return []
        found = _tuples(self._rows(" UNION ALL ".join(queries)))
        return [(build, rule, shared, looked) for build, shared, looked, rule in found]

    def _no_numbers(self) -> dict[str, Any]:
        """The numbers of no rows."""
        contract = self.task.contract
        counts = {n: 0 for n in audit.aggregates(contract) if not n.startswith("value:")}
        values = {
            name: 0 if text.startswith("count(") else None
            for name, text in audit.aggregates(contract).items()
            if name.startswith("value:")
        }
        unique = {
            f"{k}:{rule}": 0 for rule in audit.duplicates(contract) for k in ("unique", "looked")
        }
        return {"rows": 0, "published": 0, **counts, **values, **unique}

    def _lineage(
        self, rows_out: Mapping[str, _Rows]
    ) -> tuple[dict[str, int], dict[str, int], dict[str, tuple[tuple[str, int], ...]]]:
        """By build: input rows, superseded ones, and some of these."""
        name = self.task.rows_from
        if name is None:
            return {}, {}, {}
        types = next(one.types for one in self.task.inputs if one.name == name)
        source = self._build_of(view(name), types)
        query = f"SELECT {BUILD}, count(*), {_OF_ROWS} FROM ({source}) GROUP BY {BUILD}"
        rows_in = {b: (int(n), int(found)) for b, n, found in _tuples(self._rows(query))}
        # Where the rows that came out are those that went in, no join has to find it out.
        unlike = [build for build in rows_in if build and rows_in[build] != rows_out.get(build)]
        lost, samples = self._superseded(source, unlike) if unlike else ({}, {})
        return {build: n for build, (n, _) in rows_in.items()}, lost, samples

    def _superseded(
        self, source: str, builds: Sequence[str]
    ) -> tuple[dict[str, int], dict[str, tuple[tuple[str, int], ...]]]:
        """Of some builds: input rows that did not come out, and some of them."""
        self.spark.sql(
            f"SELECT i.{BUILD}, i._source_file, i._row FROM ({source}) AS i "
            "LEFT ANTI JOIN _audited AS o "
            "ON i._source_file = o._source_file AND i._row = o._row "
            f"WHERE i.{BUILD} IN ({', '.join(map(literal, builds))})"
        ).createOrReplaceTempView("_lost")
        first = f"row_number() OVER (PARTITION BY {BUILD} ORDER BY _source_file, _row)"
        query = (
            f"SELECT {BUILD}, _source_file, _row, count(*) OVER (PARTITION BY {BUILD}) AS n "
            f"FROM _lost QUALIFY {first} <= {_SAMPLES}"
        )
        lost: dict[str, int] = {}
        samples: dict[str, tuple[tuple[str, int], ...]] = {}
        for build, file, row, n in sorted(_tuples(self._rows(query))):
            lost[build] = int(n)
            samples[build] = (*samples.get(build, ()), (str(file), int(row)))
        return lost, samples

    def _quarantine(self, builds: Mapping[str, str]) -> dict[str, tuple[StagedFile, ...]]:
        """Rows kept out, in the quarantine's form; build → files."""
        contract = self.task.contract
        cases = " ".join(
            f"WHEN {literal(a)} THEN {literal(b)}" for a, b in builds.items() if a != b
        )
        build = f"CASE {BUILD} {cases} ELSE {BUILD} END" if cases else BUILD
        query = (
            f"SELECT {held(contract)}, _violations, {build} AS _build, {unheld(contract)} AS _raw, "
            f"{build} AS {BUILD} FROM _audited WHERE len(_violations) > 0"
        )
        place = quarantine_of(self.task.storage).at("staging", self.id)
        frame = self.spark.sql(sql.expression(query, contract.types)).repartition(BUILD)
        _save(frame, (BUILD,), place, ())
        return kept_out(place)


def _save(frame: DataFrame, by: Sequence[str], place: Storage, measured: Sequence[str]) -> None:
    """Write a staging table: the only commit that Spark makes."""
    written = frame.write.format("delta").option("compression", "zstd").partitionBy(*by)
    # Else each file of a table would hold its partition, and columns that are the staging's own.
    written = written.option("delta.writePartitionColumnsToParquet", "false")
    if measured:
        names = ",".join(map(quote, measured))
        written = written.option("delta.dataSkippingStatsColumns", names)
    else:
        written = written.option("delta.dataSkippingNumIndexedCols", "0")
    written.save(place.spark_uri())


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _tuples(table: pa.Table) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in table.to_pylist()]
