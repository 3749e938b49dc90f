"""Exporting, checking and restoring: what the database decides is decided by sql/archive/."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
from pyarrow import compute as pc

from pymeter.archive.files import (
    Advance,
    BadFile,
    FileContent,
    file_batches,
    file_hash,
    read_back,
    write_file,
)
from pymeter.archive.logged import logged_batches
from pymeter.archive.rows import TIMES
from pymeter.client import Meter
from pymeter.errors import meter_errors
from pymeter.models import Archive
from pymeter.program_connection import ProgramPool, transaction

_PAGE = 1000
_PART_BYTES = 16 << 20


def _nothing(rows: int) -> None:
    """Shows no progress."""


def export_month(
    connection: psycopg.Connection[Any],
    schema: str,
    month: datetime,
    directory: Path,
    *,
    detach: bool = False,
    advance: Advance = _nothing,
) -> Archive:
    """Write a month to a file in a directory, check the file, and remove the month from the log.

    Whatever it is interrupted by, either the log still has the month, or a complete file has it.

    Raises:
        BadFile: the month has no events, or the file cannot be read back.
        MeterError: as the SQL functions archive_rows() and archive_month() raise.
    """
    with (
        meter_errors("archive_rows"),
        transaction(connection, mode="READ ONLY", isolation="REPEATABLE READ"),
    ):
        content = write_file(logged_batches(connection, schema, month), month, directory, advance)
    return _meter(connection, schema).archive_month(
        month, content.path.name, content.sha256, content.rows, content.digest, detach=detach
    )


def check_file(
    connection: psycopg.Connection[Any], schema: str, path: Path, *, advance: Advance = _nothing
) -> Archive:
    """Read all of a file and compare it with the archive that it is of.

    Raises:
        BadFile: it is damaged, or of no archive of this meter.
    """
    archive = archive_of(_meter(connection, schema), path)
    _compare(archive, read_back(path, advance))
    return archive


def restore_file(
    connection: psycopg.Connection[Any], schema: str, path: Path, *, advance: Advance = _nothing
) -> Archive:
    """Put the rows of a file back into the log, in one transaction. A file that is restored changes nothing.

    Raises:
        BadFile: it is damaged, or of no archive of this meter.
        MeterError: as the SQL function restore_archive() raises.
    """
    archive = archive_of(_meter(connection, schema), path)
    if archive.restored_at is not None:
        return archive
    with transaction(connection, mode="READ WRITE"):
        meter = Meter(connection, schema=schema)
        for batch in (part for read in file_batches(path) for part in _parts(read)):
            meter.stage_archive(archive.archive_id, _rows(batch))
            advance(batch.num_rows)
        return meter.restore_archive(archive.archive_id)


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch in parts of some megabytes: each becomes one value of JSON."""
    rows = max(1, batch.num_rows * _PART_BYTES // max(batch.nbytes, _PART_BYTES))
    for first in range(0, batch.num_rows, rows):
        yield batch.slice(first, rows)


def archive_of(meter: Meter, path: Path) -> Archive:
    """The archive that a file is of, by its SHA-256; one that is not restored comes first."""
    sha256 = file_hash(path)
    named, found = False, []
    for archive in all_archives(meter):
        named |= archive.file_name == path.name
        if archive.file_hash == sha256:
            found.append(archive)
    if found:
        return min(found, key=lambda archive: (archive.restored_at is not None, -archive.archive_id))
    if named:
        raise BadFile(f"{path.name} was changed: its SHA-256 is {sha256}", "Take another copy of it.")
    raise BadFile(f"{path.name} is no archive of this meter", "Pass a file of: pymeter archive list")


def all_archives(meter: Meter) -> Iterator[Archive]:
    """All archives, the latest first."""
    page: list[Archive] = []
    while not page or len(page) == _PAGE:
        page = meter.archives(_PAGE, after_id=page[-1].archive_id if page else None)
        if not page:
            return
        yield from page


def _compare(archive: Archive, content: FileContent) -> None:
    if (content.rows, content.digest) != (archive.event_count, archive.digest):
        raise BadFile(
            f"{content.path.name} is damaged: its rows are not those of the archive",
            "Take another copy of it.",
        )


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """For JSON: quantity and metadata are texts already, times become texts with all their digits."""
    columns = [
        pc.cast(batch[name], pa.string()) if name in TIMES else batch[name] for name in batch.schema.names
    ]
    rows: list[dict[str, Any]] = pa.RecordBatch.from_arrays(columns, batch.schema.names).to_pylist()
    return rows


def _meter(connection: psycopg.Connection[Any], schema: str) -> Meter:
    return Meter(ProgramPool(connection, mode="READ WRITE"), schema=schema)
