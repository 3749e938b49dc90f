"""The minimum of a plan beside its fees, in cycles that are closed in parts: the parts sum to the whole."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest

from tests.helpers import Ledger, at, at_length
from tests.pricing.billing import SUBJECT, Billing, exact, flat, unit
from tests.pricing.closings import AUGUST, JULY, JUNE, MAY, close, columns, lines, preview
from tests.pricing.test_invoice_model import CLOSE_TO
from tests.simulate.test_simulation_is_the_invoice import simulate

MIDDLE = at("2026-06-16")
WHOLE = "acct_2"


def billed(ledger: Ledger, subject: str) -> Fraction:
    """What all statements of a subject sum to, not rounded."""
    return sum(
        (exact(lines(ledger, t.statement_id)) for t in ledger.call("statements", subject=subject)),
        Fraction(0),
    )


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "out of order"])
@pytest.mark.parametrize("before", [True, False], ids=["billed in advance", "not billed yet"])
@pytest.mark.parametrize(
    "terms", [{"bill": "advance"}, {"prorate": False}, {"bill": "advance", "prorate": False}]
)
def test_a_fee_counts_for_the_minimum_of_each_part(
    billing: Billing, terms: dict[str, object], before: bool, order: int
) -> None:
    """The fee is the minimum: nothing is missing to it, in any part."""
    billing.fee("base", flat("30", currency="EUR"), **terms)
    billing.ledger.call("set_plan_minimum", plan="pro", amount=30)
    if before:
        close(billing.ledger, MAY)
    for part in [(JUNE, MIDDLE), (MIDDLE, JULY)][::order]:
        expected = columns(preview(billing.ledger, *part))
        header = close(billing.ledger, *part)
        assert columns(lines(billing.ledger, header.statement_id)) == expected
    found = [
        line.kind for t in billing.ledger.call("statements", subject=SUBJECT)
        for line in lines(billing.ledger, t.statement_id)
    ]  # fmt: skip
    assert "true_up" not in found
    assert billing.ledger.call("verify_statements") == []


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(3, 200)))
def test_a_cycle_that_is_closed_in_parts_costs_what_it_costs_as_a_whole(ledger: Ledger, seed: int) -> None:
    """Usage is the same on each day, so that a part of the days costs the same part."""
    rng = random.Random(seed)
    billing = Billing(ledger)
    billing.subscribe("pro", "2020-01-01", subject=WHOLE)
    billing.price("tokens", unit("0.5", currency="EUR"))
    for item in ("a", "b", "c")[: rng.randint(1, 3)]:
        billing.fee(
            item, flat(rng.randint(1, 40), discount_percent=rng.choice([0, 10])),
            bill=rng.choice(["advance", "arrears"]), prorate=rng.random() < 0.6,
        )  # fmt: skip
    ledger.call("set_plan_minimum", plan="pro", amount=rng.randint(1, 120))
    a_day = Decimal(rng.randint(0, 4))
    for number in range(92):
        for subject in (SUBJECT, WHOLE):
            ledger.record(subject, "tokens", a_day, at=MAY + timedelta(days=number))
    if rng.random() < 0.5:
        for subject in (SUBJECT, WHOLE):
            close(ledger, MAY, subject=subject)
    inside = {JUNE + timedelta(days=rng.randint(1, 29)) for _ in range(rng.randint(1, 3))}
    cuts = sorted({JUNE, JULY} | inside)
    parts = list(pairwise(cuts))
    rng.shuffle(parts)
    for since, until in parts:
        close(ledger, since, until)
    close(ledger, JUNE, subject=WHOLE)
    for subject in (SUBJECT, WHOLE):
        close(ledger, JULY, subject=subject)
    assert abs(billed(ledger, SUBJECT) - billed(ledger, WHOLE)) < CLOSE_TO
    assert ledger.call("verify_statements") == []


@pytest.mark.parametrize("part", [(JUNE, MIDDLE), (MIDDLE, JULY), (MIDDLE, AUGUST), (at("2026-05-16"), JULY)])
@pytest.mark.parametrize("bill", ["advance", "arrears"])
@pytest.mark.parametrize("prorate", [True, False])
def test_a_part_of_a_cycle_is_simulated_as_it_is_invoiced(
    billing: Billing, part: tuple[object, object], bill: str, prorate: bool
) -> None:
    fee = {"item": "base", "price": flat("20", currency="EUR"), "bill": bill, "prorate": prorate}
    billing.fee(**fee)
    billing.ledger.call("set_plan_minimum", plan="pro", amount=70)
    since, until = (str(moment).replace(" ", "T") for moment in part)
    found = simulate(billing.ledger, {
        "since": since, "until": until, "cycle": {}, "prices": [{"plan": "pro", **fee}],
        "minimums": [{"plan": "pro", "amount": 70}],
    })  # fmt: skip
    document = billing.ledger.value(
        "SELECT meter.invoice_json(%s, %s::timestamptz, %s::timestamptz)", [SUBJECT, since, until]
    )
    amounts = [
        [(line["kind"], line["item"], line["exact_amount"]) for line in one["lines"] if line["currency"]]
        for one in (found, document)
    ]
    assert amounts[0] == amounts[1]
    assert found["totals"] == document["totals"]
