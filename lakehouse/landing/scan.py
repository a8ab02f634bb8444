"""Records of delimited text, one after the other, however damaged the text is.

Physical lines come first: a quote that is never closed, or whose closing makes a
record of the wrong width, costs the line on which it opened and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["MAX_LINES", "Line", "Scanner"]

#: The most physical lines of one record; a quote open for longer was never closed.
MAX_LINES = 100

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True)
class Line:
    """One record as it stands in the text.

    Attributes:
        end: Where the next record begins.
        lines: Physical lines, at least 1.
        fields: Without quotes; of no use where there are faults.
        faults: The rules it breaks.
    """

    end: int
    lines: int
    fields: Sequence[str]
    faults: tuple[str, ...] = ()


class Scanner:
    """Finds records in UTF-8 text with one delimiter and one quote character (or none)."""

    def __init__(self, data: bytes, delimiter: str, quote: str) -> None:
        self.data, self.delimiter = data, delimiter
        self.mark, self.quote = delimiter.encode(), quote.encode()
        self.plain = re.compile(_but(self.mark, rb"\r\n"))
        char, inner = re.escape(self.quote), _but(self.quote, b"")
        self.quoted = re.compile(char + rb"(%b(?:%b%b)*+)" % (inner, char * 2, inner) + char)

    def skip_blank(self, at: int) -> tuple[int, int]:
        """The first offset from ``at`` that begins no blank line, and how many were passed."""
        lines = 0
        while at < len(self.data) and (found := _LINE_END.match(self.data, at)):
            at, lines = found.end(), lines + 1
        return at, lines

    def record(self, at: int, width: int | None) -> Line:
        """The record that begins at ``at``.

        Args:
            at: The first byte of a line.
            width: How many fields it must have; None where any number will do.
        """
        end, after = self._line_end(at)
        body = self.data[at:end]
        if self.quote and self.quote in body:
            return self._quoted_record(at, end, after, width)
        text, faults = _decoded(body)
        fields = text.split(self.delimiter)
        return Line(after, 1, fields, faults + _ragged(fields, width))

    def _quoted_record(self, at: int, end: int, after: int, width: int | None) -> Line:
        scanned = self._fields(at, end)
        if not isinstance(scanned, str) and scanned[0] > end and _ragged(scanned[1], width):
            scanned = "unclosed_quote"
        if isinstance(scanned, str):
            return Line(after, 1, (), (*_decoded(self.data[at:end])[1], scanned))
        stop, fields = scanned
        body = self.data[at:stop]
        faults = _decoded(body)[1] + _ragged(fields, width)
        texts = () if faults else [field.decode() for field in fields]
        return Line(self._line_end(stop)[1], 1 + len(_LINE_END.findall(body)), texts, faults)

    def _fields(self, start: int, end: int) -> tuple[int, list[bytes]] | str:
        """Where the record ends and its fields, or the rule it breaks."""
        at, fields = start, []
        while True:
            if self.data.startswith(self.quote, at):
                found = self.quoted.match(self.data, at, end)
                found = found or self.quoted.match(self.data, at, self._window(start))
                if not found:
                    return "unclosed_quote"
                fields.append(found[1].replace(self.quote * 2, self.quote))
                at = found.end()
                if not self._at_border(at):
                    several = _LINE_END.search(self.data, start, at)
                    return "unclosed_quote" if several else "text_after_quote"
            else:
                plain = self.plain.match(self.data, at)
                fields.append(plain[0] if plain else b"")
                at += len(fields[-1])
            if not self.data.startswith(self.mark, at):
                return at, fields
            at += len(self.mark)

    def _at_border(self, at: int) -> bool:
        if at == len(self.data) or self.data[at] in b"\r\n":
            return True
        return self.data.startswith(self.mark, at)

    def _window(self, at: int) -> int:
        for _ in range(MAX_LINES):
            at = self._line_end(at)[1]
        return at

    def _line_end(self, at: int) -> tuple[int, int]:
        found = _LINE_END.search(self.data, at)
        return found.span() if found else (len(self.data), len(self.data))


def _but(char: bytes, other: bytes) -> bytes:
    """A pattern for as many bytes as there are before ``char`` or one of ``other``."""
    mark = re.escape(char)
    if len(char) == 1:
        return rb"[^%b%b]*+" % (mark, other)
    return rb"(?:(?!%b)%b)*+" % (mark, rb"[^%b]" % other if other else rb"[\0-\xff]")


def _ragged(fields: Sequence[object], width: int | None) -> tuple[str, ...]:
    return () if width is None or len(fields) == width else ("ragged_line",)


def _decoded(body: bytes) -> tuple[str, tuple[str, ...]]:
    faults = ("nul_byte",) if b"\0" in body else ()
    try:
        return body.decode(), faults
    except UnicodeDecodeError:
        return body.decode("utf-8", "backslashreplace"), ("bad_encoding", *faults)
