"""With SQLAlchemy's asyncio, usage and the application's rows commit and roll back together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import exc, text
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine

from pymeter import AsyncMeter, Meter
from pymeter.contrib.sqlalchemy import async_meter, meter
from pymeter.errors import UnknownMetric
from tests.contrib.conftest import Committed

KINDS = ("AsyncSession", "async_scoped_session", "AsyncConnection")


@asynccontextmanager
async def _engine(parameters: dict[str, Any], **options: Any) -> AsyncIterator[Any]:
    engine = create_async_engine("postgresql+psycopg://", connect_args=parameters, **options)
    yield engine
    await engine.dispose()


class _Work:
    """Adds an order and records its usage, through one of the kinds of things that a meter takes."""

    def __init__(self, kind: str, engine: Any) -> None:
        sessions = async_sessionmaker(engine)
        if kind == "AsyncConnection":
            self.on = engine.connect()
        elif kind == "AsyncSession":
            self.on = sessions()
        else:
            self.on = async_scoped_session(sessions, scopefunc=asyncio.current_task)
        self.meter = async_meter(self.on)

    async def order(self) -> None:
        await self.on.execute(text("INSERT INTO orders (account) VALUES ('acct_1')"))

    async def usage(self) -> None:
        await self.meter.record("acct_1", "tokens", 5)


def run(
    kind: str, parameters: dict[str, Any], work: Callable[[_Work], Coroutine[Any, Any, None]], **options: Any
) -> None:
    async def main() -> None:
        async with _engine(parameters, **options) as engine:
            made = _Work(kind, engine)
            if kind == "AsyncConnection":
                await made.on.start()
            try:
                await work(made)
            finally:
                await made.on.close()

    asyncio.run(main())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", ["order", "usage", "only usage"])
@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_usage_shares_the_fate_of_the_transaction_whatever_came_first(
    parameters: dict[str, Any], committed: Committed, kind: str, first: str, ends: str
) -> None:
    async def work(w: _Work) -> None:
        steps = {"order": (w.order, w.usage), "usage": (w.usage, w.order)}.get(first, (w.usage,))
        for _ in range(2):
            for step in steps:
                await step()
            await getattr(w.on, ends)()

    run(kind, parameters, work)
    times = 2 if ends == "commit" else 0
    assert committed() == (0 if first == "only usage" else times, times)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inner", ["commit", "rollback"])
@pytest.mark.parametrize("outer", ["commit", "rollback"])
def test_usage_shares_the_fate_of_its_savepoint(
    parameters: dict[str, Any], committed: Committed, kind: str, inner: str, outer: str
) -> None:
    async def work(w: _Work) -> None:
        savepoint = await w.on.begin_nested()
        await w.usage()
        await w.order()
        await getattr(savepoint, inner)()
        await w.usage()
        await getattr(w.on, outer)()

    run(kind, parameters, work)
    kept = 1 if (inner, outer) == ("commit", "commit") else 0
    assert committed() == (kept, kept + (outer == "commit"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_is_confined_by_a_savepoint_and_otherwise_fails_the_transaction(
    parameters: dict[str, Any], committed: Committed, kind: str
) -> None:
    async def work(w: _Work) -> None:
        await w.order()
        with pytest.raises(UnknownMetric):
            async with w.on.begin_nested():
                await w.meter.record("acct_1", "tokns", 5)
        await w.usage()
        await w.on.commit()
        await w.order()
        with pytest.raises(UnknownMetric):
            await w.meter.record("acct_1", "tokns", 5)
        with pytest.raises(exc.InternalError, match="aborted"):
            await w.order()
        with pytest.raises(psycopg.errors.InFailedSqlTransaction, match="savepoint"):
            await w.on.commit()
        await w.on.rollback()

    run(kind, parameters, work)
    assert committed() == (1, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_was_cancelled_fails_the_transaction(
    parameters: dict[str, Any],
    committed: Committed,
    connect: Any,
    wait_until_blocked: Any,
    kind: str,
) -> None:
    """By a timeout around it. The order before it is gone, so the commit must not look well."""
    parameters["application_name"] = "waiting"
    first = connect("first", autocommit=False)
    Meter(first).record("acct_1", "tokens", 5, idempotency_key="order_1")

    async def end(limit: asyncio.Timeout) -> None:
        await asyncio.to_thread(wait_until_blocked, connect("observer"), "waiting")
        limit.reschedule(asyncio.get_running_loop().time())

    async def work(w: _Work) -> None:
        await w.order()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as limit:
                ending = asyncio.create_task(end(limit))
                await w.meter.record("acct_1", "tokens", 5, idempotency_key="order_1")
        await ending
        with pytest.raises(psycopg.errors.InFailedSqlTransaction, match="savepoint"):
            await w.on.commit()
        await w.on.rollback()
        first.rollback()
        await w.order()
        await w.usage()
        await w.on.commit()

    run(kind, parameters, work)
    assert committed() == (1, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_connection_is_replaced_after_a_rollback(
    parameters: dict[str, Any], committed: Committed, connect: Any, kind: str
) -> None:
    async def work(w: _Work) -> None:
        pid = (await w.on.execute(text("SELECT pg_backend_pid()"))).scalar()
        connect().execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
        with pytest.raises(psycopg.OperationalError):
            await w.usage()
        await w.on.rollback()
        await w.order()
        await w.usage()
        await w.on.commit()

    run(kind, parameters, work)
    assert committed() == (1, 1)


def test_in_autocommit_every_call_commits(parameters: dict[str, Any], committed: Committed) -> None:
    async def work(w: _Work) -> None:
        await w.usage()
        assert committed() == (0, 1)
        await w.on.rollback()

    run("AsyncSession", parameters, work, isolation_level="AUTOCOMMIT")
    assert committed() == (0, 1)


def test_two_sessions_at_once_count_one_key_once(parameters: dict[str, Any], committed: Committed) -> None:
    async def main() -> None:
        async with _engine(parameters) as engine:

            async def order() -> str:
                async with AsyncSession(engine) as session, session.begin():
                    await session.execute(text("INSERT INTO orders (account) VALUES ('acct_1')"))
                    recorded = await async_meter(session).record(
                        "acct_1", "tokens", 5, idempotency_key="order_1"
                    )
                    return str(recorded.outcome)

            outcomes = await asyncio.gather(*(order() for _ in range(4)))
            assert sorted(outcomes) == ["duplicate"] * 3 + ["recorded"]

    asyncio.run(main())
    assert committed() == (4, 1)


def test_a_session_of_the_other_kind_is_refused_with_the_function_to_call(parameters: dict[str, Any]) -> None:
    async def main() -> None:
        async with _engine(parameters) as engine, AsyncSession(engine) as session:
            with pytest.raises(TypeError, match=r"Write async_meter\(\.\.\.\)"):
                meter(session)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match=r"Write meter\(\.\.\.\)"):
                async_meter(session.sync_session)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match=r"async_meter\(async_session\)"):
                await session.run_sync(lambda inner: meter(inner).usage("acct_1", "tokens"))
            with pytest.raises(TypeError, match=r"async with engine\.begin"):
                async_meter(engine)
            with pytest.raises(TypeError, match=r"async_meter\(session\).*pymeter.contrib.sqlalchemy"):
                AsyncMeter(session)  # type: ignore[arg-type]

    asyncio.run(main())
