"""focus_charges(): what pays a statement, and what is levied on it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.credits.account import SUBJECT, Account
from tests.focus.charges import Charge, assert_conforms, charges
from tests.helpers import Ledger, at
from tests.pricing.closings import settle_all

COSTS = ("BilledCost", "EffectiveCost", "ContractedCost", "ListCost")


def closed(account: Account, number: int = 6) -> list[Charge]:
    account.close(number)
    assert_conforms(account.ledger)
    return [
        row for row in charges(account.ledger) if row["BillingPeriodStart"].startswith(f"2026-{number:02}")
    ]


def of_category(rows: list[Charge], category: str) -> list[Charge]:
    return [row for row in rows if row["ChargeCategory"] == category]


def test_a_credit_is_a_negative_charge(account: Account) -> None:
    account.use(100)
    account.grant(20)
    (row,) = of_category(closed(account), "Credit")
    assert [row[name] for name in COSTS] == [-20] * 4
    assert (row["ChargeClass"], row["ChargeFrequency"], row["x_Item"]) == (None, "One-Time", "1")
    assert row["SkuId"] is None


def test_what_is_given_back_to_a_credit_corrects_its_invoice(account: Account) -> None:
    """100, of which a credit pays 20 and money 80; then 90 are taken off."""
    account.use(100)
    account.grant(20)
    closed(account)
    account.use(-90)
    settle_all(account.ledger)
    rows = of_category(closed(account, 7), "Credit")
    assert [(row["BilledCost"], row["ChargeClass"], row["x_CorrectedInvoiceId"]) for row in rows] == [
        (20, "Correction", "1"),
        (70, None, None),
    ]


def test_a_tax_has_neither_quantities_nor_prices(account: Account) -> None:
    account.use(100)
    account.tax(19, name="VAT")
    (row,) = of_category(closed(account), "Tax")
    assert [row[name] for name in COSTS] == [19] * 4
    assert (row["ChargeDescription"], row["x_Item"]) == ("VAT 19% of 100", "VAT")


def test_the_list_cost_of_a_tax_is_that_of_the_list_costs(ledger: Ledger) -> None:
    """100 by list, 90 by contract, at most 50, of which a credit pays 20: 19 % of 80, 70 and 30."""
    account = Account(ledger)
    price = {
        "model": "unit",
        "unit_amount": "1",
        "discount_percent": "10",
        "maximum_amount": "50",
        "currency": "EUR",
    }
    account.price("tokens", price, metric="tokens", since=at("2026-01-01"))
    account.use(100)
    account.grant(20)
    account.tax(19, name="VAT")
    (row,) = of_category(closed(account), "Tax")
    assert [row[name] for name in COSTS] == [
        Decimal("5.70"), Decimal("5.70"), Decimal("13.3"), Decimal("15.2"),
    ]  # fmt: skip


def test_a_tax_that_prices_contain_costs_nothing_more_and_says_how_much_it_is(account: Account) -> None:
    """10 % and 15 % are contained in 125, whose net amount is 100; 5 % are added to it."""
    account.use(125)
    account.tax(10, name="a", inclusive=True)
    account.tax(15, name="b", inclusive=True)
    account.tax(5, name="c")
    rows = of_category(closed(account), "Tax")
    assert [(row["x_Item"], row["BilledCost"], row["ListCost"], row["x_IncludedTax"]) for row in rows] == [
        ("a", 0, 0, 10),
        ("b", 0, 0, 15),
        ("c", 5, 5, None),
    ]


@pytest.mark.parametrize(
    ("currency", "billed", "listed"), [("JPY", "7", "6.5"), ("KWD", "6.500", "6.5"), ("EUR", "6.50", "6.5")]
)
def test_what_is_billed_has_the_decimals_of_the_currency_and_the_list_cost_all(
    ledger: Ledger, currency: str, billed: str, listed: str
) -> None:
    account = Account(ledger, currency, "1.3")
    account.use(5)
    (row,) = closed(account)
    assert (str(row["BilledCost"]), str(row["ListCost"]), row["BillingCurrency"]) == (
        billed,
        listed,
        currency,
    )
    assert row["BillingAccountId"] == SUBJECT
