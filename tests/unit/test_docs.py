"""The documents against the code: commands exist, links resolve, reference pages are complete."""

from __future__ import annotations

import dataclasses
import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import made_reference
import pytest
import yaml
from source import emitted
from texts import described

from lakehouse import contract as contracts
from lakehouse import errors, ops
from lakehouse.cli import COMMANDS, lake
from lakehouse.contract import model
from lakehouse.settings import Settings
from lakehouse.sql import parse
from lakehouse.training import declaration

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts),
]
_FENCE = re.compile(r"^( *)```([a-z]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def _blocks(page: Path, *languages: str) -> Iterator[str]:
    for _, language, text in _FENCE.findall(page.read_text(encoding="utf-8")):
        if language in languages:
            yield text


def _typed() -> Iterator[tuple[str, list[str]]]:
    """Each command line in a block of a page, without its comment."""
    for page in PAGES:
        for block in _blocks(page, "", "bash", "sh", "console"):
            for line in block.splitlines():
                text = line.strip().removeprefix("$ ")
                if re.match(r"(lake|make|python -m|prefect|dask|git) ", text) and "…" not in text:
                    yield page.relative_to(ROOT).as_posix(), shlex.split(text, comments=True)


COMMAND_LINES = list(_typed())


def _of(program: str) -> list[tuple[str, list[str]]]:
    return [(page, words[1:]) for page, words in COMMAND_LINES if words[0] == program]


@pytest.mark.parametrize(("page", "words"), _of("lake"), ids=str)
def test_lake_commands_exist_with_their_options(
    page: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    context = click.Context(lake, info_name="lake")
    command = lake.get_command(context, words[0])
    assert command is not None, f"{page}: lake {words[0]}"
    for parameter in command.params:
        # Files on a page are the reader's.
        if isinstance(parameter.type, click.Path):
            monkeypatch.setattr(parameter.type, "exists", False)
    if "--help" not in words and "-h" not in words:
        command.make_context(words[0], words[1:], parent=context)


def test_make_targets_exist() -> None:
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page, words in _of("make"):
        targets = {w for w in words if "=" not in w}
        assert targets <= made, f"{page}: {targets - made}"


def test_modules_that_are_run_exist() -> None:
    for page, words in _of("python"):
        module = words[1]
        found = [ROOT / f"{module.replace('.', '/')}{end}" for end in (".py", "/__main__.py")]
        assert any(f.exists() for f in found) or module in ("pytest", "pip", "venv"), (page, module)


def test_readme_and_pages_link_to_files_that_are_there() -> None:
    # Sphinx checks the pages' own links; GitHub shows the files as they are.
    for page in PAGES:
        text = _FENCE.sub("", page.read_text(encoding="utf-8"))
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.relative_to(ROOT)}: {link}"


def test_tables_shown_in_pages_are_whole() -> None:
    """A file that a page tells the reader to write is a contract or a SELECT."""
    mark = re.compile(r"<!-- file: (\S+\.(?:sql|yaml)) -->\n```[a-z]+\n(.*?)^```$", re.M | re.S)
    for page in (ROOT / "README.md", ROOT / "docs" / "tutorial.md"):
        shown = mark.findall(page.read_text(encoding="utf-8"))
        assert len(shown) == 2
        for path, text in shown:
            if path.endswith(".sql"):
                assert parse(text, path).reads == ("silver.flights",)
            else:
                assert contracts.parse(text, path).name == Path(path).stem


def test_readme_and_tutorial_show_the_same_files() -> None:
    mark = re.compile(r"(<!-- file: \S+ -->\n```.*?^```$)", re.M | re.S)
    readme, tutorial = (
        mark.findall((ROOT / name).read_text(encoding="utf-8"))
        for name in ("README.md", "docs/tutorial.md")
    )
    assert readme == tutorial


def test_yaml_in_pages_is_yaml() -> None:
    for page in PAGES:
        for block in _blocks(page, "yaml"):
            anchors = re.sub(r"\*(\w+)", r"\1", block)
            yaml.safe_load(anchors)


@pytest.mark.parametrize("name", sorted(made_reference.MADE))
def test_a_made_part_is_on_exactly_one_page(name: str) -> None:
    holding = [p for p in PAGES if f"<!-- made: {name} -->" in p.read_text(encoding="utf-8")]
    assert len(holding) == 1
    assert made_reference.MADE[name]().strip()


def test_every_command_is_on_its_page() -> None:
    made = made_reference.commands()
    assert re.findall(r"^## `lake (\S+)`$", made, re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize(
    "kind",
    [
        Settings,
        *(model.Source, model.Partition, model.ColumnPolicy, model.Read, model.Rows),
        *(model.Waiver, model.Retention, model.Properties),
        *(declaration.ModelDeclaration, declaration.Features, declaration.Label),
        *(declaration.FixedSplit, declaration.RollingSplit, declaration.Estimator),
        *(declaration.Baseline, declaration.Metrics, declaration.SliceOf, declaration.Waiver),
        *(declaration.MetricGate, declaration.ChampionGate, declaration.VolumeGate),
        *(declaration.MissingGate, declaration.SkewGate, declaration.SlicesGate),
        *(declaration.InfrastructureGate, declaration.RetrainPolicy, declaration.Budget),
        *(declaration.Monitors, declaration.DriftMonitor, declaration.PerformanceMonitor),
        *(declaration.FreshnessMonitor, declaration.VolumeMonitor, declaration.MissingMonitor),
    ],
    ids=lambda kind: kind.__name__,
)
def test_every_key_is_described_in_its_docstring(kind: type) -> None:
    told = described(kind)
    missing = set(kind.model_fields) - set(told)  # type: ignore[attr-defined]
    assert not missing, f"describe {missing} under Attributes: in the docstring of {kind.__name__}"
    assert not set(told) - set(kind.model_fields)  # type: ignore[attr-defined]


def test_every_ops_column_is_described_in_its_docstring() -> None:
    for kind in ops.ROWS.values():
        assert set(described(kind)) == {f.name for f in dataclasses.fields(kind)}


def test_the_events_that_flows_emit_are_described() -> None:
    assert sorted(event for event, _, _ in emitted()) == [
        "lakehouse.model.distribution_changed",
        "lakehouse.model.performance_dropped",
        "lakehouse.model.promoted",
        "lakehouse.model.scored",
        "lakehouse.table.committed",
    ]
    made = made_reference.events()
    assert "`lakehouse.table.<domain>.<layer>.<table>`" in made
    assert made.count("`lakehouse.model.<domain>.<model>`") == 4


def test_the_error_page_has_every_class_and_real_remedies() -> None:
    made = made_reference.errors()
    for name in (n for n in errors.__all__ if inspect.isclass(getattr(errors, n))):
        assert f"## {name}\n" in made
    assert "conditional PUTs won, one must" in made


def test_how_to_guides_are_listed() -> None:
    folder = ROOT / "docs" / "how-to"
    index = (folder / "index.md").read_text(encoding="utf-8").splitlines()
    assert {p.stem for p in folder.glob("*.md")} - {"index"} <= set(index)


def test_sources_hold_no_addresses_of_machines() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"(/home/|/tmp/|/Users/)", text), page
