"""The runs that the ledger holds, each with what it read and wrote."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lakehouse.lake import Lake
from lakehouse.ledger import Ledger

__all__ = ["Execution", "Step", "read"]


#: Runs whose ``version`` is one that they made, or judged.
_MAKES_MODELS = ("train", "judge", "retrain")


@dataclass(frozen=True)
class Step:
    """What a run did to one table.

    Attributes:
        table: Its full name.
        targets: How many partitions or batches.
        result: ``published``, ``blocked``, ``superseded``, or several of them.
        engine: The engines that staged them.
        rows_in: Rows that went in.
        published: Rows that came out.
        quarantined: Rows that were kept out.
        seconds: Time to stage them, summed.
    """

    table: str
    targets: int
    result: str
    engine: str
    rows_in: int
    published: int
    quarantined: int
    seconds: float


@dataclass(frozen=True)
class Execution:
    """One run.

    Attributes:
        run: The id, which sorts by time.
        pipeline: ``<kind>/<domain>``, or ``<kind>/<model>`` for a model's.
        domain: The domain's name.
        kind: What ran.
        code: Commit of the domain's folder; ``+`` when it was edited since.
        version: The library's.
        started: UTC.
        ended: UTC.
        seconds: Wall time.
        executor: Host and process id.
        engine: The engines used.
        parameters: What it was asked for.
        inputs: Table → the version that was read.
        outputs: Table, or model → the version that was written.
        result: ``done``, ``blocked`` or ``failed``.
        error: The first failure.
        flow_run: Prefect's id of the flow run; empty without one.
        steps: By table, in the order in which they were built.
    """

    run: str
    pipeline: str
    domain: str
    kind: str
    code: str
    version: str
    started: dt.datetime
    ended: dt.datetime
    seconds: float
    executor: str
    engine: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    result: str
    error: str
    flow_run: str
    steps: tuple[Step, ...]

    def to_json(self) -> dict[str, Any]:
        """One entry of what ``lake runs --json`` prints."""
        return asdict(self)


def read(
    lake: Lake,
    *,
    run: str | None = None,
    domain: str | None = None,
    kind: str | None = None,
    last: int = 0,
) -> tuple[Execution, ...]:
    """Runs, the oldest first.

    Args:
        lake: The lake.
        run: Only this one.
        domain: Only those of a domain.
        kind: Only those of a kind.
        last: Only so many of the last; 0 for all.

    Raises:
        LakehouseError: The store cannot be read.
    """
    ledger = Ledger(lake.storage)
    rows = [
        row
        for row in ledger.rows("runs")
        if run in (None, row["run"])
        and domain in (None, row["domain"])
        and kind in (None, row["kind"])
    ]
    rows.sort(key=lambda row: str(row["run"]))
    rows = rows[-last:] if last else rows
    builds: dict[str, list[dict[str, Any]]] = {row["run"]: [] for row in rows}
    for build in ledger.rows("builds"):
        if build["run"] in builds:
            builds[build["run"]].append(build)
    return tuple(_execution(row, builds[row["run"]]) for row in rows)


def _execution(row: Mapping[str, Any], builds: Sequence[Mapping[str, Any]]) -> Execution:
    told = json.loads(row["parameters"] or "{}")
    inputs: dict[str, int] = dict(told.get("reads") or {})
    for build in builds:
        domain = build["table"].partition(".")[0]
        for name, version in json.loads(build["reads"] or "{}").items():
            inputs.setdefault(f"{domain}.{name}", version)
    outputs: dict[str, int] = dict(told.get("writes") or {})
    outputs |= {b["table"]: b["version"] for b in builds if b["version"] >= 0}
    model = told.get("model")
    if row["kind"] in _MAKES_MODELS and told.get("version"):
        outputs[f"model {model}"] = int(told["version"])
    same = ("run", "domain", "kind", "code", "version", "started", "ended", "seconds", "executor")
    return Execution(
        pipeline=f"{row['kind']}/{model or row['domain']}",
        parameters={k: v for k, v in told.items() if k not in ("reads", "writes")},
        inputs=inputs,
        outputs=outputs,
        steps=tuple(_steps(builds)),
        **{name: row[name] for name in (*same, "engine", "result", "error", "flow_run")},
    )


def _steps(builds: Sequence[Mapping[str, Any]]) -> Iterator[Step]:
    by_table: dict[str, list[Mapping[str, Any]]] = {}
    for build in sorted(builds, key=lambda b: b["started"]):
        by_table.setdefault(build["table"], []).append(build)
    for table, of in by_table.items():
        yield Step(
            table,
            len(of),
            ", ".join(sorted({b["result"] for b in of})),
            ", ".join(sorted({b["engine"] for b in of if b["engine"]})),
            sum(b["rows_in"] for b in of),
            sum(b["published"] for b in of),
            sum(b["quarantined"] for b in of),
            round(sum(b["seconds"] for b in of), 3),
        )
