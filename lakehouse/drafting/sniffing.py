"""How a file is written: format, delimiter, encoding, header, and where its records are."""

from __future__ import annotations

import collections
import csv
import functools
import io
import itertools
import json
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from lakehouse.contract import Source
from lakehouse.contract.jsonpath import EACH, Steps, levels
from lakehouse.errors import LakehouseError, cause
from lakehouse.landing import archive
from lakehouse.landing.records import RefusedError
from lakehouse.strictyaml import complaint

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["doubts", "names", "parquet_schema", "repeated", "sniff"]

_HEAD = 1 << 20
_DELIMITERS = ",;\t|"
#: Characters of no text; 1 and 28 to 31 are separators of some files.
_CONTROL = re.compile("[\x00\x02-\x08\x0b\x0e-\x1b\x7f-\x9f]")
_CONTROLS = 0.05
_DATA = re.compile(r"[-+]?[0-9]+([.,][0-9]+)*|[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}.*")
#: An object with more keys than this holds data in its keys.
_MOST_KEYS = 200
_DEEPEST = 6
#: A key of an object that is no name: a number, a date or a UUID.
_ID = re.compile(
    r"[0-9]+|[0-9]{4}-[0-9]{2}(-[0-9]{2})?|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
)
#: So many keys over objects with the same keys each are no names either.
_ALIKE = 12


def sniff(data: bytes, path: str, given: Mapping[str, Any]) -> Source:
    """The options by which a file can be read.

    Args:
        data: The file, as stored.
        path: Its name, for its ending and for messages.
        given: Options that the user knows; they are not guessed.

    Raises:
        LakehouseError: The file is nothing that can be read.
    """
    # Options that cannot be are told before they are tried.
    base = _source({}, {k: v for k, v in given.items() if k not in ("format", "records")})
    try:
        if data.startswith(b"PAR1") or given.get("format") == "parquet":
            return _source({"format": "parquet"}, given)
        plain = archive.unpack(data, base, 4 << 30)
        encoding = given.get("encoding") or _encoding(plain)
        text = archive.text(plain, encoding).data
    except RefusedError as refused:
        raise LakehouseError(
            f"read {path}",
            refused.reason,
            _POINT,
        ) from None
    _refuse_binary(text, path)
    options: dict[str, Any] = {"encoding": encoding}
    kind = given.get("format") or _format(text, path)
    if kind == "csv":
        options |= _csv(text[:_HEAD].decode("utf-8", "replace"), given)
    else:
        documents = list(itertools.islice(_documents(text, kind), 2))
        if not given.get("records"):
            _refuse_values(documents, path)
            _refuse_map(documents, path)
        options |= _json(documents, kind, given)
    return _source({**options, "format": kind}, given)


#: What to do where files are none that can be read.
_POINT = "point at CSV, JSON or Parquet files, plain or compressed with gzip or zstd"


def _refuse_binary(text: bytes, path: str) -> None:
    head = text[:_HEAD].decode("utf-8", "replace")
    share = len(_CONTROL.findall(head)) / max(len(head), 1)
    if share > _CONTROLS:
        raise LakehouseError(
            f"read {path}",
            f"it is no text: {share:.0%} of it are control characters",
            f"{_POINT}; where it is text, name its encoding: --encoding utf-16-le",
        )


def _source(options: Mapping[str, Any], given: Mapping[str, Any]) -> Source:
    try:
        return Source.model_validate({"path": "*", "format": "csv", **options, **given})
    except ValidationError as error:
        at, found, remedy = complaint(Source, error)
        named = ", ".join(map(str, at)) or ", ".join(given)
        raise LakehouseError(f"read files with the given {named}", found, remedy) from None


def names(data: bytes, source: Source) -> list[str]:
    """What a file calls its columns: the header's fields, or keys and paths of its documents."""
    if source.format == "parquet":
        return list(parquet_schema(data).names)
    text = archive.text(archive.unpack(data, source, 4 << 30), source.encoding).data
    if source.format == "csv":
        first = next(_rows(text[:_HEAD].decode("utf-8", "replace"), source.delimiter), [])
        return first if source.header else [f"column_{i}" for i in range(1, len(first) + 1)]
    return _paths(list(_documents(text, source.format)), source.records)


def doubts(data: bytes, source: Source) -> tuple[str, ...]:
    """Why a CSV file is read without a header, where its first line may be meant as one."""
    if source.format != "csv" or source.header:
        return ()
    text = archive.text(archive.unpack(data, source, 4 << 30), source.encoding).data
    first = next(_rows(text[:_HEAD].decode("utf-8", "replace"), source.delimiter), [])
    twice = repeated(first)
    if not twice or any(_DATA.fullmatch(cell.strip()) for cell in first):
        return ()
    told = " and ".join(repr(name) if name else "blank" for name in twice[:3])
    why = f"the first line is taken for data, since several of its fields are {told}"
    return (f"{why}; where it names the columns, give each a name of its own in the files",)


