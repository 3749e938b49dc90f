"""The rows of an archive as Arrow has them, and their digest, as sql/archive/_digest_rows.sql has it."""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

CHUNK_ROWS = 100_000
TIMES = ("at", "recorded_at")
TEXTS = ("subject", "metric", "member", "idempotency_key", "metadata")
# The order in the line of a row; quantity is exact as a text only.
_NUMBERS = ("event_id", *TIMES, "series_id", "kind", "corrects", "correction_id", "undone_by", "counts")
_INSTANT = pa.timestamp("us", "UTC")

SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.int64(), nullable=False),
        pa.field("at", _INSTANT, nullable=False),
        pa.field("recorded_at", _INSTANT, nullable=False),
        pa.field("series_id", pa.int32(), nullable=False),
        pa.field("subject", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("quantity", pa.string()),
        pa.field("member", pa.string()),
        pa.field("idempotency_key", pa.string()),
        pa.field("metadata", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("corrects", pa.int64()),
        pa.field("correction_id", pa.int64()),
        pa.field("undone_by", pa.int64()),
        pa.field("counts", pa.int16()),
    ]
)


class RowDigest:
    """The digest of rows that are added in the order of event_id, batch by batch."""

    def __init__(self) -> None:
        self.rows = 0
        self._chain = b""
        self._hashes: list[bytes] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch."""
        for line in _lines(batch):
            self._hashes.append(hashlib.sha256(line).digest())
            if len(self._hashes) == CHUNK_ROWS:
                self._end_chunk()
        self.rows += batch.num_rows

    def hexdigest(self) -> str:
        """The digest of all rows so far; nothing can be added after it."""
        if self._hashes:
            self._end_chunk()
        return self._chain.hex()

    def _end_chunk(self) -> None:
        self._chain = hashlib.sha256(self._chain + b"".join(self._hashes)).digest()
        self._hashes.clear()


def _lines(batch: pa.RecordBatch) -> list[bytes]:
    numbers = [_number(batch.column(name)) for name in (*_NUMBERS, "quantity")]
    lines = pc.binary_join_element_wise(*numbers, *(_text(batch.column(name)) for name in TEXTS), ",")
    return pc.cast(lines, pa.binary()).to_pylist()  # type: ignore[no-any-return]


def _number(column: Any) -> Any:
    if pa.types.is_timestamp(column.type):
        column = pc.cast(column, pa.int64())
    return pc.fill_null(pc.cast(column, pa.string()), "")


def _text(column: Any) -> Any:
    length = pc.cast(pc.binary_length(column), pa.string())
    return pc.fill_null(pc.binary_join_element_wise(length, column, ":"), "-")
