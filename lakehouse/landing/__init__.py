"""Landed files: which there are, which batch each belongs to, and what is in them.

One reader for every format on every engine. It decides about each record once:
published, or rejected with a reason; nothing is dropped and nothing is guessed.
"""

from lakehouse.landing.listing import Batch, FileSystem, LandedFile, batches, files, takes
from lakehouse.landing.reader import read
from lakehouse.landing.records import REJECTS, Landed, landed_columns

__all__ = [
    "REJECTS",
    "Batch",
    "FileSystem",
    "Landed",
    "LandedFile",
    "batches",
    "files",
    "landed_columns",
    "read",
    "takes",
]
