"""What has happened in other products, each seen in a public report, and must not happen here."""

from __future__ import annotations

import itertools
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.helpers import Ledger, at
from tests.pricing.billing import MONTH, SUBJECT, Billing, amounts, exact, flat, priced, total, unit

SQL = Path(__file__).parents[2] / "sql" / "pricing"
GRADUATED = {
    "model": "graduated",
    "tiers": [{"up_to": 100, "unit_amount": "0.10"}, {"up_to": None, "unit_amount": "0.03"}],
}


def test_the_preview_is_the_invoice(billing: Billing) -> None:
    """In the middle of the cycle and after it, as rows, as a document and as of a watermark."""
    billing.price("tokens", GRADUATED)
    billing.fee("base", flat("9.99"), bill="advance")
    billing.use("150.5")
    preview = billing.ledger.call("invoice", subject=SUBJECT, now=at("2026-06-11"))
    assert preview == billing.ledger.call("invoice", subject=SUBJECT, now=at("2026-06-30 23:59"))
    assert preview == billing.invoice() == billing.invoice(as_of=billing.watermark())
    document = billing.ledger.value("SELECT meter.invoice_json(%s, now => '2026-06-11Z')", [SUBJECT])
    assert [(d["item"], d["amount"]) for d in document["lines"]] == [
        (line.item, str(line.amount)) for line in priced(preview)
    ]
    assert document["totals"] == {"USD": {"exact_amount": "31.495", "amount": "31.50"}}


def test_lines_add_up_to_the_total(ledger: Ledger) -> None:
    """Thirds of a cent in every line, rounded each for itself, would miss the total."""
    billing = Billing(ledger, metrics={f"m{n}": "sum" for n in range(9)})
    for n in range(9):
        billing.price(f"m{n}", unit("0.0033333"))
        billing.use(1, metric=f"m{n}")
    lines = billing.invoice()
    assert sum(amounts(lines)) == total(lines).amount == Decimal("0.03")


@pytest.mark.parametrize("tiers", ["continue", "restart"])
def test_a_price_change_in_the_middle_of_a_month_bills_each_unit_once(billing: Billing, tiers: str) -> None:
    billing.price("tokens", unit("1"))
    billing.price("tokens", unit("100"), since="2026-06-16", tiers_after_change=tiers)
    for when in ("2026-06-01", "2026-06-15 23:59:59.999999", "2026-06-16", "2026-06-30 23:59:59.999999"):
        billing.use(1, when)
    lines = priced(billing.invoice())
    assert [(line.quantity, line.unit_amount, line.amount) for line in lines] == [(2, 1, 2), (2, 100, 200)]
    assert [(line.since, line.until) for line in lines] == [
        (MONTH[0], at("2026-06-16")),
        (at("2026-06-16"), MONTH[1]),
    ]


def test_a_fee_that_changes_in_the_middle_of_a_month_is_billed_by_days(billing: Billing) -> None:
    billing.fee("base", flat("30"))
    billing.fee("base", flat("60"), since="2026-06-16")
    assert amounts(billing.invoice()) == [15, 30]


def test_the_days_of_a_fee_in_windows_that_tile_are_the_whole_fee(billing: Billing) -> None:
    billing.fee("base", flat("31"))
    billing.fee("setup", flat("7"), prorate=False)
    days = [at("2026-01-15"), at("2026-02-03"), at("2026-02-20"), at("2026-03-01")]
    parts = [exact(billing.invoice(a, b)) for a, b in itertools.pairwise(days)]
    whole = exact(billing.invoice(days[0], days[-1]))
    assert abs(sum(parts) - whole) < Fraction(1, 10**18)
    assert abs(whole - (17 + 31 + 2 * 7)) < Fraction(1, 10**18)


def test_no_rounded_average_is_shown_as_a_rate(billing: Billing) -> None:
    """Every unit_amount is one of the price; quantity times it, and flat_amount, is exact_amount."""
    billing.price("tokens", GRADUATED)
    billing.use(333)
    lines = priced(billing.invoice())
    assert [line.unit_amount for line in lines] == [Decimal("0.10"), Decimal("0.03")]
    assert all(line.quantity * line.unit_amount + line.flat_amount == line.exact_amount for line in lines)


