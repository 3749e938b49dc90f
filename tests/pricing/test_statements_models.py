"""Late usage of every model and aggregate: what is billed in all is the price of what is billed of it."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import pytest

from tests.close.closing import assert_balanced
from tests.helpers import Ledger, at, at_length
from tests.pricing import model
from tests.pricing.billing import SUBJECT, Billing, unit
from tests.pricing.closings import (
    AUGUST,
    JULY,
    SEPTEMBER,
    billed_of,
    close,
    columns,
    late_lines,
    lines,
    preview,
    settle_all,
    total_of,
)

DUE = {"model": "flat", "flat_amount": "30"}


@pytest.mark.at_length
@pytest.mark.parametrize("kind", model.MODELS)
@pytest.mark.parametrize("seed", range(at_length(2, 60)))
def test_what_is_billed_of_a_period_costs_its_price(ledger: Ledger, seed: int, kind: str) -> None:
    """Of one segment: with convert, free units, discount, maximum and minimum; some is waived."""
    rng = random.Random(f"{seed} {kind}")
    billing = Billing(ledger)
    price = model.random_price(rng, kind) | {"currency": "EUR"}
    if kind == "percentage":  # events would have to be waived as such
        price.pop("fixed_amount", None)
        price.pop("free_events", None)
    billing.price("tokens", price)
    billing.use(rng.choice([1, 5, "12.5"]))
    close(ledger)
    for month in (JULY, AUGUST, SEPTEMBER):
        for _ in range(3):
            if rng.random() < 0.3:
                ledger.call(
                    "adjust", subject=SUBJECT, metric="tokens", quantity=-rng.choice([1, 3]), reason="why",
                    at=at("2026-06-20"),
                )  # fmt: skip
            else:
                billing.use(rng.choice([1, "2.5", 7, 30]))
            settle_all(ledger, rng.choice(["bill", "bill", "waive"]))
        waiting = columns(preview(ledger, month))
        assert columns(lines(ledger, close(ledger, month).statement_id)) == waiting
        (line,) = ledger.rows("SELECT * FROM meter.statement_balances WHERE statement_id = 1")
        due = model.rated(price, max(Fraction(line.stated + line.billed), Fraction(0)))
        assert abs(billed_of(ledger, 1) - due) < Fraction(1, 10**15)
    assert_balanced(ledger)
    assert ledger.call("verify_statements") == []


MATRIX = {
    "model": "matrix",
    "dimensions": ["m"],
    "maximum_amount": 40,
    "cells": [{"when": {"m": "x"}, "unit_amount": "3"}, {"when": {"m": "y"}, "unit_amount": "1"}],
}


def test_late_usage_of_a_matrix_costs_its_combination(billing: Billing) -> None:
    """x 4, y 2: 14. Then y +3: +3; then x +10: up to the maximum of 40."""
    ledger = billing.ledger
    billing.price("tokens", MATRIX)
    billing.use(4, metadata={"m": "x"})
    billing.use(2, metadata={"m": "y"})
    assert total_of(ledger, close(ledger).statement_id) == 14
    billing.use(3, metadata={"m": "y"})
    settle_all(ledger)
    second = close(ledger, JULY)
    assert late_lines(ledger, second.statement_id) == [(3, 1, 3)]
    billing.use(10, metadata={"m": "x"})
    settle_all(ledger)
    third = close(ledger, AUGUST)
    assert late_lines(ledger, third.statement_id) == [(10, 3, 30), (None, None, -7)]
    assert billed_of(ledger, 1) == 40
    assert ledger.call("verify_statements") == []


def test_a_combination_without_a_cell_makes_the_total_unknown(
    billing: Billing,
) -> None:
    ledger = billing.ledger
    billing.price("tokens", MATRIX)
    billing.use(4, metadata={"m": "x"})
    close(ledger)
    billing.use(3, metadata={"m": "z"}, idempotency_key="k")
    (line,) = ledger.call("late_usage", subject=SUBJECT)
    assert (line.delta, line.amount) == (3, None)
    settle_all(ledger)
    assert total_of(ledger, close(ledger, JULY).statement_id) is None
    ledger.call("void_event", subject=SUBJECT, metric="tokens", idempotency_key="k", reason="why")
    settle_all(ledger)
    third = close(ledger, AUGUST)
    assert {quantity for quantity, _, _ in late_lines(ledger, third.statement_id)} == {-3}
    assert ledger.call("verify_statements") == []


def test_events_of_a_percentage_are_late_with_their_fixed_amount(billing: Billing) -> None:
    ledger = billing.ledger
    billing.price("tokens", {"model": "percentage", "percent": "1", "fixed_amount": "0.5", "free_events": 1})
    billing.use(100)
    assert total_of(ledger, close(ledger).statement_id) == 1
    billing.use(100)
    billing.use(100)
    settle_all(ledger)
    assert total_of(ledger, close(ledger, JULY).statement_id) == 3
    assert ledger.call("verify_statements") == []


@pytest.mark.parametrize(
    ("aggregate", "first", "second", "amount"),
    [
        ("max", {"quantity": 4}, {"quantity": 6}, 20),
        ("last", {"quantity": 4}, {"quantity": 6}, 20),
        ("min", {"quantity": 4}, {"quantity": 1}, -30),
        ("avg", {"quantity": 4}, {"quantity": 5}, 5),
        ("unique", {"member": "a"}, {"member": "b"}, 10),
        ("count", {}, {}, 10),
    ],
)
def test_late_values_cost_the_difference_of_the_value(
    ledger: Ledger, aggregate: str, first: Any, second: Any, amount: int
) -> None:
    billing = Billing(ledger, metrics={"m": aggregate})
    billing.price("m", unit("10"))
    ledger.record(SUBJECT, "m", at=at("2026-06-10"), **first)
    close(ledger)
    ledger.record(SUBJECT, "m", at=at("2026-06-11"), **second)
    (line,) = ledger.call("late_usage", subject=SUBJECT)
    assert line.amount == amount
    settle_all(ledger)
    assert total_of(ledger, close(ledger, JULY).statement_id) == max(amount, 0)
    assert ledger.call("verify_statements") == []


def test_a_metric_that_is_newer_than_the_statement_is_late_without_a_price(billing: Billing) -> None:
    ledger = billing.ledger
    billing.price("tokens", unit("1"))
    first = close(ledger)
    ledger.define("new", "sum")
    billing.price("new", unit("5"))
    billing.use(3, "2026-06-10", "new")
    assert [(row.metric, row.amount) for row in ledger.call("late_usage", subject=SUBJECT)] == [("new", None)]
    settle_all(ledger)
    waiting = columns(preview(ledger, JULY))
    second = close(ledger, JULY)
    assert columns(lines(ledger, second.statement_id)) == waiting
    assert late_lines(ledger, second.statement_id) == [(3, None, None)]
    billing.use(2, "2026-06-11", "new")
    settle_all(ledger)
    assert late_lines(ledger, close(ledger, AUGUST).statement_id) == [(2, None, None)]
    assert columns(preview(ledger, as_of=first.watermark)) == columns(lines(ledger, first.statement_id))
    assert ledger.call("verify_statements") == []


def test_a_metric_that_was_retired_since_is_billed_late_all_the_same(billing: Billing) -> None:
    ledger = billing.ledger
    billing.price("tokens", unit("10"))
    billing.use(5, idempotency_key="k")
    close(ledger)
    ledger.call("retire_metric", key="tokens")
    ledger.call("void_event", subject=SUBJECT, metric="tokens", idempotency_key="k", reason="why")
    settle_all(ledger)
    second = close(ledger, JULY)
    assert late_lines(ledger, second.statement_id) == [(-5, 10, -50)]
    assert ledger.call("verify_statements") == []


def test_what_is_due_without_usage_is_due_when_all_usage_was_taken_back(billing: Billing) -> None:
    """In three segments: 5, then -5, then nothing: the whole cycle has none."""
    ledger = billing.ledger
    billing.price("tokens", {**DUE, "minimum_amount": 1})
    for day, amount in (("2026-06-10", "2"), ("2026-06-20", "3")):
        billing.price("tokens", {**DUE, "minimum_amount": amount}, since=day)
    for quantity, day in ((5, "2026-06-05"), (-5, "2026-06-15")):
        ledger.rows(
            "SELECT FROM meter.adjust(%s, 'tokens', %s, at => %s, reason => 'why')",
            [SUBJECT, quantity, at(day)],
        )
    assert total_of(ledger, close(ledger).statement_id) == 30
