"""Lines add up to the rounded total, whatever the prices and the currency."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction

import pytest

from tests.helpers import Ledger, at
from tests.pricing import model
from tests.pricing.billing import DECIMALS, Billing, exact, flat, priced, rounded, total, unit


@pytest.mark.parametrize("currency", DECIMALS)
def test_lines_of_random_prices_add_up_to_the_rounded_sum(ledger: Ledger, currency: str) -> None:
    rng = random.Random(currency)
    billing = Billing(ledger, metrics={f"m{n}": "sum" for n in range(12)}, subscribe=False)
    differing = 0
    for number in range(12):
        plan, subject = f"plan {number}", f"acct {number}"
        billing.plan(plan)
        billing.subscribe(plan, "2026-06-01", rng.choice([None, "2026-06-14"]), subject)
        for n in range(rng.randint(1, 12)):
            price = model.random_price(rng, rng.choice(model.MODELS)) | {"currency": currency}
            billing.price(f"m{n}", price, plan=plan)
            if rng.random() < 0.8:
                ledger.record(
                    subject, f"m{n}", rng.choice([1, 3, 7, Decimal("12.345"), 250]), at=at("2026-06-10")
                )
        billing.fee("base", flat(rng.choice(["0.005", "10.333", "99"])), plan=plan)
        lines = billing.invoice(subject=subject)
        decimals = DECIMALS[currency]
        unit_of = Fraction(1, 10**decimals)
        for line in priced(lines):
            assert line.amount.as_tuple().exponent == -decimals
            assert abs(Fraction(line.amount) - Fraction(line.exact_amount)) < unit_of
            if Fraction(line.exact_amount) % unit_of == 0:
                assert line.amount == line.exact_amount, "an amount that needs no rounding stays"
        assert sum((Fraction(line.amount) for line in priced(lines)), Fraction(0)) == total(lines).amount
        assert total(lines).amount == rounded(exact(lines), decimals)
        assert total(lines).exact_amount == exact(lines)
        differing += any(
            Fraction(x.amount) != rounded(Fraction(x.exact_amount), decimals) for x in priced(lines)
        )
    assert differing, "some line had to be adjusted"


def three_thirds(billing: Billing) -> None:
    for n in range(3):
        billing.fee(f"fee {n}", unit("0.004"))


def test_the_largest_remainder_takes_what_is_missing(billing: Billing) -> None:
    three_thirds(billing)
    billing.fee("fee 1", unit("0.0045"), since="2020-01-01")
    lines = billing.invoice()
    assert [line.amount for line in priced(lines)] == [Decimal("0.00"), Decimal("0.01"), Decimal("0.00")]
    assert total(lines).amount == Decimal("0.01")


def test_with_rounding_by_line_the_total_is_the_sum_of_rounded_lines(billing: Billing) -> None:
    three_thirds(billing)
    assert total(billing.invoice()).amount == Decimal("0.01")
    billing.ledger.call("set_setting", name="rounding", value="line")
    lines = billing.invoice()
    assert {line.amount for line in priced(lines)} == {Decimal("0.00")}
    assert total(lines).amount == Decimal("0.00")
    assert total(lines).exact_amount == Decimal("0.012")


@pytest.mark.parametrize(
    ("amount", "expected"), [("0.005", "0.01"), ("0.0049999999999999999", "0.00"), ("1.015", "1.02")]
)
def test_half_a_unit_goes_away_from_zero(billing: Billing, amount: str, expected: str) -> None:
    billing.fee("base", unit(amount))
    assert total(billing.invoice()).amount == Decimal(expected)
    billing.ledger.call("set_setting", name="rounding", value="line")
    assert total(billing.invoice()).amount == Decimal(expected)


@pytest.mark.parametrize(("currency", "expected"), [("JPY", "123"), ("KWD", "123.457"), ("CLF", "123.4568")])
def test_a_currency_has_its_own_decimals(billing: Billing, currency: str, expected: str) -> None:
    billing.fee("base", unit("123.456789", currency=currency))
    assert str(total(billing.invoice()).amount) == expected
