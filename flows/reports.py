"""What a flow run shows in the Prefect pages: its name, its tags, and artifacts in markdown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote
from uuid import UUID

from prefect import get_client, get_run_logger
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.runtime import flow_run

from flows.outcome import Built
from lakehouse import validation
from lakehouse.build import Session, TableResult
from lakehouse.cli.screen import size
from lakehouse.engines.spark.running import Running
from lakehouse.errors import without_login
from lakehouse.ops import AuditRow
from lakehouse.planning import Action, Plan, Reason, Target
from lakehouse.retraining.job import Decided
from lakehouse.stack.docs import address
from lakehouse.training.job import Trained
from lakehouse.training.train import TrainingResult

__all__ = ["audit", "data_docs", "decision", "name_run", "plan", "spark", "training"]

#: Lines of a plan that anybody reads.
_LINES = 200


def name_run(session: Session, found: Plan) -> None:
    """Name the flow run by what it will do, and tag it with its domain and engines."""
    engines = sorted({_engine(session, group) for group in found.groups()} - {""})
    what = f"{'-'.join(engines)}-{len(found.todo)}-targets" if found.todo else "up-to-date"
    tags = {f"domain:{session.domain.name}", *(f"engine:{engine}" for engine in engines)}
    with get_client(sync_client=True) as client:
        client.update_flow_run(
            UUID(flow_run.get_id()),
            name=f"elt-{session.domain.name}-{what}",
            tags=sorted(tags | set(flow_run.get_tags())),
        )


def plan(session: Session, found: Plan, selected: int) -> None:
    """The plan of so many selected tables, with its reasons."""
    lines = [f"# Plan of {session.domain.name}", "", _sum(found, selected), ""]
    groups = found.groups()
    if groups:
        lines += _table(["table", "partitions", "because"], map(_line, groups[:_LINES]))
    if len(groups) > _LINES:
        lines += ["", f"… and {len(groups) - _LINES} lines more: `lake plan` shows them."]
    create_markdown_artifact(
        key=_key("plan", session.domain.name),
        markdown="\n".join(lines).replace(f"{session.domain.path}/", ""),
        description="What this run does, and why",
    )


def _sum(found: Plan, selected: int) -> str:
    if not found.targets:
        return f"Nothing to do: {selected} tables are as declared."
    counts = {action: sum(t.action is action for t in found.targets) for action in Action}
    told = ", ".join(f"**{n}** to {action}" for action, n in counts.items() if n)
    unsure = sum(not t.certain for t in found.targets)
    more = f"; {unsure} of them only if their inputs change" if unsure else ""
    return f"{told}{more}. They read {size(sum(t.bytes for t in found.todo))}."


def _engine(session: Session, group: Sequence[Target]) -> str:
    table = session.domain.tables[group[0].table]
    return session.route(table, group)[0] if group[0].action is Action.build else ""


def _line(group: Sequence[Target]) -> list[str]:
    first = group[0]
    names = [target.label for target in group]
    do = {Action.build: "", Action.remove: "remove: "}.get(first.action, "")
    unsure = "" if first.certain else " (only if it changes)"
    because = "; ".join(_reason(r, names) for r in first.reasons)
    return [
        first.table,
        names[0] if len(names) == 1 else f"{len(names)}: {names[0]} … {names[-1]}",
        f"{do}{because}{unsure}",
    ]


def _reason(reason: Reason, names: Sequence[str]) -> str:
    """A reason; its detail only where that is about one target and does not stand beside it."""
    told = len(names) == 1 and reason.code != "after bronze" and reason.detail != names[0]
    detail = reason.detail if told else ""
    return " ".join(filter(None, (f"**{reason.code}**", reason.input, detail)))


def audit(session: Session, built: Built, selected: int) -> None:
    """Rows per table, what was quarantined by which rule, what is blocked and what failed."""
    domain = session.domain.name
    as_declared = selected - len(built.results)
    lines = [f"# Result of {domain}: {built.verdict}", "", f"Run `{session.run}`.", ""]
    if built.results:
        columns = ["table", ">version", ">partitions", ">rows in", ">published"]
        columns += [">quarantined", ">superseded", "engine", ">seconds"]
        lines += _table(columns, map(_result, built.results))
    if as_declared > 0 and not built.failed:
        lines += ["", f"{as_declared} further tables were as declared."]
    lines += _section("Failed", ["table", "because"], [[n, why] for n, why in built.failed.items()])
    lines += _section(
        "Not tried", ["table", "because"], [[n, "an input failed"] for n in built.skipped]
    )
    blocked = [[b.table, b.partition, b.rule, b.detail] for b in built.blocked]
    lines += _section("Blocked", ["table", "partition", "rule", "because"], blocked)
    if blocked:
        lines += [
            "",
            "What was published before stays. Mend the file, the SQL or the rule, or waive",
        ]
        lines += ["the rule in the contract, then run again: only these are built."]
    waiting = [[r.table, told] for r in built.results for told in r.waiting]
    lines += _section("Waiting", ["table", "partition and input"], waiting)
    kept_out = [[r.table, rule, f"{n:,}"] for r in built.results for rule, n in r.reasons.items()]
    lines += _section("Quarantined", ["table", "rule", ">rows"], kept_out)
    if kept_out:
        first = next(r.table for r in built.results if r.reasons)
        lines += ["", f"The rows themselves: `lake quarantine {first}`."]
    create_markdown_artifact(
        key=_key("audit", domain),
        markdown="\n".join(lines),
        description="Rows and rules of this run",
    )


def _result(r: TableResult) -> list[str]:
    counts = (r.partitions, r.rows_in, r.rows_out, r.quarantined, r.superseded)
    built = [r.engine, f"{r.seconds:.1f}"] if r.engine else ["-", "-"]
    return [r.table, str(r.version), *(f"{n:,}" if n else "-" for n in counts), *built]


def spark(session: Session, found: Running, table: str = "") -> None:
    """Where Spark runs, with a link to its page, which is there as long as it runs.

    Args:
        session: The run.
        found: The application.
        table: What it builds; empty where it builds all of the run's tables on Spark.
    """
    events = session.lake.settings.spark_events
    lines = [
        f"# Spark builds {table or 'tables of ' + session.domain.name}",
        "",
        *_table(
            ["what", "where"],
            [
                ["jobs, stages, SQL, while it runs", found.page or "its page is off"],
                ["master", found.master],
                ["application", found.application],
                ["the driver's log", found.log],
                *([["event log", events]] if events else []),
            ],
        ),
    ]
    create_markdown_artifact(
        key=_key("spark", session.domain.name),
        markdown="\n".join(lines),
        description="Where Spark runs, its page and its log",
    )


def data_docs(session: Session, audits: Sequence[AuditRow]) -> None:
    """The run's validation results as pages, and a link to them."""
    if not audits:
        return
    state = session.lake.settings.state
    try:
        page = validation.publish(state, audits, session.run, session.started)
    except Exception as error:
        get_run_logger().warning("the Data Docs were not written: %s", error)
        return
    if page:
        create_link_artifact(
            key=_key("data-docs", session.domain.name),
            link=address(state, page),
            link_text="Data Docs",
            description="Validation results of the last runs",
        )


