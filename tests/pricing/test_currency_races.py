"""Currencies of plans while others subscribe: one waits for the other only for a plan's first price."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, Task, at, refused
from tests.pricing.billing import SUBJECT, Billing, unit

NewLedger = Callable[..., Ledger]
Wait = Callable[[psycopg.Connection[object], str], None]


@pytest.fixture
def two_plans(billing: Billing) -> Billing:
    """SUBJECT has pro, in USD; plan ``new`` has no price yet."""
    billing.price("tokens", unit("1", currency="USD"))
    billing.plan("new")
    return billing


def subscribe(ledger: Ledger) -> None:
    ledger.call("subscribe", subject=SUBJECT, plan="new", since=at("2026-06-01"))


def define(ledger: Ledger, plan: str = "new", currency: str = "EUR") -> None:
    price = Jsonb(unit("2", currency=currency))
    ledger.call("define_price", plan=plan, item="tokens", price=price, metric="tokens")


def test_subscribing_does_not_wait_for_a_change_of_a_price(two_plans: Billing, new_ledger: NewLedger) -> None:
    changing = new_ledger("changing", autocommit=False)
    define(changing, "pro", "USD")
    two_plans.ledger.execute("SET statement_timeout = '20s'")
    subscribe(two_plans.ledger)
    changing.connection.commit()


def test_changing_a_price_does_not_wait_for_subscribing(two_plans: Billing, new_ledger: NewLedger) -> None:
    define(two_plans.ledger, "new", "USD")
    subscribing = new_ledger("subscribing", autocommit=False)
    subscribe(subscribing)
    define(two_plans.ledger, "pro", "USD")
    subscribing.connection.commit()


@pytest.mark.parametrize("first", [subscribe, define])
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_first_price_and_a_subscription_do_not_make_two_currencies(
    two_plans: Billing, new_ledger: NewLedger, wait_until_blocked: Wait,
    first: Callable[[Ledger], None], end: str,
) -> None:  # fmt: skip
    one, other = new_ledger("one", autocommit=False), new_ledger("other")
    first(one)
    waiting = Task(lambda: (define if first is subscribe else subscribe)(other))
    wait_until_blocked(two_plans.ledger.connection, "other")
    getattr(one.connection, end)()
    error = waiting.error()
    assert (error and error.sqlstate) == ("22023" if end == "commit" else None)


def test_subscribing_gives_up_after_two_seconds(two_plans: Billing, new_ledger: NewLedger) -> None:
    pricing = new_ledger("pricing", autocommit=False)
    define(pricing)
    two_plans.ledger.execute("SET statement_timeout = '20s'")
    with refused("55P03"):
        subscribe(two_plans.ledger)
    pricing.connection.rollback()
    subscribe(two_plans.ledger)
