"""Reservations from Python: the calls, and the block that settles or releases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from pymeter import AsyncMeter, Meter, errors


@pytest.fixture(autouse=True)
def tokens(meter: Meter) -> None:
    meter.define_metric("tokens", "sum", "token")
    meter.set_limit("tokens", 100)


def states(meter: Meter) -> list[str]:
    return [r.state for r in reversed(meter.reservations())]


def test_the_calls(meter: Meter) -> None:
    held = meter.reserve(
        "a", "tokens", "60.5", idempotency_key="k", minimum=5, ttl=timedelta(minutes=5), metadata={"n": 1}
    )
    assert (held.outcome, held.held, held.remaining) == ("held", Decimal("60.5"), Decimal("39.5"))
    assert held.reservation_id is not None
    assert meter.reserve("a", "tokens", "60.5", idempotency_key="k", minimum=5).outcome == "duplicate"
    assert meter.extend(held.reservation_id, "1 hour").outcome == "held"
    (row,) = meter.reservations("a", metric="tokens", state="held")
    assert (row.quantity, row.minimum, row.metadata) == (Decimal("60.5"), 5, {"n": 1})
    settled = meter.settle(held.reservation_id, 10, metadata={"m": 2})
    assert (settled.outcome, settled.event_id, settled.remaining) == ("recorded", held.reservation_id, 90)
    assert meter.events("a")[0].metadata == {"n": 1, "m": 2}
    assert meter.release(held.reservation_id).outcome == "settled"
    assert meter.check_quota("a", "tokens").held == 0
    with pytest.raises(errors.NotFound):
        meter.settle(0, 1)


def test_a_batch_takes_exact_numbers_and_durations(meter: Meter) -> None:
    rows = meter.reserve_batch(
        [
            {"subject": "a", "metric": "tokens", "quantity": Decimal("0.1"), "ttl": timedelta(minutes=1)},
            {"subject": "a", "metric": "tokens", "quantity": 200, "minimum": "1", "metadata": {"n": 1.5}},
        ]
    )
    assert [(r.ordinal, r.outcome, r.held) for r in rows] == [
        (1, "held", Decimal("0.1")),
        (2, "held", Decimal("99.9")),
    ]
    refused = meter.reserve_batch([{"subject": "a", "metric": "tokens", "quantity": 1}])
    assert (refused[0].outcome, refused[0].limited_by) == ("refused", "default")
    with pytest.raises(errors.InvalidInput, match="a float is not exact") as wrong:
        meter.reserve_batch([{"subject": "a", "metric": "tokens", "quantity": 0.1}])
    assert wrong.value.detail is not None
    assert wrong.value.detail.startswith("request 1: ")
    with pytest.raises(errors.InvalidInput, match="not a mapping"):
        meter.reserve_batch(["a"])  # type: ignore[list-item]


def test_a_block_settles(meter: Meter) -> None:
    with meter.reserved("a", "tokens", 60, idempotency_key="k", ttl="1 minute") as held:
        assert (held.reservation.outcome, held.reservation.held) == ("held", 60)
        until = held.reservation.expires_at
        assert until is not None
        assert held.extend("5 minutes").expires_at == held.reservation.expires_at
        assert held.reservation.expires_at is not None
        assert held.reservation.expires_at > until
        assert held.settle(45, metadata={"model": "x"}).remaining == 55
    assert (states(meter), meter.usage("a", "tokens").quantity) == (["settled"], 45)


def test_a_block_that_does_not_settle_releases(meter: Meter) -> None:
    with meter.reserved("a", "tokens", 60):
        assert meter.check_quota("a", "tokens").held == 60
    assert (states(meter), meter.check_quota("a", "tokens").held) == (["released"], 0)
    with meter.reserved("a", "tokens", 60) as held:
        assert held.release().outcome == "released"
    assert states(meter) == ["released", "released"]


def test_an_exception_releases_and_propagates(meter: Meter) -> None:
    with pytest.raises(RuntimeError, match="the model failed"), meter.reserved("a", "tokens", 60):
        raise RuntimeError("the model failed")
    assert states(meter) == ["released"]
    with pytest.raises(RuntimeError), meter.reserved("a", "tokens", 60) as held:
        held.settle(10)
        raise RuntimeError
    assert (states(meter), meter.usage("a", "tokens").quantity) == (["released", "settled"], 10)


def test_an_exception_is_not_hidden_by_a_release_that_fails(
    connect: Callable[..., psycopg.Connection[Any]],
) -> None:
    connection = connect("client")
    meter = Meter(connection)
    meter.define_metric("tokens", "sum", "token")
    with pytest.raises(RuntimeError, match="the model failed") as failed, meter.reserved("a", "tokens", 60):
        connection.close()
        raise RuntimeError("the model failed")
    assert "was not released" in failed.value.__notes__[0]


def test_what_is_refused_or_a_conflict_raises(meter: Meter) -> None:
    with pytest.raises(errors.QuotaExceeded) as refused, meter.reserved("a", "tokens", 101):
        pytest.fail("the block ran")
    assert (refused.value.sqlstate, refused.value.parameter) == ("UM003", "quantity")
    assert "100 remaining" in (refused.value.detail or "")
    meter.record("a", "tokens", 1, idempotency_key="k")
    with (
        pytest.raises(errors.DuplicateEvent) as used,
        meter.reserved("a", "tokens", 1, idempotency_key="k"),
    ):
        pytest.fail("the block ran")
    assert used.value.sqlstate == "UM005"
    with meter.reserved("a", "tokens", 500, minimum=1) as held:
        assert held.reservation.held == 99


def test_a_block_whose_reservation_has_ended_does_not_run_again(meter: Meter) -> None:
    """Nothing would be held for it. One that still holds is the same reservation: its process died."""
    with meter.reserved("a", "tokens", 60, idempotency_key="settled") as held:
        assert held.settle(45).outcome == "recorded"
    with meter.reserved("a", "tokens", 10, idempotency_key="released"):
        pass
    for key, quantity in (("settled", 60), ("released", 10)):
        with (
            pytest.raises(errors.DuplicateEvent),
            meter.reserved("a", "tokens", quantity, idempotency_key=key),
        ):
            pytest.fail("the block ran")
    meter.reserve("a", "tokens", 5, idempotency_key="left")
    with meter.reserved("a", "tokens", 5, idempotency_key="left") as held:
        assert held.settle(4).outcome == "recorded"
    assert meter.usage("a", "tokens").quantity == 49


def test_the_same_asynchronously(meter_dsn: str) -> None:
    async def work() -> None:
        async with await psycopg.AsyncConnection.connect(meter_dsn, autocommit=True) as connection:
            meter = AsyncMeter(connection)
            await meter.define_metric("tokens", "sum", "token")
            await meter.set_limit("tokens", 100)
            async with meter.reserved("a", "tokens", 60) as held:
                assert (await held.extend("5 minutes")).held == 60
                assert (await held.settle(45)).remaining == 55
            async with meter.reserved("a", "tokens", 10):
                pass
            async with meter.reserved("a", "tokens", 10) as held:
                await held.release()
            with pytest.raises(RuntimeError):
                async with meter.reserved("a", "tokens", 10):
                    raise RuntimeError
            with pytest.raises(errors.QuotaExceeded):
                async with meter.reserved("a", "tokens", 101):
                    pytest.fail("the block ran")

            async def slow() -> None:
                async with meter.reserved("a", "tokens", 10):
                    await asyncio.sleep(60)

            task = asyncio.create_task(slow())
            while len(await meter.reservations(state="held")) == 0:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            found = [r.state for r in reversed(await meter.reservations())]
            assert found == ["settled", "released", "released", "released", "released"]

    asyncio.run(work())
