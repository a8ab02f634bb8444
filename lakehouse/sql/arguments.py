"""Arguments of functions that engines read differently: patterns, formats, positions, zones."""

from __future__ import annotations

import functools
import re
import zoneinfo
from collections.abc import Callable, Iterator

from sqlglot import exp

from lakehouse.sql import regex
from lakehouse.sql.problem import Problem, number

__all__ = ["RULES"]

_FORMATS = frozenset(["%Y", "%m", "%d", "%H", "%M", "%S", "%%", "%-"])


def _pattern(node: exp.Expr) -> Iterator[Problem]:
    pattern = node.expression
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        yield node, "regex", "a pattern that is no literal", "write the pattern as '…'"
    elif found := regex.problem(pattern.name):
        message = f"the pattern {pattern.name!r}: {found}"
        yield node, "regex", message, "write plain classes such as [A-Za-z0-9_]"


def _regexp_replace(node: exp.RegexpReplace) -> Iterator[Problem]:
    flags = node.args.get("modifiers")
    if flags is None or flags.name != "g":
        message = "regexp_replace without 'g': the first match here, every match there"
        yield node, "regex", message, "add 'g' as the last argument"
    by = node.args.get("replacement")
    if not isinstance(by, exp.Literal) or re.search(r"[\\$]", by.name):
        message = "a replacement with \\ or $: groups are written differently"
        yield node, "regex", message, "take groups with regexp_extract(s, '…', 1)"
    pattern = node.expression.name
    if not regex.problem(pattern) and regex.matches_nothing(pattern):
        message = f"{pattern!r} matches an empty text too, which is replaced in other places"
        yield node, "regex", message, "let it match a character: + for *"


def _like(node: exp.Expr) -> Iterator[Problem]:
    if not isinstance(node.expression, exp.Literal) or "\\" in node.expression.name:
        message = "LIKE with a computed pattern or a \\"
        yield node, "regex", message, "write contains, starts_with or regexp_matches"


def _format(node: exp.Expr) -> Iterator[Problem]:
    form = node.args.get("format")
    if not isinstance(form, exp.Literal):
        yield node, "time-format", "a format that is no literal", "write it as '…'"
        return
    for code in re.findall(r"%.", form.name):
        if code not in _FORMATS:
            message = f"{code} in a time format"
            yield node, "time-format", message, "use %Y %m %d %H %M %S only"


def _parsed_text(node: exp.StrToTime) -> Iterator[Problem]:
    of = node.this.unnest()
    of = of.this if isinstance(of, exp.Nullif) else of
    whole = isinstance(of, exp.RegexpExtract) and re.fullmatch(r"\^.*\$", of.expression.name)
    if not whole and not isinstance(of, exp.Literal | exp.TimeToStr | exp.Cast):
        message = "strptime of any text: one engine passes over spaces and short years"
        remedy = "write strptime(nullif(regexp_extract(s, '^…$'), ''), '…')"
        yield node, "text-cast", message, remedy


def _start(node: exp.Substring) -> Iterator[Problem]:
    start, length = node.args.get("start"), node.args.get("length")
    if start is not None and not _at_least(start, 1) and (number(start) or 0) >= 0:
        message = "substr from 0: before the first character here, the first there"
        yield node, "position", message, f"write greatest({start.sql('duckdb')}, 1)"
    if length is not None and not _at_least(length, 0):
        yield node, "position", _NEGATIVE, f"write greatest({length.sql('duckdb')}, 0)"


def _side(node: exp.Left | exp.Right) -> Iterator[Problem]:
    size = node.expression
    if not _at_least(size, 0):
        yield node, "position", _NEGATIVE, f"write greatest({size.sql('duckdb')}, 0)"


_NEGATIVE = "a length that may be negative: counted from the other end here, no text there"


def _at_least(node: exp.Expr, least: int) -> bool:
    """Whether a whole number is written so that it cannot be less."""
    node = node.unnest()
    if isinstance(node, exp.Greatest):
        return any(_at_least(one, least) for one in (node.this, *node.expressions))
    value = number(node)
    return value is not None and value >= least


def _part(node: exp.SplitPart) -> Iterator[Problem]:
    by, at = node.args["delimiter"], node.args["part_index"]
    if not _text(by):
        message = "split_part by what may be an empty text: characters here, the whole there"
        yield node, "position", message, "write the delimiter as '…'"
    if not number(at):
        message = "split_part at what may be 0: no text here, an error there"
        yield node, "position", message, "write the part's number, from 1"


def _pad(node: exp.Pad) -> Iterator[Problem]:
    fill = node.args.get("fill_pattern")
    if fill is None or not _text(fill):
        message = "padding with what may be an empty text: an error here, nothing there"
        yield node, "position", message, "write the padding as '…'"


def _zone(node: exp.Anonymous) -> Iterator[Problem]:
    if node.name.lower() not in ("from_utc_timestamp", "to_utc_timestamp"):
        return
    zone = node.expressions[-1]
    if isinstance(zone, exp.Literal) and zone.name not in _zones():
        message = (
            f"the zone {zone.name!r}: short names, offsets and letter case are read differently"
        )
        yield node, "time-zone", message, "write Region/City as IANA does, or UTC"


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(z for z in zoneinfo.available_timezones() if "/" in z or z == "UTC")


def _text(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and node.is_string and bool(node.name)


RULES: tuple[
    tuple[type[exp.Expr] | tuple[type[exp.Expr], ...], Callable[..., Iterator[Problem]]], ...
] = (
    ((exp.RegexpExtract, exp.RegexpLike, exp.RegexpReplace), _pattern),
    (exp.RegexpReplace, _regexp_replace),
    ((exp.Like, exp.ILike), _like),
    ((exp.StrToTime, exp.TimeToStr), _format),
    (exp.StrToTime, _parsed_text),
    (exp.Substring, _start),
    ((exp.Left, exp.Right), _side),
    (exp.SplitPart, _part),
    (exp.Pad, _pad),
    (exp.Anonymous, _zone),
)
