"""Through pgbouncer in transaction mode: many clients share a few sessions, and nothing gets mixed up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from pymeter import AsyncMeter, Meter
from pymeter.migrate import migrate, status
from tests.faults.bouncer import pgbouncer, program
from tests.faults.storms import assert_calm, run_storm
from tests.helpers import Ledger

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason="pgbouncer is not installed (Debian: pgbouncer)"),
]

CLIENTS = 16
# psycopg would prepare a statement at its sixth execution.
CALLS = 12
# pgbouncer knows prepared statements since 1.21 only.
NEVER = {"prepare_threshold": None}


@pytest.fixture
def bounced(meter_dsn: str) -> Iterator[str]:
    with pgbouncer(meter_dsn) as dsn:
        yield dsn


def test_every_sync_client_gets_its_own_answers(bounced: str, ledger: Ledger) -> None:
    ledger.define("tokens", "sum")

    def work(client: int) -> None:
        with psycopg.connect(bounced, prepare_threshold=None) as connection:
            meter = Meter(connection)
            for n in range(1, CALLS + 1):
                recorded = meter.record(f"acct_{client}", "tokens", 1, idempotency_key=f"key_{n}")
                assert (recorded.outcome, recorded.quantity) == ("recorded", Decimal(n))
                connection.commit()
                assert meter.usage(f"acct_{client}", "tokens").event_count == n
                repeat = {"subject": f"acct_{client}", "metric": "tokens", "quantity": 1}
                assert meter.record_batch([repeat | {"idempotency_key": "key_1"}])[0].outcome == "duplicate"
                connection.rollback()

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, range(CLIENTS)))
    assert ledger.value("SELECT count(*) FROM meter.events") == CLIENTS * CALLS
    assert ledger.verify() == []


def test_every_async_client_gets_its_own_answers(bounced: str, ledger: Ledger) -> None:
    ledger.define("tokens", "sum")

    async def work(client: int) -> None:
        async with await psycopg.AsyncConnection.connect(bounced, prepare_threshold=None) as connection:
            meter = AsyncMeter(connection)
            for n in range(1, CALLS + 1):
                recorded = await meter.record(f"acct_{client}", "tokens", 1, idempotency_key=f"key_{n}")
                assert (recorded.outcome, recorded.quantity) == ("recorded", Decimal(n))
                await connection.commit()
                assert (await meter.check_quota(f"acct_{client}", "tokens", CALLS)).used == n
                await connection.rollback()

    async def all_of_them() -> None:
        await asyncio.gather(*(work(client) for client in range(CLIENTS)))

    asyncio.run(all_of_them())
    assert ledger.value("SELECT count(*) FROM meter.events") == CLIENTS * CALLS
    assert ledger.verify() == []


def test_a_pool_of_the_clients_own_works_in_front_of_it(bounced: str, ledger: Ledger) -> None:
    ledger.define("tokens", "sum")
    with (
        ConnectionPool(bounced, kwargs=NEVER, min_size=4, max_size=8) as pool,
        ThreadPoolExecutor(CLIENTS) as threads,
    ):
        meter = Meter(pool)
        list(threads.map(lambda n: meter.record("acct_1", "tokens", 1, idempotency_key=str(n)), range(100)))

    async def again() -> None:
        async with AsyncConnectionPool(bounced, kwargs=NEVER, min_size=4, max_size=8, open=False) as pool:
            meter = AsyncMeter(pool)
            calls = (meter.record("acct_1", "tokens", 1, idempotency_key=str(n)) for n in range(100))
            assert {recorded.outcome for recorded in await asyncio.gather(*calls)} == {"duplicate"}

    asyncio.run(again())
    assert ledger.usage("acct_1", "tokens").event_count == 100


def test_migrate_works_through_it(bounced: str) -> None:
    assert status(bounced).up_to_date
    assert not migrate(bounced).changed
    assert migrate(bounced, "second").changed


def test_a_storm_through_it_counts_each_event_once(bounced: str) -> None:
    assert_calm(run_storm(bounced, sessions=CLIENTS, events=300, pooled=True))
