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
    """Finds records in UTF-8 text; each mark is one character, or none where it may be ``""``."""

    def __init__(
        self, data: bytes, delimiter: str, quote: str, escape: str = "", comment: str = ""
    ) -> None:
        self.data, self.delimiter = data, delimiter
        self.mark, self.quote = delimiter.encode(), quote.encode()
        self.escape, self.comment = escape.encode(), comment.encode()
        plain, inner = _but(self.mark, rb"\r\n"), _but(self.quote, b"")
        char, marks = re.escape(self.quote), [self.mark, self.quote, self.escape]
        if escape:
            plain = _or_escaped(self.mark, rb"\r\n", marks)
            inner = _or_escaped(self.quote, b"", marks)
        self.plain = re.compile(plain)
        self.quoted = re.compile(char + rb"(%b(?:%b%b)*+)" % (inner, char * 2, inner) + char)
        self.escaped = re.compile(re.escape(self.escape) + rb"(%b)" % _any(marks))

    def skip_lines(self, count: int) -> tuple[int, int]:
        """Where the lines after the first ``count`` begin, and how many there were to pass."""
        at = 0
        for passed in range(count):
            if at == len(self.data):
                return at, passed
            at = self._line_end(at)[1]
        return at, count

    def skip_blank(self, at: int) -> tuple[int, int]:
        """The first offset from ``at`` that begins a record, and how many lines were passed."""
        lines = 0
        while at < len(self.data):
            if found := _LINE_END.match(self.data, at):
                at = found.end()
            elif self.comment and self.data.startswith(self.comment, at):
                at = self._line_end(at)[1]
            else:
                break
            lines += 1
        return at, lines

    def record(self, at: int, width: int | None) -> Line:
        """The record that begins at ``at``.

        Args:
            at: The first byte of a line.
            width: How many fields it must have; None where any number will do.
        """
        end, after = self._line_end(at)
        body = self.data[at:end]
        if (self.quote and self.quote in body) or (self.escape and self.escape in body):
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
            if self.quote and self.data.startswith(self.quote, at):
                found = self.quoted.match(self.data, at, end)
                found = found or self.quoted.match(self.data, at, self._window(start))
                if not found:
                    return "unclosed_quote"
                fields.append(self._unescaped(found[1], doubled=True))
                at = found.end()
                if not self._at_border(at):
                    several = _LINE_END.search(self.data, start, at)
                    return "unclosed_quote" if several else "text_after_quote"
            else:
                plain = self.plain.match(self.data, at)
                fields.append(self._unescaped(plain[0], doubled=False) if plain else b"")
                at = plain.end() if plain else at
            if not self.data.startswith(self.mark, at):
                return at, fields
            at += len(self.mark)

    def _unescaped(self, field: bytes, *, doubled: bool) -> bytes:
        if not self.escape or self.escape not in field:
            return field.replace(self.quote * 2, self.quote) if doubled else field
        pair = rb"|" + re.escape(self.quote * 2) if doubled else b""
        pattern = self.escaped.pattern + pair
        return re.sub(pattern, lambda m: m[1] or self.quote, field)

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


def _or_escaped(char: bytes, other: bytes, marks: Sequence[bytes]) -> bytes:
    """A pattern like :func:`_but`'s, which passes over marks that are escaped."""
    escape = re.escape(marks[-1])
    free = rb"(?!%b|%b)%b" % (
        re.escape(char),
        escape,
        rb"[^%b]" % other if other else rb"[\0-\xff]",
    )
    return rb"(?:%b|%b%b|%b)*+" % (free, escape, _any(marks), escape)


def _any(marks: Sequence[bytes]) -> bytes:
    """A pattern for one of some marks, of which one may be empty."""
    return rb"(?:%b)" % b"|".join(re.escape(mark) for mark in marks if mark)


def _ragged(fields: Sequence[object], width: int | None) -> tuple[str, ...]:
    return () if width is None or len(fields) == width else ("ragged_line",)


def _decoded(body: bytes) -> tuple[str, tuple[str, ...]]:
    faults = ("nul_byte",) if b"\0" in body else ()
    try:
        return body.decode(), faults
    except UnicodeDecodeError:
        return body.decode("utf-8", "backslashreplace"), ("bad_encoding", *faults)
