"""Files of archives: written under a temporary name, read in batches, and known by their SHA-256."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pymeter.archive.partial import new_partial, remove_leftovers
from pymeter.archive.rows import SCHEMA, RowDigest

Advance = Callable[[int], None]
FORMAT = "pymeter-archive-1"
_READ_ROWS = 2048  # at 64 KiB of metadata each they fit into one jsonb array, which holds 256 MiB
_READ_BYTES = 1 << 20


class BadFile(ValueError):
    """A file is not an archive, or not the one that it has to be."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class FileContent:
    """What a file holds."""

    path: Path
    sha256: str
    rows: int
    digest: str


def write_file(
    batches: Iterable[pa.RecordBatch], month: datetime, directory: Path, advance: Advance
) -> FileContent:
    """Write a file, read it back, and give it its name: a file under that name is complete.

    The name has a part of the digest, so another part of the same month has another name.
    """
    stem = f"events_{month:%Y_%m}"
    remove_leftovers(directory, stem)
    with new_partial(directory, stem) as (file, temporary):
        digest = _write(batches, month, file, advance)
        written = read_back(temporary)
        if (written.rows, written.digest) != (digest.rows, digest.hexdigest()):
            raise BadFile(
                "the file does not hold what was written to it", "Check the disk, then export again."
            )
        path = directory / f"{stem}-{written.digest[:12]}.parquet"
        content = _name(temporary, path, written)
    _sync(directory)
    return content


def _name(temporary: Path, path: Path, written: FileContent) -> FileContent:
    """Give a file its name, and say what is there now. A complete file that has the name stays as it is.

    It has the same rows, perhaps in other bytes, by which the archive of another meter knows it.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        if (there := _complete(path, written)) is not None:
            _sync(path)
            return there
        temporary.replace(path)
    except OSError:  # the file system has no links
        temporary.replace(path)
    if file_hash(path) != written.sha256:
        raise BadFile(
            f"{path.name} was changed meanwhile", "Find out what else writes there, then export again."
        )
    return replace(written, path=path)


def _complete(path: Path, written: FileContent) -> FileContent | None:
    try:
        there = read_back(path)
    except BadFile:
        return None
    return there if (there.rows, there.digest) == (written.rows, written.digest) else None


def _write(batches: Iterable[pa.RecordBatch], month: datetime, file: BinaryIO, advance: Advance) -> RowDigest:
    digest = RowDigest()
    with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
            digest.add(batch)
            advance(batch.num_rows)
        known = {"format": FORMAT, "month": f"{month:%Y-%m}", "rows": str(digest.rows)}
        writer.add_key_value_metadata(
            {f"pymeter.{key}": value for key, value in {**known, "digest": digest.hexdigest()}.items()}
        )
    file.flush()
    os.fsync(file.fileno())
    return digest


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_back(path: Path, advance: Advance = lambda rows: None) -> FileContent:
    """Read all of a file; BadFile if its rows are not those that its own digest is of."""
    digest = RowDigest()
    for batch in file_batches(path):
        digest.add(batch)
        advance(batch.num_rows)
    content = FileContent(path, file_hash(path), digest.rows, digest.hexdigest())
    with _opened(path) as file:
        said = file.metadata.metadata or {}
    if (said.get(b"pymeter.rows"), said.get(b"pymeter.digest")) != (
        str(content.rows).encode(),
        content.digest.encode(),
    ):
        raise _damaged(path)
    return content


def file_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a file, some thousands at a time."""
    with _opened(path) as file:
        if not file.schema_arrow.equals(SCHEMA):
            raise BadFile(f"{path.name} is not an archive of pymeter", "Pass a file of: pymeter archive list")
        try:
            yield from file.iter_batches(_READ_ROWS)
        except (pa.ArrowInvalid, OSError) as error:
            raise _damaged(path) from error


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise BadFile(
            f"there is no file {path}", "Pass the path of a file of: pymeter archive list"
        ) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise BadFile(f"{path.name} is no Parquet file, or damaged", "Take another copy of it.") from error


def _damaged(path: Path) -> BadFile:
    return BadFile(
        f"{path.name} is damaged: its rows are not those of its digest", "Take another copy of it."
    )


def file_hash(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while part := file.read(_READ_BYTES):
                digest.update(part)
    except FileNotFoundError:
        raise BadFile(
            f"there is no file {path}", "Pass the path of a file of: pymeter archive list"
        ) from None
    return digest.hexdigest()
