"""What is no psycopg connection or pool is refused at once, with the line to write instead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from pymeter import AsyncMeter, Meter, migrate
from pymeter.report import AsyncReporter, Reporter
from tests.helpers import Ledger, ledger

__all__ = ["ledger"]


class _Biller:
    rate = timeout = 1.0


def _clients() -> list[Any]:
    """Everything that takes a database."""
    return [
        Meter,
        AsyncMeter,
        lambda source: Reporter(source, _Biller()),  # type: ignore[arg-type]
        lambda source: AsyncReporter(source, _Biller()),  # type: ignore[arg-type]
    ]


@pytest.mark.parametrize("client", _clients(), ids=["Meter", "AsyncMeter", "Reporter", "AsyncReporter"])
@pytest.mark.parametrize(
    "source", ["postgresql:///app", b"dbname=app", None, 5, psycopg.Connection, object()]
)
def test_what_is_no_connection_is_refused(client: Any, source: Any) -> None:
    with pytest.raises(TypeError, match="takes a"):
        client(source)


def test_a_dsn_is_refused_with_the_line_to_write() -> None:
    with pytest.raises(TypeError, match=r"Meter\(psycopg.connect\(dsn\)\)"):
        Meter("postgresql:///app")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"AsyncMeter\(await psycopg.AsyncConnection.connect\(dsn\)\)"):
        AsyncMeter("postgresql:///app")  # type: ignore[arg-type]


def test_a_pool_of_the_other_kind_is_refused_with_the_client_to_write() -> None:
    sync_pool, async_pool = ConnectionPool(open=False), AsyncConnectionPool(open=False)
    for client, pool, other in (
        (Meter, async_pool, "AsyncMeter"),
        (AsyncMeter, sync_pool, r"Write Meter\("),
        (lambda source: Reporter(source, _Biller()), async_pool, "AsyncReporter"),  # type: ignore[arg-type]
        (lambda source: AsyncReporter(source, _Biller()), sync_pool, r"Write Reporter\("),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match=other):
            client(pool)  # type: ignore[operator]


def test_a_pool_of_the_users_own_is_taken(ledger: Ledger, meter_dsn: str) -> None:
    class Pool:
        @contextmanager
        def connection(self) -> Iterator[psycopg.Connection[Any]]:
            with psycopg.connect(meter_dsn) as connection:
                yield connection

    ledger.define("tokens", "sum")
    assert Meter(Pool()).record("acct_1", "tokens", 5).quantity == 5
    assert Meter(Pool()).usage("acct_1", "tokens").quantity == 5


def test_a_pool_that_lends_something_else_is_refused_before_anything_is_sent() -> None:
    class Pool:
        @contextmanager
        def connection(self) -> Iterator[Any]:
            yield object()

    with pytest.raises(TypeError, match="not a psycopg connection"):
        Meter(Pool()).catalog()


# --- SQLAlchemy ---------------------------------------------------------------------------------------------


@pytest.fixture
def engine(meter_dsn: str) -> Iterator[Any]:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    made = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(meter_dsn))
    yield made
    made.dispose()


def test_objects_of_sqlalchemy_are_refused_with_the_module_that_takes_them(engine: Any) -> None:
    from sqlalchemy.orm import Session, scoped_session, sessionmaker

    with engine.connect() as connection:
        sessions = (Session(engine), scoped_session(sessionmaker(engine)), sessionmaker(engine))
        for source in (*sessions, engine, connection, connection.connection):
            for client in (Meter, AsyncMeter):
                with pytest.raises(TypeError, match=r"meter\(session\), .* pymeter.contrib.sqlalchemy"):
                    client(source)


@pytest.mark.parametrize(
    ("reporter", "pool"), [(Reporter, "ConnectionPool"), (AsyncReporter, "AsyncConnectionPool")]
)
def test_a_reporter_needs_a_pool_of_its_own(engine: Any, reporter: Any, pool: str) -> None:
    with pytest.raises(TypeError, match=rf"Give {reporter.__name__} a psycopg_pool.{pool} of its own"):
        reporter(engine, _Biller())


# --- Django -------------------------------------------------------------------------------------------------


def test_a_connection_of_django_is_refused_with_the_module_that_takes_it() -> None:
    pytest.importorskip("django")
    from django.conf import settings
    from django.db import ConnectionHandler

    if not settings.configured:
        settings.configure()
    connection = ConnectionHandler({"default": {"ENGINE": "django.db.backends.postgresql"}})["default"]
    for client in (Meter, AsyncMeter):
        with pytest.raises(TypeError, match=r"meter\(\), .* pymeter.contrib.django"):
            client(connection)
    with pytest.raises(TypeError, match="ensure_connection"):
        Meter(connection.connection)


# --- migrate ------------------------------------------------------------------------------------------------


def test_migrate_takes_a_dsn(meter_dsn: str) -> None:
    with psycopg.connect(meter_dsn) as connection:
        for source in (connection, None, 5, ConnectionPool(open=False)):
            with pytest.raises(TypeError, match=r"migrate takes a DSN.*Write migrate\("):
                migrate(source)  # type: ignore[arg-type]


def test_migrate_names_the_dsn_of_an_engine(engine: Any) -> None:
    with pytest.raises(TypeError, match=r"engine.url.render_as_string\(hide_password=False\)"):
        migrate(engine)
