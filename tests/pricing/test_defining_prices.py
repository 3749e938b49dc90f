"""Lines of plans: what may be defined, from when it holds, and whose line it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at, refused
from tests.pricing.billing import SUBJECT, Billing, amounts, flat, total, unit


def listed(billing: Billing, **scope: Any) -> list[Any]:
    return billing.ledger.call("prices", **scope)


def test_the_first_version_holds_from_the_beginning_and_a_change_from_now(billing: Billing) -> None:
    billing.use(10, "2021-03-05")
    assert billing.price("tokens", unit("1")).since is None
    assert total(billing.invoice("2021-03-01", "2021-04-01")).amount == 10
    now = billing.ledger.value("SELECT clock_timestamp()")
    changed = billing.price("tokens", unit("2"))
    assert abs(changed.since - now) < timedelta(minutes=1)
    assert total(billing.invoice("2021-03-01", "2021-04-01")).amount == 10
    billing.price("tokens", unit("3"), since="2021-03-05")
    assert total(billing.invoice("2021-03-01", "2021-04-01")).amount == 30


def test_defining_what_holds_changes_nothing(billing: Billing) -> None:
    first = billing.price("tokens", unit("1"))
    assert billing.price("tokens", unit("1")) == first
    later = billing.price("tokens", unit("2"), since="2026-06-10")
    assert billing.price("tokens", unit("2"), since="2026-06-10") == later
    ledger = billing.ledger
    minimum = ledger.call("set_plan_minimum", plan="pro", amount=5)
    assert ledger.call("set_plan_minimum", plan="pro", amount=5) == minimum
    ended = ledger.call("retire_price", plan="pro", item="tokens", at=at("2026-07-01"))
    assert ledger.call("retire_price", plan="pro", item="tokens", at=at("2026-08-01")) == ended
    actions = [(row.action, row.object) for row in ledger.call("admin_log") if row.object == "pro"]
    assert actions == [
        ("retire_price", "pro"),
        ("set_plan_minimum", "pro"),
        *[("define_price", "pro")] * 2,
        ("define_plan", "pro"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"price": unit("1.0")}, {"name": "Tokens"}, {"tiers_after_change": "restart"}, {"metric": "calls"},
    ],
)  # fmt: skip
def test_any_difference_is_another_version(billing: Billing, change: dict[str, Any]) -> None:
    billing.ledger.define("calls", "count")
    first = billing.price("tokens", unit("1"))
    second = billing.price(**{"item": "tokens", "price": unit("1"), **change})
    assert second.price_version > first.price_version


@pytest.mark.parametrize("change", [{"name": "Fee"}, {"bill": "advance"}, {"prorate": False}])
def test_any_difference_of_a_fee_is_another_version(billing: Billing, change: dict[str, Any]) -> None:
    first = billing.fee("base", flat("1"))
    assert billing.fee("base", flat("1"), **change).price_version > first.price_version


def test_versions_that_say_the_same_are_one_segment(ledger: Ledger) -> None:
    """Two halves of a month would have the greatest value of each half."""
    billing = Billing(ledger, metrics={"seats": "max"})
    first = billing.price("seats", unit("10"))
    billing.price("seats", unit("10"), since="2026-06-16")
    billing.use(6, "2026-06-10", "seats")
    (line, _) = billing.invoice()
    assert (line.quantity, line.amount, line.price_version) == (6, 60, first.price_version)
    billing.price("seats", unit("10"), since="2026-06-16", name="Seats")
    assert amounts(billing.invoice()) == [30, 0]


def test_a_line_of_a_subject_replaces_the_whole_line(billing: Billing) -> None:
    billing.price("tokens", unit("1", minimum_amount="50"))
    billing.use(10)
    own = billing.price("tokens", unit("3"), subject=SUBJECT, since="2026-06-01")
    assert amounts(billing.invoice()) == [30]
    billing.subscribe("pro", "2026-01-01", subject="other")
    assert amounts(billing.invoice(subject="other")) == [0, 50]
    assert [row.price_version for row in listed(billing, subject=SUBJECT)] == [own.price_version]
    assert [row.subject for row in listed(billing)] == [None]
    billing.ledger.call("retire_price", plan="pro", item="tokens", subject=SUBJECT, at=at("2026-06-01"))
    assert amounts(billing.invoice()) == [10, 40]


def test_a_line_of_a_subject_may_exist_without_one_of_the_plan(billing: Billing) -> None:
    billing.fee("support", flat("7"), subject=SUBJECT)
    assert amounts(billing.invoice()) == [7]
    assert listed(billing) == []


def test_prices_lists_what_holds_at_a_time(billing: Billing) -> None:
    billing.plan("free")
    billing.price("tokens", unit("1"), name="Tokens")
    billing.price("tokens", unit("2"), since="2026-06-10")
    billing.fee("base", flat("5"), plan="free")
    billing.ledger.call("retire_price", plan="free", item="base", at=at("2026-06-20"))

    def seen(**scope: Any) -> list[tuple[Any, ...]]:
        return [(row.plan, row.item, row.name) for row in listed(billing, **scope)]

    assert seen(at=at("2026-06-09")) == [("free", "base", None), ("pro", "tokens", "Tokens")]
    assert seen(at=at("2026-06-10"), plan="pro") == [("pro", "tokens", None)]
    assert seen(at=at("2026-06-20")) == [("pro", "tokens", None)]
    with refused("UM007", "plan"):
        listed(billing, plan="unknown")


def test_the_first_price_fixes_the_currency_of_a_plan(billing: Billing) -> None:
    assert billing.price("tokens", unit("1", currency="EUR")).currency == "EUR"
    assert billing.fee("base", flat("1")).currency == "EUR"
    with refused("22023", "currency"):
        billing.fee("other", flat("1", currency="USD"))
    (plan,) = billing.ledger.call("plans")
    assert plan.currency == "EUR"


def test_a_plan_without_a_currency_gets_that_of_the_setting(billing: Billing) -> None:
    ledger = billing.ledger
    with refused("22023", "currency"):
        ledger.call("set_setting", name="currency", value="XXX")
    ledger.call("set_setting", name="currency", value="JPY")
    assert ledger.call("set_plan_minimum", plan="pro", amount=500)[0].currency == "JPY"
    assert str(total(billing.invoice()).amount) == "500"


@pytest.mark.parametrize("code", ["XXX", "XAU", "EUX", "eur", "BGN"])
def test_a_code_that_is_no_currency_is_refused(billing: Billing, code: str) -> None:
    with refused("22023"):
        billing.price("tokens", unit("1", currency=code))


def test_plans_of_two_currencies_do_not_overlap(billing: Billing) -> None:
    billing.plan("euro")
    billing.fee("base", flat("1", currency="USD"))
    billing.fee("base", flat("1", currency="EUR"), plan="euro")
    with refused("22023", "plan"):
        billing.subscribe("euro", "2026-06-01", "2026-06-02")
    billing.subscribe("euro", "2019-01-01", "2020-01-01")
    billing.plan("late")
    billing.subscribe("late", "2026-01-01")
    with refused("22023", "plan"):
        billing.fee("base", flat("1", currency="EUR"), plan="late")
    assert billing.fee("base", flat("1", currency="USD"), plan="late").currency == "USD"


def test_a_metric_that_two_items_bill_is_noticed(billing: Billing) -> None:
    billing.ledger.define("calls", "count")
    found: list[tuple[str | None, str | None]] = []
    billing.ledger.connection.add_notice_handler(
        lambda n: found.append((n.message_primary, n.message_detail))
    )
    billing.price("tokens", unit("1"))
    billing.price("calls", unit("1"))
    billing.price("tokens", unit("2"), since="2026-08-01")
    assert found == []
    billing.price("more", unit("1"), metric="tokens")
    said = ("metric 'tokens' is billed by other items of the plan, too", "item 'tokens'.")
    assert found == [said]
    billing.ledger.call("retire_price", plan="pro", item="tokens", at=at("2026-09-01"))
    billing.price("more", unit("3"), metric="tokens", since="2026-09-01")
    assert found == [said]
    billing.price("own", unit("3"), metric="tokens", subject=SUBJECT, since="2026-09-01")
    assert found[1:] == [(said[0], "item 'more'.")]


def test_what_begins_later_is_listed_if_asked_for(billing: Billing) -> None:
    ledger, now = billing.ledger, at("2026-06-15")
    billing.price("tokens", unit("1"))
    billing.price("tokens", unit("2"), since="2026-07-01")
    billing.price("tokens", unit("3"), since="2026-08-01")
    billing.price("tokens", unit("4"), since="2026-08-01")
    billing.fee("base", flat("9"), since="2026-07-15")
    billing.price("tokens", unit("5"), subject=SUBJECT, since="2026-07-10")
    ledger.call("retire_price", plan="pro", item="tokens", at=at("2026-09-01"))

    def listed(**more: Any) -> list[tuple[Any, ...]]:
        rows = ledger.call("prices", plan="pro", **{"at": now, **more})
        return [
            (r.item, r.since and f"{r.since:%m-%d}", None if r.price is None else [*r.price.values()][-1])
            for r in rows
        ]

    assert listed() == [("tokens", None, "1")]
    assert listed(upcoming=True) == [
        ("base", "07-15", "9"), ("tokens", None, "1"), ("tokens", "07-01", "2"), ("tokens", "08-01", "4"),
        ("tokens", "09-01", None),
    ]  # fmt: skip
    assert listed(upcoming=True, subject=SUBJECT)[1:] == [
        ("tokens", None, "1"), ("tokens", "07-01", "2"), ("tokens", "07-10", "5")
    ]  # fmt: skip
    assert listed(upcoming=True, at=at("2026-08-20")) == [
        ("base", "07-15", "9"), ("tokens", "08-01", "4"), ("tokens", "09-01", None)
    ]  # fmt: skip


def test_minimums_are_listed(billing: Billing) -> None:
    ledger, now = billing.ledger, at("2026-06-15")
    billing.plan("free")
    assert ledger.call("plan_minimums") == []
    first = ledger.call("set_plan_minimum", plan="pro", amount=50)
    later = ledger.call("set_plan_minimum", plan="pro", amount=60, since=at("2026-07-01"))
    ended = ledger.call("set_plan_minimum", plan="pro", amount=None, since=at("2026-08-01"))
    ledger.call("set_plan_minimum", plan="free", amount=0, since=at("2026-08-01"))
    assert ledger.call("plan_minimums", plan="pro", at=now) == first
    assert ledger.call("plan_minimums", plan="pro", at=now, upcoming=True) == first + later + ended
    assert ledger.call("plan_minimums", at=at("2026-07-01")) == later
    assert [(r.plan, r.amount) for r in ledger.call("plan_minimums", at=at("2026-08-01"))] == [("free", 0)]
    with refused("UM007", "plan"):
        ledger.call("plan_minimums", plan="unknown")
    with refused("22004", "at"):
        ledger.call("plan_minimums", at=None)


WRONG: list[tuple[dict[str, Any], str, str | None]] = [
    ({"plan": "unknown"}, "UM007", "plan"),
    ({"metric": "unknown"}, "UM001", "metric"),
    ({"item": " "}, "22023", "item"),
    ({"item": None}, "22004", "item"),
    ({"item": "x" * 101}, "22023", "item"),
    ({"price": None}, "22004", "price"),
    ({"price": unit("-1")}, "22023", "price"),
    ({"metric": None, "price": {"model": "package", "package_size": 1, "unit_amount": 1}}, "22023", "price"),
    ({"metric": None, "price": {"model": "percentage", "percent": 1}}, "22023", "price"),
    ({"metric": "seats", "price": {"model": "matrix", "dimensions": ["m"],
      "cells": [{"when": {}, "unit_amount": 1}]}}, "22023", "metric"),
    ({"bill": "later"}, "22023", "bill"),
    ({"bill": None}, "22004", "bill"),
    ({"bill": "advance"}, "22023", "bill"),
    ({"prorate": False}, "22023", "prorate"),
    ({"prorate": None}, "22004", "prorate"),
    ({"name": "Tokens", "prorate": None}, "22004", "prorate"),
    ({"tiers_after_change": "stop"}, "22023", "tiers_after_change"),
    ({"name": ""}, "22023", "name"),
    ({"subject": ""}, "22023", "subject"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "sqlstate", "parameter"), WRONG)
def test_what_is_no_line_is_refused(
    ledger: Ledger, change: dict[str, Any], sqlstate: str, parameter: str | None
) -> None:
    Billing(ledger, metrics={"tokens": "sum", "seats": "max"})
    given = {"plan": "pro", "item": "tokens", "price": unit("1"), "metric": "tokens", **change}
    given["price"] = None if given["price"] is None else Jsonb(given["price"])
    with refused(sqlstate, parameter):
        ledger.call("define_price", **given)
    assert ledger.call("prices") == []


@pytest.mark.parametrize("amount", [Decimal(-1), Decimal("NaN"), Decimal("Infinity")])
def test_a_minimum_that_is_no_amount_is_refused(billing: Billing, amount: Decimal) -> None:
    with refused("22023", "amount"):
        billing.ledger.call("set_plan_minimum", plan="pro", amount=amount)


@pytest.mark.parametrize("end_first", [True, False])
def test_versions_of_a_minimum_may_be_recorded_in_any_order(billing: Billing, end_first: bool) -> None:
    versions = [(at("2026-05-01"), Decimal(50)), (at("2026-06-01"), None)]
    for since, amount in reversed(versions) if end_first else versions:
        billing.ledger.call("set_plan_minimum", plan="pro", amount=amount, since=since)
    assert amounts(billing.invoice("2026-05-01", "2026-06-01")) == [50]
    assert amounts(billing.invoice()) == []


def test_the_change_that_is_recorded_last_holds_even_if_its_transaction_began_first(
    billing: Billing, new_ledger: Callable[..., Ledger]
) -> None:
    def change(ledger: Ledger, amount: int) -> None:
        price = Jsonb(unit(amount))
        ledger.call("define_price", plan="pro", item="tokens", price=price, metric="tokens")
        ledger.call("set_plan_minimum", plan="pro", amount=amount)

    change(billing.ledger, 1)
    slow = new_ledger("slow", autocommit=False)
    assert slow.value("SELECT now()")
    change(billing.ledger, 2)
    change(slow, 3)
    slow.connection.commit()
    assert [row.price["unit_amount"] for row in listed(billing)] == [3]
    day = billing.ledger.value("SELECT date_trunc('day', now(), 'UTC')") + timedelta(days=40)
    assert total(billing.invoice(day, day + timedelta(days=400))).amount > 36


def test_a_line_that_never_was_cannot_be_retired(billing: Billing) -> None:
    with refused("UM007", "item"):
        billing.ledger.call("retire_price", plan="pro", item="tokens")
