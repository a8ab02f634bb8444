"""Decision trees that were read from a file: no index leads outside, none in a circle.

scikit-learn follows the numbers inside a tree without looking at them, so that a crafted
file would read memory that is not its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lakehouse.modelfile.refused import RefusedFile

__all__ = ["check_trees"]

_TREE = "sklearn.tree._tree.Tree"


def check_trees(estimator: Any) -> None:
    """Check every tree that a restored estimator holds.

    Raises:
        RefusedFile: One of them points outside its nodes, features or categories.
    """
    for one in _parts(estimator):
        width = getattr(one, "n_features_in_", None)
        for predictor in _predictors(one):
            _check_predictor(predictor, int(one.n_features_in_))
        if _kind(one) == _TREE:
            _check_tree(one)
        elif _kind(getattr(one, "tree_", None)) == _TREE:
            _check_width(one.tree_.n_features, width)
        for member in _members(one):
            _check_width(getattr(member, "n_features_in_", 0), width)


def _kind(one: Any) -> str:
    return f"{type(one).__module__}.{type(one).__name__}"


def _predictors(one: Any) -> list[Any]:
    rounds = getattr(one, "_predictors", [])
    return [predictor for made in rounds for predictor in made]


def _members(one: Any) -> list[Any]:
    """The estimators of an ensemble, which hands them its rows unseen."""
    import numpy as np

    if not _kind(one).startswith("sklearn.ensemble.") or not hasattr(one, "estimators_"):
        return []
    return list(np.asarray(one.estimators_, dtype=object).ravel())


def _check_width(needed: Any, given: Any) -> None:
    if given is None or int(needed) > int(given):
        raise RefusedFile("a tree of it points outside its features")


def _parts(root: Any) -> Iterator[Any]:
    """Everything that a restored estimator consists of, each once."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, str | bytes | int | float | type(None)):
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list | tuple | set):
            waiting.extend(one)
        elif getattr(getattr(one, "dtype", None), "hasobject", False):
            waiting.extend(one.ravel())
        else:
            waiting.extend(getattr(one, "__dict__", {}).values())


def _check_predictor(predictor: Any, features: int) -> None:
    import numpy as np

    nodes = predictor.nodes
    if not len(nodes):
        raise RefusedFile("a tree of it has no nodes")
    inner = nodes[nodes["is_leaf"] == 0]
    where = np.flatnonzero(nodes["is_leaf"] == 0)
    for side in ("left", "right"):
        _check_children(inner[side].astype(np.int64), where, len(nodes))
    _check_features(inner["feature_idx"].astype(np.int64), features)
    sets = inner["bitset_idx"][inner["is_categorical"] == 1].astype(np.int64)
    known = (predictor.raw_left_cat_bitsets, predictor.binned_left_cat_bitsets)
    if len(sets) and (
        sets.max() >= min(map(len, known)) or any(one.shape[1:] != (8,) for one in known)
    ):
        raise RefusedFile("a tree of it points outside its categories")


def _check_tree(tree: Any) -> None:
    import numpy as np

    if not tree.node_count:
        raise RefusedFile("a tree of it has no nodes")
    left, right = np.asarray(tree.children_left), np.asarray(tree.children_right)
    where = np.flatnonzero(left != -1)
    for side in (left, right):
        _check_children(side[where], where, int(tree.node_count))
    _check_features(np.asarray(tree.feature)[where], int(tree.n_features))


def _check_children(children: Any, parents: Any, nodes: int) -> None:
    """Children stand behind their parent: inside the tree, and never in a circle."""
    if len(children) and bool(((children <= parents) | (children >= nodes)).any()):
        raise RefusedFile("a tree of it points outside its nodes")


def _check_features(features: Any, count: int) -> None:
    if len(features) and (int(features.min()) < 0 or int(features.max()) >= count):
        raise RefusedFile("a tree of it points outside its features")
