"""The files that models are stored as: written, checked and read back without running code.

scikit-learn's own estimators are stored by skops; one of XGBoost, alone or as the
last step of a pipeline, as UBJSON beside the skops file of the steps before it.
What a file says about itself decides nothing: its members, the kinds of its nodes
and their types are held against lists that stand here, and the indices inside
decision trees are checked, which scikit-learn follows without looking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lakehouse.errors import ModelError, UntrustedModelError
from lakehouse.modelfile import boosted, scikit
from lakehouse.modelfile.archive import MAX_BYTES
from lakehouse.modelfile.refused import RefusedFile
from lakehouse.modelfile.scikit import TRUSTED_TYPES
from lakehouse.modelfile.trees import check_trees

__all__ = ["MAX_BYTES", "NAMES", "TRUSTED_TYPES", "Stored", "restore", "serialise"]

_SKOPS, _BOOSTED = "model.skops", "model.boosted"

#: The file names that a stored model may have.
NAMES = (_SKOPS, _BOOSTED)


@dataclass(frozen=True)
class Stored:
    """A model as it is stored.

    Attributes:
        file: The file's name, one of :data:`NAMES`.
        data: Its bytes.
    """

    file: str
    data: bytes

    def __repr__(self) -> str:
        return f"Stored({self.file!r}, {len(self.data):,} bytes)"


def serialise(estimator: Any) -> Stored:
    """A fitted estimator in a form that holds no code.

    Raises:
        UntrustedModelError: It holds types that would not be read again.
    """
    asked = "store the model"
    remedy = "build the estimator of scikit-learn's own classes, or of XGBoost's"
    try:
        if boosted.is_boosted(estimator):
            stored = Stored(_BOOSTED, boosted.write(estimator))
        else:
            stored = Stored(_SKOPS, scikit.write(estimator))
    except Exception as error:
        raise UntrustedModelError(asked, f"skops cannot store it: {error}", remedy) from error
    restore(stored, asked, remedy)
    return stored


def restore(stored: Stored, asked: str = "load the model", remedy: str = "train again") -> Any:
    """The fitted estimator of a stored model.

    Args:
        stored: The file.
        asked: What for, in the words of the error.
        remedy: Of the error.

    Raises:
        UntrustedModelError: The file is not such a file, or holds other types than ours.
        ModelError: The package that it needs is not installed.
    """
    reader = boosted if stored.file == _BOOSTED else scikit
    try:
        estimator = reader.read(stored.data)
        check_trees(estimator)
    except RefusedFile as refused:
        raise UntrustedModelError(asked, str(refused), remedy) from refused
    except ImportError as error:
        raise ModelError(asked, str(error), "install the package that it names") from error
    except Exception as error:
        found = f"{stored.file} cannot be read: {type(error).__name__}: {error}"[:400]
        raise UntrustedModelError(asked, found, remedy) from error
    return estimator
