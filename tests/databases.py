"""The databases of the tests: copies of a template, emptied and used again where they can be as new.

A copy is hundreds of files; to make and remove one was nearly half of what a small test costs.
So a database is lent again, up to ``_USES_MAX`` times, if its users changed nothing but rows of tables that
are empty in the template. PostgreSQL's counters tell: whatever is created, altered, granted or analyzed
changes a row of a catalog. Any other database is dropped, and so is one whose counters a crash has lost.

On a server that is given, PYMETER_TEST_DSN, every test has a new database.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import psycopg
from psycopg import sql

from pymeter import pytest_plugin

_WAIT_SECONDS_MAX = 20
_USES_MAX = 100
_GIVEN = "PYMETER_TEST_DSN" in os.environ
_numbers = count(1)

_TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"

# What is kept for a database outside of it, and what tells that the counters are still those of its users.
_STATE = """
SELECT d.xmin::text, (SELECT count(*) FROM pg_db_role_setting s WHERE s.setdatabase = d.oid),
    a.stats_reset, w.stats_reset
FROM pg_database d JOIN pg_stat_database a ON a.datid = d.oid CROSS JOIN pg_stat_wal w
WHERE d.datname = %s
"""
# What differs from the template: tables with new rows, or dead ones; and where a sequence is, if it was used.
# Of a table, whether that is a trace that stays, and the guards that let nobody truncate it.
_CHANGES = """
SELECT c.oid, c.oid::regclass::text,
    c.relnamespace = 'pg_catalog'::regnamespace
        OR pg_stat_get_vacuum_count(c.oid) + pg_stat_get_autovacuum_count(c.oid)
            + pg_stat_get_analyze_count(c.oid) + pg_stat_get_autoanalyze_count(c.oid) > 0,
    ARRAY(
        SELECT quote_ident(t.tgname) FROM pg_trigger t
        WHERE t.tgrelid = c.oid AND t.tgtype & 32 > 0 AND t.tgenabled = 'A'
    ),
    NULL::bigint
FROM pg_class c
WHERE c.relkind = 'r' AND NOT c.relisshared
    AND pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_updated(c.oid)
        + pg_stat_get_tuples_deleted(c.oid)
        + pg_stat_get_vacuum_count(c.oid) + pg_stat_get_autovacuum_count(c.oid)
        + pg_stat_get_analyze_count(c.oid) + pg_stat_get_autoanalyze_count(c.oid) > 0
