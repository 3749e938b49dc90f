"""Notifications of closed periods and late usage have amounts, for programs and in words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at
from tests.pricing.billing import MONTH, SUBJECT, Billing, unit


def sent(ledger: Ledger, type: str, format: str) -> list[Any]:
    """What an endpoint of the format is sent of a type; the next one of a subject follows when it was."""
    ledger.call("plan_deliveries")
    claimed = ledger.call("claim_deliveries", worker="tests", max_deliveries=100)
    assert all(one.format == format for one in claimed)
    results = [
        {"delivery_id": one.delivery_id, "attempt": one.attempt, "message_id": one.message_id}
        | {"outcome": "delivered", "status": 204}
        for one in claimed
    ]
    ledger.call("settle_deliveries", worker="tests", results=Jsonb(results))
    return [json.loads(one.body) for one in claimed if one.type == type]


def endpoint(ledger: Ledger, format: str) -> None:
    ledger.call(
        "define_endpoint",
        name="ops",
        url="https://ops.example.com/hook" if format == "standard" else None,
        secret_name=None if format == "standard" else "SLACK_URL",
        types=["period.closed", "usage.late"],
        format=format,
    )


def close(ledger: Ledger) -> Any:
    return ledger.call("close_period", subject=SUBJECT, since=MONTH[0], until=MONTH[1])[0]


def maintained(ledger: Ledger) -> None:
    while ledger.rows("SELECT * FROM meter.maintain() WHERE action <> 'notified of late usage'"):
        pass


def test_programs_are_told_totals_and_amounts(billing: Billing) -> None:
    ledger = billing.ledger
    endpoint(ledger, "standard")
    billing.price("tokens", unit(10, currency="EUR"))
    billing.use(5)
    june = close(ledger)
    billing.use(3)
    maintained(ledger)
    (closed,) = sent(ledger, "period.closed", "standard")
    assert closed["data"]["totals"] == june.totals == {"EUR": "50.00"}
    (late,) = [row.data for row in ledger.call("notifications", type="usage.late")]
    assert (late["delta"], late["amount"], late["currency"]) == (3, 30, "EUR")


@pytest.mark.parametrize(
    ("price", "closed", "late"),
    [
        (unit(10, currency="EUR"), ": 50.00 EUR", ", -20.00 EUR"),
        (None, "", ""),
        (
            {"model": "matrix", "dimensions": ["size"], "cells": [{"when": {"size": "s"}, "unit_amount": 1}]},
            ": unknown USD",
            ", unknown USD",
        ),
    ],
    ids=["priced", "without prices", "unknown"],
)
def test_people_are_told_in_words(billing: Billing, price: Any, closed: str, late: str) -> None:
    ledger = billing.ledger
    endpoint(ledger, "slack")
    if price is not None:
        billing.price("tokens", price)
    billing.use(2, idempotency_key="twice")
    billing.use(3, "2026-06-11")
    number = close(ledger).statement_id
    (told,) = sent(ledger, "period.closed", "slack")
    assert told["text"] == (
        f"period.closed: acct_1 is closed from 2026-06-01 to 2026-07-01 UTC, statement {number}{closed}."
    )
    ledger.call("void_event", subject=SUBJECT, metric="tokens", idempotency_key="twice", reason="why")
    maintained(ledger)
    (told,) = sent(ledger, "usage.late", "slack")
    assert told["text"] == (
        "usage.late: acct_1 has 3 unit of tokens from 2026-06-01 to 2026-07-01 UTC,"
        f" statement {number} says 5. To be decided: -2{late}."
    )


def test_a_period_that_begins_within_a_day_is_told_to_the_minute(billing: Billing) -> None:
    ledger = billing.ledger
    endpoint(ledger, "slack")
    window = (at("2026-06-01 06:30"), at("2026-06-02"))
    ledger.call("close_period", subject=SUBJECT, since=window[0], until=window[1])
    (told,) = sent(ledger, "period.closed", "slack")
    assert "from 2026-06-01 06:30 to 2026-06-02 UTC" in told["text"]
