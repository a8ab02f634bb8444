"""Python of a domain: what changes its meaning, what it imports, where it is run."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest

from lakehouse import code
from lakehouse.code import Code
from lakehouse.errors import CatalogError

TABLE = '''\
"""A docstring."""

from ..lib import decay
from ..lib.words import (
    GREETING,
)


def table(flights, *, silver_planes):
    """Another."""
    return GREETING, decay.twice(flights), silver_planes
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "gold/t.py", TABLE)
    write(tmp_path, "lib/decay.py", "from . import words\n\ndef twice(n):\n    return n * 2\n")
    write(tmp_path, "lib/words.py", "GREETING = 'hello'\n")
    write(tmp_path, "lib/other.py", "1 / 0\n")
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def read(folder: Path) -> Code:
    return code.read(folder / "gold/t.py", folder)


def test_what_is_imported_of_the_domain_belongs_to_it(folder: Path) -> None:
    assert [name for name, _ in read(folder).texts] == ["gold/t.py", "lib/decay.py", "lib/words.py"]


def test_it_runs_where_the_files_are_not(folder: Path) -> None:
    found = pickle.loads(pickle.dumps(read(folder)))
    shutil.rmtree(folder)
    assert found.load().table(3, silver_planes=4) == ("hello", 6, 4)
    assert found.load() is found.load()


def test_packages_are_run_before_their_modules(folder: Path) -> None:
    write(folder, "lib/__init__.py", "START = 5\n")
    write(folder, "lib/decay.py", "from . import START\n\ndef twice(n):\n    return n * START\n")
    found = read(folder)
    assert "lib/__init__.py" in dict(found.texts)
    assert found.load().table(3, silver_planes=4)[1] == 15


def test_comments_docstrings_and_white_space_mean_nothing(folder: Path) -> None:
    before = read(folder).id
    write(folder, "gold/t.py", TABLE.replace("Another.", "Other words.").replace("):", "):  # why"))
    write(folder, "lib/words.py", "\n\nGREETING    = 'hello'  # a word\n")
    write(folder, "lib/other.py", "2 / 0\n")
    assert read(folder).id == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gold/t.py", TABLE.replace("return GREETING", "return GREETING.upper()")),
        ("lib/words.py", "GREETING = 'good day'\n"),
        ("lib/decay.py", "from . import words\n\ndef twice(n):\n    return n + n\n"),
    ],
)
def test_a_change_of_what_is_run_is_another_id(folder: Path, name: str, text: str) -> None:
    before = read(folder).id
    write(folder, name, text)
    assert read(folder).id != before


def test_the_same_folder_elsewhere_has_the_same_id(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere)
    assert read(elsewhere).id == read(folder).id


def test_parameters_are_names(folder: Path) -> None:
    assert read(folder).parameters("table") == ("flights", "silver_planes")


@pytest.mark.parametrize(
    ("name", "text", "found", "where"),
    [
        ("gold/t.py", "def table(x):\n    return (\n", "not Python", "t.py:2"),
        ("lib/words.py", "GREETING = = 1\n", "not Python", "words.py:1"),
        ("gold/t.py", "\nfrom ..lib import nothing\n", "no file lib/nothing.py", "t.py:2"),
        ("gold/t.py", "from ..library.words import GREETING\n", "no file library/words", "t.py:1"),
        ("gold/t.py", "from ...above import x\n", "beyond the domain's folder", "t.py:1"),
        ("gold/t.py", "import lib.words\n", "by an absolute name", "t.py:1"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(
    folder: Path, name: str, text: str, found: str, where: str
) -> None:
    write(folder, name, text)
    with pytest.raises(CatalogError) as raised:
        read(folder)
    assert found in raised.value.found
    assert (raised.value.file or "").endswith(where)


@pytest.mark.parametrize("module", ["jobs.flights.lib.words", "flights.lib.words"])
def test_a_domains_own_name_is_absolute_too(folder: Path, tmp_path: Path, module: str) -> None:
    moved = tmp_path / "jobs" / "flights"
    for part in ("gold", "lib"):
        shutil.copytree(folder / part, moved / part)
    write(moved, "gold/t.py", f"from {module} import GREETING\n")
    with pytest.raises(CatalogError, match="by an absolute name") as raised:
        read(moved)
    assert raised.value.remedy == "import it relatively: from ..lib.words import …"


@pytest.mark.parametrize(
    "text",
    ["x = 1\n", "def table(*tables): ...\n", "def table(a, b=1): ...\n", "def table(**t): ...\n"],
)
def test_the_function_has_named_parameters(folder: Path, text: str) -> None:
    write(folder, "gold/t.py", text)
    with pytest.raises(CatalogError) as raised:
        read(folder).parameters("table")
    assert "write def table(name: pa.Table" in raised.value.remedy


def test_an_error_is_at_the_innermost_line_of_the_domain(folder: Path) -> None:
    write(folder, "lib/decay.py", "def twice(n):\n    return int(n)\n")
    found = read(folder)
    with pytest.raises(ValueError, match="invalid literal") as raised:
        found.load().table("x", silver_planes=1)
    assert found.line(raised.value) == f"{folder}/lib/decay.py:2"
