"""The corpus of bad input: each file with its verdict.

The reader is held to it alone (``unit/test_landing.py``), and whole builds are
(``integration/test_bad_input.py``).
"""

from __future__ import annotations

from corpus import delimited, documents, jsonlines, parquet
from corpus.case import TYPED, Case, contract, good

__all__ = ["CASES", "Case", "arguments", "contract", "good"]

#: (format, name) → case.
CASES: dict[tuple[str, str], Case] = {
    (kind, name): case
    for kind, module in (
        ("csv", delimited),
        ("jsonl", jsonlines),
        ("json", documents),
        ("parquet", parquet),
    )
    for name, case in module.CASES.items()
}


def arguments(kind: str, case: Case) -> dict[str, object]:
    """The arguments of :func:`contract` and :func:`good` for a case."""
    typed = {"columns": TYPED} if kind == "parquet" else {}
    return {"kind": kind, **typed, **case.declared}
