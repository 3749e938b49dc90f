"""Which database a command works on: the global options, and what they choose."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import psycopg
import typer
from psycopg.conninfo import conninfo_to_dict
from rich.text import Text

from pymeter import program_connection
from pymeter.cli.errors import CliError
from pymeter.cli.output import stderr
from pymeter.client import Meter
from pymeter.errors import MeterError, NotInstalled, UnknownMetric
from pymeter.program_connection import ProgramPool, checked_dsn
from pymeter.visible import visible

DEFAULT_SCHEMA = "meter"
_LINE_CHARACTERS_MAX = 200


@dataclass(frozen=True)
class Target:
    """A database. `data_dir` is where the data of the private server is; None for any other server."""

    dsn: str
    data_dir: Path | None = None

    def describe(self) -> str:
        """Where it is, for people; without the password."""
        parts = conninfo_to_dict(self.dsn)
        host = parts.get("host") or os.environ.get("PGHOST") or "local socket"
        port = parts.get("port") or os.environ.get("PGPORT")
        database = parts.get("dbname") or os.environ.get("PGDATABASE") or "the default database"
        if self.data_dir is not None:
            return f"the private server (database {database})"
        return f"{database} on {host}" + (f":{port}" if port and not str(host).startswith("/") else "")

    def connect(self) -> psycopg.Connection[Any]:
        """A connection for a `ProgramPool`. Works through a pgbouncer that pools transactions."""
        return program_connection.connect(self.dsn)


@dataclass(frozen=True)
class Settings:
    """The global options, and the words behind the program's name, to be repeated in a hint."""

    dsn: str | None = None
    schema: str = DEFAULT_SCHEMA
    embedded: bool = False
    words: tuple[str, ...] = ()

    @property
    def given_dsn(self) -> str | None:
        """The DSN of the options or the environment."""
        if self.embedded:
            return None
        return self.dsn or os.environ.get("PYMETER_DSN") or os.environ.get("DATABASE_URL") or None

    def database(self, *, starts: bool = False) -> Target:
        """The database to work on, as it is: nothing is installed.

        Without a DSN it is the private server. --embedded starts it, and so does a command that `starts` it.
        Other commands use it if it runs, and only for a person at a terminal: a cron job that lacks its DSN
        must not write into another database.
        """
        dsn = self.given_dsn
        if dsn is not None:
            return Target(checked_dsn(dsn))
        if not (self.embedded or starts):
            self._require_private()
        private = private_target()
        stderr().print(
            Text(visible(f"using the private PostgreSQL in {private.data_dir}"), style="dim"), soft_wrap=True
        )
        return private

    def _require_private(self) -> None:
        from pymeter.embedded import is_running

        line = shlex.join(["pymeter", "--embedded", *self.words])
        if len(line) > _LINE_CHARACTERS_MAX:
            line = "pymeter --embedded ..."
        hint = f"Set DATABASE_URL or PYMETER_DSN, or give --dsn. For a private PostgreSQL: {line}"
        if not _at_a_terminal():
            raise CliError("no database is named, and this is not a terminal", hint)
        if not is_running():
            raise CliError("no database is named, and the private PostgreSQL is not running", hint)

    def installed(self) -> Target:
        """The database to work on. The private server gets a meter in schema meter by itself."""
        database = self.database()
        if database.data_dir is not None and self.schema == DEFAULT_SCHEMA:
            from pymeter.migrate import migrate

            migrate(database.dsn, self.schema)
        return database

    @contextmanager
    def meter(self) -> Iterator[Meter]:
        """The meter of the chosen database and schema; every call is a transaction of its own."""
        with self.installed().connect() as connection, self._better_hints(connection):
            yield self.meter_on(connection)

    @contextmanager
    def snapshot(self) -> Iterator[Meter]:
        """As `meter`, but all calls of the block see the meter as it is now; for reading only."""
        with (
            self.installed().connect() as connection,
            self._better_hints(connection),
            program_connection.transaction(connection, mode="READ ONLY", isolation="REPEATABLE READ"),
        ):
            yield Meter(connection, schema=self.schema)

    @property
    def migrate_line(self) -> str:
        """The line that installs or upgrades this schema."""
        more = [] if self.schema == DEFAULT_SCHEMA else ["--schema", self.schema]
        return shlex.join(["pymeter", "migrate", *more])

    @contextmanager
    def _better_hints(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        """Hints that the database cannot give: the line with this schema, and metrics with a similar name."""
        try:
            yield
        except NotInstalled as error:
            if error.sqlstate != "55000":
                error.hint = f"Run: {self.migrate_line}; or check the name of the schema."
            raise
        except UnknownMetric as error:
            error.hint = _which_metric(error, self.meter_on(connection))
            raise

    def meter_on(self, connection: psycopg.Connection[Any]) -> Meter:
        """The meter of the chosen schema on a connection."""
        return Meter(ProgramPool(connection, mode="READ WRITE"), schema=self.schema)


class Context(typer.Context):
    """The context of a command; its object is the global options."""

    obj: Settings


def private_target() -> Target:
    """The user's private server, started where necessary."""
    from pymeter.embedded import default_data_dir, server_dsn

    return Target(server_dsn(), default_data_dir())


def _which_metric(error: UnknownMetric, meter: Meter) -> str:
    named = re.search(r"\bmetric '((?:[^']|'')*)'", error.detail or "")
    known: list[str] = []
    with suppress(psycopg.Error, MeterError):
        known = [metric.key for metric in meter.catalog()]
    close = get_close_matches(named[1].replace("''", "'"), known) if named else []
    if close:
        return f"Did you mean {' or '.join(map(repr, close))}? List all metrics with: pymeter catalog"
    return f"{error.hint or ''} List the metrics with: pymeter catalog".strip()


def _at_a_terminal() -> bool:
    return any(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr) if stream is not None)
