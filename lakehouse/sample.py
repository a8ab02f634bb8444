"""Land a domain's sample: its ``sample.py`` yields files as a supplier would deliver them."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from lakehouse.errors import CatalogError, StorageError, cause
from lakehouse.storage import Storage

__all__ = ["Delivery", "deliveries", "land", "put"]


class Delivery(Protocol):
    """One file: its path below the domain's landing folder, its bytes, its month."""

    @property
    def path(self) -> str:
        """Where it lands."""
        ...

    @property
    def content(self) -> bytes:
        """What it holds."""
        ...

    @property
    def month(self) -> str | None:
        """The month it is of; None for a dimension."""
        ...


def deliveries(folder: Path) -> Iterable[Delivery]:
    """The sample of a domain.

    Raises:
        CatalogError: The domain has no ``sample.py``.
    """
    file = folder / "sample.py"
    spec = importlib.util.spec_from_file_location(f"{folder.name}_sample", file)
    if not file.exists() or spec is None or spec.loader is None:
        raise CatalogError(
            f"land the sample of {folder.name}",
            f"there is no {file}",
            "write one with deliveries(), or put files into the landing zone yourself",
        )
    module = importlib.util.module_from_spec(spec)
    import sys

    # Dataclasses look their module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found: Iterable[Delivery] = module.deliveries()
    return found


def land(
    storage: Storage,
    files: Iterable[Delivery],
    *,
    months: Sequence[str] = (),
    on_file: Callable[[str], None] = lambda path: None,
) -> int:
    """Put files into the landing zone; those already there with the same bytes stay as they are.

    Args:
        storage: The domain's landing zone.
        files: The sample.
        months: Only these months (``2013-01``) and the dimensions; all when empty.
        on_file: Told each path.

    Returns:
        How many files were written.
    """
    written = 0
    for one in files:
        if months and one.month is not None and one.month not in months:
            continue
        on_file(one.path)
        written += put(storage, one.path, one.content)
    return written


def put(storage: Storage, path: str, content: bytes) -> bool:
    """Put one file into the landing zone, unless it is there with the same bytes.

    Returns:
        Whether it was written.

    Raises:
        StorageError: It could not be written; nothing of it is left.
    """
    filesystem, full = storage.fsspec(), f"{storage.root}/{path}"
    if filesystem.exists(full) and filesystem.cat_file(full) == content:
        return False
    # Written under a name that nobody reads, then moved: a killed landing leaves no half file.
    part = f"{full}.part"
    try:
        filesystem.makedirs(full.rsplit("/", 1)[0], exist_ok=True)
        filesystem.pipe_file(part, content)
        filesystem.mv(part, full)
    except BaseException as error:
        # What is left of it would fill a full disk for good.
        with contextlib.suppress(Exception):
            filesystem.rm_file(part)
        if isinstance(error, OSError):
            raise StorageError(
                f"land {path} in {storage.uri}",
                cause(error),
                f"make room for its {len(content):,} bytes and let this user write there, or name "
                "another place (LAKE_LANDING); then land again: what is there already stays",
            ) from error
        raise
    return True