def training(done: Trained) -> None:
    """Metrics against baselines, and the gates."""
    if done.result is None:
        version = done.existing.version if done.existing else "?"
        lines = [f"Nothing to do: version {version} was trained from these rows."]
    else:
        lines = _trained(done.result)
    create_markdown_artifact(
        key=_key("training", done.model),
        markdown="\n".join(lines),
        description="Metrics and gates",
    )


def _trained(result: TrainingResult) -> list[str]:
    names = list(result.candidate.metrics)
    metrics = [
        [e.model, *(_number(e.metrics.get(name)) for name in names)]
        for e in (result.candidate, *result.baselines)
    ]
    importance = [[i.feature, _number(i.loss)] for i in result.importance[:10]]
    gates = [[g.name, g.verdict, g.because] for g in result.gates]
    return [
        f"# {result.model} version {result.version}: {result.alias}",
        "",
        f"Trained on {result.train_rows:,} rows, judged on {result.test_rows:,} later ones.",
        "",
        *_table(["model", *(f">{name}" for name in names)], metrics),
        *_section("Gates", ["gate", "verdict", "because"], gates),
        *_section("What it looks at", ["feature", f">{names[0]} lost without it"], importance),
        "",
        f"In MLflow: {_mlflow(result)}",
    ]


def _mlflow(result: TrainingResult) -> str:
    """The registered version, linked where a server shows it."""
    uri = without_login(os.environ.get("MLFLOW_TRACKING_URI", ""))
    name = f"{result.model} version {result.version}"
    page = f"{uri}/#/models/{quote(result.model)}/versions/{result.version}"
    return f"{f'[{name}]({page})' if uri.startswith('http') else name}, run `{result.run_id}`"


def decision(done: Decided) -> None:
    """Whether to train, with all reasons and what was seen."""
    facts, made = done.facts, done.made
    asked = ", ".join(t.kind + (f" ({t.detail})" if t.detail else "") for t in facts.triggers)
    pinned = ", ".join(f"{table} version {v}" for table, v in facts.pinned.items())
    speaks = {"for": "for", "against": "against", "told": "overruled"}
    reasons = [[r.code, speaks[r.weight], r.sentence] for r in made.reasons]
    seen = [
        ["asked by", asked],
        ["champion", f"version {facts.champion.version}" if facts.champion else "none"],
        ["data", f"{pinned or 'none'}; newest event {facts.watermark or 'none'}"],
        ["ripe labelled rows", f"{facts.rows:,}; new ones {facts.new_rows:,}"],
        ["attempts so far", str(len(facts.attempts))],
        ["alarms not answered yet", str(len(facts.new_alarms))],
    ]
    note = "" if done.recorded else ": nothing has changed since"
    lines = [
        f"# {facts.model}: {'training' if made.verdict == 'train' else 'no training'}",
        "",
        f"Decision `{done.decision}`{note}. The whole story: `lake why {facts.model}`.",
        *_section("Reasons", ["reason", "speaks", "because"], reasons),
        *_section("What was seen", ["what", "value"], seen),
    ]
    create_markdown_artifact(
        key=_key("decision", facts.model),
        markdown="\n".join(lines),
        description="Whether to train, and why",
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _section(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["", f"## {title}", "", *_table(columns, rows)] if rows else []


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A markdown table; columns that begin with ``>`` stand to the right."""
    lines = [[c.removeprefix(">") for c in columns]]
    lines += [["--:" if c.startswith(">") else "---" for c in columns]]
    lines += [[_cell(text) for text in row] for row in rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _cell(text: str) -> str:
    return re.sub(r"([|_<`])", r"\\\1", " ".join(text.split()))


def _key(kind: str, name: str) -> str:
    """Prefect takes letters, digits and dashes only."""
    return f"{kind}-{name.lower().replace('_', '-')}"
