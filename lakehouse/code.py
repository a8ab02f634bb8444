"""Python beside a declaration: what it means, the files it is of, and how it is run anywhere.

Code is carried as text: what was hashed is what runs, on workers that have none of the files too.
"""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path, PurePosixPath
from types import CodeType, ModuleType

from lakehouse.contract import digest
from lakehouse.errors import CatalogError

__all__ = ["Code", "meaning", "read"]

_PACKAGE = "_lake_"


def meaning(node: object) -> object:
    """A syntax tree as lists, without positions, comments, docstrings and empty fields.

    Empty fields are left out because Python releases add such fields.
    """
    if isinstance(node, list):
        return [meaning(item) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    documented = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    if isinstance(node, documented) and ast.get_docstring(node) is not None:
        fields["body"] = fields["body"][1:]
    kept = {name: value for name, value in fields.items() if value not in (None, [])}
    return [type(node).__name__, *([name, meaning(value)] for name, value in kept.items())]


@dataclass(frozen=True)
class Code:
    """A Python file of a domain with what it imports of the domain's other files.

    Attributes:
        folder: The domain's folder.
        file: The file's path below it: ``silver/streaks.py``.
        texts: (path below the folder, text) of it and of each file that it imports, sorted.
    """

    folder: str
    file: str
    texts: tuple[tuple[str, str], ...]

    @property
    def path(self) -> str:
        """The file, for messages."""
        return f"{self.folder}/{self.file}"

    @property
    def id(self) -> str:
        """Ten hex digits that comments, docstrings and white space do not change."""
        return digest([[name, meaning(ast.parse(text))] for name, text in self.texts])

    def parameters(self, function: str) -> tuple[str, ...]:
        """The names of a function's parameters, which are passed by name.

        Raises:
            CatalogError: The file defines no such function, or one with other parameters.
        """
        tree = ast.parse(dict(self.texts)[self.file])
        named = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == function]
        remedy = f"write def {function}(name: pa.Table, …) -> pa.Table, a parameter for each input"
        if not named:
            raise _error(self.path, 1, f"no function {function!r} at its top level", remedy)
        args = named[-1].args
        if args.posonlyargs or args.vararg or args.kwarg or args.defaults or any(args.kw_defaults):
            found = f"{function} has parameters without a name, or with a default"
            raise _error(self.path, named[-1].lineno, found, remedy)
        return tuple(arg.arg for arg in (*args.args, *args.kwonlyargs))

    def load(self) -> ModuleType:
        """The module, run at the first call in this process.

        Raises:
            Exception: Whatever the file raises when it is run.
        """
        package = _PACKAGE + digest(self.folder, self.texts)
        _Texts.of_this_process().packages[package] = self
        return importlib.import_module(f"{package}.{_dotted(self.file)}")

    def line(self, error: BaseException) -> str:
        """``path:line`` of the innermost line of this code that raised an error."""
        files = {f"{self.folder}/{name}" for name, _ in self.texts}
        if isinstance(error, SyntaxError) and error.filename in files:
            return f"{error.filename}:{error.lineno or 1}"
        frames = traceback.extract_tb(error.__traceback__)
        mine = [f"{frame.filename}:{frame.lineno}" for frame in frames if frame.filename in files]
        return mine[-1] if mine else self.path


def read(path: Path, folder: Path) -> Code:
    """A Python file with everything of its domain that it imports, without running it.

    Args:
        path: The file.
        folder: The domain's folder.

    Raises:
        CatalogError: Not Python, not UTF-8, or an import of a file that is not there.
    """
    file = path.relative_to(folder).as_posix()
    texts: dict[str, str] = {}
    waiting = [file, *_packages(file, folder)]
    while waiting:
        name = waiting.pop()
        if name not in texts:
            texts[name] = _text(folder / name)
            for found in _imported(name, _parsed(texts[name], folder / name), folder):
                waiting += [found, *_packages(found, folder)]
    return Code(str(folder), file, tuple(sorted(texts.items())))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _error(str(path), 1, str(error), "save the file as UTF-8") from error


def _parsed(text: str, path: Path) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError) as error:
        line, said = getattr(error, "lineno", None) or 1, getattr(error, "msg", error)
        raise _error(str(path), line, f"not Python: {said}", "mend it") from error


