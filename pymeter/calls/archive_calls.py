"""Old months in files: sql/archive/. `pymeter archive` reads and writes the files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import Archive, ArchiveRow


def archive_rows(month: datetime) -> Call[list[ArchiveRow]]:
    """Return the rows of a month of the log, as a file holds them, in the order of event_id.

    Args:
        month: Any instant of it (UTC).

    Returns:
        All of them: `pymeter archive export` reads them in batches instead.

    Raises:
        InvalidInput: the month has not ended.
        MeterError: (UM007) it has no partition of the log.

    Example:
        meter.archive_rows(datetime(2026, 1, 1, tzinfo=UTC))
    """
    return Call("archive_rows", (argument.time("month", month, required=True),), result.every(ArchiveRow))


def archive_month(
    month: datetime, file_name: str, file_hash: str, event_count: int, digest: str, *, detach: bool = False
) -> Call[Archive]:
    """Remove a month from the log that a file holds, after comparing the two.

    Args:
        month: Any instant of it (UTC).
        file_name: Without its directory.
        file_hash: Of its bytes, in hexadecimal.
        event_count: How many rows it holds.
        digest: Of its rows.
        detach: Keep the rows as a table outside of the log.

    Returns:
        The archive.

    Raises:
        MeterError: (55000) the log and the file differ, or the month is needed; nothing was changed.

    Example:
        meter.archive_month(month, path.name, sha256, rows, digest)
    """
    return Call(
        "archive_month",
        (
            argument.time("month", month, required=True),
            argument.text("file_name", file_name, required=True),
            argument.text("file_hash", file_hash, required=True),
            argument.integer("event_count", "bigint", event_count, required=True),
            argument.text("digest", digest, required=True),
            argument.boolean("detach", detach, required=True),
        ),
        result.one(Archive),
    )


def archives(max_rows: int = 100, *, after_id: int | None = None) -> Call[list[Archive]]:
    """Return the months that were archived, the latest first.

    Args:
        max_rows: At most this many, 1 to 10,000.
        after_id: The archive_id of the last row of the page before.

    Returns:
        A row for each; `restored_at` is None while a month is only in its file.

    Example:
        meter.archives()
    """
    return Call(
        "archives",
        (
            argument.integer("max_rows", "integer", max_rows, required=True),
            argument.integer("after_id", "bigint", after_id),
        ),
        result.every(Archive),
    )


def stage_archive(archive_id: int, rows: Iterable[Mapping[str, Any]]) -> Call[int]:
    """Pass rows of a file to `restore_archive`, in the same transaction.

    Args:
        archive_id: The archive.
        rows: With the fields of ArchiveRow; quantity and metadata as texts.

    Returns:
        How many they were.

    Raises:
        InvalidInput: a row is not one of an archive.

    Example:
        meter.stage_archive(1, rows)
    """
    return Call(
        "stage_archive",
        (
            argument.integer("archive_id", "bigint", archive_id, required=True),
            argument.json("rows", list(rows), required=True),
        ),
        result.number,
    )


def restore_archive(archive_id: int) -> Call[Archive]:
    """Put the rows that were staged in this transaction back into the log.

    Args:
        archive_id: The archive.

    Returns:
        The archive. One that is restored already changes nothing.

    Raises:
        InvalidInput: the rows are not those of the archive.
        MeterError: (55000) a subject of it was erased since.

    Example:
        meter.restore_archive(1)
    """
    return Call(
        "restore_archive",
        (argument.integer("archive_id", "bigint", archive_id, required=True),),
        result.one(Archive),
    )
