"""The strict check of prefect.yaml: each slip that Prefect would accept silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.deployments import lint, lint_automations, main

GOOD = """\
name: lake
deployments:
  - name: flights
    entrypoint: flows/elt.py:elt
    tags: [a]
    parameters: {domain: flights}
    schedules:
      - {cron: "0 6 * * *", timezone: America/New_York, active: true}
    concurrency_limit: {limit: 1, collision_strategy: ENQUEUE}
    triggers:
      - type: event
        expect: ["lakehouse.table.committed"]
        match: {prefect.resource.id: "lakehouse.table.flights.gold.*"}
        within: 10
        parameters: {domain: "{{ event.payload.domain }}"}
      - type: compound
        require: all
        within: 60
        triggers:
          - {type: event, expect: [a], match: {prefect.resource.id: "x"}}
          - {type: event, expect: [b], match: {prefect.resource.id: "y"}}
    work_pool: {name: lake, job_variables: {command: "python -m prefect.engine"}}
"""


def problems(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "flows").mkdir(exist_ok=True)
    (tmp_path / "flows" / "elt.py").write_text(
        "import nowhere_to_be_found\n\ndef elt(domain: str = 'flights', *, force: bool = False): ...\n"
    )
    (tmp_path / "flows" / "train.py").write_text("def train(model: str, domain: str = ''): ...\n")
    (tmp_path / "flows" / "own.py").write_text("def elt(domain: str, model: str): ...\n")
    for domain, model in (("flights", "late_arrival"), ("shop", "churn")):
        (tmp_path / "jobs" / domain / "silver").mkdir(parents=True, exist_ok=True)
        (tmp_path / "jobs" / domain / "models").mkdir(exist_ok=True)
        (tmp_path / "jobs" / domain / "models" / f"{model}.yaml").touch()
    (tmp_path / "prefect.yaml").write_text(text)
    prefix = f"{tmp_path}/prefect.yaml:"
    return [str(p).removeprefix(prefix) for p in lint(tmp_path / "prefect.yaml")]


def test_a_right_file_has_no_problems(tmp_path: Path) -> None:
    assert problems(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        ("deployments:", "deployment:", "2: unknown key 'deployment'; did you mean 'deployments'?"),
        ("    schedules:", "    schedule:", "7: unknown key 'schedule'; did you mean 'schedules'?"),
        (
            "    parameters: {domain: flights}",
            "    parameters: {domain: fligths}",
            "6: there is no domain 'fligths'; did you mean 'flights'?",
        ),
        (" tags:", " tag:", "5: unknown key 'tag'; did you mean 'tags'?"),
        (
            "concurrency_limit:",
            "concurency_limit:",
            "9: unknown key 'concurency_limit'; did you mean 'concurrency_limit'?",
        ),
        (
            "collision_strategy",
            "colision_strategy",
            "9: unknown key 'colision_strategy'; did you mean 'collision_strategy'?",
        ),
        ("timezone:", "timezon:", "8: unknown key 'timezon'; did you mean 'timezone'?"),
        ("America/New_York", "America/New_Yorck", "8: schedule: timezone: Value error, Invalid"),
        ("0 6 * * *", "0 6 * *", "8: schedule: cron: Value error, Invalid cron"),
        (
            "        within: 10",
            "        wthin: 10",
            "14: unknown key 'wthin'; did you mean 'within'",
        ),
        (
            '        match: {prefect.resource.id: "lakehouse.table.flights.gold.*"}\n',
            "",
            "11: a trigger without 'match' fires for every resource; add 'match:'",
        ),
        ("        within: 60\n", "", "16: a compound trigger without 'within' waits for ever"),
        ("require: all", "require: most", "16: trigger: require"),
        ("{type: event, expect: [a]", "{type: event, expct: [a]", "20: unknown key 'expct'"),
        ("type: compound", "type: compund", "16: trigger of type 'compund'; use one of event"),
        ("job_variables", "job_variable", "22: unknown key 'job_variable'; did you mean"),
        ("flows/elt.py:elt", "flows/etl.py:elt", "4: entry point 'flows/etl.py:elt': there is no"),
        ("elt.py:elt", "elt.py:etl", "4: entry point 'flows/elt.py:etl': flows/elt.py has no fun"),
        (
            "{domain: flights}",
            "{domian: flights}",
            "6: the flow elt has no parameter 'domian'; did you mean 'domain'?",
        ),
        ("    entrypoint: flows/elt.py:elt\n", "", "3: a deployment without 'entrypoint'"),
        ("name: lake\n", "name: [lake\n", "2: not YAML"),
    ],
)
def test_each_slip_is_named_with_its_line(
    tmp_path: Path, right: str, wrong: str, expected: str
) -> None:
    assert right in GOOD
    found = problems(tmp_path, GOOD.replace(right, wrong, 1))
    assert any(line.startswith(expected) for line in found), found


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("model: late_arrival", []),
        ("model: late_arrival, domain: flights", []),
        (
            "model: late_arival",
            ["6: there is no model 'late_arival'; did you mean 'late_arrival'?"],
        ),
        (
            "model: churn, domain: flights",
            ["6: there is no model 'churn'; known: late_arrival"],
        ),
        ('model: "{{ event.payload.model }}"', []),
    ],
)
def test_models_are_those_that_are_declared(
    tmp_path: Path, parameters: str, expected: list[str]
) -> None:
    text = GOOD.replace("elt.py:elt", "train.py:train").replace("domain: flights", parameters, 1)
    assert problems(tmp_path, text) == expected


def test_parameters_of_other_flows_may_mean_anything(tmp_path: Path) -> None:
    text = GOOD.replace("elt.py:elt", "own.py:elt")
    assert problems(tmp_path, text.replace("domain: flights", "domain: a, model: b", 1)) == []


def test_where_no_domain_is_declared(tmp_path: Path) -> None:
    problems(tmp_path, GOOD)
    (tmp_path / "jobs").rename(tmp_path / "elsewhere")
    (problem,) = lint(tmp_path / "prefect.yaml")
    assert "no folder with bronze/" in problem.found and problem.file.endswith(":3")


def test_the_same_deployment_twice(tmp_path: Path) -> None:
    body = GOOD.split("deployments:\n")[1]
    assert any("a second time" in line for line in problems(tmp_path, GOOD + body))


def test_a_file_without_a_mapping(tmp_path: Path) -> None:
    assert problems(tmp_path, "- a\n") == [
        "1: the file holds no mapping; begin with 'deployments:'"
    ]


def test_the_command_prints_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problems(tmp_path, GOOD)
    assert main([str(tmp_path / "prefect.yaml")]) == 0
    assert capsys.readouterr().out == ""
    problems(tmp_path, GOOD.replace("tags:", "tag:"))
    assert main([str(tmp_path / "prefect.yaml")]) == 1
    assert "did you mean 'tags'?" in capsys.readouterr().out


def test_our_own_file_is_right() -> None:
    assert lint(Path(__file__).parents[2] / "prefect.yaml") == ()


AUTOMATION = """\
name: tell of failures
trigger:
  type: event
  posture: Reactive
  expect: [prefect.flow-run.Failed]
  match: {prefect.resource.id: "prefect.flow-run.*"}
  threshold: 1
  within: 0
