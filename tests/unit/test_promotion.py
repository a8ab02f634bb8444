"""Who is champion: moved with a reason, told once, undone, and mended after a crash."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import multiprocessing
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from model_store import RECORD, ModelStore, logistic
from shop import Shop

from lakehouse import ledger, promotion
from lakehouse.errors import ModelError, UntrustedModelError
from lakehouse.lake import Lake, open_lake
from lakehouse.ledger import Ledger
from lakehouse.modelfile import Stored, serialise
from lakehouse.ops import PromotionRow
from lakehouse.registry import ModelRecord, Registry, registry_of
from lakehouse.settings import Settings

ROOT = Path(__file__).parents[2]

MODEL = """\
name: busy
features: {table: gold.daily, key: [ordered], event_time: ordered, lead: 0 minutes, columns: [orders]}
label: {column: week_amount, matures_after: 1 days}
split: {train: [2024-01-01, 2024-03-01], test: [2024-03-01, 2024-04-01]}
estimator: {entry: "busy:build", params: {}}
metrics: {primary: roc_auc}
gates: [{name: business, metric: roc_auc, at_least: 0.5}]
"""


@pytest.fixture(scope="module")
def trained() -> Stored:
    return serialise(logistic())


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database without a row: to make one takes seconds."""
    folder = tmp_path_factory.mktemp("empty")
    ModelStore.at(folder).client().search_registered_models()
    return folder / "mlflow.db"


@dataclasses.dataclass(frozen=True)
class Site:
    """A shop with a model, and its registry."""

    lake: Lake
    store: ModelStore
    trained: Stored

    @property
    def registry(self) -> Registry:
        return self.store.registry

    def record(self, end: str = "2024-04-01", **changed: Any) -> ModelRecord:
        definition = self.lake.domains[0].table("gold.daily").definition
        made = dataclasses.replace(
            RECORD,
            feature_definition_id=definition,
            windows={"train": ("2024-01-01", "2024-03-01"), "test": ("2024-03-01", end)},
            timezone="America/New_York",
            domain="shop",
        )
        return dataclasses.replace(made, **changed)

    def version(self, *, complete: bool = True, **changed: Any) -> int:
        number = self.store.register("busy", record=self.record(**changed), stored=self.trained)
        if complete:
            self.registry.give_alias("busy", number, "challenger")
        return number

    def gates(self, number: int, decision: str | None = None) -> promotion.Moved:
        return promotion.move(
            self.lake,
            self.registry,
            "shop",
            self.registry.version("busy", number),
            alias="champion",
            kind="gates",
            because="all gates passed",
            by="gates",
            decision=decision,
        )

    def promote(self, number: int | str, because: str = "better") -> promotion.Moved:
        return promotion.promote(self.lake, "busy", number, because=because, by="ann")

    def rollback(self, to: int | None = None) -> promotion.Moved:
        return promotion.rollback(self.lake, "busy", because="it drifts", by="bob", to=to)

    @property
    def champion(self) -> int:
        found = self.registry.champion("busy")
        return found.version if found else 0

    @property
    def rows(self) -> list[PromotionRow]:
        """What is written down."""
        found = Ledger(self.lake.storage).rows("promotions")
        made = [PromotionRow(**row) for row in found if row["alias"] == "champion"]
        return sorted(made, key=lambda row: row.promotion)

    def history(self) -> Sequence[PromotionRow]:
        """What is told."""
        versions = self.registry.versions("busy")
        return promotion.history(Ledger(self.lake.storage), "shop", "busy", versions)


