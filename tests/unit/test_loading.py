"""Models in a process of their own: the same numbers, within limits, and gone with the parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_store import ModelStore, toy_rows

from lakehouse.errors import ModelError, UntrustedModelError
from lakehouse.loading.check import check
from lakehouse.loading.limits import Limits
from lakehouse.loading.scorer import Scorer
from lakehouse.loading.wire import from_arrow, to_arrow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    made = ModelStore.at(tmp_path_factory.mktemp("loading"))
    made.register("toy")
    return made


@pytest.fixture(scope="module")
def scorer(store: ModelStore) -> Iterator[Scorer]:
    with Scorer(store.registry, store.registry.version("toy", 1)) as running:
        yield running


def child_of(scorer: Scorer) -> psutil.Process:
    assert scorer._child is not None
    return psutil.Process(scorer._child.pid)


def test_it_scores_as_the_estimator_itself(
    store: ModelStore, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, _ = toy_rows()
    own = store.registry.load("toy", 1).predict_proba(x)[:, 1]
    assert np.array_equal(scorer.probabilities(x), own)
    assert np.array_equal(scorer.probabilities(x.iloc[5:6]), own[5:6])
    assert scorer.probabilities(x.iloc[:0]).shape == (0,)
    monkeypatch.setattr("lakehouse.loading.scorer.BATCH_ROWS", 7)
    # By another number of rows BLAS adds up in another order.
    assert np.allclose(scorer.probabilities(x), own, rtol=0, atol=1e-12)
    assert scorer.load_seconds > 0 and scorer.peak_bytes > 2**20


def test_rows_that_a_model_cannot_score_are_an_error_and_it_goes_on(scorer: Scorer) -> None:
    x, _ = toy_rows()
    with pytest.raises(ModelError, match=r"score 2 rows by toy version 1\n.*ValueError"):
        scorer.probabilities(pd.DataFrame({"a": ["x", "y"], "b": [0.0, 1.0]}))
    assert len(scorer.probabilities(x)) == 40


def test_its_process_knows_no_secret(
    store: ModelStore, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = child_of(scorer).environ()
    assert {"PATH", "PYTHONPATH"} <= set(told)
    assert not [name for name in told if name.startswith(("LAKE", "AWS", "MLFLOW", "PREFECT"))]
    assert store.registry.key.secret.decode() not in " ".join(child_of(scorer).cmdline())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_its_process_holds_only_what_reads_models() -> None:
    code = "import lakehouse.loading.child, sys; print(*sorted(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    own = {name for name in told.stdout.split() if name.startswith("lakehouse.")}
    rooms = {name.split(".")[1] for name in own}
    assert rooms == {"errors", "loading", "modelfile"}
    assert not {"numpy", "pyarrow", "mlflow", "deltalake", "duckdb"} & set(told.stdout.split())


def test_its_process_is_limited(scorer: Scorer) -> None:
    limits = {kind: child_of(scorer).rlimit(kind)[0] for kind in (psutil.RLIMIT_CORE, 2)}
    assert limits == {psutil.RLIMIT_CORE: 0, 2: Limits().memory}


CONFINED = """
    import os, socket, subprocess, sys
    from pathlib import Path
    from lakehouse.loading.limits import confine
    confine(2**32)
    def attempt():
        {act}
    try:
        attempt()
    except PermissionError as error:
        sys.exit(7)
