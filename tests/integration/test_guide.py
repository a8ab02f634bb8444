"""The guide "your own data in an hour", from its first file to its last command."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lakehouse.cli import main

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "your-own-data.md"


@dataclass(frozen=True)
class Block:
    """One marked block of the page."""

    kind: str
    name: str
    text: str
    line: int


def blocks() -> list[Block]:
    page = PAGE.read_text(encoding="utf-8")
    marked = r"^<!-- (\w+)(?:: (\S+))? -->\n```\w*\n(.*?)^```$"
    return [
        Block(m[1], m[2] or "", m[3], page[: m.start()].count("\n") + 1)
        for m in re.finditer(marked, page, re.MULTILINE | re.DOTALL)
    ]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without a domain, with a space in its path."""
    folder = tmp_path / "my project"
    folder.mkdir()
    declared = (PROJECT / "prefect.yaml").read_text(encoding="utf-8")
    of_flights = declared.index("deployments:\n") + len("deployments:\n")
    (folder / "prefect.yaml").write_text(declared[:of_flights], encoding="utf-8")
    shutil.copytree(PROJECT / "flows", folder / "flows", ignore=shutil.ignore_patterns("__py*"))
    for name in [n for n in os.environ if n.startswith(("LAKE_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(folder)
    return folder


def test_every_block_of_the_page_is_marked() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert len(blocks()) == len(re.findall(r"^```\w", page, re.MULTILINE))


def test_the_guide(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = ""
    for block in blocks():
        where = f"{PAGE.name}:{block.line}"
        if block.kind == "file":
            write(project / block.name, block.text)
        elif block.kind == "append":
            with (project / block.name).open("a", encoding="utf-8") as file:
                file.write(block.text)
        elif block.kind == "edit":
            edit(project / block.name, block.text, where)
        elif block.kind == "run" and not block.name:
            said = "".join(run(line, capfd, where) for line in block.text.splitlines())
        elif block.kind == "shows":
            compare(block.text, said, where)


@pytest.mark.prefect
def test_the_schedule(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands for a server, on a domain of the same name that is quickly built."""
    (server,) = (b for b in blocks() if (b.kind, b.name) == ("run", "server"))
    (deployments,) = (b for b in blocks() if b.kind == "append")
    with (project / "prefect.yaml").open("a", encoding="utf-8") as file:
        file.write(deployments.text)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    for name in [n for n in os.environ if n.startswith("PREFECT_API")]:
        monkeypatch.delenv(name)
    try:
        for line in ("lake new billing", "lake land billing"):
            shell(line)
        said = ""
        for line in server.text.splitlines():
            if line.startswith("export "):
                # The port is another where this one was taken.
                name = line.removeprefix("export ").partition("=")[0]
                found = re.search(rf"export {name}=(\S+)", said)
                assert found, said
                monkeypatch.setenv(name, found[1])
            else:
                said = shell(line)
                if " --watch" in line:
                    assert "Completed" in said
    finally:
        shell("lake down")
    assert "3 tables" in shell("lake plan")


def shell(line: str) -> str:
    """Run one line of a console in a process of its own."""
    words = shlex.split(line)
    lake = [sys.executable, "-c", "from lakehouse.cli import main; main()"]
    starts = {"lake": lake, "prefect": [sys.executable, "-m", "prefect", "--no-prompt"]}
    command = [*starts[words[0]], *words[1:]]
    done = subprocess.run(command, check=False, text=True, capture_output=True, timeout=240)
    assert not done.returncode, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def edit(file: Path, diff: str, where: str) -> None:
    """Apply a diff without line numbers: its old lines are found by what they say."""
    lines = diff.splitlines()
    old = "\n".join(line[1:] for line in lines if line[:1] in "- ")
    new = "\n".join(line[1:] for line in lines if line[:1] in "+ ")
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{where}: {file.name} holds the old lines {text.count(old)} times"
    file.write_text(text.replace(old, new), encoding="utf-8")


def run(line: str, capfd: pytest.CaptureFixture[str], where: str) -> str:
    """Run one line of a console and give what it printed."""
    words = [found for word in shlex.split(line) for found in expanded(word, line)]
    code: object = 0
    try:
        if words[0] == "lake":
            main(words[1:])
        elif words[1] == "-m":
            done = subprocess.run(
                [sys.executable, *words[1:]], check=False, text=True, capture_output=True
            )
            print(done.stdout, done.stderr)
            code = done.returncode
        else:
            runpy.run_path(words[1], run_name="__main__")
    except SystemExit as stopped:
        code = stopped.code
    printed = capfd.readouterr()
    assert not code, f"{where}: {line}\n{printed.out}\n{printed.err}"
    return printed.out


def expanded(word: str, line: str) -> Iterator[str]:
    # What stands in quotes is not for the shell to expand.
    quoted = f"'{word}'" in line or f'"{word}"' in line
    yield from (
        (sorted(map(str, Path().glob(word))) or [word]) if "*" in word and not quoted else [word]
    )


def compare(expected: str, said: str, where: str) -> None:
    """See that each line was printed, in this order; ``…`` stands for anything between."""
    lines = [" ".join(line.split()) for line in said.splitlines()]
    at = 0
    for line in expected.splitlines():
        pattern = ".*".join(re.escape(" ".join(part.split())) for part in line.split(" … "))
        found = next((i for i in range(at, len(lines)) if re.search(pattern, lines[i])), None)
        assert found is not None, f"{where}: {line!r} is not in\n" + "\n".join(lines[at:])
        at = found
