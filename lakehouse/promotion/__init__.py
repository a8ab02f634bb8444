"""Which version of a model is champion: moved with a reason, told to the ledger, undone.

The alias in the registry is the truth. Before it moves, the reason is signed and put on
the version; after it has moved, the ledger gets the same row. So who dies in between
leaves either nothing moved, or a reason that the ledger lacks: it is read from there,
and the next move writes it down.
"""

from __future__ import annotations

from lakehouse.promotion.history import (
    Kind,
    attempts,
    former_champions,
    history,
    judged,
    judged_until,
    window_of,
)
from lakehouse.promotion.moving import Moved, PromotionLost, move, promote, rollback

__all__ = [
    "Kind",
    "Moved",
    "PromotionLost",
    "attempts",
    "former_champions",
    "history",
    "judged",
    "judged_until",
    "move",
    "promote",
    "rollback",
    "window_of",
]
