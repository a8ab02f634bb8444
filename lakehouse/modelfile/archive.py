"""The archive that a stored model is: opened only when its members are plain."""

from __future__ import annotations

import io
import stat
import zipfile

from lakehouse.modelfile.refused import RefusedFile

__all__ = ["MAX_BYTES", "opened"]

#: The largest file that is read, in bytes.
MAX_BYTES = 512 * 1024**2

_MAX_MEMBERS = 50_000


def opened(data: bytes) -> zipfile.ZipFile:
    """The archive, when its members are plain: stored, apart, below it, each once.

    Raises:
        RefusedFile: They are not.
    """
    if len(data) > MAX_BYTES:
        raise RefusedFile(f"it has {len(data):,} bytes; at most {MAX_BYTES:,} are read")
    if not data.startswith((b"PK\3\4", b"PK\5\6")):
        raise RefusedFile("it is no model: it does not begin as an archive")
    archive = zipfile.ZipFile(io.BytesIO(data))
    names = archive.namelist()
    if len(names) > _MAX_MEMBERS:
        raise RefusedFile(f"it has {len(names):,} members; at most {_MAX_MEMBERS:,} are read")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise RefusedFile(f"its member {twice!r} occurs twice")
    for member in archive.infolist():
        _check_member(member)
    if sum(member.file_size for member in archive.infolist()) > len(data):
        raise RefusedFile("its members overlap")
    return archive


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.filename
    if "/" in name or "\\" in name or ":" in name or name.startswith("."):
        raise RefusedFile(f"its member {name!r} leaves the archive")
    if member.compress_type != zipfile.ZIP_STORED:
        raise RefusedFile(f"its member {name!r} is compressed, which we never do")
    if member.flag_bits & 0x1:
        raise RefusedFile(f"its member {name!r} is encrypted")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise RefusedFile(f"its member {name!r} is no plain file")
