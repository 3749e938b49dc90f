"""One shard, as a move sees it: calls of functions in sql/scale, and rows that go on to another one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from pymeter import program_connection
from pymeter.errors import meter_errors
from pymeter.scale.shard_map import Shard
from pymeter.secrets import remember_dsn

# A server that has gone without a word is noticed, so that a subject does not stay closed for it.
_ALIVE: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


class State(NamedTuple):
    """What a home says about a subject; None instead of one: it says nothing."""

    state: str
    other: str
    run: UUID | None
    """Which run has written it; None: somebody who called the function."""


class Digest(NamedTuple):
    """How many rows a table has of a subject, and the sum of their digests."""

    rows: int
    digest: Any


class Home:
    """A connection of the owner of a shard. Connects when it is first used, and again after a failure."""

    def __init__(self, shard: Shard) -> None:
        self.name = shard.name
        self._dsn = shard.connection_string()
        self._schema = shard.schema
        self._connection: psycopg.Connection[Any] | None = None

    @property
    def connection(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed or self._connection.broken:
            remember_dsn(self._dsn)
            options = program_connection.connection_options(self._dsn, "pymeter shard move")
            self._connection = psycopg.connect(self._dsn, **{**_ALIVE, **options})
        return self._connection

    def close(self) -> None:
        """Close the connection; what was begun is undone."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    @contextmanager
    def transaction(self, isolation: str = "READ COMMITTED") -> Iterator[None]:
        """A transaction with the settings of a program."""
        with program_connection.transaction(self.connection, isolation=isolation):
            # For the queries that are copied, which are no functions.
            path = sql.SQL("SET LOCAL search_path = {}, pg_temp").format(sql.Identifier(self._schema))
            self.connection.execute(path)
            yield

    def rows(self, function: str, *arguments: Any) -> list[dict[str, Any]]:
        """The rows of a function."""
        call = sql.SQL("SELECT * FROM {}.{}({})").format(
            sql.Identifier(self._schema),
            sql.Identifier(function),
            sql.SQL(", ").join([sql.Placeholder()] * len(arguments)),
        )
        with self.connection.cursor(row_factory=dict_row) as cursor, meter_errors(function):
            return cursor.execute(call, [_adapted(a) for a in arguments]).fetchall()

    def value(self, function: str, *arguments: Any) -> Any:
        """The only value that a function returns."""
        return next(iter(self.rows(function, *arguments)[0].values()))

    def commit(self, function: str, *arguments: Any) -> Any:
        """Call a function in a transaction of its own, whose commit is durable."""
        with self.transaction():
            self.rows("_require_durable_commit")
            return self.value(function, *arguments)

    def state(self, subject: str) -> State | None:
        """Whether the subject is closing, moved or arriving here."""
        with self.transaction():
            found = [row for row in self.rows("moves") if row["subject"] == subject]
        return State(found[0]["state"], found[0]["other"], found[0]["run"]) if found else None

    def digests(self, function: str, *arguments: Any) -> dict[str, Digest]:
        """What a function says of tables, by their names."""
        return {
            row["name"]: Digest(row["row_count"], row["digest"]) for row in self.rows(function, *arguments)
        }


def stream(source: Home, query: str, target: Home, name: str) -> int:
    """Rows of a query on one shard, put into the temporary table of another. Returns how many bytes."""
    copy_in = target.value("_receive_table", name)
    copied = 0
    with (
        source.connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT binary)".encode()) as reader,
        target.connection.cursor().copy(copy_in.encode()) as writer,
    ):
        for block in reader:
            writer.write(block)
            copied += len(block)
    return copied


def _adapted(value: Any) -> Any:
    return Jsonb(value) if isinstance(value, dict) else value  # a list is an array, which may be empty
