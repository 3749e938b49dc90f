"""The rows of a month as COPY sends them, in batches."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv
from psycopg import sql

from pymeter.archive.files import BadFile
from pymeter.archive.rows import SCHEMA, TIMES

# A block holds at least a row: a quantity has up to 147,456 characters, metadata up to 64 KiB.
_BLOCK_BYTES = 4 << 20
_TYPES = {field.name: pa.int64() if field.name in TIMES else field.type for field in SCHEMA}


def logged_batches(
    connection: psycopg.Connection[Any], schema: str, month: datetime
) -> Iterator[pa.RecordBatch]:
    """The rows of a month of the log, in the order of event_id. One statement, so one snapshot."""
    columns = sql.SQL(", ").join(
        sql.SQL("(extract(epoch FROM {}) * 1000000)::bigint" if name in TIMES else "{}").format(
            sql.Identifier(name)
        )
        for name in SCHEMA.names
    )
    query = sql.SQL("COPY (SELECT {} FROM {}({}::timestamptz)) TO STDOUT (FORMAT csv)").format(
        columns, sql.Identifier(schema, "archive_rows"), sql.Literal(month.isoformat())
    )
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        stream = io.BufferedReader(_Stream(copy), _BLOCK_BYTES)
        if not stream.peek(1):
            raise BadFile(f"{month:%Y-%m} has no events", "There is nothing to archive.")
        reader = pa_csv.open_csv(
            stream,
            pa_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES, column_names=SCHEMA.names),
            pa_csv.ParseOptions(newlines_in_values=True),
            pa_csv.ConvertOptions(
                column_types=_TYPES,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        for batch in reader:
            columns_read = [
                column.cast(field.type) for column, field in zip(batch.columns, SCHEMA, strict=True)
            ]
            yield pa.record_batch(columns_read, schema=SCHEMA)


class _Stream(io.RawIOBase):
    """What COPY sends, as a file."""

    def __init__(self, copy: psycopg.Copy) -> None:
        self._copy = copy
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = memoryview(self._copy.read())
        part = self._left[: len(buffer)]
        buffer[: len(part)] = part
        self._left = self._left[len(part) :]
        return len(part)
