"""Batch scoring of a million rows, against ``predict_proba`` of the same model on the same frame.

    python -m benchmarks.scoring [--rows 1000000] [--rounds 3]

*scoring* reads the feature partitions, looks for duplicates and for entities predicted before, has
the model predict in its limited process, and commits the predictions to ``ops.predictions``.
*predict_proba* is one call on a frame that is in memory already. Each has loaded the model before;
what loading costs is told beside it. The model is a gradient boosting of 150 trees over 3 columns
of text and 22 of numbers. Both must give the same numbers.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import common

if TYPE_CHECKING:
    from lakehouse.lake import Lake
    from lakehouse.registry import ModelVersion
    from lakehouse.scoring import Probabilities

_MODULE = "benchmarks.scoring"
_ROLES = ("scoring", "predict_proba")
_MODEL = "busy"
_MONTHS = 10
#: Rows of the month that is learnt from, and which is not scored.
_LEARNT = 100_000
_NUMBERS = [f"n{i:02}" for i in range(22)]
_TEXTS = {"t_few": 3, "t_some": 16, "t_many": 105}

_CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: busy.{layer}.{name}
name: {name}
version: 1.0.0
status: active
description: {{purpose: Visits.}}
schema:
- name: {name}
  properties:
  - {{name: visit, logicalType: integer, physicalType: BIGINT{key}}}
  - {{name: visited, logicalType: timestamp, physicalType: TIMESTAMPTZ}}
{columns}
  - {{name: label, logicalType: boolean, physicalType: BOOLEAN}}
  - {{name: at_month, logicalType: date, physicalType: DATE}}
customProperties:
- property: lakehouse
  value:
    partition: {{column: at_month, grain: month{partition}}}
{source}
"""
_GENERATED = """
COPY (
  SELECT
    {part} * 100000000 + i AS visit,
    TIMESTAMPTZ '{month}-02 00:00:00+00' + to_seconds(i % 2000000) AS visited,
    {texts},
    {numbers},
    (hash(i + {part}) % 1000) / 1000.0 < 1 / (1 + exp(3 - 4 * n)) AS label
  FROM (SELECT i, (hash(i * 31) % 1000) / 1000.0 AS n FROM range({rows}) AS r(i))
) TO '{file}' (FORMAT parquet, COMPRESSION zstd)
"""
_MODEL_YAML = f"""\
name: {_MODEL}
features:
  table: silver.features
  key: [visit]
  event_time: visited
  lead: 0 minutes
  columns: [{", ".join([*_TEXTS, *_NUMBERS])}]
label: {{column: label, matures_after: 1 days}}
split: {{train: [2013-01-01, 2013-02-01], test: [2013-02-01, 2013-03-01]}}
estimator: {{entry: "{_MODEL}:build"}}
baselines: [{{name: simple, entry: "{_MODEL}:simple"}}]
metrics: {{primary: roc_auc}}
gates:
- {{name: business, metric: roc_auc, at_least: 0.5}}
"""
_MODEL_PY = f"""\
import math

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

TEXTS = {[*_TEXTS]}


def build(params):
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=math.nan,
                           encoded_missing_value=math.nan)
    columns = ColumnTransformer([("codes", codes, TEXTS)], remainder="passthrough")
    boosting = HistGradientBoostingClassifier(
        learning_rate=0.08, max_iter=150, max_leaf_nodes=31, min_samples_leaf=500,
        early_stopping=False, random_state=0)
    return Pipeline([("columns", columns), ("boosting", boosting)])


def simple(params):
    cells = ColumnTransformer([("cells", OneHotEncoder(handle_unknown="ignore"), TEXTS[:1])])
    return Pipeline([("cells", cells), ("rates", LogisticRegression())])
"""


def prepare(folder: Path, rows: int) -> None:
    """Land the visits, build their features, and train the model on the first month."""
    from lakehouse import build as builds
    from lakehouse.training import job

    for name, text in _declarations().items():
        file = folder / "domains" / "busy" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    landing = folder / "landing" / "busy" / "visits"
    landing.mkdir(parents=True)
    con: Any = common.connect(folder / "spill", "4GB")
    for part in range(_MONTHS + 1):
        of_part = rows // _MONTHS if part else _LEARNT
        con.execute(_generated(part, of_part, landing / f"{part:02}.parquet"))
    con.close()
    lake = common.lake_at(folder, folder / "domains")
    done = builds.build(builds.Session(lake, lake.domain(None)))
    assert not done.blocked, done.blocked
    trained = job.train_model(lake, _MODEL).result
    assert trained is not None and trained.alias == "champion", trained


