"""Whatever prices and plans do in a cycle: if the expected usage comes, the invoice is the projected one."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import Ledger, at, examples
from tests.pricing.billing import Billing, total, unit

JUNE = at("2026-06-01")
TIERS = [
    {"up_to": 40, "unit_amount": "1", "flat_amount": "3"},
    {"up_to": 300, "unit_amount": "0.7"},
    {"up_to": None, "unit_amount": "0.11"},
]


def a_price(chance: Random) -> dict[str, Any]:
    bounds = {"discount_percent": 5, "maximum_amount": 250, "minimum_amount": 20}
    return {
        **chance.choice(
            [
                unit("0.37"),
                {"model": "graduated", "tiers": TIERS},
                {"model": "volume", "tiers": TIERS},
                {"model": "percentage", "percent": "2.5"},
            ]
        ),
        **dict(chance.sample(sorted(bounds.items()), chance.randint(0, 2))),
    }


def a_time(chance: Random) -> datetime:
    return JUNE + timedelta(hours=chance.randint(1, 24 * 30 - 1))


def history(billing: Billing, chance: Random, plan: str, subject: str, now: datetime) -> None:
    """Versions of the price and subscriptions, and usage of some weeks until `now`."""
    billing.plan(plan)
    billing.price("tokens", a_price(chance), plan=plan)
    billing.fee(
        "base", {"model": "flat", "flat_amount": 30}, plan=plan, bill=chance.choice(("advance", "arrears"))
    )
    for _ in range(chance.randint(0, 3)):
        billing.price(
            "tokens",
            a_price(chance),
            plan=plan,
            since=a_time(chance),
            tiers_after_change=chance.choice(("continue", "restart")),
        )
    if chance.random() < 0.5:
        billing.ledger.call("set_plan_minimum", plan=plan, amount=chance.choice((50, 400)))
    if chance.random() < 0.3:
        billing.ledger.call(
            "set_billing_cycle", subject=subject, anchor=at("2026-06-05 07:00"), since=at("2026-06-05 07:00"),
            timezone="Europe/Berlin",
        )  # fmt: skip
    billing.ledger.call("subscribe", subject=subject, plan=plan, since=at("2026-01-01"))
    if chance.random() < 0.3:
        billing.ledger.call("unsubscribe", subject=subject, plan=plan, at=a_time(chance))
    days = chance.choice((5, 10, 40))
    hours = [now - timedelta(hours=n) for n in range(1, 24 * days) if chance.random() < 0.1]
    billing.ledger.batch(
        [
            {"subject": subject, "metric": "tokens", "quantity": chance.randint(0, 9), "at": hour}
            for hour in sorted(hours)
        ]
    )


@given(seed=st.integers(0, 2**32))
@examples(40, 800)
def test_if_it_happens_it_is_invoiced(ledger: Ledger, seed: int) -> None:
    chance = Random(seed)
    billing = Billing(ledger, subscribe=False)
    plan, subject, now = f"plan_{uuid4()}", f"acct_{uuid4()}", a_time(chance)
    history(billing, chance, plan, subject, now)
    (usage,) = ledger.call("project_usage", subject=subject, metric="tokens", now=now)
    lines = ledger.call("project_invoice", subject=subject, now=now)
    if usage.expected is None:
        open_lines = [line for line in lines if line.metric and line.until > now]
        assert all(line.quantity is None for line in open_lines)
        if any(line.currency for line in open_lines):
            assert total(lines).expected is None
        return
    parts = {(one.since, one.until): one.quantity for one in lines if one.kind == "usage"}
    assert sum(parts.values()) == usage.expected
    for (since, until), quantity in parts.items():
        end = min(until, now)
        used = ledger.usage(subject, "tokens", since=since, until=end).quantity if since < end else 0
        if until > now:
            ledger.record(subject, "tokens", quantity - used, at=max(since, now))
        else:
            assert quantity == used
    invoiced = ledger.call("invoice", subject=subject, since=usage.since, until=usage.until)
    if not any(line.currency for line in lines):
        assert not any(line.currency for line in invoiced)
        return
    for column in ("so_far", "low", "expected", "high"):
        amounts = [getattr(line, column) for line in lines if line.currency and line.kind != "total"]
        assert sum(amounts) == getattr(total(lines), column)
    assert total(lines).expected == total(invoiced).amount


def test_an_empty_meter_has_nothing_to_project(ledger: Ledger) -> None:
    assert ledger.call("project_usage", subject="acct_1") == []
    assert ledger.call("project_invoice", subject="acct_1") == []
