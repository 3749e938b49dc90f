"""A transaction in which an error was caught without a savepoint: it must not look as if it had committed."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.pq import TransactionStatus


def has_failed(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    """Whether PostgreSQL would answer a COMMIT with a rollback. Asks no server."""
    return connection.info.transaction_status == TransactionStatus.INERROR


def check_commit(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    """Raise what PostgreSQL does not, before a COMMIT that would roll back."""
    if has_failed(connection):
        raise psycopg.errors.InFailedSqlTransaction(
            "the transaction cannot be committed: a call or a statement in it has failed, and its error was"
            " caught. Put what may fail in a savepoint, and catch the error outside of it; or roll back."
        )
