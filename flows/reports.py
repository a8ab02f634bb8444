"""What a flow run shows in the Prefect pages: artifacts in markdown, best read there."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import get_run_logger
from prefect.artifacts import create_link_artifact, create_markdown_artifact

from lakehouse import validation
from lakehouse.build import Session, TableResult
from lakehouse.ledger import AuditRow
from lakehouse.planning import Plan, Target
from lakehouse.stack.docs import address
from lakehouse.training.job import Trained

__all__ = ["audit", "data_docs", "plan", "training"]


def plan(session: Session, found: Plan) -> None:
    """The plan with its reasons."""
    lines = [
        f"# Plan of `{session.domain.name}`",
        f"{len(found.targets)} targets are not as declared."
        if found.targets
        else "Nothing to do: every table is as declared.",
    ]
    if found.targets:
        lines += ["", "| table | partition | do | because |", "|---|---|---|---|"]
        lines += [_target(t) for t in found.targets[:200]]
    create_markdown_artifact(
        key=f"plan-{session.domain.name}", markdown="\n".join(lines), description="What, and why"
    )


def _target(target: Target) -> str:
    name = target.batch.label if target.batch else target.partition or "all"
    reasons = "; ".join(
        " ".join(filter(None, (r.code, r.input or "", f"({r.detail})" if r.detail else "")))
        for r in target.reasons
    )
    unsure = "" if target.certain else " (only if its inputs change)"
    return f"| `{target.table}` | {name} | {target.action}{unsure} | {reasons} |"


def audit(session: Session, results: Sequence[TableResult]) -> None:
    """Rows per table, what was quarantined by which rule, and what is blocked."""
    lines = [
        f"# Run `{session.run}`",
        "",
        "| table | version | partitions | rows in | published | quarantined | superseded | audit |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    lines += [
        f"| `{r.table}` | {r.version} | {r.partitions} | {r.rows_in:,} | {r.rows_out:,} | "
        f"{r.quarantined:,} | {r.superseded:,} | {r.audit} |"
        for r in results
    ]
    reasons = [(r.table, rule, n) for r in results for rule, n in r.reasons.items()]
    if reasons:
        lines += ["", "## Quarantined", "", "| table | rule | rows |", "|---|---|--:|"]
        lines += [f"| `{table}` | `{rule}` | {n:,} |" for table, rule, n in reasons]
    blocked = [b for r in results for b in r.blocked]
    if blocked:
        lines += [
            "",
            "## Blocked",
            "",
            "| table | partition | rule | because |",
            "|---|---|---|---|",
        ]
        lines += [f"| `{b.table}` | {b.partition} | `{b.rule}` | {b.detail} |" for b in blocked]
    create_markdown_artifact(
        key=f"audit-{session.domain.name}",
        markdown="\n".join(lines),
        description="Rows and rules of the last run",
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
            key=f"data-docs-{session.domain.name}",
            link=address(state, page),
            link_text="Data Docs",
            description="Validation results of the last runs",
        )


def training(done: Trained) -> None:
    """Metrics against baselines, and the gates."""
    key = f"training-{done.model.replace('_', '-')}"
    if done.result is None:
        version = done.existing.version if done.existing else "?"
        text = f"Nothing to do: version {version} was trained from these rows."
        create_markdown_artifact(key=key, markdown=text, description="No training")
        return
    evaluated = [done.result.candidate, *done.result.baselines]
    names = list(done.result.candidate.metrics)
    lines = [
        f"# {done.model} version {done.result.version}: {done.result.alias}",
        "",
        f"| model | {' | '.join(names)} |",
        f"|---|{'--:|' * len(names)}",
    ]
    lines += [
        f"| {e.model} | "
        + " | ".join(f"{e.metrics.get(n, float('nan')):.4f}" for n in names)
        + " |"
        for e in evaluated
    ]
    lines += ["", "| gate | verdict | because |", "|---|---|---|"]
    lines += [f"| {g.name} | {g.verdict} | {g.because} |" for g in done.result.gates]
    lines += ["", f"MLflow run `{done.result.run_id}`"]
    create_markdown_artifact(key=key, markdown="\n".join(lines), description="Metrics and gates")