actions:
  - {type: call-webhook, block_document_id: lake-notify, payload: "{}"}
"""


def automation_problems(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "one.yaml"
    file.write_text(text)
    return [str(p).removeprefix(f"{file}:") for p in lint_automations(tmp_path)]


def test_a_right_automation_has_no_problems(tmp_path: Path) -> None:
    assert automation_problems(tmp_path, AUTOMATION) == []


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        ("name:", "nane:", "1: unknown key 'nane'; did you mean 'name'?"),
        ("  threshold:", "  thresold:", "7: unknown key 'thresold'; did you mean 'threshold'?"),
        ("payload:", "paylod:", "10: unknown key 'paylod'; did you mean 'payload'?"),
        (
            "call-webhook",
            "call-webhok",
            "10: unknown action 'call-webhok'; did you mean 'call-webhook'?",
        ),
        ("posture: Reactive", "posture: Reactiv", "2: automation: trigger"),
        (
            '  match: {prefect.resource.id: "prefect.flow-run.*"}\n',
            "",
            "2: a trigger without 'match' fires for every resource; add 'match:'",
        ),
        (
            "{type: call-webhook, block_document_id: lake-notify",
            "{type: run-deployment, source: inferred",
            "10: an action that runs a deployment; make it a trigger of the deployment",
        ),
        ("name: tell", "- name: tell", "2: not YAML"),
    ],
)
def test_each_slip_of_an_automation_is_named(
    tmp_path: Path, right: str, wrong: str, expected: str
) -> None:
    assert right in AUTOMATION
    found = automation_problems(tmp_path, AUTOMATION.replace(right, wrong, 1))
    assert any(line.startswith(expected) for line in found), found


def test_our_own_automations_are_right() -> None:
    folder = Path(__file__).parents[2] / "deployments" / "automations"
    assert list(folder.glob("*.yaml"))
    assert lint_automations(folder) == ()
