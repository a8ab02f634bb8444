"""Spark as a user runs it: on a cluster by spark-submit, on this machine by Python, on S3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from lakehouse import stack
from lakehouse.engines.spark import submit
from lakehouse.settings import Settings
from lakehouse.stack import process
from lakehouse.storage import connect

pytestmark = [pytest.mark.spark, pytest.mark.s3, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
JOB = Path(__file__).with_name("spark_job.py")
JARS = Path(os.environ.get("LAKE_SPARK_JARS") or ROOT / ".lake" / "jars")


@dataclass(frozen=True)
class Cluster:
    """A master, a worker and an S3 server on loopback."""

    state: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a process of the stack's user has."""
        return stack.environment(self.state)

    @property
    def secrets(self) -> set[str]:
        """What may be seen nowhere."""
        found = self.environment
        return {found["AWS_SECRET_ACCESS_KEY"], found["LAKE_SPARK_SECRET"]}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    state = tmp_path_factory.mktemp("spark") / "a state"
    try:
        stack.up(state, ["s3", "spark-worker"])
        yield Cluster(state)
    finally:
        stack.down(state)
        assert process.marked(state) == []


def run(command: list[str], folder: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """Run the job, and give what it told."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LAKE_", "AWS_"))}
    own = {"LAKE_SPARK_JARS": str(JARS), "LAKE_SPARK_MEMORY": "1GiB", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, str(folder / "told")],
        env=clean | own | dict(environment),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads((folder / "told").read_text())
    (folder / "told").unlink()
    told["printed"] = done.stdout + done.stderr
    return told


def check(told: Mapping[str, Any]) -> None:
    """The rows are those that were written, days before the calendar's change included."""
    assert told["count"] == 333
    assert told["at"] == "0044-03-15 12:00:00.000001"
    assert told["same"] is True


def events(folder: Path) -> list[dict[str, Any]]:
    """The events of the one application that was logged there."""
    (log,) = folder.rglob("events_*")
    return [json.loads(line) for line in log.read_text().splitlines()]


def seen(folder: Path) -> str:
    """The text of every file below a folder that is no data and no key."""
    files = [p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".jar", ".zip")]
    kept = [p for p in files if not {"keys", "s3"} & set(p.relative_to(folder).parts)]
    return "\n".join(path.read_text(errors="replace") for path in kept)


def test_spark_submit_runs_a_job_on_the_executors(cluster: Cluster, tmp_path: Path) -> None:
    log = tmp_path / "events"
    found = cluster.environment
    made = Settings(  # type: ignore[call-arg]
        _env_file=None,
        state=cluster.state,
        spark_jars=JARS,
        spark_master=found["LAKE_SPARK_MASTER"],
        spark_secret=found["LAKE_SPARK_SECRET"],
        domains=ROOT / "jobs",
    )
    own = {k: v for k, v in submit.environment(made).items() if os.environ.get(k) != v}
    told = run(
        submit.command(made, JOB),
        tmp_path,
        own | {"LAKE_STATE": str(cluster.state), "LAKE_SPARK_EVENTS": str(log)} | found,
    )
    check(told)
    assert told["master"] == found["LAKE_SPARK_MASTER"]

    ended = [event for event in events(log) if event["Event"] == "SparkListenerTaskEnd"]
    assert len(ended) > 8
    assert {event["Task Info"]["Executor ID"] for event in ended} == {"0"}
    shipped = submit.package(made).name
    assert {shipped in place for place, _ in told["saw"]} == {True}

    place = connect(
        Settings(_env_file=None, s3_endpoint=found["LAKE_S3_ENDPOINT"]), found["LAKE_URI"]
    )  # type: ignore[call-arg]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, found[name])
        table = place.at("a table")
        read = DeltaTable(table.delta_uri(), storage_options=table.delta_options())
        assert read.to_pyarrow_table().num_rows == 1000
        assert read.protocol().min_reader_version == 1

    everything = [told["printed"], told["page"], *told["commands"], seen(log), seen(cluster.state)]
    assert "spark.authenticate.secret" in told["page"]
    assert "fs.s3a.secret.key" in told["page"]
    assert len(told["commands"]) >= 4
    assert not [secret for secret in cluster.secrets for text in everything if secret in text]


@pytest.mark.parametrize("profile", ["", "mine"], ids=["standard chain", "profile"])
def test_a_local_session_with_keys_from_a_file(
    cluster: Cluster, tmp_path: Path, profile: str
) -> None:
    found = cluster.environment
    keys = tmp_path / "credentials"
    keys.write_text(
        f"[{profile or 'default'}]\naws_access_key_id = {found['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {found['AWS_SECRET_ACCESS_KEY']}\n"
    )
    told = run(
        [sys.executable, str(JOB)],
        tmp_path,
        {
            "AWS_SHARED_CREDENTIALS_FILE": str(keys),
            "AWS_EC2_METADATA_DISABLED": "true",
            "LAKE_S3_PROFILE": profile,
            "LAKE_SPARK_MASTER": "local[2]",
            "LAKE_STATE": str(tmp_path / "state"),
            "LAKE_URI": f"{found['LAKE_URI']}/{profile or 'chain'}",
            "LAKE_S3_ENDPOINT": found["LAKE_S3_ENDPOINT"],
        },
    )
    check(told)
    assert told["printed"] == ""
    assert (tmp_path / "state" / "logs" / "spark.log").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["credentials", "state"]
    everything = [told["page"], *told["commands"], seen(tmp_path / "state")]
    assert not [text for text in everything if found["AWS_SECRET_ACCESS_KEY"] in text]