"""


@pytest.mark.parametrize(
    "act",
    [
        "Path(sys.argv[1]).write_text('x')",
        "os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)",
        "os.system('touch ' + sys.argv[1])",
        "subprocess.run(['touch', sys.argv[1]])",
        "os.fork()",
        "os.execv('/bin/touch', ['touch', sys.argv[1]])",
        "socket.create_connection(('127.0.0.1', 9))",
        "os.remove('/tmp/none')",
        "import pickle; pickle.loads(b'cos\\nsystem\\n.')",
        "os.kill(os.getppid(), 0)",
    ],
)
def test_python_in_it_may_not(act: str, tmp_path: Path) -> None:
    code = textwrap.dedent(CONFINED).format(act=act)
    command = [sys.executable, "-c", code, str(tmp_path / "canary")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run(command, env=environment, check=False).returncode == 7
    assert not (tmp_path / "canary").exists()


def test_too_little_memory_is_an_error(store: ModelStore) -> None:
    version = store.registry.version("toy", 1)
    with (
        pytest.raises(ModelError, match=r"memory|died"),
        Scorer(store.registry, version, Limits(memory=80 * 2**20)),
    ):
        pass


def test_too_little_time_is_an_error_and_leaves_no_process(store: ModelStore) -> None:
    version = store.registry.version("toy", 1)
    before = set(psutil.Process().children())
    with (
        pytest.raises(ModelError, match=r"longer than 0\.05 s[\s\S]*lake train toy"),
        Scorer(store.registry, version, Limits(load_seconds=0.05)),
    ):
        pass
    assert set(psutil.Process().children()) <= before


def test_a_crash_is_an_error_not_ours(store: ModelStore) -> None:
    x, _ = toy_rows()
    with Scorer(store.registry, store.registry.version("toy", 1)) as scorer:
        child_of(scorer).send_signal(signal.SIGSEGV)
        with pytest.raises(ModelError, match=r"its process died \(SIG"):
            scorer.probabilities(x)
        with pytest.raises(ModelError, match="not running"):
            scorer.probabilities(x)


def test_it_dies_with_its_parent(store: ModelStore) -> None:
    code = f"""
        import time
        from pathlib import Path
        from lakehouse.loading.scorer import Scorer
        from lakehouse.registry import Registry
        from lakehouse.signing import SigningKey
        registry = Registry({store.uri!r}, SigningKey.at(Path({str(store.folder)!r}) / "keys"))
        with Scorer(registry, registry.version("toy", 1)) as scorer:
            print(scorer._child.pid, flush=True)
            time.sleep(600)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    child.wait(60)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_the_infrastructure_gate(store: ModelStore) -> None:
    x, _ = toy_rows()
    version = store.registry.version("toy", 1)
    expected = store.registry.load("toy", 1).predict_proba(x)[:, 1]
    passed = check(store.registry, version, x, expected)
    assert passed.passed and "40 rows score the same" in passed.because
    assert passed.evidence["difference"] == 0 and passed.evidence["peak_mib"] > 1
    differing = check(store.registry, version, x.head(3), expected[:3] + 1e-6)
    assert not differing.passed and "differs by 1e-06" in differing.because


def test_the_infrastructure_gate_fails_on_what_is_refused(store: ModelStore) -> None:
    x, _ = toy_rows()
    store.register("poisoned")
    store.file_of("poisoned").write_bytes(b"PK\3\4")
    version = store.registry.version("poisoned", 1)
    refused = check(store.registry, version, x, np.zeros(40))
    assert not refused.passed and "signature does not fit" in refused.because
    with pytest.raises(UntrustedModelError), Scorer(store.registry, version):
        pass


def test_xgboost_is_stored_without_code_and_scores_the_same(store: ModelStore) -> None:
    xgboost = pytest.importorskip("xgboost")
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = toy_rows()
    booster = xgboost.XGBClassifier(n_estimators=4, n_jobs=1)
    made = Pipeline([("scale", StandardScaler()), ("boost", booster)]).fit(x, y)
    store.register("boosted", made)
    assert store.file_of("boosted").name == "model.boosted"
    checked = check(
        store.registry, store.registry.version("boosted", 1), x, made.predict_proba(x)[:, 1]
    )
    assert checked.passed, checked.because


numbers = st.floats(allow_nan=True, allow_infinity=True) | st.just(-0.0)
texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@given(st.lists(st.tuples(numbers, texts), max_size=20))
@settings(max_examples=50, deadline=None)
def test_rows_arrive_as_they_were_sent(rows: list[tuple[float, Any]]) -> None:
    sent = pd.DataFrame(
        {
            "n": np.array([n for n, _ in rows], dtype=np.float64),
            "t": np.array([t for _, t in rows], dtype=object),
        }
    )
    arrived = from_arrow(to_arrow(sent))
    assert arrived["n"].to_numpy().tobytes() == sent["n"].to_numpy().tobytes()
    assert arrived["t"].tolist() == sent["t"].tolist()
    assert arrived.dtypes.tolist() == sent.dtypes.tolist()