@pytest.mark.parametrize(
    ("price", "due"),
    [
        ({"model": "flat", "flat_amount": 7}, 7),
        ({"model": "volume", "tiers": [{"up_to": None, "unit_amount": 1, "flat_amount": 7}]}, 7),
        ({"model": "graduated", "tiers": [{"up_to": None, "unit_amount": 1, "flat_amount": 7}]}, 7),
        (
            {
                "model": "graduated", "flat_at_zero": False,
                "tiers": [{"up_to": None, "unit_amount": 1, "flat_amount": 7}],
            },
            0,
        ),
        (unit(1, minimum_amount=7), 7),
    ],
)  # fmt: skip
def test_what_is_due_at_zero_does_not_depend_on_the_path(ledger: Ledger, price: Any, due: int) -> None:
    """Without events, with a zero, with an event taken back, with a change in the cycle: the same."""
    billing = Billing(ledger)
    billing.price("tokens", price)
    assert total(billing.invoice()).amount == due
    billing.use(0)
    assert total(billing.invoice()).amount == due
    billing.use(5, idempotency_key="k")
    ledger.call("void_event", subject=SUBJECT, metric="tokens", idempotency_key="k", reason="why")
    assert total(billing.invoice()).amount == due
    billing.price("tokens", price, name="again", since="2026-06-20")
    assert total(billing.invoice()).amount == due
    assert any(line.item == "tokens" for line in billing.invoice()), "zero usage has its line"


def test_no_float_is_used_anywhere(billing: Billing, db: psycopg.Connection[Any]) -> None:
    for file in SQL.glob("*.sql"):
        code = file.read_text(encoding="utf-8").lower()
        assert not any(
            word in code for word in ("float8", "float4", "double precision", "::real", "random()")
        ), file
    columns = db.execute(
        "SELECT attrelid::regclass::text, attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid"
        " WHERE c.relnamespace = 'meter'::regnamespace AND atttypid IN ('float4'::regtype, 'float8'::regtype)"
        " AND (relname LIKE '%%price%%' OR relname LIKE '%%invoice%%' OR relname LIKE 'plan%%')"
    ).fetchall()
    assert columns == []
    billing.price("tokens", unit("0.1"))
    for _ in range(3):
        billing.use("0.1")
    billing.use("1e-30", "2026-06-11")
    assert total(billing.invoice()).exact_amount == Decimal("0.0300000000000000000000000000001")


def test_currencies_are_never_mixed(billing: Billing) -> None:
    billing.plan("euro")
    billing.fee("base", flat("10", currency="USD"))
    billing.fee("base", flat("20", currency="EUR"), plan="euro")
    billing.ledger.call("unsubscribe", subject=SUBJECT, plan="pro", at=at("2026-06-16"))
    billing.subscribe("euro", "2026-06-16")
    lines = billing.invoice()
    assert (total(lines, "USD").amount, total(lines, "EUR").amount) == (5, 10)
    assert sum(line.kind == "total" for line in lines) == 2


def test_a_package_is_rounded_per_period_and_not_per_slice(billing: Billing) -> None:
    price = {"model": "package", "package_size": 10, "unit_amount": "3"}
    billing.price("tokens", price)
    for day in range(1, 31):
        billing.price("tokens", price, name=f"day {day}", since=f"2026-06-{day:02}")
        billing.use(1, f"2026-06-{day:02} 12:00")
    lines = billing.invoice()
    assert len(priced(lines)) == 30
    assert total(lines).amount == 9


def test_usage_without_a_price_is_not_hidden(ledger: Ledger) -> None:
    billing = Billing(ledger, metrics={"tokens": "sum", "calls": "count"}, subscribe=False)
    billing.subscribe("pro", "2026-06-11")
    billing.price("tokens", unit("2"))
    billing.use(5, "2026-06-10")
    billing.use(7, "2026-06-12")
    billing.use(None, "2026-06-12", "calls")
    unpriced = [line for line in billing.invoice() if line.currency is None]
    assert [(line.metric, line.item, line.quantity, line.exact_amount, line.amount) for line in unpriced] == [
        ("calls", None, 1, None, None),
        ("tokens", None, 5, None, None),
    ]
    assert "at this time" in unpriced[1].explanation


def test_usage_of_a_combination_without_a_cell_makes_the_total_unknown(billing: Billing) -> None:
    matrix = {
        "model": "matrix", "dimensions": ["model"],
        "cells": [{"when": {"model": "large"}, "unit_amount": "3"}],
    }  # fmt: skip
    billing.price("tokens", matrix)
    billing.fee("base", flat("10"))
    billing.ledger.call("set_plan_minimum", plan="pro", amount=1000)
    billing.use(4, metadata={"model": "large"})
    assert total(billing.invoice()).amount == 1000
    billing.use(1, metadata={"model": "new"})
    lines = billing.invoice()
    assert (total(lines).amount, total(lines).exact_amount) == (None, None)
    (line,) = [line for line in lines if line.item == "tokens" and line.amount is None]
    assert (line.quantity, line.kind) == (1, "usage")
    assert "no cell for model new" in line.explanation
    assert sorted(amount for amount in amounts(lines) if amount is not None) == [10, 12]
