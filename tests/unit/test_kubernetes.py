"""Kubernetes as Spark's master, as far as it can be seen without a cluster."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakehouse.engines.spark import kubernetes, master
from lakehouse.errors import EngineError

DEPLOYMENTS = Path(__file__).parents[2] / "deployments"
MANIFESTS = DEPLOYMENTS / "kubernetes"


def test_a_driver_in_a_pod_says_where_and_whose_it_is() -> None:
    pod = {"POD_IP": "10.1.2.3", "POD_NAME": "lake-build-1", "POD_NAMESPACE": "lake"}
    assert kubernetes.conf(pod) == {
        "spark.authenticate": "true",
        "spark.driver.host": "10.1.2.3",
        "spark.driver.bindAddress": "10.1.2.3",
        "spark.kubernetes.driver.pod.name": "lake-build-1",
        "spark.kubernetes.namespace": "lake",
    }
    assert kubernetes.conf({}) == {"spark.authenticate": "true"}


def test_an_image_is_asked_for_before_executors_are() -> None:
    kubernetes.check_image("lake:1")
    with pytest.raises(EngineError, match=r"spark\.kubernetes\.container\.image") as raised:
        kubernetes.check_image("")
    assert "spark-defaults.conf" in raised.value.remedy


@pytest.mark.parametrize("form", ["k8s://https://{}", "k8s://http://{}", "k8s://{}"])
def test_an_api_server_that_does_not_answer_is_named_at_once(form: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        master.look_for(form.format(address))
    with pytest.raises(EngineError, match="connect to the Kubernetes API server") as raised:
        master.look_for(form.format(address))
    assert address in raised.value.found
    assert "LAKE_SPARK_MASTER" in raised.value.remedy


def test_executors_are_elsewhere_also_where_the_api_server_is_here() -> None:
    assert not master.here("k8s://https://127.0.0.1:6443")


def manifests() -> dict[tuple[str, str], Any]:
    found = [
        one
        for file in sorted(MANIFESTS.glob("*.yaml"))
        for one in yaml.safe_load_all(file.read_text(encoding="utf-8"))
        if one["kind"] != "Kustomization"
    ]
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


def test_the_manifests_name_what_there_is() -> None:
    found = manifests()
    job = found["CronJob", "lake-build"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (driver,) = job["containers"]
    made = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text(encoding="utf-8"))
    generated = {one["name"] for one in made["configMapGenerator"]}
    assert ("ServiceAccount", job["serviceAccountName"]) in found
    assert {v["configMap"]["name"] for v in job["volumes"] if "configMap" in v} <= generated
    assert driver["envFrom"][0]["configMapRef"]["name"] in generated
    assert {m["name"] for m in driver["volumeMounts"]} == {v["name"] for v in job["volumes"]}
    assert set(made["resources"]) | {"kustomization.yaml"} == {
        f.name for f in MANIFESTS.glob("*.yaml")
    }
    told = {one["name"] for one in driver["env"]}
    assert {"POD_IP", "POD_NAME", "POD_NAMESPACE"} <= told
    image = next(iter(made["images"]))
    assert driver["image"] == image["name"]
    assert properties()["spark.kubernetes.container.image"] == (
        f"{image['newName']}:{image['newTag']}"
    )
    executor = properties()["spark.kubernetes.authenticate.executor.serviceAccountName"]
    assert ("ServiceAccount", executor) in found


def properties() -> dict[str, str]:
    lines = (MANIFESTS / "spark-defaults.conf").read_text(encoding="utf-8").splitlines()
    said = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    return {name: value for name, value in said}  # noqa: C416


def test_the_settings_are_settings() -> None:
    from lakehouse.settings import Settings

    lines = (MANIFESTS / "settings.env").read_text(encoding="utf-8").splitlines()
    named = {line.partition("=")[0].removeprefix("LAKE_").lower() for line in lines}
    assert named <= set(Settings.model_fields)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl renders the manifests")
def test_kubectl_renders_them() -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", str(MANIFESTS)], capture_output=True, text=True, check=True
    )
    rendered = list(yaml.safe_load_all(done.stdout))
    assert {one["kind"] for one in rendered} >= {"CronJob", "ConfigMap", "RoleBinding"}
    assert "registry.example.org/lake:1" in done.stdout
    assert all(
        o["metadata"].get("namespace") == "lake" for o in rendered if o["kind"] != "Namespace"
    )


def test_the_image_holds_what_it_copies() -> None:
    text = (DEPLOYMENTS / "docker" / "Dockerfile").read_text(encoding="utf-8")
    kept = (DEPLOYMENTS / "docker" / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    root = DEPLOYMENTS.parent
    for line in text.splitlines():
        if line.startswith("COPY"):
            sources = [w for w in line.split()[1:-1] if not w.startswith("--")]
            assert all((root / source).exists() for source in sources), line
            assert all(f"!{source}\n" in kept for source in sources), line


def test_the_entrypoint_runs_any_command(tmp_path: Path) -> None:
    entrypoint = DEPLOYMENTS / "docker" / "entrypoint.sh"
    done = subprocess.run(
        [entrypoint, "printf", "%s|", "a b", "c"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "a b|c|"
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    java.chmod(0o755)
    variables = {
        name: name.lower()
        for name in (
            *("SPARK_EXECUTOR_MEMORY", "SPARK_DRIVER_URL", "SPARK_EXECUTOR_ID"),
            *("SPARK_EXECUTOR_CORES", "SPARK_APPLICATION_ID", "SPARK_EXECUTOR_POD_IP"),
            *("SPARK_RESOURCE_PROFILE_ID", "SPARK_EXECUTOR_POD_NAME", "SPARK_HOME"),
        )
    }
    options = {"SPARK_JAVA_OPT_0": "-Da=1 2", "SPARK_JAVA_OPT_1": "-Db=$x"}
    done = subprocess.run(
        [entrypoint, "executor"],
        env={"PATH": os.environ["PATH"], "JAVA_HOME": str(tmp_path), **variables, **options},
        capture_output=True,
        text=True,
        check=True,
    )
    words = done.stdout.splitlines()
    assert words[:4] == [
        "-Da=1 2",
        "-Db=$x",
        "-Xmsspark_executor_memory",
        "-Xmxspark_executor_memory",
    ]
    assert words[words.index("--podName") + 1] == "spark_executor_pod_name"
