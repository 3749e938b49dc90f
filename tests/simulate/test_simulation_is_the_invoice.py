"""simulate() and invoice() are one function: the same inputs have the same lines, to the last field."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import zip_longest
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at, at_length
from tests.pricing.billing import MONTH, SUBJECT, Billing, flat, unit
from tests.pricing.days import FOREVER, Account
from tests.pricing.test_invoice_model import METERED, START, Life, day
from tests.simulate.twin import twin


def simulate(ledger: Ledger, scenario: Any) -> Any:
    return ledger.value("SELECT meter.simulate(%s)", [Jsonb(scenario)])


def _priced(lines: list[Any]) -> list[Any]:
    """Without values that no price covers, which the ledger weighs by plans, and what was not used."""
    return [
        line for line in lines if line["currency"] or (line["metric"] != "seats" and line["quantity"] != "0")
    ]


def _pay(ledger: Ledger, rng: random.Random) -> list[Any]:
    granted = []
    for n in range(rng.randint(0, 3)):
        expires = rng.choice([None, None, day(rng) + timedelta(days=30)])
        granted += ledger.call(
            "grant_credit", subject=SUBJECT, amount=Decimal(rng.choice(["0.5", "7.25", "100", "9999"])),
            currency=rng.choice(["EUR", "EUR", "USD"]), idempotency_key=f"credit {n}",
            priority=rng.choice([10, 50]), since=START, expires_at=expires,
            source=rng.choice(["paid", "promotional"]),
        )  # fmt: skip
    for name in rng.sample(["vat", "city"], rng.randint(1, 2)):
        percent = Decimal(rng.choice(["0", "7", "19", "8.875"]))
        ledger.call("set_tax", subject=SUBJECT, percent=percent, inclusive=rng.random() < 0.4, name=name)
    given = {"subject": SUBJECT, "amount": 5, "currency": "EUR", "idempotency_key": "always", "since": START}
    return granted + ledger.call("grant_credit", **given)


def _base(ledger: Ledger) -> None:
    """A plan that the subject always has, so that every invoice has lines of every kind."""
    ledger.call("define_plan", plan="base")
    ledger.call("subscribe", subject=SUBJECT, plan="base", since=START)
    discounted = unit("0.01", currency="EUR", discount_percent=10)
    for item, metric, price in (("calls", "calls", discounted), ("fee", None, flat(3, discount_percent=10))):
        ledger.call("define_price", plan="base", item=item, price=Jsonb(price), metric=metric)
    ledger.call("set_plan_minimum", plan="base", amount=2000, since=START)


def _with_base(account: Account) -> Account:
    held = ("base", START, FOREVER)
    least = {**account.minimums, "base": [(START, 0, Fraction(2000))]}
    return replace(account, subscriptions=[*account.subscriptions, held], minimums=least)


def check(life: Life, rng: random.Random, rule: Any, granted: list[Any]) -> set[str]:
    """A random cycle has the same lines; returns the kinds of them."""
    ledger = life.ledger
    invoice = ledger.value("SELECT meter.invoice_json(%s, now => %s)", [SUBJECT, day(rng, 690)])
    scenario = twin(ledger, _with_base(life.account), METERED, invoice["header"], rule, granted)
    for part in ("prices", "usage", "credits", "taxes"):
        rng.shuffle(scenario[part])
    found = simulate(ledger, scenario)
    pairs = zip_longest(_priced(found["lines"]), _priced(invoice["lines"]))
    assert [(ours, theirs) for ours, theirs in pairs if ours != theirs] == []
    if "EUR" in invoice["totals"]:
        assert found["totals"] == invoice["totals"]
        sums = [Decimal(found[name]) for name in ("subtotal", "credits", "tax")]
        assert sum(sums) == Decimal(found["total"]) == Decimal(invoice["totals"]["EUR"]["amount"])
    return {line["kind"] for line in invoice["lines"]}


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(2, 200)))
def test_the_same_inputs_have_the_same_lines(ledger: Ledger, seed: int) -> None:
    rng = random.Random(seed)
    life = Life(ledger, rng)
    anchor = START.replace(year=2020, day=rng.randint(1, 28))
    every = rng.choice(["month", "week"])
    (rule,) = ledger.call("set_billing_cycle", subject=SUBJECT, anchor=anchor, every=every)
    _base(ledger)
    changes: list[Callable[[], None]] = [
        *(life.price, life.price, life.minimum, life.subscription, life.leave, life.use, life.use)
    ]
    for _ in range(8):
        life.price()
        life.subscription()
        life.use()
    granted = _pay(ledger, rng)
    kinds: set[str] = set()
    for _ in range(8):
        for _ in range(4):
            rng.choice(changes)()
        kinds |= check(life, rng, rule, granted)
    assert {"usage", "fee", "discount", "true_up", "credit", "tax"} <= kinds


@pytest.mark.parametrize("rounding", ["line", "total"])
def test_rounding_is_that_of_the_setting(ledger: Ledger, rounding: str) -> None:
    billing = Billing(ledger, metrics={"tokens": "sum", "calls": "count"})
    ledger.call("set_setting", name="rounding", value=rounding)
    for item in ("tokens", "calls"):
        billing.price(item, unit("0.005", currency="EUR"))
    billing.use(1)
    billing.use(None, metric="calls")
    scenario = {
        "since": "2026-06-01", "until": "2026-07-01", "prices": {"plan": "pro"},
        "usage": [{"metric": m, "quantity": 1, "event_count": 1} for m in ("tokens", "calls")],
    }  # fmt: skip
    invoice = ledger.value("SELECT meter.invoice_json(%s, %s, %s)", [SUBJECT, *MONTH])
    found = simulate(ledger, scenario)
    assert (found["lines"], found["totals"]) == (invoice["lines"], invoice["totals"])
    assert found["total"] == {"line": "0.02", "total": "0.01"}[rounding]
    assert simulate(ledger, scenario | {"rounding": "line"})["total"] == "0.02"


def test_a_matrix_whose_price_changes_has_the_same_lines(ledger: Ledger) -> None:
    billing = Billing(ledger)
    tiers = [{"up_to": 10, "unit_amount": 3}, {"up_to": None, "unit_amount": 1}]

    def matrix(fixed: str) -> Any:
        return {
            "model": "matrix", "currency": "EUR", "dimensions": ["model", "region"], "cells": [
                {"when": {"model": "large"}, "price": {"model": "graduated", "tiers": tiers}},
                {"when": {"model": "small", "region": "*"}, "price": {"model": "percentage", "percent": 50,
                                                                    "fixed_amount": fixed}},
            ], "minimum_amount": 20,
        }  # fmt: skip

    versions = [
        billing.price("tokens", matrix("0.5")),
        billing.price("tokens", matrix("2"), since="2026-06-11"),
    ]
    usage = []
    for when, quantity, metadata in (
        ("2026-06-02", 7, {"model": "large", "region": "eu"}),
        ("2026-06-02", 4, {"model": "small", "region": "us", "other": "x"}),
        ("2026-06-15", 8, {"model": "large", "region": "eu"}),
        ("2026-06-16", 2, {"model": "small", "region": "eu"}),
    ):
        billing.use(quantity, when, metadata=metadata)
        since = at(when)
        usage.append({
            "metric": "tokens", "quantity": quantity, "event_count": 1, "dimensions": metadata,
            "unit": "unit", "since": since.isoformat(), "until": (since + timedelta(days=1)).isoformat(),
        })  # fmt: skip
    scenario = {
        "since": "2026-06-01", "until": "2026-07-01", "usage": usage, "prices": [
            {"plan": "pro", "metric": "tokens", "price": versions[0].price, "until": "2026-06-11",
             "price_version": versions[0].price_version},
            {"plan": "pro", "metric": "tokens", "price": versions[1].price, "since": "2026-06-11",
             "price_version": versions[1].price_version},
        ],
    }  # fmt: skip
    invoice = ledger.value("SELECT meter.invoice_json(%s, %s, %s)", [SUBJECT, *MONTH])
    found = simulate(ledger, scenario)
    assert (found["lines"], found["totals"]) == (invoice["lines"], invoice["totals"])
    assert found["total"] == "40.50"  # 35 for 15 large ones; 2.50, then 1 and 2 for the second small event


def test_the_second_cycle_has_the_same_lines(ledger: Ledger) -> None:
    """What the first statement has billed in advance is not billed again, and counts for the minimum."""
    billing = Billing(ledger)
    billing.price("tokens", unit("0.02", currency="EUR"))
    billing.fee("base", flat(20, discount_percent=10), bill="advance")
    billing.fee("support", flat(5), bill="arrears")
    ledger.call("set_plan_minimum", plan="pro", amount=60, since=at("2026-01-01"))
    ledger.call("set_tax", subject=SUBJECT, percent=19)
    billing.use(500)
    ledger.call("close_period", subject=SUBJECT, since=at("2026-05-01"), until=MONTH[0])
    scenario = {
        "since": "2026-06-01", "until": "2026-07-01", "cycle": {}, "prices": {"plan": "pro"},
        "billed_in_advance": True, "usage": [{"metric": "tokens", "quantity": 500, "event_count": 1}],
        "taxes": [{"percent": 19}],
    }  # fmt: skip
    invoice = ledger.value("SELECT meter.invoice_json(%s, %s, %s)", [SUBJECT, *MONTH])
    found = simulate(ledger, scenario)
    assert (found["lines"], found["totals"]) == (invoice["lines"], invoice["totals"])
    # 10 + 5 + 18 of July, and 27 that are missing to 60 with the 18 of June
    assert found["subtotal"] == "60.00"
    assert simulate(ledger, scenario | {"billed_in_advance": False})["subtotal"] == "78.00"
