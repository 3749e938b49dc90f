"""A connection of a caller's own pool, whose factories may be any, while a request has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import tuple_row


@contextmanager
def as_expected(connection: psycopg.AsyncConnection[Any]) -> Iterator[None]:
    """Rows are tuples, and values are parameters: a client-side cursor writes credentials into statements."""
    had = connection.row_factory, connection.cursor_factory, connection.prepare_threshold
    connection.row_factory = tuple_row
    connection.cursor_factory = psycopg.AsyncCursor
    connection.prepare_threshold = None
    try:
        yield
    finally:
        connection.row_factory, connection.cursor_factory, connection.prepare_threshold = had
