"""Which files have landed, and the batches they form."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lakehouse.contract import Source, digest
from lakehouse.errors import StorageError

__all__ = [
    "Batch",
    "FileSystem",
    "LandedFile",
    "batches",
    "describe",
    "files",
    "full_path",
    "takes",
    "unavailable",
]

_UNFINISHED = (".tmp", ".part", ".crc")
_GLOB = re.compile(r"[*?\[]")


class FileSystem(Protocol):
    """What is used of an ``fsspec`` filesystem (``s3fs.S3FileSystem``, ``LocalFileSystem``)."""

    def find(self, path: str, *, detail: bool) -> Any:
        """Every file below ``path``: full path → details."""

    def info(self, path: str) -> Any:
        """The details of one file."""

    def cat_file(self, path: str) -> bytes:
        """The bytes of one file."""

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget remembered listings."""


@dataclass(frozen=True)
class LandedFile:
    """One landed file, as it was when it was listed.

    Attributes:
        path: Relative to the landing root, with ``/``.
        size: Bytes as stored.
        etag: Changes when the content does: the store's, or modification time and size.
        modified: When the store says it was written (UTC, µs).
        unfit: Why it is refused without being read.
    """

    path: str
    size: int
    etag: str
    modified: dt.datetime
    unfit: str | None = None


@dataclass(frozen=True)
class Batch:
    """The files that are read into bronze together: a build target.

    Attributes:
        id: Ten hex digits of ``label``: the batch's name in directories and rows.
        label: The file's path, or the day or hour (UTC) in which the files landed.
        files: Sorted by path; at least one.
        inputs: Ten hex digits that change when a file is added, removed or replaced.
    """

    id: str
    label: str
    files: tuple[LandedFile, ...]
    inputs: str


def files(fs: FileSystem, root: str, source: Source) -> list[LandedFile]:
    """The files of a source, sorted by path; always a fresh listing.

    Hidden and unfinished files are passed over: a name in the path that begins
    with ``.`` or ``_``, or a file that ends with ``.tmp``, ``.part`` or ``.crc``.

    Args:
        fs: The filesystem of the landing area.
        root: The landing area's path in that filesystem.
        source: Its ``path`` is a pattern below ``root``: ``*`` and ``?`` stay
            within one folder, ``**`` goes through any number of them.

    Raises:
        StorageError: The landing area cannot be listed.
    """
    fixed = list(itertools.takewhile(lambda n: not _GLOB.search(n), source.path.split("/")[:-1]))
    pattern = _pattern(source.path)
    fs.invalidate_cache()
    try:
        listed = fs.find(full_path(root, "/".join(fixed)), detail=True)
    except FileNotFoundError:
        return []
    except Exception as error:
        raise unavailable(f"list the landed files {source.path}", error) from error
    base = _bare(root) + "/"
    found = []
    for name, info in listed.items():
        path = _bare(name).removeprefix(base)
        if _is_file(info) and _is_whole(name) and pattern.fullmatch(path):
            found.append(describe(path, info))
    return sorted(found, key=lambda f: f.path)


def takes(source: Source, path: str) -> bool:
    """Whether a file with this path below the landing root would be one of the source's."""
    return _is_whole(path) and bool(_pattern(source.path).fullmatch(path))


def batches(files: Iterable[LandedFile], source: Source) -> list[Batch]:
    """The batches that a source's files form, sorted by label."""
    groups: dict[str, list[LandedFile]] = {}
    for file in files:
        groups.setdefault(_label(file, source), []).append(file)
    return [_batch(label, group) for label, group in sorted(groups.items())]


def full_path(root: str, path: str) -> str:
    """A landed file's path in its filesystem."""
    return f"{root.rstrip('/')}/{path}".rstrip("/") or "/"


def describe(path: str, info: Mapping[str, Any]) -> LandedFile:
    """A listed file from what its filesystem tells about it."""
    size, shown = int(info["size"]), path.encode(errors="backslashreplace").decode()
    unfit = None if shown == path else "the file's name is no UTF-8: rename it"
    etag = str(info.get("ETag") or info.get("etag") or "").strip('"')
    if "mtime" in info and "ino" in info:
        nanoseconds = _nanoseconds(info)
        modified = _from_ns(nanoseconds)
        etag = etag or f"{nanoseconds}-{size}"
    else:
        modified = _moment(
            info.get("LastModified") or info.get("mtime") or info.get("created") or 0.0
        )
    return LandedFile(shown, size, etag or f"{modified.isoformat()}-{size}", modified, unfit)


def unavailable(asked: str, error: Exception) -> StorageError:
    """The error of a store that does not answer; each client library has its own kinds."""
    remedy = "see that the landing area is there and may be read (lake doctor), then plan again"
    return StorageError(asked, f"{type(error).__name__}: {error}", remedy)


def _batch(label: str, group: list[LandedFile]) -> Batch:
    group = sorted(group, key=lambda f: f.path)
    inputs = digest([[f.path, f.size, f.etag] for f in group])
    return Batch(digest(label), label, tuple(group), inputs)


def _label(file: LandedFile, source: Source) -> str:
    match source.batch:
        case "day":
            return file.modified.strftime("%Y-%m-%d")
        case "hour":
            return file.modified.strftime("%Y-%m-%dT%H")
        case _:
            return file.path


def _is_file(info: Mapping[str, Any]) -> bool:
    linked = bool(info.get("islink")) and Path(info["name"]).is_file()
    return linked or info["type"] == "file"


def _is_whole(name: str) -> bool:
    return not name.endswith(("/", *_UNFINISHED))


def _nanoseconds(info: Mapping[str, Any]) -> int:
    """A local file's modification time; fsspec's float cannot hold nanoseconds."""
    try:
        return Path(info["name"]).stat().st_mtime_ns
    except FileNotFoundError:
        return int(info["mtime"] * 1_000_000) * 1000


def _bare(path: str) -> str:
    return re.sub(r"^[a-z0-9]+://", "", path).rstrip("/")


def _from_ns(nanoseconds: int) -> dt.datetime:
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return epoch + dt.timedelta(microseconds=nanoseconds // 1000)


def _moment(value: dt.datetime | float) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return (value if value.tzinfo else value.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    return _from_ns(int(value * 1_000_000) * 1000)


def _pattern(glob: str) -> re.Pattern[str]:
    """A pattern for paths; a name that begins with ``.`` or ``_`` must be written."""
    names = glob.split("/") + (["*"] if glob.endswith("**") else [])
    parts = []
    for name in names:
        shown = "" if name[:1] in {".", "_"} else r"(?![._])"
        parts.append(rf"(?:{shown}[^/]+/)*" if name == "**" else shown + _name(name) + "/")
    return re.compile("".join(parts).removesuffix("/"))


def _name(glob: str) -> str:
    text, i = "", 0
    while i < len(glob):
        end = glob.find("]", i + 2) if glob[i] == "[" else -1
        if end > 0:
            inner = glob[i + 1 : end].replace("\\", r"\\").replace("[", r"\[")
            text += "[" + re.sub("^!", "^", inner) + "]"
            i = end
        else:
            text += {"*": "[^/]*", "?": "[^/]"}.get(glob[i]) or re.escape(glob[i])
        i += 1
    return text
