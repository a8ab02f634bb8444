"""One landed file → its rows and its rejects, whatever its format."""

from __future__ import annotations

from pathlib import Path

from lakehouse.contract import Contract, Source
from lakehouse.errors import ContractError, StorageError
from lakehouse.landing import archive, delimited, jsonlines, parquet
from lakehouse.landing.listing import FileSystem, LandedFile, describe, full_path, unavailable
from lakehouse.landing.records import (
    Landed,
    Records,
    RefusedError,
    land,
    landed_columns,
    refuse,
    too_large,
)

__all__ = ["read"]


def read(
    fs: FileSystem,
    root: str,
    file: LandedFile,
    contract: Contract,
    batch: str,
    *,
    limit: int | None = None,
) -> Landed:
    """Read one landed file.

    Whatever its bytes are, this returns: rows that can be published, and the
    rest rejected with the rules they break. Only a file that cannot be had raises.

    Args:
        fs: The filesystem of the landing area.
        root: The landing area's path in it.
        file: As it was listed.
        contract: Of the bronze table.
        batch: The id of the file's batch, for ``_batch``.
        limit: The most bytes of the file, stored or decompressed, instead of the contract's.

    Raises:
        StorageError: The file cannot be read, or is another than was listed.
        ContractError: The contract declares no source, or an unknown encoding.
    """
    source = contract.lake.source
    if source is None:
        raise ContractError(
            f"read {file.path} for {contract.name}",
            "the contract declares no source",
            "add 'source' to its lakehouse properties",
            file=contract.path,
        )
    limit = source.max_bytes if limit is None else limit
    try:
        if file.unfit:
            raise RefusedError("bad_name", file.unfit)
        if file.size > limit:
            raise too_large(f"{file.size:,} bytes", limit)
        data = _bytes(fs, root, file)
        return land(_records(data, source, contract, limit), file, contract, batch)
    except RefusedError as refused:
        return refuse(refused, file, contract, batch)


def _records(data: bytes, source: Source, contract: Contract, limit: int) -> Records:
    names, policy = contract.physical_names, contract.lake.columns
    types = {names.get(name, name): kind for name, kind in landed_columns(contract).items()}
    if source.format == "parquet" and data:
        records = parquet.parse(data, types, policy, limit)
    else:
        text = archive.text(archive.unpack(data, source, limit), source.encoding)
        records = _PARSERS.get(source.format, delimited.parse)(text, source, list(types), policy)
    if names:
        written = {physical: name for name, physical in names.items()}
        found = [written.get(name, name) for name in records.table.column_names]
        records.table = records.table.rename_columns(found)
    return records


_PARSERS = {"jsonl": jsonlines.parse, "json": jsonlines.parse_document}


def _bytes(fs: FileSystem, root: str, file: LandedFile) -> bytes:
    path = full_path(root, file.path)
    try:
        if "islink" in fs.info(path) and not _is_below(root, path):
            raise RefusedError("outside_landing", "a link to a file outside the landing zone")
        data = fs.cat_file(path)
        fs.invalidate_cache(path)
        now = describe(file.path, fs.info(path))
    except RefusedError:
        raise
    except IsADirectoryError:
        raise RefusedError("not_a_file", "a directory, not a file") from None
    except Exception as error:
        raise unavailable(f"read the landed file {file.path}", error) from error
    # The time is left out: stores give it with more digits in listings than for one object.
    if (now.etag, now.size, len(data)) != (file.etag, file.size, file.size):
        raise StorageError(
            f"read the landed file {file.path}",
            "it was replaced after it was listed",
            "plan again: the new file will be taken",
        )
    return data


def _is_below(root: str, path: str) -> bool:
    return Path(path).resolve().is_relative_to(Path(root).resolve())
