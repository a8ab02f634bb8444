"""A registered model scores a lake: by the command, the job and the flow, in its limited process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from order_model import MODEL, ModelShop
from prefect_server import asked

from jobs import score as score_job
from lakehouse import cli, query, scoring
from lakehouse.errors import UntrustedModelError
from lakehouse.training import job
from lakehouse.training.dataset import matrix

pytestmark = pytest.mark.timeout(600)

FEATURES = "shop.gold.features"


def variables(shop: ModelShop) -> dict[str, str]:
    """The settings of a shop as variables."""
    return {
        "LAKE_URI": shop.settings.uri,
        "LAKE_LANDING": shop.settings.landing,
        "LAKE_DOMAINS": str(shop.settings.domains),
        "LAKE_STATE": str(shop.settings.state),
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelShop]:
    """A champion of January and February, judged on March; April and May came since."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        shop = ModelShop(tmp_path_factory.mktemp("my shop"))
        for month in range(1, 5):
            shop.month(month)
        done = shop.train()
        assert done.result is not None
        assert done.result.alias == "champion"
        shop.month(5)
        for name, value in variables(shop).items():
            patch.setenv(name, value)
        yield shop


def command(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of ``lake``."""
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


def test_the_command_scores_once_what_predict_proba_says(
    trained: ModelShop, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = command(capsys, "score", MODEL, "--json")
    assert code == 0
    told = json.loads(out)
    window = job.registry_of(trained.settings).version(MODEL, "champion").record
    assert window is not None
    until = window.windows["train"][1]
    rows = query.run(
        trained.lake(),
        "SELECT f.*, p.probability FROM gold.features AS f JOIN ops.predictions AS p "
        "ON p.entity = '[\"' || f.order_id || '\"]' ORDER BY f.order_id",
    )
    due = trained.rows(f"SELECT count(*) FROM gold.features WHERE ordered_at >= '{until}'")
    assert [(rows.num_rows,)] == due == [(told["rows"],)]
    model = job.registry_of(trained.settings).load(MODEL)
    found = model.predict_proba(matrix(rows, window.features))[:, 1]
    assert np.array_equal(found, rows["probability"].to_numpy())
    assert [v["alias"] for v in told["versions"]] == ["champion"]
    assert told["reads"] == {FEATURES: trained.snapshot(FEATURES).version}

    code, out, _ = command(capsys, "score")
    assert code == 0
    assert "nothing new" in out


def test_a_date_and_a_version_that_are_none(
    trained: ModelShop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(capsys, "score", MODEL, "--since", "May")[0] == 2
    assert command(capsys, "score", "--version", "1")[0] == 2
    code, _, err = command(capsys, "score", MODEL, "--version", "7")
    assert code == 1
    assert "versions: 1/champion" in err
    code, _, err = command(capsys, "score", "large_odor")
    assert code == 1
    assert f"declared: {MODEL}" in err


def test_the_job_prints_what_the_command_prints(
    trained: ModelShop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score_job.main([MODEL, "--domain", "shop", "--version", "champion"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model"], [v["version"] for v in told["versions"]]) == (MODEL, [1])
    assert score_job.main(["large_odor"]) == 1
    assert json.loads(capsys.readouterr().err)["error"] == "ModelError"


def test_a_changed_feature_table_refuses_the_champion(
    trained: ModelShop, capsys: pytest.CaptureFixture[str]
) -> None:
    was = (trained.domain / "gold/features.sql").read_text("utf-8")
    trained.edit("gold/features.sql", "amount,", "amount + 0 AS amount,")
    try:
        code, out, err = command(capsys, "score", MODEL, "--json")
    finally:
        trained.write("gold/features.sql", was)
    assert code == 1
    assert f"remedy: train again: lake train {MODEL}" in err
    [version] = json.loads(out)["versions"]
    assert version["refused"]["error"] == "ModelError"


def test_a_model_that_was_tampered_with_is_refused(trained: ModelShop) -> None:
    [file] = (trained.settings.state / "mlartifacts").rglob("model.skops")
    was = file.read_bytes()
    trained.orders("late", ("late", "aSn", 5, "2026-05-30"))
    trained.build()
    file.write_bytes(was[:-1] + bytes([was[-1] ^ 1]))
    try:
        [error] = scoring.score(trained.lake(), None, MODEL).refused
    finally:
        file.write_bytes(was)
    assert isinstance(error, UntrustedModelError)
    assert scoring.score(trained.lake(), None, MODEL).rows == 1


@pytest.fixture(scope="module")
def server(trained: ModelShop) -> Iterator[Mapping[str, str]]:
    """A Prefect server of our own; flows called here report to it. All there was is scored."""
    from prefect.context import refresh_global_settings_context
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    from lakehouse import stack

    scoring.score(trained.lake(), None, MODEL)
    state = trained.settings.state
    try:
        services = stack.up(state, ["prefect"], hand_down_s3=False)
        environment = {**stack.environment(state), "PREFECT_API_URL": f"{services[0].url}/api"}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            refresh_global_settings_context()
            yield environment
            APILogWorker.drain_all()
            EventsWorker.drain_all()
    finally:
        stack.down(state)
        refresh_global_settings_context()


@pytest.mark.prefect
class TestFlow:
    def test_it_scores_and_tells(self, trained: ModelShop, server: Mapping[str, str]) -> None:
        from flows.score import score

        trained.month(6)
        state: Any = score(MODEL, return_state=True)
        assert state.is_completed()
        assert state.message == "version 1: 300 rows"
        run = ask(f"/flow_runs/{state.state_details.flow_run_id}")
        assert run["name"] == f"score {MODEL}"
        by_run = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
        [artifact] = ask("/artifacts/filter", by_run)
        assert f"# {MODEL}: 300 new predictions" in artifact["data"]
        assert "| 1 | champion | 1 | 300 | 0 |" in artifact["data"]
        again: Any = score(MODEL, return_state=True)
        assert again.message == "nothing new"

    def test_the_event_says_what_was_scored(
        self, trained: ModelShop, server: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from flows import score as module

        told: list[dict[str, Any]] = []
        monkeypatch.setattr(module, "emit_event", lambda **event: told.append(event))
        trained.month(7)
        module.score(MODEL, return_state=True)
        [event] = told
        assert event["event"] == "lakehouse.model.scored"
        assert event["resource"]["prefect.resource.id"] == f"lakehouse.model.shop.{MODEL}"
        assert event["payload"] | {"run": ""} == {
            "version": 1,
            "partitions": ["2026-07-01"],
            "rows": 300,
            "run": "",
        }

    def test_a_refused_champion_fails_the_run(
        self, trained: ModelShop, server: Mapping[str, str]
    ) -> None:
        from flows.score import score

        was = (trained.domain / "gold/features.sql").read_text("utf-8")
        trained.edit("gold/features.sql", "amount,", "amount + 0 AS amount,")
        try:
            state: Any = score(MODEL, return_state=True)
        finally:
            trained.write("gold/features.sql", was)
        assert state.is_failed()
        assert "refused: score shop.gold.features with large_order version 1" in state.message


def ask(path: str, body: object = None) -> Any:
    """One request to the server's API."""
    return asked(f"{os.environ['PREFECT_API_URL']}{path}", body)