UNION ALL
SELECT c.oid, NULL, false, NULL, pg_sequence_last_value(c.oid) FROM pg_class c WHERE c.relkind = 'S'
"""
_FILLED = """
SELECT c.oid FROM pg_class c
WHERE c.relkind = 'r' AND c.relnamespace <> 'pg_catalog'::regnamespace AND pg_relation_size(c.oid) > 0
"""


@dataclass(frozen=True)
class _Template:
    """What a copy of it looks like: the tables that have rows, and how far the sequences are."""

    filled: frozenset[int]
    sequences: dict[int, int | None]


@dataclass
class _Copy:
    name: str
    state: tuple[Any, ...]
    uses: int = 0


class Databases:
    """Copies of databases, made, emptied and dropped by a connection that stays open."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._connection: psycopg.Connection[Any] | None = None
        self._templates: dict[str, _Template] = {}
        self._free: defaultdict[str, list[_Copy]] = defaultdict(list)

    def create(self, name: str, template: str) -> str:
        """The DSN of a new copy. Where nothing waits for a disk, files are copied faster than WAL."""
        strategy = "" if _GIVEN else "STRATEGY FILE_COPY"
        self._execute(f"CREATE DATABASE {{}} TEMPLATE {{}} {strategy}", name, template)
        return self._dsn(name)

    @contextmanager
    def lent(self, template: str) -> Iterator[str]:
        """The DSN of a copy of the template, of which nobody can tell whether it was used before."""
        copy = self._free[template].pop() if self._free[template] else self._new(template)
        copy.uses += 1
        try:
            yield self._dsn(copy.name)
        finally:
            if self._emptied(copy, template):
                copy.state = self._state(copy.name)
                self._free[template].append(copy)
            else:
                self.drop(copy.name)

    @contextmanager
    def filled(
        self, name: str, template: str, fill: Callable[[psycopg.Connection[Any]], object]
    ) -> Iterator[str]:
        """The name of a copy that ``fill`` has filled, to be copied in its turn: that is quicker."""
        name = pytest_plugin._database_name(name)
        with psycopg.connect(self.create(name, template), autocommit=True) as connection:
            fill(connection)
        yield name
        for copy in self._free.pop(name, []):
            self.drop(copy.name)
        self._templates.pop(name, None)
        self.drop(name)

    def drop(self, name: str) -> None:
        """Drop it, even with open connections.

        DROP DATABASE looks only ten times a second whether the last of them has gone: that is done here.
        """
        self._end_connections(name)
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    # --- used again -----------------------------------------------------------------------------------------

    def _new(self, template: str) -> _Copy:
        name = pytest_plugin._database_name(str(next(_numbers)))
        self.create(name, template)
        if not _GIVEN and template not in self._templates:
            with psycopg.connect(self._dsn(name), autocommit=True) as connection:
                self._templates[template] = _Template(
                    frozenset(oid for (oid,) in connection.execute(_FILLED)),
                    {oid: value for oid, table, *_, value in connection.execute(_CHANGES) if table is None},
                )
        return _Copy(name, self._state(name))

    def _emptied(self, copy: _Copy, template: str) -> bool:
        """Whether the copy is as new again; if not, it has to be dropped."""
        if _GIVEN or copy.uses >= _USES_MAX:
            return False
        self._end_connections(copy.name)  # a connection's counts are complete when it has ended
        if self._state(copy.name) != copy.state:
            return False
        with psycopg.connect(self._dsn(copy.name), autocommit=True) as connection:
            fresh = self._templates[template]
            tables, statements = [], []
            for oid, table, stays, guards, value in connection.execute(_CHANGES).fetchall():
                if stays or oid in fresh.filled:
                    return False
                if table is not None:
                    tables.append((table, guards))
                elif value != (before := fresh.sequences[oid]):
                    statements.append(_restart(oid, before))
            # The counters of this connection are to be set to nothing too.
            statements += [*_empty(tables), "SELECT pg_stat_force_next_flush()"]
            connection.execute(";".join(statements).encode())
            connection.execute("SELECT pg_stat_reset()")
        self._end_connections(copy.name)
        return True

    def _state(self, name: str) -> tuple[Any, ...]:
        row = self._connected().execute(_STATE, [name]).fetchone()
        return row or ()

    # --- the connection -------------------------------------------------------------------------------------

    def _dsn(self, name: str) -> str:
        return pytest_plugin._with_database(self._server, name)

    def _end_connections(self, name: str) -> None:
        deadline = time.monotonic() + _WAIT_SECONDS_MAX
        while self._connected().execute(_TERMINATE, [name]).fetchone() and time.monotonic() < deadline:
            time.sleep(0.001)

    def _execute(self, statement: str, *names: str) -> None:
        query = sql.SQL(statement).format(*map(sql.Identifier, names))  # type: ignore[arg-type]
        self._connected().execute(query)

    def _connected(self) -> psycopg.Connection[Any]:
        """A test may have ended every connection of the server."""
        if self._connection is not None:
            try:
                self._connection.execute("")
            except psycopg.OperationalError:
                self._connection.close()
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._server, autocommit=True, application_name="databases")
        return self._connection


def _restart(sequence: int, value: int | None) -> str:
    start = f"SELECT setval(seqrelid, seqstart, false) FROM pg_sequence WHERE seqrelid = {sequence}"
    return start if value is None else f"SELECT setval({sequence}, {value})"


def _empty(tables: list[tuple[str, list[str]]]) -> list[str]:
    """TRUNCATE, which leaves no dead row, past the guards."""
    if not tables:
        return []
    guards = [(table, name) for table, names in tables for name in names]
    return [
        "SET session_replication_role = replica",
        *(f"ALTER TABLE {table} DISABLE TRIGGER {name}" for table, name in guards),
        f"TRUNCATE ONLY {', ONLY '.join(table for table, _ in tables)}",
        *(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}" for table, name in guards),
    ]
