"""scikit-learn's estimators as skops stores them, read by our own lists."""

from __future__ import annotations

import json
from typing import Any

from lakehouse.modelfile.archive import opened
from lakehouse.modelfile.refused import RefusedFile

__all__ = ["TRUSTED_TYPES", "read", "write"]

#: What a model may consist of besides the types that skops itself trusts. Their
#: indices are checked after they are read.
TRUSTED_TYPES = (
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)

#: The kinds of nodes that a fitted estimator needs; not those that call what is named
#: in the file (``MethodNode``, ``OperatorFuncNode``, ``PartialNode``, …).
_NODES = frozenset(
    {
        *("BytearrayNode", "BytesNode", "CachedNode", "DefaultDictNode", "DictNode"),
        *("FunctionNode", "JsonNode", "ListNode", "LossNode", "MaskedArrayNode", "NdArrayNode"),
        *("ObjectNode", "RandomGeneratorNode", "RandomStateNode", "SetNode", "SliceNode"),
        *("SparseMatrixNode", "SGDNode", "TreeNode", "TupleNode", "TypeNode", "DTypeNode"),
    }
)


def write(estimator: Any) -> bytes:
    """A fitted estimator as a skops file."""
    import skops.io

    return bytes(skops.io.dumps(estimator))


def read(data: bytes) -> Any:
    """The estimator of a skops file.

    Raises:
        RefusedFile: It is no such file, or holds other types than ours.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    with opened(data) as members:
        if "schema.json" not in members.namelist():
            raise RefusedFile("it is no model: it holds no schema.json")
        _check_nodes(members.read("schema.json"))
    try:
        return skops.io.loads(data, trusted=list(TRUSTED_TYPES))
    except UntrustedTypesFoundException as error:
        others = sorted(set(skops.io.get_untrusted_types(data=data)) - set(TRUSTED_TYPES))
        raise RefusedFile(f"it holds types that are not allowed: {', '.join(others)}") from error


def _check_nodes(schema: bytes) -> None:
    """Hold each node of a skops schema against the kinds that a fitted estimator needs."""
    from skops.io._protocol import PROTOCOL

    document = json.loads(schema)
    if not isinstance(document, dict) or document.get("protocol") != PROTOCOL:
        raise RefusedFile("its schema is of another version of skops")
    waiting: list[Any] = [document]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            loader = node.get("__loader__")
            # A model's own dictionary may have such a key, whose value is then a node.
            if loader is not None and not isinstance(loader, dict) and loader not in _NODES:
                what = f"{node.get('__module__')}.{node.get('__class__')}"
                raise RefusedFile(f"it holds types that are not allowed: {what} ({loader})")
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
