"""``lake demo``: the whole job on real data, and one screen that says what came of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from lakehouse import build as builds
from lakehouse import features, sample, stack
from lakehouse.build import Lake, Session
from lakehouse.cli import screen
from lakehouse.cli.building import publish_docs, show_built
from lakehouse.cli.looking import quarantined
from lakehouse.cli.models import show_result
from lakehouse.settings import load

if TYPE_CHECKING:
    from lakehouse.training.job import Trained

__all__ = ["demo"]

MODEL = "late_arrival"


@click.command()
@click.option("--spark", is_flag=True, help="Instead: two months, on Dask and on Spark; compare.")
@click.option("--loop", is_flag=True, help="Instead: half a year of continuous training, played.")
def demo(spark: bool, loop: bool) -> int:
    """Land a year of real flights on a real S3 server, build the lake, train a model.

    Run it again and it finds nothing to do. With LAKE_URI set it uses that lake.

    With --spark it builds two months on both engines, in two lakes of their own below
    demo-spark/, and compares every row: exit code 1 when one differs.

    With --loop it plays continuous training, in a lake of its own in .lake/demo-loop: a first
    model, then month after month lands, is scored and watched, and the arbiter decides.
    """
    began = time.perf_counter()
    settings = load()
    if loop:
        from lakehouse.cli.loop import play

        return play(settings)
    if spark:
        from lakehouse.cli import both_engines

        both_engines.prepare(settings)
    if not settings.uri:
        screen.heading("1  S3 server")
        stack.up(settings.state, ["s3"], lambda text: screen.say(f"  {text}"))
    if spark:
        return both_engines.demo(screen.settings())
    lake = screen.lake()
    lake.storage.probe()
    domain = lake.domain("flights")
    screen.heading(f"2  landing files  →  {lake.landing_of(domain.name).uri}")
    count = sample.land(lake.landing_of(domain.name), sample.deliveries(domain.path))
    screen.say(f"  {count} files landed" if count else "  all files have landed before")
    screen.heading("3  bronze → silver → gold: plan, stage, audit, publish")
    with screen.progress() as show:
        session = Session(lake, domain, on_event=show)
        built = builds.build(session)
    show_built(built)
    publish_docs(session, built.audits)
    screen.heading(f"4  the model {MODEL}")
    trained = _train(lake)
    _summary(lake, trained, time.perf_counter() - began)
    return 3 if built.blocked else 0


def _train(lake: Lake) -> Trained:
    from lakehouse.training import job

    return job.train_model(lake, MODEL, progress=lambda text: screen.say(f"  {text}"))


def _summary(lake: Lake, trained: Trained, seconds: float) -> None:
    screen.heading("What there is now")
    _layers(lake)
    screen.heading("Kept out, and why")
    screen.table(["table", "rule", "rows"], quarantined(lake, lake.domains))
    screen.heading(f"The model {MODEL}: does a flight arrive 15 minutes late or more?")
    if trained.result is not None:
        show_result(trained.result)
    else:
        assert trained.existing is not None
        screen.say(f"version {trained.existing.version} was trained from these rows before")
    _explained(lake)
    screen.heading("Open")
    screen.say("  lake up            Prefect, MLflow (runs, plots, registered model), S3")
    screen.say("  lake show silver.flights     columns, partitions, why each was built, audit")
    screen.heading("Next")
    screen.say("  lake plan          nothing to do; then edit jobs/flights/gold/route_daily.sql")
    screen.say(
        '  lake query "SELECT dest, avg(late_share) AS late FROM gold.route_daily GROUP BY 1 '
        'ORDER BY 2 DESC LIMIT 5"'
    )
    screen.say("  lake down          stops the S3 server; the data stays in .lake")
    screen.say(f"\n{seconds:.0f} s in all")


def _layers(lake: Lake) -> None:
    from lakehouse import snapshot as snapshots

    rows = []
    for domain in lake.domains:
        for table in domain.order:
            found = snapshots.read(lake.place(table), table.name)
            files = f"{len(found.partitions)} partitions" if len(found.partitions) > 1 else "1"
            rows.append([table.layer, table.name, found.rows, files, screen.size(found.bytes)])
    screen.table(["layer", "table", "rows", "partitions", "bytes"], rows)


def _explained(lake: Lake) -> None:
    """One flight of the test window, the champion's probability for it, and what speaks for it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from lakehouse.registry import prepare_process
    from lakehouse.training import job
    from lakehouse.training.dataset import matrix
    from lakehouse.training.explain import explain

    prepare_process()
    owner, model = job.find(lake, MODEL)
    registry = job.registry_of(lake.settings)
    champion = registry.champion(MODEL)
    if champion is None:
        screen.say("no version has passed its gates, so there is no champion")
        return
    pinned = features.window(lake, owner, model)
    last = max(f.partition or "" for f in pinned.files)
    frame = features.read(
        lake,
        features.Window(
            pinned.table,
            pinned.snapshot,
            tuple(f for f in pinned.files if f.partition == last),
            pinned.fingerprint,
        ),
        model,
    )
    estimator = registry.load(MODEL)
    known = frame.filter(pc.is_valid(frame[model.label.column]))
    columns = list(model.features.columns)
    chances = estimator.predict_proba(matrix(known, columns))[:, 1]
    order = sorted(range(len(chances)), key=lambda i: (-chances[i], i))
    chosen = order[len(order) // 100]
    row = known.slice(chosen, 1)
    key = ", ".join(str(row[k][0].as_py()) for k in model.features.key)
    actual = row[model.label.column][0].as_py()
    screen.say(
        f"\nflight {key}: the champion says {chances[chosen]:.0%} late; "
        f"it {'was' if actual else 'was not'}. What speaks for and against it:"
    )
    background: pa.Table = known.slice(0, min(known.num_rows, 2000))
    told = explain(estimator, row, background, columns)[:5]
    screen.table(
        ["feature", "value", "effect on the probability"],
        [[c.feature, c.value, f"{c.effect:+.3f}"] for c in told],
    )
