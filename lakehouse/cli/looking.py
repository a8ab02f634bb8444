"""``lake show``, ``lake query``, ``lake quarantine`` and ``lake lint``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import click

from lakehouse import catalog, profile, sql, validation
from lakehouse import snapshot as snapshots
from lakehouse.build import Lake
from lakehouse.catalog import Domain, Table
from lakehouse.cli import screen
from lakehouse.contract.rules import columns_of
from lakehouse.ledger import Ledger
from lakehouse.settings import load
from lakehouse.stack.docs import address

__all__ = ["lint", "quarantine", "query", "show"]


@click.command()
@click.argument("table", required=False)
@screen.json_option
def show(table: str | None, as_json: bool) -> None:
    """The tables of the lake, or TABLE: columns, lineage, partitions, history, last audit."""
    lake = screen.lake()
    if table is None:
        _show_all(lake, as_json=as_json)
    else:
        _show_one(lake, catalog.find(lake.domains, table), as_json=as_json)


def _show_all(lake: Lake, *, as_json: bool) -> None:
    rows: list[list[Any]] = []
    for domain in lake.domains:
        for table in domain.order:
            found = snapshots.read(lake.place(table), table.name)
            version = found.version if found.exists else None
            parts = len(found.partitions)
            rows.append([table.name, version, parts, found.rows, found.bytes, _purpose(table)])
    columns = ["table", "version", "partitions", "rows", "bytes", "what"]
    if as_json:
        tables = [dict(zip(columns, row, strict=True)) for row in rows]
        click.echo(json.dumps({"schema": 1, "tables": tables}))
    else:
        screen.table(columns, [[*row[:4], screen.size(row[4]), row[5]] for row in rows])


def _purpose(table: Table) -> str:
    return (table.contract.description or "").strip().split("\n")[0]


def _show_one(lake: Lake, table: Table, *, as_json: bool) -> None:
    found = snapshots.read(lake.place(table), table.name)
    sources, refers = _sources(lake, table), _referred(table)
    columns = [
        [c.name, c.type, c.unit, c.key, c.classification, c.description]
        for c in table.contract.columns
    ]
    parts = [
        [
            value or "-",
            sum(f.rows for f in files),
            screen.size(sum(f.size for f in files)),
            len(files),
            str(files[0].parts[0].build),
        ]
        for value, files in found.partitions.items()
    ]
    ops = Ledger(lake.storage)
    builds = sorted(
        (r for r in ops.rows("builds") if r["table"] == table.name), key=lambda r: r["started"]
    )
    last = builds[-1]["run"] if builds else None
    audits = [r for r in ops.rows("audits") if r["table"] == table.name and r["run"] == last]
    if as_json:
        _echo(
            {
                "schema": 1,
                "table": table.name,
                "version": found.version,
                "definition": table.definition,
                "contract": table.contract.path,
                "columns": [
                    dict(zip(_COLUMN, c, strict=True))
                    | {"from": sources.get(str(c[0]), []), "refers_to": refers.get(str(c[0]), [])}
                    for c in columns
                ],
                "partitions": [{"partition": p[0], "rows": p[1], "build": p[4]} for p in parts],
                "audits": audits,
            }
        )
        return
    screen.say(f"{table.name} · version {found.version} · {found.rows:,} rows")
    screen.say(_purpose(table))
    screen.say(f"definition {table.definition} · reads {', '.join(table.reads) or 'landing files'}")
    screen.say(f"contract {table.contract.path} · {_promise(table)}")
    screen.heading("columns")
    classified = any(c.classification for c in table.contract.columns)
    head = ["column", "type", "unit", "key", *(["class"] if classified else []), "what"]
    screen.table(head, columns if classified else [[*c[:4], c[5]] for c in columns])
    if sources:
        screen.heading("lineage")
        screen.table(["column", "from"], [[name, _grouped(of)] for name, of in sources.items()])
    if refers:
        screen.heading("relationships")
        screen.table(["column", "refers to"], [[n, ", ".join(to)] for n, to in refers.items()])
    screen.heading("partitions")
    screen.table(["partition", "rows", "bytes", "files", "built from"], parts)
    screen.heading("last builds")
    screen.table(
        ["run", "target", "because", "published", "quarantined", "version"],
        [
            [
                r["run"],
                r["label"] or r["key"] or "all",
                ", ".join(x["code"] for x in json.loads(r["reasons"])),
                r["published"],
                r["quarantined"],
                r["version"] if r["version"] >= 0 else r["result"],
            ]
            for r in builds[-8:]
        ],
    )
    screen.heading(f"last audit (run {last})")
    screen.table(["rule", "result", "targets", "unexpected rows", "expectation"], _rules(audits))
    state = lake.settings.state
    for page in (validation.latest(state, table.name), profile.latest(state, table)):
        if page:
            screen.say(address(state, page))


_COLUMN = ("name", "type", "unit", "key", "classification", "description")


def _sources(lake: Lake, table: Table) -> dict[str, list[str]]:
    """Column → the columns it is computed from; empty for bronze, whose columns are landed.

    Of a function nobody knows: each column may be made of all its inputs.
    """
    if table.code is not None:
        return {name: [f"{read}.*" for read in table.made_of] for name in table.contract.types}
    if table.query is None:
        return {}
    tables = lake.domain(table.domain).tables
    inputs = {name: sql.Input(tables[name].contract.types) for name in table.made_of}
    made = sql.lineage(table.query, inputs)
    return {
        name: [f"{source}.{column}" for source, column in sorted(made.get(name, ()))]
        for name in table.contract.types
    }


def _referred(table: Table) -> dict[str, list[str]]:
    """Column → the columns that its relationships refer to."""
    found: dict[str, list[str]] = {}
    for rule in table.contract.rules:
        one = table.references.get(rule.id)
        if one is None:
            continue
        for name, there in zip(columns_of(rule), one.columns, strict=True):
            found.setdefault(name, []).append(f"{one.table}.{there}")
    return found


def _grouped(sources: list[str]) -> str:
    """Columns behind the name of their table, which is said once."""
    named: dict[str, list[str]] = {}
    for source in sources:
        table, _, column = source.rpartition(".")
        named.setdefault(table, []).append(column)
    said = "; ".join(f"{table}: {', '.join(columns)}" for table, columns in named.items())
    return said or "no column: rows counted, or a constant"


def _promise(table: Table) -> str:
    """Version, key, partition and rules in one line."""
    contract, part = table.contract, table.contract.lake.partition
    said = [f"version {contract.version}", f"key {', '.join(contract.key) or 'none'}"]
    if part:
        said.append(f"{part.column} by {part.grain} ({part.timezone})")
    return " · ".join([*said, f"{len(contract.rules)} rules"])


def _rules(audits: list[dict[str, Any]]) -> list[list[Any]]:
    counted = Counter((a["rule"], a["result"], a["expectation"]) for a in audits)
    return [
        [
            rule,
            result,
            n,
            sum(a["unexpected"] for a in audits if (a["rule"], a["result"]) == (rule, result)),
            expectation.removeprefix("expect_"),
        ]
        for (rule, result, expectation), n in sorted(counted.items())
    ]


def _json(value: object) -> object:
    # Sums of whole numbers come as decimals.
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


def _echo(value: Any) -> None:
    click.echo(json.dumps(value, default=_json))


@click.command()
@click.argument("sql")
@click.option("--at", multiple=True, metavar="TABLE=VERSION", help="Read a table at a version.")
@click.option("--run", "run_id", help="Read the versions that a run read and wrote.")
@click.option(
    "--limit",
    default=100,
    show_default=True,
    type=click.IntRange(min=1),
    help="Rows shown; --json shows all.",
)
@screen.json_option
def query(sql: str, at: tuple[str, ...], run_id: str | None, limit: int, as_json: bool) -> None:
    """Run SQL over the lake: silver.flights, silver.flights__quarantine, ops.runs."""
    from lakehouse import query as queries

    lake = screen.lake()
    versions = dict(queries.of_run(lake, run_id).versions) if run_id else {}
    for one in at:
        name, _, version = one.partition("=")
        if not version.isdigit():
            raise click.UsageError(f"--at {one}: write --at silver.flights=12.")
        versions[catalog.find(lake.domains, name).name] = int(version)
    found = queries.run(lake, sql, queries.Cut(versions))
    if as_json:
        _echo(found.to_pylist())
        return
    shown = found.slice(0, limit)
    screen.table(shown.column_names, [list(row.values()) for row in shown.to_pylist()])
    if found.num_rows > limit:
        screen.say(f"{limit:,} of {found.num_rows:,} rows; --limit shows more")


@click.command()
@click.argument("table", required=False)
@click.option(
    "--limit",
    default=20,
    show_default=True,
    type=click.IntRange(min=1),
    help="Rows shown of a table.",
)
@click.option("--domain", help="Counts of this domain only.")
@screen.json_option
def quarantine(table: str | None, limit: int, domain: str | None, as_json: bool) -> None:
    """Rows kept out, with the rules they break: counts, or the rows of TABLE."""
    from lakehouse import query as queries

    lake = screen.lake()
    if table is not None:
        one = catalog.find(lake.domains, table)
        found = queries.run(
            lake,
            f"SELECT _violations, * EXCLUDE (_violations, _build) "
            f"FROM {one.name}{queries.QUARANTINE} LIMIT {limit}",
        )
        rows = found.to_pylist()
        if as_json:
            _echo(rows)
        elif not rows:
            screen.say(f"{one.name}: nothing is quarantined")
        else:
            for row in rows:
                screen.say(f"{', '.join(row.pop('_violations'))}:")
                known = {k: str(v) for k, v in row.items() if v is not None}
                screen.say("  " + ", ".join(f"{k}={screen.cell(v)}" for k, v in known.items()))
        if len(rows) == limit:
            _say_cut(lake, one, limit, err=as_json)
        return
    counts = quarantined(lake, [lake.domain(domain)] if domain else lake.domains)
    if as_json:
        _echo([dict(zip(("table", "rule", "rows"), c, strict=True)) for c in counts])
    elif counts:
        screen.table(["table", "rule", "rows"], counts)
    else:
        screen.say("nothing is quarantined")


def _say_cut(lake: Lake, table: Table, limit: int, *, err: bool) -> None:
    from lakehouse import query as queries

    counted = queries.run(lake, f"SELECT count(*) AS n FROM {table.name}{queries.QUARANTINE}")
    total = counted.to_pylist()[0]["n"]
    if total > limit:
        click.echo(f"{limit:,} of {total:,} rows; --limit {total} shows all", err=err)


def quarantined(lake: Lake, domains: Iterable[Domain]) -> list[list[Any]]:
    """(table, rule, rows) of every table of some domains; a row counts for each rule it breaks."""
    from lakehouse import query as queries

    found: list[list[Any]] = []
    for domain in domains:
        for table in domain.order:
            snapshot = snapshots.read(lake.place(table), table.name)
            if not queries.quarantine_input(lake, table, snapshot).files:
                continue
            rows = queries.run(
                lake,
                f"SELECT rule, count(*) AS n FROM (SELECT unnest(_violations) AS rule "
                f"FROM {table.name}{queries.QUARANTINE}) GROUP BY rule ORDER BY n DESC, rule",
            ).to_pylist()
            found += [[table.name, row["rule"], row["n"]] for row in rows]
    return found


@click.command()
@screen.json_option
def lint(as_json: bool) -> int:
    """Check every contract, SQL file and model declaration below the domains' folder."""
    from lakehouse.training import linting

    folder = load().domains
    problems, skipped = [], []
    checked = 0
    for path in catalog.folders(folder):
        problems += catalog.lint(path)
        skipped += catalog.unevaluated(path)
        checked += len(list(path.glob("*/*.yaml")))
        problems += linting.complaints(path)
    if as_json:
        left = [{"table": t.name, "rule": r.id, "type": r.type} for t, r in skipped]
        _echo({"schema": 1, "problems": [p.to_json() for p in problems], "not_evaluated": left})
    else:
        for problem in problems:
            screen.say(f"{problem.file or problem.asked}: {problem.found}\n    {problem.remedy}")
        for table, rule in skipped:
            why = f"no engine of ours evaluates {rule.type}"
            screen.say(f"{table.contract.path}: rule {rule.id} is not evaluated: {why}")
        found = screen.counted(len(problems), "problem")
        screen.say(f"{screen.counted(checked, 'declaration')}, {found}")
    return 1 if problems else 0
