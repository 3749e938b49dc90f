"""With FastAPI, a request's usage and rows commit before its response is sent, or roll back together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

import psycopg
import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from pymeter import AsyncMeter, Meter
from pymeter.contrib.fastapi import meter, transaction
from pymeter.errors import UnknownMetric
from tests.contrib.conftest import Committed

_INSERT = "INSERT INTO orders (account) VALUES ('acct_1')"


def _end(how: str) -> dict[str, str]:
    if how == "refuse":
        raise HTTPException(402, "pay first")
    if how == "break":
        raise RuntimeError
    return {"ends": how}


def _sync_pool(dsn: str, **kwargs: Any) -> FastAPI:
    pool = ConnectionPool(dsn, min_size=1, open=False, kwargs=kwargs)
    in_transaction = transaction(pool)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with pool:
            yield

    app = FastAPI(lifespan=lifespan)

    def buy(connection: Any, usage: Meter, how: str) -> dict[str, str]:
        connection.execute(_INSERT)
        usage.record("acct_1", "tokens", 5)
        return _end(how)

    buy.__annotations__ |= {
        "connection": Annotated[psycopg.Connection, in_transaction],
        "usage": Annotated[Meter, meter(in_transaction)],
        "how": str,
        "return": dict[str, str],
    }
    app.post("/buy/{how}")(buy)
    return app


def _async_pool(dsn: str, **kwargs: Any) -> FastAPI:
    pool = AsyncConnectionPool(dsn, min_size=1, open=False, kwargs=kwargs)
    in_transaction = transaction(pool)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with pool:
            yield

    app = FastAPI(lifespan=lifespan)

    async def buy(connection: Any, usage: AsyncMeter, how: str) -> dict[str, str]:
        await connection.execute(_INSERT)
        await usage.record("acct_1", "tokens", 5)
        return _end(how)

    buy.__annotations__ |= {
        "connection": Annotated[psycopg.AsyncConnection, in_transaction],
        "usage": Annotated[AsyncMeter, meter(in_transaction)],
        "how": str,
        "return": dict[str, str],
    }
    app.post("/buy/{how}")(buy)
    return app


def _sync_session(dsn: str) -> FastAPI:
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn))

    def get_session() -> Iterator[Session]:
        with Session(engine) as session, session.begin():
            yield session

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        engine.dispose()

    app = FastAPI(lifespan=lifespan)
    given = Depends(get_session, scope="function")

    def buy(session: Any, usage: Meter, how: str) -> dict[str, str]:
        session.execute(text(_INSERT))
        usage.record("acct_1", "tokens", 5)
        return _end(how)

    buy.__annotations__ |= {
        "session": Annotated[Session, given],
        "usage": Annotated[Meter, meter(given)],
        "how": str,
        "return": dict[str, str],
    }
    app.post("/buy/{how}")(buy)
    return app


def _async_session(dsn: str) -> FastAPI:
    engine = create_async_engine(
        "postgresql+psycopg://", async_creator=lambda: psycopg.AsyncConnection.connect(dsn)
    )

    async def get_session() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine) as session, session.begin():
            yield session

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    async def buy(session: Any, usage: AsyncMeter, how: str) -> dict[str, str]:
        await session.execute(text(_INSERT))
        await usage.record("acct_1", "tokens", 5)
        return _end(how)

    buy.__annotations__ |= {
        "session": Annotated[AsyncSession, Depends(get_session)],
        "usage": Annotated[AsyncMeter, meter(get_session)],
        "how": str,
        "return": dict[str, str],
    }
    app.post("/buy/{how}")(buy)
    return app


@contextmanager
def _client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("make", [_sync_pool, _async_pool, _sync_session, _async_session])
def test_a_request_commits_its_rows_and_its_usage_or_neither(
    meter_dsn: str, committed: Committed, make: Any
) -> None:
    with _client(make(meter_dsn)) as client:
        statuses = [client.post(f"/buy/{how}").status_code for how in ("well", "refuse", "break", "well")]
    assert statuses == [200, 402, 500, 200]
    assert committed() == (2, 2)


@pytest.mark.parametrize("make", [_sync_pool, _async_pool])
def test_a_request_is_one_transaction_even_if_the_pool_is_in_autocommit(
    meter_dsn: str, committed: Committed, make: Any
) -> None:
    with _client(make(meter_dsn, autocommit=True)) as client:
        assert [client.post(f"/buy/{how}").status_code for how in ("refuse", "well")] == [402, 200]
    assert committed() == (1, 1)


@pytest.mark.parametrize("make", [_sync_pool, _async_pool, _sync_session])
def test_a_commit_that_fails_is_the_answer_to_the_request(
    meter_dsn: str, committed: Committed, meter: Meter, make: Any, connect: Any
) -> None:
    """With FastAPI's default scope the response, 200, would have been sent before."""
    connect().execute("ALTER TABLE orders ADD UNIQUE (account) DEFERRABLE INITIALLY DEFERRED")
    with _client(make(meter_dsn)) as client:
        assert [client.post("/buy/well").status_code for _ in range(2)] == [200, 500]
    assert committed() == (1, 1)


def test_a_refusal_that_a_savepoint_confines_leaves_the_request(meter_dsn: str, committed: Committed) -> None:
    pool = ConnectionPool(meter_dsn, min_size=1, open=False)
    in_transaction = transaction(pool)
    app = FastAPI()

    def buy(connection: Any, usage: Any) -> str:
        usage.record("acct_1", "tokens", 5)
        with pytest.raises(UnknownMetric), connection.transaction():
            usage.record("acct_1", "tokns", 5)
        connection.execute(_INSERT)
        return "bought"

    buy.__annotations__ |= {
        "connection": Annotated[psycopg.Connection, in_transaction],
        "usage": Annotated[Meter, meter(in_transaction)],
    }
    app.post("/buy")(buy)
    with pool, _client(app) as client:
        assert client.post("/buy").status_code == 200
    assert committed() == (1, 1)


def test_what_is_no_pool_or_dependency_is_refused_when_the_application_is_made(meter_dsn: str) -> None:
    with psycopg.connect(meter_dsn) as connection, pytest.raises(TypeError, match="cannot share a conn"):
        transaction(connection)  # type: ignore[arg-type]
    for given in (meter_dsn, None, create_engine("sqlite://")):
        with pytest.raises(TypeError, match="transaction takes a"):
            transaction(given)  # type: ignore[arg-type]
    for source in (ConnectionPool(open=False), Session, "get_session"):
        with pytest.raises(TypeError, match=r"transaction\(pool\), Depends\(get_session\)"):
            meter(source)
