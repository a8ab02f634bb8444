"""The strict check of prefect.yaml: each slip that Prefect would accept silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.deployments import lint, main

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
    (tmp_path / "prefect.yaml").write_text(text)
    prefix = f"{tmp_path}/prefect.yaml:"
    return [str(p).removeprefix(prefix) for p in lint(tmp_path / "prefect.yaml")]


def test_a_right_file_has_no_problems(tmp_path: Path) -> None:
    assert problems(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        ("deployments:", "deployment:", "2: unknown key 'deployment'; did you mean 'deployments'?"),
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
