"""The Python file beside a model declaration: what it means, and how it is run.

The file is found by its path, never through ``sys.path``, so that two domains
may each have a ``late_arrival.py``.
"""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from lakehouse.code import meaning
from lakehouse.contract import digest
from lakehouse.errors import ModelError
from lakehouse.strictyaml import did_you_mean

__all__ = ["Classifier", "Code", "make_installed"]


class Classifier(Protocol):
    """What training needs of an estimator: scikit-learn's names for a binary classifier."""

    def fit(self, x: Any, y: Any, /) -> Any:
        """Learn from features and labels."""

    def predict_proba(self, x: Any, /) -> Any:
        """Probabilities of the two classes; shape (rows, 2)."""


@dataclass(frozen=True)
class Code:
    """One Python file, read once: what is hashed is what runs."""

    path: Path
    source: str

    @classmethod
    def read(cls, path: Path, *, declared_in: Path) -> Code:
        """Read the file, without running it.

        Raises:
            ModelError: There is no such file, or it is not Python.
        """
        asked = f"read the estimators of {declared_in}"
        try:
            code = cls(path, path.read_text(encoding="utf-8"))
            code.functions()
        except OSError as error:
            there = sorted(p.stem for p in path.parent.glob("*.py"))
            remedy = did_you_mean(path.stem, there) if there else f"write {path}"
            raise ModelError(asked, f"no file {path.name}", remedy, file=str(path)) from error
        except SyntaxError as error:
            where = f"{path}:{error.lineno or 1}"
            raise ModelError(asked, f"not Python: {error.msg}", "mend it", file=where) from error
        return code

    @property
    def id(self) -> str:
        """Ten hex digits that comments, docstrings and white space do not change."""
        return digest(meaning(ast.parse(self.source)))

    def functions(self) -> set[str]:
        """The functions and classes that the file defines at its top level."""
        kinds = (ast.FunctionDef, ast.ClassDef)
        return {node.name for node in ast.parse(self.source).body if isinstance(node, kinds)}

    def make(self, function: str, params: Mapping[str, Any]) -> Classifier:
        """Run the file and let its function make an unfitted estimator.

        Raises:
            ModelError: The file or the function failed, or made no classifier.
        """
        asked = f"make an estimator by {self.path.stem}:{function}"
        try:
            made = getattr(self._module(), function)(dict(params))
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
            raise ModelError(asked, found, "mend the function", file=str(self.path)) from error
        return _classifier(made, asked, self.path)

    def _module(self) -> ModuleType:
        name = f"lakehouse_model_{self.path.stem}"
        spec = importlib.util.spec_from_loader(name, _Source(self))
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def make_installed(entry: str, params: Mapping[str, Any], *, declared_in: Path) -> Classifier:
    """An unfitted estimator by a class of an installed package, ``xgboost:XGBClassifier``.

    Raises:
        ModelError: The package has no such class, it took other parameters, or it makes no
            classifier.
    """
    module, _, name = entry.partition(":")
    asked = f"make an estimator by {entry}"
    try:
        made = getattr(importlib.import_module(module), name)(**params)
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
        remedy = "correct the entry or its params"
        raise ModelError(asked, found, remedy, file=str(declared_in)) from error
    return _classifier(made, asked, declared_in)


def _classifier(made: Any, asked: str, file: Path) -> Classifier:
    if not (callable(getattr(made, "fit", None)) and hasattr(made, "predict_proba")):
        found = f"{type(made).__name__} has no fit or no predict_proba"
        remedy = "return a scikit-learn classifier that gives probabilities"
        raise ModelError(asked, found, remedy, file=str(file))
    classifier: Classifier = made
    return classifier


class _Source(importlib.abc.SourceLoader):
    """Loads the text that was read: no byte code is cached beside the declaration."""

    def __init__(self, code: Code) -> None:
        self.code = code

    def get_filename(self, fullname: str) -> str:
        return str(self.code.path)

    def get_data(self, path: str | bytes) -> bytes:
        return self.code.source.encode()
