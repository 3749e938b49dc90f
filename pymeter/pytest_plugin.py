"""Fixtures that give a test a migrated meter, with no server to set up.

    def test_my_code(meter):
        meter.define_metric("tokens", "sum", "token")
        my_code(meter)
        assert meter.usage("acct_1", "tokens").quantity == 120

meter_dsn         the DSN of a database of the test's own, with pymeter in schema ``meter``
meter_connection  a psycopg connection to it, in transactions that the test controls
meter             a pymeter.Meter on a connection of its own that commits every call
async_meter       a pymeter.AsyncMeter on the same database, whatever runs the async tests
pymeter_server    (session) the server: PYMETER_TEST_DSN, else a private temporary one (extra ``embedded``)
pymeter_template  (session) the database that is migrated once and copied for every test
pymeter_migrate   (session) what migrates it: override it to install something else beside pymeter

pytest loads this module in every run, so at the top it imports nothing but pytest.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import psycopg
    from pytest_postgresql.janitor import DatabaseJanitor

    from pymeter.async_client import AsyncMeter
    from pymeter.client import Meter

_numbers = count(1)


@pytest.fixture(scope="session")
def pymeter_server() -> Iterator[str]:
    """The DSN of the server that test databases are created on, by a role that may create them."""
    if dsn := os.environ.get("PYMETER_TEST_DSN"):
        yield _url(dsn)
        return
    from pymeter.embedded import EmbeddedError, temporary_server

    try:
        with temporary_server() as dsn:
            yield dsn
    except EmbeddedError as error:
        pytest.fail(f"{error} (in PYMETER_TEST_DSN)", pytrace=False)


@pytest.fixture(scope="session")
def pymeter_migrate() -> Callable[[str], object]:
    """Called with the DSN of the template database, once."""
    from pymeter.migrate import migrate

    return migrate


@pytest.fixture(scope="session")
def pymeter_template(pymeter_server: str, pymeter_migrate: Callable[[str], object]) -> Iterator[str]:
    """The name of the database that every test's own is copied from."""
    name = _database_name("template")
    with _janitor(pymeter_server, name, as_template=True):
        pymeter_migrate(_with_database(pymeter_server, name))
        yield name


@pytest.fixture
def meter_dsn(pymeter_server: str, pymeter_template: str) -> Iterator[str]:
    """The DSN of a database of this test's own. It is dropped at the end, even with open connections."""
    name = _database_name(str(next(_numbers)))
    with _janitor(pymeter_server, name, template_dbname=pymeter_template):
        yield _with_database(pymeter_server, name)


@pytest.fixture
def meter_connection(meter_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the test's database. Nothing is committed unless the test commits it."""
    import psycopg

    connection = psycopg.connect(meter_dsn)
    yield connection
    connection.close()


@pytest.fixture
def meter(meter_dsn: str) -> Iterator[Meter]:
    """A meter whose every call is committed."""
    import psycopg

    from pymeter.client import Meter

    with psycopg.connect(meter_dsn, autocommit=True) as connection:
        yield Meter(connection)


@pytest.fixture
def async_meter(meter_dsn: str) -> AsyncMeter:
    """A meter for async tests, on the same database as ``meter``. Every call is committed.

    The fixture is not async itself, so no plugin has to know it. A connection belongs to the event loop that
    opened it, and only the test knows its loop; so every call opens a connection and closes it.
    """
    from pymeter.async_client import AsyncMeter

    return AsyncMeter(_Connections(meter_dsn))


class _Connections:
    """A pool that keeps no connection."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        import psycopg

        async with await psycopg.AsyncConnection.connect(self._dsn) as connection:
            yield connection


def _database_name(suffix: str) -> str:
    """A name that no other run and no other worker of pytest-xdist uses on the same server."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return f"pymeter_test_{os.getpid()}_{worker}_{suffix}"


def _url(dsn: str) -> str:
    """``dsn`` as a URL, because that is the form that most programs take."""
    if "://" in dsn:
        return dsn
    from urllib.parse import quote, urlencode

    from psycopg.conninfo import conninfo_to_dict

    parameters = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    user, database = quote(parameters.pop("user", ""), safe=""), quote(parameters.pop("dbname", ""), safe="")
    return f"postgresql://{user}{'@' if user else ''}/{database}?{urlencode(parameters)}"


def _with_database(dsn: str, name: str) -> str:
    """The URL ``dsn`` with another database."""
    from urllib.parse import urlsplit

    return urlsplit(dsn)._replace(path=f"/{name}").geturl()


def _janitor(dsn: str, name: str, **options: Any) -> DatabaseJanitor:
    """pytest-postgresql's janitor for one database of a server that is already running.

    Its own fixtures want to know the server when they are declared, or to start one with pg_ctl, which
    refuses root.
    """
    try:
        from pytest_postgresql.janitor import DatabaseJanitor
    except ImportError:
        pytest.fail("these fixtures need more: pip install 'pymeter-ledger[pytest]'", pytrace=False)
    from psycopg.conninfo import conninfo_to_dict
    from psycopg.sql import SQL, Composed

    class Janitor(DatabaseJanitor):
        """Copies the files of the template where nothing waits for a disk: 3 times as fast there as WAL."""

        def _build_create_database_sql(self) -> Composed:
            query = super()._build_create_database_sql()
            return query if "PYMETER_TEST_DSN" in os.environ else query + SQL(" STRATEGY FILE_COPY")

    server = conninfo_to_dict(dsn)
    return Janitor(
        user=str(server.get("user") or os.environ.get("PGUSER") or "postgres"),
        password=server.get("password"),  # type: ignore[arg-type]
        host=str(server.get("host") or os.environ.get("PGHOST") or ""),
        port=server.get("port") or os.environ.get("PGPORT") or 5432,
        dbname=name,
        maintenance_dbname=str(server.get("dbname") or "postgres"),
        **options,
    )