@pytest.fixture
def site(shop: Shop, trained: Stored, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    shop.write("models/busy.yaml", MODEL)
    shop.write("models/busy.py", "def build(params):\n    raise NotImplementedError\n")
    state = shop.settings.state
    state.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty, state / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{state.resolve()}/mlflow.db")
    lake = open_lake(shop.settings)
    registry = registry_of(lake.settings)
    store = ModelStore.at(state.resolve(), registry.tracking_uri, registry.key)
    return Site(lake, store, trained)


def moves(rows: Sequence[PromotionRow]) -> list[tuple[int, int, str]]:
    return [(row.before, row.version, row.kind) for row in rows]


def test_gates_people_and_the_way_back(site: Site) -> None:
    first, second, third = (
        site.version(end=end) for end in ("2024-04-01", "2024-05-01", "2024-06-01")
    )
    assert site.gates(first).moved and site.gates(second).moved
    promoted = site.promote(third, "the audit asks for it")
    assert (promoted.moved, site.champion) == (True, third)
    assert site.rollback().row.version == second
    assert site.rollback().row.version == first
    with pytest.raises(ModelError, match="no champion was before it"):
        site.rollback()
    assert site.rollback(to=third).row.before == first
    assert moves(site.rows) == [
        (0, 1, "gates"),
        (1, 2, "gates"),
        (2, 3, "promote"),
        (3, 2, "rollback"),
        (2, 1, "rollback"),
        (1, 3, "rollback"),
    ]
    told = site.rows[2]
    assert (told.because, told.by, told.domain) == ("the audit asks for it", "ann", "shop")
    assert told.window_start == dt.datetime(2024, 3, 1, 5, tzinfo=dt.UTC)
    assert told.window_end == dt.datetime(2024, 6, 1, 4, tzinfo=dt.UTC)
    assert list(site.history()) == site.rows


def test_twice_is_once(site: Site) -> None:
    site.version()
    assert site.promote(1).moved
    again = site.promote("champion", "another reason")
    assert not again.moved and again.row.because == "better"
    assert len(site.rows) == 1
    assert json.dumps(again.to_json(), default=str).startswith('{"schema": 1, "changed": false')


def test_one_evaluation_window_decides_one_promotion_by_gates(site: Site) -> None:
    for end in ("2024-04-01", "2024-04-01", "2024-03-15", "2024-04-02"):
        site.version(end=end)
    site.gates(1)
    for number in (2, 3):
        with pytest.raises(ModelError, match=r"has decided a promotion[\s\S]*lake promote busy"):
            site.gates(number)
    assert not site.gates(1).moved
    assert site.champion == 1 and len(site.rows) == 1
    assert site.gates(4).moved
    versions = site.registry.versions("busy")
    end = promotion.window_of(site.record())[1]
    assert end is not None and promotion.attempts(versions, end) == 2
    assert promotion.judged_until(site.rows) == dt.datetime(2024, 4, 2, 4, tzinfo=dt.UTC)


def test_a_judgement_names_the_decision_that_it_followed(site: Site) -> None:
    """A version judged anew follows a later decision than the one that trained it."""
    site.version(decision="to-train")
    assert site.gates(1, "to-judge-anew").row.decision == "to-judge-anew"
    site.version(decision="to-train-again")
    assert site.promote(2).row.decision == "to-train-again"


def test_a_clock_that_is_behind_does_not_change_the_order(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (site.version(end=f"2024-04-0{i}") for i in (1, 2, 3))
    for version in (first, second, third):
        promotion.promote(site.lake, "busy", version, because="on trial", by="ann")
    now = ledger.now()
    behind = lambda: now - dt.timedelta(minutes=10)  # noqa: E731
    monkeypatch.setattr(ledger, "now", behind)
    for wanted in (second, first):
        moved = promotion.rollback(site.lake, "busy", because="worse", by="bob")
        assert moved.row.version == wanted
    told = promotion.history(Ledger(site.lake.storage), "shop", "busy", ())
    assert [row.version for row in told] == [first, second, third, second, first]


def test_what_cannot_be_champion_is_refused_with_a_remedy(site: Site) -> None:
    site.version(complete=False)
    site.version(feature_definition_id="f9")
    site.version(domain="elsewhere")
    site.version()
    site.store.file_of("busy", 4).write_bytes(b"changed")
    for number, found in enumerate(["not completed", "definition f9", "domain elsewhere"], 1):
        with pytest.raises(ModelError, match=rf"{found}[\s\S]*lake train busy --force"):
            site.promote(number)
    with pytest.raises(UntrustedModelError, match="signature"):
        site.promote(4)
    with pytest.raises(ModelError, match=r"versions: 4/challenger, 3, 2, 1"):
        site.promote(5)
    with pytest.raises(ModelError, match="never champion"):
        site.rollback(to=2)
    with pytest.raises(ModelError, match=r"find the model 'lazy'[\s\S]*declared: busy"):
        promotion.promote(site.lake, "lazy", 1, because="?", by="ann")
    assert site.champion == 0 and site.rows == []


def test_a_former_champion_of_other_features_is_no_way_back(site: Site) -> None:
    site.version(feature_definition_id="f9")
    site.version(end="2024-05-01")
    site.gates(1)
    site.gates(2)
    with pytest.raises(ModelError, match="could score nothing"):
        site.rollback()
    assert site.champion == 2


class Died(BaseException):
    """As if killed."""


@pytest.mark.parametrize("act", ["promote", "rollback"])
def test_died_before_it_was_written_down(
    site: Site, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for end in ("2024-04-01", "2024-05-01", "2024-06-01"):
        site.version(end=end)
    site.gates(1)
    site.gates(2)

    def die(*args: object, **kwargs: object) -> None:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "append", die)
        with pytest.raises(Died):
            site.promote(3) if act == "promote" else site.rollback()
    moved = (2, 3, "promote") if act == "promote" else (2, 1, "rollback")
    assert site.champion == moved[1] and len(site.rows) == 2
    assert moves(site.history())[-1] == moved, "readers know it already"
    again = site.promote(3) if act == "promote" else site.rollback()
    assert not again.moved, "it is finished, not done a second time"
    assert moves(site.rows) == [(0, 1, "gates"), (1, 2, "gates"), moved]
    assert site.history()[-1].by == ("ann" if act == "promote" else "bob")


def test_died_before_the_alias_moved(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    site.version()
    site.version(end="2024-05-01")
    site.gates(1)

    def die(*args: object, **kwargs: object) -> None:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "set_registered_model_alias", die)
        with pytest.raises(Died):
            site.promote(2)
    assert site.champion == 1 and moves(site.history()) == [(0, 1, "gates")]
    assert site.promote(2).moved
    assert moves(site.rows) == [(0, 1, "gates"), (1, 2, "promote")]


def test_died_before_the_version_was_marked_as_complete(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    number = site.version(complete=False)
    move = MlflowClient.set_registered_model_alias

    def die(*args: Any, **kwargs: Any) -> None:
        move(*args, **kwargs)
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "set_registered_model_alias", die)
        with pytest.raises(Died):
            site.gates(number)
    champion = site.registry.champion("busy")
    assert champion is not None and champion.record is not None
    assert champion.complete, "it scores, and nothing is trained in its place"
    assert site.registry.find_by_fingerprint("busy", champion.record.fingerprint) == champion
    assert moves(site.history()) == [(0, 1, "gates")]


def test_the_ledger_is_lost(site: Site) -> None:
    for end in ("2024-04-01", "2024-05-01"):
        site.gates(site.version(end=end))
    shutil.rmtree(Path(site.lake.storage.at("ops", "promotions").root))
    assert moves(site.history()) == [(1, 2, "gates")]
    assert site.rollback().row.version == 1


def test_moved_in_mlflow_by_hand(site: Site) -> None:
    for end in ("2024-04-01", "2024-05-01"):
        site.gates(site.version(end=end))
    third = site.version(end="2024-06-01")
    site.store.client().set_registered_model_alias("busy", "champion", "1")
    assert site.history()[-1].because == "the alias was moved in MLflow, not by lake"
    assert site.registry.load("busy").classes_.tolist() == [0, 1], "it was champion before"
    site.store.client().set_registered_model_alias("busy", "champion", str(third))
    with pytest.raises(UntrustedModelError, match=r"past the gates[\s\S]*lake promote busy 3"):
        site.registry.load("busy")
    assert site.promote(third).moved
    assert site.registry.load("busy").classes_.tolist() == [0, 1]


def _promoting(settings: Settings, number: int) -> None:
    promotion.promote(open_lake(settings), "busy", number, because="mine", by=str(number))


def test_many_promoters_tell_one_story(site: Site) -> None:
    for _ in range(3):
        site.version()
    spawn = multiprocessing.get_context("spawn")
    settings = site.lake.settings
    racing = [spawn.Process(target=_promoting, args=(settings, n)) for n in (1, 2, 3)]
    for one in racing:
        one.start()
    for one in racing:
        one.join(200)
    assert [one.exitcode for one in racing] == [0, 0, 0]
    rows = site.rows
    assert {row.version for row in rows} == {1, 2, 3}
    assert [row.before for row in rows] == [0, *(row.version for row in rows[:-1])]
    assert site.champion == rows[-1].version


def test_the_command_tells_what_it_did(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    from lakehouse.cli import main

    site.version(gates={"business": "failed"})
    site.version(end="2024-05-01")
    site.gates(2)
    environment = {"LAKE_STATE": str(site.lake.settings.state), "LAKE_URI": site.lake.storage.uri}
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)
        patched.setenv("LAKE_DOMAINS", str(site.lake.settings.domains))
        said = []
        for words in (
            ["promote", "busy", "1", "--because", "a hunch", "--by", "ann"],
            ["rollback", "busy", "--because", "no", "--by", "ann"],
            ["rollback", "busy", "--because", "yes", "--by", "ann", "--to", "1", "--json"],
            ["models", "busy"],
            ["models", "--json"],
            ["promote", "busy", "1"],
        ):
            with pytest.raises(SystemExit) as ended:
                main(words)
            said.append((ended.value.code, capsys.readouterr()))
    assert "version 1 is champion, before it version 2" in said[0][1].out
    assert "gates business had failed" in said[0][1].out
    assert "version 2 is champion, before it version 1" in said[1][1].out
    assert json.loads(said[2][1].out)["because"] == "yes"
    assert "a hunch" in said[3][1].out and "rollback" in said[3][1].out
    assert [m["to"] for m in json.loads(said[4][1].out)["promotions"]] == [2, 1, 2, 1]
    assert said[5][0] == 2 and "--because" in said[5][1].err


def test_a_rollback_needs_no_machine_learning(site: Site) -> None:
    """It takes seconds because it imports neither scikit-learn nor skops."""
    site.gates(site.version())
    site.gates(site.version(end="2024-05-01"))
    code = (
        "import sys\nfrom lakehouse.cli import main\n"
        "try:\n    main(['rollback', 'busy', '--because', 'drill', '--json'])\n"
        "except SystemExit as ended:\n    assert not ended.code, ended.code\n"
        "print([m for m in ('sklearn', 'skops', 'matplotlib') if m in sys.modules])\n"
    )
    settings = site.lake.settings
    environment = {
        "PYTHONPATH": str(ROOT),
        "LAKE_STATE": str(settings.state),
        "LAKE_URI": site.lake.storage.uri,
        "LAKE_DOMAINS": str(settings.domains),
        "MLFLOW_TRACKING_URI": site.registry.tracking_uri,
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stdout + done.stderr
    assert site.champion == 1
