"""The recorded times of changes: also where clocks are set back, and where a meter is upgraded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.helpers import Ledger, at
from tests.pricing.billing import SUBJECT, Billing, amounts, exact, flat, unit

CHANGES: dict[str, Callable[[Billing], object]] = {
    "price": lambda b: b.fee("base", flat("60"), since="2026-06-01"),
    "retire": lambda b: b.ledger.call("retire_price", plan="pro", item="base", at=at("2026-06-16")),
    "minimum": lambda b: b.ledger.call("set_plan_minimum", plan="pro", amount=500),
    "unsubscribe": lambda b: b.ledger.call("unsubscribe", subject=SUBJECT, plan="pro", at=at("2026-06-16")),
    "subscribe": lambda b: b.subscribe("extra", "2026-06-16"),
    "cycle": lambda b: b.ledger.call(
        "set_billing_cycle", subject=SUBJECT, anchor=at("2026-06-16"), every="week", since=at("2026-06-16")
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_later_than_a_watermark_that_is_ahead_of_the_clock(billing: Billing, change: str) -> None:
    """As after a failover to a server whose clock is behind."""
    billing.plan("extra")
    billing.fee("base", flat("30"))
    billing.fee("base", flat("7"), plan="extra")
    billing.watermark()
    ahead: datetime = billing.ledger.value(
        "UPDATE meter.sealed_subjects SET watermark = now() + '1 hour' RETURNING watermark"
    )
    CHANGES[change](billing)
    CHANGES[change](billing)
    assert amounts(billing.invoice(as_of=ahead)) == [30]
    assert amounts(billing.invoice()) != [30]
    assert billing.invoice(as_of=billing.watermark()) == billing.invoice()


def test_changes_of_one_transaction_are_in_their_order(billing: Billing) -> None:
    """Also where all of them get the same recorded time, after a watermark that is ahead of the clock."""
    billing.fee("base", flat("30"))
    billing.watermark()
    billing.ledger.execute("UPDATE meter.sealed_subjects SET watermark = now() + '1 hour'")
    with billing.ledger.connection.transaction():
        for amount in range(31, 40):
            billing.fee("base", flat(amount), since="2026-06-01")
            billing.ledger.call("unsubscribe", subject=SUBJECT, plan="pro", at=at(f"2026-06-{amount - 10}"))
            billing.ledger.call("unsubscribe", subject=SUBJECT, plan="pro", at=at("2020-01-01"))
            billing.subscribe("pro", "2020-01-01")
    assert amounts(billing.invoice()) == [39]


def test_an_upgrade_has_a_history_of_what_there_was(ledger: Ledger) -> None:
    """What migration 0015 writes for subscriptions and cycles that are older than it."""
    billing = Billing(ledger)
    billing.price("tokens", unit("1"))
    billing.use(7)
    ledger.call("set_billing_cycle", subject=SUBJECT, anchor=at("2026-01-10"))
    before = billing.invoice("2026-06-10", "2026-07-10")
    statements = ledger_history_statements()
    ledger.execute("TRUNCATE meter.subscription_history, meter.cycle_history")
    assert amounts(billing.invoice("2026-06-10", "2026-07-10")) == []
    for statement in statements:
        ledger.execute(f"SET search_path = meter; {statement}")
    assert billing.invoice("2026-06-10", "2026-07-10") == before
    assert exact(before) == Decimal(7)


def ledger_history_statements() -> list[str]:
    text = (Path(__file__).parents[2] / "migrations" / "0016-invoices.sql").read_text(encoding="utf-8")
    found = [part for part in text.split(";\n") if "insert into" in part and "_history" in part]
    assert len(found) == 2
    return [part[part.index("insert into") :] for part in found]
