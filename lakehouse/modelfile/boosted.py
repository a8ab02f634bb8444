"""XGBoost's classifiers: UBJSON, beside the skops file of the steps before it in a pipeline."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from lakehouse.modelfile import scikit
from lakehouse.modelfile.archive import opened
from lakehouse.modelfile.refused import RefusedFile

__all__ = ["is_boosted", "read", "write"]

_BOOSTERS = ("XGBClassifier", "XGBRFClassifier")

#: What UBJSON does not hold and a prediction needs.
_SAFE_PARAMETERS = ("enable_categorical", "n_jobs", "missing")


def is_boosted(estimator: Any) -> bool:
    """Whether this is one of XGBoost's classifiers, or a pipeline that ends in one."""
    steps = getattr(estimator, "steps", None)
    return _is_booster(steps[-1][1] if steps else estimator)


def _is_booster(estimator: Any) -> bool:
    kind = type(estimator)
    return kind.__module__ == "xgboost.sklearn" and kind.__name__ in _BOOSTERS


def write(estimator: Any) -> bytes:
    """A fitted classifier, or a pipeline that ends in one, as an archive."""
    from sklearn.pipeline import Pipeline

    steps = list(getattr(estimator, "steps", []))
    last = steps[-1][1] if steps else estimator
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "booster.ubj"
        last.save_model(file)
        booster = file.read_bytes()
    known = last.get_params()
    told = {
        "class": type(last).__name__,
        "step": steps[-1][0] if steps else None,
        # Not in UBJSON; NaN, the usual one, is what the constructor takes.
        "parameters": {k: known[k] for k in _SAFE_PARAMETERS if _plain(known.get(k))},
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("model.json", json.dumps(told))
        archive.writestr("booster.ubj", booster)
        if len(steps) > 1:
            archive.writestr("before.skops", scikit.write(Pipeline(steps[:-1])))
    return made.getvalue()


def _plain(value: Any) -> bool:
    # NaN is not equal to itself.
    return isinstance(value, bool | int | float) and value == value  # noqa: PLR0124


def read(data: bytes) -> Any:
    """The classifier or pipeline of an archive.

    Raises:
        RefusedFile: It is no such archive, or holds other types than ours.
    """
    with opened(data) as archive:
        if not {"model.json", "booster.ubj"} <= set(archive.namelist()):
            raise RefusedFile("it is no model: it holds no booster")
        told = json.loads(archive.read("model.json"))
        booster = archive.read("booster.ubj")
        before = archive.read("before.skops") if "before.skops" in archive.namelist() else None
    if told["class"] not in _BOOSTERS:
        raise RefusedFile(f"it holds types that are not allowed: {told['class']}")
    parameters = told["parameters"]
    if not all(k in _SAFE_PARAMETERS and _plain(v) for k, v in parameters.items()):
        raise RefusedFile(f"it sets parameters that are not allowed: {', '.join(parameters)}")
    # UBJSON begins as an object; XGBoost would also take its older forms.
    if not booster.startswith(b"{"):
        raise RefusedFile("its booster is not UBJSON")
    import xgboost

    last = getattr(xgboost, told["class"])(**parameters)
    last.load_model(bytearray(booster))
    if told["step"] is None:
        return last
    from sklearn.pipeline import Pipeline

    steps = scikit.read(before).steps if before is not None else []
    return Pipeline([*steps, (str(told["step"]), last)])
