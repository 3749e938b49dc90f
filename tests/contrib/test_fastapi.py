"""With FastAPI, a request's usage and rows commit before its response is sent, or roll back together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

import httpx
import psycopg
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
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
        if how == "catch":
            with pytest.raises(UnknownMetric):
                usage.record("acct_1", "tokns", 5)
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
        if how == "catch":
            with pytest.raises(UnknownMetric):
                await usage.record("acct_1", "tokns", 5)
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
        if how == "catch":
            with pytest.raises(UnknownMetric):
                usage.record("acct_1", "tokns", 5)
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
    given = Depends(get_session, scope="function")

    async def buy(session: Any, usage: AsyncMeter, how: str) -> dict[str, str]:
        await session.execute(text(_INSERT))
        await usage.record("acct_1", "tokens", 5)
        if how == "catch":
            with pytest.raises(UnknownMetric):
                await usage.record("acct_1", "tokns", 5)
        return _end(how)

    buy.__annotations__ |= {
        "session": Annotated[AsyncSession, given],
        "usage": Annotated[AsyncMeter, meter(given)],
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


@pytest.mark.parametrize("make", [_sync_pool, _async_pool, _sync_session, _async_session])
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


@pytest.mark.parametrize("make", [_sync_pool, _async_pool, _sync_session, _async_session])
def test_a_refusal_caught_without_a_savepoint_fails_the_request_that_cannot_be_committed(
    meter_dsn: str, committed: Committed, make: Any
) -> None:
    """PostgreSQL answers its COMMIT with a rollback and no error: the order would be lost with status 200."""
    with _client(make(meter_dsn)) as client:
        assert [client.post(f"/buy/{how}").status_code for how in ("catch", "well")] == [500, 200]
    assert committed() == (1, 1)


def test_more_requests_than_threads_wait_for_a_connection_and_get_it(
    meter_dsn: str, committed: Committed
) -> None:
    """If all 40 threads waited for one, the requests that have one could not go on: 500 after a timeout."""
    pool = ConnectionPool(meter_dsn, min_size=1, max_size=2, timeout=15, open=False)
    in_transaction = transaction(pool)
    app = FastAPI()

    def buy(connection: Any, usage: Meter) -> None:
        connection.execute(_INSERT)
        usage.record("acct_1", "tokens", 5)

    buy.__annotations__ |= {
        "connection": Annotated[psycopg.Connection, in_transaction],
        "usage": Annotated[Meter, meter(in_transaction)],
        "return": None,
    }
    app.post("/buy")(buy)

    async def main() -> list[int]:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop", timeout=60) as client:
            return [r.status_code for r in await asyncio.gather(*(client.post("/buy") for _ in range(60)))]

    with pool:
        assert asyncio.run(main()) == [200] * 60
    assert committed() == (60, 60)


def _later(source: Any, pool: Any, record: Any) -> FastAPI:
    """Endpoints that record when their response is sent, or has been."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with pool:
            yield

    app = FastAPI(lifespan=lifespan)

    def background(usage: Any, tasks: BackgroundTasks) -> None:
        tasks.add_task(record, usage)

    def stream(usage: Any) -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            await record(usage)
            yield b"recorded"

        return StreamingResponse(body())

    given = Annotated[Any, meter(source)]
    background.__annotations__ |= {"usage": given, "tasks": BackgroundTasks, "return": None}
    stream.__annotations__ = {"usage": given}
    app.post("/background")(background)
    app.post("/stream")(stream)
    return app


@pytest.mark.parametrize("path", ["background", "stream"])
def test_after_its_request_a_meter_records_nothing_in_the_transaction_of_another(
    meter_dsn: str, committed: Committed, path: str
) -> None:
    """The connection is back in the pool: another request's rollback would undo what was `recorded`."""
    pool = AsyncConnectionPool(meter_dsn, min_size=1, max_size=1, open=False)
    refused = []

    async def record(usage: AsyncMeter) -> None:
        with pytest.raises(RuntimeError, match="ended with its request") as caught:
            await usage.record("acct_1", "tokens", 5)
        refused.append(str(caught.value))

    with _client(_later(transaction(pool), pool, record)) as client:
        for _ in range(2):
            client.post(f"/{path}")
    assert len(refused) == 2
    assert "AsyncMeter(pool)" in refused[0]
    assert committed() == (0, 0)


@pytest.mark.parametrize("path", ["background", "stream"])
@pytest.mark.parametrize("scope", ["function", None])
def test_a_meter_lives_as_long_as_the_session_that_it_was_given(
    meter_dsn: str, committed: Committed, path: str, scope: Any
) -> None:
    """With FastAPI's default scope, a session is committed after the background tasks."""
    engine = create_async_engine(
        "postgresql+psycopg://", async_creator=lambda: psycopg.AsyncConnection.connect(meter_dsn)
    )

    async def get_session() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine) as session, session.begin():
            yield session
        await engine.dispose()

    async def record(usage: AsyncMeter) -> None:
        if scope == "function":
            with pytest.raises(RuntimeError, match="ended with its request"):
                await usage.record("acct_1", "tokens", 5)
        else:
            await usage.record("acct_1", "tokens", 5)

    idle = AsyncConnectionPool(meter_dsn, min_size=0, max_size=1, open=False)
    with _client(_later(Depends(get_session, scope=scope), idle, record)) as client:
        client.post(f"/{path}")
    assert committed() == (0, 0 if scope == "function" else 1)


def test_what_is_no_pool_or_dependency_is_refused_when_the_application_is_made(meter_dsn: str) -> None:
    with psycopg.connect(meter_dsn) as connection, pytest.raises(TypeError, match="cannot share a conn"):
        transaction(connection)  # type: ignore[arg-type]
    for given in (meter_dsn, None, create_engine("sqlite://")):
        with pytest.raises(TypeError, match="transaction takes a"):
            transaction(given)  # type: ignore[arg-type]
    for source in (ConnectionPool(open=False), Session, "get_session"):
        with pytest.raises(TypeError, match=r"transaction\(pool\), Depends\(get_session\)"):
            meter(source)
