"""Which database a command uses, and its description without the password."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pymeter import program_connection
from pymeter.client import Meter
from pymeter.program_connection import ProgramPool, checked_dsn

DEFAULT_SCHEMA = "meter"


@dataclass
class Settings:
    """The global options."""

    dsn: str | None = None
    schema: str = DEFAULT_SCHEMA


settings = Settings()
checked = checked_dsn


@dataclass(frozen=True)
class Target:
    """A database."""

    dsn: str
    private: bool

    def describe(self) -> str:
        """Where it is, for people; without the password."""
        parts = conninfo_to_dict(self.dsn)
        host = parts.get("host") or os.environ.get("PGHOST") or "local socket"
        port = parts.get("port") or os.environ.get("PGPORT")
        database = parts.get("dbname") or os.environ.get("PGDATABASE") or "the default database"
        if self.private:
            return f"the private server (database {database})"
        return f"{database} on {host}" + (f":{port}" if port and not str(host).startswith("/") else "")

    def connect(self) -> psycopg.Connection[Any]:
        """A connection for ``open_meter``. Works through a pgbouncer that pools transactions."""
        return program_connection.connect(self.dsn)


def given_dsn() -> str | None:
    """The DSN of the options or the environment; None: use the private server."""
    return settings.dsn or os.environ.get("PYMETER_DSN") or os.environ.get("DATABASE_URL") or None


def target() -> Target:
    """The database to talk to. The private server starts, and has a meter in schema meter, by itself."""
    dsn = given_dsn()
    if dsn is not None:
        return Target(checked(dsn), private=False)
    private = private_target()
    if settings.schema == DEFAULT_SCHEMA:
        from pymeter.migrate import migrate

        migrate(private.dsn, settings.schema)
    return private


def private_target() -> Target:
    """The user's private server, started where necessary."""
    from pymeter.embedded import server_dsn

    return Target(server_dsn(), private=True)


def connect() -> psycopg.Connection[Any]:
    """A connection to the database to talk to."""
    return target().connect()


def open_meter(connection: psycopg.Connection[Any]) -> Meter:
    """The meter of the chosen schema; every call is a transaction with the settings of a program."""
    return Meter(ProgramPool(connection, mode="READ WRITE"), schema=settings.schema)


@contextmanager
def open_snapshot(connection: psycopg.Connection[Any]) -> Iterator[Meter]:
    """As `open_meter`, but all calls of the block see the meter as it is now; for reading only."""
    with program_connection.transaction(connection, mode="READ ONLY", isolation="REPEATABLE READ"):
        yield Meter(connection, schema=settings.schema)
