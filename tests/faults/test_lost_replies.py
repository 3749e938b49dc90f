"""P2: the connection is lost between send and reply. The retry with the same key counts once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pymeter import AsyncMeter, Meter
from tests.faults.proxy import Proxy, lossy
from tests.helpers import Ledger

LOSSES = {"request": 0, "reply": 1, "half the reply": 1}  # events that the server has counted by then


@pytest.fixture
def way(meter_dsn: str) -> Iterator[tuple[Proxy, str]]:
    with lossy(meter_dsn) as found:
        yield found


def _events(subject: str) -> list[dict[str, Any]]:
    return [
        {"subject": subject, "metric": "tokens", "quantity": 2, "idempotency_key": f"key_{n}"}
        for n in range(3)
    ]


@pytest.mark.parametrize(("loss", "counted"), LOSSES.items())
@pytest.mark.parametrize("call", ["record", "record_batch"])
def test_a_retry_after_a_lost_connection_counts_once(
    way: tuple[Proxy, str], ledger: Ledger, loss: str, counted: int, call: str
) -> None:
    ledger.define("tokens", "sum")
    events = _events("acct_1")[: 1 if call == "record" else 3]

    def send(meter: Meter) -> list[str]:
        if call == "record":
            return [meter.record(**events[0]).outcome]
        return [outcome.outcome for outcome in meter.record_batch(events)]

    proxy, dsn = way
    with psycopg.connect(dsn, autocommit=True) as connection:
        proxy.lose = loss
        with pytest.raises(psycopg.OperationalError):
            send(Meter(connection))
    with psycopg.connect(dsn, autocommit=True) as connection:
        outcomes = send(Meter(connection))

    assert proxy.lost == 1
    assert outcomes == [("duplicate" if counted else "recorded")] * len(events)
    assert ledger.usage("acct_1", "tokens").event_count == len(events)
    assert ledger.verify() == []


@pytest.mark.parametrize(("loss", "counted"), LOSSES.items())
def test_the_same_with_the_async_client(
    way: tuple[Proxy, str], ledger: Ledger, loss: str, counted: int
) -> None:
    ledger.define("tokens", "sum")
    proxy, dsn = way

    async def send(lose: str | None) -> list[str]:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            proxy.lose = lose
            return [o.outcome for o in await AsyncMeter(connection).record_batch(_events("acct_1"))]

    with pytest.raises(psycopg.OperationalError):
        asyncio.run(send(loss))
    assert asyncio.run(send(None)) == [("duplicate" if counted else "recorded")] * 3
    assert ledger.usage("acct_1", "tokens").event_count == 3


def test_a_commit_whose_reply_is_lost_is_found_out_by_sending_the_transaction_again(
    way: tuple[Proxy, str], ledger: Ledger
) -> None:
    """Without the reply to COMMIT nobody can know, and with keys nobody has to."""
    ledger.define("tokens", "sum")
    proxy, dsn = way
    with psycopg.connect(dsn) as connection:
        Meter(connection).record_batch(_events("acct_1"))
        proxy.lose = "reply"
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
    with psycopg.connect(dsn) as connection:
        again = Meter(connection).record_batch(_events("acct_1"))
    assert {outcome.outcome for outcome in again} == {"duplicate"}
    assert ledger.usage("acct_1", "tokens").quantity == 6
