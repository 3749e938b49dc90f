"""Vendors' worked examples through real usage, a plan and an invoice."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from tests.helpers import Ledger, at
from tests.pricing.billing import Billing, exact, priced, rounded, total

EXAMPLES = json.loads((Path(__file__).parent / "price_examples.json").read_text(encoding="utf-8"))
CHANGE = at("2026-06-16")


def test_every_example_as_usage_a_plan_and_an_invoice(ledger: Ledger) -> None:
    """A later slice has an earlier segment, of a version with another name; other slices have a later one."""
    billing = Billing(ledger, subscribe=False)
    for number, example in enumerate(EXAMPLES):
        plan, subject = f"plan {number}", f"acct {number}"
        price = {"currency": "USD", **example["price"]}
        billing.plan(plan)
        ledger.call("subscribe", subject=subject, plan=plan, since=at("2020-01-01"))
        billing.price("usage", price, plan=plan, metric="tokens")
        billed, is_final = Decimal(example.get("billed", 0)), example.get("final", True)
        if billed or not is_final:
            billing.price("usage", price, plan=plan, metric="tokens", name="again", since=str(CHANGE))
        slices = {at("2026-06-10"): billed, at("2026-06-20"): Decimal(example["quantity"])}
        if not is_final:
            slices = {at("2026-06-10"): Decimal(example["quantity"])}
        for when, quantity in slices.items():
            if quantity:
                ledger.record(subject, "tokens", quantity, at=when)
        lines = billing.invoice(subject=subject)
        counted = [
            line
            for line in lines
            if line.item and (not billed or line.since == CHANGE) and (is_final or line.until == CHANGE)
        ]
        assert exact(counted) == Fraction(example["amount"]), (example, lines)
        assert counted, example
        assert total(lines).amount == Decimal(round(rounded(exact(lines), 2) * 100)) / 100, (example, lines)
        assert sum(line.amount for line in priced(lines)) == total(lines).amount