def repeated(names: Sequence[str]) -> list[str]:
    """The names that are there more than once."""
    return [name for name, count in collections.Counter(names).items() if count > 1]


def parquet_schema(data: bytes) -> pa.Schema:
    """The columns of a Parquet file, with their types.

    Raises:
        LakehouseError: It is none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(pa.BufferReader(data)).schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise LakehouseError(
            "read a Parquet file", cause(error), "name its format: --format csv, jsonl or json"
        ) from None


# --- text -------------------------------------------------------------------------------------


def _encoding(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        return "utf-8"  # the mark decides
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        bad = len(re.findall(rb"[\x80-\xff]", data))
        # A few broken bytes among good ones are faults of lines, not another encoding.
        good = len(re.findall(rb"[\xc2-\xf4][\x80-\xbf]", data))
        if good * 2 > bad or error.start == len(data):
            return "utf-8"
        for name in ("cp1252", "latin-1"):
            try:
                data.decode(name)
            except UnicodeDecodeError:
                continue
            return name
    return "utf-8"


def _format(text: bytes, path: str) -> str:
    head = text[:_HEAD].lstrip(b" \t\r\n")
    name = path.rpartition("/")[2].lower()
    if re.search(r"\.(jsonl|ndjson)\b", name):
        return "jsonl"
    is_json = head.startswith((b"{", b"[")) or re.search(r"\.json\b", name)
    if not is_json or re.search(r"\.(csv|tsv)\b", name):
        return "csv"
    line = text.lstrip().split(b"\n", 1)[0]
    return "jsonl" if head.startswith(b"{") and _is_json(line) else "json"


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    try:
        yield from (row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row)
    except csv.Error:
        return


def _csv(text: str, given: Mapping[str, Any]) -> dict[str, Any]:
    delimiter = given.get("delimiter") or _delimiter(text)
    rows = [row for _, row in zip(range(200), _rows(text, delimiter), strict=False)]
    found = {"delimiter": delimiter, "header": _has_header(rows)}
    return found if '"' in text or "'" not in text else found | {"quote": _quote(text, delimiter)}


def _delimiter(text: str) -> str:
    """The character that cuts the most lines into the same number of fields, above one."""
    scores = []
    for mark in _DELIMITERS:
        rows = [len(row) for _, row in zip(range(200), _rows(text, mark), strict=False)]
        width, count = collections.Counter(rows or [1]).most_common(1)[0]
        scores.append(((width > 1, count, width), mark))
    best = max(scores, key=lambda score: score[0])
    return best[1] if best[0][0] else ","


def _quote(text: str, delimiter: str) -> str:
    mark = re.escape(delimiter)
    quoted = re.findall(rf"(?:^|{mark})'[^'\n]*'(?={mark}|$)", text, re.MULTILINE)
    return "'" if len(quoted) > 5 else '"'


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """No header has data where the rows below have data of the same kind."""
    if len(rows) < 2:
        return True
    first, below = rows[0], rows[1:]
    if len(set(first)) < len(first):
        return False
    data = [bool(_DATA.fullmatch(cell.strip())) for cell in first]
    if not any(data):
        return True
    years = [cell for cell in first if re.fullmatch(r"(19|20)[0-9]{2}", cell.strip())]
    if len(years) == sum(data) > 2:
        return True  # a column for each year
    like = [
        sum(1 for row in below if i < len(row) and _DATA.fullmatch(row[i].strip()))
        for i, is_data in enumerate(data)
        if is_data
    ]
    return max(like) * 2 < len(below)


# --- JSON -------------------------------------------------------------------------------------


def _json(documents: Sequence[Any], kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    if kind == "jsonl" or given.get("records"):
        return {}
    path = _list_of_objects(documents[0])
    return {"records": path} if path else {}


def _refuse_values(documents: Sequence[Any], path: str) -> None:
    """Refuse a file without an object, which alone has names for its values."""
    document = documents[0] if documents else None
    objects = document if isinstance(document, list) else [document]
    if objects and all(isinstance(one, dict) for one in objects):
        return
    asked, remedy = f"draft from {path}", "name its format where it is no JSON: --format csv"
    if not documents:
        raise LakehouseError(asked, "no JSON document in it can be read", remedy)
    if document == []:
        raise LakehouseError(asked, "it is a list without elements", "name a file with records")
    other = next(one for one in objects if not isinstance(one, dict))
    is_list = isinstance(document, list)
    kind = "a list with elements that are no objects" if is_list else "a value that is no object"
    raise LakehouseError(
        asked,
        f"it is {kind} ({json.dumps(other)[:40]}): a record is an object, whose keys name "
        "the columns",
        "write an object for each record, for example with: jq -c '.[] | {value: .}' "
        "FILE > FILE.jsonl",
    )


def _refuse_map(documents: Sequence[Any], path: str) -> None:
    """Refuse a document whose records are the values of an object: its keys are data."""
    document: Any = documents[0]
    # Of several documents each is a record, and may hold such an object as one of its values.
    found = _map_of_objects(document, 0 if len(documents) > 1 else 2)
    if found is None:
        return
    records = _list_of_objects(document)
    if records is not None and len(levels(records)[1]) - 1 <= len(found):
        return
    value = functools.reduce(operator.getitem, found, document)
    way = f".{''.join(f'[{json.dumps(key)}]' for key in found)} | " if found else ""
    raise LakehouseError(
        f"draft from {path}",
        f"${''.join(map(_step, found))} is a map of records: its keys "
        f"({next(iter(value))[:40]!r}, …) are data",
        "maps of records are not read: write a record a line, the key among its fields, for "
        f"example with: jq -c '{way}to_entries[] | {{key}} + .value' "
        "FILE > FILE.jsonl",
    )


def _map_of_objects(document: Any, deepest: int) -> tuple[str, ...] | None:
    """The keys that lead to the first object near the top whose values are records."""
    waiting: list[tuple[Any, tuple[str, ...]]] = [(document, ())]
    for value, place in waiting:
        if _is_map([value]):
            return place
        if isinstance(value, dict) and len(place) < deepest:
            waiting += [(inner, (*place, key)) for key, inner in value.items()]
    return None


def _is_map(values: Sequence[Any]) -> bool:
    """Whether the keys of objects are data: ids, very many, or many over values of one shape."""
    objects = [value for value in values if isinstance(value, dict)]
    keys = {key for value in objects for key in value}
    inner = [one for value in objects for one in value.values()]
    if not keys or not all(isinstance(one, dict) for one in inner):
        return False
    if len(keys) > _MOST_KEYS or all(map(_ID.fullmatch, keys)):
        return True
    return len(keys) >= _ALIKE and len({frozenset(one) for one in inner}) == 1


def _documents(text: bytes, kind: str) -> Iterator[Any]:
    parts = [text] if kind == "json" else text.split(b"\n")[:20_000]
    for part in parts:
        if part.strip():
            try:
                yield json.loads(part)
            except (ValueError, RecursionError):
                continue


def _list_of_objects(document: Any) -> str | None:
    """The path of the longest list of objects near the top of a document."""
    found: list[tuple[int, int, str]] = []
    waiting = [(document, "$", 0)]
    while waiting:
        value, path, depth = waiting.pop()
        if isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
            found.append((depth, -len(value), f"{path}[*]"))
        elif isinstance(value, dict) and depth < 3:
            waiting += [(v, f"{path}{_step(k)}", depth + 1) for k, v in value.items()]
    return min(found)[2] if found else None


def _paths(documents: Sequence[Any], records: str | None) -> list[str]:
    """The places of values in documents: of the record first, then of what holds it."""
    ways = levels(records)
    found: dict[str, None] = {}
    groups: list[list[Any]] = [list(documents)]
    for way in ways[1:]:
        groups.append([e for value in groups[-1] for e in _elements(value, way)])
    *outer, own = zip(_prefixes(ways), groups, strict=True)
    for prefix, values in [own, *outer]:
        inner = prefix == own[0]
        for place, is_list in _leaves(values, (), 0):
            if not inner and is_list:
                continue
            plain = inner and len(place) == 1 and not place[0].startswith("$")
            path = place[0] if plain else prefix + "".join(map(_step, place))
            found[path] = None
    return list(found)


def _prefixes(ways: Sequence[Steps]) -> list[str]:
    prefixes = ["$"]
    for way in ways[1:]:
        prefixes.append(prefixes[-1] + "".join("[*]" if s is EACH else _step(str(s)) for s in way))
    return prefixes


def _elements(value: Any, way: Steps) -> list[Any]:
    for step in way[:-1]:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, list) else []


def _leaves(
    values: Sequence[Any], place: tuple[str, ...], depth: int
) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Places of values that are no objects, and whether a list was seen there."""
    present = [value for value in values if value is not None]
    objects = [value for value in present if isinstance(value, dict)]
    keys = dict.fromkeys(key for value in objects for key in value)
    is_object = present and len(objects) == len(present) and len(keys) <= _MOST_KEYS
    if is_object and depth < _DEEPEST and not (place and _is_map(objects)):
        for key in keys:
            yield from _leaves([v[key] for v in objects if key in v], (*place, key), depth + 1)
    elif place:
        yield place, any(isinstance(value, list) for value in present)


def _step(key: str) -> str:
    if re.fullmatch(r"[^.\[\]'\"*]+", key):
        return f".{key}"
    escaped = key.replace("\\", "\\\\").replace("'", "\\'")
    return f"['{escaped}']"
