"""compare_plans() is what invoices would be, whichever way it takes."""

from __future__ import annotations

import random
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from time import perf_counter
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at, at_length, refused
from tests.pricing.billing import DECIMALS, MONTH, flat, unit

METRICS = {"tokens": "sum", "calls": "count", "seats": "max", "users": "unique", "level": "last"}
SUBJECTS = ("a", "b", "c", "d", "e", "f")
TIERS = [{"up_to": 5, "unit_amount": "2.5", "flat_amount": 1}, {"up_to": None, "unit_amount": "0.7"}]
PRICES: tuple[dict[str, Any], ...] = (
    unit("0.333"),
    unit(2, discount_percent=10, maximum_amount=9, minimum_amount="3.5"),
    {"model": "graduated", "tiers": TIERS},
    {"model": "volume", "tiers": TIERS},
    {"model": "package", "package_size": 3, "unit_amount": 4, "free_units": 2},
    {"model": "percentage", "percent": "1.5", "fixed_amount": "0.1", "free_events": 1},
    {"model": "flat", "flat_amount": 7},
)
MATRIX = {
    "model": "matrix",
    "dimensions": ["kind"],
    "cells": [
        {"when": {"kind": "x"}, "price": unit(3)},
        {"when": {"kind": "*"}, "price": {"model": "package", "package_size": 2, "unit_amount": 1}},
    ],
}


def define(ledger: Ledger, chance: random.Random, plan: str, currency: str) -> None:
    """Random lines of a plan: versions within the month, a line of one subject's own, fees, a minimum."""
    ledger.call("define_plan", plan=plan)
    for metric in chance.sample(list(METRICS), chance.randint(1, 4)):
        prices = [*PRICES, MATRIX] if METRICS[metric] in ("sum", "count") else list(PRICES[:5])
        line = {"plan": plan, "item": metric, "metric": metric}
        first = chance.choice(prices) | {"currency": currency}
        ledger.call("define_price", **line, price=Jsonb(first))
        if chance.random() < 0.3:
            more = {"since": at("2026-06-11"), "tiers_after_change": chance.choice(["continue", "restart"])}
            ledger.call("define_price", **line, **more, price=Jsonb(chance.choice(prices)))
        if chance.random() < 0.3:
            ledger.call("define_price", **line, subject="b", price=Jsonb(chance.choice(prices)))
    if chance.random() < 0.7:
        more = {"bill": chance.choice(["advance", "arrears"]), "prorate": chance.random() < 0.5}
        ledger.call(
            "define_price", plan=plan, item="base", price=Jsonb(flat("9.99", currency=currency)), **more
        )
    if chance.random() < 0.5:
        ledger.call("set_plan_minimum", plan=plan, amount=chance.choice([5, "20.005", 100]))


def use(ledger: Ledger, chance: random.Random) -> None:
    for _ in range(60):
        metric = chance.choice(list(METRICS))
        more: dict[str, Any] = {"metadata": Jsonb({"kind": chance.choice("xyz")})}
        if METRICS[metric] == "unique":
            more["member"] = chance.choice("mnop")
        elif METRICS[metric] != "count":
            more["quantity"] = Decimal(chance.randint(1, 90)) / 10
        when = at(f"2026-06-{chance.randint(1, 30):02} {chance.randint(0, 23):02}:30")
        ledger.call("record", subject=chance.choice(SUBJECTS[:5]), metric=metric, at=when, **more)
    for subject in chance.sample(SUBJECTS, 2):
        ledger.call(
            "set_billing_cycle", subject=subject, anchor=at(f"2026-01-{chance.choice([1, 15, 31]):02}")
        )


def invoiced(ledger: Ledger, subject: str, plan: str, window: tuple[datetime, datetime]) -> Decimal | None:
    """The sum of the invoice of a subject that had the plan all the time; nothing is kept."""
    with ledger.connection.transaction(force_rollback=True):
        ledger.call("subscribe", subject=subject, plan=plan, since=at("2020-01-01"), until=None)
        lines = ledger.call("invoice", subject=subject, since=window[0], until=window[1])
    mine = [x for x in lines if x.currency and x.kind != "total" and x.since < window[1]]
    if any(line.exact_amount is None for line in mine):
        return None
    step = Decimal(1).scaleb(-DECIMALS[mine[0].currency]) if mine else Decimal(1)
    return sum((x.exact_amount for x in mine), Decimal(0)).quantize(step, ROUND_HALF_UP)


