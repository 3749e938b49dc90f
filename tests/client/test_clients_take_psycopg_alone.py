"""What is no psycopg connection or pool is refused at once, with the line to write instead."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
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


def test_objects_of_sqlalchemy_are_refused_with_the_line_to_write(engine: Any) -> None:
    from sqlalchemy.orm import Session, scoped_session, sessionmaker

    line = r"Meter\(session.connection\(\).connection.driver_connection\)"
    for source in (Session(engine), scoped_session(sessionmaker(engine)), sessionmaker(engine)):
        with pytest.raises(TypeError, match=line):
            Meter(source)
    with pytest.raises(
        TypeError, match=r"engine.begin\(\).*Meter\(connection.connection.driver_connection\)"
    ):
        Meter(engine)
    with engine.connect() as connection:
        with pytest.raises(TypeError, match=r"Write Meter\(connection.connection.driver_connection\)"):
            Meter(connection)
        with pytest.raises(TypeError, match=r"Write Meter\(connection.driver_connection\)"):
            Meter(connection.connection)


def test_that_line_shares_the_transaction_of_a_session(engine: Any, ledger: Ledger) -> None:
    from sqlalchemy import text
    from sqlalchemy.orm import Session

    ledger.define("tokens", "sum")
    with Session(engine) as session:
        session.execute(text("CREATE TABLE orders (id integer)"))
        session.commit()
        for ends in (session.rollback, session.commit):
            session.execute(text("INSERT INTO orders VALUES (1)"))
            meter = Meter(session.connection().connection.driver_connection)  # type: ignore[arg-type]
            meter.record("acct_1", "tokens", Decimal(5))
            assert ledger.value("SELECT count(*) FROM meter.events") == 0
            ends()
        assert session.scalar(text("SELECT count(*) FROM orders")) == 1
    assert ledger.value("SELECT sum(quantity) FROM meter.events") == 5


def test_that_line_shares_the_transaction_of_an_engines_connection(engine: Any, ledger: Ledger) -> None:
    ledger.define("tokens", "sum")
    with engine.begin() as connection:
        Meter(connection.connection.driver_connection).record("acct_1", "tokens", 5)
        assert ledger.value("SELECT count(*) FROM meter.events") == 0
    assert ledger.value("SELECT count(*) FROM meter.events") == 1


def test_that_line_shares_the_transaction_of_an_asynchronous_session(meter_dsn: str, ledger: Ledger) -> None:
    pytest.importorskip("greenlet")
    asyncio_of = pytest.importorskip("sqlalchemy.ext.asyncio")
    ledger.define("tokens", "sum")

    async def run() -> None:
        made = asyncio_of.create_async_engine(
            "postgresql+psycopg://", async_creator=lambda: psycopg.AsyncConnection.connect(meter_dsn)
        )
        async with asyncio_of.AsyncSession(made) as session:
            with pytest.raises(TypeError, match=r"get_raw_connection\(\)\)\.driver_connection\)"):
                AsyncMeter(session)
            for ends in (session.rollback, session.commit):
                raw = await (await session.connection()).get_raw_connection()
                await AsyncMeter(raw.driver_connection).record("acct_1", "tokens", 5)
                await ends()
        await made.dispose()

    asyncio.run(run())
    assert ledger.value("SELECT count(*) FROM meter.events") == 1


# --- Django -------------------------------------------------------------------------------------------------


def test_a_connection_of_django_is_refused_and_the_line_shares_its_transaction(
    meter_dsn: str, ledger: Ledger
) -> None:
    pytest.importorskip("django")
    from django.conf import settings
    from django.db import ConnectionHandler

    if not settings.configured:
        settings.configure()
    given = conninfo_to_dict(meter_dsn)
    database = {"ENGINE": "django.db.backends.postgresql", "NAME": given["dbname"], "USER": given["user"]}
    database |= {"HOST": given.get("host", ""), "PORT": given.get("port", ""), "ATOMIC_REQUESTS": False}
    connection = ConnectionHandler({"default": database})["default"]
    ledger.define("tokens", "sum")
    with pytest.raises(TypeError, match=r"Write Meter\(connection.connection\), after"):
        Meter(connection)
    with pytest.raises(TypeError, match="ensure_connection"):
        Meter(connection.connection)
    connection.ensure_connection()
    try:
        for fails in (True, False):
            connection.set_autocommit(False)  # as transaction.atomic() does
            Meter(connection.connection).record("acct_1", "tokens", 5)
            assert ledger.value("SELECT count(*) FROM meter.events") == 0
            (connection.rollback if fails else connection.commit)()
            connection.set_autocommit(True)
    finally:
        connection.close()
    assert ledger.value("SELECT count(*) FROM meter.events") == 1


# --- migrate ------------------------------------------------------------------------------------------------


def test_migrate_takes_a_dsn(meter_dsn: str) -> None:
    with psycopg.connect(meter_dsn) as connection:
        for source in (connection, None, 5, ConnectionPool(open=False)):
            with pytest.raises(TypeError, match=r"migrate takes a DSN.*Write migrate\("):
                migrate(source)  # type: ignore[arg-type]


def test_migrate_names_the_dsn_of_an_engine(engine: Any) -> None:
    with pytest.raises(TypeError, match=r"engine.url.render_as_string\(hide_password=False\)"):
        migrate(engine)
