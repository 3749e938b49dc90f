"""The .sim.json of StripeMeter is read: totals computed by hand."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.simulate.scenarios import TIERS, Scenario, item, refusal, sim, simulate

Connection = psycopg.Connection[Any]
PLAIN = [{"upTo": 100, "unitPrice": 0.1}, {"upTo": 500, "unitPrice": 0.08}, {"upTo": None, "unitPrice": 0.05}]
SEATS = item("seats", 7, "flat", unitPrice=10, minimumCharge=50)


@pytest.mark.parametrize(
    ("items", "inputs", "subtotal", "tax", "total"),
    [
        # 100 x 0.1 + 250 x 0.08
        ([item("requests", 350, "tiered", tiers=PLAIN)], {}, "30.00", "0.00", "30.00"),
        # 350 x 0.08
        ([item("requests", 350, "volume", tiers=PLAIN)], {}, "28.00", "0.00", "28.00"),
        # the tier that ends at 100 has the 100th unit
        ([item("requests", 100, "volume", tiers=PLAIN)], {}, "10.00", "0.00", "10.00"),
        # (10 + 50) + (50 + 270) + (100 + 100)
        ([item("calls", 1500, "graduated", tiers=TIERS)], {}, "580.00", "0.00", "580.00"),
        # no flat amount without usage
        ([item("calls", 0, "graduated", tiers=TIERS)], {}, "0.00", "0.00", "0.00"),
        # 7 x 10, and ceil(13 / 4) x 5; 10 % of 90
        (
            [SEATS, item("bundles", 13, "package", unitPrice=5, packageSize=4)],
            {"taxRate": 10},
            "90.00",
            "9.00",
            "99.00",
        ),
        ([item("bundles", 13, "package", packagePrice=5, packageSize=4)], {}, "20.00", "0.00", "20.00"),
        ([item("bundles", 13, "package", unitPrice=5)], {}, "65.00", "0.00", "65.00"),
        # minimum 50, of nothing, too; maximum 60
        ([item("seats", 0, "flat", unitPrice=10, minimumCharge=50)], {}, "50.00", "0.00", "50.00"),
        ([item("seats", 7, "flat", unitPrice=10, maximumCharge=60)], {}, "60.00", "0.00", "60.00"),
        # 70 - (50 - 20) - 15 = 25; 8.875 % of it is 2.21875
        (
            [SEATS],
            {
                "commitments": [
                    {"amount": 50, "startDate": "2023-07-01", "endDate": "2024-07-01", "applied": 20},
                    {"amount": 40, "startDate": "2024-03-01", "endDate": "2025-03-01", "applied": 0},
                ],
                "credits": [
                    {"amount": 15, "reason": "goodwill"},
                    {"amount": 30, "reason": "late", "expiresAt": "2024-01-31"},
                ],
                "taxRate": 8.875,
            },
            "70.00",
            "2.22",
            "27.22",
        ),
        # a credit pays no more than there is
        ([SEATS], {"credits": [{"amount": 100, "reason": "gift"}], "taxRate": 20}, "70.00", "0.00", "0.00"),
        ([], {"taxRate": 20}, "0.00", "0.00", "0.00"),
    ],
)
def test_its_totals_are_right(
    db: Connection, items: list[Scenario], inputs: Scenario, subtotal: str, tax: str, total: str
) -> None:
    expected = {"subtotal": float(subtotal), "tax": float(tax), "total": float(total), "currency": "USD"}
    found = simulate(db, sim(*items, expected=expected, **inputs))
    assert (found["subtotal"], found["tax"], found["total"]) == (subtotal, tax, total)
    assert found["passed"] is True
    assert [check["path"] for check in found["expected"]] == [
        f"$.expected.{field}" for field in ("subtotal", "tax", "total", "currency")
    ]
    wrong = simulate(db, sim(*items, expected={"total": float(total) + 0.01}, **inputs))
    assert wrong["passed"] is False


def test_a_committed_amount_is_drawn_before_credits(db: Connection) -> None:
    committed = {"amount": 60, "startDate": "2024-01-15", "endDate": "2024-01-16"}
    found = simulate(db, sim(SEATS, commitments=[committed], credits=[{"amount": 30, "reason": "x"}]))
    drawn = [(line["item"], line["amount"]) for line in found["lines"] if line["kind"] == "credit"]
    assert drawn == [("1", "-60.00"), ("2", "-10.00")]
    assert (found["credits"], found["total"]) == ("-70.00", "0.00")


def test_lines_are_compared_by_metric_and_position(db: Connection) -> None:
    items = [
        SEATS,
        item("requests", 350, "tiered", tiers=PLAIN),
        item("seats", 3, "volume", tiers=[{"upTo": None, "unitPrice": 0.008}]),
    ]
    lines = [
        {
            "metric": "seats",
            "quantity": 7,
            "unitPrice": 10,
            "subtotal": 70,
            "description": "7 units of seats",
        },
        {"metric": "seats", "quantity": 3, "unitPrice": 0.01, "subtotal": 0.02},
        {"metric": "requests", "quantity": 350, "unitPrice": 0.09, "subtotal": 30},
    ]
    assert simulate(db, sim(*items, expected={"total": 100.02, "lineItems": lines}))["passed"] is True
    lines[1]["quantity"] = 4
    lines.append({"metric": "seats", "subtotal": 1})
    found = simulate(db, sim(*items, expected={"lineItems": lines}))
    assert [(c["path"], c["expected"], c["found"]) for c in found["expected"] if not c["passed"]] == [
        ("$.expected.lineItems[1].quantity", "4", "3"),
        ("$.expected.lineItems[3].metric", "seats", None),
        ("$.expected.lineItems[3].subtotal", "1", None),
    ]


@pytest.mark.parametrize(
    ("expected", "tolerances", "passes"),
    [
        (70.01, {}, False),
        (70.01, {"absolute": 0.01}, True),
        (70.02, {"absolute": 0.01}, False),
        (70.7, {"relative": 0.01}, True),
        (70.71, {"relative": 0.009}, False),
        (0, {"relative": 1}, False),
    ],
)
def test_tolerances_are_zero_unless_given(
    db: Connection, expected: float, tolerances: Scenario, passes: bool
) -> None:
    found = simulate(db, sim(SEATS, expected={"total": expected}, tolerances=tolerances))
    assert found["passed"] is passes


CONFIG = "$.inputs.usageItems[0].priceConfig"


@pytest.mark.parametrize(
    ("scenario", "detail"),
    [
        (sim(SEATS) | {"output": 1}, "$.output is not a field here."),
        (sim(SEATS, customer="c"), "$.inputs.customer is not a field here."),
        (sim(SEATS, taxRate=-1), "$.inputs.taxRate is not a number"),
        (sim(SEATS, taxRate=1001), "$.inputs.taxRate is not from 0 to 1000"),
        (sim(SEATS, periodEnd="2024-01-01"), "$.inputs.periodEnd is missing, or not after the beginning"),
        (sim(SEATS, periodEnd="January"), "$.inputs.periodEnd is not a time"),
        (sim(item("a", -1, "flat", unitPrice=1)), "$.inputs.usageItems[0].quantity is not a number"),
        (sim(item("a", 1, "dynamic")), f"{CONFIG}.model is not one of the words"),
        (sim(item("a", 1, "flat")), f"{CONFIG}.unitPrice is missing."),
        (sim(item("a", 1, "flat", unitPrice=1, tiers=PLAIN)), f"{CONFIG}.tiers is not a field of this model"),
        (sim(item("a", 1, "package", unitPrice=1, packageSize=0)), f"{CONFIG}.packageSize is not above 0"),
        (sim(item("a", 1, "package", unitPrice=1, packagePrice=2)), f"{CONFIG}.unitPrice is given twice"),
        (sim(item("a", 1, "tiered")), f"{CONFIG}.tiers is missing."),
        (sim(item("a", 1, "tiered", tiers=[{"unitPrice": 1}])), f"{CONFIG}.tiers[0].upTo is missing."),
        (sim(item("a", 1, "tiered", tiers=PLAIN[:2])), f"{CONFIG}.tiers[1].upTo ends the last tier"),
        (
            sim(item("a", 1, "volume", tiers=[PLAIN[1], PLAIN[0], PLAIN[2]])),
            f"{CONFIG}.tiers[1].upTo is not above",
        ),
        (
            sim(item("a", 1, "flat", unitPrice=1, minimumCharge=2, maximumCharge=1)),
            f"{CONFIG}.maximumCharge is below",
        ),
        (sim(item("a", 1, "flat", unitPrice=1, currency="usd")), f"{CONFIG}.currency is not a current code"),
        (
            sim(SEATS, item("a", 1, "flat", unitPrice=1, currency="EUR")),
            "$.inputs.usageItems[1].priceConfig.currency is not the currency of the scenario",
        ),
        (
            sim(SEATS, credits=[{"amount": 0.001, "reason": "x"}]),
            "$.inputs.credits[0].amount has more decimals",
        ),
        (
            sim(
                SEATS,
                commitments=[{"amount": 1, "startDate": "2024-01-01", "endDate": "2024-01-02", "applied": 2}],
            ),
            "$.inputs.commitments[0].applied is more than amount",
        ),
        (sim(SEATS, expected={"totals": 1}), "$.expected.totals is not a field here."),
        (sim(SEATS, expected={"total": "a"}), "$.expected.total is not a number"),
        (sim(SEATS, expected={"lineItems": [{"quantity": 1}]}), "$.expected.lineItems[0].metric is missing."),
        (sim(SEATS, tolerances={"relative": 2}), "$.tolerances.relative is not from 0 to 1"),
    ],
)
def test_what_is_wrong_is_refused_with_its_path(db: Connection, scenario: Scenario, detail: str) -> None:
    assert refusal(db, scenario).startswith(detail)