WINDOWS = (MONTH, (at("2026-06-05"), at("2026-06-21 12:00")), (at("2026-05-20"), at("2026-07-03")))


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(3, 40)))
def test_amounts_are_those_of_invoices(ledger: Ledger, seed: int) -> None:
    chance = random.Random(seed)
    for metric, aggregate in METRICS.items():
        ledger.define(metric, aggregate)
    currencies = chance.choice([("EUR", "EUR"), ("JPY", "JPY"), ("EUR", "KWD")])
    for plan, currency in zip("xy", currencies, strict=True):
        define(ledger, chance, plan, currency)
    use(ledger, chance)
    window = WINDOWS[seed % len(WINDOWS)]
    *rows, total = ledger.call(
        "compare_plans", plan_a="x", plan_b="y", since=window[0], until=window[1], subjects=list(SUBJECTS)
    )
    assert [row.subject for row in rows] == list(SUBJECTS)
    for row in rows:
        for plan, amount in (("x", row.amount_a), ("y", row.amount_b)):
            assert amount == invoiced(ledger, row.subject, plan, window), (row.subject, plan)
        same = currencies[0] == currencies[1] and None not in (row.amount_a, row.amount_b)
        assert row.difference == (row.amount_b - row.amount_a if same else None)
    known = [row.amount_a for row in rows]
    assert total.subject is None
    assert total.amount_a == (None if None in known else sum(known))
    counts = [sum(1 for r in rows if r.difference is not None and sign(r.difference)) for sign in SIGNS]
    assert [total.pays_more, total.pays_less, total.pays_same] == counts


SIGNS = (lambda x: x > 0, lambda x: x < 0, lambda x: x == 0)


def test_whoever_used_what_a_plan_prices_or_had_a_plan_is_compared(ledger: Ledger) -> None:
    for metric in ("tokens", "idle"):
        ledger.define(metric, "sum")
    for plan, price in (("x", unit(1)), ("y", unit(3))):
        ledger.call("define_plan", plan=plan)
        ledger.call("define_price", plan=plan, item="t", metric="tokens", price=Jsonb(price))
    ledger.call("record", subject="user", metric="tokens", quantity=2, at=at("2026-06-10"))
    ledger.call("record", subject="other", metric="idle", quantity=2, at=at("2026-06-10"))
    ledger.call("subscribe", subject="quiet", plan="y", since=at("2026-06-30"), until=None)
    rows = ledger.call("compare_plans", plan_a="x", plan_b="y", since=MONTH[0], until=MONTH[1])
    found = [(r.subject, r.amount_a, r.amount_b, r.pays_more, r.pays_less, r.pays_same) for r in rows]
    assert found == [("quiet", 0, 0, 0, 0, 1), ("user", 2, 6, 1, 0, 0), (None, 2, 6, 1, 0, 1)]


def test_a_plan_without_prices_costs_nothing(ledger: Ledger) -> None:
    ledger.define("tokens", "sum")
    for plan in ("free", "pro"):
        ledger.call("define_plan", plan=plan)
    ledger.call("define_price", plan="pro", item="t", metric="tokens", price=Jsonb(unit(2)))
    ledger.call("record", subject="a", metric="tokens", quantity=5, at=at("2026-06-10"))
    row, _ = ledger.call("compare_plans", plan_a="free", plan_b="pro", since=MONTH[0], until=MONTH[1])
    assert (row.amount_a, row.currency_a, row.amount_b, row.currency_b) == (0, None, 10, "USD")
    assert (row.difference, row.pays_more) == (10, 1)


def test_bad_arguments_are_refused(ledger: Ledger) -> None:
    ledger.call("define_plan", plan="x")
    good = {"plan_a": "x", "plan_b": "x", "since": MONTH[0], "until": MONTH[1]}
    for change, sqlstate in (
        ({"plan_a": "none"}, "UM007"),
        ({"plan_b": None}, "22004"),
        ({"since": None}, "22004"),
        ({"until": MONTH[0]}, "22023"),
        ({"subjects": [""]}, "22023"),
    ):
        with refused(sqlstate):
            ledger.call("compare_plans", **(good | change))


@pytest.mark.slow
def test_a_thousand_subjects_take_a_second_or_so(ledger: Ledger) -> None:
    """The target is 10,000 subjects of ten metrics in ten seconds; others use the machine, too."""
    for n in range(10):
        ledger.define(f"m{n}", "sum")
    for plan in "xy":
        ledger.call("define_plan", plan=plan)
        for n in range(10):
            price = PRICES[(n + (plan == "y")) % 5]
            ledger.call("define_price", plan=plan, item=f"m{n}", metric=f"m{n}", price=Jsonb(price))
    for n in range(10):
        ledger.execute(
            "SELECT count(*) FROM meter.record_batch((SELECT jsonb_agg(jsonb_build_object("
            "'subject', 's' || s, 'metric', %s::text, 'at', '2026-06-10T00:00:00Z', 'quantity', s %% 97 + 1))"
            " FROM generate_series(1, 1000) s))",
            [f"m{n}"],
        )
    ledger.execute("ANALYZE")
    times = []
    for _ in range(3):
        start = perf_counter()
        rows = ledger.call("compare_plans", plan_a="x", plan_b="y", since=MONTH[0], until=MONTH[1])
        times.append(perf_counter() - start)
    assert len(rows) == 1001
    assert min(times) < 3, times