def _imported(file: str, tree: ast.Module, folder: Path) -> Iterator[str]:
    """The files of the domain that a file imports."""
    for node in ast.walk(tree):
        where = (str(folder / file), getattr(node, "lineno", 1))
        if isinstance(node, ast.ImportFrom) and node.level:
            yield from _relative(file, node, folder)
        elif isinstance(node, ast.ImportFrom):
            _absolute(where, [node.module or ""], folder)
        elif isinstance(node, ast.Import):
            _absolute(where, [alias.name for alias in node.names], folder)


def _relative(file: str, node: ast.ImportFrom, folder: Path) -> Iterator[str]:
    package = PurePosixPath(file).parent.parts
    above = len(package) - (node.level - 1)
    where = (str(folder / file), node.lineno)
    if above < 0:
        raise _error(*where, "an import from beyond the domain's folder", "import from inside it")
    base = "/".join([*package[:above], *(node.module or "").split(".")]).strip("/")
    own = _module(base, folder)
    if own:
        yield own
    for alias in node.names:
        inner = _module(f"{base}/{alias.name}".strip("/"), folder)
        if inner:
            yield inner
        elif own is None:
            there = f"no file {base or '.'}/{alias.name}.py in {folder}"
            raise _error(*where, there, "correct the import, or write the file")


def _absolute(where: tuple[str, int], modules: Sequence[str], folder: Path) -> None:
    """Refuse what may or may not be found, depending on where the code runs."""
    for module in modules:
        inside = module.removeprefix(f"{folder.parent.name}.").removeprefix(f"{folder.name}.")
        if _module(inside.replace(".", "/"), folder):
            found = f"import of {module}, a file of the domain, by an absolute name"
            raise _error(*where, found, f"import it relatively: from ..{inside} import …")


def _module(name: str, folder: Path) -> str | None:
    """The file of a module of the domain: ``lib/decay`` → ``lib/decay.py``."""
    files = (f"{name}.py", f"{name}/__init__.py") if name else ("__init__.py",)
    return next((file for file in files if (folder / file).is_file()), None)


def _packages(file: str, folder: Path) -> list[str]:
    """The ``__init__.py`` that Python runs before a file."""
    parents = PurePosixPath(file).parents
    inits = [str(parent / "__init__.py") for parent in parents]
    return [init for init in inits if init != file and (folder / init).is_file()]


def _error(path: str, line: int, found: str, remedy: str) -> CatalogError:
    return CatalogError(f"load {path}", found, remedy, file=f"{path}:{line}")


def _dotted(file: str) -> str:
    return file.removesuffix(".py").replace("/", ".")


class _Texts(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports modules from the text that was read. One serves the whole process.

    Attributes:
        packages: A package of this process → the code whose files are its modules.
    """

    def __init__(self) -> None:
        self.packages: dict[str, Code] = {}

    @staticmethod
    def of_this_process() -> _Texts:
        """The one that Python asks."""
        for finder in sys.meta_path:
            if isinstance(finder, _Texts):
                return finder
        made = _Texts()
        sys.meta_path.append(made)
        return made

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if self._place(fullname) is None:
            return None
        return importlib.util.spec_from_loader(
            fullname, self, origin=self._origin(fullname), is_package=self.is_package(fullname)
        )

    def is_package(self, fullname: str) -> bool:
        place = self._place(fullname)
        return place is not None and not place[1].endswith(".py")

    def get_source(self, fullname: str) -> str:
        found = self._found(fullname)
        return found[1] if found else ""

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.get_source(fullname), self._origin(fullname), "exec", dont_inherit=True)

    def _origin(self, fullname: str) -> str:
        found = self._found(fullname)
        return found[0] if found else f"<{fullname}>"

    def _place(self, fullname: str) -> tuple[Code, str] | None:
        """The code of a module, and its file or folder there."""
        package, _, inside = fullname.partition(".")
        code = self.packages.get(package)
        if code is None:
            return None
        name, files = inside.replace(".", "/"), [file for file, _ in code.texts]
        if f"{name}.py" in files:
            return code, f"{name}.py"
        below = f"{name}/" if name else ""
        return (code, name) if any(file.startswith(below) for file in files) else None

    def _found(self, fullname: str) -> tuple[str, str] | None:
        """The path and the text of a module; None for a folder without ``__init__.py``."""
        place = self._place(fullname)
        if place is None:
            return None
        code, name = place
        file = name if name.endswith(".py") else f"{name}/__init__.py".lstrip("/")
        texts: Mapping[str, str] = dict(code.texts)
        return (f"{code.folder}/{file}", texts[file]) if file in texts else None
