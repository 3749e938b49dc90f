"""Metering shares the caller's transaction; with a pool, every call has its own; no session state is left."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from pymeter import AsyncMeter, Meter
from pymeter.errors import UnknownMetric


@pytest.fixture(autouse=True)
def tokens(meter: Meter) -> None:
    meter.define_metric("tokens", "sum", "token")


def test_what_the_caller_rolls_back_was_not_counted(
    meter: Meter, meter_connection: psycopg.Connection[Any]
) -> None:
    Meter(meter_connection).record("acct_1", "tokens", 120)
    assert meter_connection.info.transaction_status == TransactionStatus.INTRANS
    assert meter.usage("acct_1", "tokens").quantity == 0
    meter_connection.rollback()
    assert Meter(meter_connection).usage("acct_1", "tokens").quantity == 0


def test_what_the_caller_commits_is_counted(meter: Meter, meter_connection: psycopg.Connection[Any]) -> None:
    Meter(meter_connection).record("acct_1", "tokens", 120)
    meter_connection.commit()
    assert meter.usage("acct_1", "tokens").quantity == 120


def test_a_savepoint_confines_a_refusal(meter_connection: psycopg.Connection[Any]) -> None:
    inner = Meter(meter_connection)
    inner.record("acct_1", "tokens", 1)
    with pytest.raises(UnknownMetric), meter_connection.transaction():
        inner.record("acct_1", "tokns", 1)
    assert inner.record("acct_1", "tokens", 1).quantity == 2


def test_a_pool_commits_every_call(meter: Meter, meter_dsn: str) -> None:
    with ConnectionPool(meter_dsn, min_size=1, open=True) as pool:
        pooled = Meter(pool)
        pooled.record("acct_1", "tokens", 120)
        assert meter.usage("acct_1", "tokens").quantity == 120
        with pytest.raises(UnknownMetric):
            pooled.record("acct_1", "tokns", 1)
        assert pooled.record("acct_1", "tokens", 1).quantity == 121


def test_an_async_pool_commits_every_call(meter: Meter, meter_dsn: str) -> None:
    async def work() -> None:
        async with AsyncConnectionPool(meter_dsn, min_size=1, open=False) as pool:
            pooled = AsyncMeter(pool)
            results = await asyncio.gather(
                *(pooled.record("acct_1", "tokens", 1, idempotency_key=f"k{i % 5}") for i in range(20))
            )
            assert sorted(r.outcome for r in results) == ["duplicate"] * 15 + ["recorded"] * 5

    asyncio.run(work())
    assert meter.usage("acct_1", "tokens").quantity == 5


def test_an_async_connection_is_never_committed(meter: Meter, meter_dsn: str) -> None:
    async def work() -> None:
        async with await psycopg.AsyncConnection.connect(meter_dsn) as connection:
            await AsyncMeter(connection).record("acct_1", "tokens", 120)
            await connection.rollback()

    asyncio.run(work())
    assert meter.usage("acct_1", "tokens").quantity == 0


def test_creating_a_client_does_no_io() -> None:
    class NeverLends:
        def connection(self) -> Any:
            raise AssertionError("a connection was taken")

    assert repr(Meter(NeverLends(), schema="billing")) == "Meter(schema='billing')"
    assert repr(AsyncMeter(NeverLends())) == "AsyncMeter(schema='meter')"


@pytest.mark.parametrize("kind", [Meter, AsyncMeter])
def test_something_else_than_a_connection_is_refused_at_once(kind: Any) -> None:
    with pytest.raises(TypeError, match="takes a psycopg"):
        kind("postgresql:///app")


def test_a_connection_of_the_other_world_is_refused_at_once(
    meter_connection: psycopg.Connection[Any],
) -> None:
    with pytest.raises(TypeError):
        AsyncMeter(meter_connection)  # type: ignore[arg-type]


def prepared(connection: psycopg.Connection[Any]) -> Any:
    row = connection.cursor(row_factory=tuple_row).execute(
        "SELECT count(*) FROM pg_prepared_statements", prepare=False
    )
    return row.fetchone()[0]  # type: ignore[index]


def test_no_prepared_statement_is_left_behind_where_the_connection_or_the_meter_says_so(
    meter_connection: psycopg.Connection[Any],
) -> None:
    """A pgbouncer that pools transactions gives every one another server session."""
    for _ in range(10):
        Meter(meter_connection, prepare=False).usage("acct_1", "tokens")
    assert prepared(meter_connection) == 0
    meter_connection.prepare_threshold = None
    for _ in range(10):
        Meter(meter_connection).usage("acct_1", "tokens")
    assert prepared(meter_connection) == 0


def test_a_call_is_prepared_after_five_uses_or_at_once_if_asked_for(
    meter_connection: psycopg.Connection[Any],
) -> None:
    for _ in range(5):
        Meter(meter_connection).usage("acct_1", "tokens")
    assert prepared(meter_connection) == 0
    Meter(meter_connection).usage("acct_1", "tokens")
    assert prepared(meter_connection) == 1
    Meter(meter_connection, prepare=True).catalog()
    assert prepared(meter_connection) == 2


def test_two_sessions_behind_one_client_are_enough(meter_dsn: str) -> None:
    """What a transaction-pooling pgbouncer does: each call may meet another session."""
    sessions = [psycopg.connect(meter_dsn, autocommit=True) for _ in range(2)]

    class Pgbouncer:
        turn = 0

        def connection(self) -> Any:
            self.turn += 1
            return nullcontext(sessions[self.turn % 2])

    pooled = Meter(Pgbouncer())
    for expected in range(1, 9):
        assert pooled.record("acct_1", "tokens", 1).quantity == expected
    for session in sessions:
        session.close()
