"""The validator finds what breaks a rule: each of these changes of a good file does."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest

from tests.credits.account import Account
from tests.focus.charges import exported
from tests.focus.validator import problems, read

Rows = list[dict[str, str]]


def _written(header: list[str], rows: Rows) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, header, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@pytest.fixture
def good(account: Account) -> str:
    """Usage of two months, a credit and a tax."""
    account.use(100)
    account.use(3, 7)
    account.grant(20)
    account.tax(19, name="VAT")
    account.close(6)
    account.close(7)
    text = exported(account.ledger)
    assert problems(text) == []
    return text


def _set(category: str, **values: str) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        next(row for row in rows if row["ChargeCategory"] == category).update(values)

    return change


BREACHES = {
    "a null": _set("Usage", BilledCost=""),
    "a blank": _set("Usage", ProviderName=" "),
    "a number with a comma": _set("Usage", BilledCost="1,000"),
    "a number with a plus": _set("Usage", BilledCost="+1"),
    "a category of its own": _set("Usage", ChargeCategory="Fee"),
    "a class of its own": _set("Usage", ChargeClass="Late"),
    "a currency in small letters": _set("Usage", BillingCurrency="eur"),
    "a time without a T": _set("Usage", ChargePeriodStart="2026-06-01 00:00:00Z"),
    "a time of another zone": _set("Usage", ChargePeriodStart="2026-06-01T00:00:00+02:00"),
    "a period without a length": _set("Usage", ChargePeriodEnd="2026-06-01T00:00:00Z"),
    "a property of ours without x_": _set("Usage", SkuPriceDetails='{"Plan": "pro"}'),
    "a property that is an array": _set("Usage", SkuPriceDetails='{"x_Plan": [1]}'),
    "properties without a price": _set("Credit", SkuPriceDetails='{"x_Plan": "pro"}'),
    "a tax with a quantity": _set("Tax", PricingQuantity="1", PricingUnit="Count"),
    "a tax with a price": _set("Tax", ListUnitPrice="1"),
    "usage without a price": _set("Usage", ListUnitPrice=""),
    "usage without a quantity": _set("Usage", ConsumedQuantity="", ConsumedUnit=""),
    "a quantity of a credit": _set("Credit", ConsumedQuantity="1", ConsumedUnit="Count"),
    "a quantity without a unit": _set("Usage", PricingUnit=""),
    "a unit of a part": _set("Usage", PricingUnit="2.5 tokens"),
    "a meter without a SKU": _set("Credit", SkuMeter="tokens"),
    "a negative price": _set("Usage", ListUnitPrice="-1", PricingQuantity="-100"),
    "a cost that is no product": _set("Usage", ListCost="99"),
    "a contracted cost that is no product": _set("Usage", ContractedCost="99"),
    "the list cost of a credit": _set("Credit", ListCost="0"),
    "the effective cost of a credit": _set("Credit", EffectiveCost="0"),
    "a purchase by usage": _set("Usage", ChargeCategory="Purchase", ConsumedQuantity="", ConsumedUnit=""),
    "a subcategory of another category": _set("Usage", ServiceSubcategory="Other (Web)"),
    "a service in two categories": _set("Usage", ServiceCategory="Web", ServiceSubcategory="Other (Web)"),
    "a price of two SKUs": _set("Usage", SkuId="calls"),
    "an invoice of two accounts": _set("Usage", BillingAccountId="acct_2"),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_of_a_rule_is_found(good: str, breach: str) -> None:
    header, rows = read(good)
    BREACHES[breach](rows)
    assert problems(_written(header, rows)) != []


def test_a_missing_column_a_wrong_name_and_a_wrong_order_are_found(good: str) -> None:
    header, rows = read(good)
    assert problems(_written(header, rows)) == []
    for name in header:
        without = [one for one in header if one != name]
        if not name.startswith("x_") and name != "PricingCategory":
            assert f"there is no column {name}" in problems(_written(without, []))
    assert problems(_written([*header, "Subject"], []))
    assert problems(_written([*header, "x_statement id"], []))
    assert problems(_written(["x_First", *header], []))
