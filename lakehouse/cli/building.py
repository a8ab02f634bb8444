"""``lake plan`` and ``lake build``."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from lakehouse import build as builds
from lakehouse.build import BuildResult, Session
from lakehouse.cli import screen
from lakehouse.ops import AuditRow
from lakehouse.planning import Action, Plan, Reason, Target

if TYPE_CHECKING:
    from lakehouse.training.plan import ModelTarget

__all__ = ["build", "plan", "publish_docs", "show_built"]

#: What a plan's last line says of the targets of each action.
_TOLD = {
    Action.build: "to build",
    Action.remove: "to remove",
    Action.wait: "waiting",
    Action.blocked: "blocked",
}
_domain = click.option(
    "--domain", help="The domain; needed only when there are several and TABLES do not tell."
)
_engine = click.option(
    "--engine",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "dask", "spark", "local"]),
    help="Build on this engine whatever the contracts say.",
)
_force = click.option("--force", is_flag=True, help="Rebuild the named tables though up to date.")
_parts = click.option(
    "--partition", "partitions", multiple=True, help="With --force: only this partition or file."
)


def _session(
    tables: Sequence[str], domain: str | None, engine: str, force: bool, partitions: Sequence[str]
) -> Session:
    if partitions and not force:
        raise click.UsageError("--partition goes with --force.")
    lake = screen.lake()
    session = Session(lake, lake.domain(domain, tables), engine=engine)
    session.select(tables, force=force, partitions=partitions)
    if partitions:
        _check_partitions(session, tables, partitions)
    return session


def _check_partitions(session: Session, tables: Sequence[str], asked: Sequence[str]) -> None:
    found, _ = builds.plan(session, tables)
    named = [t for t in found.targets if t.table in session.forced_tables]
    known = {n for t in named for n in (t.partition, t.batch_id, t.batch and t.batch.label) if n}
    for name in asked:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise click.UsageError(f"--partition {name}: no table named has it{hint}")


@click.command()
@click.argument("tables", nargs=-1)
@_domain
@_engine
@_force
@_parts
@click.option("--check", is_flag=True, help="Exit with 4 when something is left to do.")
@screen.json_option
def plan(
    tables: tuple[str, ...],
    domain: str | None,
    engine: str,
    force: bool,
    partitions: tuple[str, ...],
    check: bool,
    as_json: bool,
) -> int:
    """What must be built, and why. TABLES: only these and what they are made from.

    Without TABLES the models too; --check is about tables alone, which 'lake build' brings in
    order, while 'lake retrain' decides about models.
    """
    session = _session(tables, domain, engine, force, partitions)
    found, _ = builds.plan(session, tables)
    models = () if tables else _plan_models(session, found)
    if as_json:
        told = {"targets": [_json(session, t) for t in found.targets]}
        click.echo(json.dumps({"schema": 1, **told, "models": [_model_json(m) for m in models]}))
    else:
        _show_plan(session, found)
        _show_models(models)
    return 4 if check and found.todo else 0


def _plan_models(session: Session, found: Plan) -> tuple[ModelTarget, ...]:
    if not session.domain.model_files():
        return ()
    from lakehouse.training import plan as models

    return models.plan(session.lake, session.domain, {t.table for t in found.targets})


def _model_json(target: ModelTarget) -> dict[str, Any]:
    return {
        "model": target.model,
        "action": str(target.action),
        "reasons": [_reason_json(reason) for reason in target.reasons],
        "reads": [{"table": name, "version": v} for name, v in target.reads.items()],
        "windows": {span: list(days) for span, days in target.windows.items()},
        "certain": target.certain,
    }


def _show_models(targets: Sequence[ModelTarget]) -> None:
    if not targets:
        return
    rows = [
        [
            target.model,
            target.action.value if target.certain else f"{target.action.value}?",
            "; ".join(_reason(r) for r in target.reasons),
            ", ".join(f"{name} version {v}" for name, v in target.reads.items()) or "-",
        ]
        for target in targets
    ]
    screen.table(["model", "do", "because", "reads"], rows)
    screen.say("models: 'lake train NAME' does it; 'lake retrain NAME' asks whether to")


def _json(session: Session, target: Target) -> dict[str, Any]:
    table = session.domain.tables[target.table]
    engine, because = session.route(table, [target])
    return {
        "table": table.name,
        "partition": target.batch.label if target.batch else target.partition,
        "action": str(target.action),
        "reasons": [_reason_json(reason) for reason in target.reasons],
        "reads": [
            {
                "table": session.domain.tables[read.table].name,
                "partitions": read.partitions,
                "bytes": read.bytes,
            }
            for read in target.reads
        ],
        "wanted": target.wanted or None,
        "actual": target.actual,
        "engine": engine,
        "engine_because": because,
        "certain": target.certain,
    }


def _reason_json(reason: Reason) -> dict[str, str]:
    return {
        "code": reason.code,
        **({"input": reason.input} if reason.input else {}),
        "detail": reason.detail,
    }


def _show_plan(session: Session, found: Plan) -> None:
    for warning in found.warnings:
        screen.say(f"note: {warning}")
    if not found.targets:
        screen.say(f"nothing to do: {_as_declared(found.tables)}")
        return
    rows, whys = [], dict[tuple[str, str], list[str]]()
    for group in found.groups():
        first = group[0]
        engine, because = session.route(session.domain.tables[first.table], group)
        whys.setdefault((engine, because), []).append(first.table)
        rows.append(
            [
                first.table,
                _partitions(group),
                first.action.value if first.certain else f"{first.action.value}?",
                "; ".join(_reason(r) for r in first.reasons),
                ", ".join(f"{r.table} ({r.partitions})" for r in first.reads if r.files) or "-",
                screen.size(sum(t.bytes for t in group)),
                engine,
            ]
        )
    screen.table(["table", "partitions", "do", "because", "reads", "bytes", "engine"], rows)
    for (engine, because), names in whys.items():
        if engine == "spark" and session.engine == "auto":
            screen.say(f"Spark builds {', '.join(dict.fromkeys(names))}: {because}")
    counts = {action: sum(t.action is action for t in found.targets) for action in Action}
    told = ", ".join(f"{n} {_TOLD[action]}" for action, n in counts.items() if n)
    unsure = sum(not t.certain for t in found.targets)
    screen.say(
        f"{told}" + (f"; {unsure} of them only if its inputs change ('?')" if unsure else "")
    )


def _as_declared(tables: int) -> str:
    return f"{screen.counted(tables, 'table')} {'is' if tables == 1 else 'are'} as declared"


def _partitions(group: Sequence[Target]) -> str:
    names = [target.label for target in group]
    if len(names) == 1:
        return names[0]
    return f"{names[0]} … {names[-1]} ({len(names)})"


def _reason(reason: Reason) -> str:
    return " ".join(
        filter(None, (reason.code, reason.input, f"({reason.detail})" if reason.detail else ""))
    )


@click.command()
@click.argument("tables", nargs=-1)
@_domain
@_engine
@_force
@_parts
@screen.json_option
def build(
    tables: tuple[str, ...],
    domain: str | None,
    engine: str,
    force: bool,
    partitions: tuple[str, ...],
    as_json: bool,
) -> int:
    """Build what the plan says: stage, audit, publish. TABLES: only these and their inputs."""
    session = _session(tables, domain, engine, force, partitions)
    with screen.progress() as show:
        session.on_event = show
        done = builds.build(session, tables)
    if as_json:
        click.echo(json.dumps(_built_json(done)))
    else:
        show_built(done)
    page = publish_docs(session, done.audits)
    if page and not as_json:
        screen.say(f"audit: {page}")
    return 3 if done.blocked else 0


def publish_docs(session: Session, audits: Sequence[AuditRow]) -> str | None:
    """Write the Data Docs of a run, whose tables are published whatever becomes of it.

    Args:
        session: The run.
        audits: What the run judged.

    Returns:
        Where they are read; None when nothing was audited or they could not be written.
    """
    if not audits:
        return None
    from lakehouse import validation
    from lakehouse.stack.docs import address

    state = session.lake.settings.state
    try:
        page = validation.publish(state, audits, session.run, session.started)
    except Exception as error:
        click.echo(f"warning: the Data Docs were not written: {error}", err=True)
        return None
    return address(state, page) if page else None


def _built_json(done: BuildResult) -> dict[str, Any]:
    return {
        "schema": 1,
        "run": done.run,
        "tables": [
            {
                "table": t.table,
                "version": t.version,
                "partitions": t.partitions,
                "rows_in": t.rows_in,
                "rows_out": t.rows_out,
                "quarantined": t.quarantined,
                "superseded": t.superseded,
                "audit": t.audit,
                "seconds": round(t.seconds, 3),
                "warnings": list(t.warnings),
            }
            for t in done.tables
        ],
        "blocked": [b.__dict__ for b in done.blocked],
    }


def show_built(done: BuildResult) -> None:
    """The result of a build for a person."""
    if done.changed:
        columns = ["table", "version", "partitions", "rows in", "published", "quarantined"]
        rows = [
            [
                t.table,
                t.version,
                t.partitions,
                t.rows_in,
                t.rows_out,
                t.quarantined,
                t.superseded,
                t.engine,
                f"{t.seconds:.1f} s",
            ]
            for t in done.changed
        ]
        screen.table([*columns, "superseded", "engine", "time"], rows)
    for table in done.tables:
        for warning in table.warnings:
            screen.say(f"warning: {table.table}: {warning}")
        for waiting in table.waiting:
            screen.say(f"waits: {table.table} {waiting}")
    for blocked in done.blocked:
        click.secho(
            f"blocked: {blocked.table} {blocked.partition}: rule {blocked.rule}: {blocked.detail}",
            fg="red",
            file=sys.stdout,
        )
    if done.blocked:
        screen.say(
            "blocked partitions keep their last good rows; mend the source or the rule, or waive "
            "it in the contract ('waivers'): --force judges them again, but overrules nothing"
        )
    elif not done.changed and not any(t.waiting for t in done.tables):
        screen.say(f"nothing to do: {_as_declared(len(done.tables))}")
