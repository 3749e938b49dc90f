"""Prices and invoices from Python, as typed models."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pytest

from pymeter import AsyncMeter, Meter
from pymeter.errors import InvalidInput, NotFound
from pymeter.models import FlatPrice, Invoice, InvoiceTotal, UnitPrice

JUNE = {"since": datetime(2026, 6, 1, tzinfo=UTC), "until": datetime(2026, 7, 1, tzinfo=UTC)}


@pytest.fixture(autouse=True)
def _plan(meter: Meter) -> None:
    meter.define_metric("tokens", "sum", "token")
    meter.define_plan("pro")
    meter.subscribe("acct_1", "pro", since=JUNE["since"])
    meter.define_price(
        "pro", "tokens", UnitPrice(unit_amount="0.0025", currency="EUR"), metric="tokens", name="Tokens"
    )
    meter.define_price("pro", "base", FlatPrice(flat_amount=20))
    meter.record("acct_1", "tokens", "1001", at=datetime(2026, 6, 18, tzinfo=UTC))


def test_lines_are_exact_and_typed(meter: Meter) -> None:
    fee, tokens, total = meter.invoice("acct_1", **JUNE)
    assert (fee.kind, fee.quantity, fee.unit_amount, fee.amount) == ("fee", 1, 20, 20)
    assert (tokens.name, tokens.unit, tokens.quantity) == ("Tokens", "token", 1001)
    assert (tokens.exact_amount, tokens.amount) == (Decimal("2.5025"), Decimal("2.50"))
    assert (total.kind, total.amount, total.currency) == ("total", Decimal("22.50"), "EUR")


def test_a_document_has_the_same_lines(meter: Meter) -> None:
    document = meter.invoice_json("acct_1", **JUNE)
    assert isinstance(document, Invoice)
    assert document.lines == meter.invoice("acct_1", **JUNE)[:-1]
    assert document.totals == {"EUR": InvoiceTotal(exact_amount=Decimal("22.5025"), amount=Decimal("22.50"))}
    assert (document.header.since, document.header.until) == (JUNE["since"], JUNE["until"])


def test_prices_are_listed_and_ended(meter: Meter) -> None:
    assert [(p.item, p.metric, p.since) for p in meter.prices("pro")] == [
        ("base", None, None),
        ("tokens", "tokens", None),
    ]
    (plan,) = meter.plans()
    assert plan.currency == "EUR"
    assert meter.retire_price("pro", "base", at=JUNE["until"]).price is None
    assert [p.item for p in meter.prices(at=JUNE["until"])] == ["tokens"]
    assert meter.set_plan_minimum("pro", "100").amount == 100
    assert [line.amount for line in meter.invoice("acct_1", **JUNE) if line.kind == "true_up"] == [
        Decimal("77.50")
    ]
    assert meter.set_plan_minimum("pro", None).amount is None


def test_what_is_wrong_is_told(meter: Meter) -> None:
    with pytest.raises(NotFound):
        meter.define_price("max", "base", FlatPrice(flat_amount=1))
    with pytest.raises(InvalidInput) as caught:
        meter.define_price("pro", "other", FlatPrice(flat_amount=1, currency="USD"))
    assert caught.value.parameter == "currency"
    with pytest.raises(InvalidInput):
        meter.invoice("acct_1", since=JUNE["since"])


def test_the_async_client_answers_the_same(meter: Meter, meter_dsn: str) -> None:
    async def ask() -> tuple[object, ...]:
        async with await psycopg.AsyncConnection.connect(meter_dsn, autocommit=True) as connection:
            made = AsyncMeter(connection)
            return await made.invoice("acct_1", **JUNE), await made.invoice_json("acct_1", **JUNE)

    assert asyncio.run(ask()) == (meter.invoice("acct_1", **JUNE), meter.invoice_json("acct_1", **JUNE))


def test_an_invoice_of_a_closed_period_without_prices_is_read_too(meter: Meter) -> None:
    meter.record("acct_2", "tokens", 5, at=datetime(2026, 6, 18, tzinfo=UTC))
    before = meter.invoice_json("acct_2", **JUNE)
    meter.close_period("acct_2", **JUNE)
    assert meter.invoice_json("acct_2", **JUNE) == before
    assert [line.explanation for line in before.lines] == [
        "no plan of the subject has a price for this metric"
    ]
