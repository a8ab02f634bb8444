"""Stored bytes → UTF-8 text: decompression and encodings."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from dataclasses import dataclass

import pyarrow as pa

from lakehouse.contract import Source
from lakehouse.errors import ContractError
from lakehouse.landing.records import RAW_LENGTH, RefusedError, too_large

__all__ = ["Text", "text", "unpack"]

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_STEP = 1 << 20
_FOREIGN = {
    _GZIP: "gzip data",
    _ZSTD: "zstd data",
    b"PK\x03\x04": "a ZIP archive",
    b"BZh91AY&SY": "bzip2 data",
    b"\xfd7zXZ\0": "xz data",
    b"PAR1\x15": "a Parquet file",
}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARKED = re.compile("[\udc00-\udcff]")


@dataclass(frozen=True)
class Text:
    """A file as UTF-8 bytes, in which bytes that were no text are still invalid.

    Attributes:
        data: Without a byte order mark.
        transcoded: Invalid bytes are stored as surrogates, U+DC00 + byte.
    """

    data: bytes
    transcoded: bool = False

    def show(self, part: bytes) -> str:
        r"""A record's raw text: NUL and bytes that are no text as ``\xNN``, cut at RAW_LENGTH."""
        end = 4 * RAW_LENGTH
        if self.transcoded:
            while part[end : end + 1] and part[end] & 0xC0 == 0x80:
                end -= 1
            marked = part[:end].decode("utf-8", "surrogatepass")
            shown = _MARKED.sub(lambda m: f"\\x{ord(m[0]) - 0xDC00:02x}", marked)
        else:
            shown = part[:end].decode("utf-8", "backslashreplace")
        return shown.replace("\0", "\\x00")[:RAW_LENGTH]


def unpack(data: bytes, source: Source, limit: int) -> bytes:
    """Decompress, by the magic bytes or as declared.

    Raises:
        RefusedError: Truncated, damaged, not so compressed, or larger than ``limit`` bytes.
    """
    declared = source.compression
    found = _kind(data)
    kind = found if declared == "auto" else declared
    if not data or kind == "none":
        return data
    if kind != found:
        raise RefusedError("broken_archive", f"the contract says {kind}, the file is not")
    try:
        if kind == "gzip":
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
                return _all(stream, limit)
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            return _all(stream, limit)
    except (EOFError, OSError, zlib.error, pa.ArrowException) as error:
        raise RefusedError(
            "broken_archive", f"the {kind} data is cut off or damaged: {error}"
        ) from None


def text(data: bytes, encoding: str) -> Text:
    """The text as UTF-8. A byte order mark decides where the declared encoding is UTF-8.

    Raises:
        ContractError: Python knows no such encoding.
        RefusedError: No text, or not in that encoding, which cannot tell the wrong bytes.
    """
    for magic, what in _FOREIGN.items():
        if data.startswith(magic):
            raise RefusedError("wrong_format", f"{what}, not text")
    try:
        name = codecs.lookup(encoding).name
        b" ".decode(encoding, "replace")
    except LookupError:
        raise ContractError(
            f"read files encoded as {encoding!r}",
            "no such encoding is known",
            "correct 'encoding' under 'source' in the contract; for example utf-8, latin-1, utf-16",
        ) from None
    for mark, marked in _MARKS:
        if data.startswith(mark) and (name in {"utf-8", "utf-8-sig"} or marked.startswith(name)):
            data, name = data[len(mark) :], marked
            break
    if name in {"utf-8", "utf-8-sig"}:
        return Text(data)
    try:
        decoded = data.decode(name, _MARKING).removeprefix("\ufeff")
    except UnicodeError as error:
        raise RefusedError("bad_encoding", f"the file is not {name}: {error}") from None
    return Text(decoded.encode("utf-8", "surrogatepass"), transcoded=True)


def _kind(data: bytes) -> str:
    # Some zstd writers put a frame of their own first, which readers pass over.
    if data.startswith(_ZSTD) or (data[1:4] == b"\x2a\x4d\x18" and data[0] >> 4 == 5):
        return "zstd"
    return "gzip" if data.startswith(_GZIP) else "none"


def _all(stream: gzip.GzipFile | pa.NativeFile, limit: int) -> bytes:
    parts, size = [], 0
    while part := stream.read(_STEP):
        size += len(part)
        if size > limit:
            raise too_large(f"{size:,} bytes or more when decompressed", limit)
        parts.append(part)
    return b"".join(parts)


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(chr(0xDC00 + byte) for byte in bad), error.end


_MARKING = "lakehouse.landing.mark"
codecs.register_error(_MARKING, _mark)
