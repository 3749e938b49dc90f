"""Projections from Python, as typed models."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from pymeter import AsyncMeter, Meter
from pymeter.errors import InvalidInput, UnknownMetric
from pymeter.models import InvoiceProjection, NewEvent, UnitPrice, UsageProjection

NOW = datetime(2026, 6, 21, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _usage(meter: Meter) -> None:
    """10.5 at noon of 40 days before NOW."""
    meter.define_metric("tokens", "sum", "token")
    meter.define_plan("pro")
    meter.subscribe("acct_1", "pro", since=datetime(2026, 1, 1, tzinfo=UTC))
    meter.define_price("pro", "tokens", UnitPrice(unit_amount="0.01", currency="EUR"), metric="tokens")
    noon = NOW - timedelta(hours=12)
    meter.record_batch(
        [
            NewEvent(subject="acct_1", metric="tokens", quantity="10.5", at=noon - timedelta(days=n))
            for n in range(40)
        ]
    )


def test_a_projection_is_exact_and_typed(meter: Meter) -> None:
    (row,) = meter.project_usage("acct_1", "tokens", now=NOW)
    assert isinstance(row, UsageProjection)
    assert (row.used, row.expected, row.method) == (210, 315, "weekday_profile")
    assert (row.run_rate, row.weekday_profile, row.elapsed) == (315, 315, Decimal("0.666667"))
    assert (row.since, row.at) == (datetime(2026, 6, 1, tzinfo=UTC), NOW)
    assert meter.project_usage("acct_1", now=NOW) == [row]


def test_a_projected_invoice_is_typed(meter: Meter) -> None:
    line, total = meter.project_invoice("acct_1", now=NOW)
    assert isinstance(line, InvoiceProjection)
    assert line.so_far == Decimal("2.10")
    assert line.low == line.expected == line.high == Decimal("3.15")
    assert (total.kind, total.expected, total.currency) == ("total", Decimal("3.15"), "EUR")


def test_unknown_is_none_and_no_zero(meter: Meter) -> None:
    (row,) = meter.project_usage("acct_2", "tokens", now=NOW)
    assert (row.low, row.expected, row.high, row.method) == (None, None, None, "none")
    assert row.reason
    assert row.history_days is None


def test_a_call_that_fails_raises(meter: Meter) -> None:
    with pytest.raises(UnknownMetric):
        meter.project_usage("acct_1", "tokenz", now=NOW)
    with pytest.raises(InvalidInput):
        meter.project_invoice(" ", now=NOW)


def test_the_async_client_does_the_same(meter: Meter, meter_dsn: str) -> None:
    async def ask() -> tuple[list[UsageProjection], list[InvoiceProjection]]:
        async with await psycopg.AsyncConnection.connect(meter_dsn, autocommit=True) as connection:
            client = AsyncMeter(connection)
            usage = await client.project_usage("acct_1", now=NOW)
            return usage, await client.project_invoice("acct_1", now=NOW)

    assert asyncio.run(ask()) == (
        meter.project_usage("acct_1", now=NOW),
        meter.project_invoice("acct_1", now=NOW),
    )
