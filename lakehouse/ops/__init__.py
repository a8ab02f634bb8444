"""The ``ops`` tables: what the system knows about itself, as rows, schemas and appends.

Each is a Delta table below ``<URI>/ops/``, of which each run appends rows in one commit. Losing
them loses explanations, never correctness.
"""

from __future__ import annotations

from lakehouse.ops.rows import (
    ROWS,
    AuditRow,
    BuildRow,
    DecisionRow,
    DriftRow,
    MonitorRow,
    PerformanceRow,
    PredictionRow,
    PromotionRow,
    RunRow,
)
from lakehouse.ops.tables import append, read, schema_of, types_of

__all__ = [
    "ROWS",
    "AuditRow",
    "BuildRow",
    "DecisionRow",
    "DriftRow",
    "MonitorRow",
    "PerformanceRow",
    "PredictionRow",
    "PromotionRow",
    "RunRow",
    "append",
    "read",
    "schema_of",
    "types_of",
]
