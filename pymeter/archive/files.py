"""Files of archives: written under a temporary name, read in batches, and known by their SHA-256."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

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
    temporary = directory / f".{stem}-{os.getpid()}.partial"
    _remove_leftovers(directory, stem)
    try:
        digest = _write(batches, month, temporary, advance)
        content = read_back(temporary)
        if (content.rows, content.digest) != (digest.rows, digest.hexdigest()):
            raise BadFile(
                "the file does not hold what was written to it", "Check the disk, then export again."
            )
        path = directory / f"{stem}-{content.digest[:12]}.parquet"
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(directory)
    return FileContent(path, content.sha256, content.rows, content.digest)


def _remove_leftovers(directory: Path, stem: str) -> None:
    """What killed programs of this machine have not completed."""
    for left in directory.glob(f".{stem}-*.partial"):
        number = left.name.removeprefix(f".{stem}-").removesuffix(".partial")
        if number.isdecimal() and not Path(f"/proc/{number}").exists() and Path("/proc/self").exists():
            left.unlink(missing_ok=True)


def _write(batches: Iterable[pa.RecordBatch], month: datetime, path: Path, advance: Advance) -> RowDigest:
    digest = RowDigest()
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
            digest.add(batch)
            advance(batch.num_rows)
        known = {"format": FORMAT, "month": f"{month:%Y-%m}", "rows": str(digest.rows)}
        writer.add_key_value_metadata(
            {f"pymeter.{key}": value for key, value in {**known, "digest": digest.hexdigest()}.items()}
        )
    _sync(path)
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