def _generated(part: int, rows: int, file: Path) -> str:
    text = "'{name} ' || CAST(hash(i + {n}) % {values} AS VARCHAR) AS {name}"
    number = (
        "CASE WHEN hash(i + {n}) % 20 > 0 THEN "
        "round(n + CAST(hash(i + {n}) % 100000 AS DOUBLE) / 50000, {digits}) END AS {name}"
    )
    texts = [text.format(name=c, values=v, n=n) for n, (c, v) in enumerate(_TEXTS.items())]
    # As in tables of measurements: some have few values, some are measured finely.
    numbers = [
        number.format(name=c, n=n + 100, digits=(1, 2, 6)[n % 3]) for n, c in enumerate(_NUMBERS)
    ]
    return _GENERATED.format(
        part=part,
        rows=rows,
        month=f"2013-{part + 1:02}",
        file=file,
        texts=",\n    ".join(texts),
        numbers=",\n    ".join(numbers),
    )


def _declarations() -> dict[str, str]:
    columns = "\n".join(
        f"  - {{name: {name}, logicalType: {kind}, physicalType: {physical}}}"
        for names, kind, physical in (
            (_TEXTS, "string", "VARCHAR"),
            (_NUMBERS, "number", "DOUBLE"),
        )
        for name in names
    )
    bronze = _CONTRACT.format(
        layer="bronze",
        name="visits",
        key="",
        columns=columns,
        partition=", expression: \"CAST(date_trunc('month', visited) AS DATE)\"",
        source="    source: {path: 'visits/*.parquet', format: parquet}",
    )
    bronze = bronze.replace("  - {name: at_month, logicalType: date, physicalType: DATE}\n", "")
    silver = _CONTRACT.format(
        layer="silver",
        name="features",
        key=", primaryKey: true",
        columns=columns,
        partition=", event: visited",
        source="",
    )
    every = ", ".join(["visit", "visited", *_TEXTS, *_NUMBERS, "label", "at_month"])
    return {
        "bronze/visits.yaml": bronze,
        "silver/features.yaml": silver,
        "silver/features.sql": f"SELECT {every} FROM bronze.visits\n",
        f"models/{_MODEL}.yaml": _MODEL_YAML,
        f"models/{_MODEL}.py": _MODEL_PY,
    }


def scored(folder: Path) -> None:
    """All of it, from the files of the feature table to the commit."""
    from lakehouse import ledger, scoring

    lake = _opened(folder)
    shutil.rmtree(Path(lake.storage.at("ops", "predictions").root), ignore_errors=True)
    todo = scoring.plan(lake, _MODEL)
    [plan] = todo.versions
    with scoring.from_registry(lake)(plan.version) as probabilities:

        @contextlib.contextmanager
        def opening(_version: ModelVersion, /) -> Iterator[Probabilities]:
            yield probabilities

        def work() -> dict[str, float]:
            done = scoring.score_version(lake, todo, plan, ledger.new_run(), opening=opening)
            assert done.refused is None, done.refused
            return {"rows": done.rows}

        common.measure_tree(work)


def predicted(folder: Path) -> None:
    """The model alone, on the frame of the same rows."""
    import numpy as np

    from lakehouse import query
    from lakehouse.training import job
    from lakehouse.training.dataset import matrix

    lake = _opened(folder)
    columns = ", ".join([*_TEXTS, *_NUMBERS])
    rows = query.run(lake, f"SELECT {columns} FROM silver.features WHERE visited >= '2013-02-01'")
    frame = matrix(rows, [*_TEXTS, *_NUMBERS])
    model = job.registry_of(lake.settings).load(_MODEL)

    found: list[Any] = []

    def work() -> dict[str, float]:
        found.append(model.predict_proba(frame)[:, 1])
        return {"rows": len(frame)}

    common.measure_tree(work)
    stored = query.run(lake, "SELECT probability FROM ops.predictions")["probability"]
    assert np.array_equal(np.sort(stored.to_numpy()), np.sort(found[0])), "other numbers"


def _opened(folder: Path) -> Lake:
    from lakehouse.registry import prepare_process

    prepare_process()
    common.warm()
    return common.lake_at(folder, folder / "domains")


def main() -> None:
    """Alternate the two on one lake."""
    parser = common.parser(__doc__, _ROLES, rounds=3)
    parser.add_argument("--rows", type=int, default=1_000_000)
    asked = parser.parse_args()
    match asked.run:
        case "scoring":
            scored(asked.folder)
        case "predict_proba":
            predicted(asked.folder)
        case _:
            with common.scratch(asked) as folder:
                prepare(Path(folder), asked.rows)
                _compare(Path(folder), asked)


def _compare(folder: Path, asked: argparse.Namespace) -> None:
    found = common.alternate(_MODULE, _ROLES, folder, asked.rounds)
    size = f"{asked.rows:,} rows × {len(_TEXTS) + len(_NUMBERS)} features"
    # At least 0.8 of the rows per second.
    common.compare("batch scoring", size, *found.values(), 1 / 0.8)


if __name__ == "__main__":
    main()
