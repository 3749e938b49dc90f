"""focus_charges(): what each kind of line of a statement becomes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.focus.charges import Charge, assert_conforms, charges
from tests.helpers import Ledger, at, refused
from tests.pricing.billing import MONTH, SUBJECT, Billing, flat, unit
from tests.pricing.closings import JULY, JUNE, close, settle_all

EUR = {"currency": "EUR"}
COSTS = ("BilledCost", "ContractedCost", "ListCost")
TIERS = {
    "model": "graduated",
    "tiers": [
        {"up_to": 10, "unit_amount": "2", "flat_amount": "5"},
        {"up_to": None, "unit_amount": "1", "flat_amount": "0"},
    ],
}


def numbers(row: Charge, *names: str) -> list[Decimal | None]:
    return [row[name] for name in names]


def of_kind(rows: list[Charge], kind: str) -> list[Charge]:
    return [row for row in rows if row["x_Kind"] == kind]


def closed(billing: Billing) -> list[Charge]:
    close(billing.ledger)
    assert_conforms(billing.ledger)
    return charges(billing.ledger)


def test_each_tier_is_a_charge_and_its_flat_amount_another_one(billing: Billing) -> None:
    billing.price("tokens", TIERS | EUR)
    billing.use(12)
    rows = closed(billing)
    names = ("PricingQuantity", "ListUnitPrice", "ConsumedQuantity", "BilledCost")
    assert [numbers(row, *names) for row in rows] == [[10, 2, 10, 20], [1, 5, 0, 5], [2, 1, 2, 2]]
    assert [(row["SkuId"], row["SkuPriceId"], row["PricingUnit"]) for row in rows] == [
        ("tokens", "pro/tokens/1", "unit"),
        ("tokens", "pro/tokens/1/flat", "Count"),
        ("tokens", "pro/tokens/2", "unit"),
    ]
    assert {(row["ChargeCategory"], row["ChargeFrequency"]) for row in rows} == {("Usage", "Usage-Based")}
    assert [row["x_StatementLine"] for row in rows] == [1, 1, 2]


@pytest.mark.parametrize(
    ("price", "consumed", "priced", "price_unit"),
    [
        ({"model": "package", "package_size": 10, "unit_amount": "3"}, 25, 3, "10 unit"),
        ({"model": "package", "package_size": "2.5", "unit_amount": "3"}, 25, 10, "Units"),
        (unit("3", convert={"divide_by": 1000, "round": "up"}), 1500, 2, "1000 unit"),
        (unit("3", free_units=100), 150, 50, "unit"),
        (unit("3", free_units=100), 70, 0, "unit"),
        ({"model": "percentage", "percent": "3"}, 25, 25, "unit"),
    ],
)
def test_what_is_consumed_is_what_was_measured_whatever_is_priced(
    billing: Billing, price: Any, consumed: int, priced: int, price_unit: str
) -> None:
    billing.price("tokens", price | EUR)
    billing.use(consumed)
    (row,) = closed(billing)
    assert numbers(row, "ConsumedQuantity", "PricingQuantity") == [consumed, priced]
    assert (row["ConsumedUnit"], row["PricingUnit"]) == ("unit", price_unit)


def test_a_maximum_of_a_metric_for_a_part_of_a_cycle_is_priced_by_its_share(ledger: Ledger) -> None:
    billing = Billing(ledger, metrics={"seats": "max"}, subscribe=False)
    billing.price("seats", unit("5") | EUR)
    billing.subscribe("pro", "2026-06-16")
    billing.use(10, "2026-06-18", "seats")
    (row,) = closed(billing)
    assert numbers(row, "ConsumedQuantity", "PricingQuantity", "BilledCost") == [10, 5, 25]
    assert row["ChargePeriodStart"] == "2026-06-16T00:00:00Z"
    assert row["BillingPeriodStart"] == "2026-06-01T00:00:00Z"


def test_a_discount_is_in_the_contracted_price_and_no_charge_of_its_own(billing: Billing) -> None:
    billing.price("tokens", TIERS | EUR | {"discount_percent": "10"})
    billing.use(12)
    rows = closed(billing)
    assert [numbers(row, *COSTS, "ContractedUnitPrice", "ListUnitPrice") for row in rows] == [
        [18, 18, 20, Decimal("1.8"), 2],
        [Decimal("4.5"), Decimal("4.5"), 5, Decimal("4.5"), 5],
        [Decimal("1.8"), Decimal("1.8"), 2, Decimal("0.9"), 1],
    ]
    assert rows[0]["ChargeDescription"] == "tokens: units 1 to 10: 10 x 2 + 5; reduced by 2.50"


def test_a_maximum_lowers_what_is_billed_and_no_price(billing: Billing) -> None:
    billing.price("tokens", unit("2", maximum_amount="30") | EUR)
    billing.use(20)
    (row,) = closed(billing)
    assert numbers(row, *COSTS, "ContractedUnitPrice") == [30, 40, 40, 2]


@pytest.mark.parametrize("own", [False, True])
def test_a_minimum_is_an_adjustment_of_what_is_missing(billing: Billing, own: bool) -> None:
    """Of a price (own), or of a plan: nothing is used or bought for it."""
    billing.price("tokens", unit("2", **({"minimum_amount": "30"} if own else {})) | EUR)
    if not own:
        billing.ledger.call("set_plan_minimum", plan="pro", amount=30)
    billing.use(5)
    rows = closed(billing)
    (missing,) = of_kind(rows, "true_up")
    assert (missing["ChargeCategory"], missing["ChargeClass"]) == ("Adjustment", None)
    assert numbers(missing, *COSTS, "PricingQuantity", "ConsumedQuantity") == [20, 20, 20, None, None]
    assert missing["SkuPriceId"] is None
    assert missing["ServiceName"] == "pro"


def test_a_fee_is_a_purchase_and_its_unit_is_a_cycle(ledger: Ledger) -> None:
    billing = Billing(ledger, subscribe=False)
    billing.fee("base", flat("20") | EUR, name="Platform fee")
    billing.subscribe("pro", "2026-06-16")
    (row,) = closed(billing)
    assert (row["ChargeCategory"], row["ChargeFrequency"]) == ("Purchase", "Recurring")
    assert numbers(row, "PricingQuantity", "ListUnitPrice", *COSTS) == [Decimal("0.5"), 20, 10, 10, 10]
    assert (row["PricingUnit"], row["SkuId"], row["SkuPriceId"]) == ("Cycles", "pro/base", "pro/base")
    assert row["ConsumedQuantity"] is None
    assert row["ChargeDescription"].startswith("Platform fee: ")


def test_what_was_billed_in_advance_and_is_taken_off_corrects_an_invoice(ledger: Ledger) -> None:
    billing = Billing(ledger)
    billing.fee("base", flat("20") | EUR, bill="advance")
    close(ledger)
    ledger.call("unsubscribe", subject=SUBJECT, plan="pro", at=at("2026-07-16"))
    close(ledger, JULY)
    assert_conforms(ledger)
    rows = [
        row
        for row in charges(ledger)
        if row["InvoiceId"] == "2" and "in advance by" in row["ChargeDescription"]
    ]
    assert [(row["ChargeCategory"], row["ChargeClass"], row["BilledCost"]) for row in rows] == [
        ("Purchase", "Correction", -20)
    ]


def test_late_usage_is_a_correction_of_the_period_that_it_belongs_to(billing: Billing) -> None:
    """A volume price: 15 at 10, then 16 at 5."""
    tiers = [{"up_to": 15, "unit_amount": "10"}, {"up_to": None, "unit_amount": "5"}]
    billing.price("tokens", {"model": "volume", "tiers": tiers} | EUR)
    billing.use(15)
    close(billing.ledger)
    billing.use(1)
    settle_all(billing.ledger)
    close(billing.ledger, JULY)
    assert_conforms(billing.ledger)
    rows = of_kind(charges(billing.ledger, since=JULY), "late")
    assert [numbers(row, "ConsumedQuantity", "ListUnitPrice", "BilledCost") for row in rows] == [
        [-15, 10, -150],
        [16, 5, 80],
    ]
    for row in rows:
        assert (row["ChargeCategory"], row["ChargeClass"]) == ("Usage", "Correction")
        assert (row["InvoiceId"], row["x_CorrectedInvoiceId"]) == ("2", "1")
        assert (row["ChargePeriodStart"], row["BillingPeriodStart"]) == (
            "2026-06-01T00:00:00Z",
            "2026-07-01T00:00:00Z",
        )


def test_the_discount_of_late_usage_is_in_its_charges(billing: Billing) -> None:
    billing.price("tokens", unit("2", discount_percent="10") | EUR)
    billing.use(5)
    close(billing.ledger)
    billing.use(10)
    settle_all(billing.ledger)
    close(billing.ledger, JULY)
    assert_conforms(billing.ledger)
    (row,) = of_kind(charges(billing.ledger, since=JULY), "late")
    assert numbers(row, *COSTS, "ContractedUnitPrice") == [18, 18, 20, Decimal("1.8")]


def test_a_late_change_of_a_minimum_is_an_adjustment_that_corrects(billing: Billing) -> None:
    billing.price("tokens", unit("2", minimum_amount="30") | EUR)
    billing.use(5)
    close(billing.ledger)
    billing.use(3)
    settle_all(billing.ledger)
    close(billing.ledger, JULY)
    assert_conforms(billing.ledger)
    rows = of_kind(charges(billing.ledger, since=JULY), "late")
    assert sorted((row["ChargeCategory"], row["BilledCost"]) for row in rows) == [
        ("Adjustment", -6),
        ("Usage", 6),
    ]
    assert {row["ChargeClass"] for row in rows} == {"Correction"}


def test_each_combination_of_a_matrix_is_a_charge(billing: Billing) -> None:
    cells = [{"when": {"m": "x"}, "unit_amount": "3"}, {"when": {"m": "y"}, "unit_amount": "1"}]
    matrix = {"model": "matrix", "dimensions": ["m"], "discount_percent": "50", "cells": cells}
    billing.price("tokens", matrix | EUR)
    billing.use(4, metadata={"m": "x"})
    billing.use(2, metadata={"m": "y"})
    rows = closed(billing)
    assert [numbers(row, "ConsumedQuantity", *COSTS) for row in rows] == [[4, 6, 6, 12], [2, 1, 1, 2]]


def test_the_discount_of_one_cell_is_not_spread_over_others(billing: Billing) -> None:
    cells = [
        {"when": {"m": "x"}, "price": unit("3", discount_percent="50")},
        {"when": {"m": "y"}, "unit_amount": "1"},
    ]
    billing.price("tokens", {"model": "matrix", "dimensions": ["m"], "cells": cells} | EUR)
    billing.use(4, metadata={"m": "x"})
    billing.use(2, metadata={"m": "y"})
    rows = closed(billing)
    assert [(row["ChargeCategory"], row["BilledCost"]) for row in rows] == [
        ("Usage", 12),
        ("Adjustment", -6),
        ("Usage", 2),
    ]


def test_usage_without_a_price_is_no_charge(ledger: Ledger) -> None:
    billing = Billing(ledger, metrics={"tokens": "sum", "calls": "count"})
    billing.price("tokens", unit("2") | EUR)
    billing.use(3)
    ledger.record(SUBJECT, "calls", at=at("2026-06-10"))
    assert [row["SkuId"] for row in closed(billing)] == ["tokens"]


def test_a_statement_whose_total_is_unknown_has_no_charges(billing: Billing) -> None:
    """Nobody knows what it costs, and a part of it would look like the whole."""
    cells = [{"when": {"m": "x"}, "unit_amount": "3"}]
    billing.price("tokens", {"model": "matrix", "dimensions": ["m"], "cells": cells} | EUR)
    billing.fee("base", flat("20") | EUR)
    billing.use(4, metadata={"m": "x"})
    billing.use(2, metadata={"m": "y"})
    assert closed(billing) == []


def test_a_subject_without_prices_has_no_charges(billing: Billing) -> None:
    billing.ledger.record("acct_2", "tokens", Decimal(3), at=at("2026-06-10"))
    close(billing.ledger, subject="acct_2")
    assert charges(billing.ledger) == []


def test_a_price_of_the_subjects_own_has_the_identifiers_of_the_plans(billing: Billing) -> None:
    """SkuPriceId is the same at all times and for all billing accounts; the version has a column of ours."""
    billing.price("tokens", unit("2") | EUR)
    own = billing.price("tokens", unit("1") | EUR, subject=SUBJECT)
    billing.use(3)
    (row,) = closed(billing)
    assert (row["SkuPriceId"], row["BilledCost"], own.price_version) == (
        "pro/tokens/1",
        3,
        row["x_PriceVersion"],
    )


def test_an_erased_subject_is_its_pseudonym(billing: Billing) -> None:
    billing.price("tokens", unit("2") | EUR)
    billing.use(3)
    (before,) = closed(billing)
    billing.ledger.call("erase_subject", subject=SUBJECT, pseudonym="erased_1")
    (after,) = charges(billing.ledger, subject="erased_1")
    assert after == before | {"BillingAccountId": "erased_1"}
    assert SUBJECT not in str(after)


def test_a_period_is_in_the_window_that_it_ends_in(billing: Billing) -> None:
    billing.price("tokens", unit("2") | EUR)
    billing.use(3)
    closed(billing)
    for since, until, count in [
        (MONTH[0], MONTH[1], 1),
        (at("2026-06-30"), MONTH[1], 1),
        (MONTH[1], at("2026-08-01"), 0),
        (MONTH[0], at("2026-06-30T23:59:59"), 0),
    ]:
        assert len(charges(billing.ledger, since=since, until=until)) == count


def test_times_are_in_utc_whatever_the_session_says(billing: Billing) -> None:
    billing.price("tokens", unit("2") | EUR)
    billing.use(3)
    billing.ledger.execute("SET timezone = 'Asia/Kathmandu'")
    close(billing.ledger, JUNE, at("2026-06-11T10:20:30.450"))
    assert_conforms(billing.ledger)
    (row,) = charges(billing.ledger)
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == (
        "2026-06-01T00:00:00Z",
        "2026-06-11T10:20:30.45Z",
    )


def test_the_provider_and_the_category_are_those_that_are_passed(billing: Billing) -> None:
    billing.price("tokens", unit("2") | EUR)
    closed(billing)
    (row,) = charges(billing.ledger, provider="Acme", service_category="Databases")
    names = ("ProviderName", "PublisherName", "InvoiceIssuerName", "ServiceCategory", "ServiceSubcategory")
    assert [row[name] for name in names] == ["Acme", "Acme", "Acme", "Databases", "Other (Databases)"]


@pytest.mark.parametrize(
    ("sqlstate", "parameter", "wrong"),
    [
        ("22004", "since", {"since": None}),
        ("22004", "until", {"until": None}),
        ("22023", "since", {"since": "infinity"}),
        ("22023", None, {"since": "2026-07-01", "until": "2026-06-01"}),
        ("22023", "subject", {"subject": " "}),
        ("22004", "provider", {"provider": None}),
        ("22023", "provider", {"provider": ""}),
        ("22023", "provider", {"provider": "x" * 513}),
        ("22004", "service_category", {"service_category": None}),
        ("22023", "service_category", {"service_category": "other"}),
    ],
)
def test_a_bad_value_is_refused(ledger: Ledger, sqlstate: str, parameter: str | None, wrong: Any) -> None:
    with refused(sqlstate, parameter):
        ledger.call("focus_charges", **{"since": at("2026-06-01"), "until": at("2026-07-01")} | wrong)
